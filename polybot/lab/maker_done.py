"""Finished matches: a long comparison that was interrupted goes on where it was.

What another commit has played counts, and is told: after a change of the bot begin a new file.
"""

from __future__ import annotations

import sys
from pathlib import Path

import attrs

from polybot.lab import finished
from polybot.lab.maker_match import Result
from polybot.version import commit


@attrs.frozen
class Task:
    """One policy in one world, whose regime is named (`synthetic.REGIMES`), and in one series."""

    policy: str
    seed: int
    intervals: int
    intensity: float
    regime: str = "measured"
    series: str = "btc-5m"


@attrs.frozen
class _Done:
    task: Task
    result: Result
    by: str = ""  # the commit, "" of a file of before


def read(path: Path | None) -> dict[Task, Result]:
    """What an earlier run has finished; on stderr how much of it is of another commit, whose
    policies may have been others. ValueError for a line that is not one of ours.
    """
    held = {done.task: done for done in finished.read(path, _Done)}
    here = commit()
    others = sum(done.by != here for done in held.values())
    if others:
        sys.stderr.write(f"{path}: {others} of {len(held)} matches are of another commit\n")
    return {task: done.result for task, done in held.items()}


def note(path: Path | None, task: Task, result: Result) -> None:
    """Add one to the file; nothing without a file."""
    finished.note(path, _Done(task, result, commit()))
