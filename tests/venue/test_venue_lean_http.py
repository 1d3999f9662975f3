"""The lean HTTP client, over real sockets, beside the library whose place it takes."""

from __future__ import annotations

import gzip
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from functools import partial

import httpx
import pytest
import tls_kit
import trio
from hypothesis import given, settings, strategies as st
from tls_kit import Certificate
from trio.testing import MockClock

from polybot.clock import Clock
from polybot.domain.orders import Failure
from polybot.venue import lean_http
from polybot.venue.lean_http import CONNECTIONS_MOST, IDLE_S, LeanClient
from polybot.venue.rest import Rest

Peer = Callable[[trio.SocketStream], Awaitable[None]]
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@asynccontextmanager
async def peer(behave: Peer) -> AsyncIterator[str]:
    """Somebody who does that to each connection."""

    async def meet(stream: trio.SocketStream) -> None:
        try:
            await behave(stream)
        except trio.BrokenResourceError:
            pass  # the client did not wait for the end
        finally:
            await trio.aclose_forcefully(stream)

    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(partial(trio.serve_tcp, meet, 0, host="127.0.0.1"))
        yield f"http://127.0.0.1:{listeners[0].socket.getsockname()[1]}"
        nursery.cancel_scope.cancel()


def saying(*parts: bytes, heard: list[bytes] | None = None) -> Peer:
    """Answers each request with these bytes, in pieces."""

    async def behave(stream: trio.SocketStream) -> None:
        while data := await stream.receive_some():
            if heard is not None:
                heard.append(bytes(data))
            for part in parts:
                await stream.send_all(part)
                await trio.testing.wait_all_tasks_blocked()

    return behave


def once(*parts: bytes) -> Peer:
    """Answers one request and hangs up."""

    async def behave(stream: trio.SocketStream) -> None:
        await stream.receive_some()
        for part in parts:
            await stream.send_all(part)
        await stream.send_eof()

    return behave


def read(reply: httpx.Response) -> object:
    headers = [(name.lower(), value) for name, value in reply.headers.multi_items()]
    return reply.status_code, [h for h in headers if h[0] != "content-length"], reply.content


def body_of(method: str) -> bytes | None:
    return b"{}" if method == "POST" else None


async def asked(client: LeanClient, url: str, method: str = "GET") -> object:
    """What the client makes of a peer: what it read, or the kind of error."""
    with trio.fail_after(30):
        try:
            return read(await client.request(method, url, content=body_of(method)))
        except httpx.HTTPError as error:
            return type(error)


def asked_blocking(url: str, method: str) -> object:
    """The same of httpx's own; its blocking client, for the other leaves generators behind."""
    with httpx.Client(trust_env=False) as client:
        try:
            return read(client.request(method, url, content=body_of(method)))
        except httpx.HTTPError as error:
            return type(error)


async def both(behave: Peer, method: str = "GET") -> tuple[object, object]:
    """The same peer, met by this client and by httpx's own."""
    async with peer(behave) as url, LeanClient() as lean:
        theirs = await trio.to_thread.run_sync(asked_blocking, url, method)
        return await asked(lean, url, method), theirs


PACKED = gzip.compress(b"packed")
ANSWERS = {
    "plain": OK,
    "cookies": b"HTTP/1.1 200 OK\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\n"
    b"Content-Length: 0\r\n\r\n",
    "refusal": b'HTTP/1.1 400 Bad Request\r\ncontent-length: 13\r\n\r\n{"error":"x"}',
    "no reason": b"HTTP/1.1 503 \r\ncontent-length: 0\r\n\r\n",
    "no reason, no space": b"HTTP/1.1 503\r\ncontent-length: 0\r\n\r\n",
    "spaces": b"HTTP/1.1 200 OK\r\nX:  a b \t\r\nContent-Length:2 \r\n\r\nok",
    "chunks": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n",
    "till the end": b"HTTP/1.1 200 OK\r\n\r\nall there is",
    "old": b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
    "interim": b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + OK,
    "no content": b"HTTP/1.1 204 No Content\r\n\r\n",
    "line feeds": b"HTTP/1.1 200 OK\nContent-Length: 2\n\nok",
    "packed": b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n%s"
    % (len(PACKED), PACKED),
    "closing": b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok",
    "twice the same length": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nok",
}
ODDITIES = {
    "nothing": b"",
    "half a head": b"HTTP/1.1 200 OK\r\nContent-Le",
    "half a body": b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok",
    "half a chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nabc",
    "no HTTP": b"\x00\xff\x00garbage\r\n\r\n",
    "two lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok!",
    "a length that is none": b"HTTP/1.1 200 OK\r\nContent-Length: -2\r\n\r\nok",
    "a length beyond all": b"HTTP/1.1 200 OK\r\nContent-Length: %s\r\n\r\nok" % (b"1" * 5_000),
    "a bad name": b"HTTP/1.1 200 OK\r\nBad Name: 1\r\nContent-Length: 2\r\n\r\nok",
    "a NUL": b"HTTP/1.1 200 OK\r\nX: a\0b\r\nContent-Length: 2\r\n\r\nok",
    "an endless head": b"HTTP/1.1 200 OK\r\nX: " + b"y" * 200_000,
    "a broken packing": b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\n\r\nok",
}


@pytest.mark.parametrize("name", ANSWERS | ODDITIES)
async def test_an_answer_is_what_httpx_takes_it_for(name: str) -> None:
    """Status, headers and body, or the same kind of error: callers tell them apart."""
    ours, theirs = await both(once((ANSWERS | ODDITIES)[name]))
    assert ours == theirs
    assert isinstance(ours, type) == (name in ODDITIES)


@pytest.mark.parametrize("method", ["HEAD", "POST", "DELETE"])
async def test_whatever_is_asked(method: str) -> None:
    """An answer to HEAD has a length and no body."""
    answer = OK[:-2] if method == "HEAD" else OK
    ours, theirs = await both(once(answer), method)
    assert ours == theirs


async def test_nobody_there() -> None:
    """A refused connection is an error of its own: nothing was sent."""
    async with peer(once(OK)) as url:
        pass
    async with LeanClient() as client:
        assert await asked(client, url) is httpx.ConnectError


@given(st.sampled_from(sorted(ANSWERS.items())), st.lists(st.integers(1, 30), max_size=6))
@settings(max_examples=40, deadline=None)
def test_bytes_may_come_in_any_pieces(answer: tuple[str, bytes], sizes: list[int]) -> None:
    """Where they are cut says nothing."""
    parts, rest = [], answer[1]
    for size in sizes:
        parts.append(rest[:size])
        rest = rest[size:]

    async def meet(behave: Peer) -> object:
        async with peer(behave) as url, LeanClient() as client:
            return await asked(client, url)

    whole = trio.run(meet, once(answer[1]))
    assert trio.run(meet, once(*[part for part in (*parts, rest) if part])) == whole


async def test_one_request_is_one_write() -> None:
    """Head and body together, with what httpx says of itself, and nothing twice."""
    heard: list[bytes] = []
    async with peer(saying(OK, heard=heard)) as url, LeanClient() as client:
        reply = await client.post(url + "/a%20b?x=1", content=b"{}", headers={"POLY": "1"})
    assert reply.content == b"ok"
    (request,) = heard
    head, body = request.split(b"\r\n\r\n")
    assert head.startswith(b"POST /a%20b?x=1 HTTP/1.1\r\n")
    assert b"\r\nPOLY: 1" in head
    assert b"\r\nContent-Length: 2" in head
    assert b"\r\nHost: 127.0.0.1:" in head
    assert body == b"{}"


# --- connections ----------------------------------------------------------------------------------


def counting(answer: bytes, met: list[int]) -> Peer:
    async def behave(stream: trio.SocketStream) -> None:
        met.append(0)
        number = len(met) - 1
        while await stream.receive_some():
            met[number] += 1
            await stream.send_all(answer)

    return behave


@pytest.mark.parametrize("name", ["plain", "chunks", "packed", "interim", "no content"])
async def test_a_connection_is_used_again(name: str) -> None:
    """After whatever ends by itself."""
    met: list[int] = []
    async with peer(counting(ANSWERS[name], met)) as url, LeanClient() as client:
        for _ in range(3):
            assert (await client.get(url)).status_code in (200, 204)
    assert met == [3]


@pytest.mark.parametrize("name", ["closing", "old"])
async def test_a_connection_that_ends_is_not_used_again(name: str) -> None:
    """What the server said of it counts."""
    met: list[int] = []
    async with peer(counting(ANSWERS[name], met)) as url, LeanClient() as client:
        for _ in range(2):
            assert (await client.get(url)).content == b"ok"
    assert met == [1, 1]


async def test_a_connection_with_more_than_its_answer_is_not_used_again() -> None:
    """Whoever takes what is left over for the next answer believes an order of somebody else."""
    met: list[int] = []
    async with peer(counting(OK + OK, met)) as url, LeanClient() as client:
        for _ in range(2):
            assert (await client.get(url)).content == b"ok"
    assert met == [1, 1]


async def test_a_server_that_has_hung_up_meanwhile_is_dialled_anew() -> None:
    """A kept connection whose end has come is found out before anything is sent on it."""
    async with peer(once(OK)) as url, LeanClient() as client:
        for _ in range(3):
            assert (await client.get(url)).content == b"ok"
            await trio.testing.wait_all_tasks_blocked(0.01)


async def test_a_connection_is_kept_for_a_while(autojump_clock: MockClock) -> None:
    """Not longer than servers keep it."""
    autojump_clock.autojump_threshold = 0.02
    met: list[int] = []
    async with peer(counting(OK, met)) as url, LeanClient() as client:
        for pause_s in (0, IDLE_S - 1, IDLE_S + 1):
            await trio.sleep(pause_s)
            await client.get(url)
    assert met == [2, 1]


async def test_a_request_that_is_given_up_takes_its_connection_along() -> None:
    """Its answer may still come, and is nobody else's."""
    met: list[int] = []

    async def slow(stream: trio.SocketStream) -> None:
        met.append(1)
        await stream.receive_some()
        if len(met) == 1:
            await trio.sleep_forever()
        await stream.send_all(OK)

    async with peer(slow) as url, LeanClient() as client:
        with trio.move_on_after(0.05):
            await client.get(url)
        assert (await client.get(url)).content == b"ok"
    assert met == [1, 1]


async def gathered(client: LeanClient, url: str, number: int) -> None:
    """Ask so many at once, each on a connection of its own."""
    async with trio.open_nursery() as nursery:
        for _ in range(number):
            nursery.start_soon(client.get, url)


async def test_after_a_cut_one_dead_connection_answers_for_all(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A path that is cut without a word leaves each kept connection dead: a cancel may wait in vain
    for one of them, not for one after another.
    """
    kept = 4
    met: list[int] = []
    together = trio.Event()

    async def cut_after_one(stream: trio.SocketStream) -> None:
        met.append(0)
        number = len(met) - 1
        if len(met) == kept:
            together.set()
        while await stream.receive_some():
            met[number] += 1
            if number < kept and met[number] > 1:
                await trio.sleep_forever()
            await together.wait()
            await stream.send_all(OK)

    monkeypatch.setattr(lean_http, "SILENT_S", 0.02)
    async with peer(cut_after_one) as url, LeanClient() as client:
        await gathered(client, url, kept)
        with trio.move_on_after(0.05) as given_up:
            await client.delete(url)
        assert given_up.cancelled_caught
        with trio.fail_after(10):
            assert (await client.delete(url)).content == b"ok"
    assert sorted(met) == [1, 1, 1, 1, 2]


async def test_what_has_answered_meanwhile_is_kept() -> None:
    """One request that hangs is no reason to dial anew where the venue answers others."""
    met: list[bytes] = []
    accepted: list[int] = []

    async def choosy(stream: trio.SocketStream) -> None:
        accepted.append(1)
        while data := await stream.receive_some():
            met.append(bytes(data))
            if data.startswith(b"GET /hangs"):
                await trio.sleep_forever()
            await stream.send_all(OK)

    async with peer(choosy) as url, LeanClient() as client:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(client.get, url + "/hangs")
            while not met:
                await trio.testing.wait_all_tasks_blocked(0.01)
            assert (await client.delete(url)).content == b"ok"
            nursery.cancel_scope.cancel()
        assert (await client.delete(url)).content == b"ok"
    assert len(accepted) == 2


async def test_a_question_given_up_at_once_lets_no_connection_go() -> None:
    """A scope that ends takes its reads with it, and what rests is to be cancelled just then: by a
    connection that is there, for a new one costs two ways, and all of it where no name is found.
    """
    accepted: list[int] = []

    async def mute_of_books(stream: trio.SocketStream) -> None:
        accepted.append(1)
        while data := await stream.receive_some():
            if data.startswith(b"GET /book"):
                await trio.sleep_forever()
            await trio.sleep(0.01)
            await stream.send_all(OK)

    async with peer(mute_of_books) as url, LeanClient() as client:
        await gathered(client, url, 2)
        with trio.move_on_after(0.01) as given_up:
            await client.get(url + "/book")
        assert given_up.cancelled_caught
        assert (await client.delete(url)).content == b"ok"
    assert len(accepted) == 2


async def test_nothing_is_sent_twice() -> None:
    """A connection that breaks under a request is an error, not another try: an order may live."""
    heard: list[bytes] = []

    async def cut(stream: trio.SocketStream) -> None:
        heard.append(bytes(await stream.receive_some()))
        await stream.send_all(OK)
        heard.append(bytes(await stream.receive_some()))

    async with peer(cut) as url, LeanClient() as client:
        assert (await client.post(url, content=b"{}")).content == b"ok"
        assert await asked(client, url, "POST") is httpx.RemoteProtocolError
    assert len(heard) == 2


@pytest.mark.parametrize(
    "head",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 4097\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1001\r\n",
        b"HTTP/1.1 200 OK\r\n\r\n",  # until the connection ends
    ],
)
async def test_an_answer_is_bounded(head: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory is for a list of any API's; what is longer is no answer."""
    monkeypatch.setattr(lean_http, "BODY_MOST", 4096)
    async with peer(once(head, b"x" * 4097, b"\r\n0\r\n\r\n")) as url, LeanClient() as client:
        with pytest.raises(httpx.RemoteProtocolError, match=r"an answer of \d+ bytes or more"):
            await client.get(url)


async def test_connections_are_bounded(autojump_clock: MockClock) -> None:
    """Whoever comes too many waits for a place, and gets it."""
    autojump_clock.autojump_threshold = 0.02
    now, most, done = 0, 0, 0

    async def behave(stream: trio.SocketStream) -> None:
        nonlocal now, most
        while await stream.receive_some():
            now += 1
            most = max(most, now)
            await trio.sleep(1)
            now -= 1
            await stream.send_all(OK)

    async def ask() -> None:
        nonlocal done
        await client.get(url)
        done += 1

    async with peer(behave) as url, LeanClient() as client, trio.open_nursery() as nursery:
        for _ in range(CONNECTIONS_MOST + 5):
            nursery.start_soon(ask)
    assert (most, done) == (CONNECTIONS_MOST, CONNECTIONS_MOST + 5)


@pytest.mark.parametrize(("method", "path"), [("DELETE", "/order"), ("POST", "/v1/heartbeats")])
async def test_what_withdraws_waits_for_no_read(
    method: str, path: str, autojump_clock: MockClock
) -> None:
    """However many reads hang: a cancel and a heartbeat are on the wire at once (S13)."""
    autojump_clock.autojump_threshold = 0.02

    async def behave(stream: trio.SocketStream) -> None:
        while asked := await stream.receive_some():
            if asked.startswith(b"GET"):
                await trio.sleep_forever()
            await stream.send_all(OK)

    async with peer(behave) as url, LeanClient() as client, trio.open_nursery() as nursery:
        for _ in range(CONNECTIONS_MOST + 5):
            nursery.start_soon(client.get, url)
        await trio.sleep(1)
        with trio.fail_after(1):
            assert (await client.request(method, url + path)).status_code == 200
        nursery.cancel_scope.cancel()


# --- TLS ------------------------------------------------------------------------------------------


@asynccontextmanager
async def secured(certificate: Certificate, met: list[int]) -> AsyncIterator[str]:
    """A server behind TLS that answers whatever is asked."""
    context = tls_kit.serving(certificate)

    async def meet(stream: trio.SSLStream[trio.SocketStream]) -> None:
        with suppress(trio.BrokenResourceError):
            met.append(0)
            while await stream.receive_some():
                met[-1] += 1
                await stream.send_all(OK)
        await trio.aclose_forcefully(stream)

    async with trio.open_nursery() as nursery:
        serve = partial(trio.serve_ssl_over_tcp, meet, 0, context, host="127.0.0.1")
        listeners = await nursery.start(serve)
        port = listeners[0].transport_listener.socket.getsockname()[1]
        yield f"https://localhost:{port}"
        nursery.cancel_scope.cancel()


async def test_a_stranger_is_not_spoken_to(certificate: Certificate) -> None:
    """A certificate that nobody we trust has signed: nothing is sent."""
    met: list[int] = []
    async with secured(certificate, met) as url, LeanClient() as client:
        assert await asked(client, url, "POST") is httpx.ConnectError
    assert sum(met) == 0


async def test_a_secure_connection_is_kept(
    certificate: Certificate, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A handshake costs more than all the rest."""
    trusting = ssl.create_default_context(cafile=str(certificate[0]))
    monkeypatch.setattr(lean_http, "_tls_context", lambda: trusting)
    met: list[int] = []
    async with secured(certificate, met) as url, LeanClient() as client:
        for _ in range(3):
            assert await asked(client, url, "POST") == (200, [], b"ok")
    assert met == [3]


def test_strangers_are_told_by_the_usual_certificates() -> None:
    """Names and signatures are checked, and the certificates read once."""
    context = lean_http._tls_context()
    assert context is lean_http._tls_context()
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname


# --- what httpx's client gives -----------------------------------------------------------------


async def test_hooks_are_called() -> None:
    """Drills listen there: with the request before it leaves, with the answer before its caller."""
    told: list[str] = []

    async def sending(request: httpx.Request) -> None:
        told.append(f"{request.method} {request.url.path} {request.content!r}")

    async def answered(response: httpx.Response) -> None:
        told.append(f"{response.status_code} {response.request.method}")

    async with peer(once(OK)) as url, LeanClient() as client:
        client.event_hooks = {"request": [sending], "response": [answered]}
        await client.post(url + "/order", content=b"{}")
    assert told == ["POST /order b'{}'", "200 POST"]


async def test_a_closed_client_sends_nothing() -> None:
    """And its connections are gone."""
    met: list[int] = []
    async with peer(counting(OK, met)) as url:
        async with LeanClient() as client:
            await client.get(url)
        with pytest.raises(RuntimeError, match="closed"):
            await client.get(url)
    assert met == [1]


async def test_an_answer_after_the_end_keeps_no_connection() -> None:
    """Who is closed while he is being answered has nobody left who would close that connection."""
    gone = trio.Event()

    async def behave(stream: trio.SocketStream) -> None:
        await stream.receive_some()
        await client.aclose()
        await stream.send_all(OK)
        assert await stream.receive_some() == b""
        gone.set()

    client = LeanClient()
    async with peer(behave) as url:
        assert (await client.get(url)).text == "ok"
        with trio.fail_after(10):
            await gone.wait()


@pytest.mark.parametrize("value", ["a\r\nX: y", "a\nb", "a\0b"])
async def test_no_header_ends_early(value: str) -> None:
    """A key with a line break in it must not become a header of its own."""
    async with peer(once(OK)) as url, LeanClient() as client:
        with pytest.raises(httpx.LocalProtocolError):
            await client.get(url, headers={"KEY": value})


@pytest.mark.parametrize("name", sorted(ODDITIES))
async def test_a_call_never_raises(name: str) -> None:
    """Whatever a peer does is a Failure that names the call."""
    async with peer(once(ODDITIES[name])) as url, LeanClient() as client:
        answer = await Rest(client, url, Clock(0)).call("POST", "/order", body=b"{}")
    assert isinstance(answer, Failure)
    assert answer.what.startswith("POST /order: ")


async def test_what_can_be_no_name_is_nobody() -> None:
    """A slip in the URL of a node: the resolver's own error, a ValueError, ended the program."""
    async with LeanClient() as client:
        assert await asked(client, "http://node..example/") is httpx.ConnectError
