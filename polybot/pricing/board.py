"""The price board: every reference price the bot has seen, and the fair probability they imply.

One board serves all markets. It is fed by the price streams and read by the quoters; it holds no
task and no clock. A fair probability needs all its inputs fresh, or it is refused with the reason.
"""

from __future__ import annotations

from collections import Counter

import attrs

from polybot.domain.market import Candle, Market, TwapPair, UnknownRule
from polybot.domain.prices import Feed
from polybot.pricing import fair as models
from polybot.pricing.fair import Fair, NoFair, WhyNoFair
from polybot.pricing.params import PricingParams
from polybot.pricing.sources import (
    Sources,
    Spot,
    TickRefusal,
    exchange_symbol,
    is_price,
    refuse_tick,
)
from polybot.pricing.strikes import Strike, StrikeCorrection, Strikes, Trust
from polybot.pricing.track import Track, whole_second

LOOKBACK_S = 60  # the only average the venue publishes (feeds.md 5.2)


@attrs.define
class PriceBoard:
    """Last values, short histories, strikes and volatilities by symbol; memory is bounded.

    `refused` counts the ticks that were not taken.
    """

    params: PricingParams = attrs.field(factory=PricingParams)
    refused: Counter[TickRefusal] = attrs.field(factory=Counter)
    _sources: Sources = attrs.field(init=False)
    _strikes: Strikes = attrs.field(factory=Strikes, init=False)

    def __attrs_post_init__(self) -> None:
        self._sources = Sources(self.params)

    def on_tick(
        self,
        feed: Feed,
        symbol: str,
        value: float,
        stamp_ms: int,
        recv_ms: int,
        *,
        snapshot: bool = False,
    ) -> TickRefusal | None:
        """Take one observation, received at `recv_ms`; the reason if it was not taken."""
        refusal = refuse_tick(value, stamp_ms, recv_ms)
        if refusal is None:
            refusal = self._take(feed, symbol, value, stamp_ms, recv_ms, snapshot=snapshot)
        if refusal is not None:
            self.refused[refusal] += 1
        return refusal

    def _take(
        self, feed: Feed, symbol: str, value: float, stamp_ms: int, recv_ms: int, *, snapshot: bool
    ) -> TickRefusal | None:
        if feed is Feed.CANDLE_OPEN:
            # Candles of several lengths share a symbol: their stamps follow no order.
            self._strikes.open_seen(symbol, value, stamp_ms)
            return None
        before_ms = self._sources.last_stamp_ms(feed, symbol)
        refusal = self._sources.take(feed, symbol, value, stamp_ms, recv_ms, snapshot=snapshot)
        if refusal is None and feed is Feed.TWAP60:
            self._strikes.average_seen(symbol, value, stamp_ms, before_ms)
        return refusal

    def official_strike(
        self, market: Market, value: float
    ) -> StrikeCorrection | TickRefusal | None:
        """Take the venue's published strike. A correction means: cancel and rebuild."""
        if not is_price(value):
            self.refused[TickRefusal.NOT_A_PRICE] += 1
            return TickRefusal.NOT_A_PRICE
        if isinstance(market.rule, UnknownRule):
            return None
        return self._strikes.official(
            market.rule.symbol, market.start_ms, value, self.params.strike_correction_bp
        )

    def strike(self, market: Market) -> Strike | None:
        """The strike held for a market, with its trust."""
        if isinstance(market.rule, UnknownRule):
            return None
        return self._strikes.of(market.rule.symbol, market.start_ms)

    def ages_s(self, now_ms: int) -> dict[tuple[Feed, str], float | None]:
        """Seconds since each stream's last live tick (None: never), for the operator."""
        return self._sources.ages_s(now_ms)

    def fair(self, market: Market, now_ms: int) -> Fair | NoFair:
        """The fair probability of Up by the market's own rule, or why there is none."""
        if now_ms >= market.end_ms:
            return NoFair(WhyNoFair.ENDED, (("past_s", f"{(now_ms - market.end_ms) / 1000:g}"),))
        if isinstance(market.rule, TwapPair):
            return self._twap(market, market.rule, now_ms)
        if isinstance(market.rule, Candle):
            return self._candle(market, market.rule, now_ms)
        return NoFair(WhyNoFair.RULE_UNKNOWN, (("rule", market.rule.why),))

    def _candle(self, market: Market, rule: Candle, now_ms: int) -> Fair | NoFair:
        spot = self._sources.exchange_spot(rule.symbol, now_ms)
        sigma = self._sources.sigma(rule.symbol, now_ms)
        if isinstance(spot, NoFair):
            return spot
        if isinstance(sigma, NoFair):
            return sigma
        if now_ms < market.start_ms:
            until_s = (market.start_ms - now_ms) / 1000
            even = models.before_open(spot.value, spot.value, sigma, until_s, market.length_s, 0.0)
            return _qualified(even, spot)
        strike = self.strike(market)
        if strike is None:
            return _no_strike(market)
        tau_s = (market.end_ms - now_ms) / 1000
        return _qualified(models.candle(spot.value, strike.value, sigma, tau_s), spot, strike)

    def _twap(self, market: Market, rule: TwapPair, now_ms: int) -> Fair | NoFair:
        if rule.lookback_s != LOOKBACK_S:
            return NoFair(WhyNoFair.RULE_UNKNOWN, (("lookback_s", str(rule.lookback_s)),))
        average = self._sources.average(rule.symbol, now_ms)
        spot = self._sources.oracle_spot(rule.symbol, now_ms)
        sigma = self._sources.sigma(exchange_symbol(rule.symbol), now_ms)
        if isinstance(average, NoFair):
            return average
        if isinstance(spot, NoFair):
            return spot
        if isinstance(sigma, NoFair):
            return sigma
        if now_ms < market.start_ms:
            return self._before_open(market, average, spot, sigma, now_ms)
        strike = self.strike(market)
        if strike is None:
            return _no_strike(market)
        tau_s = (market.end_ms - now_ms) / 1000 - self.params.twap_lag_s
        if tau_s >= LOOKBACK_S:
            ahead = models.twap_before_window(spot.value, strike.value, sigma, tau_s, LOOKBACK_S)
            return _qualified(ahead, spot, strike)
        mean = _expected(average, spot, market.end_ms)
        if isinstance(mean, NoFair):
            return mean
        forming = models.twap_inside_window(
            mean, spot.value, strike.value, sigma, tau_s, LOOKBACK_S
        )
        return _qualified(forming, spot, strike)

    def _before_open(
        self, market: Market, average: Track, spot: Spot, sigma: float, now_ms: int
    ) -> Fair | NoFair:
        until_s = max(0.0, (market.start_ms - now_ms) / 1000 - self.params.twap_lag_s)
        mean: float | NoFair = spot.value
        if until_s < LOOKBACK_S:
            mean = _expected(average, spot, market.start_ms)
        if isinstance(mean, NoFair):
            return mean
        priced = models.before_open(spot.value, mean, sigma, until_s, market.length_s, LOOKBACK_S)
        return _qualified(priced, spot)


def _expected(average: Track, spot: Spot, fixing_ms: int) -> float | NoFair:
    """The average expected at `fixing_ms`, rolled forward from the official one (strategy.md 2.2).

    Uses the raw source on both ends, so its basis to the oracle cancels.
    """
    seen, fixing = whole_second(average.stamp_ms), fixing_ms // 1000
    if seen >= fixing:
        return average.value
    entering = spot.source.mean(seen + 1, fixing)
    leaving = spot.source.mean(seen + 1 - LOOKBACK_S, fixing - LOOKBACK_S)
    if entering is None or leaving is None:
        return NoFair(WhyNoFair.HISTORY_SHORT, (("from_s", str(seen + 1 - LOOKBACK_S)),))
    return models.roll_forward(average.value, entering, leaving, fixing - seen, LOOKBACK_S)


def _qualified(priced: Fair | NoFair, spot: Spot, strike: Strike | None = None) -> Fair | NoFair:
    """Add to a model's answer what it could not know: how good its inputs are."""
    if isinstance(priced, NoFair):
        return priced
    return attrs.evolve(
        priced,
        age_s=spot.age_s,
        basis_error=spot.basis_error,
        provisional_strike=strike is not None and strike.trust is Trust.PROVISIONAL,
    )


def _no_strike(market: Market) -> NoFair:
    return NoFair(WhyNoFair.STRIKE_UNKNOWN, (("start_ms", str(market.start_ms)),))
