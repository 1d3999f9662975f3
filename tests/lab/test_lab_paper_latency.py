"""What `lab latency-fit` wrote of one run is how far away another one's exchange is."""

from __future__ import annotations

import json
import statistics
from pathlib import Path

import trio
from trio.testing import MockClock

from polybot.config import load
from polybot.exchange.server import PUMP_S
from polybot.lab.latency_fit import ways
from polybot.lab.lockstep import lockstep_only
from polybot.lab.memory_net import memory_network
from polybot.lab.tape import Tapes, tapes
from polybot.launch import run_paper
from polybot.options import BotOptions

FEED, ORDER, NEWS = 40, 90, 60
# Anything but 1: at 1 the journal is written in a thread, which a clock that jumps would outrun.
CONFIG = """
[bot]
series = ["btc-5m"]
[paper]
speed = 100.0
latency = "fitted:latency.json"
"""


def test_a_paper_run_has_the_latencies_of_the_file(tmp_path: Path) -> None:
    """On a network that takes no time, what its tape shows of each way is what the file says: the
    exchange tells what has changed up to a fiftieth of a second later, an order may have waited for
    another one, and nothing is sooner.
    """
    told = {"feed": [FEED], "order": [ORDER], "news": [NEWS]}
    (tmp_path / "latency.json").write_text(json.dumps(told))
    (tmp_path / "config.toml").write_text(CONFIG)
    config = load(tmp_path / "config.toml", {})

    async def run() -> int:
        with memory_network():
            _, code = await run_paper(config, BotOptions(tmp_path, run_ms=110_000))
        return code

    with lockstep_only():
        assert trio.run(run, clock=MockClock(autojump_threshold=0)) == 0
    with tapes(tmp_path / "journal" / "tapes") as files:
        found = ways(Tapes(files).events())

    late_ms = PUMP_S * 1000
    assert {way: min(values) for way, values in found.items()} == {
        "feed": FEED, "order": ORDER, "news": NEWS,
    }  # fmt: skip
    assert statistics.median(found["feed"]) <= FEED + late_ms
    assert statistics.median(found["news"]) <= NEWS + late_ms
