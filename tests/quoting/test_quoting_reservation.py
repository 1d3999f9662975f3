"""Reservation price, blend and edge against the golden vectors of strategy.md 4 to 6.1."""

from __future__ import annotations

import math

import attrs
import pytest
from hypothesis import given, strategies as st

from polybot.domain.market import Outcome
from polybot.pricing import fair as models
from polybot.pricing.fair import Fair
from polybot.pricing.volatility import per_root_second
from polybot.quoting.params import QuoteParams
from polybot.quoting.reservation import (
    MarketMid,
    blend,
    edge,
    logit,
    model_error,
    model_weight,
    reservation_up,
    sigmoid,
    value,
)

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


@given(st.floats(-700, 700))
def test_sigmoid_undoes_logit(x: float) -> None:
    """The two are inverse where the result is not rounded to certainty, and never overflow."""
    q = sigmoid(x)

    assert 0 <= q <= 1
    if abs(x) < 15:
        assert logit(q) == pytest.approx(x, abs=1e-6)


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


def test_blend_of_the_reference() -> None:
    """Example of 4: model 0.62 (s = 0.35), market 0.56 (s = 0.20) give 0.5750."""
    weight = model_weight(0.35, 0.20, 0.8)

    assert weight == pytest.approx(0.246, abs=5e-4)
    mixed = sigmoid(weight * logit(0.62) + (1 - weight) * logit(0.56))
    assert mixed == pytest.approx(0.5750, abs=1e-4)


def test_blend_mixes_in_log_odds() -> None:
    """The function mixes as the formula says, with the errors it states."""
    fair, params = at_probability(0.62), QuoteParams(sigma_error=0.2)
    mid = MarketMid(0.56, 0.01)

    found = blend(fair, mid, params)

    market_error = params.market_error + 0.01 / (0.56 * 0.44)
    weight = model_weight(model_error(fair, 0.2), market_error, 0.8)
    assert found.weight == weight
    assert logit(found.q) == pytest.approx(
        weight * logit(0.62) + (1 - weight) * logit(0.56), abs=1e-4
    )
    assert found.disputed is None


@given(QS, QS, st.floats(0.0005, 0.3))
def test_blend_lies_between(q: float, market: float, half_spread: float) -> None:
    """The mixture is never outside the two views, and the model never counts too much."""
    found = blend(at_probability(q), MarketMid(market, half_spread), QuoteParams())

    low, high = sorted((at_probability(q).q, market))
    assert low - 1e-9 <= found.q <= high + 1e-9
    assert 0 <= found.weight <= 0.8


def test_disagreement_halves_the_model() -> None:
    """More than 0.8 apart in log-odds the model is probably wrong."""
    fair, mid = at_probability(0.7), MarketMid(0.5, 0.005)
    agreed = blend(fair, mid, QuoteParams(disagree_log_odds=0.9))

    found = blend(fair, mid, QuoteParams(disagree_log_odds=0.8))

    assert found.disputed is Outcome.UP
    assert found.gap == pytest.approx(logit(0.7), abs=1e-3)
    assert found.weight == agreed.weight / 2


def test_staleness_and_basis_widen_the_model_error() -> None:
    """An old spot or an uncertain basis makes the model count less."""
    fair = at_probability(0.55)
    base = model_error(fair, 0.2)

    assert model_error(attrs.evolve(fair, age_s=2.0), 0.2) > base
    assert model_error(attrs.evolve(fair, basis_error=1e-4), 0.2) > base
    stale = attrs.evolve(fair, age_s=4.0)
    assert model_error(stale, 0.0) == pytest.approx(2 * fair.v / (fair.q * (1 - fair.q)))


def test_caps_keep_twice_the_edge() -> None:
    """Where the skew guard does not bind, the two caps leave both edges of one dollar."""
    found = value(0.55, 10, 0.015, 0.01, QuoteParams(gamma_per_share=0.001))

    assert found.reservation_up == pytest.approx(0.5475, abs=1e-4)
    assert found.cap_up == pytest.approx(0.5325, abs=1e-4)
    assert found.cap_up + found.cap_down == pytest.approx(1 - 2 * 0.015)


@given(QS, st.floats(-1000, 1000), st.floats(0, 0.2), st.sampled_from([0.01, 0.001]))
def test_skew_guard(q: float, net: float, kept: float, tick: float) -> None:
    """No inventory raises a cap above fair less half a tick."""
    found = value(q, net, kept, tick, QuoteParams())

    assert found.cap_up <= q - tick / 2
    assert found.cap_down <= 1 - q - tick / 2
