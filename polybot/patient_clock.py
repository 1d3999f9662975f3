"""Trio's clock for a busy machine: `rate` times the wall, but it waits for the program.

With a plain fast clock, a tenth of a second that the machine spends elsewhere is two seconds of the
venue's time at rate 20: prices go stale, heartbeats time out and deadlines pass for no fault of the
program. Here time advances in one step at most by what the program had asked to sleep, and a
little: a busy machine makes the run slower, not worse. Only for a run whose every part is on this
clock: bot and exchange in one process.
"""

from __future__ import annotations

import time

import trio

SLACK_S = 0.02  # of this clock: how late a sleep may end
CREEP_S = 0.0001  # of this clock, at each look while there is work to do: it must not stand still
SLEEP_MOST_S = 1.0  # of the wall: what Trio may pass on when it has no deadline at all
# The kernel rounds what Trio waits up to whole milliseconds, and at these rates most sleeps are
# shorter: at rate 100 half of a scene was the rest of milliseconds that nobody had asked for. Nor
# are they slept one by one: a tenth of a millisecond is mostly the work of falling asleep.
ROUNDED_S = 0.001  # of the wall


class PatientClock(trio.abc.Clock):
    """A clock at a rate whose hurry is bounded.

    Trio asks how long to sleep only when nothing can run: what it asks for is what may pass until
    it asks again. While tasks run, time all but stands still.
    """

    def __init__(self, rate: float) -> None:
        self.rate = rate
        self._now = 0.0
        self._seen = time.perf_counter()
        self._may_pass = 0.0
        self._owed_s = 0.0  # of the wall: what has passed here before it did there

    def start_clock(self) -> None:
        self._seen = time.perf_counter()

    def current_time(self) -> float:
        wall = time.perf_counter()
        passed = (wall - self._seen) * self.rate
        self._seen = wall
        slept = min(passed, self._may_pass)
        self._may_pass -= slept
        self._now += slept + min(passed - slept, CREEP_S)
        return self._now

    def deadline_to_sleep_time(self, deadline: float) -> float:
        left = max(0.0, deadline - self.current_time())
        wait_s = left / self.rate
        if wait_s >= ROUNDED_S:
            self._may_pass = min(left, SLEEP_MOST_S * self.rate) + SLACK_S
            return wait_s
        self._may_pass = SLACK_S
        self._now += left
        self._owed_s += wait_s
        if self._owed_s >= ROUNDED_S:
            # A browser or a thread waits so long for us; all others are ourselves.
            time.sleep(self._owed_s)
            self._seen, self._owed_s = time.perf_counter(), 0.0
        return 0.0
