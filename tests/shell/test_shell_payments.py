"""What of payments a start is told, so that nothing is booked twice."""

from __future__ import annotations

from typing import cast

import pytest

from polybot.account import Account
from polybot.clock import Clock
from polybot.payments import OVERLAP_S, Payments
from polybot.venue.rest import Rest

NOW_S = 1_800_000_000


class _Timed:
    """A REST client of which only the clock is looked at."""

    def __init__(self, now_s: int) -> None:
        self.clock = Clock.starting_at(now_s * 1000)


@pytest.mark.parametrize("ahead_s", [0, 3 * 86_400], ids=["right", "three days ahead"])
async def test_a_clock_that_is_ahead_drops_no_evidence(ahead_s: int) -> None:
    """A start with such a clock forgot what was booked, and the next one, with the clock set right,
    read the same rows and booked them again.
    """
    rest = cast("Rest", _Timed(NOW_S + ahead_s))
    known = {"old": NOW_S - OVERLAP_S - 3_600, "edge": NOW_S - OVERLAP_S + 3_600, "new": NOW_S - 60}
    made = Payments(rest, cast("Account", None), "0xwallet", known)

    assert [name for name, _ in made.recent()] == ["edge", "new"]
