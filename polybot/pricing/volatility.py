"""Volatility from irregular ticks: three ratio-EWMAs, mixed and bounded (strategy.md 3.1, 3.4)."""

from __future__ import annotations

import math

import attrs

from polybot.pricing.params import PricingParams

YEAR_S = 31_536_000.0


def per_root_second(annual: float) -> float:
    """Annual volatility (0.45 is 45 %) as volatility per √s."""
    return annual / math.sqrt(YEAR_S)


@attrs.define
class _Ewma:
    """N ← N·e^(-Δt/θ) + r², D ← D·e^(-Δt/θ) + Δt; variance per second is N/D."""

    theta_s: float
    squares: float = 0.0
    seconds: float = 0.0

    def step(self, squared: float, seconds: float) -> None:
        decay = math.exp(-seconds / self.theta_s)
        self.squares = self.squares * decay + squared
        self.seconds = self.seconds * decay + seconds


@attrs.define
class Volatility:
    """Volatility of one symbol, per √s, from the ticks of its fastest honest source.

    Never feed it the 60 s average: its increments are 0.129 of the spot's (strategy.md 3.3).
    """

    params: PricingParams = attrs.field(factory=PricingParams)
    _parts: tuple[_Ewma, ...] = attrs.field(init=False)
    _log: float = attrs.field(default=0.0, init=False)
    _at_ms: int | None = attrs.field(default=None, init=False)
    _seen_s: float = attrs.field(default=0.0, init=False)

    def __attrs_post_init__(self) -> None:
        self._forget()

    def _forget(self) -> None:
        lives = self.params.vol_half_lives_s
        self._parts = tuple(_Ewma(life / math.log(2)) for life in lives)
        self._seen_s = 0.0

    def observe(self, price: float, at_ms: int) -> None:
        """Take one tick stamped `at_ms`. Ticks out of order or too close together are skipped.

        Raises ValueError unless the price is finite and positive.
        """
        if not (math.isfinite(price) and price > 0):
            raise ValueError(f"expected a positive price, was {price}")
        if self._at_ms is None:
            self._restart(price, at_ms)
            return
        seconds = (at_ms - self._at_ms) / 1000
        if seconds < self.params.vol_sample_s:
            return
        if seconds <= self.params.vol_gap_s:
            squared = (math.log(price) - self._log) ** 2
            for part in self._parts:
                part.step(squared, seconds)
            self._seen_s += seconds
        elif seconds > self.params.vol_forget_s:
            self._forget()
        self._restart(price, at_ms)

    def _restart(self, price: float, at_ms: int) -> None:
        self._log = math.log(price)
        self._at_ms = at_ms

    def sigma(self, now_ms: int) -> float | None:
        """Volatility per √s, or None until enough has been seen and no prior is configured."""
        params = self.params
        silent = self._at_ms is None or now_ms - self._at_ms > params.vol_forget_s * 1000
        if silent or self._seen_s < params.vol_warmup_s or self._seen_s == 0:
            return per_root_second(params.vol_prior_annual) or None
        variance = sum(
            weight * part.squares / part.seconds
            for weight, part in zip(params.vol_weights, self._parts, strict=True)
        )
        floor = per_root_second(params.vol_floor_annual)
        return min(max(math.sqrt(variance), floor), per_root_second(params.vol_cap_annual))
