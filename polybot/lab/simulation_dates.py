"""Other days than the usual one: half of all seeds live through a moment at which an hour, a day, a
month or a year is over somewhere.

All else begins at one evening of November. Names of hourly windows follow New York's calendar, the
day's loss and the relayer's transactions the one of Greenwich, payments come half an hour after it
has begun anew, and once a year an hour has no windows (feeds.md 8.2).
"""

from __future__ import annotations

import random

import attrs

MOMENTS = {
    "New York's clocks go back": 1_793_512_800,  # 2026-11-01 06:00Z
    "a day ends": 1_795_219_200,  # 2026-11-21 00:00Z
    "the venue pays": 1_795_221_000,  # 2026-11-21 00:30Z
    "New York's day ends": 1_795_237_200,  # 2026-11-21 05:00Z
    "the venue's weekly restart": 1_795_521_600,  # 2026-11-24 12:00Z
    "a year ends": 1_798_761_600,  # 2027-01-01 00:00Z
    "New York's year ends": 1_798_779_600,  # 2027-01-01 05:00Z
    "New York's clocks go forward": 1_805_007_600,  # 2027-03-14 07:00Z
    "a leap day begins": 1_835_413_200,  # 2028-02-29 05:00Z, in New York
}
LATEST = 0.8  # of a life, that the moment is met in


@attrs.frozen
class Date:
    """The simulation begins `ahead_s` before this moment."""

    moment: str
    ahead_s: float

    @property
    def begins_ms(self) -> int:
        return MOMENTS[self.moment] * 1000 - int(self.ahead_s * 1000)

    def squeezed(self, times: float) -> Date:
        """The same of a life that is so many times shorter."""
        return Date(self.moment, self.ahead_s / times)

    def text(self) -> str:
        return f"{self.moment} after {self.ahead_s:.0f} s"


def draw_date(rng: random.Random, length_s: float) -> Date | None:
    """None, the usual evening, for every second seed."""
    if rng.random() < 0.5:
        return None
    return Date(rng.choice(list(MOMENTS)), rng.uniform(0, LATEST * length_s))
