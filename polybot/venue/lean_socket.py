"""A client WebSocket pulled straight from a Trio stream: for the one socket that bursts.

trio-websocket hands every message through a reader task and a channel, two passes of the loop a
message; in a burst the frames wait in the kernel while everything else takes its turn, and the book
is right but old. Here a read brings many frames and they are handed out without a pass between
them, nearly three times as many a second (trio.md 9). wsproto does the protocol; what the caller
sees is trio-websocket's.
"""

from __future__ import annotations

from collections import deque
from typing import Self

import attrs
import trio
from trio_websocket import CloseReason, ConnectionClosed
from wsproto import ConnectionType, WSConnection
from wsproto.events import (
    AcceptConnection,
    BytesMessage,
    CloseConnection,
    Event,
    Ping,
    RejectConnection,
    Request,
    TextMessage,
)
from wsproto.utilities import LocalProtocolError, RemoteProtocolError

READ_BYTES = 64 * 1024
ABNORMAL = 1006  # the code of a connection that ended without a close frame


@attrs.define(eq=False)
class LeanSocket:
    """One open connection. One reader; any number of senders."""

    _stream: trio.SocketStream | trio.SSLStream[trio.SocketStream]
    _protocol: WSConnection
    _most_bytes: int
    _ready: deque[str] = attrs.field(factory=deque)
    _parts: list[str] = attrs.field(factory=list)
    _size: int = 0
    _closed: CloseReason | None = None
    _sending: trio.Lock = attrs.field(factory=trio.Lock)

    @classmethod
    async def open(
        cls,
        stream: trio.SocketStream | trio.SSLStream[trio.SocketStream],
        host: str,
        resource: str,
        *,
        most_bytes: int,
    ) -> Self:
        """Shake hands. Raises ConnectionClosed when the server refuses or talks something else."""
        socket = cls(stream, WSConnection(ConnectionType.CLIENT), most_bytes)
        await socket._send(Request(host=host, target=resource))
        accepted = False
        while not accepted:
            for event in await socket._events():
                if isinstance(event, RejectConnection):
                    raise ConnectionClosed(CloseReason(event.status_code, "handshake refused"))
                if isinstance(event, AcceptConnection):
                    accepted = True
                else:
                    await socket._take(event)  # frames may come in the same bytes
        return socket

    async def get_message(self) -> str:
        """The next message, at once where one has been read already. Raises ConnectionClosed."""
        while not self._ready:
            if self._closed is not None:
                raise ConnectionClosed(self._closed)
            for event in await self._events():
                await self._take(event)
        return self._ready.popleft()

    async def send_message(self, text: str) -> None:
        """Send a text. Raises ConnectionClosed."""
        if self._closed is not None:
            raise ConnectionClosed(self._closed)
        await self._send(TextMessage(data=text))

    async def aclose(self) -> None:
        """Say goodbye if it can still be said; the stream is the caller's to close."""
        if self._closed is None:
            self._closed = CloseReason(1000, None)
            await self._send(CloseConnection(code=1000))

    async def _take(self, event: Event) -> None:
        if isinstance(event, TextMessage | BytesMessage):
            self._gather(event)
        elif isinstance(event, Ping):
            await self._send(event.response())
        elif isinstance(event, CloseConnection):
            self._closed = CloseReason(event.code, event.reason)
            await self._send(event.response())

    def _gather(self, event: TextMessage | BytesMessage) -> None:
        """Put the parts of a message together. One that is too long ends the connection."""
        data = event.data
        text = data if isinstance(data, str) else bytes(data).decode("utf-8", "replace")
        self._size += len(text)
        if self._size > self._most_bytes:
            self._closed = CloseReason(1009, "message too long")
        self._parts.append(text)
        if event.message_finished:
            self._ready.append("".join(self._parts) if len(self._parts) > 1 else text)
            self._parts, self._size = [], 0

    async def _events(self) -> list[Event]:
        """Wait for bytes and parse them. The end of the stream is a closed connection."""
        try:
            data = await self._stream.receive_some(READ_BYTES)
            self._protocol.receive_data(bytes(data) or None)
            return list(self._protocol.events())
        except (trio.BrokenResourceError, trio.ClosedResourceError, RemoteProtocolError) as error:
            self._closed = CloseReason(ABNORMAL, type(error).__name__)
            raise ConnectionClosed(self._closed) from error

    async def _send(self, event: Event) -> None:
        async with self._sending:
            try:
                await self._stream.send_all(self._protocol.send(event))
            except (
                trio.BrokenResourceError,
                trio.ClosedResourceError,
                LocalProtocolError,
            ) as error:
                self._closed = self._closed or CloseReason(ABNORMAL, type(error).__name__)
                if not isinstance(event, CloseConnection):
                    raise ConnectionClosed(self._closed) from error
