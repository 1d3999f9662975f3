"""Seasons: fitted to candles, pulled to the mean, refused on too little."""

from __future__ import annotations

import math
import random

import pytest

from polybot.pricing.params import PricingParams
from polybot.pricing.season import FLAT, HOURS, YEAR_S, Season, fit, hour_of_week
from polybot.pricing.volatility import Volatility, per_root_second

MONDAY_MS = 1_790_553_600_000  # 2026-09-28 00:00 UTC
SIGMA = per_root_second(0.45)


def test_the_week_begins_on_monday() -> None:
    """Hour 0 is Monday 00:00 UTC, 167 the last of Sunday."""
    assert hour_of_week(MONDAY_MS) == 0
    assert hour_of_week(MONDAY_MS - 1) == HOURS - 1
    assert hour_of_week(MONDAY_MS + 25 * 3_600_000) == 25
    assert hour_of_week(MONDAY_MS + 7 * 86_400_000) == 0


def bars(weeks: int, lively: int = 15, factor: float = 4.0) -> list[tuple[int, float, float]]:
    """Minutes of a walk; one hour of each day has `factor` times the variance."""
    rng, made = random.Random(6), []
    for minute in range(weeks * 7 * 1440):
        at_ms = MONDAY_MS + minute * 60_000
        root = math.sqrt(factor if (minute // 60) % 24 == lively else 1.0)
        made.append((at_ms, SIGMA * math.sqrt(60) * root * rng.gauss(0, 1), 60.0))
    return made


def test_a_lively_hour_is_found() -> None:
    """Eight weeks tell an hour four times as lively, less what the pull takes (strategy.md 3.1)."""
    season = fit(bars(8))

    calm = season.factors[3]
    assert season.factors[15] / calm == pytest.approx(4.0, rel=0.45)
    assert sum(season.factors) / HOURS == pytest.approx(1.0, rel=0.02)
    assert season.floor(MONDAY_MS) == pytest.approx(0.45 * math.sqrt(1.0), rel=0.25)
    assert season.floor(MONDAY_MS + 15 * 3_600_000) > season.floor(MONDAY_MS)


def test_three_weeks_are_no_season() -> None:
    """Less than four weeks, or prices that never move, are refused."""
    with pytest.raises(ValueError, match="four weeks"):
        fit(bars(3))
    with pytest.raises(ValueError, match="move"):
        fit([(at_ms, 0.0, 60.0) for at_ms, _, _ in bars(4)])


@pytest.mark.parametrize("wrong", [(1.0,) * 24, (math.nan,) * HOURS, (-1.0,) * HOURS])
def test_wrong_seasons_are_refused(wrong: tuple[float, ...]) -> None:
    """A table of another length, or with what is no factor, is a fault where it is read."""
    with pytest.raises(ValueError, match="168"):
        Season(wrong)
    with pytest.raises(ValueError, match="168"):
        Season(floors=wrong)


def test_the_slow_estimate_looks_ahead_by_the_season() -> None:
    """At the change of the hour the slow part rises to what that hour usually is (3.1)."""
    factors = tuple(4.0 if hour == 1 else 1.0 for hour in range(HOURS))
    params = PricingParams(vol_weights=(0.0, 0.0, 1.0))
    vol, flat = Volatility(params, Season(factors)), Volatility(params, FLAT)
    rng, x = random.Random(3), math.log(100_000.0)
    for second in range(3600):
        root = 2.0 if hour_of_week(MONDAY_MS + second * 1000) == 1 else 1.0
        x += SIGMA * root * rng.gauss(0, 1)
        for one in (vol, flat):
            one.observe(math.exp(x), MONDAY_MS + second * 1000)
    before = vol.sigma(MONDAY_MS + 3_599_000)
    for one in (vol, flat):
        one.observe(math.exp(x + 2 * SIGMA), MONDAY_MS + 3_600_000)
    after, unaware = vol.sigma(MONDAY_MS + 3_600_000), flat.sigma(MONDAY_MS + 3_600_000)

    assert before == pytest.approx(SIGMA, rel=0.1)
    assert after == pytest.approx(2 * SIGMA, rel=0.1)
    assert unaware == pytest.approx(SIGMA, rel=0.1)


def in_hours(vol: Volatility, quiet_s: int, *, noise: float = 0.0) -> float:
    """σ at the end of a lively hour and so many seconds of a quiet one, with `noise` on prices."""
    rng, x, now_ms = random.Random(3), math.log(100_000.0), 0
    for second in range(3600 + quiet_s):
        now_ms = MONDAY_MS + second * 1000
        root = 2.0 if hour_of_week(now_ms) == 0 else 1.0
        x += SIGMA * root * rng.gauss(0, 1)
        vol.observe(math.exp(x + noise * rng.gauss(0, 1)), now_ms)
    found = vol.sigma(now_ms)
    assert found is not None
    return found


LIVELY = Season(tuple(4.0 if hour == 0 else 1.0 for hour in range(HOURS)))
SLOW = PricingParams(vol_weights=(0.0, 0.0, 1.0))


@pytest.mark.parametrize("quiet_s", [0, 1, 900])
def test_the_slow_estimate_forgets_the_hour_it_was_made_in(quiet_s: int) -> None:
    """What an hour usually has more is taken out of its returns, and given back while it lasts:
    with the quiet one σ is that of the quiet one at once.
    """
    expected = SIGMA * (1.0 if quiet_s else 2.0)

    assert in_hours(Volatility(SLOW, LIVELY), quiet_s) == pytest.approx(expected, rel=0.06)
    assert in_hours(Volatility(SLOW), 1) == pytest.approx(2 * SIGMA, rel=0.06), "without it"


def test_bipower_is_of_the_same_hour() -> None:
    """Squares and bipower of the slow estimate have the season taken out alike: of a walk both say
    the same.
    """
    vol = Volatility(SLOW, LIVELY)
    in_hours(vol, 0)
    slow = vol._parts[2]

    assert slow.bipower / slow.squares == pytest.approx(1.0, abs=0.1)


def test_noise_is_no_livelier_in_a_lively_hour() -> None:
    """The error of a print has no season: of squares divided by the factor only so much less of it
    is taken out. Taking all would make σ too small, and breed certainties.
    """
    noise, ratio = 8e-5, []
    for season in (LIVELY, FLAT):
        found = in_hours(Volatility(SLOW, season), 0, noise=noise)
        ratio.append((found / (2 * SIGMA)) ** 2)

    assert ratio[0] == pytest.approx(ratio[1], rel=0.01)
    assert ratio[0] == pytest.approx(1.0, abs=0.15)


def test_the_floor_is_the_hours_own() -> None:
    """A dead hour is never quieter than its tenth percentile, and 15 % at the least (3.4)."""
    floors = tuple(0.6 if hour == 0 else 0.0 for hour in range(HOURS))
    vol = Volatility(season=Season(floors=floors))
    for second in range(60):
        vol.observe(100_000.0, MONDAY_MS + second * 1000)

    assert vol.sigma(MONDAY_MS + 59_000) == pytest.approx(0.6 / math.sqrt(YEAR_S))
