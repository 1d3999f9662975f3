"""What Trio's loop does most often in a simulation, in fewer calls: telling the time, six hundred
thousand times in eight minutes of a venue, and moving the deadlines of cancel scopes.

What comes of it is Trio's to the last bit. The names are private to Trio, as those of `seeded`: a
test fails when they move.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from math import inf
from unittest import mock

import trio
from trio._core import _run
from trio.testing import MockClock


class _Moving:
    """As `CancelScope._might_change_registered_deadline`, which is a generator: three for each
    scope, and none of them is asked to do more than compare two numbers and call one function.
    """

    __slots__ = ("_scope",)

    def __init__(self, scope: trio.CancelScope) -> None:
        self._scope = scope

    def __enter__(self) -> None:
        """What may change the deadline is the body."""

    @trio.lowlevel.enable_ki_protection
    def __exit__(self, *_: object) -> None:
        scope = self._scope
        old = scope._registered_deadline  # noqa: SLF001 - see above
        off = scope._cancel_status is None or scope._cancel_called  # noqa: SLF001
        new = inf if off else scope._deadline  # noqa: SLF001
        if old != new:
            scope._registered_deadline = new  # noqa: SLF001
            deadlines = _run.GLOBAL_RUN_CONTEXT.runner.deadlines
            if old != inf:
                deadlines.remove(old, scope)
            if new != inf:
                deadlines.add(new, scope)


def _moving(scope: trio.CancelScope) -> _Moving:
    """A function, for only that becomes a method."""
    return _Moving(scope)


@contextmanager
def light_loop(clock: MockClock) -> Iterator[None]:
    """While the body runs `clock`, which jumps, is the one of all that ask for the time."""
    now = lambda: clock._virtual_base  # noqa: E731, SLF001 - see above
    with (
        mock.patch.object(trio, "current_time", now),
        mock.patch.object(_run, "current_time", now),
        mock.patch.object(trio.CancelScope, "_might_change_registered_deadline", _moving),
    ):
        yield
