"""A node of the chain that is behind: its balances are of some blocks ago, its receipts are not.

A public node is many, and who answers for a balance is not who answers for a receipt. What a wallet
had is known from the changes of the last minute, each with what there was before it.
"""

from __future__ import annotations

from collections import defaultdict, deque

import attrs

from polybot.clock import Clock
from polybot.exchange.chain import Chain
from polybot.exchange.faults.kinds import VENUE
from polybot.exchange.faults.state import Faults
from polybot.exchange.model import Moved, TradeUpdated
from polybot.exchange.settlement import parties

LAG_MOST_MS = 60_000


@attrs.frozen
class _Change:
    at_ms: int
    before: int


@attrs.define(eq=False)
class NodeBehind:
    """Sets the hook of the chain. `wallets` are those whose past is remembered."""

    faults: Faults
    chain: Chain
    clock: Clock
    wallets: tuple[str, ...]
    _known: dict[tuple[str, str], int] = attrs.field(factory=dict)  # by holder and token, if any
    _changes: defaultdict[tuple[str, str], deque[_Change]] = attrs.field(
        factory=lambda: defaultdict(deque)
    )

    def __attrs_post_init__(self) -> None:
        self.chain.engine.listen(self._hear, Moved, TradeUpdated)
        self.chain.shown = self._shown

    def _hear(self, event: Moved | TradeUpdated) -> None:
        if isinstance(event, TradeUpdated):
            market, holders = event.trade.market, parties(event.trade)
        elif event.market is not None:
            market, holders = event.market, [event.account]
        else:
            return
        for holder in self.wallets:
            for token in market.tokens if holder in holders else ():
                self._note(holder, token, event.at_ms)

    def _note(self, holder: str, token: str, now_ms: int) -> None:
        key = holder, token
        before, after = self._known.get(key, 0), self.chain.engine.settled_shares(holder, token)
        if after == before:
            return
        self._known[key] = after
        if not after:
            del self._known[key]
        self._changes[key].append(_Change(now_ms, before))
        for other in list(self._changes):
            while self._changes[other] and self._changes[other][0].at_ms < now_ms - LAG_MOST_MS:
                self._changes[other].popleft()
            if not self._changes[other]:
                del self._changes[other]

    def _shown(self, holder: str, token: str, figure: int) -> int:
        now_ms = self.clock.now_ms()
        for running in self.faults.at(VENUE):
            if running.entry.fault == "node_behind" and (strike := running.meet(now_ms)):
                since_ms = now_ms - strike["lag_ms"]
                late = (it for it in self._changes.get((holder, token), ()) if it.at_ms > since_ms)
                old = next((it.before for it in late), figure)
                if old != figure:
                    strike.land()
                return old
        return figure
