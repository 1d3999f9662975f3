"""The most that completing a pair as a taker may cost, fee included (strategy.md 7)."""

from __future__ import annotations

import math

from polybot.domain import units
from polybot.domain.market import FeeSchedule


def break_even(budget: float, fees: FeeSchedule) -> float | None:
    """The price P in [0, 1] with P + rate · (P(1-P))^exponent = `budget`, None if there is none.

    `budget` is what the missing share is worth, in dollars: 1 - cost + tolerated loss, or the light
    side's reservation price less the value of waiting. The cost of a share rises with P for every
    fee below one dollar per share, so the root is unique and bisection finds it for any exponent.
    """
    if not 0 < budget <= 1:
        return None
    rate = fees.rate_ppm / 1_000_000
    low, high = 0.0, 1.0
    for _ in range(50):
        middle = (low + high) / 2
        if middle + rate * (middle * (1 - middle)) ** fees.exponent <= budget:
            low = middle
        else:
            high = middle
    return low


def price_cap(budget: float, fees: FeeSchedule, tick: int) -> int | None:
    """`break_even` floored to the grid (10⁻⁴), None when not even one tick is affordable."""
    price = break_even(budget, fees)
    if price is None or not math.isfinite(price):
        return None
    cap = min(math.floor(price * units.ONE / tick + 5e-10) * tick, units.ONE - tick)
    return cap if cap >= tick else None
