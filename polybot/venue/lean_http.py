"""HTTP/1.1 over kept connections: each call is one small request, and one whole answer.

httpx is made for every server and every client: pools that are reckoned anew for each request,
three layers of streams, a state machine for each byte. Half the time of a call went there. Here a
request is one write, and what nearly every answer is – a head, its length, and as many bytes – is
cut out by hand; h11 reads everything else. What the caller sees is httpx's: its requests and
responses, its event hooks, its errors. Nothing is ever sent again by itself.

Left out, because no API of ours has them: cookies, redirects, auth flows, proxies, trailers.
"""

from __future__ import annotations

import functools
import re
import ssl
import zlib
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import attrs
import h11
import httpx
import trio

from polybot.venue.leave import EXTENSION, Leave

CONNECTIONS_MOST = 40
# And so many more for what withdraws, and for the heartbeat: reads that hang, on whatever host, may
# take every place there is, and a cancel is not to wait for them (S13, G8).
URGENT_MOST = 16
BEAT = "/v1/heartbeats"
SILENT_S = 0.5  # without an answer for so long a connection is doubted; half of any patience here
IDLE_S = 60.0  # a kept connection is let go after that; servers close theirs after 75 and more
READ_BYTES = 64 * 1024
HEAD_MOST = 100 * 1024
BODY_MOST = 32 * 1024 * 1024  # a hundred times the longest list of any API here
END_OF_HEAD = b"\r\n\r\n"
STATUS_LINE = re.compile(rb"HTTP/1\.1 ([2-5][0-9]{2})(?: [^\0\r\n]*)?")
FIELD = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+):[ \t]*([^\0\r\n]*?)[ \t]*")
UNSENDABLE = re.compile(rb"[\0\r\n]")
BODILESS = (b"204", b"304")
SIZE_DIGITS_MOST = 18  # Python raises for a number of thousands of digits
DISCONNECTED = "Server disconnected without sending a response."

Stream = trio.SocketStream | trio.SSLStream[trio.SocketStream]
Fields = list[tuple[bytes, bytes]]
Origin = tuple[bytes, str, int]


class Withheld(httpx.TransportError):
    """The request was not to be written any more; nothing of it was."""


@attrs.frozen
class Answer:
    """An answer that is whole. `keeps`: the connection may carry another request."""

    status: int
    headers: Fields
    body: bytes
    keeps: bool


@attrs.define(eq=False)
class Connection:
    """One connection; one request at a time."""

    origin: Origin
    stream: Stream
    idle_since: float = 0.0

    @classmethod
    async def dial(cls, origin: Origin) -> Connection:
        """Connect. Raises httpx.ConnectError."""
        scheme, host, port = origin
        try:
            if scheme == b"http":
                return cls(origin, await trio.open_tcp_stream(host, port))
            secure = await trio.open_ssl_over_tcp_stream(
                host, port, ssl_context=_tls_context(), https_compatible=True
            )
            try:
                await secure.do_handshake()
            except BaseException:
                await trio.aclose_forcefully(secure)
                raise
        except (OSError, trio.BrokenResourceError, UnicodeError) as error:
            # The last: what cannot be a host's name, and is not even looked up.
            raise httpx.ConnectError(str(error) or repr(error.__cause__)) from error
        return cls(origin, secure)

    @property
    def _socket(self) -> trio.socket.SocketType:
        stream = self.stream
        return (stream if isinstance(stream, trio.SocketStream) else stream.transport_stream).socket

    @property
    def usable(self) -> bool:
        """Whether an idle one can still be used: what is readable now is its end."""
        return trio.current_time() - self.idle_since < IDLE_S and not self._socket.is_readable()

    def close(self) -> None:
        """Without a word, and at once."""
        self._socket.close()

    async def ask(self, method: bytes, target: bytes, headers: Fields, body: bytes) -> Answer:
        """Send a request and read its answer. Raises httpx.TransportError."""
        lines = [name + b": " + value for name, value in headers]
        head = b"\r\n".join([method + b" " + target + b" HTTP/1.1", *lines])
        if len(UNSENDABLE.findall(head)) != 2 * len(lines):
            raise httpx.LocalProtocolError("Illegal header value")
        with suppress(trio.BrokenResourceError):  # who hangs up on a request may have said why
            await self.stream.send_all(head + END_OF_HEAD + body)
        data = b""
        while (end := data.find(END_OF_HEAD)) < 0 and len(data) < HEAD_MOST:
            more = await self._read()
            if not more:
                break
            data += more
        plain = _plain(data[:end]) if end >= 0 and method != b"HEAD" else None
        if plain is not None:
            return await self._rest(plain, data[end + len(END_OF_HEAD) :])
        sent = h11.Request(method=method, target=target, headers=headers)
        try:
            return await _by_h11(sent, body, data, self._read)
        except h11.ProtocolError as error:
            raise httpx.RemoteProtocolError(str(error)) from error

    async def _rest(self, plain: _Plain, data: bytes) -> Answer:
        """The body of a plain answer."""
        _check_size(plain.size)
        parts, read = [data], len(data)
        while read < plain.size:
            more = await self._read()
            if not more:
                raise httpx.RemoteProtocolError(
                    "peer closed connection without sending complete message body "
                    f"(received {read} bytes, expected {plain.size})"
                )
            parts.append(more)
            read += len(more)
        body = b"".join(parts)[: plain.size]
        return Answer(plain.status, plain.headers, body, plain.keeps and read == plain.size)

    async def _read(self) -> bytes:
        try:
            return bytes(await self.stream.receive_some(READ_BYTES))
        except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
            raise httpx.ReadError(str(error)) from error


@attrs.frozen
class _Plain:
    """A head that says how long its body is."""

    status: int
    headers: Fields
    size: int
    keeps: bool


def _plain(head: bytes) -> _Plain | None:
    """None for a head of which h11 must judge."""
    first, *lines = head.split(b"\r\n")
    status = STATUS_LINE.fullmatch(first)
    fields = [FIELD.fullmatch(line) for line in lines]
    headers = [(field[1], field[2]) for field in fields if field is not None]
    said = {name.lower(): value for name, value in headers}
    size = said.get(b"content-length", b"")
    odd = None in fields or (len(said) < len(headers) and _repeats_its_length(headers))
    if status is None or status[1] in BODILESS or odd or not size.isdigit():
        return None
    if b"transfer-encoding" in said or len(size) > SIZE_DIGITS_MOST:
        return None
    keeps = said.get(b"connection", b"keep-alive").lower() == b"keep-alive"
    return _Plain(int(status[1]), headers, int(size), keeps)


def _check_size(size: int) -> None:
    """Raises httpx.RemoteProtocolError for a body that memory is not there for."""
    if size > BODY_MOST:
        raise httpx.RemoteProtocolError(f"an answer of {size} bytes or more")


def _response(answer: Answer) -> httpx.Response:
    """What came, unpacked. httpx would unpack it to whatever size it comes to. Raises
    httpx.RequestError.
    """
    headers = httpx.Headers(answer.headers)
    packing = headers.get("content-encoding", "").strip().lower()
    if not packing or not answer.body:
        return httpx.Response(answer.status, headers=headers, content=answer.body)
    # Packed in a way that was not asked for it stays so: the status is told all the same.
    body = _unpacked(answer.body) if packing == "gzip" else answer.body
    response = httpx.Response(answer.status, content=body)
    response.headers = headers
    return response


def _unpacked(body: bytes) -> bytes:
    """Raises httpx.RequestError where it is broken, and where it comes to too much."""
    machine = zlib.decompressobj(16 + zlib.MAX_WBITS)
    try:
        said = machine.decompress(body, BODY_MOST + 1)
    except zlib.error as error:
        raise httpx.DecodingError(str(error)) from error
    _check_size(len(said))
    if not machine.eof:
        raise httpx.DecodingError("the packed answer is cut short")
    return said


def _repeats_its_length(headers: Fields) -> bool:
    """Headers may come twice (cookies do), but not this one."""
    return sum(name.lower() == b"content-length" for name, _ in headers) > 1


async def _by_h11(
    request: h11.Request, body: bytes, data: bytes, read: Callable[[], Awaitable[bytes]]
) -> Answer:
    """Whatever is not plain: chunks, ends without a length, interim answers, nonsense."""
    machine = h11.Connection(h11.CLIENT, max_incomplete_event_size=HEAD_MOST)
    for sent in (request, h11.Data(data=body), h11.EndOfMessage()):
        machine.send(sent)
    status, headers, parts, read_bytes = 0, [], [], 0
    machine.receive_data(data)
    while not isinstance(event := machine.next_event(), h11.EndOfMessage):
        if event is h11.NEED_DATA:
            machine.receive_data(await read())
        elif isinstance(event, h11.Response):
            status, headers = event.status_code, list(event.headers.raw_items())
        elif isinstance(event, h11.Data):
            parts.append(bytes(event.data))
            _check_size(read_bytes := read_bytes + len(event.data))
        elif not isinstance(event, h11.InformationalResponse):
            raise httpx.RemoteProtocolError(DISCONNECTED)
    done = machine.our_state is machine.their_state is h11.DONE and not machine.trailing_data[0]
    return Answer(status, headers, b"".join(parts), done)


class LeanTransport(httpx.AsyncBaseTransport):
    """Connections that are kept between requests, the last used first.

    Where anything urgent is ever asked, one is left for that: a cancel that found all of them in
    use had to dial, which is two trips to the venue more, or never came about. Heartbeats take the
    one that nobody has used for the longest, so that it does not grow old.
    """

    def __init__(self) -> None:
        self._idle: dict[Origin, list[Connection]] = {}
        self._places = trio.Semaphore(CONNECTIONS_MOST)
        self._urgent = trio.Semaphore(URGENT_MOST)
        self._closed = False
        self._left_one: set[Origin] = set()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """One request and its whole answer. Raises httpx.TransportError: Withheld where it may not
        be written any more once there is a connection.
        """
        leave: Leave | None = request.extensions.get(EXTENSION)
        if leave is not None:
            leave.unsent = True
        url, body = request.url, await request.aread()
        port = url.port or (443 if url.scheme == "https" else 80)
        origin = url.raw_scheme, url.raw_host.decode("ascii"), port
        method = request.method.encode("ascii")
        beats = url.path == BEAT
        urgent = beats or method == b"DELETE"
        places = self._urgent if urgent else self._places
        if urgent:
            self._left_one.add(origin)
        left = 1 if origin in self._left_one and not urgent else 0
        try:
            places.acquire_nowait()
        except trio.WouldBlock:
            await places.acquire()
        try:
            kept = self._kept(origin, left, oldest=beats)
            connection = kept or await Connection.dial(origin)
            if leave is not None and not leave.take():
                self._keep(connection)
                raise Withheld("may not leave any more")
            answer = await self._ask(connection, method, url.raw_path, request.headers.raw, body)
        finally:
            places.release()
        return _response(answer)

    async def _ask(
        self, connection: Connection, method: bytes, target: bytes, headers: Fields, body: bytes
    ) -> Answer:
        """Ask, and keep the connection if it can be; one that was left halfway cannot."""
        keeps, doubted = False, True
        asked_at = trio.current_time()
        try:
            answer = await connection.ask(method, target, headers, body)
            keeps, doubted = answer.keeps, False
            return answer
        except trio.Cancelled:
            # A scope that ends takes its reads with it, however young: they say nothing, and its
            # cancels need what is kept.
            doubted = trio.current_time() - asked_at >= SILENT_S
            raise
        finally:
            if keeps:
                self._keep(connection)
            else:
                connection.close()
            if doubted:
                self._drop_silent(connection.origin, asked_at)

    def _drop_silent(self, origin: Origin, since: float) -> None:
        """Let go what has not answered since then either. A cut path that nobody tells of leaves
        every kept connection dead alike, and each would cost a cancel the whole patience of its
        caller, one after another until all of them are too old. To dial in vain costs one way.
        """
        for connection in (kept := self._idle.get(origin, [])):
            if connection.idle_since <= since:
                connection.close()
        kept[:] = [one for one in kept if one.idle_since > since]

    def _keep(self, connection: Connection) -> None:
        if self._closed:
            connection.close()
            return
        connection.idle_since = trio.current_time()
        self._idle.setdefault(connection.origin, []).append(connection)

    def _kept(self, origin: Origin, left: int, *, oldest: bool) -> Connection | None:
        """One that can still be used, if so many are `left`."""
        kept = self._idle.get(origin, [])
        while len(kept) > left:
            connection = kept.pop(0 if oldest else -1)
            if connection.usable:
                return connection
            connection.close()
        return None

    async def aclose(self) -> None:
        """Who is being answered still closes his own connection."""
        self._closed = True
        for kept in self._idle.values():
            for connection in kept:
                connection.close()
        self._idle.clear()


class LeanClient(httpx.AsyncClient):
    """httpx's client, of which a request goes straight to the wire: hooks are called, and nothing
    else comes between.
    """

    def __init__(self) -> None:
        self._lean = LeanTransport()
        super().__init__(
            transport=self._lean,
            timeout=None,
            follow_redirects=False,
            trust_env=False,
            headers={"Accept-Encoding": "gzip"},  # httpx also asks for what we do not unpack
        )

    async def send(self, request: httpx.Request, **_: Any) -> httpx.Response:
        """Raises httpx.HTTPError, RuntimeError when the client is closed."""
        if self.is_closed:
            raise RuntimeError("Cannot send a request, as the client has been closed.")
        for hook in self.event_hooks["request"]:
            await hook(request)
        response = await self._lean.handle_async_request(request)
        response.request = request
        for hook in self.event_hooks["response"]:
            await hook(response)
        return response


@functools.cache
def _tls_context() -> ssl.SSLContext:
    """Built once: it reads every root certificate."""
    return httpx.create_ssl_context(trust_env=False)
