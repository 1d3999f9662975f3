"""A client WebSocket pulled straight from a Trio stream.

trio-websocket hands every message through a reader task and a channel, two passes of the loop a
message; in a burst the frames wait in the kernel while everything else takes its turn, and the book
is right but old. Here a read brings many frames and they are handed out without a pass between
them, nearly three times as many a second (trio.md 9). wsproto does the protocol, but for what
nearly every frame is, a whole message of text: that is cut out here, for a tenth of the time. What
the caller sees is trio-websocket's.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Iterator
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
WHOLE_TEXT = 0x81  # first byte of a frame that is a message: final, text, no extension
END_OF_HEAD = b"\r\n\r\n"
ABNORMAL = 1006  # the code of a connection that ended without a close frame


class Refused(ConnectionClosed):
    """No handshake: `retry_after_s` is for how long the server wants to be left alone."""

    def __init__(self, status: int, retry_after_s: float) -> None:
        super().__init__(CloseReason(status, "handshake refused"))
        self.retry_after_s = retry_after_s


def _retry_after_s(headers: Iterable[tuple[bytes, bytes]]) -> float:
    """Zero where nothing is said, or a date, which the venue does not use (feeds.md 5.3)."""
    said = [value for name, value in headers if name.lower() == b"retry-after"]
    try:
        seconds = float(said[0]) if said else 0.0
    except ValueError:
        return 0.0
    return seconds if 0.0 < seconds < math.inf else 0.0


@attrs.define(eq=False)
class LeanSocket:
    """One open connection. One reader; any number of senders."""

    _stream: trio.SocketStream | trio.SSLStream[trio.SocketStream]
    _protocol: WSConnection
    _most_bytes: int
    _ready: deque[str] = attrs.field(factory=deque)
    _pending: bytes = b""  # the beginning of a frame; while hands are shaken, the last bytes
    _shaken: bool = False
    _partly: bool = False  # a message has begun and not ended
    _bye: bool = False  # the peer has said its last word
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
        """Shake hands. Raises Refused when the server refuses, ConnectionClosed when it talks
        something else.
        """
        socket = cls(stream, WSConnection(ConnectionType.CLIENT), most_bytes)
        await socket._send(Request(host=host, target=resource))
        while not socket._shaken:
            for event in await socket._events():
                if isinstance(event, RejectConnection):
                    raise Refused(event.status_code, _retry_after_s(event.headers))
                if not isinstance(event, AcceptConnection):
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

    async def _take(self, event: Event | str) -> None:
        if isinstance(event, str):
            self._ready.append(event)
        elif isinstance(event, TextMessage | BytesMessage):
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

    async def _events(self) -> list[Event | str]:
        """Wait for bytes and parse them. The end of the stream is a closed connection."""
        try:
            data = await self._stream.receive_some(READ_BYTES)
            if not data:
                self._protocol.receive_data(None)
                return list(self._protocol.events())
            return list(self._parsed(bytes(data)))
        except (
            trio.BrokenResourceError,
            trio.ClosedResourceError,
            RemoteProtocolError,
            UnicodeDecodeError,  # of a header that wsproto takes for ASCII
        ) as error:
            self._closed = CloseReason(ABNORMAL, type(error).__name__)
            raise ConnectionClosed(self._closed) from error

    def _parsed(self, data: bytes) -> Iterator[Event | str]:
        """What whole frames say, in their order. wsproto gets none that is incomplete, so that it
        never holds the beginning of one whose end is ours.
        """
        begin = 0
        if not self._shaken:
            begin = len(data) if (end := self._answered(data)) is None else end
            yield from self._told(data[:begin])
        if not self._shaken:
            return
        data, at = self._pending + data[begin:], 0
        while not self._bye and (frame := _frame(data, at)) is not None:
            begin, end = frame
            if end - begin > self._most_bytes:
                self._closed = CloseReason(1009, "message too long")
                return
            if end > len(data):
                break
            yield from self._said(data, at, begin, end)
            at = end
        self._pending = data[at:]

    def _answered(self, data: bytes) -> int | None:
        """Where the handshake's answer ends in these bytes, and frames begin."""
        joined = self._pending + data  # an end may come in two pieces
        found = joined.find(END_OF_HEAD)
        end = None if found < 0 else found + len(END_OF_HEAD) - len(self._pending)
        self._pending = joined[1 - len(END_OF_HEAD) :] if end is None else b""
        return end

    def _said(self, data: bytes, at: int, begin: int, end: int) -> Iterator[Event | str]:
        """One frame: a text for a whole message, else what wsproto makes of it."""
        if data[at] == WHOLE_TEXT and begin - at == _head_size(end - begin) and not self._partly:
            try:
                yield data[begin:end].decode()
            except UnicodeDecodeError:
                pass  # wsproto knows what to say to that
            else:
                return
        yield from self._told(data[at:end])

    def _told(self, data: bytes) -> Iterator[Event]:
        self._protocol.receive_data(data)
        for event in self._protocol.events():
            if isinstance(event, AcceptConnection):
                self._shaken = True
            elif isinstance(event, TextMessage | BytesMessage):
                self._partly = not event.message_finished
            elif isinstance(event, CloseConnection):
                self._bye = True
            yield event

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


def _frame(data: bytes, at: int) -> tuple[int, int] | None:
    """Where the payload of the frame at `at` begins and ends; None while its head is not there
    (RFC 6455, 5.2). A mask, which no server may use, belongs to the head.
    """
    if len(data) < at + 2:
        return None
    size, begin = data[at + 1] & 0x7F, at + 2
    if size > 125:
        begin += 2 if size == 126 else 8
        if len(data) < begin:
            return None
        size = int.from_bytes(data[at + 2 : begin], "big")
    if data[at + 1] & 0x80:
        begin += 4
    return begin, begin + size


def _head_size(size: int) -> int:
    """Bytes before an unmasked payload, as short as the protocol wants them."""
    if size < 126:
        return 2
    return 4 if size < 1 << 16 else 10
