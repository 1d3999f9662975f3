"""How lively each hour of the week usually is, from a history of candles (strategy.md 3.1, 3.4)."""

from __future__ import annotations

import math
from collections.abc import Iterable

import attrs

HOURS = 168
MONDAY = 72  # the Unix epoch was a Thursday: hours from the Monday before it
YEAR_S = 31_536_000.0
FLOOR_SHARE = 0.1  # strategy.md 3.4: the tenth percentile of what that hour of the week has seen
PULL = 4.0  # weeks of evidence that the mean of all hours counts for


def hour_of_week(at_ms: int) -> int:
    """0 is Monday from 00:00 UTC, 167 the last hour of Sunday."""
    return (at_ms // 3_600_000 + MONDAY) % HOURS


def _for_every_hour(
    _: object, attribute: attrs.Attribute[tuple[float, ...]], value: tuple[float, ...]
) -> None:
    if len(value) != HOURS or not all(0.0 <= number < 100.0 for number in value):
        raise ValueError(f"expected {HOURS} numbers from 0 to 100 in {attribute.name}")


@attrs.frozen
class Season:
    """Per hour of the week, Monday 00:00 UTC first.

    `factors` multiply the mean variance; `floors` are annual volatilities (0.15 is 15 %) below
    which the hour is hardly ever seen.
    """

    factors: tuple[float, ...] = attrs.field(default=(1.0,) * HOURS, validator=_for_every_hour)
    floors: tuple[float, ...] = attrs.field(default=(0.0,) * HOURS, validator=_for_every_hour)

    def factor(self, at_ms: int) -> float:
        return self.factors[hour_of_week(at_ms)]

    def floor(self, at_ms: int) -> float:
        return self.floors[hour_of_week(at_ms)]


FLAT = Season()


def fit(bars: Iterable[tuple[int, float, float]]) -> Season:
    """Fit a season to bars of (Unix ms, log return, seconds); a month of them at the least.

    Each hour is pulled towards the mean of all by `PULL` weeks, so that four quiet Sundays are not
    taken for a law. Raises ValueError for less than four weeks.
    """
    hours: dict[int, tuple[float, float]] = {}
    for at_ms, move, seconds in bars:
        squares, length = hours.get(at_ms // 3_600_000, (0.0, 0.0))
        hours[at_ms // 3_600_000] = squares + move * move, length + seconds
    seen: list[list[float]] = [[] for _ in range(HOURS)]
    for hour, (squares, length) in hours.items():
        seen[hour_of_week(hour * 3_600_000)].append(squares / length)
    if min(map(len, seen)) < 4:
        raise ValueError("expected at least four weeks of candles, all hours of the week in them")
    mean = math.fsum(map(math.fsum, seen)) / math.fsum(map(len, seen))
    if mean <= 0:
        raise ValueError("expected prices that move")
    factors = [(math.fsum(one) / mean + PULL) / (len(one) + PULL) for one in seen]
    floors = [math.sqrt(_low(one) * YEAR_S) for one in seen]
    return Season(tuple(factors), tuple(floors))


def _low(variances: list[float]) -> float:
    return sorted(variances)[math.ceil(FLOOR_SHARE * len(variances)) - 1]
