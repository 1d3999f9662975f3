"""A market's liquidity mirrored from elsewhere, with our orders standing in its queues.

Elsewhere is known as levels and prints; the engine matches orders by price and time. So each
outside level is kept as orders of one outside account, cut where orders of ours stand: the parts
ahead of us are older orders, the parts behind us younger ones, and the engine's own matching, fees,
events and invariants hold for all. The book shown is the outside's plus ours.

What moves what:

* An update sets a level to its new total. A decrease is spread over the parts by the queue model;
  an increase joins the back. Only updates change outside liquidity.
* A print changes no level (its decrease is an update of its own, before it or after it): it fills
  those of ours that it would have reached, and is told as a trade of the same size. Volume strictly
  through our price fills us first; at our price, what exceeds the queue ahead.
* A level that arrives at or through our price is an order that meets ours on the way: it trades for
  no more than its size, once. What ours have taken of a level stays taken while it still faces an
  order of ours; else its next change brings it back, because our impact is not modelled.

Rejected: replaying prints as market orders (they would consume levels whose decrease was already
applied, or anticipate it), and queue positions kept beside the engine (two truths about priority).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from polybot.exchange.book import Book, Level
from polybot.exchange.model import BUY, SELL, MakerFill, Market, Order, Phase
from polybot.exchange.money import ONE
from polybot.exchange.outbox import Act
from polybot.exchange.outside import Outside
from polybot.exchange.queue_marks import Key, Mark, QueueMarks
from polybot.exchange.queue_models import AHEAD_FIRST, QueueModel

PATIENCE_MS = 1_000  # how long a decrease and its print may be apart: ten times what is seen
PRINT_LAG_MS = 90  # a print speaks of a match this long ago at most (feeds.md 3)

Totals = Mapping[int, int]  # Up price → shares
Change = tuple[str, int, int]  # (side, Up price, new total)


class OutsideBook:
    """One market's mirror. Prices and sides are in Up terms; times must not run back."""

    def __init__(
        self, outside: Outside, market: Market, model: QueueModel = AHEAD_FIRST,
        *, print_lag_ms: int = PRINT_LAG_MS,
    ) -> None:  # fmt: skip
        self.market, self.model = market, model
        self.valid = False  # from the first snapshot until `clear`
        self._outside, self._print_lag_ms = outside, print_lag_ms
        self._known: dict[Key, int] = {}  # the totals last told
        self._marks = QueueMarks(PATIENCE_MS)
        self._positions: dict[str, int] = {}  # volume ahead of our orders when the mirror was lost

    def told_best(self) -> tuple[int | None, int | None]:
        """(best bid, best ask) of the outside as it was last told, ours not counted."""
        bids = [price for side, price in self._known if side == BUY]
        asks = [price for side, price in self._known if side == SELL]
        return max(bids, default=None), min(asks, default=None)

    def told(self) -> tuple[dict[int, int], dict[int, int]]:
        """(bids, asks) of the outside as they were last told: Up price → shares."""
        known = self._known.items()
        bids, asks = (
            {price: size for (side, price), size in known if side == one and size}
            for one in (BUY, SELL)
        )
        return bids, asks

    @property
    def _book(self) -> Book:
        return self._outside.resting.books[self.market.condition_id]

    # --- updates ---------------------------------------------------------------------

    def replace(self, bids: Totals, asks: Totals, now_ms: int) -> None:
        """A snapshot: levels it does not name are gone.

        After a time without a mirror our orders stand where they stood, or behind everything if
        they are younger: volume that came meanwhile cannot be told from what was there.
        """
        wanted = {(BUY, price): size for price, size in bids.items()}
        wanted.update(((SELL, price), size) for price, size in asks.items())
        gone = [(side, price, 0) for side, price in self._known if (side, price) not in wanted]
        self._apply([*gone, *((*key, size) for key, size in wanted.items())], now_ms)
        self.valid = self.valid or self.market.phase is Phase.OPEN
        self._positions.clear()

    def change(self, changes: Iterable[Change], now_ms: int) -> None:
        """New totals of single levels."""
        self._apply(changes, now_ms)

    def clear(self, now_ms: int) -> None:
        """The mirror is lost: show nothing rather than what may be no longer there."""
        act = self._outside.resting.act(self.market, now_ms)
        orders = self._book.orders()
        ahead: dict[Key, int] = {}
        for order in orders:
            key = (order.up_side, order.up_price)
            if self._outside.owns(order):
                ahead[key] = ahead.get(key, 0) + order.remaining
            elif self.valid:
                self._positions[order.id] = ahead.get(key, 0)
        for order in orders:
            if self._outside.owns(order):
                self._outside.resize(order, -order.remaining, act)
        self.valid = False
        self._known.clear()
        self._marks.clear()
        self._outside.resting.publish(act)

    def _apply(self, changes: Iterable[Change], now_ms: int) -> None:
        """Removals first, so that a book that moves as a whole never crosses itself."""
        if self.market.phase is not Phase.OPEN:
            return
        self._outside.engine.advance(now_ms)
        act = self._outside.resting.act(self.market, now_ms)
        book, owner = act.book, self._outside.owner
        grown: list[tuple[Key, int]] = []
        for side, price, total in changes:
            key = (side, price)
            known = self._known.get(key, 0)
            if total == known:
                continue
            queue = book.queue(side, price)
            resting = 0
            for one in queue:
                if one.owner == owner:
                    resting += one.size - one.matched
            if known > resting and self._faces(key):
                total_left = total - min(known - resting, total)
            else:
                total_left = total
            self._know(key, total)
            if total_left < resting:
                self._shrink(key, queue, resting - total_left, act)
            elif total_left > resting:
                grown.append((key, total_left - resting))
        for key, amount in grown:
            self._grow(key, amount, act)
        self._outside.resting.publish(act)

    def _know(self, key: Key, total: int) -> None:
        if total:
            self._known[key] = total
        else:
            self._known.pop(key, None)

    def _crosses(self, key: Key) -> bool:
        """Whether anything rests at or beyond the level, on the other side."""
        side, price = key
        bid, ask = self._book.best()
        if side == BUY:
            return ask is not None and ask <= price
        return bid is not None and bid >= price

    def _faces(self, key: Key) -> bool:
        """Whether an order of ours stands at or beyond the level, on the other side."""
        if not self._crosses(key):
            return False
        probe = self._outside.arrival(self.market, *key, 0)
        return any(
            not self._outside.owns(order)
            for level in self._book.facing(probe)
            for order in level.orders.values()
        )

    # --- queues ----------------------------------------------------------------------

    def _ours(self, queue: list[Order]) -> tuple[list[tuple[Order, int]], int]:
        """Our orders of a level with the outside volume ahead of each, and the level's whole."""
        ours, ahead = [], 0
        for order in queue:
            if self._outside.owns(order):
                ahead += order.remaining
            else:
                ours.append((order, ahead))
        return ours, ahead

    def _shrink(self, key: Key, queue: list[Order], amount: int, act: Act) -> None:
        """Take a decrease out of the queue; what a print has paid for already comes from behind."""
        paid = self._marks.redeem(key, act.now_ms, amount)
        if len(queue) == 1:  # the outside's: none of ours is there to be before or behind
            self._outside.resize(queue[0], -amount, act)
            if amount > paid:
                self._marks.decreased(key, act.now_ms, amount - paid, {})
            return
        if paid:
            ours, whole = self._ours(queue)
            self._cut(queue, [max(0, paid - (whole - a)) for _, a in ours], paid, act)
            queue = self._book.queue(*key)
        if amount == paid:
            return
        ours, whole = self._ours(queue)
        gone = amount - paid
        goals: list[int] = []
        marks: dict[str, Mark] = {}
        for order, ahead in ours:
            least, most = max(0, gone - (whole - ahead)), min(gone, ahead)
            goal = min(most, max(least, self.model.advance(ahead, whole - ahead, gone)))
            marks[order.id] = Mark(ahead, goal)
            goals.append(max([goal, *goals[-1:]]))
        self._cut(queue, goals, gone, act)
        self._marks.decreased(key, act.now_ms, gone, marks)

    def _cut(self, queue: list[Order], goals: list[int], total: int, act: Act) -> int:
        """Lower the outside's orders by `total`, of it `goals[i]` before our i-th order."""
        bounds, done, passed = [*goals, total], 0, 0
        for order in queue:
            if not self._outside.owns(order):
                passed += 1
                continue
            cut = min(order.remaining, bounds[passed] - done)
            if cut > 0:
                self._outside.resize(order, -cut, act)
                done += cut
        return done

    def _join(self, key: Key, amount: int, act: Act) -> None:
        """More volume at the back of a level."""
        queue = self._book.queue(*key)
        if queue and self._outside.owns(queue[-1]):
            self._outside.resize(queue[-1], amount, act)
        else:
            self._outside.lay(self.market, *key, amount, act)

    def _grow(self, key: Key, amount: int, act: Act) -> None:
        amount -= self._meet(key, amount, act)
        if not self.valid:
            amount -= self._restore(key, amount, act)
        if amount:
            self._join(key, amount, act)

    def _restore(self, key: Key, amount: int, act: Act) -> int:
        """Put back what stood ahead of ours when the mirror was lost; returns how much of it."""
        restored = 0
        for order, _ in self._ours(self._book.queue(*key))[0]:
            part = min(self._positions.get(order.id, amount), amount) - restored
            if part > 0:
                self._outside.lay(self.market, *key, part, act, before=order)
                restored += part
        return restored

    def _meet(self, key: Key, amount: int, act: Act) -> int:
        """Trade an arriving level against ours that it crosses; returns how much of it.

        Outside orders it crosses are older news of the same place: they go without a trade.
        """
        if not self._crosses(key):
            return 0
        arrival = self._outside.arrival(self.market, *key, amount)
        left = amount
        for level in list(self._book.facing(arrival)):
            for order in list(level.orders.values()):
                if self._outside.owns(order):
                    self._outside.resize(order, -order.remaining, act)
            left -= self._fill(arrival, level, left, act)
        return amount - left

    # --- prints ----------------------------------------------------------------------

    def traded(self, token: str, side: str, price: int, shares: int, now_ms: int) -> None:
        """A print: the taker's token, side and price (its own terms), and its whole size."""
        if self.market.phase is not Phase.OPEN or shares <= 0:
            return
        self._outside.engine.advance(now_ms)
        act = self._outside.resting.act(self.market, now_ms)
        taker = self._outside.taker(self.market, token, side, price, shares)
        left = shares
        for level in list(self._book.facing(taker)):
            if level.price != taker.up_price:
                left -= self._fill(taker, level, left, act, since_ms=now_ms - self._print_lag_ms)
        if left:
            self._print(taker, left, act)
        self._outside.resting.publish(act)

    def _fill(
        self, taker: Order, level: Level, most: int, act: Act, since_ms: int | None = None
    ) -> int:
        """Fill our orders of a level, oldest first, with at most `most`; returns how much."""
        fills = []
        for order in level.orders.values():
            young = since_ms is not None and order.created_ms > since_ms
            part = 0 if self._outside.owns(order) or young else min(order.remaining, most)
            if part:
                fills.append(MakerFill(order, part, order.price))
                most -= part
        if fills:
            price = level.price if taker.token == self.market.tokens[0] else ONE - level.price
            self._outside.trade(taker, price, fills, act)
        return sum(fill.shares for fill in fills)

    def _print(self, taker: Order, shares: int, act: Act) -> None:
        """The part of a print that traded at its own price."""
        key = (SELL if taker.up_side == BUY else BUY, taker.up_price)
        passed = self._advance(key, shares, act)
        fills, left = [], shares
        for order in self._book.queue(*key):
            credit = passed.get(order.id, 0) - (shares - left)
            part = min(order.remaining, max(0, credit), left)
            if part:
                fills.append(MakerFill(order, part, order.price))
                left -= part
        if left:
            fills.append(self._outside.absent(taker, *key, left))
        self._outside.trade(taker, taker.price, fills, act)

    def _advance(self, key: Key, shares: int, act: Act) -> dict[str, int]:
        """Move our orders of a level forward by a print; how much of it went past each."""
        queue = self._book.queue(*key)
        ours, _ = self._ours(queue)
        moves = dict.fromkeys((order.id for order, _ in ours), 0)
        passed = dict(moves)
        rest = shares
        for decrease, part in self._marks.explained(key, act.now_ms, shares):
            rest -= part
            for order_id, more, beyond in decrease.explain(part):
                if order_id in moves:
                    moves[order_id] += more
                    passed[order_id] += beyond
        if rest:
            self._marks.pay(key, act.now_ms, rest)
        for order, ahead in ours:
            if order.created_ms <= act.now_ms - self._print_lag_ms:
                due = min(rest, ahead - moves[order.id])
                moves[order.id] += due
                passed[order.id] += rest - due
                if not self.model.queues:
                    passed[order.id] = shares
        moved = self._cut(queue, list(moves.values()), max(moves.values(), default=0), act)
        if moved:
            self._join(key, moved, act)
        return passed if self.model.fills_at_price else {}
