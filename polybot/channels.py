"""How tasks are joined: thin faces on Trio's memory channels, one per kind of traffic.

Lossless and ordered (private events, results) is a plain bounded channel whose overflow is a fault.
The two kinds below are for traffic of which only the newest matters; both have one reader.
"""

from __future__ import annotations

from typing import Generic, TypeVar

import trio

T = TypeVar("T")


class Bell:
    """Says that something changed. Rings before the reader comes are one ring; none is lost.

    Rung for every frame: ringing a bell that rings already costs nothing.
    """

    def __init__(self) -> None:
        self._rung = False
        self._reader = trio.lowlevel.ParkingLot()

    def ring(self) -> None:
        if not self._rung:
            self._rung = True
            self._reader.unpark()

    async def wait(self) -> None:
        if self._rung:
            await trio.lowlevel.checkpoint()
        else:
            await self._reader.park()
        self._rung = False


class Published(Generic[T]):
    """A value with many readers, each waiting for something newer than it has seen.

    `watched`: there has been a reader; before that nothing need be published.
    """

    def __init__(self, value: T) -> None:
        self.value = value
        self.version = 0
        self.watched = False
        self._changed = trio.Event()

    def set(self, value: T) -> None:
        self.value = value
        self.version += 1
        self._changed.set()
        self._changed = trio.Event()

    async def newer(self, seen: int) -> tuple[int, T]:
        """Wait until the version differs from `seen`; returns the current version and value."""
        self.watched = True
        if self.version != seen:
            await trio.lowlevel.checkpoint()
        while self.version == seen:
            await self._changed.wait()
        return self.version, self.value
