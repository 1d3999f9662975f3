"""Where the invented volatility goes, against its own steps."""

from __future__ import annotations

import math
import random
import statistics

import pytest

from polybot.exchange import vol_path
from polybot.exchange.synthetic import PriceRegime, SyntheticSource

ROOT_YEAR = math.sqrt(365.25 * 86_400)
USUAL = 0.27 / ROOT_YEAR


def walked(sigma: float, seconds: int, rng: random.Random) -> float:
    """The mean square of σ over one walk, step by step."""
    log_vol, squares = math.log(sigma / USUAL), 0.0
    for _ in range(seconds):
        log_vol = vol_path.next_log(log_vol, rng.gauss(0.0, 1.0))
        squares += vol_path.bounded(log_vol) ** 2
    return squares / seconds


@pytest.mark.parametrize("annual", [0.11, 0.27, 0.90])
@pytest.mark.parametrize("seconds", [300, 3_600])
def test_the_mean_square_to_come(annual: float, seconds: int) -> None:
    """From calm, from the median and from unrest: what 200 walks come to."""
    rng, sigma = random.Random(seconds), annual / ROOT_YEAR
    squares = [walked(sigma, seconds, rng) for _ in range(200)]

    error = statistics.stdev(squares) / math.sqrt(len(squares))
    found = vol_path.ahead(sigma, float(seconds)) ** 2
    assert abs(found - statistics.fmean(squares)) < 3 * error


def test_it_is_what_it_is_now_and_forgets() -> None:
    """The next second knows only the present, the next week nothing of it: its mean square is that
    of the long run, 0.40 a year, and it stays between its bounds.
    """
    least, most = vol_path.bounded(-9.0), vol_path.bounded(9.0)
    assert least == pytest.approx(0.10 / ROOT_YEAR)
    assert most == pytest.approx(1.50 / ROOT_YEAR)
    for sigma in (least, USUAL, most):
        assert vol_path.ahead(sigma, 1e-6) == pytest.approx(sigma, rel=1e-3)
        assert vol_path.ahead(sigma, 7 * 86_400.0) * ROOT_YEAR == pytest.approx(0.40, abs=0.01)


@pytest.mark.parametrize(("volatility", "jump"), [(3.0, 0.0), (1.0, 0.001)])
def test_a_source_tells_it_in_its_own_regime(volatility: float, jump: float) -> None:
    """Three times as restless, or with a jump each second: that is in what is to come as well."""
    regime = PriceRegime(volatility, 3_600.0 if jump else 0.0, jump)
    source = SyntheticSource(1, 0, {"btc": 100_000.0}, regime)

    present, ahead = source.sigma("btc", 5_000), source.sigma("btc", 5_000, 3_600.0)

    usual = math.sqrt(present**2 - jump**2) / volatility
    expected = math.hypot(vol_path.ahead(usual, 3_600.0) * volatility, jump)
    assert ahead == pytest.approx(expected)
    assert abs(ahead / present - 1) > 1e-4
