"""The sample that calibration.json was measured on, market by market: how sure its figures are.

Five-minute markets differ: by the hour's volatility, by how early each is decided. A figure of the
file is that of 32 of them and ours that of so many windows, so the two would differ if the crowd
were the venue itself. `errors` says by how much, from draws of the sample's own markets.
"""

from __future__ import annotations

import math
import random
import statistics
from collections.abc import Sequence
from pathlib import Path

from polybot.exchange.mirror_messages import Snapshot
from polybot.exchange.recording_cronos import load
from polybot.exchange.recording_files import Warnings
from polybot.exchange.recording_model import Tape
from polybot.lab.crowd_figures import Figures, sample_figures
from polybot.lab.crowd_tally import Tally, Watch

DRAWS = 200


def tallies(files: Sequence[Path], warnings: Warnings) -> list[Tally]:
    """One tally for each recorded market, by time; what cannot be read is among the warnings.
    ValueError when a file is not of the sample.
    """
    recording = load(list(files), warnings)
    return [_tally(tape) for tape in recording.tapes]


def errors(markets: Sequence[Tally], count: int, rng: random.Random, draws: int = DRAWS) -> Figures:
    """Standard deviation of every figure between draws of `count` markets, with replacement."""
    drawn = [sample_figures(Tally.together(rng.choices(markets, k=count))) for _ in range(draws)]
    return {path: _deviation([one[path] for one in drawn]) for path in drawn[0]}


def _deviation(values: Sequence[float]) -> float:
    """NaN where a draw could not show the figure."""
    return math.nan if any(map(math.isnan, values)) else statistics.pstdev(values)


def _tally(tape: Tape) -> Tally:
    tally = Tally()
    watch: Watch | None = None
    for beat in tape.beats():
        if not isinstance(beat, Snapshot):
            continue
        if watch is None:
            watch = Watch(tally, beat.at_ms, tape.start_ms, tape.end_ms)
            watch.touch = _touch(beat)
        due = watch.traded(beat.at_ms)
        watch.touch = _touch(beat)
        if due:
            watch.look(beat.bids, beat.asks)
    assert watch is not None, "a tape has beats"
    watch.finish()
    return tally


def _touch(book: Snapshot) -> tuple[int | None, int | None]:
    return max(book.bids, default=None), min(book.asks, default=None)
