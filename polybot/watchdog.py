"""Words to the service manager, in systemd's protocol: that we have begun, and that the loop turns.

A loop that hangs in a call of its own is not seen from inside. Its orders are gone fifteen seconds
later, by the venue's switch; but nobody would trade any more, or know. So whoever started us hears
of every turn, and without word for `WATCHDOG_USEC` he ends us and starts us again. A halt is no
reason for that: it waits for an operator, and the loop turns.
"""

from __future__ import annotations

import math
import socket
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager, suppress

import attrs
import trio

READY, TURNS = b"READY=1", b"WATCHDOG=1"


@attrs.frozen
class Watchdog:
    """`place` is the manager's datagram socket, `every_s` how often it is to hear of us."""

    place: str
    every_s: float = math.inf

    @classmethod
    def of(cls, environ: Mapping[str, str], pid: int) -> Watchdog | None:
        """What the environment asks for; None without a manager, or where it asks another process.
        Twice as often as must be, as systemd's own manual has it.
        """
        place, asked = environ.get("NOTIFY_SOCKET"), environ.get("WATCHDOG_USEC", "")
        if not place:
            return None
        watched = (
            asked.isdecimal()
            and int(asked) > 0
            and environ.get("WATCHDOG_PID", str(pid)) == str(pid)
        )
        return cls(place, int(asked) / 2e6 if watched else math.inf)

    async def run(self) -> None:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as wire:
            wire.setblocking(False)
            self._say(wire, READY)
            while True:
                await trio.sleep(self.every_s)
                self._say(wire, TURNS)

    def _say(self, wire: socket.socket, word: bytes) -> None:
        """A manager that does not listen is his own trouble, not the bot's."""
        abstract = self.place.startswith("@")
        with suppress(OSError):
            wire.sendto(word, f"\0{self.place[1:]}" if abstract else self.place)


@asynccontextmanager
async def notifying(dog: Watchdog | None) -> AsyncGenerator[None]:
    """Tell the manager, if there is one, while the body runs. What the body raises leaves as it
    is, in no group: a start that failed is known by its type.
    """
    failed: Exception | None = None
    async with trio.open_nursery() as nursery:
        if dog is not None:
            nursery.start_soon(dog.run)
        try:
            yield
        except Exception as error:  # noqa: BLE001 - it goes on below, where no nursery wraps it
            failed = error
        nursery.cancel_scope.cancel()
    if failed is not None:
        raise failed
