"""The HTTP side of the server, over real loopback sockets."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import httpx
import pytest
import trio
from hypothesis import given, settings, strategies as st

from polybot.exchange.net import (
    BODY_BYTES,
    IDLE_S,
    SEND_S,
    Request,
    Response,
    Service,
    json_response,
    serve,
)

Handler = Callable[[Request], Awaitable[Response]]
LONG = 16 << 20  # more than two sockets hold


async def echo(request: Request) -> Response:
    return json_response(
        {
            "method": request.method,
            "path": request.path,
            "query": request.query,
            "body": request.body.decode(),
            "header": request.headers.get("poly_address"),
        }
    )


async def broken(request: Request) -> Response:
    if request.path == "/bug":
        raise RuntimeError("a bug")
    return json_response("fine")


@asynccontextmanager
async def serving(handler: Handler | None) -> AsyncIterator[tuple[int, list[Exception]]]:
    """A server on a free port, and what its handlers raised."""
    errors: list[Exception] = []
    async with trio.open_nursery() as nursery:
        port = await nursery.start(serve, Service(handler, None, errors.append), 0)
        yield port, errors
        nursery.cancel_scope.cancel()


async def raw(port: int, data: bytes) -> bytes:
    """Send bytes, and read until the server closes."""
    stream = await trio.open_tcp_stream("127.0.0.1", port)
    async with stream:
        await stream.send_all(data)
        received = b""
        with trio.fail_after(5):
            async for part in stream:
                received += part
    return received


async def test_a_request_arrives_whole() -> None:
    """Method, raw path, query, lower-case headers and body reach the handler as sent."""
    async with serving(echo) as (port, _), httpx.AsyncClient() as client:
        reply = await client.request(
            "DELETE",
            f"http://127.0.0.1:{port}/data/a%20b?x=1&empty=&x=2",
            content=b'{"a":1}',
            headers={"POLY_ADDRESS": "0xabc"},
        )
    assert reply.json() == {
        "method": "DELETE",
        "path": "/data/a%20b",
        "query": {"x": "1,2", "empty": ""},
        "body": '{"a":1}',
        "header": "0xabc",
    }


async def test_connections_are_kept_alive() -> None:
    """Two requests on one connection get two replies."""
    get = b"GET /x HTTP/1.1\r\nHost: h\r\n\r\n"
    last = b"GET /y HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"
    async with serving(echo) as (port, _):
        received = await raw(port, get + last)
    assert received.count(b"HTTP/1.1 200") == 2
    assert received.index(b'"/x"') < received.index(b'"/y"')


async def test_a_bug_costs_one_request() -> None:
    """The handler's exception is a 500 and is reported; the connection and the server live on."""
    async with serving(broken) as (port, errors), httpx.AsyncClient() as client:
        url = f"http://127.0.0.1:{port}"
        assert (await client.get(url + "/bug")).status_code == 500
        assert (await client.get(url + "/")).json() == "fine"
    assert [str(error) for error in errors] == ["a bug"]


@pytest.mark.conforms("clob-7.3-exhausted-body")
@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"nonsense\r\n\r\n", b"400"),
        (b"GET / HTTP/1.1\r\n\r\n", b"400"),
        (b"GET / HTTP/1.1\r\nHost: h\r\nBad Header: x\r\n\r\n", b"400"),
        (b"GET http://[ HTTP/1.1\r\nHost: h\r\n\r\n", b"400"),
        (b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: x\r\n\r\n", b"400"),
        (b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: " + b"9" * 5000 + b"\r\n\r\n", b"4"),
        (b"GET / HTTP/1.1\r\nHost: h\r\nX: " + b"y" * 40_000, b"431"),
        (b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n" % (BODY_BYTES + 1), b"413"),
    ],
)
async def test_bad_requests_are_refused_and_closed(sent: bytes, status: bytes) -> None:
    """What is not a request, or too big a one, gets its status and the connection ends."""
    async with serving(echo) as (port, errors):
        received = await raw(port, sent)
        assert received.startswith(b"HTTP/1.1 " + status)
        assert b"connection: close" in received.lower()
        async with httpx.AsyncClient() as client:
            assert (await client.get(f"http://127.0.0.1:{port}/")).status_code == 200
    assert errors == []


async def test_a_chunked_body_is_bounded_too() -> None:
    """Without a content-length the limit still holds."""

    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(20):
            yield b"x" * 65_536

    async with serving(echo) as (port, _), httpx.AsyncClient() as client:
        reply = await client.post(f"http://127.0.0.1:{port}/", content=chunks())
    assert reply.status_code == 413


async def test_a_client_that_waits_for_100_continue_gets_it() -> None:
    """`Expect: 100-continue` is answered before the body is sent."""
    head = b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n"
    async with serving(echo) as (port, _):
        stream = await trio.open_tcp_stream("127.0.0.1", port)
        async with stream:
            await stream.send_all(head)
            with trio.fail_after(5):
                assert (await stream.receive_some()).startswith(b"HTTP/1.1 100")
                await stream.send_all(b"ok")
                assert b'"body":"ok"' in await stream.receive_some()


async def test_head_has_no_body() -> None:
    """A HEAD reply names the length and sends nothing."""
    async with serving(echo) as (port, _), httpx.AsyncClient() as client:
        reply = await client.head(f"http://127.0.0.1:{port}/")
    assert reply.status_code == 200
    assert reply.content == b""


async def test_a_service_without_http_says_so() -> None:
    """A plain request to a stream's port is refused, not left hanging."""
    async with serving(None) as (port, _), httpx.AsyncClient() as client:
        assert (await client.get(f"http://127.0.0.1:{port}/")).status_code == 426


async def test_an_idle_connection_is_closed(mock_clock: trio.testing.MockClock) -> None:
    """A client that sends half a request and stops is not kept for ever."""
    async with serving(echo) as (port, errors):
        stream = await trio.open_tcp_stream("127.0.0.1", port)
        async with stream:
            await stream.send_all(b"GET / HT")
            await trio.testing.wait_all_tasks_blocked(0.01)
            mock_clock.jump(IDLE_S + 1)
            assert await stream.receive_some() == b""
    assert errors == []


async def long(_: Request) -> Response:
    return Response(200, b"x" * LONG)


async def asked_for_long(port: int) -> trio.SocketStream:
    """A client that has sent its request, and reads nothing of the reply yet."""
    stream = await trio.open_tcp_stream("127.0.0.1", port)
    await stream.send_all(b"GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
    await trio.testing.wait_all_tasks_blocked(0.05)
    return stream


async def test_a_stall_of_the_exchange_cuts_no_reply(mock_clock: trio.testing.MockClock) -> None:
    """A minute passes at once while the client waits for the rest: it gets every byte of it."""
    async with serving(long) as (port, errors), await asked_for_long(port) as stream:
        mock_clock.jump(60)
        with trio.fail_after(60):
            received = b"".join([part async for part in stream])
    assert received.count(b"x") == LONG
    assert errors == []


async def test_a_slow_reader_gets_all_of_a_long_reply(mock_clock: trio.testing.MockClock) -> None:
    """It takes a little every few seconds, for minutes in all: slow is not gone."""
    async with serving(long) as (port, _), await asked_for_long(port) as stream:
        received = b""
        while part := await stream.receive_some(LONG // 40):
            received += part
            await trio.testing.wait_all_tasks_blocked(0.01)
            mock_clock.jump(SEND_S - 1)
    assert received.count(b"x") == LONG


async def test_who_takes_nothing_is_let_go(mock_clock: trio.testing.MockClock) -> None:
    """Two waits in a row without a byte taken: the connection ends, the reply with it."""
    async with serving(long) as (port, errors), await asked_for_long(port) as stream:
        for _ in range(2):
            mock_clock.jump(SEND_S + 1)
            await trio.testing.wait_all_tasks_blocked(0.05)
        received = b"".join([part async for part in stream])
    assert 0 < received.count(b"x") < LONG
    assert errors == []


async def test_only_the_loopback_is_bound() -> None:
    """The exchange is not reachable from outside."""
    async with trio.open_nursery() as nursery:
        port = await nursery.start(serve, Service(echo, None), 0)
        other = trio.socket.socket()
        with other:
            await other.bind(("127.0.0.2", port))  # free: the server did not take every address
        nursery.cancel_scope.cancel()


@given(st.lists(st.binary(min_size=1, max_size=200), min_size=1, max_size=5))
@settings(max_examples=30, deadline=None)
def test_no_bytes_end_the_server(parts: list[bytes]) -> None:
    """Random bytes, cut anywhere, cost their own connection only."""

    async def attack() -> None:
        async with serving(echo) as (port, errors):
            for part in parts:
                stream = await trio.open_tcp_stream("127.0.0.1", port)
                async with stream:
                    await stream.send_all(b"POST / HTTP/1.1\r\n" + part)
                    await stream.send_eof()
                    with trio.move_on_after(5):
                        while await stream.receive_some():
                            pass
            async with httpx.AsyncClient() as client:
                assert (await client.get(f"http://127.0.0.1:{port}/")).status_code == 200
        assert errors == []

    trio.run(attack)
