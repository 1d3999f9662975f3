"""What the crowd believes: the probability of Up, from the price source itself.

The crowd stands for everyone else on the venue, so it may read the truth (prices at any instant,
the volatility that makes them); how late each member reads it is what makes its quotes wrong. It
takes returns for normal, as most do; what its beliefs come to in truth `lab/true_odds.py` says.
Derived from the settlement rule (strategy.md 1 and 2); shares no code with the bot's pricing.
"""

from __future__ import annotations

import math

import attrs

from polybot.exchange.model import Market
from polybot.exchange.oracle import PriceSource

# Samples of Chainlink in a settlement value, one a second: today's average (strategy.md 1), and the
# single one that counted at either end until August 2026 (the day calibration.json's books are of).
SAMPLES = {"twap": 60, "point": 1}
LEAD_S = 1.0  # Binance shows a move this long before Chainlink's stamps do, on average
SLOT_MS = 100  # beliefs change on this grid
KEPT_SLOTS = 64
BASIS_WEIGHT = 0.005  # per slot: the basis is learnt over about 20 s
FLOOR_S = 0.05  # least remaining variance, in seconds of σ²: keeps the last instant finite
NOON_MS = 60_000 - 1  # a day settles on the close of the minute that begins at its end
SURE = 0.0005
# In a window of five minutes volatility goes nowhere that a belief would show (log loss within a
# thousandth on 480 invented windows); over an hour, twice what it takes to forget, it does.
SAME_MS = 300_000


@attrs.frozen
class View:
    """One belief: probability of Up, and how far that moves per √s (strategy.md 2.3).

    `distance` is what both are made of: the log distance to the strike over the root of the seconds
    to go, to be held against a σ.
    """

    up: float
    speed: float
    distance: float = 0.0


class Average:
    """The settlement value of so many samples up to `end_ms`, as far as they have been printed."""

    def __init__(self, source: PriceSource, asset: str, end_ms: int, samples: int) -> None:
        self._source, self._asset, self._samples = source, asset, samples
        self._first_ms = end_ms - (samples - 1) * 1000
        self._sums = [0.0]

    def expected(self, at_ms: int, spot: float) -> float:
        """Its expectation at `at_ms`: samples already printed, and `spot` for each one to come."""
        known = min(self._samples, max(0, (at_ms - self._first_ms) // 1000 + 1))
        while len(self._sums) <= known:
            stamp = self._first_ms + (len(self._sums) - 1) * 1000
            self._sums.append(self._sums[-1] + self._source.chainlink(self._asset, stamp))
        return (self._sums[known] + (self._samples - known) * spot) / self._samples


def twap_variance_s(to_start: float, to_end: float, samples: int = SAMPLES["twap"]) -> float:
    """Variance of ln(final average / strike average) still to come, in units of σ² (seconds).

    The integral of the squared weight that a return at each later instant has on the difference of
    the two averages: it ramps up through the strike's window, is 1 between, ramps down through the
    final one. Agrees with strategy.md 2.2 in its three regimes.
    """
    w = float(samples)
    ramp_up = w / 3 * (1 - (1 - min(max(to_start, 0.0), w) / w) ** 3)
    flat = max(0.0, min(to_end, to_end - max(to_start, 0.0)) - w)
    ramp_down = min(max(to_end, 0.0), w) ** 3 / (3 * w * w)
    return ramp_up + flat + ramp_down


def _normal(d: float) -> float:
    return 0.5 * math.erfc(-d / math.sqrt(2))


def _view(gap: float, sigma: float, variance_s: float, weight: float) -> View:
    """The belief for a log distance `gap` to the strike; `weight` is that of a return just now."""
    spread = math.sqrt(max(variance_s, FLOOR_S))
    d = gap / (sigma * spread)
    density = math.exp(-d * d / 2) / math.sqrt(2 * math.pi)
    up = min(1 - SURE, max(SURE, _normal(d)))
    return View(up, density * weight / spread, gap / spread)


class MarketOdds:
    """Beliefs about one market. `at` answers any recent instant; each slot is computed once."""

    def __init__(self, market: Market, source: PriceSource) -> None:
        """The source must know the minute before the market's start."""
        self._market, self._source = market, source
        asset = market.series.asset
        self._samples = SAMPLES.get(market.series.rule, 0)
        self._strike = Average(source, asset, market.start_ms, self._samples)
        self._final = Average(source, asset, market.end_ms, self._samples)
        self._settles_ms = market.end_ms + (NOON_MS if market.series.rule == "noon" else 0)
        self._basis: float | None = None
        self._slots: dict[int, View] = {}
        self._known_sigma = (-1, 0.0)

    def at(self, at_ms: int) -> View:
        """The belief at `at_ms`."""
        slot = at_ms // SLOT_MS
        view = self._slots.get(slot)
        if view is None:
            if len(self._slots) >= KEPT_SLOTS:
                del self._slots[next(iter(self._slots))]
            view = self._slots[slot] = self._compute(slot * SLOT_MS)
        return view

    def _compute(self, at_ms: int) -> View:
        if at_ms >= self._settles_ms:  # who watches the source itself knows at once
            return View(1 - SURE if self._gap(self._settles_ms) >= 0 else SURE, 0.0)
        market = self._market
        to_start, to_end = (market.start_ms - at_ms) / 1000, (self._settles_ms - at_ms) / 1000
        sigma = self._sigma(at_ms)
        if self._samples:
            return self._average(at_ms, to_start - LEAD_S, to_end - LEAD_S, sigma)
        if to_start > 0:
            return _view(0.0, sigma, to_end - to_start, 0.0)
        return _view(self._gap(at_ms), sigma, to_end, 1.0)

    def _sigma(self, at_ms: int) -> float:
        """Of the time to go, and once a second: its mean square is a sum of eight parts."""
        asset, market = self._market.series.asset, self._market
        if self._settles_ms - market.start_ms <= SAME_MS:
            return self._source.sigma(asset, at_ms)
        second, sigma = self._known_sigma
        if second != at_ms // 1000:
            second, left_s = at_ms // 1000, (self._settles_ms - at_ms) / 1000
            sigma = self._source.sigma(asset, at_ms, left_s)
            self._known_sigma = second, sigma
        return sigma

    def _average(self, at_ms: int, to_start: float, to_end: float, sigma: float) -> View:
        weight = min(1.0, max(to_end, 0.0) / self._samples)
        if to_start > 0:
            weight -= min(1.0, to_start / self._samples)
        variance_s = twap_variance_s(to_start, to_end, self._samples)
        return _view(self._gap(at_ms), sigma, variance_s, weight)

    def _gap(self, at_ms: int) -> float:
        """The log distance of what the final value is expected to be to the strike."""
        if self._samples:
            spot = self._spot(at_ms)
            final, strike = (one.expected(at_ms, spot) for one in (self._final, self._strike))
        else:  # Binance's own candles: what settles is what everybody watches
            market, asset = self._market, self._market.series.asset
            final = self._source.binance(asset, at_ms)
            strike = market.strike or self._source.binance(asset, market.start_ms)
        return math.log(final / strike)

    def _spot(self, at_ms: int) -> float:
        """Where Chainlink is heading: Binance now, moved by the slowly learnt basis."""
        asset = self._market.series.asset
        lagged = self._source.binance(asset, at_ms - int(LEAD_S * 1000))
        ratio = self._source.chainlink(asset, at_ms) / lagged
        self._basis = (
            ratio if self._basis is None else (self._basis + BASIS_WEIGHT * (ratio - self._basis))
        )
        return self._source.binance(asset, at_ms) * self._basis
