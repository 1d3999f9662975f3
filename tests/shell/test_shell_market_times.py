"""Timetables out of the configuration."""

from __future__ import annotations

import attrs
import pytest
from desk_kit import MARKET
from shell_kit import shell_config

from polybot.domain.market import Candle
from polybot.market_times import cutoff_ms, stop_ms, timetable
from polybot.quoting.params import QuoteParams

HOUR = attrs.evolve(MARKET, rule=Candle("BTCUSDT", "1h"), end_ms=MARKET.start_ms + 3_600_000)


def test_defaults_of_the_reference() -> None:
    """120 s and 60 s for averages, 60 s and 15 s for candles (strategy.md 6.3)."""
    params = QuoteParams()

    assert (stop_ms(MARKET, params), cutoff_ms(MARKET, params)) == (120_000, 60_000)
    assert (stop_ms(HOUR, params), cutoff_ms(HOUR, params)) == (60_000, 15_000)


@pytest.mark.parametrize(("latency_s", "stop_s"), [(0.25, 120.0), (0.5, 167.3), (1.0, 294.6)])
def test_a_slower_bot_stops_earlier(latency_s: float, stop_s: float) -> None:
    """Where v·√L passes 2.5 c before the configured stop, it is the stop (strategy.md 6.3)."""
    params = QuoteParams(latency_s=latency_s)

    assert stop_ms(MARKET, params) / 1000 == pytest.approx(stop_s, abs=0.1)


def test_a_timetable_counts_from_the_window() -> None:
    """Every figure of the configuration in its place."""
    table = timetable(MARKET, shell_config(preopen_s=5.0))

    assert table.opens_ms == MARKET.start_ms - 5_000
    assert table.stop_ms == MARKET.end_ms - 20_000
    assert table.cutoff_ms == MARKET.end_ms - 10_000
    assert table.end_ms == MARKET.end_ms
