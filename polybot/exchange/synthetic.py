"""A seeded price path per asset: the truth of the synthetic world.

Stochastic volatility near 45 % a year with jumps (the sizes are ours, not measured); lag and basis
from feeds.md 6 and 7. Floats are US dollars.
"""

from __future__ import annotations

import math
import random
from collections.abc import Mapping

import attrs

GRID_MS = 100
_STEPS_PER_S = 1000 // GRID_MS
_YEAR_S = 365.25 * 86_400
_SIGMA = 0.45 / math.sqrt(_YEAR_S)  # per √s
_SIGMA_MIN, _SIGMA_MAX = 0.20 / math.sqrt(_YEAR_S), 1.20 / math.sqrt(_YEAR_S)
_VOL_REVERSION = 1 / 1800  # half an hour to forget
_VOL_OF_VOL = 0.35 * math.sqrt(2 / 1800)  # stationary deviation 0.35 in the logarithm
_JUMPS_PER_S = 2 / 3600
_JUMP = 0.0010  # ten basis points
_JUMP_VARIANCE = _JUMPS_PER_S * _JUMP**2


@attrs.define
class _Path:
    """One asset's price path on the 100 ms grid, extended as it is asked for."""

    rng: random.Random
    first_ms: int
    prices: list[float]
    decimals: int
    phase: float
    log_vol: float = 0.0  # of σ over its mean
    per_second: list[float] = attrs.field(factory=list)  # σ per √s, one for each ten grid steps

    def reach(self, index: int) -> None:
        while len(self.prices) <= index:
            self._extend_one_second()

    def _extend_one_second(self) -> None:
        """Ornstein–Uhlenbeck log volatility, Gaussian steps, now and then a jump."""
        gauss = self.rng.gauss
        self.log_vol += -self.log_vol * _VOL_REVERSION + _VOL_OF_VOL * gauss(0.0, 1.0)
        sigma = min(max(_SIGMA * math.exp(self.log_vol), _SIGMA_MIN), _SIGMA_MAX)
        self.per_second.append(sigma)
        step = sigma * math.sqrt(GRID_MS / 1000)
        log_price = math.log(self.prices[-1])
        if self.rng.random() < _JUMPS_PER_S:
            log_price += gauss(0.0, _JUMP)
        for _ in range(_STEPS_PER_S):
            log_price += step * gauss(0.0, 1.0)
            self.prices.append(math.exp(log_price))

    def trim(self, keep_ms: int) -> None:
        """Drop whole seconds older than `keep_ms`."""
        seconds = (keep_ms - self.first_ms) // 1000
        if seconds > 0:
            del self.prices[: seconds * _STEPS_PER_S]
            del self.per_second[:seconds]
            self.first_ms += seconds * 1000


class SyntheticSource:
    """A seeded path per asset: stochastic volatility near 45 % a year (20–120 %), and jumps.

    Binance is the path, rounded to its tick; Chainlink follows two seconds later, 3–8 bp below
    (feeds.md 7). The path begins an hour before `start_ms` at `start_prices`, so that candles and
    averages that are under way at the start have their past; two hours of it are kept.
    """

    PAST_MS = 3_660_000
    KEEP_MS = 7_200_000
    LAG_MS = 2_000

    def __init__(self, seed: int, start_ms: int, start_prices: Mapping[str, float]) -> None:
        first_ms = (start_ms - self.PAST_MS) // 1000 * 1000
        self._paths = {
            asset: self._new_path(random.Random(f"{seed}:{asset}"), first_ms, price)
            for asset, price in start_prices.items()
        }

    @staticmethod
    def _new_path(rng: random.Random, first_ms: int, price: float) -> _Path:
        decimals = 2 if price >= 10 else 4
        return _Path(rng, first_ms, [price], decimals, phase=rng.uniform(0, 2 * math.pi))

    def binance(self, asset: str, at_ms: int) -> float:
        return round(self._price(asset, at_ms), self._paths[asset].decimals)

    def chainlink(self, asset: str, at_ms: int) -> float:
        path = self._paths[asset]
        turn = 2 * math.pi * at_ms / 14_400_000 + path.phase
        basis = 5.5e-4 + 2.5e-4 * math.sin(turn)
        return self._price(asset, at_ms - self.LAG_MS) * (1 - basis)

    def sigma(self, asset: str, at_ms: int) -> float:
        path = self._paths[asset]
        self._price(asset, at_ms + GRID_MS)  # σ of a second exists once the path has entered it
        second = max(at_ms - path.first_ms, 0) // 1000
        return math.sqrt(path.per_second[second] ** 2 + _JUMP_VARIANCE)

    def _price(self, asset: str, at_ms: int) -> float:
        path = self._paths[asset]
        index = (at_ms - path.first_ms) // GRID_MS
        if index < 0:
            return path.prices[0]
        if index >= len(path.prices):
            path.reach(index)
            path_span_ms = len(path.prices) * GRID_MS
            if path_span_ms > self.KEEP_MS + 600_000:  # in slices: trimming shifts the whole list
                path.trim(at_ms - self.KEEP_MS)
                index = (at_ms - path.first_ms) // GRID_MS
        return path.prices[index]
