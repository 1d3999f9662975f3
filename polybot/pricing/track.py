"""One price stream of one symbol: its last value, how fresh it is, and its last seconds."""

from __future__ import annotations

import math
import statistics
from collections import deque

import attrs

HISTORY_S = 150  # two averages of 60 s and some room for late stamps
BRIDGE_S = 10  # a longer hole is not carried over: the history starts again


def whole_second(stamp_ms: int) -> int:
    """The first whole second at or after `stamp_ms`: the price at it is the last one up to it."""
    return -(-stamp_ms // 1000)


@attrs.define
class Track:
    """What one stream said. Times in Unix ms; `live_ms` counts receipts of live ticks only."""

    value: float = 0.0
    stamp_ms: int = 0
    live_ms: int | None = None
    changed_ms: int | None = None
    _last_second: int | None = None
    _history: deque[float] = attrs.field(factory=lambda: deque(maxlen=HISTORY_S))

    def take(self, value: float, stamp_ms: int, recv_ms: int, *, snapshot: bool) -> bool:
        """Take one tick; False if it is older than what is held (a replay, or out of order)."""
        if stamp_ms < self.stamp_ms:
            return False
        if value != self.value or self.changed_ms is None:
            self.changed_ms = recv_ms
        self.value, self.stamp_ms = value, stamp_ms
        if not snapshot:
            self.live_ms = recv_ms
        self._remember(value, whole_second(stamp_ms))
        return True

    def _remember(self, value: float, second: int) -> None:
        history = self._history
        if self._last_second is None or second - self._last_second > BRIDGE_S:
            history.clear()
        else:
            hole = second - self._last_second - 1
            if hole < 0:
                history.pop()
            elif hole:
                history.extend([history[-1]] * hole)
        history.append(value)
        self._last_second = second

    def at(self, second: int) -> float | None:
        """The price at a whole second, or None if it is not held (too old, or still to come)."""
        if self._last_second is None:
            return None
        back = self._last_second - second
        return self._history[-1 - back] if 0 <= back < len(self._history) else None

    def mean(self, first: int, last: int) -> float | None:
        """Mean price over the whole seconds `first` … `last`, future ones at the last value.

        None if a second is too old to be held or the range is empty.
        """
        prices = [self.value if self._is_ahead(k) else self.at(k) for k in range(first, last + 1)]
        held = [price for price in prices if price is not None]
        return math.fsum(held) / len(held) if held and len(held) == len(prices) else None

    def _is_ahead(self, second: int) -> bool:
        return self._last_second is not None and second > self._last_second

    def lag_ms(self, now_ms: int) -> int:
        """Age of the last value by its own stamp."""
        return max(0, now_ms - self.stamp_ms)

    def is_fresh(self, now_ms: int, receipt_s: float, stamp_s: float) -> bool:
        """Whether the last live tick came within `receipt_s` and its stamp is within `stamp_s`."""
        if self.live_ms is None:
            return False
        return now_ms - self.live_ms <= receipt_s * 1000 and self.lag_ms(now_ms) <= stamp_s * 1000

    def is_frozen(self, now_ms: int, witness: Track, still_s: float, move_bp: float) -> bool:
        """Whether this value stood still for `still_s` while `witness` moved (reliability.md F59).

        A quiet market is not a frozen one: without a witness that moved nothing is claimed.
        """
        if self.changed_ms is None or now_ms - self.changed_ms < still_s * 1000:
            return False
        before = witness.at(whole_second(witness.stamp_ms) - math.ceil(still_s))
        return before is not None and abs(witness.value / before - 1) * 1e4 >= move_bp


@attrs.frozen
class Basis:
    """Oracle minus exchange, in dollars, with its spread relative to the price."""

    offset: float
    error: float
    at_ms: int


def basis(oracle: Track, exchange: Track, min_pairs: int, now_ms: int) -> Basis | None:
    """Median difference over the oracle's last minute; None with fewer than `min_pairs` seconds.

    Median, because the oracle trails the exchange by a second or two and a jump must not leak in.
    """
    last = whole_second(oracle.stamp_ms)
    gaps = []
    for second in range(last - 59, last + 1):
        theirs, ours = oracle.at(second), exchange.at(second)
        if theirs is not None and ours is not None:
            gaps.append(theirs - ours)
    if len(gaps) < min_pairs:
        return None
    middle = statistics.median(gaps)
    spread = statistics.median(abs(gap - middle) for gap in gaps)
    return Basis(middle, spread / exchange.value, now_ms)
