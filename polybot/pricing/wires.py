"""What each connection delivers: how old, how late, with which holes, and who is first.

Two connections may carry the same feed. The first to tell a stamp is believed and the other
counted, so that a report can say which one leads by how much, and whether they ever told two values
for one second.
"""

from __future__ import annotations

import statistics
from collections import deque

import attrs

from polybot.domain.prices import Feed, Source
from polybot.pricing.track import Track

REMEMBERED = 64  # stamps in a race, and figures kept for a median
CONFLICT_BP = 0.01  # one second has one value; a hundredth of a basis point forgives rounding
SHIFTS = 7  # seconds by which one feed is tried before another


def _recent() -> deque[int]:
    return deque(maxlen=4 * REMEMBERED)


@attrs.define
class Wire:
    """One feed of one symbol over one connection. Times in Unix ms.

    `firsts` counts the stamps that it told before another connection told them, too; `lost` what
    the venue said, or a gap in the numbering, that is missing.
    """

    seen: int = 0
    firsts: int = 0
    conflicts: int = 0
    lost: int = 0
    live_ms: int | None = None
    _delays_ms: deque[int] = attrs.field(factory=_recent)
    _leads_ms: deque[int] = attrs.field(factory=_recent)

    def take(self, stamp_ms: int, recv_ms: int) -> None:
        self.seen += 1
        self.live_ms = recv_ms
        self._delays_ms.append(recv_ms - stamp_ms)

    def behind(self, lead_ms: int) -> None:
        """Another connection told this stamp `lead_ms` earlier."""
        self._leads_ms.append(lead_ms)

    def delay_ms(self) -> int | None:
        """Median milliseconds from a value's stamp to its receipt."""
        return round(statistics.median(self._delays_ms)) if self._delays_ms else None

    def behind_ms(self) -> int | None:
        """Median milliseconds by which this connection comes after the first."""
        return round(statistics.median(self._leads_ms)) if self._leads_ms else None


@attrs.define
class Race:
    """The connections of one feed of one symbol."""

    wires: dict[Source, Wire] = attrs.field(factory=dict)
    # By stamp: who told it first, when, and what.
    _first: dict[int, tuple[Source, int, float]] = attrs.field(factory=dict)

    def wire(self, source: Source) -> Wire:
        found = self.wires.get(source)
        return self.wires.setdefault(source, Wire()) if found is None else found

    def take(self, source: Source, value: float, stamp_ms: int, recv_ms: int) -> None:
        """Note one live tick."""
        wire = self.wire(source)
        wire.take(stamp_ms, recv_ms)
        first = self._first.get(stamp_ms)
        if first is None:
            self._first[stamp_ms] = source, recv_ms, value
            if len(self._first) > REMEMBERED:
                del self._first[next(iter(self._first))]
        elif first[0] is not source:
            self.wire(first[0]).firsts += 1
            wire.behind(recv_ms - first[1])
            wire.conflicts += abs(value / first[2] - 1) * 1e4 > CONFLICT_BP


@attrs.frozen
class RaceLine:
    """One line of the report. `first_share` is of all stamps that two connections told; `None`:
    nothing to compare or nothing heard.
    """

    feed: Feed
    symbol: str
    source: Source
    seen: int
    delay_ms: int | None
    first_share: float | None
    behind_ms: int | None
    conflicts: int
    lost: int


def report(feed: Feed, symbol: str, race: Race) -> list[RaceLine]:
    """The connections of one feed, as figures."""
    shared = sum(wire.firsts for wire in race.wires.values())
    return [
        RaceLine(
            feed,
            symbol,
            source,
            wire.seen,
            wire.delay_ms(),
            wire.firsts / shared if shared else None,
            wire.behind_ms(),
            wire.conflicts,
            wire.lost,
        )
        for source, wire in race.wires.items()
    ]


def lead_s(leader: Track, follower: Track, length_s: int = 100) -> int | None:
    """By how many whole seconds of stamps the first price runs before the second.

    The shift at which the one-second changes of the last `length_s` differ least; None when the
    follower has not moved or is not held so long. Receipt is another matter: add each one's delay.
    """
    last = min(leader.stamp_ms, follower.stamp_ms) // 1000
    scores = []
    for shift in range(SHIFTS):
        total = moved = 0.0
        for second in range(last - length_s, last):
            before, after = follower.at(second), follower.at(second + 1)
            early, late = leader.at(second - shift), leader.at(second - shift + 1)
            if before is None or after is None or early is None or late is None:
                return None
            total += (after / before - late / early) ** 2
            moved += abs(after - before)
        if moved == 0:
            return None
        scores.append((total, shift))
    return min(scores)[1]
