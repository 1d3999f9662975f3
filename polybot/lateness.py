"""Whether a market stream's books are of now: the hashes may agree, and frames wait unread. Pure.

A change that is read late makes them books of the past. They are believed again on evidence, and
not because some time has passed: a change that is read in time, or the venue's own books by REST.
That a late stream has nothing more to tell for a second says nothing, for what it tells next may be
as late; in a still market such a stream was believed two seconds of three.

Nor is one change in time enough. A link that lets frames through in bunches ends each with some
that are young, and its books are as old as the bunch is long just before the next. So nothing may
have been late for a while, and that while doubles whenever it turns out to have been too short.
"""

from __future__ import annotations

import attrs

# Usually a change is read after 0.1 s, one in ten after more than 0.2 (feeds.md 2.2); above about a
# second nothing should rest by it (feeds.md 2.6), and our clock may be half a second off.
LATE_MS = 1_500
FIRST_MS, LONGEST_MS = 1_000, 16_000  # the while: four doublings, as of every brake (breakers.py)
# For so long a stream may be late until another connection is tried: as long as it may be silent.
LASTING_MS = 6_000


@attrs.define(eq=False)
class Lateness:
    """Times are Unix milliseconds, by the clock that changes are stamped with when they come."""

    unproven: bool = False  # since a late change nothing has shown that the books are of now
    _until_ms: int = 0  # the while since the last late change ends here
    _while_ms: int = FIRST_MS
    _since_ms: int | None = None  # since when they are of the past, until another is tried

    def changed(self, lag_ms: int, now_ms: int) -> None:
        """A change has been read so long after its stamp."""
        if lag_ms <= LATE_MS:
            self.unproven = False
            return
        if not self.late(now_ms):
            self._since_ms = now_ms
        if now_ms >= self._until_ms:
            soon = self._until_ms and now_ms - self._until_ms <= 4 * self._while_ms
            self._while_ms = min(2 * self._while_ms, LONGEST_MS) if soon else FIRST_MS
        self._until_ms = now_ms + self._while_ms
        self.unproven = True

    def in_time(self) -> None:
        """The venue's books by REST are those of the stream."""
        self.unproven = False

    def held(self, now_ms: int) -> bool:
        """Whether a change was late not long enough ago. Asking changes nothing: the feed asks at
        times of its own, which no tape knows.
        """
        return now_ms < self._until_ms

    def late(self, now_ms: int) -> bool:
        """Whether the books are of the past, by all we know, as a turn asks. A clock that is set
        back makes no while longer.
        """
        self._until_ms = min(self._until_ms, now_ms + self._while_ms)
        return self._is_late(now_ms)

    def _is_late(self, now_ms: int) -> bool:
        return self.unproven or self.held(now_ms)

    def lasts(self, now_ms: int) -> bool:
        """Whether another connection should be tried, once each time: where that is late as well it
        is not the connection.
        """
        since_ms = self._since_ms
        if since_ms is None or not self._is_late(now_ms) or now_ms - since_ms <= LASTING_MS:
            return False
        self._since_ms = None
        return True
