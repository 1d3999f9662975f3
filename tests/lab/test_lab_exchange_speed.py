"""The speed table measures what it says: real orders, real frames, and a miss is a miss."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
import trio

from polybot.lab import exchange_speed
from polybot.lab.exchange_speed import Streams, engine_rate, http_rate, main, streams_share

linux = pytest.mark.skipif(
    not Path("/proc/self/stat").exists(), reason="processor time of another process: Linux only"
)


def test_the_engine_takes_every_order() -> None:
    """However few orders, the rate is a positive number."""
    assert engine_rate(3_000, random.Random(1)) > 0


@linux
def test_orders_over_http_are_signed_and_accepted() -> None:
    """The client asserts each reply: a refused order would fail the measurement."""
    assert trio.run(http_rate, 200) > 0


@linux
def test_the_streams_of_twenty_markets_are_followed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Frames arrive, and the exchange's share of a core is more than nothing."""
    monkeypatch.setattr(exchange_speed, "WARM_S", 0.3)

    seen = trio.run(streams_share, 1.0, 0.3)

    assert seen.markets == 20
    assert seen.frames_per_s > 0
    assert seen.share > 0


@pytest.mark.parametrize(("share", "code"), [(0.3, 0), (0.6, 1)])
def test_a_missed_figure_is_the_exit_code(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], share: float, code: int
) -> None:
    """The table says MISSED, and the command fails."""

    async def http(orders: int) -> float:
        return 1_000.0

    async def streams(seconds: float, intensity: float) -> Streams:
        return Streams(20, 2_000.0, share)

    monkeypatch.setattr(exchange_speed, "engine_rate", lambda orders, rng: 5_000.0)
    monkeypatch.setattr(exchange_speed, "http_rate", http)
    monkeypatch.setattr(exchange_speed, "streams_share", streams)

    assert main(["--orders", "10", "--seconds", "1"]) == code
    assert ("MISSED" in capsys.readouterr().out) is bool(code)
