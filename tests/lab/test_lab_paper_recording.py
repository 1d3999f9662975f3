"""Paper on a recording of which a part cannot be read: the run goes on, and says so at its end."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import trio
import zstandard
from trio.testing import MockClock

from polybot.config import load
from polybot.console.report import closing_report
from polybot.exchange.recording_alihakan import MARKETS, NAME
from polybot.lab.lockstep import lockstep_only
from polybot.lab.memory_net import memory_network
from polybot.launch import EXIT_CLEAN, EXIT_OTHER, run_paper
from polybot.options import BotOptions
from polybot.summary import Summary

OPEN_MS = 1_795_132_800_000
SLUG = f"btc-updown-5m-{OPEN_MS // 1000}"
CONFIG = """
[bot]
series = ["btc-5m"]
[paper]
speed = 100.0
world = "recording:{}"
"""


def recording(folder: Path, bad: str) -> Path:
    """Books of one market, a second apart, with a line of another kind at the end."""
    folder.mkdir()
    described = {"conditionId": "0x1", "slug": SLUG, "upTokenId": "u", "downTokenId": "d"}
    (folder / MARKETS).write_text(json.dumps({"current": described}))
    rows = [
        {"msg": {
            "event_type": "book", "asset_id": "u", "timestamp": str(OPEN_MS + n * 1000),
            "bids": [{"price": "0.4", "size": "7"}], "asks": [{"price": "0.6", "size": "5"}],
        }}
        for n in range(20)
    ]  # fmt: skip
    lines = [*map(json.dumps, rows), bad]
    (folder / NAME).write_bytes(zstandard.ZstdCompressor().compress("\n".join(lines).encode()))
    return folder


def paper_on(tmp_path: Path, bad: str) -> tuple[Summary, int]:
    folder = recording(tmp_path / "recording", bad)
    (tmp_path / "config.toml").write_text(CONFIG.format(folder))
    config = load(tmp_path / "config.toml", {})

    async def run() -> tuple[Summary, int]:
        with memory_network():
            return await run_paper(config, BotOptions(tmp_path, run_ms=30_000))

    with lockstep_only():
        return trio.run(run, clock=MockClock(autojump_threshold=0))


@pytest.mark.parametrize("bad", ['{"msg": {"event', '{"msg": {"event_type": "book"}}'])
def test_a_damaged_recording_is_told_at_the_end(tmp_path: Path, bad: str) -> None:
    """A line of the log alone told it, hours before, and the run ended as a clean one."""
    summary, code = paper_on(tmp_path, bad)

    assert code == EXIT_OTHER
    assert "at row 21: only the part before it is used" in summary.world
    assert f"note: {NAME} is damaged" in closing_report(summary)
    assert summary.live_orders_at_exit == 0


def test_a_silence_is_told_and_no_damage(tmp_path: Path) -> None:
    """A recording that was read to its end, blank lines and all, ends clean; what it does not hold
    of its window is a note.
    """
    summary, code = paper_on(tmp_path, "")

    assert code == EXIT_CLEAN
    assert "damaged" not in closing_report(summary)
    assert f"note: {NAME} is silent from 19 to 300 s" in closing_report(summary)
