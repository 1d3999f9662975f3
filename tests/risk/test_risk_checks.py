"""Worst losses, the limits on them, and the room that is left."""

from __future__ import annotations

import attrs
import pytest
from hypothesis import given, strategies as st
from risk_kit import FIVE

from polybot.domain.market import Outcome, Side
from polybot.domain.orders import NewOrder
from polybot.domain.units import SHARE, USD, notional
from polybot.risk.checks import (
    Limit,
    Over,
    Standing,
    given_away,
    loss_scale_ppm,
    over_losses,
    within_limits,
)
from polybot.risk.exposure import (
    Elsewhere,
    Exposure,
    OpenBids,
    cluster_of,
    elsewhere,
    inventory_room,
)
from polybot.risk.limits import RiskParams
from polybot.risk.timetable import PPM

UP, DOWN = Outcome.UP, Outcome.DOWN
WIDE = RiskParams(
    max_order_usd=10_000,
    max_order_shares=100_000,
    max_net_shares=100_000,
    max_position_usd_per_token=100_000,
    max_position_usd_per_market=100_000,
    max_total_usd=1_000_000,
)
RICH = Standing(free_cash=10_000 * USD, equity=10_000 * USD)


def dollars(amount: float) -> int:
    return round(amount * USD)


def bid(outcome: Outcome = UP, price: int = 5000, shares: int = 10) -> NewOrder:
    return NewOrder(FIVE, outcome, Side.BUY, price, shares * SHARE)


# --- the worst that can happen --------------------------------------------------------------------

EXAMPLE = Exposure(
    dollars(71), dollars(39.2), 150 * SHARE, 80 * SHARE, OpenBids(dollars(48), dollars(46), 2)
)


def test_the_example_of_the_reference() -> None:
    """C_U = 71, n_U = 150, O_U = 48, C_D = 39.2, n_D = 80, O_D = 46: 78.20 (strategy.md 14)."""
    assert EXAMPLE.worst_loss == dollars(78.2)
    # The other branch of the same example: with nothing bid for Up it is L_U that remains.
    assert attrs.evolve(EXAMPLE, down=300 * SHARE).worst_loss == dollars(6.2)


def test_dollars_at_risk_are_those_of_bids_and_of_all_that_may_come_back() -> None:
    """Each outcome's own, and what was spent on shares of either."""
    held = Exposure(
        1, 20, 300, 300, OpenBids(4_000, 50_000, 2, 7, 7), 600_000, 7 * 10**6, 8 * 10**7
    )

    assert held.of(UP) == 7_604_001
    assert held.of(DOWN) == 80_650_020
    assert held.at_risk == 87_654_021


def test_a_sure_profit_is_no_loss_of_less_than_nothing() -> None:
    """Or another market might lose so much more."""
    assert Exposure(dollars(4), dollars(5), 10 * SHARE, 10 * SHARE).worst_loss == 0


AMOUNTS = st.integers(0, 1_000 * USD)


@st.composite
def exposures(draw: st.DrawFn) -> Exposure:
    bids, asks, costs, shares, back = (draw(st.tuples(AMOUNTS, AMOUNTS)) for _ in range(5))
    orders = OpenBids(*bids, draw(st.integers(0, 8)), *asks)
    return Exposure(*costs, *shares, orders, draw(AMOUNTS), *back)


@given(exposures(), st.floats(0, 1), st.floats(0, 1), st.integers(1, 9_999), st.integers(1, 9_999))
def test_nothing_that_fills_costs_more(
    held: Exposure, up_part: float, down_part: float, up_price: int, down_price: int
) -> None:
    """Whichever part of the open bids fills, at whatever prices, and whoever wins: the loss is not
    above the worst one (strategy.md 14).
    """
    spent_up, spent_down = int(held.bids.up * up_part), int(held.bids.down * down_part)
    up = held.up + spent_up * 10_000 // up_price
    down = held.down + spent_down * 10_000 // down_price
    spent = held.cost + spent_up + spent_down

    assert spent - up <= held.worst_loss + 1
    assert spent - down <= held.worst_loss + 1


@given(exposures(), st.sampled_from(Outcome), AMOUNTS)
def test_a_bid_never_lowers_the_worst_loss(held: Exposure, outcome: Outcome, usd: int) -> None:
    """More resting is never safer: it may fill, or not."""
    after = held.with_bid(outcome, usd)

    assert held.worst_loss <= after.worst_loss <= held.worst_loss + usd
    assert after.at_risk == held.at_risk + usd
    assert after.of(outcome) == held.of(outcome) + usd


@given(exposures(), st.sampled_from(Outcome), st.integers(1, 99), st.integers(5, 300))
def test_an_ask_loses_what_its_twin_loses(
    held: Exposure, outcome: Outcome, cents: int, shares: int
) -> None:
    """Selling Up at p or bidding 1 − p for Down: the worst loss is the same, and only the bid is
    dollars at risk (strategy.md 14).
    """
    size, price = shares * SHARE, cents * 100
    sold = held.with_ask(outcome, given_away(price, size))
    bought = held.with_bid(outcome.other, notional(10_000 - price, size))

    assert sold.worst_loss == bought.worst_loss
    assert sold.at_risk == held.at_risk
    assert sold.of(outcome) == held.of(outcome)
    assert sold.bids.orders == held.bids.orders + 1


@given(exposures(), st.floats(0, 1), st.floats(0, 1), st.integers(1, 9_999), st.integers(1, 9_999))
def test_no_sale_that_fills_costs_more(
    held: Exposure, up_part: float, down_part: float, up_price: int, down_price: int
) -> None:
    """Whichever part of the asks fills, whoever wins: of the winner's shares a dollar less their
    price is gone, of the loser's their price is won.
    """
    given = {True: int(held.bids.sold_up * up_part), False: int(held.bids.sold_down * down_part)}
    prices = {True: up_price, False: down_price}
    brought = {up: given[up] * prices[up] // (10_000 - prices[up]) for up in given}

    for up in (True, False):
        worth = held.up if up else held.down
        lost = held.cost + given[up] - brought[not up] - worth
        assert lost <= held.worst_loss


def test_a_sale_lowers_no_risk_before_it_is_certain() -> None:
    """Twenty Up at 0.60, all sold at 0.70 and not confirmed: should it fail, they are back, and
    Down may win (F31). Confirmed, nothing is at risk.
    """
    held = Exposure(cost_up=12 * USD, up=20 * SHARE)
    matched = Exposure(back_up=12 * USD)

    assert held.worst_loss == matched.worst_loss == 12 * USD
    assert held.at_risk == matched.at_risk == matched.of(UP) == 12 * USD
    assert Exposure().worst_loss == 0


def test_an_ask_needs_no_dollars() -> None:
    """Without cash, and with every limit on dollars passed, it is held to the others alone."""
    held = Exposure(cost_up=dollars(3_000), up=4_000 * SHARE, down=4_000 * SHARE)
    broke = attrs.evolve(RICH, free_cash=0)
    ask = attrs.evolve(bid(UP, 5000, 20), side=Side.SELL)
    params = attrs.evolve(WIDE, max_order_usd=10, max_position_usd_per_market=10, max_total_usd=10)

    assert within_limits(ask, held, 0, broke, params) is None
    assert within_limits(bid(DOWN, 5000, 20), held, 0, broke, params) is Limit.CASH
    tight = attrs.evolve(params, max_net_shares=19)
    assert within_limits(ask, held, 0, broke, tight) is Limit.NET
    full = attrs.evolve(held, bids=OpenBids(orders=params.max_open_orders_per_market))
    assert within_limits(ask, full, 0, broke, params) is Limit.MARKET_ORDERS


@pytest.mark.parametrize(("price", "given"), [(5200, 4_800_000), (5201, 4_799_000), (1, 9_999_000)])
def test_what_an_ask_gives_away(price: int, given: int) -> None:
    """A dollar a share, less its price; rounded up."""
    assert given_away(price, 10 * SHARE) == given
    assert given_away(3333, 1) == 1


def test_money_spent_on_unknown_shares_is_lost_whole() -> None:
    """A trade of which only the amount is known brings no share in the worst case (S7)."""
    assert Exposure(loose=5 * USD).worst_loss == 5 * USD


@pytest.mark.parametrize(
    "field", [field.name for field in attrs.fields(Exposure) if field.name != "bids"]
)
def test_no_exposure_is_negative(field: str) -> None:
    """A negative figure is a bug of the caller, never a smaller risk."""
    with pytest.raises(ValueError, match="negative"):
        Exposure(**{field: -1})  # type: ignore[arg-type]  # all of these are numbers


def test_no_open_bid_is_negative() -> None:
    """The same for open bids."""
    for bad in ((-1, 0, 0), (0, -1, 0), (0, 0, -1), (0, 0, 0, -1), (0, 0, 0, 0, -1)):
        with pytest.raises(ValueError, match="negative"):
            OpenBids(*bad)


# --- all markets together -------------------------------------------------------------------------


def test_clusters_are_assets() -> None:
    """Windows of one asset are one cluster (strategy.md 14)."""
    assert cluster_of("btc-5m") == cluster_of("btc-1h") == "btc"
    assert cluster_of("eth-5m") == "eth"


@given(st.lists(st.tuples(st.sampled_from(["btc", "eth"]), exposures()), max_size=5), AMOUNTS)
def test_others_add_up(others: list[tuple[str, Exposure]], unexplained: int) -> None:
    """Losses, dollars and orders of others are sums; what nobody explains counts everywhere."""
    found = elsewhere(others, "btc", unexplained)

    assert found.total_loss == unexplained + sum(e.worst_loss for _, e in others)
    assert found.at_risk == unexplained + sum(e.at_risk for _, e in others)
    assert found.orders == sum(e.bids.orders for _, e in others)
    ours = sum(e.worst_loss for cluster, e in others if cluster == "btc")
    assert found.cluster_loss == unexplained + ours


# --- limits ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("others", "limit"),
    [
        (Elsewhere(cluster_loss=dollars(1195)), None),
        (Elsewhere(cluster_loss=dollars(1195) + 1), Limit.CLUSTER_LOSS),
        (Elsewhere(total_loss=dollars(3995)), None),
        (Elsewhere(total_loss=dollars(3995) + 1), Limit.TOTAL_LOSS),
    ],
)
def test_twelve_and_forty_percent(others: Elsewhere, limit: Limit | None) -> None:
    """The defaults of strategy.md 14: a cluster 12 % of equity, everything 40 %."""
    standing = attrs.evolve(RICH, others=others)

    assert within_limits(bid(), Exposure(), 0, standing, WIDE) is limit


def test_three_percent_of_one_market() -> None:
    """One market may lose 3 % of equity, near its close a fifth of that (strategy.md 14)."""
    held = Exposure(cost_up=dollars(295))

    assert within_limits(bid(), held, 0, RICH, WIDE) is None
    dearer = attrs.evolve(held, cost_up=dollars(295) + 1)
    assert within_limits(bid(), dearer, 0, RICH, WIDE) is Limit.MARKET_LOSS
    late = Exposure(cost_up=dollars(55))
    assert within_limits(bid(), late, 0, RICH, WIDE, PPM // 5) is None
    late = attrs.evolve(late, cost_up=dollars(55) + 1)
    assert within_limits(bid(), late, 0, RICH, WIDE, PPM // 5) is Limit.MARKET_LOSS


def test_a_passed_limit_lets_us_pair() -> None:
    """With the loss limit passed, what adds to the loss is refused and what pairs is not."""
    held = Exposure(cost_up=dollars(500), up=1_000 * SHARE)

    assert within_limits(bid(UP), held, 0, RICH, WIDE) is Limit.MARKET_LOSS
    assert within_limits(bid(DOWN), held, 0, RICH, WIDE) is None


def test_no_equity_no_bids() -> None:
    """A wallet with nothing, or less, may lose nothing."""
    for equity in (0, -5 * USD):
        standing = attrs.evolve(RICH, equity=equity)
        assert within_limits(bid(), Exposure(), 0, standing, WIDE) is Limit.MARKET_LOSS


@given(exposures(), st.sampled_from(Outcome), st.integers(1, 99), st.integers(5, 300), AMOUNTS)
def test_what_passes_keeps_every_limit(
    held: Exposure, outcome: Outcome, cents: int, shares: int, others: int
) -> None:
    """Whatever is held and bid, an order that passes leaves every limit kept, or the loss no larger
    than it was.
    """
    params = RiskParams(max_net_shares=300)
    standing = Standing(
        2_000 * USD, 2_000 * USD, held, Elsewhere(others, others, others, 3), 10 * USD
    )
    order = bid(outcome, cents * 100, shares)
    if within_limits(order, held, 0, standing, params) is not None:
        return
    after = held.with_bid(outcome, notional(order.price, order.size))
    scale = loss_scale_ppm(standing.day_loss, standing.equity, params)

    assert after.bids.total <= standing.free_cash
    assert after.bids.orders <= params.max_open_orders_per_market
    assert after.at_risk <= params.max_position_usd_per_market * USD
    assert after.at_risk + others <= params.max_total_usd * USD
    toward = held.net if outcome is UP else -held.net
    assert toward + order.size <= params.max_net_shares * SHARE
    grown = after.worst_loss > held.worst_loss
    assert not grown or after.worst_loss * PPM <= 60 * USD * scale
    assert not grown or (after.worst_loss + others) * PPM <= 240 * USD * scale


# --- after losses ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("loss", "part"), [(0, 1.0), (-50, 1.0), (15, 0.625), (30, 0.25), (500, 0.25)]
)
def test_limits_shrink_with_the_days_losses(loss: int, part: float) -> None:
    """In a straight line from all to a quarter at 3 % of the morning's equity; profits do not
    raise them.
    """
    equity = 1_000 * USD - loss * USD

    assert loss_scale_ppm(loss * USD, equity, RiskParams()) == part * PPM


@pytest.mark.parametrize("limit", [Limit.MARKET_LOSS, Limit.CLUSTER_LOSS, Limit.TOTAL_LOSS])
def test_each_limit_on_losses_shrinks_with_the_day(limit: Limit) -> None:
    """At half of the loss that shrinks to a quarter, five eighths are left of each: of the 3, 12
    and 40 percent of what is there now (strategy.md 14).
    """
    percent = {Limit.MARKET_LOSS: 3, Limit.CLUSTER_LOSS: 12, Limit.TOTAL_LOSS: 40}[limit]
    loss, equity = dollars(150), dollars(9_850)
    allowed = equity // 100 * percent * 5 // 8
    room = allowed - dollars(5)  # for a bid of ten shares at half a dollar
    for more, found in ((0, None), (1, limit)):
        others = {
            Limit.MARKET_LOSS: Elsewhere(),
            Limit.CLUSTER_LOSS: Elsewhere(cluster_loss=room + more),
            Limit.TOTAL_LOSS: Elsewhere(total_loss=room + more),
        }[limit]
        held = Exposure(cost_up=room + more) if limit is Limit.MARKET_LOSS else Exposure()
        standing = Standing(dollars(10_000), equity, others=others, day_loss=loss)
        assert within_limits(bid(), held, 0, standing, WIDE) is found


def test_shrinking_can_be_switched_off() -> None:
    """With 100 % left the limits stay as they are."""
    params = RiskParams(shrink_to_percent=100)

    assert loss_scale_ppm(400 * USD, 600 * USD, params) == PPM


# --- the room for inventory -----------------------------------------------------------------------


@given(st.integers(-500, 500), st.integers(0, 300), st.integers(0, 100))
def test_the_room_is_what_fills_may_still_add(net: int, limit: int, same: int) -> None:
    """Filling the room exactly reaches the limit on that side (strategy.md 9)."""
    up = inventory_room(UP, net, limit, same)
    down = inventory_room(DOWN, net, limit, same)

    assert net + same + up == limit
    assert -net + same + down == limit


def test_contradictions_are_refused() -> None:
    """A smaller limit may not lie above a larger one."""
    with pytest.raises(ValueError, match="max_market_loss_percent"):
        RiskParams(max_market_loss_percent=13)
    with pytest.raises(ValueError, match="max_order_usd"):
        RiskParams(max_order_usd=600)


# --- what is held over a limit --------------------------------------------------------------------

LOSING = Exposure(cost_up=dollars(60), up=100 * SHARE)


def held_by(equity: float, *, others: Elsewhere = Elsewhere(), loss: float = 0.0) -> Standing:
    return Standing(0, dollars(equity), LOSING, others, dollars(loss))


def test_a_limit_that_holds_asks_for_nothing() -> None:
    """Three percent of 2,000 dollars are the 60 that may be lost (strategy.md 14): of the 1,940
    that are left by then they are less, and no fill may pass a limit that its order has kept.
    """
    assert over_losses(held_by(1_940), WIDE) is None


def test_what_is_over_the_markets_limit_is_told() -> None:
    """Of 1,500 dollars, 60 of them at risk, three percent are 45: fifteen too many."""
    assert over_losses(held_by(1_440), WIDE) == Over(Limit.MARKET_LOSS, dollars(15))


def test_a_bad_day_shrinks_the_limit_below_what_is_held() -> None:
    """No order of ours was over it when it was placed."""
    scale = loss_scale_ppm(dollars(60), dollars(2_000), WIDE)
    found = over_losses(held_by(1_940, loss=60), WIDE)

    assert scale < PPM
    assert found == Over(Limit.MARKET_LOSS, dollars(60) - dollars(60) * scale // PPM)


def test_markets_of_a_cluster_give_back_in_proportion() -> None:
    """Two markets that may lose 60 and 240 of 2,000: twelve percent are 240, so that 60 are over,
    and the smaller gives back a fifth of them.
    """
    others = Elsewhere(cluster_loss=dollars(240), total_loss=dollars(240))

    assert over_losses(held_by(1_700, others=others), WIDE) == Over(Limit.CLUSTER_LOSS, dollars(12))


@pytest.mark.parametrize(
    ("elsewhere", "over"),
    [(240, Over(Limit.CLUSTER_LOSS, dollars(24))), (130, Over(Limit.MARKET_LOSS, dollars(15)))],
)
def test_of_two_limits_the_one_that_asks_for_most(elsewhere: int, over: Over) -> None:
    """Of 1,500 the market is 15 over its 45; with 240 elsewhere the cluster is 120 over its 180, a
    fifth of them ours, and with 130 it is 10 over, of which ours are three.
    """
    others = Elsewhere(cluster_loss=dollars(elsewhere), total_loss=dollars(elsewhere))

    assert over_losses(held_by(1_440 - elsewhere, others=others), WIDE) == over


def test_who_can_lose_nothing_gives_nothing_back() -> None:
    """However far the others are over their limit."""
    others = Elsewhere(cluster_loss=dollars(900), total_loss=dollars(900))

    assert over_losses(Standing(0, dollars(100), Exposure(), others), WIDE) is None


@given(st.integers(1, 200), st.integers(1, 99), st.integers(100, 5_000))
def test_no_order_leads_over_a_limit_by_its_own_fill(shares: int, cents: int, equity: int) -> None:
    """What the firewall lets pass is over no limit once it is filled and its dollars are gone."""
    order, wallet = bid(UP, 100 * cents, shares), Standing(10**12, dollars(equity))
    if within_limits(order, Exposure(), 0, wallet, WIDE) is None:
        cost = notional(order.price, order.size)
        filled = Standing(0, wallet.equity - cost, Exposure(cost_up=cost, up=order.size))

        assert over_losses(filled, WIDE) is None


@given(exposures(), st.integers(0, 10_000), st.integers(0, 1_000), st.integers(0, 1_000))
def test_no_market_gives_back_more_than_it_may_lose(
    held: Exposure, equity: int, cluster: int, more: int
) -> None:
    """Whatever the others may lose, and however little is left of the equity."""
    others = Elsewhere(cluster_loss=dollars(cluster), total_loss=dollars(cluster + more))
    found = over_losses(Standing(0, dollars(equity), held, others), WIDE)

    assert found is None or 0 < found.dollars <= held.worst_loss
