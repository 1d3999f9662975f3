"""Flow imbalance: which way takers have traded lately, both tapes as one (strategy.md 11)."""

from __future__ import annotations

import math

import attrs
from msgspec import Struct

from polybot.signal.inputs import SET_BACK_MS, Print, Refusal


class Flow(Struct, frozen=True, gc=False):
    """`imbalance` in [-1, 1], +1 all toward Up; `n_eff` trades' worth of evidence (Kish)."""

    imbalance: float
    n_eff: float

    @property
    def significant(self) -> bool:
        """More than two standard deviations from even (strategy.md 11)."""
        return abs(self.imbalance) > 2 / math.sqrt(self.n_eff)

    def shift(self, beta: float, v: float, theta_s: float, edge: float) -> float:
        """By how much to move the fair price of Up, in dollars: β·F·v·√θ, at most half the edge;
        nothing while not significant (strategy.md 11).
        """
        if not self.significant:
            return 0.0
        most = max(0.0, edge) / 2
        return min(max(beta * self.imbalance * v * math.sqrt(theta_s), -most), most)


@attrs.define(eq=False)
class FlowImbalance:
    """Trades weighted by size and fading by e^(-age/θ)."""

    theta_s: float
    _signed: float = 0.0
    _weight: float = 0.0
    _squares: float = 0.0
    _at_ms: int | None = None

    def trade(self, seen: Print, now_ms: int) -> Refusal | None:
        """Take one print; the reason if it was not taken."""
        refusal = seen.refusal
        if self._at_ms is not None and self._at_ms - now_ms > SET_BACK_MS:
            self._at_ms = now_ms  # the clock was ahead
        if refusal is None and self._at_ms is not None and now_ms < self._at_ms:
            refusal = Refusal.TIME_BACKWARDS
        if refusal is not None:
            return refusal
        fade = self._fade(now_ms)
        weight = float(seen.size)
        self._signed = self._signed * fade + seen.toward_up * weight
        self._weight = self._weight * fade + weight
        self._squares = self._squares * fade * fade + weight * weight
        self._at_ms = now_ms
        return None

    def _fade(self, now_ms: int) -> float:
        if self._at_ms is None:
            return 0.0
        return math.exp(-max(0, now_ms - self._at_ms) / 1000 / self.theta_s)

    def read(self, now_ms: int) -> Flow | None:
        """The imbalance now, or None with nothing left of any trade. Its size does not fade with
        silence, its evidence does.
        """
        fade = self._fade(now_ms)
        if self._weight * fade < 1:  # less than a millionth of a share
            return None
        n_eff = fade * self._weight**2 / self._squares
        return Flow(self._signed / self._weight, max(n_eff, 1e-9))
