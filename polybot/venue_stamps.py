"""A second witness of the venue's time: the stamps of what it and the exchanges publish. Pure.

`GET /time` may lie, steadily, and a clock set by it would be wrong all the while: cutoffs would be
missed by as much (reliability.md F49). What is stamped has been published by then, so the time is
at least its stamp, whatever our own clock shows; and of several streams that are read all the time
not all are seconds old. Where both witnesses contradict each other one of them is wrong, and nobody
can tell which: then nothing is placed, and no clock is set. Rejected: the `Date` of answers, which
comes from the edge in whole seconds, and a vote of the majority, which two streams behind one slow
link would win.

Stamps are held against Trio's time, which no step of our clock moves.
"""

from __future__ import annotations

from collections import deque

import attrs

BUCKET_S = 0.1
BUCKETS = 64
RECENT_S = 20.0
WITNESSES = 3  # stamps that must say it: a single one may be a slip
AHEAD_MOST_MS = 1_000  # by how much stamps may be ahead of what the venue says of the time
OLD_MOST_MS = 3_000  # how old the youngest of all streams may be
STREAMS_LEAST = 2  # one stream alone may be late


@attrs.define(eq=False)
class Stamps:
    """The latest stamps of each stream, as milliseconds ahead of Trio's clock when they came: of
    each tenth of a second the youngest.
    """

    _told: dict[str, deque[tuple[float, int]]] = attrs.field(factory=dict)

    def heard(self, stream: str, stamp_ms: int, now_s: float) -> None:
        """Something of a stream has come; `now_s` is Trio's."""
        told = self._told.get(stream)
        if told is None:
            told = self._told[stream] = deque(maxlen=BUCKETS)
        ahead_ms = stamp_ms - int(now_s * 1000)
        if told and now_s - told[-1][0] < BUCKET_S:
            told[-1] = (told[-1][0], max(told[-1][1], ahead_ms))
        else:
            told.append((now_s, ahead_ms))

    def contradict(self, least_ms: int, most_ms: int, now_s: float) -> str | None:
        """Why the venue's time cannot well be within these two, as its stamps have it; None: they
        do not contradict it.
        """
        proven = self._proven(now_s)
        if not proven:
            return None
        stamped_ms = _time_of(proven, now_s)
        if stamped_ms > most_ms + AHEAD_MOST_MS:
            by_s = (stamped_ms - most_ms) / 1000
            return f"the venue's time is {by_s:.1f} s behind the streams' stamps: one of them lies"
        if len(proven) >= STREAMS_LEAST and stamped_ms < least_ms - OLD_MOST_MS:
            by_s = (least_ms - stamped_ms) / 1000
            return (
                f"all streams are {by_s:.1f} s behind the venue's time: late, or one of them lies"
            )
        return None

    def ahead_of(self, now_ms: int, now_s: float) -> int:
        """By how many milliseconds the time is surely past what a clock shows; 0 where nothing says
        so. Stamps are kept by Trio's time: a clock that is stepped back is behind them at once,
        whether or not anything is heard after it.
        """
        proven = self._proven(now_s)
        return max(0, _time_of(proven, now_s) - now_ms) if proven else 0

    def _proven(self, now_s: float) -> list[int]:
        """What each stream's stamps have proven, by several of them."""
        proven, since_s = [], now_s - RECENT_S
        for told in self._told.values():
            while told and told[0][0] < since_s:
                told.popleft()
            if len(told) >= WITNESSES:
                proven.append(sorted([ahead_ms for _, ahead_ms in told])[-WITNESSES])
        return proven


def _time_of(proven: list[int], now_s: float) -> int:
    """The latest time that any stream has proven."""
    return max(proven) + int(now_s * 1000)
