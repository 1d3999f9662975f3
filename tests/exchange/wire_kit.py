"""A session's socket without a network: the test is the client."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import parse_qsl

import trio

from polybot.exchange.request import Request
from polybot.exchange.websocket import Socket, SocketClosed, frame


class Wire(Socket):
    """Stands for a session's socket: what the test says comes in, what is sent is kept."""

    def __init__(self, peer: str = "127.0.0.1", path: str = "/") -> None:
        # No network: nothing of the real one is wanted.
        url, _, query = path.partition("?")
        self.request = Request("GET", url, dict(parse_qsl(query)), {}, b"", peer)
        self.say, self._heard = trio.open_memory_channel[str](100)
        self.texts: list[str] = []
        self.dropped = False
        self.backlog = 0
        self.closed: tuple[int, str] | None = None

    @property
    def waiting(self) -> int:
        return self.backlog

    def end(self, code: int, reason: str) -> None:
        if self.closed is None:
            self.closed = code, reason
            self.say.close()

    async def close(self, code: int, reason: str) -> None:
        self.end(code, reason)

    async def receive(self) -> str:
        try:
            return await self._heard.receive()
        except trio.EndOfChannel:
            raise SocketClosed from None

    def send(self, text: str) -> None:
        self.texts.append(text)

    def send_frame(self, data: bytes) -> None:
        start = next(s for s in (2, 4, 10) if frame(data[s:].decode(errors="replace")) == data)
        self.send(data[start:].decode())

    def drop(self) -> None:
        self.dropped = True
        self.say.close()

    async def tell(self, message: object) -> list[Any]:
        """Send one client message and take everything received since the last look."""
        text = message if isinstance(message, str) else json.dumps(message)
        self.say.send_nowait(text)
        await trio.testing.wait_all_tasks_blocked()
        return self.take()

    def take(self) -> list[Any]:
        taken = [_decoded(text) for text in self.texts]
        self.texts.clear()
        return taken


def _decoded(text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text


def kinds(messages: list[Any]) -> list[str]:
    return [m["event_type"] if isinstance(m, dict) else str(m) for m in messages]
