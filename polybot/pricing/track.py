"""One price stream of one symbol: its last value, how fresh it is, and its last seconds."""

from __future__ import annotations

import math
import statistics

import attrs

HISTORY_S = 150  # two averages of 60 s and some room for late stamps
BRIDGE_S = 10  # a longer hole is not carried over: the history starts again
_TRIM = 4 * HISTORY_S  # seconds kept before the old ones are cut off, seldom and all at once


def whole_second(stamp_ms: int) -> int:
    """The first whole second at or after `stamp_ms`: the price at it is the last one up to it."""
    return -(-stamp_ms // 1000)


@attrs.define
class Track:
    """What one stream said. Times in Unix ms; `live_ms` counts receipts of live ticks only.

    `patience_s` is what it may be without before it is doubted: a receipt, a stamp, and a change.
    Beside the prices of whole seconds their running sums are kept, so that a mean over any minute
    is one subtraction. Sums are of differences to the first price: they lose no digits.
    """

    value: float = 0.0
    stamp_ms: int = 0
    live_ms: int | None = None
    changed_ms: int | None = None
    patience_s: tuple[float, float, float] = (math.inf, math.inf, math.inf)
    # Until when it is lively, once somebody has asked since the last tick.
    _lively_ms: float | None = attrs.field(default=None, eq=False)
    _last_second: int | None = None
    _prices: list[float] = attrs.field(factory=list)
    _sums: list[float] = attrs.field(factory=lambda: [0.0])  # of all before the place
    _torn: bool = False

    def take(self, value: float, stamp_ms: int, recv_ms: int, *, snapshot: bool) -> bool:
        """Take one tick; False if it is older than what is held (a replay, or out of order)."""
        if stamp_ms < self.stamp_ms:
            return False
        if value != self.value or self.changed_ms is None:
            self.changed_ms = recv_ms
        self.value, self.stamp_ms, self._lively_ms = value, stamp_ms, None
        if not snapshot:
            self.live_ms = recv_ms
        self._remember(value, whole_second(stamp_ms))
        return True

    def tear(self) -> None:
        """Updates were lost: a second that is missing now is unknown, not unchanged (F62)."""
        self._torn = True

    def _remember(self, value: float, second: int) -> None:
        last = self._last_second
        hole = BRIDGE_S if last is None else second - last - 1
        if hole >= BRIDGE_S or (hole > 0 and self._torn):
            self._prices, self._sums = [], [0.0]
        elif hole < 0:
            self._prices.pop()
            self._sums.pop()
        else:
            for _ in range(hole):
                self._append(self._prices[-1])
        self._append(value)
        self._torn = False
        self._last_second = second
        if len(self._prices) > _TRIM:
            del self._prices[:-HISTORY_S]
            prices, self._prices, self._sums = self._prices, [], [0.0]
            for price in prices:
                self._append(price)

    def _append(self, price: float) -> None:
        self._prices.append(price)
        self._sums.append(self._sums[-1] + (price - self._prices[0]))

    def at(self, second: int) -> float | None:
        """The price at a whole second, or None if it is not held (too old, or still to come)."""
        if self._last_second is None:
            return None
        back = self._last_second - second
        held = min(len(self._prices), HISTORY_S)
        return self._prices[-1 - back] if 0 <= back < held else None

    def mean(self, first: int, last: int) -> float | None:
        """Mean price over the whole seconds `first` … `last`, future ones at the last value.

        None if a second is too old to be held or the range is empty.
        """
        seen = self._last_second
        if seen is None or last < first:
            return None
        end = len(self._prices)
        ahead = max(last - max(seen, first - 1), 0)
        begin, stop = end - 1 - (seen - first), end - max(seen - last, 0)
        if begin < max(0, end - HISTORY_S) or stop < begin:
            if first > seen:
                return self.value
            return None
        anchor = self._prices[0]
        total = self._sums[stop] - self._sums[begin] + ahead * (self.value - anchor)
        return anchor + total / (last - first + 1)

    def lag_ms(self, now_ms: int) -> int:
        """Age of the last value by its own stamp."""
        return now_ms - self.stamp_ms if now_ms > self.stamp_ms else 0

    def is_fresh(self, now_ms: int, receipt_s: float, stamp_s: float) -> bool:
        """Whether the last live tick came within `receipt_s` and its stamp is within `stamp_s`."""
        live_ms = self.live_ms
        if live_ms is None or now_ms - live_ms > receipt_s * 1000:
            return False
        return now_ms - self.stamp_ms <= stamp_s * 1000

    def is_lively(self, now_ms: int) -> bool:
        """Whether it is fresh and has changed within its patience, and so is not frozen whatever
        any witness says: one question for two where nothing is wrong, asked of three tracks for
        every decision.
        """
        until_ms = self._lively_ms
        if until_ms is None:
            until_ms = self._lively_ms = self._lively_until_ms()
        return now_ms < until_ms

    def _lively_until_ms(self) -> float:
        if self.live_ms is None or self.changed_ms is None:
            return -math.inf
        receipt_s, stamp_s, still_s = self.patience_s
        last_ms = min(self.live_ms + receipt_s * 1000, self.stamp_ms + stamp_s * 1000)
        still_ms = self.changed_ms + still_s * 1000
        return still_ms if still_ms <= last_ms else math.floor(last_ms) + 1

    def is_frozen(self, now_ms: int, witness: Track, still_s: float, move_bp: float) -> bool:
        """Whether this value stood still for `still_s` while `witness` moved (reliability.md F59).

        A quiet market is not a frozen one: without a witness that moved nothing is claimed.
        """
        if self.changed_ms is None or now_ms - self.changed_ms < still_s * 1000:
            return False
        before = witness.at(whole_second(now_ms) - math.ceil(still_s))
        return before is not None and abs(witness.value / before - 1) * 1e4 >= move_bp


@attrs.frozen
class Basis:
    """Oracle minus exchange, in dollars.

    `offset` is the median of the last minute, `latest` that of the last `LATEST` pairs, `error` the
    spread of the minute relative to the price, `second` the last that both have told.
    """

    offset: float
    error: float
    at_ms: int
    latest: float = 0.0
    second: int = 0


LATEST = 5


def basis(oracle: Track, exchange: Track, min_pairs: int, now_ms: int) -> Basis | None:
    """The difference over the oracle's last minute; None with fewer than `min_pairs` seconds.

    Medians, because the oracle trails the exchange by a second or two and a jump must not leak in.
    """
    last = whole_second(oracle.stamp_ms)
    gaps, common = [], 0
    for second in range(last - 59, last + 1):
        theirs, ours = oracle.at(second), exchange.at(second)
        if theirs is not None and ours is not None:
            gaps.append(theirs - ours)
            common = second
    if len(gaps) < min_pairs:
        return None
    middle = statistics.median(gaps)
    spread = statistics.median([abs(gap - middle) for gap in gaps])
    latest = statistics.median(gaps[-LATEST:])
    return Basis(middle, spread / exchange.value, now_ms, latest, common)
