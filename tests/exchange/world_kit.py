"""A whole exchange around a world, without any network: for tests of crowds and recordings."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TypeVar

import orjson
import zstandard

from polybot.exchange.calendar import SERIES
from polybot.exchange.crowd import Crowd, SyntheticWorld
from polybot.exchange.engine import Engine
from polybot.exchange.lifecycle import Lifecycle
from polybot.exchange.model import Event, Market
from polybot.exchange.oracle import Oracle
from polybot.exchange.world import World

DATA = Path(__file__).resolve().parents[2].parent / "shared" / "data"
WINDOW_MS = 300_000
START_MS = 1_795_132_800_000 - 60_000  # a minute before a BTC 5m window

E = TypeVar("E", bound=Event)


class Stage:
    """Engine, oracle, lifecycle and world, driven in order of what is due."""

    def __init__(self, world: World) -> None:
        self.world, self.now_ms = world, world.start_ms
        self.engine = Engine(rng=random.Random(1))
        assets = sorted({series.asset for series in world.series})
        self.oracle = Oracle(world.source, assets, world.start_ms, random.Random(2))
        self.lifecycle = Lifecycle(
            self.engine,
            self.oracle,
            world.series,
            random.Random(3),
            world.start_ms,
            settlement=world.settlement,
        )
        self.events: list[Event] = []
        self.engine.listeners.append(self.events.append)
        world.attach(self.engine, self.oracle, self.lifecycle)

    def run(
        self, until_ms: int, *, every_ms: int = 0, sample: Callable[[int], None] | None = None
    ) -> None:
        """Everything due up to `until_ms`; `sample` is called on its own grid on the way."""
        next_sample = self.now_ms
        while True:
            due = self._next_due_ms()
            while sample is not None and next_sample <= min(due, until_ms):
                sample(next_sample)
                next_sample += every_ms
                due = self._next_due_ms()
            if due > until_ms:
                break
            self._advance(due)
        self._advance(until_ms)
        self.now_ms = until_ms

    def _next_due_ms(self) -> int:
        parts = (self.engine, self.oracle, self.lifecycle, self.world)
        return min(due for part in parts if (due := part.next_due_ms()) is not None)

    def _advance(self, now_ms: int) -> None:
        for part in (self.engine, self.oracle, self.lifecycle, self.world):
            part.advance(now_ms)

    def market(self, start_ms: int) -> Market:
        """The BTC 5m market whose window starts then."""
        return self.lifecycle.by_slug[f"btc-updown-5m-{start_ms // 1000}"]

    def heard(self, kind: type[E]) -> list[E]:
        """The events of one kind, in order."""
        return [event for event in self.events if isinstance(event, kind)]


def synthetic(seed: int = 5, intensity: float = 0.1, start_ms: int = START_MS) -> SyntheticWorld:
    return SyntheticWorld(seed, start_ms, [SERIES["btc-5m"]], intensity)


def crowd_of(world: SyntheticWorld) -> Crowd:
    assert world.crowd is not None
    return world.crowd


def write_rows(path: Path, rows: Iterable[dict[str, Any]]) -> Path:
    """A compressed file of JSON lines, as the recordings are."""
    text = b"".join(orjson.dumps(row) + b"\n\n" for row in rows)
    path.write_bytes(zstandard.ZstdCompressor().compress(text))
    return path
