"""The firewall: the one function every order passes on its way out, whoever asked for it.

It knows limits and the market's terms, not why anybody wants the order. A refusal is a text that is
counted and shown; it never raises, and it never changes the order to fit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Protocol

import attrs

from polybot.domain.market import DOWN, UP, Market, Outcome
from polybot.domain.market_states import Action, MarketState
from polybot.domain.orders import NewOrder
from polybot.domain.units import LOT, ONE, bought, on_grid
from polybot.execution.lifecycle import OPEN
from polybot.risk.breakers import MarketBrakes
from polybot.risk.checks import (
    Limit,
    Standing,
    given_away,
    within_collar,
    within_limits,
    within_size,
)
from polybot.risk.exposure import OpenBids, inventory_room
from polybot.risk.limits import RiskParams
from polybot.risk.timetable import MarketMachine

if TYPE_CHECKING:
    from polybot.execution.tracked import Tracked


class Caps(Protocol):
    """The part of a wish the firewall holds an order against."""

    @property
    def pair_cap(self) -> int: ...
    @property
    def fair_up(self) -> int | None: ...
    def cap(self, outcome: Outcome) -> int: ...


@attrs.define(eq=False)
class Admission:
    """The gate every order of the program passes last. Trouble may pass; a stop is for good."""

    trouble: str | None = None
    stopped: str | None = None

    def set(self, trouble: str | None) -> None:
        self.trouble = trouble

    def stop(self, because: str) -> None:
        self.stopped = self.stopped or because

    @property
    def closed_because(self) -> str | None:
        return self.stopped or self.trouble


_CLOSING = frozenset(
    {
        MarketState.CUTOFF,
        MarketState.FIXING,
        MarketState.ENDED,
        MarketState.RESOLVED,
        MarketState.CLOSED,
    }
)


def open_bids(resting: Iterable[Tracked], sales: Iterable[tuple[NewOrder, int]] = ()) -> OpenBids:
    """What orders that may still match, or may have, may spend or give away, by outcome; how many
    are open. `sales`: shares sold without the ledger yet.
    """
    up = down = count = 0
    sold = {UP: 0, DOWN: 0}
    for tracked in resting:
        order = tracked.order
        count += tracked.state in OPEN
        if order.selling:
            sold[order.outcome] += given_away(order.price, tracked.pledged)
        elif order.outcome is UP:
            up += tracked.reserved
        else:
            down += tracked.reserved
    for order, shares in sales:
        sold[order.outcome] += given_away(order.price, shares)
    return OpenBids(up, down, count, sold[UP], sold[DOWN])


@attrs.define(eq=False)
class Firewall:
    """`heard_tick` is the market's tick as it was heard last: a wish of before its change is
    refused here, not by the venue. None: that of `market`, as where nobody listens.
    """

    market: Market
    limits: RiskParams
    machine: MarketMachine
    admission: Admission
    brakes: MarketBrakes
    heard_tick: Callable[[], int] | None = None

    def check(
        self,
        order: NewOrder,
        wish: Caps,
        resting: Sequence[Tracked],
        standing: Standing,
        now_ms: int,
    ) -> str | None:
        """The reason this order must not leave, or None. `resting`: all that may match or may have
        matched (`OrderTable.possible`); what has matched and is not in the books yet counts with
        them, and never against them: the trade may fail.
        """
        if self.admission.closed_because is not None:
            return f"gate closed: {self.admission.closed_because}"
        same = sum(t.remaining for t in resting if t.order.toward is order.toward)
        same += standing.coming(order.toward)
        return (
            self._shape(order)
            or self._state(order, same, standing, now_ms)
            or self._only_pairs(order, same, standing)
            or self._covered(order, resting, standing)
            or self.brakes.holds(order.toward, now_ms)
            or self._price(order, wish, resting)
            or self._limits(order, same, resting, standing, now_ms)
        )

    def on_grid(self, order: NewOrder) -> bool:
        """Whether the venue takes its price, as far as we have heard."""
        tick = self.market.tick if self.heard_tick is None else self.heard_tick()
        return on_grid(order.price, tick)

    def _shape(self, order: NewOrder) -> str | None:
        if order.market.condition_id != self.market.condition_id:
            return "another market's order"
        if not self.on_grid(order):
            return "off the tick"
        asked = bought(order.price, order.size) if order.taking else order.size
        if asked < self.market.min_size or order.size % LOT:
            return "below the minimum size"
        if order.post_only is order.taking or (order.taking and order.selling):
            return "neither a post-only order nor a buy that takes"
        return None

    def _state(self, order: NewOrder, same: int, standing: Standing, now_ms: int) -> str | None:
        """Hold the order against the market's state, which the clock moves on by itself: a quoter
        that has stalled cannot keep a market open.
        """
        pairing = order.size <= inventory_room(order.toward, standing.held.net, 0, same)
        action = Action.REDUCE if pairing else Action.QUOTE
        action = Action.COMPLETE if order.taking else action
        if self.machine.allows(action, now_ms, halted=False):
            return None
        state = self.machine.state
        return (
            "past the cutoff" if state in _CLOSING else f"{action.value}: not while {state.value}"
        )

    @staticmethod
    def _only_pairs(order: NewOrder, same: int, standing: Standing) -> str | None:
        """With all that may still fill, what takes must not turn the position around."""
        room = inventory_room(order.toward, standing.held.net, 0, same)
        return "takes more than is missing" if order.taking and order.size > room else None

    @staticmethod
    def _covered(order: NewOrder, resting: Sequence[Tracked], standing: Standing) -> str | None:
        """Never a naked sale: with all that our other asks may still sell of it, there are
        confirmed shares for every one (S8).
        """
        if not order.selling:
            return None
        pledged = sum(t.pledged for t in resting if t.order.outcome is order.outcome)
        covered = order.size + pledged <= standing.sellable(order.outcome)
        return None if covered else Limit.SHARES.value

    def _price(self, order: NewOrder, wish: Caps, resting: Sequence[Tracked]) -> str | None:
        """As a bid, every order keeps to its cap, and with every other to a pair's (S24): an ask
        and a bid on one token are a pair that adds up to a dollar where they cross. What is gone,
        as far as can be told, is no reason not to follow the price: it counts by its amount alone.
        """
        if order.bid_price > wish.cap(order.toward) and not order.taking:
            return "above its cap"
        outside = within_collar(order, wish.fair_up, self.limits)
        if outside is not None:
            return outside.value
        for other in resting:
            if other.state in OPEN and other.order.toward is not order.toward:
                total = other.order.bid_price + order.bid_price
                if total >= ONE or (total > wish.pair_cap and not order.taking):
                    return "pair with a resting order too dear"
        return None

    def _limits(
        self,
        order: NewOrder,
        same: int,
        resting: Sequence[Tracked],
        standing: Standing,
        now_ms: int,
    ) -> str | None:
        before = standing.held.with_bids(open_bids(resting))
        ratchet = self.machine.table.ratchet_ppm(now_ms)
        broken = within_size(order, self.limits) or within_limits(
            order, before, same, standing, self.limits, ratchet
        )
        return broken.value if broken is not None else None
