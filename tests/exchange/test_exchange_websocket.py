"""WebSocket sessions over real loopback sockets, with trio-websocket as the client."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import attrs
import pytest
import trio
from hypothesis import given, settings, strategies as st
from trio_websocket import ConnectionClosed, WebSocketConnection
from websocket_client import open_client
from wsproto import ConnectionType
from wsproto.connection import Connection
from wsproto.events import CloseConnection, Event, Ping, TextMessage

from polybot.exchange.net import Service, Socket, SocketClosed, frame, log_error, serve
from polybot.exchange.polybolt import KEEPALIVE
from polybot.exchange.request import Request, Response
from polybot.exchange.websocket import SlowConsumer

FRAMES = SlowConsumer().frames
Session = Callable[[Socket], Awaitable[None]]

UPGRADE = (
    b"GET /ws HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


async def echo(socket: Socket) -> None:
    while True:
        socket.send(await socket.receive())


@asynccontextmanager
async def serving(session: Session) -> AsyncIterator[tuple[int, list[Exception]]]:
    errors: list[Exception] = []
    async with trio.open_nursery() as nursery:
        port = await nursery.start(serve, Service(None, session, errors.append), 0)
        yield port, errors
        nursery.cancel_scope.cancel()


@asynccontextmanager
async def connected(session: Session) -> AsyncIterator[tuple[WebSocketConnection, list[Exception]]]:
    """A client of a server that runs `session`."""
    async with serving(session) as (port, errors):
        with trio.fail_after(10):
            async with open_client(port, "/ws/market?x=1") as client:
                yield client, errors


@pytest.mark.parametrize("size", [0, 1, 125, 126, 127, 65_535, 65_536, 200_000])
async def test_messages_of_every_length_pass_both_ways(size: int) -> None:
    """Each of the three length encodings is right, at its edges."""
    async with connected(echo) as (client, _):
        await client.send_message("é" + "x" * size)
        assert await client.get_message() == "é" + "x" * size


@given(st.text(max_size=300) | st.integers(65_000, 66_000).map(lambda n: "y" * n))
@settings(max_examples=60, deadline=None)
def test_our_frames_are_what_wsproto_reads(text: str) -> None:
    """A client-side parser finds exactly the text, in one frame."""
    parser = Connection(ConnectionType.CLIENT)
    parser.receive_data(frame(text))
    events = list(parser.events())
    assert "".join(e.data for e in events if isinstance(e, TextMessage)) == text


@pytest.mark.conforms("feeds-12.4-pings")
async def test_a_client_is_pinged_and_closed_when_it_stops_answering(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """PolyBolt: a ping each 25 s; two unanswered ones end the session with 4002 (feeds.md 5.3)."""
    ours, theirs = trio.testing.memory_stream_pair()
    server: Any = Connection(ConnectionType.SERVER)
    socket = Socket(Request("GET", "/ws", {}, {}, b""), ours, server)
    client, start = Connection(ConnectionType.CLIENT), trio.current_time()
    heard: list[tuple[int, Event]] = []
    async with trio.open_nursery() as nursery:
        nursery.start_soon(socket.run, echo, b"", log_error, KEEPALIVE)
        while not heard or isinstance(heard[-1][1], Ping):
            client.receive_data(bytes(await theirs.receive_some()))
            for event in client.events():
                heard.append((round(trio.current_time() - start), event))
                if isinstance(event, Ping) and len(heard) < 3:
                    await theirs.send_all(client.send(event.response()))
        await theirs.aclose()
    assert [at for at, _ in heard] == [25, 50, 75, 100, 125]
    last = heard[-1][1]
    assert isinstance(last, CloseConnection)
    assert (last.code, last.reason) == (4002, "missed pongs")


async def test_the_upgrade_request_is_kept() -> None:
    """A session knows the path and query it was opened with."""

    async def tell(socket: Socket) -> None:
        socket.send(f"{socket.request.path} {socket.request.query}")
        await socket.receive()

    async with connected(tell) as (client, _):
        assert await client.get_message() == "/ws/market {'x': '1'}"


async def test_pings_are_answered_even_when_the_handler_is_busy() -> None:
    """The reader answers protocol pings; the handler need not be receiving."""

    async def busy(socket: Socket) -> None:
        await trio.sleep_forever()

    async with connected(busy) as (client, _):
        await client.ping(b"still there?")


async def test_many_frames_keep_their_order() -> None:
    """A burst is written in few calls and arrives complete and in order."""

    async def burst(socket: Socket) -> None:
        for number in range(FRAMES):
            socket.send(str(number))
        await socket.receive()

    async with connected(burst) as (client, _):
        received = [await client.get_message() for _ in range(FRAMES)]
        assert received == [str(number) for number in range(FRAMES)]


@pytest.mark.conforms("feeds-12.2-slow-consumer")
async def test_a_slow_consumer_is_closed_with_1013() -> None:
    """One frame over the bound closes the session with the venue's code and reason."""

    async def flood(socket: Socket) -> None:
        for number in range(FRAMES + 1):
            socket.send(str(number))
        with pytest.raises(SocketClosed):
            await socket.receive()
        socket.send("after the end")

    async with connected(flood) as (client, errors):
        with pytest.raises(ConnectionClosed) as closed:
            await client.get_message()
        assert closed.value.reason is not None
        assert closed.value.reason.code == 1013
        assert closed.value.reason.reason == "slow consumer: send buffer full"
    assert errors == []


@pytest.mark.parametrize("bound", [SlowConsumer(bytes=1 << 16), SlowConsumer(stalled_s=2.0)])
@pytest.mark.conforms("feeds-12.2-slow-consumer")
async def test_bytes_and_time_bound_a_reader_too(
    bound: SlowConsumer, mock_clock: trio.testing.MockClock
) -> None:
    """Few frames are too many when they are large, or when the peer has long taken nothing."""
    closing: list[int] = []

    async def flood(socket: Socket) -> None:
        big = "x" * 30_000
        for _ in range(200):  # more than the kernel's buffers take
            socket.send(big)
            await trio.testing.wait_all_tasks_blocked()
            mock_clock.jump(0.5)
            if socket._closing:
                break
        closing.append(socket.waiting)
        await socket.receive()

    async with trio.open_nursery() as nursery:
        service = Service(None, flood, slow=attrs.evolve(bound, frames=10_000))
        port = await nursery.start(serve, service, 0)
        stream = await trio.open_tcp_stream("127.0.0.1", port)
        await stream.send_all(UPGRADE)
        while not closing:
            await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
        await stream.aclose()
    assert closing == [1]  # nothing but the close frame


async def test_a_handshake_may_be_refused() -> None:
    """`admit` answers in the handler's place, and the connection ends."""

    def admit(request: Request) -> Response | None:
        return Response(503, b"", (("retry-after", "7"),)) if request.path == "/full" else None

    async with trio.open_nursery() as nursery:
        port = await nursery.start(serve, Service(None, echo, admit=admit), 0)
        async with open_client(port, "/") as client:
            await client.send_message("in")
            assert await client.get_message() == "in"
        async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
            await stream.send_all(UPGRADE.replace(b"/ws", b"/full"))
            refusal = b"".join([part async for part in stream])
        nursery.cancel_scope.cancel()
    assert refusal.startswith(b"HTTP/1.1 503 ")
    assert b"\r\nretry-after: 7\r\n" in refusal


async def test_a_consumer_that_never_reads_is_cut(mock_clock: trio.testing.MockClock) -> None:
    """When not even the close frame can be delivered, the session ends at its deadline."""
    ended = trio.Event()

    async def flood(socket: Socket) -> None:
        try:
            big = frame("x" * 60_000)
            while True:
                for _ in range(FRAMES + 1):
                    socket.send_frame(big)
                await socket.receive()
        finally:
            ended.set()

    async with serving(flood) as (port, errors):
        stream = await trio.open_tcp_stream("127.0.0.1", port)
        await stream.send_all(UPGRADE)
        await trio.testing.wait_all_tasks_blocked(0.05)
        mock_clock.jump(6)
        await ended.wait()
        await stream.aclose()
    assert errors == []


async def test_the_handlers_close_carries_code_and_reason() -> None:
    """`close` delivers what was queued before it."""

    async def leave(socket: Socket) -> None:
        socket.send("last words")
        await socket.close(4001, "auth timeout")

    async with connected(leave) as (client, _):
        assert await client.get_message() == "last words"
        with pytest.raises(ConnectionClosed) as closed:
            await client.get_message()
        assert closed.value.reason is not None
        assert (closed.value.reason.code, closed.value.reason.reason) == (4001, "auth timeout")


async def test_drop_cuts_without_a_close_frame() -> None:
    """The client sees an abnormal closure (1006)."""

    async def cut(socket: Socket) -> None:
        socket.drop()

    async with connected(cut) as (client, errors):
        with pytest.raises(ConnectionClosed) as closed:
            await client.get_message()
        assert closed.value.reason is not None
        assert closed.value.reason.code == 1006
    assert errors == []


async def test_a_bug_costs_one_session() -> None:
    """The handler's exception closes with 1011 and is reported; others live on."""

    async def buggy(socket: Socket) -> None:
        if await socket.receive() == "bug":
            raise RuntimeError("a bug")
        socket.send("fine")
        await socket.receive()

    async with serving(buggy) as (port, errors):
        async with open_client(port) as bad:
            await bad.send_message("bug")
            with pytest.raises(ConnectionClosed) as closed:
                await bad.get_message()
            assert closed.value.reason is not None
            assert closed.value.reason.code == 1011
        async with open_client(port) as good:
            await good.send_message("hello")
            assert await good.get_message() == "fine"
    assert [str(error) for error in errors] == ["a bug"]


async def test_the_peers_close_reaches_the_handler() -> None:
    """receive() raises SocketClosed, after every message that came before."""
    heard: list[str] = []
    ended = trio.Event()

    async def listen(socket: Socket) -> None:
        try:
            while True:
                heard.append(await socket.receive())
        except SocketClosed:
            ended.set()

    async with connected(listen) as (client, errors):
        await client.send_message("one")
        await client.send_message("two")
        await client.aclose()
        await ended.wait()
    assert heard == ["one", "two"]
    assert errors == []


@pytest.mark.parametrize(("message", "code"), [(b"binary", 1003), ("x" * ((1 << 20) + 1), 1009)])
async def test_unwelcome_messages_close_the_session(message: str | bytes, code: int) -> None:
    """Binary frames and texts over 1 MiB are refused with their codes."""
    async with connected(echo) as (client, errors):
        await client.send_message(message)
        with pytest.raises(ConnectionClosed) as closed:
            await client.get_message()
        assert closed.value.reason is not None
        assert closed.value.reason.code == code
    assert errors == []


async def test_a_bad_handshake_is_a_400() -> None:
    """An upgrade without its key is refused as a request."""
    async with serving(echo) as (port, errors):
        stream = await trio.open_tcp_stream("127.0.0.1", port)
        async with stream:
            await stream.send_all(UPGRADE.replace(b"Sec-WebSocket-Key", b"Sec-Other"))
            with trio.fail_after(5):
                assert (await stream.receive_some()).startswith(b"HTTP/1.1 400")
    assert errors == []


async def test_frames_sent_with_the_upgrade_are_not_lost() -> None:
    """A client may send before it has seen the 101."""
    masked = b"\x81\x82\0\0\0\0hi"
    async with serving(echo) as (port, _):
        stream = await trio.open_tcp_stream("127.0.0.1", port)
        async with stream:
            await stream.send_all(UPGRADE + masked)
            received = b""
            with trio.fail_after(5):
                while b"\x81\x02hi" not in received:
                    received += await stream.receive_some()


@given(st.lists(st.binary(min_size=1, max_size=100), max_size=5))
@settings(max_examples=30, deadline=None)
def test_no_frames_end_the_server(parts: list[bytes]) -> None:
    """Random bytes after the upgrade cost their own session only, and no handler sees a crash."""

    async def attack() -> None:
        async with serving(echo) as (port, errors):
            stream = await trio.open_tcp_stream("127.0.0.1", port)
            async with stream:
                await stream.send_all(UPGRADE)
                with trio.move_on_after(0.5):
                    try:
                        for part in parts:
                            await stream.send_all(part)
                        await stream.send_eof()
                        while await stream.receive_some():
                            pass
                    except trio.BrokenResourceError:
                        pass
            async with open_client(port) as client:
                await client.send_message("alive")
                assert await client.get_message() == "alive"
        assert errors == []

    trio.run(attack)
