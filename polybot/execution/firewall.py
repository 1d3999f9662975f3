"""The firewall: the one function every order passes on its way out, whoever asked for it.

It knows limits and the market's terms, not why anybody wants the order. A refusal is a text that is
counted and shown; it never raises, and it never changes the order to fit.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

import attrs

from polybot.domain.market import Market, Outcome, Side, most_spent
from polybot.domain.orders import NewOrder
from polybot.domain.units import LOT, ONE, SHARE, USD, notional, on_grid
from polybot.risk.limits import RiskParams

if TYPE_CHECKING:
    from polybot.execution.table import Tracked


class Caps(Protocol):
    """The part of a wish the firewall holds an order against."""

    @property
    def pair_cap(self) -> int: ...
    @property
    def net_cap(self) -> int: ...
    @property
    def fair_up(self) -> int | None: ...
    def cap(self, outcome: Outcome) -> int: ...


@attrs.frozen
class Standing:
    """Where the wallet stands as the order leaves, in 10⁻⁶ dollars."""

    free_cash: int  # net of what other markets' open orders may still spend
    position_cost: int  # what this market's holdings cost
    others_at_risk: int  # holdings' cost and open orders of all other markets
    net: int = 0  # shares Up less shares Down in this market


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


@attrs.define(eq=False)
class Firewall:
    market: Market
    limits: RiskParams
    cutoff_ms: int
    admission: Admission

    def check(
        self,
        order: NewOrder,
        wish: Caps,
        resting: Sequence[Tracked],
        standing: Standing,
        now_ms: int,
    ) -> str | None:
        """The reason this order must not leave, or None."""
        if self.admission.closed_because is not None:
            return f"gate closed: {self.admission.closed_because}"
        return (
            self._shape(order, now_ms)
            or self._price(order, wish, resting)
            or self._exposure(order, resting, standing)
            or self._net(order, wish, resting, standing)
        )

    def _shape(self, order: NewOrder, now_ms: int) -> str | None:
        if order.market.condition_id != self.market.condition_id:
            return "another market's order"
        if now_ms >= self.cutoff_ms:
            return "past the cutoff"
        if not on_grid(order.price, self.market.tick):
            return "off the tick"
        if order.size < self.market.min_size or order.size % LOT:
            return "below the minimum size"
        if order.size > self.limits.max_order_shares * SHARE:
            return "above the largest order"
        if notional(order.price, order.size) > self.limits.max_order_usd * USD:
            return "above the largest order value"
        if order.side is not Side.BUY or order.post_only is order.taking:
            return "neither a post-only bid nor one that takes"
        return None

    def _price(self, order: NewOrder, wish: Caps, resting: Sequence[Tracked]) -> str | None:
        if order.price > wish.cap(order.outcome) and not order.taking:
            return "above its cap"
        if wish.fair_up is None:
            return "no fair price"
        fair = wish.fair_up if order.outcome is Outcome.UP else ONE - wish.fair_up
        if order.price > fair + self.limits.price_collar * ONE:
            return "outside the price collar"
        for other in resting:
            if other.order.outcome is not order.outcome:
                total = other.order.price + order.price
                if total >= ONE or (total > wish.pair_cap and not order.taking):
                    return "pair with a resting order too dear"
        return None

    def _exposure(
        self, order: NewOrder, resting: Sequence[Tracked], standing: Standing
    ) -> str | None:
        cost = notional(order.price, order.size)
        if order.taking:
            cost = most_spent(self.market.fees, cost)
        reserved = sum(t.reserved for t in resting)
        if len(resting) >= self.limits.max_open_orders_per_market:
            return "too many open orders"
        if cost + reserved > standing.free_cash:
            return "not enough free cash"
        limits = self.limits
        here = cost + reserved + standing.position_cost
        if here > limits.max_position_usd_per_market * USD:
            return "market limit"
        if here + standing.others_at_risk > limits.max_total_usd * USD:
            return "total limit"
        return None

    @staticmethod
    def _net(
        order: NewOrder, wish: Caps, resting: Sequence[Tracked], standing: Standing
    ) -> str | None:
        """Counts what is being cancelled too: it can still fill beside its replacement. What takes
        may only pair: with all that may still fill it must not turn the position around.
        """
        toward = standing.net if order.outcome is Outcome.UP else -standing.net
        same = sum(t.remaining for t in resting if t.order.outcome is order.outcome)
        if order.taking and toward + same + order.size > 0:
            return "takes more than is missing"
        if toward + same + order.size > wish.net_cap:
            return "net share limit"
        return None
