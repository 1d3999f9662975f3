"""What the crowd believes: the true probability of Up, from the price source itself.

The crowd stands for everyone else on the venue, so it may read the truth (prices at any instant,
the volatility that makes them); how late each member reads it is what makes its quotes wrong.
Derived from the settlement rule (strategy.md 1 and 2); shares no code with the bot's pricing.
"""

from __future__ import annotations

import math

import attrs

from polybot.exchange.model import Market
from polybot.exchange.oracle import PriceSource

WINDOW_S = 60  # samples in a settlement average, one a second (strategy.md 1)
LEAD_S = 1.0  # Binance shows a move this long before Chainlink's stamps do, on average
SLOT_MS = 100  # beliefs change on this grid
KEPT_SLOTS = 64
BASIS_WEIGHT = 0.005  # per slot: the basis is learnt over about 20 s
FLOOR_S = 0.05  # least remaining variance, in seconds of σ²: keeps the last instant finite
# Which print will be the last one, nobody knows, nor how far the settling source is from the one
# that is watched: about a basis point, as much as four seconds move the price.
CANDLE_FLOOR_S = 4.0
SURE = 0.0005


@attrs.frozen
class View:
    """One belief: probability of Up, and how far that moves per √s (strategy.md 2.3)."""

    up: float
    speed: float


class Average:
    """The settlement average ending at `end_ms`, as far as it has been printed."""

    def __init__(self, source: PriceSource, asset: str, end_ms: int) -> None:
        self._source, self._asset = source, asset
        self._first_ms = end_ms - (WINDOW_S - 1) * 1000
        self._sums = [0.0]

    def expected(self, at_ms: int, spot: float) -> float:
        """Its expectation at `at_ms`: samples already printed, and `spot` for each one to come."""
        known = min(WINDOW_S, max(0, (at_ms - self._first_ms) // 1000 + 1))
        while len(self._sums) <= known:
            stamp = self._first_ms + (len(self._sums) - 1) * 1000
            self._sums.append(self._sums[-1] + self._source.chainlink(self._asset, stamp))
        return (self._sums[known] + (WINDOW_S - known) * spot) / WINDOW_S


def twap_variance_s(to_start: float, to_end: float) -> float:
    """Variance of ln(final average / strike average) still to come, in units of σ² (seconds).

    The integral of the squared weight that a return at each later instant has on the difference of
    the two averages: it ramps up through the strike's window, is 1 between, ramps down through the
    final one. Agrees with strategy.md 2.2 in its three regimes.
    """
    w = float(WINDOW_S)
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
    return View(min(1 - SURE, max(SURE, _normal(d))), density * weight / spread)


class MarketOdds:
    """Beliefs about one market. `at` answers any recent instant; each slot is computed once."""

    def __init__(self, market: Market, source: PriceSource) -> None:
        """The source must know the minute before the market's start."""
        self._market, self._source = market, source
        asset = market.series.asset
        self._strike = Average(source, asset, market.start_ms)
        self._final = Average(source, asset, market.end_ms)
        self._basis: float | None = None
        self._slots: dict[int, View] = {}

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
        market = self._market
        to_start, to_end = (market.start_ms - at_ms) / 1000, (market.end_ms - at_ms) / 1000
        sigma = self._source.sigma(market.series.asset, at_ms)
        if market.series.rule != "twap":
            return self._candle(at_ms, to_start, to_end, sigma)
        return self._twap(at_ms, to_start - LEAD_S, to_end - LEAD_S, sigma)

    def _candle(self, at_ms: int, to_start: float, to_end: float, sigma: float) -> View:
        market = self._market
        if to_start > 0:
            return _view(0.0, sigma, to_end - to_start, 0.0)
        asset = market.series.asset
        strike = market.strike or self._source.binance(asset, market.start_ms)
        gap = math.log(self._source.binance(asset, at_ms) / strike)
        return _view(gap, sigma, to_end + CANDLE_FLOOR_S, 1.0)

    def _twap(self, at_ms: int, to_start: float, to_end: float, sigma: float) -> View:
        spot = self._spot(at_ms)
        strike, final = self._strike.expected(at_ms, spot), self._final.expected(at_ms, spot)
        weight = min(1.0, max(to_end, 0.0) / WINDOW_S)
        if to_start > 0:
            weight -= min(1.0, to_start / WINDOW_S)
        return _view(math.log(final / strike), sigma, twap_variance_s(to_start, to_end), weight)

    def _spot(self, at_ms: int) -> float:
        """Where Chainlink is heading: Binance now, moved by the slowly learnt basis."""
        asset = self._market.series.asset
        lagged = self._source.binance(asset, at_ms - int(LEAD_S * 1000))
        ratio = self._source.chainlink(asset, at_ms) / lagged
        self._basis = (
            ratio if self._basis is None else (self._basis + BASIS_WEIGHT * (ratio - self._basis))
        )
        return self._source.binance(asset, at_ms) * self._basis
