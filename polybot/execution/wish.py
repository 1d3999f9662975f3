"""What should rest in one market, and which of the orders that rest do for it. Pure.

An ask is judged as the bid that has its place in the book (`NewOrder.toward`, `bid_price`). Still
the one does not serve where the other is wanted: they bind different things, shares or dollars, and
the quoter has had its reason to change over.
"""

from __future__ import annotations

from collections.abc import Iterable

import attrs

from polybot.domain.market import Outcome
from polybot.domain.orders import NewOrder
from polybot.execution.lifecycle import State
from polybot.execution.table import Tracked

_KEPT = (State.IN_FLIGHT, State.LIVE, State.DELAYED)


@attrs.frozen
class Desired:
    """What should rest now: orders by the outcome they move us toward, best first, and the price
    each outcome may cost at most.

    `take` is bought now or never, once for each `take_number`: wanting it still is a new wish.
    An empty `orders` means: nothing should rest. Caps and `pair_cap` in 10⁻⁴.
    """

    orders: tuple[NewOrder, ...] = ()
    cap_up: int = 0
    cap_down: int = 0
    pair_cap: int = 0
    fair_up: int | None = None
    cause: str = "no quote"
    take: NewOrder | None = None
    take_number: int = 0

    def cap(self, outcome: Outcome) -> int:
        return self.cap_up if outcome is Outcome.UP else self.cap_down

    def serves(self, tracked: Tracked, wanted: NewOrder, slack: int) -> bool:
        """Whether a resting order does for a wanted one: near enough, within its cap, about its
        size.
        """
        price = tracked.order.bid_price
        if tracked.order.side is not wanted.side:
            return False
        if abs(price - wanted.bid_price) > slack or price > self.cap(wanted.toward):
            return False
        if slack and price > wanted.bid_price and not self._pairs_hold(wanted.toward, price):
            return False
        return wanted.size <= 2 * tracked.remaining and 4 * tracked.remaining <= 5 * wanted.size

    def _pairs_hold(self, outcome: Outcome, price: int) -> bool:
        others = [o.bid_price for o in self.orders if o.toward is not outcome]
        return all(price + other <= self.pair_cap for other in others)


def match(
    desired: Desired, resting: Iterable[Tracked], slack: int
) -> tuple[set[str], list[NewOrder]]:
    """Pair what rests with what is wanted: (ids to keep, orders still missing). `slack` in 10⁻⁴:
    how far from its price a wanted order may rest for the sake of its place in the queue.
    """
    keep: set[str] = set()
    missing: list[NewOrder] = []
    standing = [tracked for tracked in resting if stands(tracked)]
    for outcome in Outcome:
        there = [t for t in standing if t.order.toward is outcome]
        there.sort(key=lambda t: -t.order.bid_price)
        wanted = [o for o in desired.orders if o.toward is outcome]
        for reach in (0, slack):
            for order in list(wanted):
                found = next((t for t in there if desired.serves(t, order, reach)), None)
                if found is not None:
                    keep.add(found.id)
                    there.remove(found)
                    wanted.remove(order)
        missing += wanted
    return keep, missing


def stands(tracked: Tracked) -> bool:
    """Whether an order rests, or is about to, and nobody has asked for its removal."""
    return tracked.state in _KEPT and not tracked.late
