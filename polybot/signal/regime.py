"""Liquidity regime of a market, with hysteresis (strategy.md 11).

CRISIS is believed at once: it says that there is no price. Everything else, and the way out of a
crisis, must last, because a book flickers while it is being requoted.
"""

from __future__ import annotations

import enum
from collections import deque

import attrs
from msgspec import Struct

from polybot.domain.units import ONE, SHARE
from polybot.signal.inputs import Depth, Level
from polybot.signal.params import SignalParams

DEPTH_WITHIN = 300  # 10⁻⁴: three cents from the touch
MINUTE_MS = 60_000


class Regime(enum.Enum):
    HIGH = "high"
    NORMAL = "normal"
    LOW = "low"
    CRISIS = "crisis"


# (factor on the edge, factor on sizes); a crisis is not quoted (strategy.md 11).
RESPONSE = {
    Regime.HIGH: (1.0, 1.0),
    Regime.NORMAL: (1.0, 1.0),
    Regime.LOW: (1.5, 0.5),
    Regime.CRISIS: (1.5, 0.0),
}


_ORDER = (Regime.HIGH, Regime.NORMAL, Regime.LOW, Regime.CRISIS)


class Liquidity(Struct, frozen=True, gc=False):
    """The regime believed, and the figures of now: dollars, shares, seconds, trades per minute.
    `spread` and `depth` are None where a side is missing or the book crossed.
    """

    regime: Regime
    spread: float | None
    depth: float | None
    age_s: float
    trades: int


def depth_within(levels: tuple[Level, ...]) -> float:
    """Shares within three cents of the best level."""
    if not levels:
        return 0.0
    best, near = levels[0][0], 0
    for price, size in levels:
        if abs(price - best) > DEPTH_WITHIN:
            break  # they are in order
        near += size
    return near / SHARE


def _measure(seen: Depth | None) -> tuple[float | None, float | None]:
    """Spread in dollars and depth in shares; None for a book that is no market."""
    if seen is None or not seen.bids or not seen.asks or seen.asks[0][0] <= seen.bids[0][0]:
        return None, None
    spread = (seen.asks[0][0] - seen.bids[0][0]) / ONE
    return spread, min(depth_within(seen.bids), depth_within(seen.asks))


@attrs.define(eq=False)
class LiquidityRegime:
    params: SignalParams
    regime: Regime = Regime.NORMAL
    _book: Depth | None = None
    _changed_ms: int = 0
    _figures: tuple[float | None, float | None] = (None, None)  # spread and depth of the book
    _prints: deque[int] = attrs.field(factory=deque)
    _wanted: Regime = Regime.NORMAL
    _wanted_since_ms: int | None = None

    def traded(self, now_ms: int) -> None:
        """Count one print."""
        self._prints.append(now_ms)

    def book(self, seen: Depth | None, now_ms: int, *, fast: bool) -> Liquidity:
        """Judge the Up book of now; None is a book that is not known, `fast` a fast move."""
        if seen != self._book:
            self._book, self._changed_ms = seen, now_ms
            self._figures = _measure(seen)
        since_ms = self._wanted_since_ms
        if since_ms is not None and now_ms < since_ms:  # the clock was ahead
            self._wanted_since_ms, self._changed_ms = now_ms, min(self._changed_ms, now_ms)
            self._prints.clear()
        while self._prints and now_ms - self._prints[0] >= MINUTE_MS:
            self._prints.popleft()
        age_s = max(0, now_ms - self._changed_ms) / 1000
        spread, depth = self._figures
        self._follow(self._judge(spread, depth, age_s, fast=fast), now_ms)
        return Liquidity(self.regime, spread, depth, age_s, len(self._prints))

    def _judge(
        self, spread: float | None, depth: float | None, age_s: float, *, fast: bool
    ) -> Regime:
        params = self.params
        if spread is None or depth is None or fast or spread > params.regime_crisis_spread:
            return Regime.CRISIS
        thin = spread > params.regime_low_spread or depth < params.regime_low_depth
        if thin or age_s > params.regime_stale_s:
            return Regime.LOW
        tight = spread <= params.regime_high_spread and depth >= params.regime_high_depth
        return Regime.HIGH if tight else Regime.NORMAL

    def _follow(self, wanted: Regime, now_ms: int) -> None:
        """To the first that all have been beyond for long enough: a book that is now liquid and now
        normal has left a crisis.
        """
        calmness = _ORDER.index(wanted) - _ORDER.index(self.regime)
        before = _ORDER.index(self._wanted) - _ORDER.index(self.regime)
        if calmness * before <= 0 or self._wanted_since_ms is None:
            self._wanted, self._wanted_since_ms = wanted, now_ms
        elif abs(calmness) < abs(before):
            self._wanted = wanted
        if wanted is Regime.CRISIS:
            self.regime = wanted
        elif now_ms - self._wanted_since_ms >= self.params.regime_hold_s * 1000:
            self.regime = self._wanted
