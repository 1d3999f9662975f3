"""One merged book per market: both outcomes' orders in one pair of ladders, in Up's terms.

A share pair is worth exactly one dollar, so BUY Down at p is an offer to take the other side of a
BUY Up at 1 - p: it is an ask on Up. Bids are BUY Up @p and SELL Down @1-p, asks are SELL Up @p and
BUY Down @1-p (feeds.md 2.3 and 4.4). Each token's own book is this one seen from that token.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterator

import attrs

from polybot.exchange.model import BUY, SELL, UP, Order
from polybot.exchange.money import ONE

Levels = list[tuple[int, int]]  # (price 10⁻⁴, total 10⁻⁶ shares)


@attrs.define(eq=False)
class Level:
    """The orders at one price. A dict keeps time priority and lets any of them leave in O(1)."""

    price: int
    total: int = 0
    orders: dict[str, Order] = attrs.field(factory=dict)


class Ladder:
    """One side of the book. `_keys` holds sign × price ascending, so that the best is the last."""

    def __init__(self, sign: int) -> None:
        self._sign = sign
        self._keys: list[int] = []
        self._levels: dict[int, Level] = {}

    def add(self, price: int, order: Order) -> None:
        """Put the order last in the queue at `price`."""
        level = self._levels.get(price)
        if level is None:
            level = self._levels[price] = Level(price)
            insort(self._keys, self._sign * price)
        level.orders[order.id] = order
        level.total += order.remaining

    def take(self, price: int, order: Order, shares: int) -> None:
        """Lower the level by what left it; `order.remaining` is already what stays of it."""
        level = self._levels[price]
        level.total -= shares
        if order.remaining == 0:
            del level.orders[order.id]
            self._drop_if_empty(level)

    def squeeze_in(self, price: int, order: Order, before: Order) -> None:
        """Put the order into the queue in front of another one."""
        level = self._levels[price]
        queue = list(level.orders.values())
        queue.insert(queue.index(before), order)
        level.orders = {one.id: one for one in queue}
        level.total += order.remaining

    def queue(self, price: int) -> list[Order]:
        """The orders at one price, the oldest first."""
        level = self._levels.get(price)
        return [] if level is None else list(level.orders.values())

    def remove(self, price: int, order: Order) -> None:
        """Take the order's open remainder out of the book."""
        level = self._levels[price]
        del level.orders[order.id]
        level.total -= order.remaining
        self._drop_if_empty(level)

    def _drop_if_empty(self, level: Level) -> None:
        if level.orders:
            return
        assert level.total == 0, "an empty level holds no shares"
        del self._levels[level.price]
        del self._keys[bisect_left(self._keys, self._sign * level.price)]

    def best(self) -> int | None:
        return self._sign * self._keys[-1] if self._keys else None

    @property
    def empty(self) -> bool:
        """Neither a price nor a level is left."""
        return not (self._keys or self._levels)

    def total(self, price: int) -> int:
        level = self._levels.get(price)
        return 0 if level is None else level.total

    def best_first(self) -> Iterator[Level]:
        """The levels from the best on. Do not change the ladder while iterating."""
        return (self._levels[self._sign * key] for key in reversed(self._keys))

    def best_last(self) -> Levels:
        return [(self._sign * key, self._levels[self._sign * key].total) for key in self._keys]


class Book:
    """A market's merged book. Prices of its methods are in Up's terms unless said otherwise."""

    def __init__(self) -> None:
        self._bids, self._asks = Ladder(1), Ladder(-1)
        self._sides = {BUY: self._bids, SELL: self._asks}

    def add(self, order: Order) -> None:
        """Rest the order behind everything at its price."""
        self._sides[order.up_side].add(order.up_price, order)

    def take(self, order: Order, shares: int) -> None:
        """Lower the order's level by a fill already counted in `order.matched`."""
        self._sides[order.up_side].take(order.up_price, order, shares)

    def resize(self, order: Order, change: int) -> None:
        """Follow a change already made to `order.size`."""
        self._sides[order.up_side].take(order.up_price, order, -change)

    def squeeze_in(self, order: Order, before: Order) -> None:
        """Rest the order in front of another one of its level."""
        self._sides[order.up_side].squeeze_in(order.up_price, order, before)

    def side(self, side: str) -> Ladder:
        """One side's ladder, to read."""
        return self._sides[side]

    def queue(self, side: str, price: int) -> list[Order]:
        """The orders of one level, the oldest first."""
        return self._sides[side].queue(price)

    def remove(self, order: Order) -> None:
        self._sides[order.up_side].remove(order.up_price, order)

    @property
    def empty(self) -> bool:
        return self._bids.empty and self._asks.empty

    def best(self) -> tuple[int | None, int | None]:
        """(best bid, best ask) of Up."""
        return self._bids.best(), self._asks.best()

    def total(self, side: str, price: int) -> int:
        return self._sides[side].total(price)

    def crosses(self, order: Order) -> bool:
        """Whether the order could trade at once against what rests."""
        if order.up_side == BUY:
            ask = self._asks.best()
            return ask is not None and ask <= order.up_price
        bid = self._bids.best()
        return bid is not None and bid >= order.up_price

    def facing(self, order: Order) -> Iterator[Level]:
        """The levels that the order crosses, best first."""
        limit = order.up_price
        if order.up_side == BUY:
            return self._until(self._asks, limit, -1)
        return self._until(self._bids, limit, 1)

    @staticmethod
    def _until(ladder: Ladder, limit: int, sign: int) -> Iterator[Level]:
        for level in ladder.best_first():
            if sign * level.price < sign * limit:
                return
            yield level

    def levels(self, outcome: int) -> tuple[Levels, Levels]:
        """(bids ascending, asks descending) seen from one outcome's token: the best is last."""
        bids, asks = self._bids.best_last(), self._asks.best_last()
        if outcome == UP:
            return bids, asks
        return [(ONE - p, size) for p, size in asks], [(ONE - p, size) for p, size in bids]

    def orders(self) -> list[Order]:
        """Everything that rests, bids then asks, best first, then by time."""
        both = (*self._bids.best_first(), *self._asks.best_first())
        return [order for level in both for order in level.orders.values()]
