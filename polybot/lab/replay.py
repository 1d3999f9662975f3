"""`python -m polybot replay TAPE`: a run's decisions, made again from its tape and compared.

Everything that was heard goes to the same core objects, with the clock's readings of the run, and
each decision must be the recorded one, byte for byte. Ends with 0 when all are; with 1 at the first
that is not, which is shown with the inputs before it, or where a tape is not whole; with 2 for what
is no tape, or cannot be replayed.

`--speed N` keeps the run's pace, N-fold: a stress test of the core, which says how far it fell
behind. Usually it goes as fast as it can.
"""

from __future__ import annotations

import argparse
import sys
from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import attrs
import msgpack
import trio
from loguru import logger

from polybot.config_read import ConfigError
from polybot.core_tape import DECISIONS, INPUTS
from polybot.journal.tape import Event, Kind, Reader, TapeError
from polybot.lab.replay_core import Core, NotReplayable, workplace
from polybot.lab.replay_pace import Pace
from polybot.lab.tape import EXIT_DAMAGED, EXIT_UNREADABLE, EXIT_WHOLE, Tapes, tapes

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
    """What a replay came to. `stopped`: why it could not go on to the tape's end."""

    events: int = 0
    inputs: int = 0
    decisions: int = 0
    difference: Difference | None = None
    stopped: str | None = None


def replay(events: Iterator[Event], pace: Pace) -> Result:
    """Run the core on the events of a run, from its beginning. Raises NotReplayable."""
    logger.disable("polybot")  # it was all said in the run
    try:
        with workplace() as (store, time):
            made: Result = trio.run(_replay, events, pace, store, time, clock=time)
            return made
    finally:
        logger.enable("polybot")


async def _replay(events: Iterator[Event], pace: Pace, store: Any, time: Any) -> Result:
    core, result = Core(store, time), Result()
    inputs: deque[Event] = deque(maxlen=INPUTS_SHOWN)
    made = core.examiner.decisions
    event = None
    for event in events:
        result.events += 1
        if event.kind is Kind.TOLD:
            result.stopped = event.body.decode()
            break
        if event.kind is Kind.DECIDED:
            result.decisions += 1
            found = made.popleft() if made else None
            if found != (event.stream, event.body):
                replayed = found[1] if found is not None and found[0] == event.stream else None
                result.difference = _difference(result, event, event.body, replayed, inputs)
                break
            continue
        if made and event.kind is not Kind.SENT:
            stream, body = made.popleft()
            told = attrs.evolve(event, stream=stream)
            result.difference = _difference(result, told, None, body, inputs)
            break
        inputs.append(event)
        pace.take(event, core)
    result.inputs = core.inputs
    return result


def _difference(
    result: Result,
    event: Event,
    recorded: bytes | None,
    replayed: bytes | None,
    inputs: Sequence[Event],
) -> Difference:
    return Difference(result.events, event.at_ns, event.stream, recorded, replayed, tuple(inputs))


# --- the command ----------------------------------------------------------------------------------


def main(argv: Sequence[str]) -> int:
    said = _parser().parse_args(argv)
    try:
        files = tapes(said.path)
        _check_whole_run(files)
        read, pace = Tapes(files), Pace(said.speed)
        result = replay(read.events(), pace)
    except (TapeError, NotReplayable, OSError, ValueError) as error:
        sys.stderr.write(f"{error}\n")
        return EXIT_UNREADABLE
    except ConfigError as error:
        sys.stderr.write(f"the settings of the run are none of this version:\n{error}\n")
        return EXIT_UNREADABLE
    lines = [*told(result), *pace.lines()]
    sys.stdout.write("\n".join(lines) + "\n")
    good = result.difference is None and result.stopped is None and read.whole
    return EXIT_WHOLE if good else EXIT_DAMAGED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="polybot replay", description="Make a run's decisions again.", allow_abbrev=False
    )
    parser.add_argument("path", type=Path, help="a tape, or a folder: its newest run")
    parser.add_argument(
        "--speed", type=_speed, default=None, metavar="max|N", help="the run's pace, N-fold"
    )
    return parser


def _speed(text: str) -> float | None:
    if text == "max":
        return None
    speed = float(text)
    if not 0 < speed < 1e6:
        raise argparse.ArgumentTypeError(f"expected max or a factor, was {text!r}")
    return speed


def _check_whole_run(files: Sequence[Path]) -> None:
    with Reader(files[0]) as reader:
        part = reader.header.part
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
    if result.difference is None:
        return [*lines, "no difference"]
    found = result.difference
    return [
        *lines,
        f"DIFFERENT at event {found.number:,}, {found.at_ns / 1e9:.6f}: {found.stream}",
        f"  recorded: {_decision(found.recorded)}",
        f"  replayed: {_decision(found.replayed)}",
        "after these inputs:",
        *(f"  {one.at_ns / 1e9:.6f} {one.stream}: {body_text(one)}" for one in found.after),
    ]


def _decision(body: bytes | None) -> str:
    if body is None:
        return "nothing"
    try:
        return str(DECISIONS.unpack(body))
    except ValueError:
        return str(msgpack.unpackb(body))


def body_text(event: Event) -> str:
    """An event's body as a line of text, cut short."""
    text = event.body.decode("utf-8", "replace")
    if event.kind is Kind.FED:
        text = str(INPUTS.unpack(event.body))
    return text[:TEXT_MOST]
