"""Where prices and outside liquidity come from: an invented crowd, a recording, or live feeds."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from polybot.clock import Clock
from polybot.exchange.calendar import SERIES
from polybot.exchange.crowd import SyntheticWorld
from polybot.exchange.engine import Engine
from polybot.exchange.lifecycle import Lifecycle
from polybot.exchange.mirror_live import LiveWorld
from polybot.exchange.mirror_site import MirrorSite, read_site
from polybot.exchange.model import Market, Series
from polybot.exchange.oracle import Oracle, PriceSource
from polybot.exchange.queue_models import AHEAD_FIRST, QueueModel
from polybot.exchange.recording import RecordedWorld


class World(Protocol):
    """What surrounds the venue. Times are Unix milliseconds.

    Build the oracle from `source` and the lifecycle with `settlement`, then `attach`; after that
    call `advance` whenever `next_due_ms` has come.
    """

    start_ms: int  # when it begins
    end_ms: int | None  # when nothing more comes of it; None: it goes on for ever
    series: tuple[Series, ...]  # which markets it brings to life

    @property
    def name(self) -> str:
        """For the operator: what this is, and what about it is not real."""
        ...

    @property
    def source(self) -> PriceSource: ...

    def attach(self, engine: Engine, oracle: Oracle, lifecycle: Lifecycle) -> None: ...

    def advance(self, now_ms: int) -> None:
        """All acts due by `now_ms`, each at its own due time."""
        ...

    def next_due_ms(self) -> int | None: ...

    def settlement(self, market: Market) -> tuple[float, float] | None:
        """(strike, final) where the world knows them better than the oracle."""
        ...


def make_world(
    spec: str,
    *,
    seed: int,
    start_ms: int | None,
    series: Sequence[str],
    intensity: float,
    queue: QueueModel = AHEAD_FIRST,
) -> World:
    """`synthetic`, `recording:PATH` (a file or a folder of one kind), `live-feeds`, or
    `live-feeds:SITE.toml` with the URLs of another exchange.

    Outside books are matched by `queue`; a synthetic world has a queue of its own.
    A synthetic world needs a start time; a recording brings its own time and its own series; live
    feeds begin now. Raises ValueError with the remedy in its text. Call inside `trio.run`.
    """
    kind, _, path = spec.partition(":")
    if kind == "recording" and path:
        if start_ms is not None:
            raise ValueError(f"{spec} starts when it was recorded: leave the start time out")
        return RecordedWorld(Path(path), queue, seed=seed, intensity=intensity)
    if kind not in {"synthetic", "live-feeds"} or (path and kind == "synthetic"):
        choices = '"synthetic", "recording:PATH", "live-feeds" or "live-feeds:SITE.toml"'
        raise ValueError(f'unknown world "{spec}": use {choices}')
    unknown = [key for key in series if key not in SERIES]
    if unknown or not series:
        raise ValueError(f"unknown series {unknown}: choose from {', '.join(SERIES)}")
    if kind == "live-feeds":
        if start_ms is not None:
            raise ValueError(f"{spec} starts now: leave the start time out")
        site = read_site(Path(path)) if path else MirrorSite()
        now_ms = Clock.from_system().now_ms()
        return LiveWorld([SERIES[key] for key in series], now_ms, site, seed, queue)
    if start_ms is None:
        raise ValueError("the synthetic world needs a start time (Unix milliseconds)")
    return SyntheticWorld(seed, start_ms, [SERIES[key] for key in series], intensity)
