"""The yardstick of the match, against walks of the invented price and against its windows."""

from __future__ import annotations

import math
import random
import statistics

import pytest
from hypothesis import given, strategies as st

from polybot.exchange import vol_path
from polybot.exchange.synthetic import PriceRegime
from polybot.lab.true_odds import TrueOdds, evened_s

ROOT_YEAR = math.sqrt(365.25 * 86_400)
USUAL = 0.27 / ROOT_YEAR


def normal(d: float) -> float:
    return 0.5 * math.erfc(-d / math.sqrt(2))


def walked(distance: float, sigma: float, weights: list[float], rng: random.Random) -> float:
    """The probability of Up given one walk of σ, its bursts and its jumps, step by step."""
    regime, variance = PriceRegime(), 0.0
    log_vol, burst = math.log(sigma / USUAL), rng.gauss(0.0, 1.0)
    for weight in weights:
        log_vol = vol_path.next_log(log_vol, rng.gauss(0.0, 1.0))
        burst = vol_path.next_burst(burst, rng.gauss(0.0, 1.0))
        square = (vol_path.bounded(log_vol) * vol_path.burst_factor(burst)) ** 2
        jumped = rng.random() < regime.jumps_per_hour / 3600
        variance += weight**2 * (square + jumped * regime.jump**2)
    root_s = math.sqrt(sum(weight**2 for weight in weights))
    return normal(distance * root_s / math.sqrt(variance))


@pytest.mark.parametrize("average_s", [0, 60])
@pytest.mark.parametrize("annual", [0.13, 0.27, 0.70])
def test_it_is_the_mean_over_all_that_may_come(annual: float, average_s: int) -> None:
    """Two minutes before a window's end, by its last price and by a minute's average: at distances
    where the crowd says 0.60 to 0.98, within a hundredth of 1,500 walks.
    """
    rng, sigma, left_s = random.Random(f"{annual} {average_s}"), annual / ROOT_YEAR, 120
    weights = [min(1.0, (left_s - n) / max(average_s, 1)) for n in range(left_s)]
    regime = PriceRegime()
    ahead = math.hypot(vol_path.ahead(sigma, left_s), math.sqrt(regime.jump_variance))
    odds = TrueOdds(regime, average_s)

    for believed in (0.6, 0.75, 0.9, 0.98):
        distance = statistics.NormalDist().inv_cdf(believed) * sigma
        walks = [walked(distance, sigma, weights, rng) for _ in range(1_500)]
        assert odds.up(distance, ahead, left_s) == pytest.approx(statistics.fmean(walks), abs=0.01)


@given(
    st.floats(0, 5e-4), st.floats(1.0, 5.0), st.floats(0.1, 3_600.0), st.sampled_from([0.0, 60.0])
)
def test_it_is_a_probability(
    distance: float, times: float, left_s: float, average_s: float
) -> None:
    """Of both sides together one, and what is farther away is surer."""
    regime = PriceRegime()
    odds, sigma = TrueOdds(regime, average_s), times * math.sqrt(regime.jump_variance + 1e-11)

    up = odds.up(distance, sigma, left_s)

    assert up + 1e-12 >= 0.5
    assert up <= 1 + 1e-12
    assert up + odds.up(-distance, sigma, left_s) == pytest.approx(1)
    assert odds.up(1.1 * distance, sigma, left_s) >= up - 1e-12


def test_news_makes_favourites_surer() -> None:
    """One deviation away, five minutes before the end: what is rare takes its share of σ, and the
    rest moves the less. A normal price would win 0.841 of these.
    """
    sigma = math.hypot(USUAL, math.sqrt(PriceRegime().jump_variance))
    smooth = TrueOdds(PriceRegime(jumps_per_hour=0.0)).up(sigma, sigma, 300.0)
    jumping = TrueOdds().up(sigma, sigma, 300.0)

    assert 0.841 < smooth < jumping
    assert jumping == pytest.approx(0.863, abs=0.003)


def test_seconds_that_even_out() -> None:
    """All of them before an average; of the average's own minute the first ones count most."""
    assert evened_s(300.0, 0.0) == pytest.approx(300.0)
    assert evened_s(30.0, 60.0) == pytest.approx(5 / 9 * 30)
    flat, weights = 240, [(60 - n) / 60 for n in range(60)]
    squares = flat + sum(weight**2 for weight in weights)
    assert evened_s(300.0, 60.0) == pytest.approx(
        squares**2 / (flat + sum(weight**4 for weight in weights)), rel=0.01
    )


@pytest.mark.parametrize("seconds", [60, 300])
def test_how_uneven_the_square_is(seconds: int) -> None:
    """The relative variance of its sum over so many seconds, of 2,000 walks; a lognormal variable
    of that variance in its logarithm has the same.
    """
    rng, found = random.Random(seconds), []
    for _ in range(2_000):
        log_vol, burst, square = 0.0, rng.gauss(0.0, 1.0), 0.0
        for _ in range(seconds):
            log_vol = vol_path.next_log(log_vol, rng.gauss(0.0, 1.0))
            burst = vol_path.next_burst(burst, rng.gauss(0.0, 1.0))
            square += (vol_path.bounded(log_vol) * vol_path.burst_factor(burst)) ** 2
        found.append(square)

    relative = statistics.variance(found) / statistics.fmean(found) ** 2
    assert math.expm1(vol_path.unevenness(seconds)) == pytest.approx(relative, rel=0.25)
