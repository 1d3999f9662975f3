"""Volatility from irregular ticks: three ratio-EWMAs, freed of noise, mixed and bounded
(strategy.md 3).
"""

from __future__ import annotations

import math

import attrs

from polybot.pricing.params import PricingParams
from polybot.pricing.season import FLAT, YEAR_S, Season

HALF_PI = math.pi / 2
NOISE_MOST = 0.5  # of the raw variance; more would say that hardly anything moved at all
# The negative autocorrelation must stand out from chance by this many standard errors, after so
# many returns: a chance finding in few would take half the variance away, and breed certainties.
NOISE_DEVIATIONS, NOISE_SAMPLES = 3.0, 600.0
JUMP_SAMPLES = 8.0  # fewer in the fast estimate's memory tell nothing of jumps
# One wrong print makes two returns, there and back: a tenth would hold σ at its cap for hours, and
# bipower, the product of the two, would not be blind to it. So a return beyond FAR times the
# present σ·√Δ waits for the next sample: where that takes half of it back, both count as their sum,
# which is what the price has moved. Twelve recorded hours of the oracle have 120 returns beyond six
# and not one that turned so, so that moves are late by a sample and lose nothing; of independent
# returns as wild as Student's t with three degrees it takes 0.02 % of the variance. A wrong print
# below six adds a quarter to σ at the most where samples are a second apart, and is soon gone with
# the fast and the medium estimate.
FAR, TAKEN_BACK = 6.0, 0.5
# What comes twice within a minute is no accident but how this price moves: it counts.
ALONE_MS = 60_000


def per_root_second(annual: float) -> float:
    """Annual volatility (0.45 is 45 %) as volatility per √s."""
    return annual / math.sqrt(YEAR_S)


@attrs.define
class _Ewma:
    """N ← N·e^(-Δt/θ) + r², D ← D·e^(-Δt/θ) + Δt; variance per second is N/D.

    `bipower` is the same sum of (π/2)|r_i||r_(i-1)|, blind to single jumps; `samples` counts, with
    the same forgetting, how often noise has been added.
    """

    theta_s: float
    squares: float = 0.0
    bipower: float = 0.0
    seconds: float = 0.0
    samples: float = 0.0

    def step(self, squared: float, bipower: float, seconds: float) -> None:
        decay = math.exp(-seconds / self.theta_s)
        self.squares = self.squares * decay + squared
        self.bipower = self.bipower * decay + bipower
        self.seconds = self.seconds * decay + seconds
        self.samples = self.samples * decay + 1

    def variance(self, noise: float) -> float:
        """Per second; `noise` is the variance that observing adds to each squared return."""
        raw = self.squares
        return max(raw - noise * self.samples, raw * (1 - NOISE_MOST)) / self.seconds


@attrs.define
class _Noise:
    """E[r_i·r_(i-1)] = -η² for prices observed with the error η (strategy.md 3.2)."""

    theta: float  # in samples
    products: float = 0.0
    squares: float = 0.0
    count: float = 0.0

    def step(self, product: float) -> None:
        keep = math.exp(-1 / self.theta)
        self.products = self.products * keep + product
        self.squares = self.squares * keep * keep + product * product
        self.count = self.count * keep + 1

    def added(self) -> float:
        """2η², if the autocorrelation is more than chance, else zero."""
        chance = math.sqrt(self.squares) * NOISE_DEVIATIONS
        if self.count < NOISE_SAMPLES or self.products >= -chance:
            return 0.0
        return -2 * self.products / self.count


@attrs.define
class Volatility:
    """Volatility of one symbol, per √s, from the ticks of its fastest honest source.

    Never feed it the 60 s average: its increments are 0.129 of the spot's (strategy.md 3.3).
    `jump_share` is the part of the fast estimate's variance that single jumps made, 0 to 1.
    """

    params: PricingParams = attrs.field(factory=PricingParams)
    season: Season = FLAT
    jump_share: float = attrs.field(default=0.0, init=False)
    _parts: tuple[_Ewma, ...] = attrs.field(init=False)
    _noise: _Noise = attrs.field(init=False)
    _log: float = attrs.field(default=0.0, init=False)
    _at_ms: int | None = attrs.field(default=None, init=False)
    _before: float | None = attrs.field(default=None, init=False)  # |r|/√Δ of the last step
    _return: float = attrs.field(default=0.0, init=False)
    # A return that waits for its witness, with its seconds and its stamp; when one was taken back.
    _held: tuple[float, float, int] | None = attrs.field(default=None, init=False)
    _forgiven_ms: int | None = attrs.field(default=None, init=False)
    _seen_s: float = attrs.field(default=0.0, init=False)
    _sigma: float = attrs.field(default=0.0, init=False)
    # Variances per second: what the quick estimates add to the mixture, and the slow one whole.
    _quick: float = attrs.field(default=0.0, init=False)
    _slow: float = attrs.field(default=0.0, init=False)
    _smooth: float = attrs.field(default=1.0, init=False)
    _floor: float = attrs.field(default=0.0, init=False)

    def __attrs_post_init__(self) -> None:
        self._forget()

    def _forget(self) -> None:
        lives = self.params.vol_half_lives_s
        self._parts = tuple(_Ewma(life / math.log(2)) for life in lives)
        self._noise = _Noise(lives[-1] / math.log(2) / self.params.vol_sample_s)
        self._seen_s = self.jump_share = 0.0
        self._before = None

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
        move, held, self._held = math.log(price) - self._log, self._held, None
        if held is not None:
            if abs(held[0] + move) <= abs(held[0]) * TAKEN_BACK:
                move, seconds, self._forgiven_ms = held[0] + move, held[1] + seconds, at_ms
            else:
                self._count(*held)
        if seconds > self.params.vol_gap_s:
            self._before = None
            if seconds > self.params.vol_forget_s:
                self._forget()
        elif self._doubted(move, seconds, at_ms):
            self._held = move, seconds, at_ms
        else:
            self._count(move, seconds, at_ms)
        self._restart(price, at_ms)

    def _doubted(self, move: float, seconds: float, at_ms: int) -> bool:
        """Whether a return may be one wrong print. Before there is a σ only what is too much even
        for the highest one is.
        """
        if self._forgiven_ms is not None and at_ms - self._forgiven_ms < ALONE_MS:
            return False
        sigma = self._sigma or per_root_second(self.params.vol_cap_annual)
        return abs(move) > FAR * sigma * math.sqrt(seconds)

    def _count(self, move: float, seconds: float, at_ms: int) -> None:
        self._step(move, seconds, self.season.factor(at_ms))
        self._seen_s += seconds
        self._sigma = self._mixed(at_ms)

    def _restart(self, price: float, at_ms: int) -> None:
        self._log = math.log(price)
        self._at_ms = at_ms

    def _step(self, move: float, seconds: float, usual: float) -> None:
        """Take one return; `usual` is the season's variance factor, taken out of the slow part."""
        speed, before = abs(move) / math.sqrt(seconds), self._before
        squared = move * move
        bipower = squared if before is None else HALF_PI * speed * before * seconds
        if before is not None:
            self._noise.step(move * self._return)
        *quick, slow = self._parts
        for part in quick:
            part.step(squared, bipower, seconds)
        usual = usual or 1.0
        slow.step(squared / usual, bipower / usual, seconds)
        self._before, self._return = speed, move

    def _mixed(self, at_ms: int) -> float:
        fast, medium, slow = self._parts
        noise = self._noise.added()
        weights = self.params.vol_weights
        usual = self.season.factor(at_ms) or 1.0
        self._quick = weights[0] * fast.variance(noise) + weights[1] * medium.variance(noise)
        self._slow = slow.variance(noise / usual) * usual
        if fast.samples >= JUMP_SAMPLES and fast.squares > 0:
            self.jump_share = max(0.0, 1 - fast.bipower / fast.squares)
        self._smooth = min(1.0, medium.bipower / medium.squares) if medium.squares > 0 else 1.0
        low = max(self.params.vol_floor_annual, self.season.floor(at_ms))
        self._floor = per_root_second(low)
        return self._bounded(self._quick + weights[2] * self._slow)

    def _bounded(self, variance: float) -> float:
        cap = per_root_second(self.params.vol_cap_annual)
        return min(max(math.sqrt(variance), self._floor), cap)

    def ahead(self, seconds: float) -> float:
        """σ per √s to expect over so many seconds, once there is a `measured` one.

        What was quick in the last minutes says little of an hour: beyond `vol_quick_s` the quick
        estimates keep the weight they have over that much of the way, and the slow one takes the
        rest. On the thirteen recorded hours of the oracle the best weight of the medium estimate
        (QLIKE) is 0.3, 0.2, 0.15 and 0 at 5, 10, 15 and 60 minutes ahead.
        """
        quick_s = self.params.vol_quick_s
        if seconds <= quick_s:
            return self._sigma
        share = quick_s / seconds
        slow = 1.0 - share * (1.0 - self.params.vol_weights[2])
        return self._bounded(share * self._quick + slow * self._slow)

    def sigma(self, now_ms: int) -> float | None:
        """Volatility per √s, or None until enough has been seen and no prior is configured."""
        found = self.measured(now_ms)
        return found or per_root_second(self.params.vol_prior_annual) or None

    def measured(self, now_ms: int) -> float | None:
        """The same without the prior."""
        if self._at_ms is None or now_ms - self._at_ms > self.params.vol_forget_s * 1000:
            return None
        return self._sigma if self._sigma and self._seen_s >= self.params.vol_warmup_s else None

    def smooth(self, sigma: float) -> float:
        """What of σ is left when jumps are priced apart (bipower over realised, medium life), and
        no less than σ may be: of few moves bipower sees next to nothing.
        """
        return max(sigma * math.sqrt(self._smooth), self._floor)
