"""The fee-correct price cap of pair completion (strategy.md 7)."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, strategies as st

from polybot.domain.market import FeeSchedule, taker_fee
from polybot.quoting.completion import break_even, price_cap

FEES = FeeSchedule(rate_ppm=70_000, exponent=1, rebate_ppm=200_000)
SHARE = 1_000_000


@pytest.mark.parametrize(
    ("cost", "caps"),
    [
        (0.40, (0.5830, 0.5931, 0.6033)),
        (0.45, (0.5326, 0.5426, 0.5527)),
        (0.48, (0.5025, 0.5125, 0.5225)),
        (0.50, (0.4825, 0.4925, 0.5025)),
        (0.55, (0.4328, 0.4427, 0.4527)),
    ],
)
def test_table_of_the_reference(cost: float, caps: tuple[float, float, float]) -> None:
    """Break-even prices for a tolerated loss of 0, 1 and 2 cents."""
    for loss, cap in zip((0.0, 0.01, 0.02), caps, strict=True):
        assert break_even(1 - cost + loss, FEES) == pytest.approx(cap, abs=6e-5)


@given(st.floats(0.001, 1.0), st.integers(0, 200_000))
def test_agrees_with_the_closed_form(budget: float, rate_ppm: int) -> None:
    """For exponent one the root is the quadratic's."""
    fees = FeeSchedule(rate_ppm, 1, 0)
    f = rate_ppm / 1_000_000
    if f < 1e-4:
        return
    closed = ((1 + f) - math.sqrt((1 + f) ** 2 - 4 * f * budget)) / (2 * f)

    assert break_even(budget, fees) == pytest.approx(closed, abs=1e-9)


def test_without_fee_the_budget_is_the_price() -> None:
    """A free taker may pay all that the share is worth."""
    assert break_even(0.52, FeeSchedule(0, 1, 0)) == pytest.approx(0.52)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -0.1, 0.0, 1.01])
def test_bad_budgets_have_no_price(bad: float) -> None:
    """What is not a share's worth has no cap, never a number."""
    assert break_even(bad, FEES) is None
    assert price_cap(bad, FEES, 100) is None


@given(st.floats(0.0, 1.0), st.sampled_from([1000, 100, 10, 1]), st.integers(1, 3))
def test_cap_is_affordable_and_the_next_tick_is_not(
    budget: float, tick: int, exponent: int
) -> None:
    """On the grid, within the budget with the venue's own fee, and the best such price."""
    fees = FeeSchedule(70_000, exponent, 0)
    cap = price_cap(budget, fees, tick)

    def cost(price: int) -> float:
        return price / 10_000 + taker_fee(fees, price, 1000 * SHARE) / (1000 * SHARE)

    if cap is not None:
        assert cap % tick == 0
        assert tick <= cap <= 10_000 - tick
        assert cost(cap) <= budget + 1e-7
    above = tick if cap is None else cap + tick
    if above < 10_000:
        assert cost(above) > budget - 1e-7
