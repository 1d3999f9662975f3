"""Which formula prices which market when: from a rule, a moment and what is believed to a
probability (strategy.md 2). Called for every tick of every market: it allocates little.

What is known is the price at its stamp, so time to the fixing counts from there and not from now:
an oracle's value of two seconds ago has two seconds more to move.
"""

from __future__ import annotations

from polybot.domain.market import Candle, Market, TwapPair
from polybot.pricing import fair as models
from polybot.pricing.asset import LOOKBACK_S, Asset, Spot
from polybot.pricing.fair import Fair, NoFair, WhyNoFair
from polybot.pricing.params import PricingParams
from polybot.pricing.strikes import Strike, Trust
from polybot.pricing.tails import Tails
from polybot.pricing.track import Track, whole_second

EXACT = Trust.EXACT
Sigma = tuple[float, float]  # per √s over the time to go, and how many times that it is now


def value(
    market: Market,
    rule: TwapPair | Candle,
    asset: Asset,
    strike: Strike | None,
    params: PricingParams,
    tails: Tails,
    now_ms: int,
) -> Fair | NoFair:
    """The fair probability of Up, or why there is none."""
    left_ms = market.end_ms - now_ms
    if left_ms <= 0:
        return NoFair(WhyNoFair.ENDED, (("past_s", f"{-left_ms / 1000:g}"),))
    twap = isinstance(rule, TwapPair)
    lookback_s = rule.lookback_s
    if lookback_s and lookback_s != LOOKBACK_S:
        return NoFair(WhyNoFair.RULE_UNKNOWN, (("lookback_s", str(lookback_s)),))
    spot = asset.oracle_spot(now_ms) if twap else asset.exchange_spot(now_ms)
    if not isinstance(spot, Spot):
        return spot
    left_s = left_ms / 1000 + spot.age_s
    sigma = asset.sigma(now_ms, left_s)
    if not isinstance(sigma, tuple):
        return sigma
    until_ms = market.start_ms - now_ms
    if until_ms <= 0:
        ill = _strike_ill(strike, asset, params, left_ms if twap else None, now_ms)
        if ill is not None:
            return ill
    until_s = until_ms / 1000 + spot.age_s
    if not lookback_s:
        if until_ms > 0 or strike is None:
            return _even(market, spot, sigma, tails, until_s)
        return _digital(rule, spot, sigma, strike, tails, left_s)
    average = asset.official(now_ms)
    if not isinstance(average, Track):
        return average
    if until_ms > 0 or strike is None:
        return _before_open(market, average, spot, sigma, tails, until_s)
    return _twap(market, average, spot, sigma, strike, tails, left_s)


def _strike_ill(
    strike: Strike | None,
    asset: Asset,
    params: PricingParams,
    left_ms: int | None,
    now_ms: int,
) -> NoFair | None:
    """Why a window under way may not be priced against its strike.

    `left_ms` of a market that the oracle decides: near its end oracle and exchange must stand on
    one side of the strike (F60).
    """
    if strike is None:
        return NoFair(WhyNoFair.STRIKE_UNKNOWN)
    moved_ms = strike.corrected_ms
    if moved_ms is not None and 0 <= now_ms - moved_ms < params.strike_pause_s * 1000:
        return NoFair(WhyNoFair.STRIKE_CORRECTED, (("strike", f"{strike.value:.10g}"),))
    if left_ms is not None and left_ms <= params.apart_sides_s * 1000:
        return asset.straddles(strike.value)
    return None


def _even(market: Market, spot: Spot, sigma: Sigma, tails: Tails, until_s: float) -> Fair | NoFair:
    """A window that opens with a single value: until then nothing speaks for either side."""
    ahead, pace = sigma
    origin = (spot.age_s, spot.quality, False, pace)
    return models.before_open(
        spot.value, spot.value, ahead, max(0.0, until_s), market.length_s, 0.0, tails, origin
    )


def _digital(
    rule: TwapPair | Candle,
    spot: Spot,
    sigma: Sigma,
    strike: Strike,
    tails: Tails,
    left_s: float,
) -> Fair | NoFair:
    """Value against value: a candle, or the oracle's spot as it was until August 2026."""
    ahead, pace = sigma
    origin = (spot.age_s, spot.quality, strike.trust < EXACT, pace)
    if isinstance(rule, Candle):
        return models.candle(spot.value, strike.value, ahead, left_s, tails, origin)
    return models.twap_before_window(spot.value, strike.value, ahead, left_s, 0.0, tails, origin)


def _twap(
    market: Market,
    average: Track,
    spot: Spot,
    sigma: Sigma,
    strike: Strike,
    tails: Tails,
    left_s: float,
) -> Fair | NoFair:
    ahead, pace = sigma
    origin = (spot.age_s, spot.quality, strike.trust < EXACT, pace)
    tau_s = left_s - spot.lag_s
    if tau_s >= LOOKBACK_S:
        return models.twap_before_window(
            spot.value, strike.value, ahead, tau_s, LOOKBACK_S, tails, origin
        )
    mean = _expected(average, spot, market.end_ms)
    if isinstance(mean, NoFair):
        return mean
    return models.twap_inside_window(
        mean, spot.value, strike.value, ahead, tau_s, LOOKBACK_S, tails, origin
    )


def _before_open(
    market: Market, average: Track, spot: Spot, sigma: Sigma, tails: Tails, until_s: float
) -> Fair | NoFair:
    until_s = max(0.0, until_s - spot.lag_s)
    mean: float | NoFair = spot.value
    if until_s < LOOKBACK_S:
        mean = _expected(average, spot, market.start_ms)
    if isinstance(mean, NoFair):
        return mean
    ahead, pace = sigma
    origin = (spot.age_s, spot.quality, False, pace)
    return models.before_open(
        spot.value, mean, ahead, until_s, market.length_s, LOOKBACK_S, tails, origin
    )


def _expected(average: Track, spot: Spot, fixing_ms: int) -> float | NoFair:
    """The average expected at `fixing_ms`, rolled forward from the official one (strategy.md 2.2).

    Uses the raw source on both ends, so its basis to the oracle cancels; both ends are moved back
    by the lag of the official average against that source.
    """
    seen, fixing = whole_second(average.stamp_ms), fixing_ms // 1000
    if seen >= fixing:
        return average.value
    begin, end = seen - round(spot.lag_s), fixing - round(spot.lag_s)
    entering = spot.source.mean(begin + 1, end)
    leaving = spot.source.mean(begin + 1 - LOOKBACK_S, end - LOOKBACK_S)
    if entering is None or leaving is None:
        return NoFair(WhyNoFair.HISTORY_SHORT, (("from_s", str(begin + 1 - LOOKBACK_S)),))
    return models.roll_forward(average.value, entering, leaving, fixing - seen, LOOKBACK_S)
