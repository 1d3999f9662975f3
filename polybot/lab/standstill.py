"""A process that stands still while the world goes on: a virtual machine that is paused,
somebody's SIGSTOP (F50, F69). A laptop that sleeps is another thing: there the clock by which its
timers go stands as well.

None of its tasks gets a turn. What comes meanwhile is there when it goes on, and only then do its
timers find that they are over: who has waited for bytes with a limit gets the bytes. So it is where
a kernel wakes a program, whose loop looks at its sockets before it looks at the time.

Whose a task is says its context. The names are private to Trio, as those of `seeded`: a test fails
when they move.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from contextvars import ContextVar
from typing import Any
from unittest import mock

import attrs
import trio
from trio._core import _run

PROCESS: ContextVar[str] = ContextVar("PROCESS", default="")


@attrs.define(eq=False)
class Standstill:
    """`whose` process stands still; "" where none does. `ended_s` is when the last one went on, by
    `now_s`, and `lasted_s` for how long it had stood.
    """

    now_s: Callable[[], float]
    whose: str = ""
    ended_s: float = -math.inf
    lasted_s: float = 0.0
    _began_s: float = 0.0
    _turns: list[trio.lowlevel.Task] = attrs.field(factory=list)  # in the order they came
    _over: list[tuple[trio.CancelScope, Any]] = attrs.field(factory=list)
    _patches: ExitStack = attrs.field(factory=ExitStack)

    def begin(self, whose: str) -> None:
        """From now on it gets no turn, but for what runs in this very pass of the loop."""
        self.whose, self._began_s = whose, self.now_s()
        runner, reschedule = _run.GLOBAL_RUN_CONTEXT.runner, _run.Runner.reschedule
        cancel = trio.CancelScope._cancel  # noqa: SLF001 - see above
        waiting = list(runner.runq)
        runner.runq.clear()
        for task in waiting:
            (self._turns if self._stands(task) else runner.runq).append(task)

        def later(it: _run.Runner, task: trio.lowlevel.Task, *value: Any) -> None:
            reschedule(it, task, *value)
            if self._stands(task):
                self._turns.append(it.runq.pop())

        def still_open(scope: trio.CancelScope, reason: Any) -> None:
            if self._within(scope._cancel_status):  # noqa: SLF001
                self._over.append((scope, reason))
            else:
                cancel(scope, reason)

        self._patches.enter_context(mock.patch.object(_run.Runner, "reschedule", later))
        self._patches.enter_context(mock.patch.object(trio.CancelScope, "_cancel", still_open))

    def end(self, whose: str) -> None:
        """It goes on. Does nothing where that has been said before."""
        if not whose or self.whose != whose:
            return
        self.whose, self.ended_s = "", self.now_s()
        self.lasted_s = self.ended_s - self._began_s
        self._patches.close()
        turns, self._turns = self._turns, []
        over, self._over = self._over, []
        _run.GLOBAL_RUN_CONTEXT.runner.runq.extend(turns)
        for scope, reason in over:
            scope._cancel(reason)  # noqa: SLF001

    def _stands(self, task: trio.lowlevel.Task) -> bool:
        return bool(task.context.get(PROCESS) == self.whose)

    def _within(self, status: Any) -> bool:
        """Whether all who are in a scope stand still: then its time is theirs to tell."""
        tasks = list(_tasks_of(status))
        return bool(tasks) and all(map(self._stands, tasks))


def _tasks_of(status: Any) -> Iterator[trio.lowlevel.Task]:
    if status is not None:
        yield from status._tasks  # noqa: SLF001
        for inner in status._children:  # noqa: SLF001
            yield from _tasks_of(inner)
