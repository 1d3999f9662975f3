"""Markouts: what a fill was worth a little later (strategy.md 11).

m_h = s · (fair at t + h − price), s = +1 for a purchase; a fill of Down is measured against 1 − the
fair price of Up. The horizons are scaled to the window – 1, 5 and 20 % of it – and the last is the
settlement itself, which is unbiased and very noisy: its standard deviation is half a dollar, so it
takes 19,600 fills to see one cent, where a 15 s markout takes 196.

The fair price is our own blended one, never the last trade: a markout against the trade that hit us
measures the spread.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from typing import TypeVar

import attrs

from polybot.domain.market import UP, Outcome
from polybot.domain.units import ONE, SHARE
from polybot.signal.inputs import Filled, Refusal
from polybot.signal.tally import Tally

K = TypeVar("K")

HORIZONS = (0.01, 0.05, 0.20)  # of the window's length
SETTLEMENT = "settlement"
BUCKETS = 3  # of the time left when the fill came: last, middle and first third of the window
# A fair price that comes later than this part of the horizon is another horizon's.
LATE_PART, LATE_LEAST_MS = 0.5, 1_000
SEEN_MOST = 4_096


@attrs.frozen
class Bucket:
    """What fills are told apart by: how much of the window was left (0 the last third), outcome,
    level.
    """

    third: int
    outcome: Outcome
    level: int


@attrs.frozen
class Marked:
    """One markout known: of which fill, at which horizon, in dollars per share."""

    fill: Filled
    bucket: Bucket
    horizon: str
    value: float


@attrs.define(eq=False)
class Markouts:
    """One market's fills on their way to their markouts; each known one is handed to `known`.

    `missed` counts those for which no fair price came in time.
    """

    start_ms: int
    end_ms: int
    known: Callable[[Marked], None]
    missed: int = 0
    _waiting: dict[str, deque[tuple[int, Filled, Bucket]]] = attrs.field(init=False)
    _horizons_ms: dict[str, int] = attrs.field(init=False)
    _to_settle: list[tuple[Filled, Bucket]] = attrs.field(factory=list)
    _seen: dict[tuple[str, str], None] = attrs.field(factory=dict)

    def __attrs_post_init__(self) -> None:
        length_ms = self.end_ms - self.start_ms
        self._horizons_ms = {horizon_name(part): round(part * length_ms) for part in HORIZONS}
        self._waiting = {name: deque() for name in self._horizons_ms}

    def filled(self, fill: Filled, now_ms: int) -> Refusal | None:
        """Take one fill of ours; told again, as the venue does with every status, it is old."""
        if fill.size <= 0:
            return Refusal.NOT_A_SIZE
        if not 0 < fill.price < ONE:
            return Refusal.NOT_A_PRICE
        if not (math.isfinite(fill.half_spread) and math.isfinite(fill.rebate)):
            return Refusal.NOT_FINITE
        if fill.key in self._seen:
            return None
        self._seen[fill.key] = None
        if len(self._seen) > SEEN_MOST:
            del self._seen[next(iter(self._seen))]
        left = max(0, self.end_ms - now_ms) / max(1, self.end_ms - self.start_ms)
        bucket = Bucket(min(BUCKETS - 1, int(left * BUCKETS)), fill.outcome, fill.level)
        for name, horizon_ms in self._horizons_ms.items():
            if now_ms + horizon_ms <= self.end_ms:
                self._waiting[name].append((now_ms + horizon_ms, fill, bucket))
        self._to_settle.append((fill, bucket))
        return None

    def fair(self, q: float, now_ms: int) -> None:
        """Take the fair price of Up now: every fill whose horizon has come is marked with it."""
        if not (math.isfinite(q) and 0 < q < 1):
            return
        for name, waiting in self._waiting.items():
            if not waiting or waiting[0][0] > now_ms:
                continue
            late_ms = max(LATE_LEAST_MS, LATE_PART * self._horizons_ms[name])
            while waiting and waiting[0][0] <= now_ms:
                due_ms, fill, bucket = waiting.popleft()
                if now_ms - due_ms > late_ms:
                    self.missed += 1
                else:
                    self.known(Marked(fill, bucket, name, markout(fill, q)))

    def settled(self, up_payout: int) -> None:
        """The result: what one Up share pays, in 10⁻⁶ dollars."""
        for fill, bucket in self._to_settle:
            value = markout(fill, up_payout / SHARE)
            self.known(Marked(fill, bucket, SETTLEMENT, value))
        self._to_settle.clear()


def horizon_name(part: float) -> str:
    return f"{part:.0%} of the window"


def markout(fill: Filled, fair_up: float) -> float:
    """What a purchase was worth against the fair price of Up, in dollars per share."""
    fair = fair_up if fill.outcome is UP else 1 - fair_up
    return fair - fill.price / ONE


@attrs.define(eq=False)
class MarkoutTallies:
    """Means by horizon, and by horizon and bucket, of one series over all its windows."""

    half_life: float
    by_horizon: dict[str, Tally] = attrs.field(factory=dict)
    by_bucket: dict[tuple[str, Bucket], Tally] = attrs.field(factory=dict)
    target: Tally = attrs.field(init=False)  # half-spread and rebate the fills were meant to earn

    def __attrs_post_init__(self) -> None:
        self.target = Tally(self.half_life)

    def add(self, marked: Marked) -> None:
        """Take one markout, weighted by its shares."""
        weight = marked.fill.size / SHARE
        self._of(self.by_horizon, marked.horizon).add(marked.value, weight)
        self._of(self.by_bucket, (marked.horizon, marked.bucket)).add(marked.value, weight)
        if marked.horizon == horizon_name(HORIZONS[0]):
            self.target.add(marked.fill.half_spread + marked.fill.rebate, weight)

    def _of(self, tallies: dict[K, Tally], key: K) -> Tally:
        if key not in tallies:
            tallies[key] = Tally(self.half_life)
        return tallies[key]
