"""A small HTTP/1.1 and WebSocket server on Trio, loopback only.

What is plain is read and written by hand (`plain_http.py`), the rest of HTTP by h11; wsproto does
the upgrade and the frames that come in. Whatever a client sends, the worst that happens is that its
own connection ends: a bug in a handler is a 500 (or close 1011) for that request only and goes to
the service's `on_error`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from urllib.parse import parse_qsl, urlsplit

import attrs
import h11
import trio
import wsproto
from loguru import logger
from wsproto.events import AcceptConnection
from wsproto.utilities import RemoteProtocolError as BadHandshake

from polybot.exchange.plain_http import Fields, end_of_head, plain_answer, plain_head
from polybot.exchange.request import (
    Hangup,
    Headers,
    Request,
    Response,
    error_response,
    json_response,
)
from polybot.exchange.websocket import (
    Keepalive,
    OnError,
    SlowConsumer,
    Socket,
    SocketClosed,
    frame,
)

__all__ = [
    "Hangup", "Headers", "Keepalive", "Request", "Response", "Service", "SlowConsumer", "Socket",
    "SocketClosed", "error_response", "frame", "json_response", "serve",
]  # fmt: skip

BODY_BYTES = 1 << 20
HEAD_BYTES = 1 << 14
IDLE_S = 75.0
HANDLER_S = 30.0
SEND_S = 5.0  # twice in a row without one byte taken, and the client is let go
PIECE_BYTES = 1 << 16
LEFT = "the client left in the middle of a request"


def log_error(error: Exception) -> None:
    logger.opt(exception=error).error("the exchange failed on a request")


@attrs.frozen
class Service:
    """What a port serves: plain requests, WebSocket sessions, or both.

    `admit` may refuse a WebSocket handshake with a plain reply. A request that is not answered
    within `patience_s` is a bug of the service, and a 500. `latency` says how many seconds the next
    frame takes to its reader; None for no time.
    """

    http: Callable[[Request], Awaitable[Response]] | None
    socket: Callable[[Socket], Awaitable[None]] | None
    on_error: OnError = log_error
    keepalive: Keepalive | None = None
    slow: SlowConsumer = SlowConsumer()
    admit: Callable[[Request], Response | None] | None = None
    patience_s: float = HANDLER_S
    latency: Callable[[], float] | None = None


async def serve(
    service: Service, port: int, *, task_status: trio.TaskStatus[int] = trio.TASK_STATUS_IGNORED
) -> None:
    """Serve on 127.0.0.1 until cancelled; port 0 takes a free one. Starts with the port bound.

    Trio's streams set TCP_NODELAY. Raises OSError when the port is taken.
    """
    try:
        listeners = await trio.open_tcp_listeners(port, host="127.0.0.1")
    except OSError as error:
        raise OSError(error.errno, f"port {port}: {error.strerror}") from None
    task_status.started(listeners[0].socket.getsockname()[1])
    await trio.serve_listeners(partial(_serve_connection, service), listeners)


async def _serve_connection(service: Service, stream: trio.SocketStream) -> None:
    try:
        await _Connection(service, stream).run()
    except (trio.BrokenResourceError, trio.ClosedResourceError, trio.TooSlowError):
        pass  # the client went away, or dawdled
    except Exception as error:  # noqa: BLE001  one client must not end the others
        service.on_error(error)
    finally:
        await trio.aclose_forcefully(stream)


class _Connection:
    """One client's connection: requests one after the other, or an upgrade to a WebSocket."""

    def __init__(self, service: Service, stream: trio.SocketStream) -> None:
        self._service = service
        self._stream = stream
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=HEAD_BYTES)
        self._peer: str = stream.socket.getpeername()[0]
        self._unread = b""

    async def run(self) -> None:
        while request := await self._plain_request():
            await self._send(plain_answer(await self._handle(request)))
        if self._unread:
            self._http.receive_data(self._unread)
            await self._by_h11()

    async def _plain_request(self) -> Request | None:
        """The next request. None when there is none, or one, in `_unread`, that is h11's."""
        with trio.fail_after(IDLE_S):
            while (end := end_of_head(self._unread)) is None:
                if len(self._unread) > HEAD_BYTES or not await self._read_on():
                    return None
            head = plain_head(self._unread[: end - 4]) if end > 0 else None
            if head is None or head.size > BODY_BYTES:
                return None
            while len(self._unread) < end + head.size:
                if not await self._read_on():
                    raise trio.BrokenResourceError(LEFT)
        body, self._unread = self._unread[end : end + head.size], self._unread[end + head.size :]
        try:
            return _to_request(head.method, head.target, head.fields, body, self._peer)
        except h11.RemoteProtocolError as error:
            await self._refuse(error)
            self._unread = b""
            return None

    async def _read_on(self) -> bool:
        """Read what comes; False at the end."""
        data = await self._stream.receive_some()
        self._unread += data
        return bool(data)

    async def _by_h11(self) -> None:
        """From a request on that is not plain, to the end of the connection."""
        try:
            while await self._one_request():
                self._http.start_next_cycle()
        except h11.RemoteProtocolError as error:
            await self._refuse(error)

    async def _one_request(self) -> bool:
        """Serve one request; False when the connection is finished."""
        with trio.fail_after(IDLE_S):
            head = await self._next_event()
            if not isinstance(head, h11.Request):
                return False
            body = await self._read_body(head)
        fields = [(bytes(name), bytes(value)) for name, value in head.headers]
        request = _to_request(bytes(head.method), bytes(head.target), fields, body, self._peer)
        if self._service.socket is not None and _wants_websocket(request):
            admit = self._service.admit
            refusal = admit(request) if admit is not None else None
            if refusal is not None:
                await self._respond(refusal, request.method, close=True)
                return False
            await self._upgrade(self._service.socket, head, request)
            return False
        await self._respond(await self._handle(request), request.method)
        return self._http.our_state is h11.DONE and self._http.their_state is h11.DONE

    async def _next_event(self) -> object:
        while True:
            event = self._http.next_event()
            if event is not h11.NEED_DATA:
                return event
            self._http.receive_data(await self._stream.receive_some())

    async def _read_body(self, head: h11.Request) -> bytes:
        if int(dict(head.headers).get(b"content-length", b"0")) > BODY_BYTES:
            raise h11.RemoteProtocolError("body too large", error_status_hint=413)
        if self._http.they_are_waiting_for_100_continue:
            go_on = self._http.send(h11.InformationalResponse(status_code=100, headers=[]))
            await self._stream.send_all(go_on or b"")
        body = bytearray()
        while isinstance(event := await self._next_event(), h11.Data):
            body += event.data
            if len(body) > BODY_BYTES:
                raise h11.RemoteProtocolError("body too large", error_status_hint=413)
        if not isinstance(event, h11.EndOfMessage):
            raise trio.BrokenResourceError(LEFT)
        return bytes(body)

    async def _handle(self, request: Request) -> Response:
        if self._service.http is None:
            return error_response("websocket only", 426)
        try:
            with trio.fail_after(self._service.patience_s):
                return await self._service.http(request)
        except Hangup:
            raise trio.BrokenResourceError("the service hangs up") from None
        except Exception as error:  # noqa: BLE001  a bug costs one request
            self._service.on_error(error)
            return error_response("internal error", 500)

    async def _respond(self, response: Response, method: str, *, close: bool = False) -> None:
        headers = [*response.headers, ("content-length", str(len(response.body)))]
        if close:
            headers.append(("connection", "close"))
        out = [self._http.send(h11.Response(status_code=response.status, headers=headers))]
        if method != "HEAD":
            out.append(self._http.send(h11.Data(data=response.body)))
        out.append(self._http.send(h11.EndOfMessage()))
        await self._send(b"".join(part or b"" for part in out))

    async def _send(self, data: bytes) -> None:
        """All of it, however slowly the client reads. Raises TooSlowError when it takes nothing.

        The second wait begins with a try: where it was this process that had no time, the socket
        has room by now. One deadline for the whole body would cut it off, and no fault has.
        """
        left, strikes = memoryview(data), 0
        while left:
            sent = 0
            try:
                with trio.move_on_after(SEND_S):
                    sent = await self._stream.socket.send(left[:PIECE_BYTES])
            except OSError as error:
                raise trio.BrokenResourceError("the client went away") from error
            strikes = 0 if sent else strikes + 1
            if strikes == 2:
                raise trio.TooSlowError
            left = left[sent:]

    async def _refuse(self, error: h11.RemoteProtocolError) -> None:
        if self._http.our_state not in {h11.IDLE, h11.SEND_RESPONSE}:
            return
        refusal = error_response(str(error), error.error_status_hint)
        await self._respond(refusal, "GET", close=True)
        # A client still sending its oversized body would get a reset before it reads the refusal.
        with trio.move_on_after(1):
            await self._stream.send_eof()
            while await self._stream.receive_some():
                pass

    async def _upgrade(
        self, handler: Callable[[Socket], Awaitable[None]], head: h11.Request, request: Request
    ) -> None:
        protocol = wsproto.WSConnection(wsproto.ConnectionType.SERVER)
        try:
            protocol.initiate_upgrade_connection(list(head.headers), head.target.decode())
            accepted = protocol.send(AcceptConnection())
        except (BadHandshake, wsproto.utilities.LocalProtocolError) as error:
            raise h11.RemoteProtocolError(str(error)) from None
        await self._send(accepted)
        service = self._service
        socket = Socket(request, self._stream, protocol, service.slow, service.latency)
        leftover = self._http.trailing_data[0]
        await socket.run(handler, leftover, service.on_error, service.keepalive)


def _to_request(method: bytes, target: bytes, fields: Fields, body: bytes, peer: str) -> Request:
    try:
        asked = urlsplit(target.decode("ascii"))
        pairs = parse_qsl(asked.query, keep_blank_values=True) if asked.query else []
    except ValueError:
        raise h11.RemoteProtocolError("bad request target") from None
    query: dict[str, str] = {}
    for name, value in pairs:
        query[name] = f"{query[name]},{value}" if name in query else value
    headers = {name.decode("ascii"): value.decode("latin-1") for name, value in fields}
    return Request(method.decode("ascii"), asked.path, query, headers, body, peer)


def _wants_websocket(request: Request) -> bool:
    return request.headers.get("upgrade", "").lower() == "websocket"
