"""Liquidity rewards and rebates: what they may change about a quote, and what never."""

from __future__ import annotations

import attrs
import pytest
from hypothesis import given, settings, strategies as st
from msgspec.structs import replace
from test_quoting_decide import DOWN, PARAMS, SHARES, TWAP, UP, any_inputs, book, fair, inputs, whys

from polybot.domain.market import FeeSchedule, RewardPool
from polybot.quoting.decide import decide
from polybot.quoting.model import BookView, Decision, QuoteInputs, Terms
from polybot.quoting.params import QuoteParams, RewardParams
from polybot.quoting.reasons import NoReward, Reason, Why
from polybot.quoting.reservation import block_value, reservation_up, value
from polybot.quoting.rewards import judge, midpoint2, score
from polybot.signal.advice import Advice

POOL = RewardPool(per_day=1_000 * SHARES, min_size=50 * SHARES, max_spread=450)
RICH = attrs.evolve(POOL, per_day=1_000_000 * SHARES)
ON = RewardParams()
CALM = QuoteParams(levels=2, kappa=0.0, sigma_error=0.0)


def pooled(of: QuoteInputs, pool: RewardPool = RICH) -> QuoteInputs:
    return replace(of, market=attrs.evolve(of.market, rewards=pool))


SEEN = pooled(inputs(book(5400, 5600), limit=200 * SHARES))


def rewarded(of: QuoteInputs = SEEN, params: QuoteParams = CALM) -> Decision:
    return decide(of, params, None, ON)


# --- rewards -------------------------------------------------------------------------------


def test_scores_of_the_reference() -> None:
    """v = 3: 100 shares at 1 c and 200 at 2 c are 66.7, 100 at 1.5 c are 25 (strategy.md 8.3);
    nothing below the least size, on the edge or beyond it.
    """
    pool = RewardPool(1, 50 * SHARES, 300)

    assert score(200, 100 * SHARES, pool) + score(400, 200 * SHARES, pool) == pytest.approx(200 / 3)
    assert score(300, 100 * SHARES, pool) == pytest.approx(25)
    assert score(200, 49 * SHARES, pool) == score(600, 100 * SHARES, pool) == 0


def test_the_midpoint_is_cut_by_size() -> None:
    """Levels below the least size do not count, ours do (clob.md 6.3)."""
    seen = BookView(
        ((5500, 10 * SHARES), (5400, 50 * SHARES)), ((5600, 49 * SHARES), (5800, 80 * SHARES))
    )

    assert midpoint2(seen, POOL) == 5400 + 5800
    assert midpoint2(BookView(seen.bids, ()), POOL) is None
    assert midpoint2(BookView((), seen.asks), POOL) is None
    assert midpoint2(BookView(seen.bids, ((5600, 50 * SHARES),)), POOL) == 5400 + 5600


def test_a_pool_that_pays_raises_both_first_bids() -> None:
    """Two sides, the least size each, deeper bids as ever, and what it should bring told."""
    found = rewarded()

    assert [(q.outcome, q.level, q.size // SHARES) for q in found.quotes] == [
        (UP, 0, 50), (UP, 1, 10), (DOWN, 0, 50), (DOWN, 1, 10)
    ]  # fmt: skip
    assert found.rewards is not None
    assert found.rewards.reward > found.rewards.cost >= 0


def test_without_a_pool_or_switched_off_nothing_changes() -> None:
    """Only the metadata's pool turns it on, and the operator may turn it off (`[rewards]`)."""
    plain = replace(SEEN, market=TWAP)
    usual = decide(plain, CALM)

    assert decide(plain, CALM, None, ON) == usual
    assert decide(SEEN, CALM, None, RewardParams(enabled=False)) == usual
    assert decide(SEEN, CALM) == usual


FAR = pooled(inputs(book(4500, 6500), limit=200 * SHARES))
SMALL = pooled(inputs(book(5400, 5600, 40 * SHARES), limit=200 * SHARES))


@pytest.mark.parametrize(
    ("seen", "why"),
    [
        (FAR, NoReward.TOO_FAR),
        (SMALL, NoReward.NO_MIDPOINT),
        (replace(SEEN, net_limit=49 * SHARES), NoReward.NO_ROOM),
        (replace(SEEN, reward_refused=True), NoReward.REFUSED),
        (replace(SEEN, advice=Advice(shrinks=(("regime", 0.5),))), NoReward.UNSURE),
        (replace(SEEN, advice=Advice(smallest=True)), NoReward.UNSURE),
        (replace(SEEN, down=None), NoReward.WITHHELD),
        (replace(SEEN, scoring=0.0), NoReward.DEAR),
        (pooled(SEEN, attrs.evolve(RICH, per_day=1)), NoReward.DEAR),
    ],
)
def test_each_obstacle_has_its_reason(seen: QuoteInputs, why: NoReward) -> None:
    """Not quoted for rewards is said, and the quotes are those of a market without a pool."""
    found = rewarded(seen)
    usual = decide(seen, CALM)

    assert why in whys(found)
    assert found.rewards is None
    assert found.quotes == usual.quotes


def test_only_while_it_brings_more_than_it_costs() -> None:
    """A block of fifty is worth less than its first share: the loss is set against the pool, and
    the figures of both are told (issue D 6).
    """
    poor = pooled(SEEN, attrs.evolve(POOL, per_day=2 * SHARES))
    found = rewarded(poor)

    said = next(reason for reason in found.reasons if reason.why is NoReward.DEAR)
    figures = dict(said.figures)
    assert 0 < float(figures["brings_an_hour"]) < float(figures["costs"])
    assert rewarded(pooled(SEEN)).rewards is not None


def test_what_a_pool_brings_and_costs_is_reckoned_by_hand() -> None:
    """A book that is not its own mirror, ours in it, a price that is no half, and more held of one
    outcome: each side by its own distance, its own orders and its own worth.

    The midpoint is 0.54. Ours score (1 - 1/4.5)²·50 for Up at 0.53, (1 - 1.5/4.5)²·50 for Down
    at 0.475; of the others' 100 Up at 0.53 thirty are ours, as are twenty of the 80 at 0.55.
    """
    seen = BookView(
        ((5300, 100 * SHARES), (5100, 60 * SHARES)), ((5500, 80 * SHARES), (5900, 200 * SHARES))
    )
    own = {(UP, 5300): 30 * SHARES, (DOWN, 4500): 20 * SHARES}
    of = replace(pooled(inputs(seen, own=own, held_up=20 * SHARES)), scoring=0.5, rewarded=True)
    rewards = RewardParams(fill_s=60.0, counts=0.25)
    prices = {UP: 5300, DOWN: 4750}
    found = judge(of, prices, 0.52, 0.01, attrs.evolve(CALM, gamma_per_share=0.002), rewards)

    near, far = (1 - 1 / 4.5) ** 2, (1 - 3 / 4.5) ** 2
    ours, theirs = (1 - 1.5 / 4.5) ** 2 * 50, (near * 70 + far * 60 + near * 60) / 2
    brings = 1_000_000 / 86_400 * ours / (ours + theirs) * 0.5
    losses = [
        max(0.0, price - (block_value(q, 0.002, net, 50) - 0.01)) * 50
        for price, q, net in ((0.53, 0.52, 20), (0.475, 0.48, -20))
    ]
    assert isinstance(found, Terms)
    assert found.reward == pytest.approx(brings * 3600)
    assert min(losses) > 0
    assert found.cost == pytest.approx(sum(losses) * 60)
    assert found.credit == pytest.approx(0.25 * brings * 60 / 100)


def test_an_edge_or_a_side_too_far_is_told() -> None:
    """On the widest spread is beyond it, seen from either side."""
    for prices, outcome in (({UP: 5050, DOWN: 4400}, UP), ({UP: 5400, DOWN: 4050}, DOWN)):
        found = judge(SEEN, prices, 0.55, 0.01, CALM, ON)
        assert isinstance(found, Reason)
        assert (found.why, found.outcome) == (NoReward.TOO_FAR, outcome)
        assert found.figures == (("away", 0.045),)


def test_to_begin_it_must_bring_twice_what_it_costs() -> None:
    """Where both are near each other sizes do not go to and fro (strategy.md 6.2, 6)."""

    def judged(dollars: int, *, already: bool) -> bool:
        seen = pooled(SEEN, attrs.evolve(POOL, per_day=dollars * SHARES))
        return rewarded(replace(seen, rewarded=already)).rewards is not None

    goes_on = [judged(2**n, already=True) for n in range(20)]
    begins = [judged(2**n, already=False) for n in range(20)]
    assert goes_on == sorted(goes_on)
    assert begins[0] is goes_on[0] is False
    assert begins == [False, *goes_on[:-1]], "a pool twice as large"


def test_an_order_that_does_not_score_is_told() -> None:
    """What the venue answers to /orders-scoring becomes a reason of its side (clob.md 5.1)."""
    found = rewarded(replace(SEEN, unscored=(DOWN,)))

    assert [(r.why, r.outcome) for r in found.reasons] == [(NoReward.NOT_SCORING, DOWN)]


def test_past_the_stop_there_are_no_rewards() -> None:
    """The light side pairs what is held, whatever a pool pays."""
    late = pooled(inputs(at_s=200, held_up=30 * SHARES))

    assert rewarded(late).quotes == decide(late, CALM).quotes
    assert rewarded(late).rewards is None


@given(st.floats(0.01, 0.99), st.floats(1e-6, 0.05), st.floats(-300, 300), st.floats(1, 200))
def test_a_block_is_worth_less_than_its_first_share_and_more_than_its_last(
    q: float, gamma: float, net: float, shares: float
) -> None:
    """[CE(I + n) − CE(I)] / n lies between the marginal prices of both ends (strategy.md 5.1)."""
    found = block_value(q, gamma, net, shares)

    assert reservation_up(q, gamma, net + shares) - 1e-6 <= found
    assert found <= reservation_up(q, gamma, net) + 1e-6


def test_block_price_of_the_reference() -> None:
    """q = 0.5, I = 0, n = 50, γ = 0.002: bid 0.4875 (strategy.md 5.1)."""
    assert block_value(0.5, 0.002, 0, 50) == pytest.approx(0.4875, abs=1e-4)
    assert block_value(0.6, 1e-6, 1e6, 1e-6) == pytest.approx(reservation_up(0.6, 1e-6, 1e6))
    assert block_value(0.5, 0.1, -1e6, 50) == pytest.approx(1)
    assert block_value(0.5, 0.1, 1e6, 50) == pytest.approx(0)


# --- no more than half of either ------------------------------------------------------------


FEES = st.builds(
    FeeSchedule, st.integers(0, 300_000), st.sampled_from([1, 2]), st.integers(0, 1_000_000)
)


@given(any_inputs(), PARAMS, FEES, st.floats(0, 0.5))
def test_a_rebate_never_pays_for_more_than_half_of_itself(
    seen: QuoteInputs, params: QuoteParams, fees: FeeSchedule, counts: float
) -> None:
    """A bid that loses without its rebate loses at most half of what the rebate brings at its own
    price, whatever the schedule (strategy.md 8.2).
    """
    params = attrs.evolve(params, rebate_counts=counts)
    seen = replace(seen, market=attrs.evolve(TWAP, fees=fees))
    found = decide(seen, params)

    assert found.reservation_up is not None
    assert found.edge is not None
    for quote in found.quotes:
        p = quote.price / 10_000
        worth = found.reservation_up if quote.outcome is UP else 1 - found.reservation_up
        brings = fees.rate_ppm * fees.rebate_ppm / 1e12 * (p * (1 - p)) ** fees.exponent
        assert worth - found.edge - p >= -brings / 2 - 1e-9


@given(st.floats(0.01, 0.99), st.floats(-100, 100), st.floats(0, 0.1), FEES, st.floats(0, 0.05))
def test_a_higher_price_is_never_worth_less_for_its_rebate(
    q: float, net: float, edge: float, fees: FeeSchedule, more: float
) -> None:
    """Caps stay monotone in the fair price: the rebate's curve is flatter than the price."""
    low = value(q, net, edge, 0.0, CALM, fees)
    high = value(min(q + more, 0.995), net, edge, 0.0, CALM, fees)

    assert low.cap_up <= high.cap_up + 1e-12
    assert low.cap_down >= high.cap_down - 1e-12


def test_the_rebate_of_the_reference() -> None:
    """At 0.50 a fill brings 0.35 c back, and half of it betters the cap (strategy.md 8.2)."""
    fees = FeeSchedule(70_000, 1, 200_000)

    with_it = value(0.52, 0.0, 0.02, 0.0, CALM, fees).cap_up
    assert with_it - value(0.52, 0.0, 0.02, 0.0, CALM).cap_up == pytest.approx(0.00175, abs=1e-6)
    assert value(0.52, 0.0, 0.02, 0.0, attrs.evolve(CALM, rebate_counts=0.0), fees).cap_up == 0.5


POOLS = st.builds(
    RewardPool,
    st.integers(1, 10**6).map(lambda dollars: dollars * SHARES),
    st.integers(5, 200).map(lambda shares: shares * SHARES),
    st.integers(100, 1000),
)


@st.composite
def calm_inputs(draw: st.DrawFn) -> QuoteInputs:
    """A sure model over a tight book: what a pool is quoted for, most of the time."""
    mid = draw(st.integers(15, 85)) * 100
    width, size = draw(st.integers(1, 3)) * 100, draw(st.integers(5, 400)) * SHARES
    return inputs(
        book(mid - width, mid + width, size),
        at_s=draw(st.floats(0, 80)),
        q=fair(mid / 10_000 + draw(st.floats(-0.02, 0.02)), v=draw(st.floats(0, 0.02))),
        held_up=draw(st.integers(0, 60)) * SHARES,
        held_down=draw(st.integers(0, 60)) * SHARES,
        limit=draw(st.integers(100, 1000)) * SHARES,
    )


@settings(max_examples=300)
@given(calm_inputs() | any_inputs(), PARAMS, POOLS, st.floats(0, 0.5), st.floats(0, 1))
def test_whatever_a_pool_pays_every_bid_is_lawful(
    seen: QuoteInputs, params: QuoteParams, pool: RewardPool, counts: float, scoring: float
) -> None:
    """On the grid, under its cap, inside limit and combined cap; the credit is at most half of what
    a share filled is expected to bring, and only both sides at once are quoted for rewards.
    """
    seen = replace(pooled(seen, pool), scoring=scoring)
    rewards = RewardParams(counts=counts)
    found = decide(seen, params, None, rewards)

    net = seen.held_up - seen.held_down
    bought, firsts = {UP: 0, DOWN: 0}, {UP: 0, DOWN: 0}
    for quote in found.quotes:
        cap = found.cap_up if quote.outcome is UP else found.cap_down
        assert cap is not None
        assert quote.price % seen.tick == 0
        assert 0 < quote.price <= cap
        bought[quote.outcome] += quote.size
        firsts[quote.outcome] = max(firsts[quote.outcome], quote.price)
    pair = all(firsts.values())  # one bid alone is held to its own cap only
    assert not pair or sum(firsts.values()) <= params.target_total_max * 10_000 + 1e-6
    assert not bought[UP] or net + bought[UP] <= seen.net_limit
    assert not bought[DOWN] or bought[DOWN] - net <= seen.net_limit
    if found.rewards is not None:
        a_share = found.rewards.reward / 3600 * rewards.fill_s / (2 * pool.min_size / SHARES)
        assert found.rewards.credit <= a_share / 2 + 1e-12
        assert found.rewards.cost < found.rewards.reward
        assert {q.outcome for q in found.quotes if q.level == 0} == {UP, DOWN}
        assert all(q.size >= pool.min_size for q in found.quotes if q.level == 0)


def test_a_pool_never_overrides_the_stop_of_a_side() -> None:
    """While one side is withheld for a dispute the other is quoted as without a pool (8.3)."""
    view = book(4900, 5100)
    seen = pooled(inputs(view, q=fair(0.75), at_s=25.0, limit=200 * SHARES))
    found = rewarded(replace(seen, apart_since_ms=seen.now_ms - 5_000))

    assert {quote.outcome for quote in found.quotes} == {DOWN}
    assert {quote.size for quote in found.quotes} == {5 * SHARES}
    assert Why.DISAGREE in whys(found)
    assert NoReward.UNSURE in whys(found)
