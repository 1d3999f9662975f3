"""Finished matches: a long comparison that was interrupted goes on where it was.

A file of another version's policies is not told apart, so a change of the bot begins a new one.
"""

from __future__ import annotations

from pathlib import Path

import attrs

from polybot.lab import finished
from polybot.lab.maker_match import Result


@attrs.frozen
class Task:
    """One policy in one world, whose regime is named (`synthetic.REGIMES`)."""

    policy: str
    seed: int
    intervals: int
    intensity: float
    regime: str = "measured"


@attrs.frozen
class _Done:
    task: Task
    result: Result


def read(path: Path | None) -> dict[Task, Result]:
    """What an earlier run has finished. ValueError for a line that is not one of ours."""
    return {done.task: done.result for done in finished.read(path, _Done)}


def note(path: Path | None, task: Task, result: Result) -> None:
    """Add one to the file; nothing without a file."""
    finished.note(path, _Done(task, result))
