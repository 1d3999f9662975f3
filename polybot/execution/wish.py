"""What should rest in one market, and which of the orders that rest do for it. Pure.

An ask is judged as the bid that has its place in the book (`NewOrder.toward`, `bid_price`). Still
the one does not serve where the other is wanted: they bind different things, shares or dollars, and
the quoter has had its reason to change over.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence, Set as AbstractSet

from msgspec import Struct

from polybot.domain.market import UP, Outcome
from polybot.domain.orders import NewOrder
from polybot.execution.lifecycle import State
from polybot.execution.tracked import Tracked

Prices = Sequence[tuple[Outcome, int]]  # as bids
Bounds = tuple[int | None, ...]

_KEPT = (State.IN_FLIGHT, State.LIVE, State.DELAYED)
_CERTAIN = (State.LIVE, State.IN_FLIGHT)


class Desired(Struct, frozen=True, gc=False):
    """What should rest now: orders by the outcome they move us toward, best first, and the price
    each outcome may cost at most.

    `take` is bought now or never, once for each `take_number`: wanting it still is a new wish.
    An empty `orders` means: nothing should rest. Caps, `pair_cap` and `hold` in 10⁻⁴; an order no
    further than `hold` from a wanted price keeps its place. `spare`: what is wanted only pairs what
    is held, and each order may be larger by so many shares (10⁻⁶) without being more than that.
    """

    orders: tuple[NewOrder, ...] = ()
    cap_up: int = 0
    cap_down: int = 0
    pair_cap: int = 0
    fair_up: int | None = None
    cause: str = "no quote"
    take: NewOrder | None = None
    take_number: int = 0
    hold: int = 0
    spare: int | None = None

    def cap(self, outcome: Outcome) -> int:
        return self.cap_up if outcome is UP else self.cap_down

    def serves(self, tracked: Tracked, wanted: NewOrder) -> bool:
        """Whether an order that rests on the wanted side is within its cap, on the market's grid,
        which may have become coarser since, and about the size. Where it only pairs what is held,
        no share above that: it would turn the position around, and hold up what takes for as long
        as it rests.
        """
        made, left, size = tracked.order, tracked.remaining, wanted.size
        if made.price % wanted.market.tick:
            return False
        if made.side is not wanted.side or made.bid_price > self.cap(made.toward):
            return False
        if self.spare is not None and left > size + self.spare:
            return False
        return size <= 2 * left and 4 * left <= 5 * size

    def wants(self, outcome: Outcome) -> bool:
        """Whether any order of that side should rest."""
        for order in self.orders:  # noqa: SIM110 - as below
            if order.toward is outcome:
                return True
        return False

    def bears(self, order: NewOrder) -> bool:
        """Whether an order that an earlier wish has asked for would not be withdrawn at once. One
        that takes is asked for once, and no later wish says whether it still should be.
        """
        within = order.bid_price <= self.cap(order.toward)
        return order.taking or (within and self.wants(order.toward))

    def pairs_hold(self, outcome: Outcome, price: int, prices: Prices) -> bool:
        """Whether a bid at this price makes no pair with those `prices` that is too dear."""
        most = self.pair_cap - price
        for side, other in prices:  # noqa: SIM110 - asked hundreds of times a second
            if other > most and side is not outcome:
                return False
        return True


def match(
    desired: Desired, resting: Iterable[Tracked], slack: int
) -> tuple[set[str], list[NewOrder]]:
    """Pair what rests with what is wanted: (ids to keep, orders still missing). `slack` in 10⁻⁴:
    how far from its price a wanted order may rest for the sake of its place in the queue.

    Exact matches of both outcomes first: what is kept beside its wanted price is held against
    every price that the other outcome then has, or will have (S24).
    """
    keep: set[str] = set()
    missing: list[NewOrder] = []
    there = [tracked for tracked in resting if tracked.state in _KEPT and not tracked.late]
    for wanted in desired.orders:
        price, toward = wanted.bid_price, wanted.toward
        for tracked in there:
            made = tracked.order
            if made.bid_price != price or made.toward is not toward:
                continue
            if desired.serves(tracked, wanted):
                keep.add(tracked.id)
                there.remove(tracked)
                break
        else:
            missing.append(wanted)
    if missing and there and slack:
        missing = _near(desired, there, missing, slack, keep)
    return keep, missing


class Compared(Struct, frozen=True, eq=False, gc=False):
    """What was found of a wish within these bounds: caps, slacks, and so many changes of the table.
    `asks`: some of ours rest; `certain`: of no order that is open is there anything to find out;
    `at_rest`: what is wanted rests, and nothing else.
    """

    orders: tuple[NewOrder, ...]
    bounds: Bounds
    keep: AbstractSet[str]
    missing: Sequence[NewOrder]
    asks: bool
    certain: bool
    at_rest: bool

    @classmethod
    def of(
        cls, desired: Desired, resting: Collection[Tracked], bounds: Bounds, slack: int
    ) -> Compared:
        keep, missing = match(desired, resting, slack)
        asks, certain = False, True
        for tracked in resting:
            asks |= tracked.order.selling
            certain &= tracked.state in _CERTAIN
        at_rest = certain and not (asks or missing) and len(keep) == len(resting)
        return cls(desired.orders, bounds, keep, missing, asks, certain, at_rest)


def _near(
    desired: Desired, there: list[Tracked], missing: list[NewOrder], slack: int, keep: set[str]
) -> list[NewOrder]:
    """Add to `keep` what stands near enough to a missing order, the best price first; what is
    missing still.
    """
    there.sort(key=lambda tracked: -tracked.order.bid_price)
    prices = [(order.toward, order.bid_price) for order in desired.orders]
    left = []
    for wanted in missing:
        price, toward = wanted.bid_price, wanted.toward
        for tracked in there:
            made = tracked.order
            if made.toward is not toward or abs(made.bid_price - price) > slack:
                continue
            if made.bid_price > price and not desired.pairs_hold(toward, made.bid_price, prices):
                continue
            if desired.serves(tracked, wanted):
                keep.add(tracked.id)
                there.remove(tracked)
                prices.remove((toward, price))
                prices.append((toward, made.bid_price))
                break
        else:
            left.append(wanted)
    return left


def stands(tracked: Tracked) -> bool:
    """Whether an order rests, or is about to, and nobody has asked for its removal."""
    return tracked.state in _KEPT and not tracked.late
