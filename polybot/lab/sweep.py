"""`python -m polybot sweep PATH… --set quote.base_edge=0.002,0.004`: what would earn more.

Every combination of the values named, over every recording and seed, on all processors. What is
finished is kept (Parquet); a sweep that was stopped goes on where it was, on this machine or on a
Dask cluster (`--cluster tcp://…`). Reported are means with intervals by days, what each combination
earns more than the first, and what choosing the best is worth on windows that were not there to
choose by.

The default queue model is the pessimistic one: a choice that needs a kind one is no choice. Ends
with 1 when a part could not be read or it was stopped, with 2 for bad words.
"""

from __future__ import annotations

import argparse
import math
import os
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import attrs

from polybot.config import load
from polybot.config_read import ConfigError
from polybot.lab import sweep_cluster, sweep_map, sweep_store
from polybot.lab.backtest import EXIT_NOTHING, EXIT_PART, EXIT_WHOLE, Progress, Task, perform, quiet
from polybot.lab.backtest_input import find
from polybot.lab.backtest_tape import with_tapes
from polybot.lab.backtest_words import check, common, count
from polybot.lab.places import folder_place
from polybot.lab.shares import WorkerDied, each_of
from polybot.lab.sweep_grid import Axis, Point, grid
from polybot.lab.sweep_stats import Estimate, Forward, Witness, better_than, mean_of, walk_forward
from polybot.lab.sweep_store import Piece, Store
from polybot.options import Overrides

SPLITS = 3
SEEDS_MOST = 1_000
STOPPED_EARLY = "stopped: nothing to report yet; the same command goes on where this one was\n"


@attrs.frozen
class Sweep:
    """What is asked: each point over all chunks and seeds."""

    points: tuple[Point, ...]
    pieces: tuple[Piece, ...]

    @property
    def windows(self) -> int:
        return sum(len(piece.task.chunk.slugs) for piece in self.pieces)


@attrs.define
class Findings:
    """What has been found so far, by point."""

    by_point: defaultdict[str, list[Witness]] = attrs.field(
        factory=lambda: defaultdict(list[Witness])
    )
    faults: dict[str, None] = attrs.field(factory=dict)

    def take(self, piece: Piece, found: Sequence[Witness], faults: Sequence[str]) -> None:
        self.by_point[piece.point] += found
        self.faults.update(dict.fromkeys(faults))


def work(piece: Piece, folder: Path) -> Piece:
    """Play one piece and keep it; in whichever process."""
    Store(folder).write(piece, perform(piece.task))
    return piece


Worked = Callable[[Sequence[Piece]], Iterator[Piece]]


def here(store: Store, processes: int) -> Worked:
    """Pieces are played by this machine's processors."""
    do = partial(work, folder=store.folder)

    def worked(missing: Sequence[Piece]) -> Iterator[Piece]:
        alone = processes == 1
        return map(do, missing) if alone else each_of(do, missing, processes, keeps=True)

    return worked


def on_cluster(store: Store, address: str) -> Worked:
    """Pieces are played by a cluster, and kept here."""

    def worked(missing: Sequence[Piece]) -> Iterator[Piece]:
        with closing(sweep_cluster.each_on(address, missing)) as finished:
            for piece, done in finished:
                store.write(piece, done)
                yield piece

    return worked


def run(asked: Sweep, store: Store, worked: Worked, progress: Progress) -> tuple[Findings, bool]:
    """Play what has no result yet. Returns all there is, and whether it is everything: Ctrl-C
    ends the waiting, as does a worker that dies, and what is finished by then counts.
    """
    findings, missing = Findings(), list[Piece]()
    for piece in asked.pieces:
        held = store.read(piece)
        if held is None:
            missing.append(piece)
        else:
            findings.take(piece, *held)
            progress.take(len(piece.task.chunk.slugs), kept=True)
    heard: set[tuple[str, str]] = set()
    whole = True
    try:
        for piece in worked(missing) if missing else ():
            held = store.read(piece, just_played=True)
            assert held is not None, "it has just been written"
            heard.add((piece.point, piece.key))  # first: a stop in between costs it, and no more
            findings.take(piece, *held)
            progress.take(len(piece.task.chunk.slugs))
    except KeyboardInterrupt:
        whole = False
    except WorkerDied as error:
        sys.stderr.write(f"{error}\n")
        whole = False
    # What ended while it was stopping is kept, and nobody was told.
    for piece in () if whole else missing:
        held = None if (piece.point, piece.key) in heard else store.read(piece)
        if held is not None:
            findings.take(piece, *held)
    return findings, whole


# --- the report ------------------------------------------------------------------------------


def report(points: Sequence[Point], findings: Findings, splits: int) -> Iterator[str]:
    """Lines: every point, the best first; then what choosing was worth."""
    held = {point.name: findings.by_point.get(point.name, []) for point in points}
    known = {name: found for name, found in held.items() if found}
    if not known:
        return
    means = {name: mean_of(found) for name, found in known.items()}
    base = points[0].name
    yield f"{len(known)} of {len(points)} combinations, {_extent(next(iter(known.values())))}"
    if all(one.days == 1 for one in means.values()):
        yield (
            "one day only: a day shares its volatility and its luck, more windows or seeds of it "
            "are no more witnesses, so there is no interval: which is better is not known"
        )
    yield f"{'dollars a window, 95 %':>28}  {'more than the first':>27}"
    for name in sorted(known, key=lambda name: -means[name].mean):
        against = None if name == base else better_than(known[name], known.get(base, ()))
        told = "" if against is None else _text(against)
        yield f"{_text(means[name]):>28}  {told:>27}  {name}"
    forward = walk_forward(known, splits)
    yield from _forward(forward, means) if forward is not None else _too_few(splits)


def _extent(found: Sequence[Witness]) -> str:
    """A window that several seeds have played is one."""
    windows, days = len({one.slug for one in found}), len({one.day for one in found})
    seeds = len({one.seed for one in found})
    held = f"{windows} window{'s' * (windows > 1)} on {days} day{'s' * (days > 1)}"
    return held + (f", {seeds} seeds of each" if seeds > 1 else "")


def _text(found: Estimate) -> str:
    if not math.isfinite(found.low):
        return f"{found.mean:+.3f} [one day]"
    return f"{found.mean:+.3f} [{found.low:+.3f}, {found.high:+.3f}]"


def _too_few(splits: int) -> Iterator[str]:
    yield f"too few windows or combinations to walk forward in {splits} splits"


def _forward(found: Forward, means: Mapping[str, Estimate]) -> Iterator[str]:
    yield "walking forward: chosen before a moment, paid after it"
    for step in found.steps:
        moment = datetime.fromtimestamp(step.until_ms // 1000, UTC)
        yield (
            f"  {moment:%Y-%m-%d %H:%M}  {step.inside:+.3f} before, {step.outside:+.3f} after "
            f"({step.windows} windows)  {step.chosen}"
        )
    best = max(means, key=lambda name: means[name].mean)
    yield f"out-of-sample penalty {found.penalty:+.3f} dollars a window"
    yield f"the best, penalty counted: {means[best].mean + min(0.0, found.penalty):+.3f}  {best}"


# --- the command -----------------------------------------------------------------------------


def main(argv: Sequence[str]) -> int:
    """The command; its exit code."""
    parser = _parser()
    said = parser.parse_args(argv)
    if said.picture is not None and not said.set:
        parser.error("--picture: there is nothing to draw without --set")
    try:
        axes = [Axis.read(text) for text in said.set]
        config = load(said.config, os.environ, Overrides(mode="paper"))  # needs no keys
        points = grid(config, axes)
        check(said, [said.queue])
        sweep_store.check()
        if said.cluster is not None:
            sweep_cluster.check()
    except (ValueError, ConfigError) as error:
        parser.error(str(error))
    said.out.mkdir(parents=True, exist_ok=True)
    with quiet(), TemporaryDirectory(prefix="polybot-sweep-") as folder:
        try:
            brought = with_tapes(said.paths, Path(folder))
            found = find(brought.paths, said.chunk)
        except KeyboardInterrupt:
            sys.stderr.write(STOPPED_EARLY)
            return EXIT_PART
        pieces = [
            Piece(point.name, Task(chunk, point.config, said.queue, said.latency, seed))
            for chunk in found.chunks
            for seed in said.seeds
            for point in points
        ]
        asked = Sweep(tuple(points), tuple(pieces))
        progress = Progress(asked.windows, sys.stderr)
        store = Store(said.out)
        worked = (
            here(store, said.processes) if said.cluster is None else on_cluster(store, said.cluster)
        )
        try:
            findings, whole = run(asked, store, worked, progress)
        except sweep_cluster.ClusterError as error:
            sys.stderr.write(f"{error}\n")
            return EXIT_NOTHING
    faults = dict.fromkeys((*brought.faults, *found.faults, *findings.faults))
    sys.stderr.writelines(f"{fault}\n" for fault in faults)
    return _tell(asked, axes, findings, said, whole=whole, sound=not faults)


def _tell(
    asked: Sweep, axes: Sequence[Axis], findings: Findings, said: argparse.Namespace,
    *, whole: bool, sound: bool,
) -> int:  # fmt: skip
    lines = list(report(asked.points, findings, said.splits))
    if not lines:
        sys.stderr.write("nothing could be played\n" if whole else STOPPED_EARLY)
        return EXIT_NOTHING if whole else EXIT_PART
    sys.stdout.write("\n".join(lines) + "\n")
    means = {name: mean_of(found) for name, found in findings.by_point.items() if found}
    complete = len(means) == len(asked.points)
    if said.picture is not None and complete:
        sweep_map.draw(said.picture, axes, asked.points, means)
    elif said.picture is not None:
        sys.stderr.write("no picture: not every combination has been played\n")
    if not (whole and sound):
        sys.stderr.write("not everything: the same command goes on where this one was\n")
    return EXIT_WHOLE if whole and sound else EXIT_PART


def _parser() -> argparse.ArgumentParser:
    parser = common(
        "sweep", "Which configuration earns more on recorded markets.",
        queue="pessimistic", queues="MODEL", picture="a heat-map",
    )  # fmt: skip
    parser.add_argument(
        "--set", action="append", default=[], metavar="SECTION.KEY=VALUE,…",
        help="a parameter and its values; may be said again for another",
    )  # fmt: skip
    parser.add_argument("--out", type=folder_place, required=True, metavar="FOLDER")
    parser.add_argument("--seeds", type=_seeds, default=(1,), metavar="A-B", help="(1)")
    parser.add_argument("--splits", type=count, default=SPLITS, help=f"to walk ({SPLITS})")
    parser.add_argument(
        "--cluster", metavar="tcp://HOST:PORT",
        help="an existing Dask cluster's scheduler, in place of this machine's processors",
    )  # fmt: skip
    return parser


def _seeds(text: str) -> tuple[int, ...]:
    first, dash, last = text.partition("-")
    if not first.isdigit() or (dash and not last.isdigit()):
        raise argparse.ArgumentTypeError(f"expected a seed or A-B, was {text!r}")
    found = range(int(first), int(last if dash else first) + 1)
    if not 0 < len(found) <= SEEDS_MOST:
        raise argparse.ArgumentTypeError(f"expected 1 to {SEEDS_MOST} seeds, was {text!r}")
    return tuple(found)
