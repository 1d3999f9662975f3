"""Windows of before August 2026: told, fixed and settled by the oracle's spot, as they were
(feeds.md 10.1). Recordings are of then, and who reads rules by their dates trades no other on them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from world_kit import Stage

from polybot.domain.market import TwapPair
from polybot.exchange.calendar import SPOT_UNTIL_MS
from polybot.exchange.gamma_figures import GammaFigures
from polybot.exchange.gamma_objects import GammaObjects
from polybot.exchange.mirror_messages import Snapshot
from polybot.exchange.model import DOWN, UP
from polybot.exchange.money import UNIT
from polybot.exchange.recording import RecordedWorld
from polybot.exchange.recording_beats import Window, write
from polybot.venue.rules import read_rule

APRIL_MS, NOVEMBER_MS = 1_777_108_200_000, 1_795_132_800_000
STRIKE, FINAL = 77_643.25, 77_640.5


def stage_of(folder: Path, open_ms: int) -> Stage:
    """One recorded window beside whose boundaries the price stood elsewhere."""
    prices = tuple((open_ms + 1000 * n, 77_700.0) for n in range(-120, 400))
    window = Window(
        f"btc-updown-5m-{open_ms // 1000}", "a test", DOWN, STRIKE, FINAL,
        chainlink=prices, binance=prices,
    )  # fmt: skip
    write(folder, window, [Snapshot(open_ms, {4900: 100 * UNIT}, {5100: 50 * UNIT}, tick=100)])
    return Stage(RecordedWorld(folder))


def told(stage: Stage, open_ms: int) -> dict[str, Any]:
    return GammaObjects(stage.lifecycle, GammaFigures(stage.engine, gaps=False)).market(
        stage.market(open_ms), stage.now_ms
    )


@pytest.mark.parametrize(("open_ms", "lookback_s"), [(APRIL_MS, 0), (NOVEMBER_MS, 60)])
def test_a_recorded_window_tells_the_rule_of_its_date(
    open_ms: int, lookback_s: int, tmp_path: Path
) -> None:
    """Told the average's, the bot refused every window of a recording of April."""
    stage = stage_of(tmp_path, open_ms)
    stage.run(open_ms + 10_000)

    rule = read_rule(told(stage, open_ms), "btc-5m", open_ms)

    assert isinstance(rule, TwapPair)
    assert rule.lookback_s == lookback_s


@pytest.mark.parametrize(
    ("open_ms", "decides", "other"),
    [(APRIL_MS, "chainlink", "twap60"), (NOVEMBER_MS, "twap60", "chainlink")],
)
def test_what_decides_is_what_the_stream_says(
    open_ms: int, decides: str, other: str, tmp_path: Path
) -> None:
    """The recorded strike is that stream's value at the boundary; the other one has its own."""
    stage = stage_of(tmp_path, open_ms)
    stage.run(open_ms + 20_000)

    def at_open(feed: str) -> list[float]:
        ticks = stage.oracle.history(feed, "btc", open_ms)
        return [tick.value for tick in ticks if tick.stamp_ms == open_ms]

    assert set(at_open(decides)) <= {STRIKE}
    assert STRIKE not in at_open(other)
    assert at_open("twap60")


def test_the_last_spot_windows(tmp_path: Path) -> None:
    """A window belongs to the day on which it starts."""
    for open_ms, spot in ((SPOT_UNTIL_MS - 300_000, True), (SPOT_UNTIL_MS, False)):
        folder = tmp_path / str(open_ms)
        folder.mkdir()
        stage = stage_of(folder, open_ms)
        stage.run(open_ms + 310_000 + 170_000)
        source = told(stage, open_ms)["resolutionSource"]
        assert ("twap" not in source) is spot
        assert stage.market(open_ms).winner == 1 - UP
