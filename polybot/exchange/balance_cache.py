"""The venue's own idea of a wallet's balances, which follows the chain late (clob.md 5.1).

`/balance-allowance` is answered from here, and orders are judged by it, so that what was bought is
sold only once its block is known. `/update` has the chain read anew. A stale figure right after a
fill is a known nuisance (reliability.md F34).
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Callable

import attrs

from polybot.exchange.engine import Engine
from polybot.exchange.model import BUY, Moved, Order

KEPT = 10_000  # figures, the least recently read go first

Asset = str | None  # a token, or None for pUSD


@attrs.frozen
class _Figure:
    amount: int
    read_ms: int


def _as_it_is(_wallet: str, _asset: Asset, figure: int, _now_ms: int) -> int:
    return figure


class BalanceCache:
    """Settled balances as of at most `lag_ms` ago. `lag_ms` may be changed at any time. `behind`
    counts orders that were judged by less than the chain shows by then. Where it does not `follow`,
    what a wallet moves on the chain itself – splits, merges, redemptions, deposits – is known only
    once `/update` has been asked.
    """

    def __init__(self, engine: Engine, lag_ms: int, *, follow: bool = True) -> None:
        self.lag_ms, self.behind = lag_ms, 0
        self._engine = engine
        self._unseen: Counter[tuple[str, Asset]] = Counter()
        if not follow:
            engine.listen(self._moved, Moved)
        # A fault plan's: (wallet, asset, figure, now) → the figure that the venue goes by.
        self.bend: Callable[[str, Asset, int, int], int] = _as_it_is
        self._figures: OrderedDict[tuple[str, Asset], _Figure] = OrderedDict()

    def read(self, wallet: str, asset: Asset) -> int:
        """Base units of 10⁻⁶. What is older than the lag is read from the chain first."""
        figure = self._figures.get((wallet, asset))
        if figure is None or self._engine.now_ms - figure.read_ms >= self.lag_ms:
            self._look(wallet, asset)
        self._figures.move_to_end((wallet, asset))
        amount = self._figures[wallet, asset].amount
        return self.bend(wallet, asset, amount, self._engine.now_ms)

    def known(self, order: Order) -> int:
        """What an order is judged by. The crowd, which is no client, knows its own books."""
        if order.owner in self._engine.unread:
            return self._engine.accounts.booked(order)
        asset = None if order.side == BUY else order.token
        figure = self.read(order.account, asset)
        self.behind += figure < self._settled(order.account, asset)
        return figure

    def incoming(self, order: Order) -> int:
        """What an order must not count on, by the same distinction as `known`."""
        if order.owner in self._engine.unread:
            return 0
        asset = None if order.side == BUY else order.token
        return self._engine.desk.clearing.incoming(order.account, asset)

    def refresh(self, wallet: str, asset: Asset) -> None:
        """Read the chain now, all of it."""
        self._unseen.pop((wallet, asset), None)
        self._look(wallet, asset)

    def _moved(self, event: Moved) -> None:
        """A wallet has moved something on the chain itself."""
        changes: list[tuple[Asset, int]] = [(None, event.cash)]
        if event.market is not None:
            changes += zip(event.market.tokens, event.shares, strict=True)
        for asset, change in changes:
            self._unseen[event.account, asset] += change
            self._figures.pop((event.account, asset), None)

    def _look(self, wallet: str, asset: Asset) -> None:
        amount = max(0, self._settled(wallet, asset) - self._unseen[wallet, asset])
        self._figures[wallet, asset] = _Figure(amount, self._engine.now_ms)
        if len(self._figures) > KEPT:
            self._figures.popitem(last=False)

    def _settled(self, wallet: str, asset: Asset) -> int:
        if asset is None:
            return self._engine.settled_cash(wallet)
        return self._engine.settled_shares(wallet, asset)
