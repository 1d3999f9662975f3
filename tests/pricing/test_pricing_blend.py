"""Model and market in log-odds: the reference's example, weights from errors, the disagreement."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, strategies as st
from msgspec.structs import replace

from polybot.domain.market import Outcome
from polybot.pricing.blend import (
    BlendParams,
    MarketView,
    blend,
    logit,
    market_error,
    micro_price,
    model_error,
    model_weight,
    sigmoid,
)
from polybot.pricing.fair import Fair, Quality

QS = st.floats(0.005, 0.995)


def fair(q: float = 0.62, *, d: float = 0.3, v: float = 0.0, age_s: float = 0.0) -> Fair:
    return Fair(q, d, v, 0.38, 8e-5, 280.0, 100_000.0, 100_000.0, age_s)


@given(st.floats(-700, 700))
def test_sigmoid_undoes_logit(x: float) -> None:
    """The two are inverse where the result is not rounded to certainty, and never overflow."""
    q = sigmoid(x)

    assert 0 <= q <= 1
    if abs(x) < 15:
        assert logit(q) == pytest.approx(x, abs=1e-6)


def test_blend_of_the_reference() -> None:
    """Model 0.62 (s = 0.35), market 0.56 (s = 0.20) give W = 0.246 and 0.5750 (strategy.md 4)."""
    weight = model_weight(0.35, 0.20, 0.8)

    assert weight == pytest.approx(0.246, abs=5e-4)
    mixed = sigmoid(weight * logit(0.62) + (1 - weight) * logit(0.56))
    assert mixed == pytest.approx(0.5750, abs=1e-4)


def test_micro_price_of_the_reference() -> None:
    """0.47 x 100 against 0.49 x 300 is 0.475, reversed 0.485 (strategy.md 12)."""
    assert micro_price(0.47, 100, 0.49, 300, 1e9) == pytest.approx(0.475)
    assert micro_price(0.47, 300, 0.49, 100, 1e9) == pytest.approx(0.485)
    assert micro_price(0.47, 300, 0.49, 100, 100) == pytest.approx(0.48)
    assert micro_price(0.47, 0, 0.49, 0, 100) == pytest.approx(0.48)


def test_mixes_in_log_odds_with_the_errors_it_states() -> None:
    """The function mixes as the formula says."""
    params, view = BlendParams(vol_error=0.2), MarketView(0.56, 0.01)

    found = blend(fair(), view, params)

    errors = model_error(fair(), 0.2), market_error(view, fair(), params)
    assert errors[0] == pytest.approx(0.38 * 0.3 * 0.2 / (0.62 * 0.38))
    assert errors[1] == pytest.approx(0.1 + 0.01 / (0.56 * 0.44))
    assert found.weight == model_weight(*errors, 0.8)
    mixed = found.weight * logit(0.62) + (1 - found.weight) * logit(0.56)
    assert logit(found.q) == pytest.approx(mixed)
    assert found.disputed is None


def test_the_market_counts_less_when_wide_thin_or_old() -> None:
    """Its error grows with the spread and the book's age and falls with depth (strategy.md 4)."""
    params, model = BlendParams(), fair(v=0.02)
    usual = market_error(MarketView(0.5, 0.01, 100.0, 0.0), model, params)

    assert market_error(MarketView(0.5, 0.03, 100.0, 0.0), model, params) > usual
    assert market_error(MarketView(0.5, 0.01, 20.0, 0.0), model, params) > usual
    assert market_error(MarketView(0.5, 0.01, 100.0, 5.0), model, params) > usual
    assert market_error(MarketView(0.5, 0.01, 500.0, 0.0), model, params) == usual


def test_the_model_counts_less_when_its_inputs_are_poor() -> None:
    """An old spot, an uncertain level, or sources apart make the model's error larger."""
    base = fair(v=0.02)

    error = model_error(base, 0.2)

    assert model_error(replace(base, age_s=2.0), 0.2) > error
    assert model_error(replace(base, quality=Quality(basis_error=1e-4)), 0.2) > error
    assert model_error(replace(base, quality=Quality(apart=4e-4)), 0.2) > error
    stale = model_error(replace(base, age_s=4.0), 0.0)
    assert stale == pytest.approx(2 * base.v / (base.q * (1 - base.q)))


@given(QS, st.floats(0.0, 1.0), st.floats(0.0005, 0.3), st.floats(0.0, 1e4), st.floats(0.0, 60.0))
def test_the_blend_lies_between(
    q: float, market: float, half: float, depth: float, age: float
) -> None:
    """The mixture is never outside the two views, and the model never counts too much."""
    model, view = fair(q, v=0.05), MarketView(market, half, depth, age)

    found = blend(model, view, BlendParams())

    low, high = sorted((q, min(max(market, 1e-4), 1 - 1e-4)))
    assert low - 1e-9 <= found.q <= high + 1e-9
    assert 0 <= found.weight <= 0.8
    assert math.isfinite(found.gap)


def test_disagreement_needs_time_and_then_halves_the_model() -> None:
    """More than 0.8 apart in log-odds for five seconds: we are probably wrong (strategy.md 4)."""
    params, view, model = BlendParams(), MarketView(0.5, 0.005), fair(0.7)
    first = blend(model, view, params, 10_000)
    assert (first.disputed, first.apart_since_ms) == (None, 10_000)

    soon = blend(model, view, params, 14_999, first.apart_since_ms)
    found = blend(model, view, params, 15_000, soon.apart_since_ms)

    assert soon.disputed is None
    assert found.disputed is Outcome.UP
    assert found.gap == pytest.approx(logit(0.7))
    assert found.weight == first.weight / 2
    assert blend(fair(0.3), view, params, 15_000, 9_000).disputed is Outcome.DOWN


def test_agreeing_again_ends_the_disagreement() -> None:
    """Once the gap has closed the time starts afresh."""
    params, view = BlendParams(), MarketView(0.5, 0.005)

    closed = blend(fair(0.6), view, params, 20_000, 10_000)

    assert closed.apart_since_ms is None
    assert blend(fair(0.7), view, params, 21_000, None).apart_since_ms == 21_000


def test_time_running_backwards_makes_no_disagreement() -> None:
    """A moment before the beginning is a new beginning."""
    found = blend(fair(0.7), MarketView(0.5, 0.005), BlendParams(), 9_000, 10_000)

    assert (found.disputed, found.apart_since_ms) == (None, 9_000)


@given(QS, QS)
def test_a_model_without_a_trusted_strike_counts_nothing(q: float, seen: float) -> None:
    """W → 0 while the strike is provisional (strategy.md 4): the market's own price is left."""
    doubted = replace(fair(q), provisional_strike=True)
    mixed = blend(doubted, MarketView(seen, 0.01), BlendParams())

    assert mixed.weight == 0
    assert mixed.q == pytest.approx(seen)
