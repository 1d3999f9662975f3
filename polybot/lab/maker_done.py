"""Finished matches on the disk: a long comparison that was interrupted goes on where it was.

One line of JSON for each policy in each world. A line cut short by a crash is played again; a file
of another version's policies is not told apart, so a change of the bot begins a new one.
"""

from __future__ import annotations

from pathlib import Path

import attrs
import cattrs
import orjson

from polybot.lab.maker_match import Result


@attrs.frozen
class Task:
    """One policy in one world."""

    policy: str
    seed: int
    intervals: int
    intensity: float


@attrs.frozen
class _Done:
    task: Task
    result: Result


def read(path: Path | None) -> dict[Task, Result]:
    """What an earlier run has finished. ValueError for a line that is not one of ours."""
    if path is None or not path.exists():
        return {}
    found = {}
    for line in path.read_bytes().splitlines(keepends=True):
        if not line.endswith(b"\n"):
            break
        try:
            done = cattrs.structure(orjson.loads(line), _Done)
        except (cattrs.BaseValidationError, ValueError, KeyError, TypeError) as error:
            raise ValueError(f"{path}: not a file of finished matches") from error
        found[done.task] = done.result
    return found


def note(path: Path | None, task: Task, result: Result) -> None:
    """Add one to the file, in place of a line that was cut short; nothing without a file."""
    if path is None:
        return
    line = orjson.dumps(cattrs.unstructure(_Done(task, result))) + b"\n"
    path.touch()
    with path.open("r+b") as file:
        file.seek(file.read().rfind(b"\n") + 1)
        file.write(line)
        file.truncate()
