"""Reservation price and edge against the golden vectors of strategy.md 5 and 6.1."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, strategies as st

from polybot.domain.market import FeeSchedule
from polybot.pricing import fair as models
from polybot.pricing.fair import Fair
from polybot.pricing.volatility import per_root_second
from polybot.quoting.params import QuoteParams
from polybot.quoting.reservation import edge, reservation_up, value

SIGMA = per_root_second(0.45)
QS = st.floats(0.005, 0.995)


def fair_at(spot: float, tau_s: float = 300.0) -> Fair:
    found = models.twap_before_window(spot, 100_000.0, SIGMA, tau_s, 60.0)
    assert isinstance(found, Fair)
    return found


@pytest.mark.parametrize(("net", "reservation"), [(100, 0.5002), (300, 0.4015), (-100, 0.5988)])
def test_reservation_price(net: float, reservation: float) -> None:
    """Golden vectors of 5.1."""
    assert reservation_up(0.55, 0.002, net) == pytest.approx(reservation, abs=1e-4)


@given(QS, st.floats(0.0005, 0.01), st.floats(-200, 200))
def test_reservation_is_the_slope_of_the_certainty_equivalent(
    q: float, gamma: float, net: float
) -> None:
    """The log-odds shift is exact: the derivative of CE(I) of a binary held to the end."""

    def certainty_equivalent(x: float) -> float:
        return -math.log(1 - q + q * math.exp(-gamma * x)) / gamma

    slope = (certainty_equivalent(net + 0.01) - certainty_equivalent(net - 0.01)) / 0.02

    assert reservation_up(q, gamma, net) == pytest.approx(slope, abs=1e-5)


@given(QS, st.floats(0, 0.1), st.floats(-1e6, 1e6), st.floats(0, 1e6))
def test_reservation_never_leaves_the_interval(
    q: float, gamma: float, net: float, more: float
) -> None:
    """Whatever is held it is a probability, and holding more Up never raises it."""
    low, high = reservation_up(q, gamma, net + more), reservation_up(q, gamma, net)

    assert 0 <= low <= high <= 1


@pytest.mark.parametrize(("latency_s", "cents"), [(0.25, 1.23), (0.5, 1.74), (1.0, 2.45)])
def test_latency_edge(latency_s: float, cents: float) -> None:
    """Example of 6.1: q = 0.55 with 300 s to go."""
    fair = at_probability(0.55)
    params = QuoteParams(latency_s=latency_s, sigma_error=0.0, base_edge=0.0)

    assert edge(fair, params) * 100 == pytest.approx(cents, abs=0.01)


def at_probability(q: float) -> Fair:
    low, high = 99_000.0, 101_000.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if fair_at(middle).q < q else (low, middle)
    return fair_at(low)


def test_model_edge() -> None:
    """Example of 6.1: a volatility wrong by 20 % costs 0.99 cents at q = 0.55."""
    params = QuoteParams(kappa=0.0, sigma_error=0.2, base_edge=0.0)

    assert edge(at_probability(0.55), params) * 100 == pytest.approx(0.99, abs=0.01)


def test_base_edge_is_always_there() -> None:
    """Without any model risk the base edge is what is left."""
    params = QuoteParams(kappa=0.0, sigma_error=0.0, base_edge=0.0075)

    assert edge(at_probability(0.55), params) == pytest.approx(0.0075)


def test_caps_keep_twice_the_edge() -> None:
    """Where the skew guard does not bind, the two caps leave both edges of one dollar."""
    found = value(0.55, 10, 0.015, 0.01, QuoteParams(gamma_per_share=0.001))

    assert found.reservation_up == pytest.approx(0.5475, abs=1e-4)
    assert found.cap_up == pytest.approx(0.5325, abs=1e-4)
    assert found.cap_up + found.cap_down == pytest.approx(1 - 2 * 0.015)


@pytest.mark.parametrize(
    ("q", "exponent", "cap"),
    [(0.5, 1, 0.462375), (0.5, 2, 0.4530628), (0.7, 1, 0.6611979), (0.7, 2, 0.6525700)],
)
def test_caps_with_the_part_of_a_rebate_that_counts(q: float, exponent: int, cap: float) -> None:
    """A tenth of p(1 - p), or of its square, half of which counts, at an edge of five cents: of the
    cap without it and the one with all of it, the end at which it brings less.
    """
    fees = FeeSchedule(rate_ppm=200_000, exponent=exponent, rebate_ppm=500_000)
    found = value(q, 0, 0.05, 0.01, QuoteParams(rebate_counts=0.5), fees)

    assert found.cap_up == pytest.approx(cap, abs=1e-6)
    assert value(1 - q, 0, 0.05, 0.01, QuoteParams(rebate_counts=0.5), fees).cap_down == (
        pytest.approx(cap, abs=1e-6)
    )


@given(QS, st.floats(-1000, 1000), st.floats(0, 0.2), st.sampled_from([0.01, 0.001]))
def test_skew_guard(q: float, net: float, kept: float, tick: float) -> None:
    """No inventory raises a cap above fair less half a tick."""
    found = value(q, net, kept, tick, QuoteParams())

    assert found.cap_up <= q - tick / 2
    assert found.cap_down <= 1 - q - tick / 2
