"""The one clock: every deadline and every venue stamp in the program comes from here.

Trio's clock drives both. Deadlines use `trio.current_time()` directly; the venue's wall clock is an
origin plus the same number, so that one `MockClock(rate=20)` speeds up bot and exchange together
and a virtual clock makes both exact. `time.time` is read in this file only (tests/test_tidy.py
checks).
"""

from __future__ import annotations

import time

import attrs
import trio

NS = 1_000_000  # in a millisecond
# A float of Unix milliseconds is off by a quarter of a microsecond: what was to be at 587 must not
# read as 586.9998.
_GRAIN_MS = 0.0005


@attrs.define(eq=False)
class Clock:
    """Venue wall time derived from Trio's clock.

    `origin_ms` is the Unix time in milliseconds at Trio time zero. The machine's own wall clock is
    read once; whoever finds out that we are off sets us right (venue_time.py).
    """

    origin_ms: float
    _sleepers: dict[trio.CancelScope, None] = attrs.field(factory=dict, init=False)

    @classmethod
    def starting_at(cls, unix_ms: float) -> Clock:
        """Make a clock that reads `unix_ms` now. Call inside `trio.run`."""
        return cls(unix_ms - trio.current_time() * 1000)

    @classmethod
    def from_system(cls) -> Clock:
        """Make a clock that agrees with the machine's wall clock now. Call inside `trio.run`."""
        return cls.starting_at(time.time() * 1000)

    def set_right(self, by_ms: float) -> None:
        """From now on read so much more; who sleeps by this clock goes by the new time. Deadlines
        that were computed before stay as they are: no market outlives the trouble that a wrong
        clock is, and what is left waits for nothing but the trouble's end.
        """
        self.origin_ms += by_ms
        for sleeper in self._sleepers:
            sleeper.cancel()

    def exact_ms(self) -> float:
        """Unix time in milliseconds, as the venue would stamp it."""
        return self.origin_ms + trio.current_time() * 1000

    def now_ms(self) -> int:
        """The same in whole milliseconds."""
        return int(self.exact_ms() + _GRAIN_MS)

    def now_ns(self) -> int:
        """The same in nanoseconds, to about a microsecond: for the order of records. In whole
        milliseconds it is exactly what `now_ms` reads: a replay has only the record.
        """
        exact = self.exact_ms() + _GRAIN_MS
        whole = int(exact)
        return whole * NS + int((exact - whole) * NS)

    def trio_time(self, unix_ms: float) -> float:
        """Trio's time, in seconds, at venue time `unix_ms`: for deadlines."""
        return (unix_ms - self.origin_ms) / 1000

    def copy(self) -> Clock:
        """A clock that agrees with this one now: whoever has it sets nobody else right."""
        return Clock(self.origin_ms)

    async def sleep_until(self, unix_ms: float) -> None:
        """Sleep until venue time `unix_ms`, also where the clock is set meanwhile; return at once
        (after a checkpoint) if it has passed.
        """
        while True:
            with trio.CancelScope() as sleeper:
                self._sleepers[sleeper] = None
                try:
                    await trio.sleep_until(self.trio_time(unix_ms))
                finally:
                    del self._sleepers[sleeper]
            if not sleeper.cancel_called:
                return


def system_ms() -> int:
    """The machine's Unix time in milliseconds, for commands that run without Trio."""
    return int(time.time() * 1000)


# Nanoseconds of the machine's finest counter: to measure ourselves, at each end of every call.
stopwatch_ns = time.perf_counter_ns


def wait_blocking(seconds: float) -> None:
    """Hold this thread: for replays at a pace, which have no other task."""
    time.sleep(seconds)


def wall_seconds() -> float:
    """Real seconds on the machine's monotonic clock, whatever speed Trio's clock runs at."""
    return time.monotonic()
