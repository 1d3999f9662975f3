"""Moments of simulated time in which whatever happens comes before whoever decides on it.

On a real clock two things never happen at once; on a virtual one, whose ways take whole
milliseconds, they do all the time, and who comes first is chance. For a bot beside a backtest it
must not be: there, a decision sees all that its moment brought. Here the same holds for Trio.

Two things are in the way. Trio runs what can run in any order: here those who decide wait until
nobody else can run. And deadlines that are meant to be the same differ in the last bit of a float:
here they are rounded, and so is the time at which the clock stands.

The names are private to Trio: a test fails when they move (seeded.py).
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from unittest import mock

import trio
from trio._core import _run
from trio.lowlevel import Task
from trio.testing import MockClock

DIGITS = 7  # of a second, behind its point


def moment(seconds: float) -> float:
    """What all that is meant to be at one time is at."""
    return round(seconds, DIGITS)


def _jump(clock: MockClock) -> None:
    wait_s = trio.lowlevel.current_statistics().seconds_to_next_deadline
    if 0 < wait_s < math.inf:
        clock._virtual_base = moment(clock.current_time() + wait_s)  # noqa: SLF001 - see above


def _add(deadlines: _run.Deadlines, deadline: float, scope: trio.CancelScope) -> None:
    scope._registered_deadline = moment(deadline)  # noqa: SLF001 - see above
    _add_at(deadlines, scope._registered_deadline, scope)  # noqa: SLF001


_add_at = _run.Deadlines.add


class _Order(random.Random):
    """The order of the tasks that can run: oldest first, and the `last` ones when no other can."""

    def __init__(self, last: Sequence[str]) -> None:
        super().__init__(0)
        self._last = last

    def shuffle(self, batch: list[Task]) -> None:  # type: ignore[override]  # Trio's own list
        """`batch` is sorted by age, and run from its end."""
        first = min(map(self._rank, batch), default=0)
        later = [task for task in batch if self._rank(task) > first]
        batch[:] = [task for task in reversed(batch) if self._rank(task) == first]
        _run.GLOBAL_RUN_CONTEXT.runner.runq.extend(later)

    def _rank(self, task: Task) -> int:
        for rank, start in enumerate(self._last, 1):
            if task.name.startswith(start):
                return rank
        return 0


@contextmanager
def decisions_last(*last: str) -> Iterator[None]:
    """While the body runs under a MockClock, tasks whose names begin with one of `last` run when no
    other can, those of the first before those of the second.
    """
    with (
        mock.patch.object(MockClock, "_autojump", _jump),
        mock.patch.object(_run.Deadlines, "add", _add),
        mock.patch.object(_run, "_ALLOW_DETERMINISTIC_SCHEDULING", new=True),
        mock.patch.object(_run, "_r", _Order(last)),
    ):
        yield
