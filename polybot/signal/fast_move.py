"""Fast move: the spot has gone further in a few seconds than its volatility explains (strategy.md
11, |Δ| > 3σ√5 in 5 s).

Any two moments within the span count, not only its ends: a jump and its return is two jumps to
whoever is picked off. Highest and lowest price of the span are kept in monotone queues, so a tick
costs the same whatever the span.
"""

from __future__ import annotations

import math
from collections import deque

import attrs
from msgspec import Struct
from msgspec.structs import replace

from polybot.signal.inputs import SET_BACK_MS, Refusal


class Move(Struct, frozen=True, gc=False):
    """`sigmas`: the largest move of the span in standard deviations of a move over all of it, with
    its sign: up when the low came before the high.
    """

    sigmas: float
    fast: bool


CALM = Move(0.0, fast=False)


@attrs.define(eq=False)
class FastMove:
    over_s: float
    limit: float
    hold_s: float
    begun: int = 0  # how many fast moves there have been
    _high: deque[tuple[int, float]] = attrs.field(factory=deque)
    _low: deque[tuple[int, float]] = attrs.field(factory=deque)
    _until_ms: int = 0
    _at_ms: int | None = None
    _last: Move = CALM
    _root: float = attrs.field(init=False)
    _over_ms: int = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self._root, self._over_ms = math.sqrt(self.over_s), int(self.over_s * 1000)

    def spot(self, price: float, sigma: float, now_ms: int) -> Refusal | None:
        """Take one price and the volatility per √s it is judged by."""
        if not (0 < price < math.inf and 0 < sigma < math.inf):
            finite = math.isfinite(price) and math.isfinite(sigma)
            return Refusal.NOT_A_PRICE if finite else Refusal.NOT_FINITE
        if self._at_ms is not None and now_ms < self._at_ms:
            if self._at_ms - now_ms <= SET_BACK_MS:
                return Refusal.TIME_BACKWARDS
            self._high.clear()
            self._low.clear()
            self._until_ms = 0
        self._at_ms = now_ms
        self._keep(math.log(price), now_ms)
        (high_ms, high), (low_ms, low) = self._high[0], self._low[0]
        sigmas = (high - low) / (sigma * self._root)
        if sigmas > self.limit:
            self.begun += now_ms >= self._until_ms
            self._until_ms = now_ms + int(self.hold_s * 1000) + 1
        signed = sigmas if low_ms <= high_ms else -sigmas
        self._last = Move(signed, now_ms < self._until_ms)
        return None

    def _keep(self, log: float, now_ms: int) -> None:
        high, low = self._high, self._low
        while high and high[-1][1] <= log:
            high.pop()
        while low and low[-1][1] >= log:
            low.pop()
        high.append((now_ms, log))
        low.append((now_ms, log))
        oldest_ms = now_ms - self._over_ms
        while high[0][0] < oldest_ms:
            high.popleft()
        while low[0][0] < oldest_ms:
            low.popleft()

    def read(self, now_ms: int) -> Move:
        """The last move, fast until its hold is over; calm before any price."""
        if self._last.fast and now_ms >= self._until_ms:
            self._last = replace(self._last, fast=False)
        return self._last
