"""When the venue's programs pay: once a day, for the UTC day that has ended.

The pages say "daily" and no hour (clob.md 6.2, 6.3). Half an hour after midnight every trade of the
day has settled or failed, retries included, so that nothing is paid for what is then undone.
"""

from __future__ import annotations

DAY_MS = 86_400_000
SETTLED_MS = 1_800_000
LEAST = 1_000_000  # nothing below a dollar is paid, 10⁻⁶ pUSD
DAYS_KEPT = 35


def day_of(at_ms: int) -> int:
    """The UTC day of a moment, in days since 1970."""
    return at_ms // DAY_MS


class Payday:
    """The next payment and the day it is for."""

    def __init__(self, start_ms: int) -> None:
        self.day = day_of(start_ms - SETTLED_MS)

    @property
    def due_ms(self) -> int:
        return (self.day + 1) * DAY_MS + SETTLED_MS

    def reached(self, now_ms: int) -> list[int]:
        """The days whose payment is due by now, oldest first; each is named once."""
        due = []
        while self.due_ms <= now_ms:
            due.append(self.day)
            self.day += 1
        return due
