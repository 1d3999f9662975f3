"""Things to be done at a time of Trio's, without a task that waits for it and without an exception.

`trio.sleep` is a cancel scope that expires: a scope, a status, a reason and an exception that
unwinds the sleeper, 60 µs each time, and a simulation sleeps a hundred times a venue second. Here
the time lies in Trio's own heap of deadlines, and when it has come a function is called; a sleeper
is rescheduled by it. So whatever clock moves the deadlines moves these, in the same order.

The names are private to Trio, as those of `seeded`: a test fails when they move.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

import trio
from trio import _timeouts
from trio._core import _run


class Alarm:
    """Calls `act` once, when Trio's time is `at`, unless it is stopped before. One that `gives_way`
    comes after all scopes that expire at the same time.
    """

    __slots__ = ("_act", "_registered_deadline", "gives_way")

    def __init__(self, at: float, act: Callable[[], None], *, gives_way: bool = False) -> None:
        self._act, self.gives_way = act, gives_way
        self._registered_deadline = at  # the heap's name for it
        scope: Any = self
        _run.GLOBAL_RUN_CONTEXT.runner.deadlines.add(at, scope)

    def stop(self) -> None:
        """Never mind; does nothing when it has gone off."""
        if self._registered_deadline < math.inf:
            self._registered_deadline = math.inf
            scope: Any = self
            _run.GLOBAL_RUN_CONTEXT.runner.deadlines.remove(math.inf, scope)

    def _cancel(self, _reason: object) -> None:
        """What the heap calls when the time has come."""
        self.stop()
        self._act()


async def sleep_until(deadline: float) -> None:
    """As Trio's, for all that a caller can see: whose patience ends in the very moment is
    cancelled, for of two scopes that have expired Trio takes the outer one.
    """
    if math.isnan(deadline):
        raise ValueError("deadline must not be NaN")
    if deadline == math.inf:
        await trio.sleep_forever()
    task = trio.lowlevel.current_task()
    alarm = Alarm(deadline, lambda: trio.lowlevel.reschedule(task), gives_way=True)

    def abort(_: object) -> trio.lowlevel.Abort:
        alarm.stop()
        return trio.lowlevel.Abort.SUCCEEDED

    await trio.lowlevel.wait_task_rescheduled(abort)


@contextmanager
def light_sleep() -> Iterator[None]:
    """While the body runs, all of this process sleep by alarms."""
    with (
        mock.patch.object(_timeouts, "sleep_until", sleep_until),
        mock.patch.object(trio, "sleep_until", sleep_until),
    ):
        yield
