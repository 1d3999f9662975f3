"""An hour in the backtest: the exchange's candle decides it, and it is paid late."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

import attrs
import pytest
from backtest_kit import config, models

from polybot.domain.market import Candle
from polybot.exchange import recording_beats
from polybot.exchange.calendar import SERIES, slug_of
from polybot.exchange.mirror_messages import Beat, Print, Snapshot
from polybot.exchange.model import SELL, UP
from polybot.exchange.money import UNIT
from polybot.exchange.recording_beats import Window
from polybot.lab.backtest_input import find
from polybot.lab.backtest_run import Play
from polybot.pricing.fair import Fair
from polybot.pricing.strikes import Trust

START_MS = 1_795_132_800_000
END_MS = START_MS + 3_600_000
SLUG = slug_of(SERIES["btc-1h"], START_MS)
OPEN = 90_000.0


def price(at_ms: int) -> float:
    """A price that goes round its open, and closes above it."""
    return OPEN + 25 * math.sin((at_ms - START_MS) / 50_000) + 5


def beats() -> Iterator[Beat]:
    """A book that stands, and somebody who sells into it every twenty seconds."""
    for at_ms in range(START_MS - 60_000, END_MS, 20_000):
        bids = {4_800: 400 * UNIT, 4_700: 400 * UNIT}
        yield Snapshot(at_ms, bids, {5_200: 400 * UNIT, 5_300: 400 * UNIT})
        yield Print(at_ms + 5_000, UP, SELL, 4_800, 30 * UNIT)


def played(folder: Path, *, oracle: bool) -> Play:
    """The hour, looked at once a second; `oracle`: whether its prices were recorded as well."""
    assert SLUG is not None
    ticks = tuple((at, price(at)) for at in range(START_MS - 200_000, END_MS + 1, 1_000))
    window = Window(SLUG, "a test", UP, price(START_MS), price(END_MS), binance=ticks)
    window = attrs.evolve(window, chainlink=ticks if oracle else ())
    recording_beats.write(folder, window, beats())
    (chunk,) = find([folder]).chunks
    slow = attrs.evolve(config().orders, requote_min_ms=1_000, requote_max_ms=1_000)
    return Play(chunk.read(), attrs.evolve(config(), orders=slow), models("touch"))


@pytest.mark.parametrize("oracle", [False, True])
def test_an_hour_is_priced_by_its_candle_and_paid(tmp_path: Path, oracle: bool) -> None:
    """The rule is the candle's, its open is heard from the exchange again and again, for the first
    time before the oracle has spoken of its hour; the bot trades against it, and the result comes
    thirteen minutes after the end (strategy.md 2.1, clob.md 8).
    """
    play, seen = played(tmp_path, oracle=oracle), list[tuple[Fair, Trust]]()
    halfway = START_MS + 1_800_000

    def look(_now_ms: int) -> None:
        (window,) = play._windows.values()
        stage = window.stage
        assert stage.market.rule == Candle("BTCUSDT", "1h")
        fair, strike = stage.quoter.fair, stage.quoter.strike
        assert isinstance(fair, Fair)
        assert strike is not None
        seen.append((fair, strike.trust))
        assert strike.value == pytest.approx(price(START_MS), abs=0.5)

    play._timeline.at(START_MS + 20_000, look)
    play._timeline.at(halfway, look)
    (result,) = play.run()

    (early, before), (late, after) = seen
    assert (before, after) == (Trust.EXACT, Trust.OFFICIAL)
    assert early.tau_s > late.tau_s
    assert not early.provisional_strike
    assert (result.slug, result.winner) == (SLUG, "Up")
    assert result.fills > 0
    assert play.venue.now_ms >= END_MS + 720_000, "it is paid late"
