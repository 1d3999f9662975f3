"""Small recordings for tests of the backtest: windows that a thin crowd has traded, made once."""

from __future__ import annotations

import atexit
import functools
import shutil
import tempfile
from pathlib import Path

import attrs

from polybot.config import Config, load
from polybot.exchange.latency_models import latencies
from polybot.exchange.queue_models import queue_model
from polybot.exchange.recording_beats import SUFFIX
from polybot.exchange.recording_model import Recording
from polybot.lab.backtest_input import Chunk
from polybot.lab.backtest_run import Models
from polybot.lab.crowd_venue import FIRST_MS, WINDOW_MS
from polybot.lab.synthetic_day import Task, perform

ROOT = Path(__file__).resolve().parents[2]
SLUGS = tuple(f"btc-updown-5m-{(FIRST_MS + n * WINDOW_MS) // 1000}" for n in range(2))


def _place() -> Path:
    """A folder for as long as the process lives."""
    place = Path(tempfile.mkdtemp(prefix="polybot-backtest-test-"))
    atexit.register(shutil.rmtree, place, ignore_errors=True)
    return place


@functools.cache
def folder() -> Path:
    """Two windows in a row, traded at a tenth of the real market's pace."""
    place = _place()
    perform(Task(place, 0, len(SLUGS), 1, 0.1, 20))
    return place


def files() -> list[Path]:
    return [folder() / f"{slug}{SUFFIX}" for slug in SLUGS]


def recording(windows: int = 1) -> Recording:
    return Chunk(tuple(files()[:windows]), SLUGS[:windows]).read()


def models(queue: str = "pessimistic", latency: str = "25", seed: int = 1) -> Models:
    return Models(queue_model(queue), latencies(latency), seed)


@functools.cache
def _still_folder() -> Path:
    place = _place()
    perform(Task(place, 0, 1, 5, 0.05, 1_000))
    return place


def still_recording() -> Recording:
    """A window whose book changes once a second, and in which paper's verified book never falls
    out: few things happen in the same millisecond, and none that only sockets have.
    """
    return Chunk((_still_folder() / f"{SLUGS[0]}{SUFFIX}",), SLUGS[:1]).read()


@functools.cache
def config() -> Config:
    return load(ROOT / "config.toml", {})


def odd_pace() -> Config:
    """Paces that are no multiples of the exchange's own twenty milliseconds: whose turn it is in
    one and the same millisecond is drawn on paper.
    """
    orders = attrs.evolve(
        config().orders, requote_min_ms=53, requote_max_ms=251, routine_every_ms=207
    )
    return attrs.evolve(config(), orders=orders)
