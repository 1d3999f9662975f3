"""The simulated bot's wall clock: wrong from its start, running too fast, and stepped."""

from __future__ import annotations

import math

import attrs
import trio

from polybot.clock import Clock

GRAIN_S = 0.002  # it shows whole milliseconds


@attrs.define(eq=False)
class WrongClock(Clock):
    """A clock of which a second takes `rate` of the venue's; `since` is when it was right with
    itself, in Trio's seconds.
    """

    rate: float = 1.0
    since: float = 0.0
    # Since when it has gone by which origin: in Trio's seconds, the first one for ever.
    _begun: list[tuple[float, float]] = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self._begun = [(-math.inf, self.origin_ms)]

    @classmethod
    def beside(cls, clock: Clock, skew_ms: int, drift_ppm: int) -> WrongClock:
        """One that is `skew_ms` ahead of another now. Call inside `trio.run`."""
        return cls(clock.origin_ms + skew_ms, 1 + drift_ppm / 1e6, trio.current_time())

    def exact_ms(self) -> float:
        passed = (trio.current_time() - self.since) * self.rate
        return self.origin_ms + (self.since + passed) * 1000

    def set_right(self, by_ms: float) -> None:
        self._begun.append((trio.current_time(), self.origin_ms + by_ms))
        super().set_right(by_ms)

    def step(self, by_ms: float) -> None:
        """The machine has slept, or somebody has set its clock: nobody wakes for it."""
        self._begun.append((trio.current_time(), self.origin_ms + by_ms))
        self.origin_ms += by_ms

    def passed_s(self, since_ms: int) -> float:
        """What has passed since it showed that last, by Trio's time, whatever its steps were."""
        now_s = ended_s = trio.current_time()
        for begun_s, origin_ms in reversed(self._begun):
            at_s = self._shown_at(since_ms, origin_ms)
            if begun_s - GRAIN_S <= at_s <= ended_s + GRAIN_S:
                return now_s - at_s
            ended_s = begun_s
        raise ValueError(f"it never showed {since_ms}")

    def _shown_at(self, unix_ms: float, origin_ms: float) -> float:
        return self.since + ((unix_ms - origin_ms) / 1000 - self.since) / self.rate

    def trio_time(self, unix_ms: float) -> float:
        return self._shown_at(unix_ms, self.origin_ms)

    def ahead_ms(self, of: Clock) -> float:
        """How far it is ahead of another clock now."""
        return self.exact_ms() - of.exact_ms()
