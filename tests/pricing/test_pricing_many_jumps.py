"""Many jumps: an hour, a quarter of one and four hours, within what `[pricing]` allows."""

from __future__ import annotations

import math

import pytest

from polybot.pricing import fair as models
from polybot.pricing.fair import Fair
from polybot.pricing.params import PricingParams
from polybot.pricing.tails import Tails
from polybot.pricing.volatility import per_root_second

SIGMA = per_root_second(0.45)


def normal(d: float) -> float:
    return math.erfc(-d / math.sqrt(2)) / 2


def exact(x: float, sigma: float, seconds: float, rate: float, size: float) -> tuple[float, float]:
    """Probability and slope by d of strategy.md 3.4, all jumps counted."""
    expected, q, slope = rate * seconds, 0.0, 0.0
    base = sigma * sigma * seconds
    for k in range(600):
        weight = math.exp(-expected + k * math.log(expected) - math.lgamma(k + 1))
        d = x / math.sqrt(base + k * size * size)
        q += weight * normal(d)
        shrink = math.sqrt(base / (base + k * size * size))
        slope += weight * shrink * math.exp(-d * d / 2) / math.sqrt(2 * math.pi)
    return q, slope


@pytest.mark.parametrize(
    ("per_hour", "tau_s"),
    [(2.0, 14_300.0), (6.0, 3_600.0), (12.0, 3_600.0), (60.0, 860.0), (60.0, 3_600.0)],
    ids=["4h, two an hour", "1h, six", "1h, twelve", "15m, sixty", "1h, sixty"],
)
def test_many_jumps_are_counted_to_the_end(per_hour: float, tau_s: float) -> None:
    """After more jumps than eight the odds were called even, however far the price."""
    params = PricingParams(jumps_per_hour=per_hour, vol_error=0.0)
    rate, size = params.jumps_per_hour / 3600, params.jump_bp / 1e4
    seconds = tau_s
    x = 1.5 * math.sqrt(SIGMA**2 * seconds + rate * seconds * size**2)
    found = models.twap_before_window(
        100_000 * math.exp(x), 100_000, SIGMA, tau_s, 0.0, Tails(0.0, rate, size)
    )
    assert isinstance(found, Fair)
    q, slope = exact(x, SIGMA, seconds, rate, size)

    assert found.q == pytest.approx(q, abs=1e-3)
    assert found.v == pytest.approx(slope / math.sqrt(seconds), rel=1e-2)
