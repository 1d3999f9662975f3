"""Choosing a world: what can be asked for, and what a mistake is answered with."""

from __future__ import annotations

from pathlib import Path

import pytest
from world_kit import START_MS

from polybot.exchange.crowd import SyntheticWorld
from polybot.exchange.world import make_world


def test_a_synthetic_world() -> None:
    """It has the series asked for, starts when told, and settles by the oracle."""
    keys = ["btc-5m", "eth-15m"]
    world = make_world("synthetic", seed=1, start_ms=START_MS, series=keys, intensity=0.1)

    assert isinstance(world, SyntheticWorld)
    assert [series.key for series in world.series] == ["btc-5m", "eth-15m"]
    assert world.start_ms == START_MS
    assert world.source.binance("eth", START_MS) > 0
    assert world.next_due_ms() is None


def test_prices_follow_the_seed() -> None:
    """The same seed gives the same prices, another one gives others."""
    prices = [
        make_world(
            "synthetic", seed=seed, start_ms=START_MS, series=["btc-5m"], intensity=0.1
        ).source.binance("btc", START_MS + 60_000)
        for seed in (1, 1, 2)
    ]

    assert prices[0] == prices[1] != prices[2]


@pytest.mark.parametrize(
    ("spec", "start_ms", "series", "remedy"),
    [
        ("martian", START_MS, ["btc-5m"], 'use "synthetic", "recording:PATH"'),
        ("recording:", None, ["btc-5m"], 'use "synthetic", "recording:PATH"'),
        ("synthetic", None, ["btc-5m"], "needs a start time"),
        ("synthetic", START_MS, ["zec-1h"], "choose from btc-5m"),
        ("synthetic", START_MS, [], "choose from btc-5m"),
        ("recording:somewhere", START_MS, [], "leave the start time out"),
    ],
)
def test_mistakes_name_their_remedy(
    spec: str, start_ms: int | None, series: list[str], remedy: str
) -> None:
    """Whatever is wrong with the choice, the error says what to write instead."""
    with pytest.raises(ValueError, match=remedy):
        make_world(spec, seed=1, start_ms=start_ms, series=series, intensity=0.1)


def test_a_recording_that_is_not_there(tmp_path: Path) -> None:
    """The path in the message is the one that was asked for."""
    with pytest.raises(ValueError, match="absent"):
        make_world(
            f"recording:{tmp_path / 'absent'}", seed=1, start_ms=None, series=[], intensity=1.0
        )
