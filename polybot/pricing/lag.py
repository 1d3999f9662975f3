"""By how many seconds the official average trails its own stamp (strategy.md 1, "stream lag").

The venue publishes neither the bounds nor the weights of its average, and one study finds that the
value stamped T covers the minute that ends at T - 3 s. So it is measured: among the lags 0 … 6 s
the one whose own average follows the official one with the least scatter. Scatter, not distance: a
constant difference in level, as between an exchange and the oracle, says nothing about time.
"""

from __future__ import annotations

import math
from collections import deque

import attrs

from polybot.pricing.track import Track

LAGS = 7
MEMORY = 180.0  # official values after which an old one counts for 1/e
WAITING = 30  # official values whose last second our own prices have not reached yet
ENOUGH = 60  # official values before anything is claimed
CLEAR = 1.5  # the best lag's scatter must be smaller than any other by this factor


@attrs.define
class _Scatter:
    """Mean and mean square of differences, forgetting."""

    weight: float = 0.0
    mean: float = 0.0
    square: float = 0.0

    def step(self, difference: float) -> None:
        keep = math.exp(-1 / MEMORY)
        self.weight = self.weight * keep + 1
        self.mean += (difference - self.mean) / self.weight
        self.square += (difference * difference - self.square) / self.weight

    def variance(self) -> float:
        return max(0.0, self.square - self.mean * self.mean)


@attrs.define
class Lag:
    """The lag against one stream of prices. Not seeded: until it is clear, there is none."""

    seen: int = 0
    _waiting: deque[tuple[int, float]] = attrs.field(factory=lambda: deque(maxlen=WAITING))
    _lags: tuple[_Scatter, ...] = attrs.field(factory=lambda: tuple(map(_new, range(LAGS))))
    found_s: float | None = None

    def observe(self, second: int, average: float, prices: Track, lookback_s: int) -> None:
        """Take the official average stamped `second`; it is compared with our own of `prices` as
        soon as these have come that far.
        """
        self._waiting.append((second, average))
        while self._waiting and prices.at(self._waiting[0][0]) is not None:
            self._compare(*self._waiting.popleft(), prices, lookback_s)

    def _compare(self, second: int, average: float, prices: Track, lookback_s: int) -> None:
        if prices.at(second - (LAGS - 1) - lookback_s + 1) is None:
            return  # no whole minute behind the longest lag: none is compared
        for lag, scatter in enumerate(self._lags):
            own = prices.mean(second - lag - lookback_s + 1, second - lag)
            if own is not None:
                scatter.step((average - own) / average)
        self.seen += 1
        self.found_s = self._clearest()

    def _clearest(self) -> float | None:
        if self.seen < ENOUGH:
            return None
        ranked = sorted((scatter.variance(), lag) for lag, scatter in enumerate(self._lags))
        (best, lag), (second, _) = ranked[:2]
        # Where nothing moves every lag fits, and none is told.
        return float(lag) if second > best * CLEAR else None

    def seconds(self, otherwise: float) -> float:
        """The measured lag, or `otherwise`."""
        return otherwise if self.found_s is None else self.found_s


def _new(_: int) -> _Scatter:
    return _Scatter()
