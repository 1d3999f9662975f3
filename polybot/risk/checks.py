"""Whether one more order is inside the limits. Pure: the firewall asks for every order.

Money 10⁻⁶ dollars, sizes 10⁻⁶ shares, prices 10⁻⁴. A loss limit refuses only what makes the loss
larger: with a limit passed – it may have shrunk meanwhile – pairing what is held must stay allowed,
or the limit would hold us in the position that it is there to prevent.
"""

from __future__ import annotations

import enum

import attrs

from polybot.domain.market import UP, Outcome, most_spent
from polybot.domain.orders import NewOrder
from polybot.domain.units import ONE, SHARE, USD, notional
from polybot.risk.exposure import Elsewhere, Exposure, inventory_room
from polybot.risk.limits import RiskParams
from polybot.risk.timetable import PPM


class Limit(enum.Enum):
    """Which limit refuses an order; the value is what is counted and shown."""

    ORDER_SHARES = "above the largest order"
    ORDER_USD = "above the largest order value"
    NO_FAIR = "no fair price"
    COLLAR = "outside the price collar"
    MARKET_ORDERS = "too many open orders"
    ALL_ORDERS = "too many open orders over all markets"
    CASH = "not enough free cash"
    SHARES = "more than may be sold of it"
    NET = "net share limit"
    OUTCOME = "token limit"
    MARKET = "market limit"
    TOTAL = "total limit"
    MARKET_LOSS = "market loss limit"
    CLUSTER_LOSS = "cluster loss limit"
    TOTAL_LOSS = "total loss limit"


@attrs.frozen
class Standing:
    """Where the wallet stands as an order leaves.

    `free_cash` is net of what other markets' open orders may still spend; `held` is this market
    without its open orders, which the desk knows best; `day_loss` is what has been lost since the
    day began, 0 or more. `sellable_*`: confirmed shares of this market that its asks may offer,
    those that merges claim and orders no desk counts taken off. `coming_*`: shares that are matched
    toward an outcome and not in `held` yet, or that orders no desk counts may still bring.
    """

    free_cash: int
    equity: int
    held: Exposure = Exposure()
    others: Elsewhere = Elsewhere()
    day_loss: int = 0
    sellable_up: int = 0
    sellable_down: int = 0
    coming_up: int = 0
    coming_down: int = 0

    def sellable(self, outcome: Outcome) -> int:
        return self.sellable_up if outcome is UP else self.sellable_down

    def coming(self, outcome: Outcome) -> int:
        return self.coming_up if outcome is UP else self.coming_down


def loss_scale_ppm(day_loss: int, equity: int, params: RiskParams) -> int:
    """What is left of the loss limits after today's losses: all of it without any, falling in a
    straight line to `shrink_to_percent` at `shrink_at_loss_percent` of the equity of the morning.

    Profits do not raise it: a lucky day is no reason to risk more (strategy.md 10, ruin).
    """
    least = params.shrink_to_percent * PPM // 100
    worst = (equity + day_loss) * params.shrink_at_loss_percent // 100
    if day_loss <= 0:
        return PPM
    if day_loss >= worst:
        return least
    return PPM - (PPM - least) * day_loss // worst


def within_size(order: NewOrder, limits: RiskParams) -> Limit | None:
    """The limits of a single order, whatever else rests."""
    if order.size > limits.max_order_shares * SHARE:
        return Limit.ORDER_SHARES
    if notional(order.price, order.size) > limits.max_order_usd * USD:
        return Limit.ORDER_USD
    return None


def within_collar(order: NewOrder, fair_up: int | None, limits: RiskParams) -> Limit | None:
    """A bid far above the fair price is a mistake, whoever made it, and so is an ask far below it;
    `fair_up` in 10⁻⁴.
    """
    if fair_up is None:
        return Limit.NO_FAIR
    fair = fair_up if order.toward is UP else ONE - fair_up
    return Limit.COLLAR if order.bid_price > fair + limits.price_collar * ONE else None


def given_away(price: int, shares: int) -> int:
    """What asks for so many shares at `price` forgo if these win: a dollar each, less the price.
    Rounded up.
    """
    return shares - notional(price, shares)


def within_limits(
    order: NewOrder,
    before: Exposure,
    open_same: int,
    standing: Standing,
    limits: RiskParams,
    ratchet_ppm: int = PPM,
) -> Limit | None:
    """The first limit that the order would break, or None.

    `before` is this market with its open orders; `open_same` the shares of them that move the
    position the order's way, those being cancelled included: they can still fill beside their
    replacement. What an ask may offer is the firewall's to know.
    """
    if before.bids.orders >= limits.max_open_orders_per_market:
        return Limit.MARKET_ORDERS
    if before.bids.orders + standing.others.orders >= limits.max_open_orders:
        return Limit.ALL_ORDERS
    room = inventory_room(order.toward, before.net, limits.max_net_shares * SHARE, open_same)
    if order.size > room:
        return Limit.NET
    if order.selling:
        after = before.with_ask(order.outcome, given_away(order.price, order.size))
    else:
        after = before.with_bid(order.outcome, _most_paid(order))
        if (limit := within_dollars(order.outcome, after, standing, limits)) is not None:
            return limit
    if after.worst_loss > before.worst_loss:
        return _within_losses(after.worst_loss, standing, limits, ratchet_ppm)
    return None


def _most_paid(order: NewOrder) -> int:
    cost = notional(order.price, order.size)
    return most_spent(order.market.fees, cost) if order.taking else cost


def within_dollars(
    outcome: Outcome, after: Exposure, standing: Standing, limits: RiskParams
) -> Limit | None:
    """What only a bid needs: cash, and room under the limits on dollars at risk."""
    if after.bids.total > standing.free_cash:
        return Limit.CASH
    if after.of(outcome) > limits.max_position_usd_per_token * USD:
        return Limit.OUTCOME
    if after.at_risk > limits.max_position_usd_per_market * USD:
        return Limit.MARKET
    if after.at_risk + standing.others.at_risk > limits.max_total_usd * USD:
        return Limit.TOTAL
    return None


def _within_losses(
    loss: int, standing: Standing, limits: RiskParams, ratchet_ppm: int
) -> Limit | None:
    """Worst losses against their part of the equity, less after a bad day, and for this market less
    near its close (strategy.md 14).
    """
    for limit, elsewhere, most in _loss_limits(standing, limits, ratchet_ppm):
        if loss + elsewhere > most:
            return limit
    return None


def _loss_limits(
    standing: Standing, limits: RiskParams, ratchet_ppm: int = PPM
) -> tuple[tuple[Limit, int, int], ...]:
    """Each limit on losses: which, what other markets may lose of it, and how much it allows."""
    percent, others = max(0, standing.equity) // 100, standing.others
    scale = loss_scale_ppm(standing.day_loss, standing.equity, limits)
    market = limits.max_market_loss_percent * percent * scale // PPM * ratchet_ppm // PPM
    cluster = limits.max_cluster_loss_percent * percent * scale // PPM
    total = limits.max_total_loss_percent * percent * scale // PPM
    return (
        (Limit.MARKET_LOSS, 0, market),
        (Limit.CLUSTER_LOSS, others.cluster_loss, cluster),
        (Limit.TOTAL_LOSS, others.total_loss, total),
    )


@attrs.frozen
class Over:
    """A limit on losses that is passed by what is held, and this market's part of the excess, 10⁻⁶
    dollars.
    """

    limit: Limit
    dollars: int


def over_losses(standing: Standing, limits: RiskParams) -> Over | None:
    """By how much what is held in this market, without any order that is open, may lose more than
    is allowed; the limit that asks for most. None where all hold.

    No order of ours leads there, but a limit may shrink after a bad day, equity may fall, and an
    earlier run may have had others. What markets are over together each of them gives back in
    proportion to what it may lose. The ratchet near the close asks for no sale: it is there to stop
    what would be added, and what is unpaired by then completion takes anyway.

    An equity in which all that may be lost is lost already is less than that of the day on which it
    was risked, and a limit just kept would be passed by its own fill: what may be lost is added.
    """
    loss, found = standing.held.worst_loss, None
    before = standing.equity + loss + standing.others.total_loss
    for limit, elsewhere, most in _loss_limits(attrs.evolve(standing, equity=before), limits):
        excess = loss + elsewhere - most
        if loss > 0 and excess > 0:
            part = excess * loss // (loss + elsewhere)
            if found is None or part > found.dollars:
                found = Over(limit, part)
    return found
