"""Whether a recorded beat can be one of its market: its time, its prices, its sizes.

A file may hold another unit than its format promises, another market's rows, or figures that no
book has; what was played of it would be an empty or an invented market, and nobody would know.
"""

from __future__ import annotations

from typing import TypeVar

import attrs

from polybot.exchange.calendar import end_of
from polybot.exchange.mirror_messages import Beat, Changes, NewTick, Print, Snapshot, Totals
from polybot.exchange.model import BUY, SELL
from polybot.exchange.money import ONE
from polybot.exchange.recording_model import window_of
from polybot.exchange.rules import TICKS

AHEAD_MS = 172_800_000  # a market opens a day before its window (clob.md 8)
AFTER_MS = 3_600_000  # and its book is told of for minutes after it

B = TypeVar("B", bound=Beat)


@attrs.frozen
class Sound:
    """What beats of one market must be."""

    slug: str
    first_ms: int
    last_ms: int

    @classmethod
    def of(cls, slug: str) -> Sound:
        """ValueError for a slug of no window that can be replayed."""
        series, start_ms = window_of(slug)
        return cls(slug, start_ms - AHEAD_MS, end_of(series, start_ms) + AFTER_MS)

    def __call__(self, beat: B) -> B:
        """The beat, when it can be one. ValueError."""
        if not self.first_ms <= beat.at_ms <= self.last_ms:
            raise ValueError(f"{beat.at_ms} is no time of {self.slug} in Unix milliseconds")
        if not _possible(beat):
            raise ValueError(f"no book of a market is told so: {beat!r:.200}")
        return beat


def _possible(beat: Beat) -> bool:
    match beat:
        case Snapshot():
            return _levels(beat.bids) and _levels(beat.asks) and beat.tick in {None, *TICKS}
        case Changes():
            return all(0 < price < ONE and size >= 0 for _, price, size in beat.changes)
        case Print():
            return 0 < beat.price < ONE and beat.shares > 0 and beat.side in {BUY, SELL}
        case NewTick():
            return beat.tick in TICKS
    return True


def _levels(side: Totals) -> bool:
    return not side or (min(side) > 0 and max(side) < ONE and min(side.values()) > 0)
