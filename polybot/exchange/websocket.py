"""One server-side WebSocket session: wsproto reads, our own framing writes.

The server's frames are unmasked and never fragmented, so a broadcast is framed once and the same
bytes go to every session (`frame`, `Socket.send_frame`). Sending never waits: frames queue up, one
writer task drains them, several to a `send_all`; a reader who lets the queue fill or takes nothing
for too long is closed with 1013, as the venue does (feeds.md 2.2).
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Awaitable, Callable, Iterable

import attrs
import trio
import wsproto
from wsproto.events import (
    BytesMessage,
    CloseConnection,
    Event as ProtocolEvent,
    Ping,
    Pong,
    TextMessage,
)

from polybot.exchange.request import Request

OnError = Callable[[Exception], None]

MESSAGE_CHARS = 1 << 20
CLOSE_S = 5.0

_INBOUND_MESSAGES = 64
_WRITE_BYTES = 1 << 16
_FIN_TEXT = 0x81
_EMPTY_PING = b"\x89\x00"


class SocketClosed(Exception):
    """The session has ended, by either side; there is nothing more to receive."""


@attrs.frozen
class Keepalive:
    """Protocol pings, and the close of a client that left the last `misses` of them unanswered."""

    every_s: float
    misses: int
    code: int
    reason: str


@attrs.frozen
class SlowConsumer:
    """What may wait for a reader, for how long, and the close of one that lets it grow.

    The venue tells only the close. 1024 frames are three seconds of a busy market, which fits the
    drops seen; bytes and time bound what a few large books or a dead peer may cost (INF).
    """

    code: int = 1013
    reason: str = "slow consumer: send buffer full"
    frames: int = 1024
    bytes: int = 1 << 22
    stalled_s: float = 10.0


def frame(text: str) -> bytes:
    """One unmasked, unfragmented text frame (RFC 6455, 5.2)."""
    payload = text.encode()
    size = len(payload)
    if size < 126:
        return bytes((_FIN_TEXT, size)) + payload
    if size < 1 << 16:
        return bytes((_FIN_TEXT, 126)) + size.to_bytes(2, "big") + payload
    return bytes((_FIN_TEXT, 127)) + size.to_bytes(8, "big") + payload


class Socket:
    """One session, handed to the service's handler; `net.serve` makes it and runs it.

    `whose` are the credentials of a session that has any, once its service knows them; `on_known`
    is called then.
    """

    whose: str = ""
    on_known: Callable[[], None] | None = None

    def __init__(
        self,
        request: Request,
        stream: trio.abc.Stream,
        protocol: wsproto.WSConnection,
        slow: SlowConsumer = SlowConsumer(),
        latency: Callable[[], float] | None = None,
    ) -> None:
        self.request = request
        # Whoever stands between the service and the wire: gets each framed message, gives those
        # that go out in its place. None for nobody, which costs nothing.
        self.tap: Callable[[bytes], Iterable[bytes]] | None = None
        self._muted = False
        self._stream = stream
        self._protocol = protocol
        self._slow = slow
        self._latency = latency
        # What is on its way, with when it may arrive; what left before it arrives before.
        self._travelling: deque[tuple[float, bytes]] = deque()
        self._left = trio.Event()
        self._outgoing: deque[bytes] = deque()
        self._waiting_bytes = 0
        self._blocked_at = math.inf  # when the write under way began
        self._ready = trio.Event()
        self._written = trio.Event()
        self._peer_done = trio.Event()
        self._closing = False
        self._scope = trio.CancelScope()
        self._parts: list[str] = []
        self._parts_size = 0
        self._unanswered = 0  # pings since the peer's last pong
        self._inbound_send, self._inbound = trio.open_memory_channel[str](_INBOUND_MESSAGES)

    # --- for the handler -----------------------------------------------------------------

    async def receive(self) -> str:
        """The next text message. Raises SocketClosed when there will be no more.

        A handler that has nothing to do comes back here: this is how it learns of the end.
        """
        try:
            return await self._inbound.receive()
        except trio.EndOfChannel:
            raise SocketClosed from None

    def send(self, text: str) -> None:
        """Queue one text message; see `send_frame`."""
        self.send_frame(frame(text))

    def send_frame(self, data: bytes) -> None:
        """Queue an already framed message and return at once; a no-op once the session is closing.

        With too much waiting the session is closed instead, see `SlowConsumer`.
        """
        if self.tap is not None:
            for piece in self.tap(data):
                self.put(piece)
            return
        if self._latency is None:
            self._arrive(data)
            return
        self._travelling.append((trio.current_time() + self._latency(), data))
        self._left.set()

    def _arrive(self, data: bytes) -> None:
        """Queue a frame for a reader who is there."""
        if self._closing:
            return
        if self._outgoing and self._too_slow():
            # What waits is lost anyway: only the reason may still get through.
            self._outgoing.clear()
            self._travelling.clear()
            self.end(self._slow.code, self._slow.reason)
            return
        self._outgoing.append(data)
        self._waiting_bytes += len(data)
        self._ready.set()

    def _too_slow(self) -> bool:
        slow = self._slow
        return (
            len(self._outgoing) >= slow.frames
            or self._waiting_bytes >= slow.bytes
            or trio.current_time() - self._blocked_at > slow.stalled_s
        )

    def known_as(self, whose: str) -> None:
        """The service says whose session this is; whoever stands in between hears of it."""
        self.whose = whose
        if self.on_known is not None:
            self.on_known()

    @property
    def waiting(self) -> int:
        """How many frames the reader has not taken yet."""
        return len(self._outgoing)

    def put(self, data: bytes) -> None:
        """Queue a framed message past the tap."""
        tap, self.tap = self.tap, None
        self.send_frame(data)
        self.tap = tap

    async def close(self, code: int, reason: str) -> None:
        """Send what is queued and a close frame, then wait for the peer's answer.

        A peer that does not answer within 5 s is cut: the session, handler included, is cancelled.
        """
        self.end(code, reason)
        await self._written.wait()
        await self._peer_done.wait()

    def drop(self) -> None:
        """Cut TCP without a close frame (the peer sees 1006), cancelling the handler."""
        self._closing = True
        self._scope.cancel()

    def end(self, code: int, reason: str) -> None:
        """Queue a close frame, unless there is one, and return; the session ends when the peer
        answers, or in 5 s.
        """
        if not self._closing:
            self._queue_close(CloseConnection(code=code, reason=reason))

    def mute(self) -> None:
        """Become half-open: TCP stays, nothing goes out any more, nothing that comes is heard."""
        self._muted = True

    # --- for the server ------------------------------------------------------------------

    async def run(
        self,
        handler: Callable[[Socket], Awaitable[None]],
        leftover: bytes,
        on_error: OnError,
        keepalive: Keepalive | None = None,
    ) -> None:
        """Run the session to its end. The caller closes the stream afterwards."""
        with self._scope:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._read, leftover)
                nursery.start_soon(self._write)
                if keepalive is not None:
                    nursery.start_soon(self._ping, keepalive)
                if self._latency is not None:
                    nursery.start_soon(self._carry)
                await self._handle(handler, on_error)
                nursery.cancel_scope.cancel()
        self._closing = True

    async def _handle(
        self, handler: Callable[[Socket], Awaitable[None]], on_error: OnError
    ) -> None:
        try:
            await handler(self)
        except SocketClosed:
            await self.close(1000, "")
        except Exception as error:  # noqa: BLE001  a bug costs one session
            on_error(error)
            await self.close(1011, "internal error")
        else:
            await self.close(1000, "")

    async def _carry(self) -> None:
        """Let each frame arrive when its way is over."""
        while True:
            if not self._travelling:
                self._left = trio.Event()
                await self._left.wait()
                continue
            await trio.sleep_until(self._travelling[0][0])
            while self._travelling and self._travelling[0][0] <= trio.current_time():
                self._arrive(self._travelling.popleft()[1])

    def _queue_close(self, event: CloseConnection) -> None:
        self._outgoing += [data for _, data in self._travelling]  # a close overtakes nothing
        self._travelling.clear()
        self._outgoing.append(self._protocol.send(event))
        self._closing = True
        self._ready.set()
        self._scope.deadline = min(self._scope.deadline, trio.current_time() + CLOSE_S)

    async def _write(self) -> None:
        try:
            while True:
                while self._outgoing:
                    data = self._next_write()
                    if not self._muted:
                        self._blocked_at = trio.current_time()
                        await self._stream.send_all(data)
                        self._blocked_at = math.inf
                if self._closing:
                    return
                self._ready = trio.Event()
                await self._ready.wait()
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            self._closing = True  # the reader sees the same end and tells the handler
        finally:
            self._written.set()

    def _next_write(self) -> bytes:
        first = self._outgoing.popleft()
        chunk, size = [first], len(first)
        while self._outgoing and size < _WRITE_BYTES:
            data = self._outgoing.popleft()
            chunk.append(data)
            size += len(data)
        self._waiting_bytes -= size
        return b"".join(chunk)

    async def _ping(self, keepalive: Keepalive) -> None:
        await trio.sleep(keepalive.every_s)
        while self._unanswered < keepalive.misses:
            self._unanswered += 1
            self.send_frame(_EMPTY_PING)
            await trio.sleep(keepalive.every_s)
        if not self._muted:
            self.end(keepalive.code, keepalive.reason)

    async def _read(self, leftover: bytes) -> None:
        try:
            with self._inbound_send:
                data: bytes | bytearray = leftover
                while self._muted or await self._accept(data):
                    data = await self._stream.receive_some()
                    if not data:
                        return
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass
        finally:
            self._peer_done.set()
            if self._scope.deadline == math.inf:
                self._scope.deadline = trio.current_time() + CLOSE_S

    async def _accept(self, data: bytes | bytearray) -> bool:
        """Take in bytes from the peer; False when it has closed."""
        if data:
            self._protocol.receive_data(bytes(data))
        for event in self._protocol.events():
            if isinstance(event, CloseConnection):
                if not self._closing:
                    self._queue_close(event.response())
                return False
            await self._take(event)
        return True

    async def _take(self, event: ProtocolEvent) -> None:
        if isinstance(event, TextMessage):
            await self._take_text(event)
        elif isinstance(event, Ping) and not self._closing:
            self.send_frame(self._protocol.send(event.response()))
        elif isinstance(event, Pong):
            self._unanswered = 0
        elif isinstance(event, BytesMessage) and not self._closing:
            self.end(1003, "text messages only")

    async def _take_text(self, event: TextMessage) -> None:
        self._parts.append(event.data)
        self._parts_size += len(event.data)
        if self._parts_size > MESSAGE_CHARS:
            self._parts.clear()
            self.end(1009, "message too big")
        elif event.message_finished:
            text = "".join(self._parts)
            self._parts.clear()
            self._parts_size = 0
            await self._inbound_send.send(text)
