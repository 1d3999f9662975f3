"""A market's timetable out of the configuration: when it opens, stops and is cut off."""

from __future__ import annotations

from polybot.config import Config
from polybot.domain.market import Candle, Market
from polybot.quoting.params import QuoteParams
from polybot.risk.timetable import PPM, Times, Timetable, stop_by_latency_ms


def cutoff_ms(market: Market, params: QuoteParams) -> int:
    """Milliseconds before the end when nothing of ours may rest any more."""
    candle = isinstance(market.rule, Candle)
    return int((params.cutoff_candle_s if candle else params.cutoff_twap_s) * 1000)


def stop_ms(market: Market, params: QuoteParams) -> int:
    """Milliseconds before the end when only the light side is still quoted: as configured, or
    earlier where our latency asks for it (strategy.md 6.3).
    """
    candle = isinstance(market.rule, Candle)
    asked_ms = int((params.stop_candle_s if candle else params.stop_twap_s) * 1000)
    latency_ms, move_ppm = int(params.latency_s * 1000), int(params.stop_move * PPM)
    return max(asked_ms, stop_by_latency_ms(market, latency_ms, move_ppm))


def timetable(market: Market, config: Config) -> Timetable:
    """The countdowns of one window under this configuration."""
    params = config.quote
    times = Times(stop_ms(market, params), cutoff_ms(market, params), int(params.preopen_s * 1000))
    return Timetable.of(market, times, int(config.pricing.twap_lag_s * 1000))
