"""Trio's order of tasks as a function of a seed (trio.md 8), of what is due at one moment as well,
and no garbage collector between them.

Trio's names are private: a test fails when they move, and nothing but simulations may rest on them.
"""

from __future__ import annotations

import gc
import random
from collections.abc import Iterator
from contextlib import contextmanager
from heapq import heappush
from typing import Any
from unittest import mock

import trio
from trio._core import _run

from polybot.lab.alarms import Alarm


@contextmanager
def seeded_scheduler(seed: int) -> Iterator[None]:
    """While the body runs, tasks that could run in any order run in this seed's, and so do
    deadlines that are passed together. Trio takes those by their addresses: whether somebody woke
    or was cancelled at the very end of both was another matter in each run (brief seed 99).
    """
    order = random.Random(f"deadlines {seed}").random

    def add(self: _run.Deadlines, deadline: float, scope: trio.CancelScope | Alarm) -> None:
        place = order() + (isinstance(scope, Alarm) and scope.gives_way)
        entry: Any = (deadline, place, scope)
        heappush(self._heap, entry)
        self._active += 1

    with (
        mock.patch.object(_run, "_ALLOW_DETERMINISTIC_SCHEDULING", new=True),
        mock.patch.object(_run.Deadlines, "add", add),
    ):
        _run._r.seed(seed)  # noqa: SLF001 - see above
        yield


@contextmanager
def no_collector() -> Iterator[None]:
    """While the body runs, garbage goes when it says so. What is left behind half-done, such as an
    asynchronous generator, ends where the collector finds it: by its own counting that is another
    step as soon as somebody has made one object more, and a log that is listened to was enough
    (seed 739).

    What was there before stays out of it: to walk all that a program has read takes a tenth of a
    second, and a life of twenty seconds, which takes one, asks for it three times. Whoever lives
    many thaws what is left after each.
    """
    gc.collect()
    gc.freeze()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
