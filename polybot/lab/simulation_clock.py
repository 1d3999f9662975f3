"""The simulated bot's wall clock: wrong from its start, running too fast, and stepped."""

from __future__ import annotations

import attrs
import trio

from polybot.clock import Clock


@attrs.define(eq=False)
class WrongClock(Clock):
    """A clock of which a second takes `rate` of the venue's; `since` is when it was right with
    itself, in Trio's seconds.
    """

    rate: float = 1.0
    since: float = 0.0

    @classmethod
    def beside(cls, clock: Clock, skew_ms: int, drift_ppm: int) -> WrongClock:
        """One that is `skew_ms` ahead of another now. Call inside `trio.run`."""
        return cls(clock.origin_ms + skew_ms, 1 + drift_ppm / 1e6, trio.current_time())

    def exact_ms(self) -> float:
        passed = (trio.current_time() - self.since) * self.rate
        return self.origin_ms + (self.since + passed) * 1000

    def trio_time(self, unix_ms: float) -> float:
        return self.since + ((unix_ms - self.origin_ms) / 1000 - self.since) / self.rate

    def ahead_ms(self, of: Clock) -> float:
        """How far it is ahead of another clock now."""
        return self.exact_ms() - of.exact_ms()
