"""`python -m polybot backtest PATH…`: what the bot would have earned on recorded markets.

PATH is a recording, a folder of one (docs/laboratory.md), or a tape of ours. Each is played under
every queue model named, so that what nobody can know – how fast the queue ahead of us shrank – is a
range and not a guess. Ends with 1 when a part could not be read (what could is reported), with 2
when nothing could, or for bad words.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TextIO

import attrs
import orjson
from loguru import logger

from polybot.clock import wall_seconds
from polybot.config import Config, load
from polybot.config_read import ConfigError
from polybot.exchange.latency_models import latencies
from polybot.exchange.queue_models import queue_model
from polybot.lab import backtest_curve, numbers
from polybot.lab.backtest_input import Chunk, Found, find
from polybot.lab.backtest_report import report
from polybot.lab.backtest_run import Models, Play, WindowResult
from polybot.lab.backtest_tape import with_tapes
from polybot.lab.backtest_words import check, common
from polybot.lab.places import file_place, folder_place, put
from polybot.lab.run_record import Run, joined, save
from polybot.lab.shares import each_of
from polybot.options import Overrides
from polybot.season_file import read as read_seasons

QUEUES = "pessimistic,probabilistic:2.5,touch"
EXIT_WHOLE, EXIT_PART, EXIT_NOTHING = 0, 1, 2
BAR = 30


@attrs.frozen
class Task:
    """A chunk under one queue model; models as texts, for they go to another process."""

    chunk: Chunk
    config: Config
    queue: str
    latency: str
    seed: int


@attrs.frozen
class Done:
    """What a task came to. `faults` say what of the chunk could not be read, which `may_pass` where
    the machine was why; `run` is how it went, order by order.
    """

    task: Task
    results: tuple[WindowResult, ...]
    faults: tuple[str, ...] = ()
    run: Run = attrs.field(factory=lambda: Run("backtest"))
    may_pass: bool = False


def perform(task: Task) -> Done:
    """Play one chunk. What cannot be read is a fault and no result; a bug of ours is raised."""
    try:
        recording = task.chunk.read()
    except (ValueError, OSError) as error:
        return Done(task, (), (str(error),), may_pass=_of_the_machine(error))
    models = Models(queue_model(task.queue), latencies(task.latency), task.seed)
    named = task.config.pricing.vol_seasons
    seasons = read_seasons(Path(named)) if named else {}
    play = Play(recording, task.config, models, seasons)
    results = play.run()
    results.sort(key=lambda one: one.start_ms)
    return Done(task, tuple(results), tuple(recording.warnings), play.record.done())


def _of_the_machine(error: BaseException | None) -> bool:
    """Whether a call of the system failed – too many files, a disk, a folder that is away – and the
    same recording may be read another time. What is in it would be wrong again.
    """
    while error is not None:
        if isinstance(error, OSError) and error.errno is not None:
            return True
        error = error.__cause__
    return False


def played(tasks: Sequence[Task], processes: int) -> Iterator[Done]:
    return map(perform, tasks) if processes == 1 else each_of(perform, tasks, processes)


@attrs.define
class Outcome:
    """All results by queue model and time, and everything that was wrong, each said once."""

    queues: Sequence[str]
    by_queue: dict[str, list[WindowResult]] = attrs.field(factory=dict)
    faults: dict[str, None] = attrs.field(factory=dict)
    runs: dict[str, list[Run]] = attrs.field(factory=dict)

    def take(self, done: Done) -> None:
        self.by_queue.setdefault(done.task.queue, []).extend(done.results)
        self.runs.setdefault(done.task.queue, []).append(done.run)
        self.faults.update(dict.fromkeys(done.faults))

    def results(self) -> dict[str, list[WindowResult]]:
        """In the order in which the models were named: of the windows that all of them have
        played, so that they can be told side by side; others are a fault.
        """
        played = {queue: self.by_queue[queue] for queue in self.queues if self.by_queue.get(queue)}
        slugs = [{one.slug for one in found} for found in played.values()]
        shared = set.intersection(*slugs) if slugs else set()
        for slug in sorted(set().union(*slugs) - shared):
            self.faults[f"{slug}: not played under every queue model, left out"] = None
        return {
            queue: sorted(
                (one for one in found if one.slug in shared),
                key=lambda one: (one.start_ms, one.slug),
            )
            for queue, found in played.items()
            if shared
        }


@attrs.define
class Progress:
    """A bar where somebody watches, a line for each tenth where not."""

    whole: int
    out: TextIO
    done: int = 0
    kept: int = 0  # of these, from before: nobody has played them now
    _begun: float = attrs.field(factory=wall_seconds)
    _tenth: int = 0

    def take(self, count: int, *, kept: bool = False) -> None:
        self.done += count
        self.kept += count if kept else 0
        spent = max(wall_seconds() - self._begun, 1e-9)
        told = (
            f"{self.done} of {self.whole} windows, {(self.done - self.kept) / spent:.1f} a second"
        )
        if self.out.isatty():
            bar = "#" * (BAR * self.done // max(self.whole, 1))
            end = "\n" if self.done == self.whole else ""
            self.out.write(f"\r[{bar:{BAR}}] {told}{end}")
        elif (tenth := 10 * self.done // max(self.whole, 1)) > self._tenth:
            self._tenth = tenth
            self.out.write(f"{told}\n")
        self.out.flush()


def main(argv: Sequence[str]) -> int:
    """The command; its exit code."""
    parser = _parser()
    said = parser.parse_args(argv)
    queues = list(dict.fromkeys(said.queue.split(",")))
    try:
        config = load(said.config, os.environ, Overrides(mode="paper"))  # needs no keys
        check(said, queues)
    except (ValueError, ConfigError) as error:
        parser.error(str(error))
    with quiet(), TemporaryDirectory(prefix="polybot-backtest-") as folder:
        try:
            brought = with_tapes(said.paths, Path(folder))
            sys.stderr.writelines(f"{note}\n" for note in brought.notes)
            found = find(brought.paths, said.chunk)
            outcome = Outcome(queues, faults=dict.fromkeys((*brought.faults, *found.faults)))
            tasks = [
                Task(chunk, config, queue, said.latency, said.seed)
                for chunk in found.chunks
                for queue in queues
            ]
            progress = Progress(found.windows * len(queues), sys.stderr)
            for done in played(tasks, said.processes):
                outcome.take(done)
                progress.take(len(done.task.chunk.slugs))
        except KeyboardInterrupt:
            sys.stderr.write("stopped: nothing is reported of a part\n")
            return EXIT_PART
    return _tell(outcome, found, said)


def _tell(outcome: Outcome, found: Found, said: argparse.Namespace) -> int:
    results = outcome.results()
    for fault in outcome.faults:
        sys.stderr.write(f"{fault}\n")
    if not results:
        sys.stderr.write("nothing could be played\n")
        return EXIT_NOTHING
    sys.stdout.write(report(results))
    if said.json is not None:
        put(said.json, orjson.dumps(_plain(outcome, said), option=orjson.OPT_INDENT_2))
    if said.runs is not None:
        said.runs.mkdir(parents=True, exist_ok=True)
        for queue in results:
            run = joined(queue, outcome.runs[queue])
            run.whole = not outcome.faults
            save(run, said.runs / f"{_file_name(queue)}.json")
    if said.picture is not None:
        backtest_curve.draw(said.picture, results, f"{found.windows} windows, {said.latency} ms")
    return EXIT_PART if outcome.faults else EXIT_WHOLE


def _file_name(queue: str) -> str:
    """A queue model's name without what no file may be called."""
    return re.sub(r"[^\w.-]+", "-", queue)


def _plain(outcome: Outcome, said: argparse.Namespace) -> dict[str, object]:
    return {
        "latency": said.latency,
        "seed": said.seed,
        "faults": list(outcome.faults),
        "queues": {
            queue: [attrs.asdict(one) for one in results]
            for queue, results in outcome.results().items()
        },
    }


@contextmanager
def quiet() -> Iterator[None]:
    """What readers find wrong is in the report: the log need not say it again."""
    logger.disable("polybot.exchange.recording_files")
    try:
        yield
    finally:
        logger.enable("polybot.exchange.recording_files")


def _parser() -> argparse.ArgumentParser:
    parser = common(
        "backtest", "What the bot would have earned on recorded markets.",
        queue=QUEUES, queues="MODEL,…", picture="equity and drawdown",
    )  # fmt: skip
    parser.add_argument("--seed", type=numbers.seed, default=1, help="of what is drawn (1)")
    parser.add_argument("--json", type=file_place, metavar="FILE", help="every window's figures")
    parser.add_argument(
        "--runs", type=folder_place, metavar="FOLDER",
        help="every order and fill, a file for each queue model: `lab divergence` compares them",
    )  # fmt: skip
    return parser
