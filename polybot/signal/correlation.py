"""Correlation across assets and windows: how much of one driver several markets share (strategy.md
10, 14).

Assets: exponentially weighted correlation of log moves over steps of a few seconds, each asset's
last price standing in for the moment; shorter steps look less related than they are. Windows of one
asset: what is still open of both hangs on the same path up to the nearer end, so their remaining
moves correlate by √(τ_near/τ_far).
"""

from __future__ import annotations

import math

import attrs
from msgspec import Struct

from polybot.signal.inputs import SET_BACK_MS, Refusal
from polybot.signal.params import SignalParams

MOVES_LEAST = 30.0


@attrs.define
class _Pair:
    """Fading sums of the products of two assets' moves."""

    both: float = 0.0
    first: float = 0.0
    second: float = 0.0
    weight: float = 0.0


@attrs.define(eq=False)
class Correlations:
    """One for all markets of the wallet: prices in, correlations of pairs of assets out."""

    params: SignalParams
    # By asset and source, for each has a level of its own: log price, when.
    _prices: dict[tuple[str, str], tuple[float, int]] = attrs.field(factory=dict)
    _before: dict[tuple[str, str], float] = attrs.field(factory=dict)
    _pairs: dict[tuple[str, str], _Pair] = attrs.field(factory=dict)
    _step_ms: int | None = None

    def spot(self, asset: str, price: float, now_ms: int, source: str = "") -> Refusal | None:
        """Take one price of one asset; what two sources are apart is no move."""
        if not 0 < price < math.inf:
            return Refusal.NOT_A_PRICE if math.isfinite(price) else Refusal.NOT_FINITE
        step_ms = int(self.params.correlation_step_s * 1000)
        if self._step_ms is None:
            self._step_ms = now_ms
        elif now_ms < self._step_ms - SET_BACK_MS:
            self._begin_anew(now_ms)
        elif now_ms < self._step_ms - step_ms:
            return Refusal.TIME_BACKWARDS
        elif now_ms - self._step_ms >= step_ms:
            self._step(now_ms)
        self._prices[asset, source] = (math.log(price), now_ms)
        return None

    def _step(self, now_ms: int) -> None:
        """Close one step: compare the moves of every two assets whose price is of this step. After
        a hole longer than a step everything begins anew: its move belongs to no step.
        """
        assert self._step_ms is not None  # `spot` has set it
        if now_ms - self._step_ms >= 2 * self.params.correlation_step_s * 1000:
            self._begin_anew(now_ms)
            return
        logs = {a: log for a, (log, at_ms) in self._prices.items() if at_ms >= self._step_ms}
        both = sorted(logs.keys() & self._before.keys())
        moves: dict[str, float] = {}
        for key in both:  # of several sources of an asset one is enough
            moves.setdefault(key[0], logs[key] - self._before[key])
        fade = 0.5 ** (self.params.correlation_step_s / self.params.correlation_half_life_s)
        for n, one in enumerate(moves):
            for other in list(moves)[n + 1 :]:
                pair = self._pairs.setdefault((one, other), _Pair())
                pair.both = pair.both * fade + moves[one] * moves[other]
                pair.first = pair.first * fade + moves[one] ** 2
                pair.second = pair.second * fade + moves[other] ** 2
                pair.weight = pair.weight * fade + 1
        self._before = logs
        self._step_ms = now_ms

    def _begin_anew(self, now_ms: int) -> None:
        self._prices.clear()
        self._before, self._step_ms = {}, now_ms

    def of(self, one: str, other: str) -> float:
        """The correlation of two assets in [-1, 1]; the prior until enough moves were compared."""
        if one == other:
            return 1.0
        pair = self._pairs.get((min(one, other), max(one, other)))
        if pair is None or pair.weight < MOVES_LEAST or not (pair.first and pair.second):
            return self.params.correlation_prior
        return min(1.0, max(-1.0, pair.both / math.sqrt(pair.first * pair.second)))


class OpenWindow(Struct, frozen=True, gc=False):
    """One market under way: its asset, the seconds to its end, and its fair price of Up."""

    asset: str
    left_s: float
    q: float = 0.5


def of_windows(near_s: float, far_s: float) -> float:
    """Correlation of what is still open of two windows of one asset: √(near/far). 0 when one of
    them has nothing left open.
    """
    near_s, far_s = min(near_s, far_s), max(near_s, far_s)
    return math.sqrt(near_s / far_s) if near_s > 0 else 0.0


def shared(here: OpenWindow, other: OpenWindow, correlations: Correlations) -> float:
    """Correlation of what is still open of two markets."""
    return correlations.of(here.asset, other.asset) * of_windows(here.left_s, other.left_s)


def crowding(here: OpenWindow, others: list[OpenWindow], correlations: Correlations) -> float:
    """How many markets' worth of the same driver runs beside this one: the sum of its correlations
    with the others, none counted below zero (a hedge is not a licence).
    """
    return sum(max(0.0, shared(here, other, correlations)) for other in others)
