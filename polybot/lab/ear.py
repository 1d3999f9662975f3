"""A session's socket without a network: what is said arrives, what it is told is handed on."""

from __future__ import annotations

from collections.abc import Callable

import trio

from polybot.exchange.request import Request
from polybot.exchange.websocket import Socket, SocketClosed, frame

INBOX = 1_000


class Ear(Socket):
    """Stands for one client of a streaming service. `hear` gets every text."""

    def __init__(self, path: str, hear: Callable[[str], None]) -> None:
        # No network: nothing of the real one is wanted.
        self.request = Request("GET", path, {}, {}, b"", "127.0.0.1")
        self.tap = None
        self.ended = False
        self._hear = hear
        self._say, self._said = trio.open_memory_channel[str](INBOX)

    def say(self, text: str) -> None:
        """What the client sends."""
        if not self.ended:
            self._say.send_nowait(text)

    @property
    def waiting(self) -> int:
        return 0

    async def receive(self) -> str:
        try:
            return await self._said.receive()
        except trio.EndOfChannel:
            raise SocketClosed from None

    def send(self, text: str) -> None:
        self._hear(text)

    def send_frame(self, data: bytes) -> None:
        start = next(size for size in (2, 4, 10) if frame_size(data, size) == len(data))
        self._hear(data[start:].decode())

    def end(self, code: int, reason: str) -> None:
        self.ended = True
        self._say.close()

    async def close(self, code: int, reason: str) -> None:
        self.end(code, reason)

    def drop(self) -> None:
        self.end(1006, "")


def frame_size(data: bytes, head: int) -> int:
    """How long a frame whose payload begins there would be."""
    return len(frame("x" * (len(data) - head)))
