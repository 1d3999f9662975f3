"""Where the disk's work is done: in a thread, so that a slow disk does not hold up the loop, or in
the loop, for clocks that are not the wall's and would run ahead while a thread works.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import attrs
import trio


class Disk(Protocol):
    """Does one piece of blocking work after the other and raises what the work raises. Cancelled,
    the work is done all the same: an entry half known is worse than a moment's wait.
    """

    async def run(self, work: Callable[[], None]) -> None: ...


@attrs.frozen
class InThread:
    _one: trio.CapacityLimiter = attrs.field(factory=lambda: trio.CapacityLimiter(1))

    async def run(self, work: Callable[[], None]) -> None:
        # Trio looks for a cancellation before it starts a thread: who had taken entries in hand in
        # the very step of the end left with them.
        with trio.CancelScope(shield=True):
            await trio.to_thread.run_sync(work, limiter=self._one)


@attrs.frozen
class InLoop:
    async def run(self, work: Callable[[], None]) -> None:
        work()
        await trio.lowlevel.checkpoint()


def disk_at(speed: float) -> Disk:
    """The disk of a run on a clock that runs so many times as fast as the wall's."""
    return InThread() if speed == 1 else InLoop()
