"""Requests cut out by hand, held against h11."""

from __future__ import annotations

import h11
import pytest
import trio
from hypothesis import example, given, settings, strategies as st
from test_exchange_net import echo, raw, serving

from polybot.exchange.net import IDLE_S
from polybot.exchange.plain_http import end_of_head, plain_answer, plain_head
from polybot.exchange.request import Response

lines = st.sampled_from([
    b"Host: h", b"host: h:1", b"Content-Length: 2", b"content-length: 0", b"Content-Length: -1",
    b"Content-Length: 2, 2", b"Transfer-Encoding: chunked", b"Expect: 100-continue",
    b"Connection: close", b"Connection: Keep-Alive", b"Connection: upgrade", b"Upgrade: websocket",
    b"X: 1", b"X: 2", b"POLY_ADDRESS:  0xabc \t", b"Empty:", b"No colon", b"Bad Name: 1", b": 1",
    b" folded", b"X: a\0b", b"X: a\x0bb", b"X: caf\xe9", b"X: a\tb",
])  # fmt: skip
firsts = st.sampled_from([
    b"GET / HTTP/1.1", b"POST /order?x=1&y=%20 HTTP/1.1", b"DELETE /orders HTTP/1.1",
    b"HEAD / HTTP/1.1", b"GET / HTTP/1.0", b"GET http://h/ HTTP/1.1", b"OPTIONS * HTTP/1.1",
    b"GET /a b HTTP/1.1", b"GET / HTTP/1.1 ", b"get / HTTP/1.1", b"", b"GET /\xff HTTP/1.1",
])  # fmt: skip
heads = st.builds(lambda first, rest: b"\r\n".join([first, *rest]), firsts, st.lists(lines))


@given(heads | st.builds(lambda h, b: h[: len(h) // 2] + b + h[len(h) // 2 :], heads, st.binary()))
@example(b"GET / HTTP/1.1\r\nHost: h\r\nX: a\rb")
@settings(max_examples=400)
def test_what_is_plain_says_to_h11_the_same(head: bytes) -> None:
    """Whatever is taken by hand h11 would have taken, for the same request and the same body."""
    found = plain_head(head) if end_of_head(head + b"\r\n\r\n") == len(head) + 4 else None
    if found is None:
        return
    machine = h11.Connection(h11.SERVER)
    machine.receive_data(head + b"\r\n\r\n" + b"x" * found.size)
    request = machine.next_event()
    assert isinstance(request, h11.Request)
    assert (request.method, request.target) == (found.method, found.target)
    assert list(request.headers) == found.fields
    body = b""
    while isinstance(event := machine.next_event(), h11.Data):
        body += event.data
    assert isinstance(event, h11.EndOfMessage)
    assert len(body) == found.size
    assert machine.trailing_data == (b"", False)
    assert machine.their_state is h11.DONE  # and the connection is kept


@pytest.mark.parametrize(
    "head",
    [
        b"GET /time HTTP/1.1\r\nHost: h",
        b"POST /order HTTP/1.1\r\nhost: h\r\ncontent-length: 12\r\nConnection: keep-alive",
        b"DELETE /order HTTP/1.1\r\nHost: h\r\nPOLY_ADDRESS: 0x1\r\nPOLY_SIGNATURE: a=\r\nA:",
    ],
)
def test_what_clients_send_is_plain(head: bytes) -> None:
    """Else nothing would be gained."""
    assert plain_head(head) is not None


@given(
    st.sampled_from([200, 201, 400, 401, 404, 425, 429, 500, 503]),
    st.binary(max_size=50),
    st.lists(st.tuples(st.sampled_from(["content-type", "Retry-After"]), st.text("ab1;=/"))),
)
def test_answers_are_written_as_h11_writes_them(
    status: int, body: bytes, headers: list[tuple[str, str]]
) -> None:
    """To the byte."""
    machine = h11.Connection(h11.SERVER)
    machine.receive_data(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
    machine.next_event()
    machine.next_event()
    named = [*headers, ("content-length", str(len(body)))]
    head = h11.Response(status_code=status, headers=named)
    events = (head, h11.Data(data=body), h11.EndOfMessage())
    written = b"".join(machine.send(event) or b"" for event in events)
    assert plain_answer(Response(status, body, tuple(headers))) == written


FEW = b"POST /a?x=1 HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nhi"
ODD = b"POST /b HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nho\r\n0\r\n\r\n"
LAST = b"GET /c HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"


@given(st.lists(st.integers(1, 60), max_size=8))
@settings(max_examples=20, deadline=None)
def test_requests_in_any_pieces_are_answered_in_order(sizes: list[int]) -> None:
    """Plain ones and others on one connection, wherever their bytes are cut."""
    parts, rest = [], FEW + FEW + ODD + FEW + LAST
    for size in sizes:
        parts.append(rest[:size])
        rest = rest[size:]

    async def talk() -> bytes:
        async with serving(echo) as (port, errors):
            stream = await trio.open_tcp_stream("127.0.0.1", port)
            async with stream:
                for part in (*parts, rest):
                    if part:
                        await stream.send_all(part)
                        await trio.testing.wait_all_tasks_blocked()
                received = b"".join([bytes(part) async for part in stream])
        assert errors == []
        return received

    received = trio.run(talk)
    paths = [received.find(f'"path":"/{name}"'.encode()) for name in "abc"]
    assert received.count(b"HTTP/1.1 200") == 5
    assert sorted(paths) == paths
    assert received.count(b'"body":"hi"') == 3


@pytest.mark.parametrize(
    "sent", [b"GET / HTTP/1.1\nHost: h\nConnection: close\n\n", b"\x16\x03\x01\x02\x00", b"\r\r"]
)
async def test_what_is_not_plain_waits_for_nothing(
    sent: bytes, autojump_clock: trio.testing.MockClock
) -> None:
    """Bare line feeds, a TLS hello, noise: h11 answers at once, as it always did."""
    autojump_clock.autojump_threshold = 0.02
    async with serving(echo) as (port, _):
        assert (await raw(port, sent)).startswith(b"HTTP/1.1 ")
    assert trio.current_time() < IDLE_S


async def test_a_client_that_leaves_halfway_is_no_error() -> None:
    """Neither in a head nor in a body."""
    async with serving(echo) as (port, errors):
        for sent in (b"", FEW[:30], FEW[:-1]):
            stream = await trio.open_tcp_stream("127.0.0.1", port)
            await stream.send_all(sent)
            await stream.send_eof()
            with trio.fail_after(30):
                async for _ in stream:
                    pass
            await stream.aclose()
    assert errors == []
