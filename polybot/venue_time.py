"""How far our clock is from the venue's, by what the venue says of the time. Pure.

`GET /time` tells whole seconds: an answer is worth an interval of a second and its way there and
back. Answers asked at different parts of a second cut each other down, so that a few of them tell
the offset to a tenth (reliability.md F49); over a long way to no less than there and back take, for
nobody can know which of them takes how much. Rejected: their median, which is as coarse as the
second they are told in when all are asked on one beat.
"""

from __future__ import annotations

from collections import deque

import attrs

KEPT = 9  # answers that are believed together
SECOND_MS = 1000
OFF_MOST_MS = 1_000  # by how much we may surely be off (F49)
SURE_MS = 1_500  # a clock is set when it is known this well: within the half of it it is right


@attrs.frozen
class Offset:
    """Ours less the venue's, milliseconds: not less than `least`, not more than `most`."""

    least: int
    most: int

    @property
    def width(self) -> int:
        return self.most - self.least

    @property
    def middle(self) -> int:
        return (self.least + self.most) // 2

    @property
    def nearer(self) -> int:
        """What to take off our clock where the venue's time is not known well: as much of `middle`
        as leaves us no further off than we were, wherever in it we are. Nothing where we may be
        right.
        """
        if self.least > 0:
            return min(self.middle, 2 * self.least)
        return max(self.middle, 2 * self.most) if self.most < 0 else 0

    @property
    def off(self) -> bool:
        """Whether we are off by too much, wherever in it we are."""
        return self.least > OFF_MOST_MS or self.most < -OFF_MOST_MS

    def both(self, other: Offset) -> Offset | None:
        """What both allow; None where they contradict each other."""
        least, most = max(self.least, other.least), min(self.most, other.most)
        return Offset(least, most) if least <= most else None


@attrs.define
class VenueTime:
    """What the last answers say. One that contradicts the others is believed alone: clocks are
    stepped, and a machine that has slept is behind by as long.
    """

    _told: deque[Offset] = attrs.field(factory=lambda: deque(maxlen=KEPT))

    def heard(self, asked_ms: int, venue_s: int, told_ms: int) -> Offset:
        """An answer that came `told_ms`, to a question put `asked_ms` by our clock; the offset as
        it is known now.
        """
        new = Offset(
            asked_ms - venue_s * SECOND_MS - (SECOND_MS - 1), told_ms - venue_s * SECOND_MS
        )
        self._told.append(new)
        return self._known(new)

    def _known(self, new: Offset) -> Offset:
        known = new
        for number, old in enumerate(reversed(self._told)):
            agreed = known.both(old)
            if agreed is None:
                for _ in range(len(self._told) - number):
                    self._told.popleft()
                break
            known = agreed
        return known

    def forget(self) -> None:
        """Our clock has been set."""
        self._told.clear()
