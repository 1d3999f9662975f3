"""How fast a replay goes, and how long the core takes for what: its stress test."""

from __future__ import annotations

import resource
from collections.abc import Iterator

import attrs

from polybot.clock import stopwatch_ns, wait_blocking
from polybot.journal.tape import FED, HEARD, Event
from polybot.lab.replay_core import Core

DIGITS = 6  # bits kept of a duration: within 2 %
FRAMES_OF = {"market": "books", "prices": "prices"}


@attrs.define
class Durations:
    """A histogram of nanoseconds, to two in a hundred."""

    counts: dict[int, int] = attrs.field(factory=dict)
    total_ns: int = 0

    def add(self, ns: int) -> None:
        self.total_ns += ns
        cut = ns.bit_length() - DIGITS
        rounded = ns >> cut << cut if cut > 0 else ns
        self.counts[rounded] = self.counts.get(rounded, 0) + 1

    @property
    def count(self) -> int:
        return sum(self.counts.values())

    def at(self, share: float) -> int:
        """The duration that this share of all do not exceed; 0 when there is none."""
        wanted, seen = share * self.count, 0
        for ns in sorted(self.counts):
            seen += self.counts[ns]
            if seen >= wanted:
                return ns
        return 0


@attrs.define(eq=False)
class Pace:
    """Hands events to the core, at once or at `speed` times the pace of the tape; keeps time.

    `behind_ns` is the longest that an event waited for its turn, `waiting` how many were due then:
    what a queue before the core would have held.
    """

    speed: float | None = None
    stages: dict[str, Durations] = attrs.field(factory=dict)
    first_ns: int | None = None
    last_ns: int = 0
    behind_ns: int = 0
    waiting: int = 0
    busy_ns: int = 0
    _begun: int = 0
    _late: int = 0
    # By a heard stream, or the first letters of what was fed: their stage, None for none.
    _times: dict[str | bytes, Durations | None] = attrs.field(factory=dict)

    def take(self, event: Event, core: Core) -> None:
        if self.first_ns is None:
            self.first_ns, self._begun = event.at_ns, stopwatch_ns()
        self.last_ns = event.at_ns
        if self.speed is not None:
            self._wait(event, self.speed)
        before = stopwatch_ns()
        core.take(event)
        took = stopwatch_ns() - before
        self.busy_ns += took
        key = event.stream if event.kind is HEARD else event.body[4:10]
        try:
            times = self._times[key]
        except KeyError:
            name = stage(event)
            times = self.stages.setdefault(name, Durations()) if name else None
            self._times[key] = times
        if times is not None:
            times.add(took)

    @property
    def messages(self) -> int:
        """Frames that the core was given."""
        return sum(self.stages[name].count for name in FRAMES_OF.values() if name in self.stages)

    def _wait(self, event: Event, speed: float) -> None:
        assert self.first_ns is not None
        due = self._begun + int((event.at_ns - self.first_ns) / speed)
        late = stopwatch_ns() - due
        if late < 0:
            self._late = 0
            wait_blocking(-late / 1e9)
            return
        self._late += 1
        self.behind_ns = max(self.behind_ns, late)
        self.waiting = max(self.waiting, self._late)

    def lines(self) -> Iterator[str]:
        """For people: the rate, each stage's latencies, and the memory."""
        if self.first_ns is None or not self.busy_ns:
            return
        wall_s = (stopwatch_ns() - self._begun) / 1e9
        tape_s = (self.last_ns - self.first_ns) / 1e9
        yield f"{tape_s:.0f} s of the run in {wall_s:.1f} s, {tape_s / max(wall_s, 1e-9):.0f}-fold"
        yield f"{self.messages:,} messages, {self.messages / max(wall_s, 1e-9):,.0f} a second"
        if self.speed is not None:
            yield (
                f"at {self.speed:g}-fold pace at most {self.behind_ns / 1e6:.1f} ms behind, "
                f"{self.waiting:,} events waiting"
            )
        yield f"{'stage':<18}{'events':>12}{'p50 µs':>10}{'p99 µs':>10}{'most µs':>10}{'share':>8}"
        for name, times in sorted(self.stages.items()):
            figures = "".join(f"{times.at(share) / 1e3:>10.1f}" for share in (0.5, 0.99, 1.0))
            share = times.total_ns / self.busy_ns
            yield f"{name:<18}{times.count:>12,}{figures}{share:>8.0%}"
        used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        yield f"memory at most {used:.0f} MB"


def stage(event: Event) -> str:
    """What the core does with an event; empty where it does nothing."""
    if event.kind is HEARD:
        return FRAMES_OF.get(event.stream.partition(" ")[0], "")
    if event.kind is not FED:
        return ""
    for name, mark in (("quotes", b"\xa7Stepped"), ("order desks", b"\xa5Acted")):
        if mark in event.body[:16]:
            return name
    return "private facts"
