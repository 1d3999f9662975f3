"""A seeded price path per asset: the truth of the synthetic world.

Volatility of three kinds: one that takes half an hour to forget, one that comes and goes within
seconds, and jumps. Their sizes are those of calibration.json (btc_vol): five-minute moves of
winter 2025/26 with their heavy tails, and a market that stands still half of all seconds. Basis
from feeds.md 7. Floats are US dollars.
"""

from __future__ import annotations

import copy
import functools
import math
import random
from collections.abc import Mapping

import attrs

from polybot.exchange import vol_path

GRID_MS = 100
_STEPS_PER_S = 1000 // GRID_MS
_PULL_EVERY_S = 300  # the shortest windows
PAST_MS = 3_660_000  # before the start, for candles and averages that are under way then


@attrs.frozen
class PriceRegime:
    """How restless the price is. The defaults are calibrated; others are for a bot that must also
    bear what the calibration has not seen.

    `volatility` multiplies σ. `pull` is the part of its way back that the price goes in a second,
    towards where it was when the current five minutes began: every window stays near its strike.
    """

    volatility: float = 1.0
    jumps_per_hour: float = 2.0
    jump: float = 0.0010  # of the price, one standard deviation
    pull: float = 0.0

    @property
    def jump_variance(self) -> float:
        """A second's, in log price."""
        return self.jumps_per_hour / 3600 * self.jump**2


MEASURED = PriceRegime()
REGIMES = {
    "measured": MEASURED,
    "still": PriceRegime(volatility=0.3, jumps_per_hour=0.0),
    "wild": PriceRegime(volatility=10.0),
    "jumps": PriceRegime(jumps_per_hour=60.0, jump=0.0020),
    "pinned": PriceRegime(pull=0.05),
}


@attrs.define
class _Path:
    """One asset's price path on the 100 ms grid, extended as it is asked for."""

    rng: random.Random
    first_ms: int
    prices: list[float]
    decimals: int
    phase: float
    regime: PriceRegime
    anchor: float  # log price that the pull leads back to
    log_vol: float = 0.0  # of σ over its median
    burst: float = 0.0
    per_second: list[float] = attrs.field(factory=list)  # σ per √s, one for each ten grid steps
    # Chainlink's values at whole seconds: each is asked for sixty times, by every average over it.
    stamped: dict[int, float] = attrs.field(factory=dict)

    def reach(self, index: int) -> None:
        while len(self.prices) <= index:
            self._extend_one_second()

    def _extend_one_second(self) -> None:
        """Ornstein–Uhlenbeck log volatilities, Gaussian steps, now and then a jump."""
        gauss = self.rng.gauss
        self.log_vol = vol_path.next_log(self.log_vol, gauss(0.0, 1.0))
        regime, log_price = self.regime, math.log(self.prices[-1])
        sigma = vol_path.bounded(self.log_vol) * regime.volatility
        self.per_second.append(sigma)
        self.burst = vol_path.next_burst(self.burst, gauss(0.0, 1.0))
        step = vol_path.burst_factor(self.burst) * sigma * math.sqrt(GRID_MS / 1000)
        if (self.first_ms // 1000 + len(self.prices) // _STEPS_PER_S) % _PULL_EVERY_S == 0:
            self.anchor = log_price
        log_price += regime.pull * (self.anchor - log_price)
        if self.rng.random() < regime.jumps_per_hour / 3600:
            log_price += gauss(0.0, regime.jump)
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


@functools.lru_cache(maxsize=8)
def _past(seed: int, asset: str, first_ms: int, price: float, regime: PriceRegime) -> _Path:
    """A path up to its world's start. Remembered, because the same worlds begin again and again: a
    seed that is lived twice, a backtest of four policies. Nobody may extend this one.
    """
    rng = random.Random(f"{seed}:{asset}")
    decimals, phase = 2 if price >= 10 else 4, rng.uniform(0, 2 * math.pi)
    path = _Path(rng, first_ms, [price], decimals, phase, regime, math.log(price))
    path.reach(PAST_MS // GRID_MS)
    return path


class _Paths(dict[str, _Path]):
    """The paths of one world, each with its past once it is asked for."""

    def __init__(
        self, seed: int, first_ms: int, prices: Mapping[str, float], regime: PriceRegime
    ) -> None:
        super().__init__()
        self._begun = seed, first_ms, regime
        self._prices = prices

    def __missing__(self, asset: str) -> _Path:
        seed, first_ms, regime = self._begun
        past = _past(seed, asset, first_ms, self._prices[asset], regime)
        path = self[asset] = attrs.evolve(
            past,
            rng=copy.copy(past.rng),
            prices=past.prices.copy(),
            per_second=past.per_second.copy(),
            stamped={},
        )
        return path


class SyntheticSource:
    """A seeded path per asset: stochastic volatility near 40 % a year (10–150 %), and jumps.

    Binance is the path, rounded to its tick; Chainlink the mean of its last two seconds, 3–8 bp
    below (feeds.md 7). The path begins an hour before `start_ms` at `start_prices`, so that candles
    and averages that are under way at the start have their past; two hours of it are kept.
    """

    KEEP_MS = 7_200_000
    SMOOTH_STEPS = 2_000 // GRID_MS  # of Chainlink (btc_vol: std by horizon)
    STAMPS_KEPT = 600

    def __init__(
        self, seed: int, start_ms: int, start_prices: Mapping[str, float],
        regime: PriceRegime = MEASURED,
    ) -> None:  # fmt: skip
        first_ms = (start_ms - PAST_MS) // 1000 * 1000
        self._regime = regime
        self._paths = _Paths(seed, first_ms, start_prices, regime)

    def binance(self, asset: str, at_ms: int) -> float:
        return round(self._price(asset, at_ms), self._paths[asset].decimals)

    def chainlink(self, asset: str, at_ms: int) -> float:
        if at_ms % 1000:
            return self._chainlink(asset, at_ms)
        stamped = self._paths[asset].stamped
        value = stamped.get(at_ms)
        if value is None:
            if len(stamped) >= self.STAMPS_KEPT:
                del stamped[next(iter(stamped))]
            value = stamped[at_ms] = self._chainlink(asset, at_ms)
        return value

    def _chainlink(self, asset: str, at_ms: int) -> float:
        path = self._paths[asset]
        turn = 2 * math.pi * at_ms / 14_400_000 + path.phase
        basis = 5.5e-4 + 2.5e-4 * math.sin(turn)
        return self._mean(asset, at_ms) * (1 - basis)

    def _mean(self, asset: str, at_ms: int) -> float:
        self._price(asset, at_ms)  # the path reaches as far, and is trimmed if it must be
        path = self._paths[asset]
        last = max((at_ms - path.first_ms) // GRID_MS, 0)
        recent = path.prices[max(last + 1 - self.SMOOTH_STEPS, 0) : last + 1]
        return math.fsum(recent) / len(recent)

    def sigma(self, asset: str, at_ms: int, ahead_s: float = 0.0) -> float:
        """σ over minutes: what passes within seconds is averaged out of it."""
        path = self._paths[asset]
        self._price(asset, at_ms + GRID_MS)  # σ of a second exists once the path has entered it
        second = max(at_ms - path.first_ms, 0) // 1000
        sigma, regime = path.per_second[second], self._regime
        if ahead_s:
            sigma = vol_path.ahead(sigma / regime.volatility, ahead_s) * regime.volatility
        return math.sqrt(sigma**2 + regime.jump_variance)

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
