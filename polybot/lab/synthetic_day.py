"""`python -m polybot lab synthetic-day FOLDER`: the invented crowd's BTC 5m windows as recordings.

A day for backtests where no real one may be passed on: what the crowd does at intensity 1 is what
was measured on the real market (docs/exchange.md), some 600 changes of the book and six trades a
second. Changes are put together to `--every` milliseconds, prints keep their own time and come
after the changes before them; so a book is at most that much behind. A window whose file is there
is not made again: a run that was stopped goes on where it was.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import attrs

from polybot.exchange import recording_beats
from polybot.exchange.mirror_messages import Beat, Changes, NewTick, Print, Snapshot
from polybot.exchange.model import UP, Event, LevelChanged, Market, TickChanged, Traded
from polybot.exchange.recording_beats import SUFFIX, Window
from polybot.lab import numbers
from polybot.lab.crowd_venue import FIRST_MS, WINDOW_MS, CrowdVenue
from polybot.lab.places import folder_place
from polybot.lab.shares import PROCESSES, each_of

CHUNK = 4  # windows that one crowd trades in a row, half a minute's work
PRICES_MS = 300_000  # of prices before a window: what volatility is reckoned from
CHAINLINK_MS, BINANCE_MS = 1_000, 200
DAY = 288


@attrs.frozen
class Task:
    """A few windows in a row, the `first` of them counted from the day's beginning."""

    folder: Path
    first: int
    count: int
    seed: int
    intensity: float
    every_ms: int

    @property
    def told(self) -> str:
        """What its windows say of themselves: another day's are not taken for them."""
        return (
            f"an invented crowd's books, prints and prices, seed {self.seed}, "
            f"intensity {self.intensity:g}, every {self.every_ms} ms"
        )

    @property
    def files(self) -> list[Path]:
        starts_s = (FIRST_MS // 1000 + (self.first + n) * 300 for n in range(self.count))
        return [self.folder / f"btc-updown-5m-{start_s}{SUFFIX}" for start_s in starts_s]


@attrs.define(eq=False)
class Recorder:
    """Hears the engine and keeps one market's beats."""

    venue: CrowdVenue
    every_ms: int
    market: Market | None = None
    beats: list[Beat] = attrs.field(factory=list)
    _pending: dict[tuple[str, int], int] = attrs.field(factory=dict)
    _first_ms: int = 0
    _last_ms: int = 0

    def begin(self, market: Market, at_ms: int) -> None:
        self.market, self.beats, self._pending = market, [], {}
        bids, asks = self.venue.engine.desk.resting.books[market.condition_id].levels(UP)
        self.beats.append(Snapshot(at_ms, dict(bids), dict(asks), tick=market.tick))

    def hear(self, event: Event) -> None:
        match event:
            case LevelChanged() if event.market is self.market:
                if self._pending and event.at_ms - self._first_ms >= self.every_ms:
                    self.flush()
                if not self._pending:
                    self._first_ms = event.at_ms
                self._last_ms = event.at_ms
                for _, side, price, total in event.changes:
                    self._pending[side, price] = total
            case Traded() if event.trade.market is self.market:
                self.flush()
                trade = event.trade
                outcome, side = trade.market.outcome_of(trade.taker.token), trade.taker.side
                self.beats.append(Print(event.at_ms, outcome, side, trade.price, trade.shares))
            case TickChanged() if event.market is self.market:
                self.flush()
                self.beats.append(NewTick(event.at_ms, event.new))

    def flush(self) -> None:
        """Put the pending changes on record, stamped by the last of them: never before its time."""
        if self._pending:
            changes = tuple((side, price, n) for (side, price), n in self._pending.items())
            self.beats.append(Changes(self._last_ms, changes))
            self._pending = {}


def perform(task: Task) -> int:
    """Make a chunk's windows; how many of them."""
    first_ms = FIRST_MS + task.first * WINDOW_MS
    venue = CrowdVenue(task.seed, task.intensity, first_ms=first_ms)
    recorder = Recorder(venue, task.every_ms)
    venue.engine.listeners.append(recorder.hear)
    for market in venue.windows(task.count):
        recorder.begin(market, market.start_ms)
        venue.until(market.end_ms - 1)
        recorder.flush()
        recording_beats.write(task.folder, described(venue, market, task.told), recorder.beats)
    return task.count


def described(venue: CrowdVenue, market: Market, told: str) -> Window:
    """What a recording knows of a window beside its beats."""
    strike, final = venue.value(market.start_ms), venue.value(market.end_ms)
    source, begin_ms = venue.source, market.start_ms - PRICES_MS
    end_ms = market.end_ms + CHAINLINK_MS
    return Window(
        market.slug,
        told,
        UP if final >= strike else 1 - UP,
        strike,
        final,
        chainlink=tuple(
            (at_ms, source.chainlink("btc", at_ms))
            for at_ms in range(begin_ms, end_ms, CHAINLINK_MS)
        ),
        binance=tuple(
            (at_ms, source.binance("btc", at_ms)) for at_ms in range(begin_ms, end_ms, BINANCE_MS)
        ),
    )


def left(task: Task) -> bool:
    """Whether a window of the chunk has no file yet."""
    return not all(file.exists() for file in task.files)


def strangers(tasks: Sequence[Task]) -> Iterator[str]:
    """What is wrong with windows that are there already: another day's would be half of this one,
    and nobody would know.
    """
    for task in tasks:
        for file in task.files:
            try:
                told = recording_beats.window_in(file).told if file.exists() else task.told
            except ValueError as error:
                yield str(error)
            else:
                if told != task.told:
                    yield f"{file} is of another day ({told}): name another folder"


def main(argv: Sequence[str]) -> int:
    """The command; its exit code."""
    parser = argparse.ArgumentParser(
        prog="polybot lab synthetic-day", allow_abbrev=False,
        description="The invented crowd's BTC 5m windows as recordings for backtests.",
    )  # fmt: skip
    parser.add_argument("folder", type=folder_place, help="is made where it is not there")
    parser.add_argument(
        "--windows", type=numbers.count, default=DAY, help=f"in a row ({DAY}: a day)"
    )
    parser.add_argument("--seed", type=numbers.seed, default=1, help="of prices and crowd (1)")
    parser.add_argument(
        "--intensity", type=numbers.intensity, default=1.0, help="1 is the real market's (1)"
    )
    parser.add_argument(
        "--every", type=numbers.whole(0), default=20, help="changes are put together to ms (20)"
    )
    parser.add_argument("--processes", type=int, default=PROCESSES, choices=range(1, PROCESSES + 1))
    said = parser.parse_args(argv)
    said.folder.mkdir(parents=True, exist_ok=True)
    tasks = [
        Task(
            said.folder, first, min(CHUNK, said.windows - first), said.seed, said.intensity,
            said.every,
        )
        for first in range(0, said.windows, CHUNK)
    ]  # fmt: skip
    if (why := next(strangers(tasks), None)) is not None:
        sys.stderr.write(f"{why}\n")
        return 2
    missing = [task for task in tasks if left(task)]
    done = said.windows - sum(task.count for task in missing)
    alone = said.processes == 1
    made = map(perform, missing) if alone else each_of(perform, missing, said.processes, keeps=True)
    try:
        for count in made:
            done += count
            sys.stderr.write(f"{done} of {said.windows} windows\n")
            sys.stderr.flush()
    except KeyboardInterrupt:
        sys.stderr.write("stopped: the same command goes on where this one was\n")
        return 1
    return 0
