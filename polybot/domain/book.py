"""The order book of one token: integer prices to integer sizes, best prices always at hand.

Pure: no wire, no clock. Two dicts hold the levels and two sorted lists their prices; a level's size
changes without touching the lists, which is what nine updates in ten do.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable

import attrs

from polybot.domain.market import BUY, Side
from polybot.domain.units import ONE

Level = tuple[int, int]  # price 10⁻⁴, size 10⁻⁶


@attrs.define(eq=False)
class Book:
    """Bids and asks of one token. `best_bid` and `best_ask` are None on an empty side.

    A book may be crossed for an instant while a batch is applied; it does not judge, its owner
    does.
    """

    best_bid: int | None = attrs.field(default=None, init=False)
    best_ask: int | None = attrs.field(default=None, init=False)
    _bids: dict[int, int] = attrs.field(factory=dict, init=False)
    _asks: dict[int, int] = attrs.field(factory=dict, init=False)
    bid_prices: list[int] = attrs.field(factory=list, init=False)  # both ascending, and only …
    ask_prices: list[int] = attrs.field(factory=list, init=False)  # … to be read by others

    def set(self, side: Side, price: int, size: int) -> int:
        """Make `size` the total at `price`; 0 removes the level. Returns the old total."""
        bids = side is BUY
        sizes = self._bids if bids else self._asks
        old = sizes.get(price, 0)
        if size and old:  # nine in ten
            sizes[price] = size
            return old
        prices = self.bid_prices if bids else self.ask_prices
        if size:
            sizes[price] = size
            insort(prices, price)
        elif old:
            del sizes[price]
            del prices[bisect_left(prices, price)]
        else:
            return 0
        if bids:
            self.best_bid = prices[-1] if prices else None
        else:
            self.best_ask = prices[0] if prices else None
        return old

    def replace(self, bids: Iterable[Level], asks: Iterable[Level]) -> None:
        """Forget everything and take these levels, in any order. Empty sizes are left out."""
        self._bids = {price: size for price, size in bids if size}
        self._asks = {price: size for price, size in asks if size}
        self.bid_prices = sorted(self._bids)
        self.ask_prices = sorted(self._asks)
        self.best_bid = self.bid_prices[-1] if self.bid_prices else None
        self.best_ask = self.ask_prices[0] if self.ask_prices else None

    def levels(self, side: Side, n: int | None = None) -> list[Level]:
        """The best `n` levels (all if None), best first."""
        if side is BUY:
            chosen = self.bid_prices[::-1] if n is None else self.bid_prices[: -n - 1 : -1]
            return [(price, self._bids[price]) for price in chosen]
        return [(price, self._asks[price]) for price in self.ask_prices[:n]]

    def mirrored(self) -> Book:
        """The same book seen from the other outcome: a bid at p is an ask at 1 - p."""
        other = Book()
        other.replace(
            [(ONE - price, size) for price, size in self._asks.items()],
            [(ONE - price, size) for price, size in self._bids.items()],
        )
        return other
