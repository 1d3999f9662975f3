"""Whether a recorded beat can be one of its market: its time, its prices, its sizes.

A file may hold another unit than its format promises, another market's rows, or figures that no
book has; what was played of it would be an empty or an invented market, and nobody would know.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TypeVar

import attrs

from polybot.exchange.calendar import end_of
from polybot.exchange.mirror_messages import Beat, Changes, NewTick, Print, Snapshot, Totals
from polybot.exchange.model import BUY, SELL
from polybot.exchange.money import ONE
from polybot.exchange.recording_files import Warnings
from polybot.exchange.recording_model import window_of
from polybot.exchange.rules import TICKS

AHEAD_MS = 172_800_000  # a market opens a day before its window (clob.md 8)
AFTER_MS = 3_600_000  # and its book is told of for minutes after it
SILENT_MS = 30_000  # within a window: a book that stood still so long was not heard

B = TypeVar("B", bound=Beat)


@attrs.frozen
class Sound:
    """What beats of one market must be."""

    slug: str
    start_ms: int
    end_ms: int

    @classmethod
    def of(cls, slug: str) -> Sound:
        """ValueError for a slug of no window that can be replayed."""
        series, start_ms = window_of(slug)
        return cls(slug, start_ms, end_of(series, start_ms))

    def __call__(self, beat: B) -> B:
        """The beat, when it can be one. ValueError."""
        if not self.start_ms - AHEAD_MS <= beat.at_ms <= self.end_ms + AFTER_MS:
            raise ValueError(f"{beat.at_ms} is no time of {self.slug} in Unix milliseconds")
        if not _possible(beat):
            raise ValueError(f"no book of a market is told so: {beat!r:.200}")
        return beat

    def heard(self, beats: Iterable[B], name: str, warnings: Warnings) -> Iterator[B]:
        """The beats, in order of time; told is where the file is silent within the window."""
        last_ms = self.start_ms
        for beat in beats:
            if (span := self._silence(last_ms, beat.at_ms)) is not None:
                warnings.tell(f"{name} is silent from {span} of {self.slug}: its book stands still")
            last_ms = beat.at_ms
            yield beat
        if (span := self._silence(last_ms, self.end_ms)) is not None:
            warnings.tell(f"{name} is silent from {span} of {self.slug}, its end: no book then")

    def _silence(self, from_ms: int, to_ms: int) -> str | None:
        begin_ms, end_ms = max(from_ms, self.start_ms), min(to_ms, self.end_ms)
        if end_ms - begin_ms < SILENT_MS:
            return None
        return f"{(begin_ms - self.start_ms) // 1000} to {(end_ms - self.start_ms) // 1000} s"


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
