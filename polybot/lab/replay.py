"""`python -m polybot replay TAPE`: a run's decisions, made again from its tape and compared.

Everything that was heard goes to the same core objects, with the clock's readings of the run, and
each decision must be the recorded one, byte for byte. Ends with 0 when all are; with 1 at the first
that is not, which is shown with the inputs before it, at an input with which the core fails, or
where a tape is not whole; with 2 for what is no tape, or cannot be replayed.

`--speed N` keeps the run's pace, N-fold: a stress test of the core, which says how far it fell
behind. Usually it goes as fast as it can.
"""

from __future__ import annotations

import argparse
import sys
import traceback
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

import attrs
import trio
from loguru import logger

from polybot.config_read import ConfigError
from polybot.journal.store import Store
from polybot.journal.tape import DECIDED, SENT, TOLD, VERSION, Event, Reader, TapeError
from polybot.lab.places import reason
from polybot.lab.replay_core import NO_BEGINNING, Core, NotReplayable, TapeTime, workplace
from polybot.lab.replay_pace import Pace
from polybot.lab.tape import EXIT_DAMAGED, EXIT_UNREADABLE, EXIT_WHOLE, Tapes, tapes, text_of

INPUTS_SHOWN = 8
TEXT_MOST = 400


@attrs.frozen
class Difference:
    """The first decision that is not what it was. `after` are the inputs before it, oldest first;
    None stands for no decision.
    """

    number: int  # of the event on the tape
    at_ns: int
    stream: str
    recorded: bytes | None
    replayed: bytes | None
    after: tuple[Event, ...]


@attrs.define
class Result:
    """What a replay came to. `stopped`: why it could not go on to the tape's end. `beyond`:
    decisions on its last input that are not on it. `failed`: the traceback of a core that could not
    take the last of `after`, which it could in the run.
    """

    events: int = 0
    inputs: int = 0
    decisions: int = 0
    difference: Difference | None = None
    stopped: str | None = None
    beyond: int = 0
    failed: str | None = None
    after: tuple[Event, ...] = ()


def replay(events: Iterator[Event], pace: Pace) -> Result:
    """Run the core on the events of a run, from its beginning. Raises NotReplayable."""
    logger.disable("polybot")  # it was all said in the run
    try:
        with workplace() as (store, time):
            made: Result = trio.run(_replay, events, pace, store, time, clock=time)
            return made
    finally:
        logger.enable("polybot")


async def _replay(events: Iterator[Event], pace: Pace, store: Store, time: TapeTime) -> Result:
    made = Comparison(Core(store, time), pace)
    for event in events:
        if not made.take(event):
            break
    else:
        made.result.beyond = len(made.core.examiner.decisions)
    if made.core.began is None:
        raise NotReplayable(NO_BEGINNING)
    made.result.inputs = made.core.inputs
    return made.result


@attrs.define(eq=False)
class Comparison:
    """Feeds the core, and holds each decision against the next that the tape has."""

    core: Core
    pace: Pace
    result: Result = attrs.field(factory=Result)
    _inputs: deque[Event] = attrs.field(factory=lambda: deque(maxlen=INPUTS_SHOWN))

    def take(self, event: Event) -> bool:
        """Whether to go on after this event."""
        self.result.events += 1
        if event.kind is SENT:
            return True  # what left was decided before, and is on the tape as that, too
        if event.kind is TOLD:
            self.result.stopped = event.body.decode()
            return False
        decisions = self.core.examiner.decisions
        if event.kind is DECIDED:
            self.result.decisions += 1
            found = decisions.popleft() if decisions else ("", b"")
            return found == (event.stream, event.body) or self._differs(
                event.at_ns,
                event.stream,
                event.body,
                found[1] if found[0] == event.stream else None,
            )
        if decisions:
            stream, body = decisions.popleft()
            return self._differs(event.at_ns, stream, None, body)
        self._inputs.append(event)
        try:
            self.pace.take(event, self.core)
        except (NotReplayable, ConfigError):
            raise
        except Exception:  # noqa: BLE001 - whatever it is: a replay is there to find it
            self.result.failed, self.result.after = traceback.format_exc(), tuple(self._inputs)
            return False
        return True

    def _differs(
        self, at_ns: int, stream: str, recorded: bytes | None, replayed: bytes | None
    ) -> bool:
        self.result.difference = Difference(
            self.result.events, at_ns, stream, recorded, replayed, tuple(self._inputs)
        )
        return False


# --- the command ----------------------------------------------------------------------------------


def main(argv: Sequence[str]) -> int:
    said = _parser().parse_args(argv)
    try:
        with tapes(said.path) as files:
            _check_whole_run(files)
            read, pace = Tapes(files, gapless=True), Pace(said.speed)
            with closing(read.all()) as events:
                result = replay(events, pace)
    except (TapeError, NotReplayable, OSError, ValueError) as error:
        sys.stderr.write(f"{reason(error)}\n")
        return EXIT_UNREADABLE
    except ConfigError as error:
        sys.stderr.write(f"the settings of the run are none of this version:\n{error}\n")
        return EXIT_UNREADABLE
    lines = [*told(result), *pace.lines()]
    sys.stdout.write("\n".join(lines) + "\n")
    bad = result.difference or result.stopped or result.beyond or result.failed
    return EXIT_WHOLE if read.whole and not bad else EXIT_DAMAGED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="polybot replay", description="Make a run's decisions again.", allow_abbrev=False
    )
    parser.add_argument(
        "path", type=Path, help="a tape, a folder (its newest run), or a flight record"
    )
    parser.add_argument(
        "--speed", type=_speed, default=None, metavar="max|N", help="the run's pace, N-fold"
    )
    return parser


def _speed(text: str) -> float | None:
    if text == "max":
        return None
    try:
        speed = float(text)
    except ValueError:
        speed = 0
    if not 0 < speed < 1e6:
        raise argparse.ArgumentTypeError(f"expected max or a factor, was {text!r}")
    return speed


def _check_whole_run(files: Sequence[Path]) -> None:
    with Reader(files[0]) as reader:
        part, version = reader.header.part, reader.version
    if version != VERSION:
        raise NotReplayable(
            f"{files[0].name}: a tape of version {version}, whose decisions are written in another "
            "form: replay it with the polybot that made it"
        )
    if part:
        raise NotReplayable(
            f"{files[0].name}: the run's first {part} files are gone; a replay needs them "
            "([tape] keep_mb)"
        )


def told(result: Result) -> list[str]:
    """What a replay came to, for people."""
    lines = [
        f"{result.events:,} events, {result.inputs:,} of them inputs of the core",
        f"{result.decisions:,} decisions recorded",
    ]
    if result.stopped is not None:
        lines.append(f"stopped where the tape says: {result.stopped}")
    if result.beyond:
        return [
            *lines,
            f"no difference, but {result.beyond} decisions more than the tape ends with",
        ]
    if result.failed is not None:
        failed = f"the core FAILS at event {result.events:,}, which it did not in the run:"
        return [*lines, failed, result.failed.rstrip(), *_inputs_told(result.after)]
    if result.difference is None:
        return [*lines, "no difference"]
    found = result.difference
    return [
        *lines,
        f"DIFFERENT at event {found.number:,}, {found.at_ns / 1e9:.6f}: {found.stream}",
        f"  recorded: {_decision(found.stream, found.recorded)}",
        f"  replayed: {_decision(found.stream, found.replayed)}",
        *_inputs_told(found.after),
    ]


def _inputs_told(events: Sequence[Event]) -> list[str]:
    shown = (f"  {one.at_ns / 1e9:.6f} {one.stream}: {text_of(one)[:TEXT_MOST]}" for one in events)
    return ["after these inputs:", *shown]


def _decision(stream: str, body: bytes | None) -> str:
    return "nothing" if body is None else text_of(Event(0, DECIDED, stream, body))
