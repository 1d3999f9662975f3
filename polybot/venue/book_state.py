"""What a verified book says about itself: its state and its counters."""

from __future__ import annotations

import enum

import attrs


class BookState(enum.Enum):
    AWAITING_SNAPSHOT = "no snapshot yet"
    VALID = "verified"
    MISMATCH = "differs from the venue's hash"
    TICK_CHANGED = "tick changed, no book since"
    RESOLVED = "market resolved"


@attrs.define
class BookCounts:
    """Counters for the operator, since the start of the market."""

    snapshots: int = 0
    deltas: int = 0
    verified: int = 0
    learned: int = 0  # hashes that matched only with a trade price the prints had not shown yet
    mismatches: int = 0
    late: int = 0  # snapshots or deltas older than what we hold
    early: int = 0  # deltas before the first snapshot
    top_differs: int = 0  # the venue's best prices are not ours
    foreign: int = 0  # other markets' messages
    bad: int = 0
