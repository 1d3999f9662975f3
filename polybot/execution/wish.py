"""What should rest in one market, and which of the orders that rest do for it. Pure.

An ask is judged as the bid that has its place in the book (`NewOrder.toward`, `bid_price`). Still
the one does not serve where the other is wanted: they bind different things, shares or dollars, and
the quoter has had its reason to change over.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import attrs

from polybot.domain.market import Outcome
from polybot.domain.orders import NewOrder
from polybot.execution.lifecycle import State
from polybot.execution.table import Tracked

Prices = Sequence[tuple[Outcome, int]]  # as bids

_KEPT = (State.IN_FLIGHT, State.LIVE, State.DELAYED)


@attrs.frozen
class Desired:
    """What should rest now: orders by the outcome they move us toward, best first, and the price
    each outcome may cost at most.

    `take` is bought now or never, once for each `take_number`: wanting it still is a new wish.
    An empty `orders` means: nothing should rest. Caps, `pair_cap` and `hold` in 10⁻⁴; an order no
    further than `hold` from a wanted price keeps its place.
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

    def cap(self, outcome: Outcome) -> int:
        return self.cap_up if outcome is Outcome.UP else self.cap_down

    def serves(self, tracked: Tracked, wanted: NewOrder, slack: int, prices: Prices) -> bool:
        """Whether a resting order does for a wanted one: near enough, within its cap, about its
        size. `prices` are those that will rest if nothing else changes.
        """
        made, price, outcome = tracked.order, tracked.order.bid_price, tracked.order.toward
        if outcome is not wanted.toward or made.side is not wanted.side:
            return False
        if abs(price - wanted.bid_price) > slack or price > self.cap(outcome):
            return False
        if price > wanted.bid_price and not self.pairs_hold(outcome, price, prices):
            return False
        return wanted.size <= 2 * tracked.remaining and 4 * tracked.remaining <= 5 * wanted.size

    def pairs_hold(self, outcome: Outcome, price: int, prices: Prices) -> bool:
        """Whether a bid at this price makes no pair with those `prices` that is too dear."""
        return all(price + other <= self.pair_cap for side, other in prices if side is not outcome)


def match(
    desired: Desired, resting: Iterable[Tracked], slack: int
) -> tuple[set[str], list[NewOrder]]:
    """Pair what rests with what is wanted: (ids to keep, orders still missing). `slack` in 10⁻⁴:
    how far from its price a wanted order may rest for the sake of its place in the queue.

    Exact matches of both outcomes first: what is kept beside its wanted price is held against
    every price that the other outcome then has, or will have (S24).
    """
    keep: set[str] = set()
    there = sorted(filter(stands, resting), key=lambda t: -t.order.bid_price)
    missing = list(desired.orders)
    prices = [(order.toward, order.bid_price) for order in missing]
    for reach in (0, slack):
        for order in list(missing):
            found = next((t for t in there if desired.serves(t, order, reach, prices)), None)
            if found is not None:
                keep.add(found.id)
                there.remove(found)
                missing.remove(order)
                prices.remove((order.toward, order.bid_price))
                prices.append((order.toward, found.order.bid_price))
    return keep, missing


def stands(tracked: Tracked) -> bool:
    """Whether an order rests, or is about to, and nobody has asked for its removal."""
    return tracked.state in _KEPT and not tracked.late
