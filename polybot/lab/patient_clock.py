"""Trio's clock for a busy machine: `rate` times the wall, but it waits for the program.

With a plain fast clock, a tenth of a second that the machine spends elsewhere is four seconds of
the venue's time at rate 40: prices go stale and deadlines pass for no fault of the program. Here
time advances in one step at most by what the program had asked to sleep, and a little.
"""

from __future__ import annotations

import trio
from trio.testing import MockClock

SLACK_S = 0.02  # of this clock, in one step beyond the sleep that was asked for
SLEEP_MOST_S = 1.0  # of the wall: what Trio may pass on when it has no deadline at all


class PatientClock(trio.abc.Clock):
    """A `MockClock` at a rate whose hurry is bounded."""

    def __init__(self, rate: float) -> None:
        self.rate = rate
        self._wall = MockClock(rate=1)
        self._now = 0.0
        self._seen = self._wall.current_time()
        self._asked = 0.0

    def start_clock(self) -> None:
        self._wall.start_clock()
        self._seen = self._wall.current_time()

    def current_time(self) -> float:
        wall = self._wall.current_time()
        passed = (wall - self._seen) * self.rate
        self._now += min(passed, self._asked + SLACK_S)
        self._asked, self._seen = 0.0, wall
        return self._now

    def deadline_to_sleep_time(self, deadline: float) -> float:
        left = max(0.0, deadline - self.current_time())
        self._asked = min(left, SLEEP_MOST_S * self.rate)
        return left / self.rate
