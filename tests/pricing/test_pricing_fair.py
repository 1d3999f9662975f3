"""Fair probabilities against the golden vectors and simulations of strategy.md 2."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
from hypothesis import given, strategies as st

from polybot.pricing import fair as models
from polybot.pricing.fair import Fair, NoFair, WhyNoFair
from polybot.pricing.tails import D_MAX, Tails
from polybot.pricing.volatility import per_root_second

SIGMA = per_root_second(0.45)
K = 100_000.0
W = 60.0


def priced(result: Fair | NoFair) -> Fair:
    assert isinstance(result, Fair), result
    return result


def expected_average(realised: float, spot: float, tau_s: float) -> float:
    return (1 - tau_s / W) * realised + tau_s / W * spot


def test_reference_volatility() -> None:
    """45 % a year is the per-√s figure every vector below rests on."""
    assert pytest.approx(8.01326e-5, rel=1e-5) == SIGMA


@pytest.mark.parametrize(
    ("spot", "tau_s", "q"),
    [(100_100, 300, 0.7804), (100_100, 900, 0.6647), (100_050, 60, 0.9185)],
)
def test_twap_before_the_window(spot: float, tau_s: float, q: float) -> None:
    """Golden vectors of 2.2 with the averaging still to come."""
    assert priced(models.twap_before_window(spot, K, SIGMA, tau_s, W)).q == pytest.approx(
        q, abs=1e-4
    )


@pytest.mark.parametrize(
    ("spot", "tau_s", "realised", "q"),
    [
        (100_050, 60, 99_000, 0.9185),
        (100_010, 30, 100_020, 0.8817),
        (99_980, 30, 100_020, 0.5000),
        (100_010, 10, 99_995, 0.1526),
        (99_900, 10, 100_020, 0.5000),
    ],
)
def test_twap_inside_the_window(spot: float, tau_s: float, realised: float, q: float) -> None:
    """Golden vectors of 2.2 with part of the average fixed."""
    mean = expected_average(realised, spot, tau_s)

    found = priced(models.twap_inside_window(mean, spot, K, SIGMA, tau_s, W))

    assert found.q == pytest.approx(q, abs=1e-4)


@pytest.mark.parametrize(
    ("spot", "tau_s", "q"),
    [
        (100_100, 3600, 0.5814),
        (100_100, 900, 0.6608),
        (100_100, 300, 0.7641),
        (100_050, 60, 0.7896),
        (100_010, 30, 0.5900),
        (99_980, 30, 0.3242),
        (100_010, 10, 0.6534),
    ],
)
def test_candle(spot: float, tau_s: float, q: float) -> None:
    """Golden vectors of the spot rule."""
    assert priced(models.candle(spot, K, SIGMA, tau_s)).q == pytest.approx(q, abs=1e-4)


def test_candle_half_way() -> None:
    """The vector of 2.1 for half an hour leaves out σ²/2, alone among its fellows."""
    found = priced(models.candle(100_100, K, SIGMA, 1800))
    without_drift = found.d + SIGMA * math.sqrt(1800) / 2

    assert math.erfc(-without_drift / math.sqrt(2)) / 2 == pytest.approx(0.6156, abs=1e-4)
    assert found.q == pytest.approx(0.6150, abs=1e-4)


def test_before_the_open() -> None:
    """Golden vectors of 2.2 before the strike is fixed; even odds while nothing of it is."""
    spot, realised = 100_030.0, 100_000.0

    def q(until_s: float) -> float:
        mean = expected_average(realised, spot, until_s)
        return priced(models.before_open(spot, mean, SIGMA, until_s, 300, W)).q

    assert q(20) == pytest.approx(0.5599, abs=1e-4)
    assert q(0) == pytest.approx(0.5918, abs=1e-4)
    assert q(60) == 0.5
    assert q(600) == 0.5


def test_both_forms_meet_at_the_window() -> None:
    """At τ = w the formulas before and inside the window give one number and one volatility."""
    outside = priced(models.twap_before_window(100_020, K, SIGMA, W, W))
    inside = priced(models.twap_inside_window(100_020, 100_020, K, SIGMA, W, W))

    assert inside.q == pytest.approx(outside.q, abs=1e-4)
    assert inside.v == pytest.approx(outside.v, rel=1e-3)


@given(
    st.lists(st.floats(90_000, 110_000), min_size=120, max_size=120),
    st.integers(1, 60),
    st.floats(-500, 500),
)
def test_roll_forward_is_the_average_itself(prices: list[float], tau: int, basis: float) -> None:
    """Rolling the official average forward gives the final average, whatever the proxy's basis."""
    now = 120 - tau
    official_now = math.fsum(prices[now - 60 : now]) / 60
    official_end = math.fsum(prices[60:]) / 60
    entering = math.fsum(p + basis for p in prices[now:]) / tau
    leaving = math.fsum(p + basis for p in prices[now - 60 : 60]) / tau

    rolled = models.roll_forward(official_now, entering, leaving, tau, W)

    assert rolled == pytest.approx(official_end, rel=1e-10)


def test_greeks_of_the_reference() -> None:
    """Delta and d of the check in 2.3."""
    found = priced(models.twap_before_window(100_050, K, SIGMA, 300, W))

    assert found.d == pytest.approx(0.3869, abs=1e-4)
    assert found.delta == pytest.approx(0.002863, abs=1e-6)


@pytest.mark.parametrize(
    ("tau_s", "v"), [(3600, 0.0067), (900, 0.0136), (300, 0.0247), (120, 0.0446), (60, 0.0892)]
)
def test_fair_price_volatility_at_the_money(tau_s: float, v: float) -> None:
    """The table of 2.3, before the window."""
    assert priced(models.twap_before_window(K, K, SIGMA, tau_s, W)).v == pytest.approx(v, abs=6e-5)


@pytest.mark.parametrize(("tau_s", "v"), [(30, 0.1262), (10, 0.2185)])
def test_fair_price_volatility_inside(tau_s: float, v: float) -> None:
    """The table of 2.3, inside the window."""
    found = priced(models.twap_inside_window(K, K, K, SIGMA, tau_s, W))

    assert found.v == pytest.approx(v, abs=6e-5)


@given(st.floats(0.5, 290), st.floats(99_900, 100_100), st.floats(99_900, 100_100))
def test_delta_is_the_slope(tau_s: float, spot: float, realised: float) -> None:
    """Delta agrees with the numeric derivative wherever the clips do not bind."""

    def q(price: float) -> Fair:
        if tau_s >= W:
            return priced(models.twap_before_window(price, K, SIGMA, tau_s, W))
        mean = expected_average(realised, price, tau_s)
        return priced(models.twap_inside_window(mean, price, K, SIGMA, tau_s, W))

    here = q(spot)
    if abs(here.d) > 1.9:
        return
    numeric = (q(spot + 0.01).q - q(spot - 0.01).q) / 0.02

    assert here.delta == pytest.approx(numeric, rel=5e-3, abs=1e-7)


def inside(price: float, tau_s: float) -> Fair:
    mean = expected_average(100_010.0, price, tau_s)
    return priced(models.twap_inside_window(mean, price, K, SIGMA, tau_s, W))


def ahead(price: float, tau_s: float) -> Fair:
    return priced(models.twap_before_window(price, K, SIGMA, tau_s, W))


def hourly(price: float, tau_s: float) -> Fair:
    return priced(models.candle(price, K, SIGMA, tau_s))


def test_gamma_and_theta_of_the_reference() -> None:
    """The check in strategy.md 2.3: S = 100,050, 300 s to go."""
    found = ahead(100_050.0, 300.0)

    assert found.gamma == pytest.approx(-8.57e-6, abs=1e-8)
    assert found.theta * 100 == pytest.approx(0.0275, abs=1e-4)


@pytest.mark.parametrize(
    ("model", "spot", "tau_s"),
    [
        (ahead, 100_050.0, 300.0),
        (ahead, 99_930.0, 120.0),
        (inside, 99_990.0, 30.0),
        (inside, 99_960.0, 10.0),
        (hourly, 100_100.0, 1800.0),
    ],
)
def test_greeks_are_derivatives(
    model: Callable[[float, float], Fair], spot: float, tau_s: float
) -> None:
    """Delta, gamma and theta agree with finite differences (strategy.md 2.3)."""
    here, dollar, second = model(spot, tau_s), 0.5, 0.05
    up, down = model(spot + dollar, tau_s), model(spot - dollar, tau_s)

    assert here.delta == pytest.approx((up.q - down.q) / (2 * dollar), rel=2e-3)
    # The table leaves out the curvature of the logarithm, 1e-5 of delta per dollar.
    gamma = (up.q - 2 * here.q + down.q) / dollar**2
    assert here.gamma == pytest.approx(gamma, rel=2e-2, abs=2e-5 * here.delta)
    assert here.v == pytest.approx(here.delta * spot * SIGMA, rel=1e-9)
    if model is not inside:  # there theta holds the expected average fixed
        sooner, later = model(spot, tau_s - second), model(spot, tau_s + second)
        numeric = (sooner.q - later.q) / (2 * second)
        # The table leaves out the candle's σ²/2, here a hundredth of theta.
        assert here.theta == pytest.approx(numeric, rel=1.5e-2)


def test_theta_inside_the_window_holds_the_mean_fixed() -> None:
    """The table's theta: time passes, the average expected now stays (strategy.md 2.3)."""

    def q(tau_s: float) -> float:
        return priced(models.twap_inside_window(100_004.0, K, K, SIGMA, tau_s, W)).q

    found = priced(models.twap_inside_window(100_004.0, K, K, SIGMA, 20.0, W))

    assert found.theta == pytest.approx((q(19.95) - q(20.05)) / 0.1, rel=5e-3)


def test_greeks_with_uncertain_volatility_are_derivatives() -> None:
    """What is told is the slope of the probability that is told, tails and all."""
    tails = Tails(vol_error=0.3)

    def q(price: float) -> Fair:
        return priced(models.twap_before_window(price, K, SIGMA, 200.0, W, tails))

    assert q(100_080.0).delta == pytest.approx((q(100_080.5).q - q(100_079.5).q), rel=2e-3)


def test_the_look_back_of_zero_is_the_spot_rule() -> None:
    """The oracle's spot at both ends, as it was until August 2026: a digital without drift."""
    found = priced(models.twap_before_window(100_100, K, SIGMA, 300, 0.0))
    today = priced(models.candle(100_100, K, SIGMA, 300))

    assert found.d == pytest.approx(today.d + SIGMA * math.sqrt(300) / 2)
    assert priced(models.before_open(K, K, SIGMA, 0.0, 300, 0.0)).q == 0.5


def test_delta_before_the_open_is_the_slope() -> None:
    """Before the open the spot also moves the open part of the strike, and delta knows."""

    def q(price: float) -> Fair:
        mean = expected_average(K, price, 20.0)
        return priced(models.before_open(price, mean, SIGMA, 20, 300, W))

    numeric = q(100_030.5).q - q(100_029.5).q

    assert q(100_030.0).delta == pytest.approx(numeric, rel=1e-2)


SPOTS = st.floats(1e-3, 1e7)
TAUS = st.floats(60.0, 90_000.0)
SIGMAS = st.floats(1e-6, 1e-2)


@given(SPOTS, SPOTS, SIGMAS, TAUS, st.floats(1.0, 1.5))
def test_probability_is_bounded_and_rises_with_the_spot(
    spot: float, strike: float, sigma: float, tau_s: float, up: float
) -> None:
    """Every rule stays inside its clips and never falls when the spot rises."""
    for model in (models.candle, _before):
        low = priced(model(spot, strike, sigma, tau_s))
        high = priced(model(spot * up, strike, sigma, tau_s))
        assert models.Q_MIN_FAR <= low.q <= high.q <= 1 - models.Q_MIN_FAR
        assert abs(low.d) <= D_MAX
        assert 0 <= low.v < math.inf


def _before(spot: float, strike: float, sigma: float, tau_s: float) -> Fair | NoFair:
    return models.twap_before_window(spot, strike, sigma, tau_s, W)


def test_near_the_end_certainty_is_refused() -> None:
    """In the last minute q keeps 2 % on either side, and far from it half a percent."""
    assert priced(models.candle(101_000, K, SIGMA, 30)).q == pytest.approx(0.98)
    assert priced(models.candle(110_000, K, SIGMA, 300)).q == pytest.approx(0.995)


BAD = [math.nan, math.inf, -math.inf, 0.0, -1.0]


@pytest.mark.parametrize("bad", BAD)
def test_bad_input_is_never_a_number(bad: float) -> None:
    """A price, volatility or time that is not usable refuses, whatever the rule."""
    results = [
        models.candle(bad, K, SIGMA, 100),
        models.candle(K, bad, SIGMA, 100),
        models.candle(K, K, bad, 100),
        models.candle(K, K, SIGMA, bad),
        models.twap_before_window(bad, K, SIGMA, 100, W),
        models.twap_before_window(K, K, SIGMA, bad, W),
        models.twap_before_window(K, K, SIGMA, 100, bad or -1.0),  # none is the spot rule
        models.twap_inside_window(bad, K, K, SIGMA, 30, W),
        models.twap_inside_window(K, K, K, SIGMA, bad, W),
        models.before_open(K, bad, SIGMA, 30, 300, W),
        models.before_open(K, K, SIGMA, 30, bad, W),
    ]

    assert all(isinstance(result, NoFair) for result in results)
    assert all(
        result.why in (WhyNoFair.BAD_INPUT, WhyNoFair.ENDED)
        for result in results
        if isinstance(result, NoFair)
    )


def test_the_wrong_side_of_the_window_is_refused() -> None:
    """Each formula refuses times that belong to another one."""
    assert isinstance(models.twap_before_window(K, K, SIGMA, 59, W), NoFair)
    assert isinstance(models.twap_inside_window(K, K, K, SIGMA, 61, W), NoFair)
    assert isinstance(models.before_open(K, K, SIGMA, -1, 300, W), NoFair)
    assert isinstance(models.before_open(K, K, SIGMA, 1, 50, W), NoFair)


def test_an_ended_window_has_its_own_reason() -> None:
    """No time left is not a fault in the data."""
    assert models.candle(K, K, SIGMA, 0) == NoFair(WhyNoFair.ENDED, (("tau_s", "0"),))
