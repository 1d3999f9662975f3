"""Correlation of assets and of windows, and the crowding they make."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given, strategies as st
from signal_kit import START

from polybot.signal.correlation import Correlations, OpenWindow, crowding, of_windows
from polybot.signal.inputs import Refusal
from polybot.signal.params import SignalParams

PARAMS = SignalParams()


def walked(rho: float, steps: int = 2_000, seed: int = 3) -> Correlations:
    """Two assets whose moves of five seconds correlate by `rho`, told four times a step."""
    rng, found = random.Random(seed), Correlations(PARAMS)
    btc, eth = math.log(100_000.0), math.log(3_000.0)
    for n in range(steps):
        one, own = rng.gauss(0, 2e-4), rng.gauss(0, 2e-4)
        btc, eth = btc + one, eth + rho * one + math.sqrt(1 - rho * rho) * own
        for quarter in range(4):
            now = START + 5_000 * n + 1_250 * quarter
            found.spot("btc", math.exp(btc), now)
            found.spot("eth", math.exp(eth), now)
    return found


@pytest.mark.parametrize("rho", [0.9, 0.5, 0.0, -0.6])
def test_it_finds_the_correlation(rho: float) -> None:
    """The estimate is within three standard errors of 720 moves' evidence of the truth."""
    found = walked(rho)

    assert found.of("btc", "eth") == pytest.approx(rho, abs=3 * (1 - rho * rho) / math.sqrt(500))
    assert found.of("eth", "btc") == found.of("btc", "eth")
    assert found.of("btc", "btc") == 1.0


def test_the_prior_until_something_is_known() -> None:
    """Two assets are taken for related until thirty moves say otherwise: the safe side."""
    assert Correlations(PARAMS).of("btc", "eth") == PARAMS.correlation_prior
    assert walked(0.0, steps=10).of("btc", "eth") == PARAMS.correlation_prior


def test_a_hole_is_no_move() -> None:
    """Prices an hour apart are not one step of five seconds."""
    found = walked(0.9, steps=300)
    before = found.of("btc", "eth")
    later = START + 5_000 * 300 + 3_600_000
    found.spot("btc", 90_000.0, later)
    found.spot("eth", 3_500.0, later)
    found.spot("btc", 90_000.0, later + 5_000)

    assert found.of("btc", "eth") == before


def test_bad_prices_are_refused() -> None:
    """NaN, zero and time running backwards have their names."""
    found = walked(0.5, steps=5)

    assert found.spot("btc", math.nan, START) is Refusal.NOT_FINITE
    assert found.spot("btc", 0.0, START) is Refusal.NOT_A_PRICE
    assert found.spot("btc", 1.0, START - 60_000) is Refusal.TIME_BACKWARDS


def test_a_clock_that_was_ahead_blinds_nobody() -> None:
    """Prices were refused until the time came round again; what is known of the assets stays."""
    found = walked(0.5, steps=500)
    known = found.of("btc", "eth")

    assert found.spot("btc", 1.0, START - 3_600_000) is None
    assert found.spot("btc", 2.0, START - 3_500_000) is None
    assert found.of("btc", "eth") == known


def test_windows_share_the_nearer_one() -> None:
    """What is open of both is the path up to the nearer end: √(near/far)."""
    assert of_windows(300, 300) == 1.0
    assert of_windows(900, 225) == of_windows(225, 900) == 0.5
    assert of_windows(0, 900) == of_windows(-5, 900) == 0.0


@given(st.floats(1, 3_600), st.floats(1, 3_600))
def test_simulated_windows_agree(near_s: float, far_s: float) -> None:
    """Variances and covariance of two Brownian ends: cov = min, corr = min/√(near·far)."""
    assert of_windows(near_s, far_s) == pytest.approx(
        min(near_s, far_s) / math.sqrt(near_s * far_s)
    )


def test_crowding_counts_markets_of_one_driver() -> None:
    """A twin counts one, an hour with a quarter left open half, a hedge nothing."""
    here = OpenWindow("btc", 225.0)
    others = [OpenWindow("btc", 225.0), OpenWindow("btc", 900.0)]

    assert crowding(here, others, Correlations(PARAMS)) == 1.5
    assert crowding(here, [], Correlations(PARAMS)) == 0.0
    assert crowding(here, [OpenWindow("eth", 225.0)], walked(-0.6)) == 0.0
