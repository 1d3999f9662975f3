"""The socket shell against loopback peers that answer, close, refuse, fall silent, do not read.

Time is virtual: it jumps when nothing has happened for a moment, so silence costs none.
"""

from __future__ import annotations

import itertools
import random
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from functools import partial

import attrs
import pytest
import tls_kit
import trio
from tls_kit import Certificate
from trio.testing import MockClock
from trio_websocket import (
    ConnectionClosed,
    WebSocketConnection,
    WebSocketRequest,
    serve_websocket,
)

from polybot.clock import Clock
from polybot.venue import sockets
from polybot.venue.sockets import (
    SocketLimits,
    SocketPhase,
    SocketState,
    run_socket,
    tls_context,
)

Peer = Callable[[WebSocketConnection], Awaitable[None]]


CLOCK = Clock(1_795_201_110_000)


@pytest.fixture
def clock() -> MockClock:
    # Not zero: what a loopback peer has sent must have a moment to arrive.
    return MockClock(autojump_threshold=0.02)


@attrs.define
class Log:
    """What the shell told, and a bell to wait for it."""

    texts: list[str] = attrs.field(factory=list)
    states: list[SocketState] = attrs.field(factory=list)
    times: list[float] = attrs.field(factory=list)
    answers: dict[str, Sequence[str]] = attrs.field(factory=dict)
    bell: trio.Event = attrs.field(factory=trio.Event)

    def on_text(self, text: str, at_ms: int) -> Sequence[str] | None:
        assert at_ms == CLOCK.now_ms(), "the time of receipt"
        self.texts.append(text)
        self._ring()
        return self.answers.get(text)

    def on_state(self, state: SocketState) -> None:
        self.states.append(state)
        self.times.append(trio.current_time())
        self._ring()

    def _ring(self) -> None:
        self.bell.set()
        self.bell = trio.Event()

    async def until(self, done: Callable[[], bool]) -> None:
        with trio.fail_after(3600):
            while not done():
                await self.bell.wait()

    def phases(self) -> list[SocketPhase]:
        return [state.phase for state in self.states]

    def downs(self) -> list[SocketState]:
        return [state for state in self.states if state.phase is SocketPhase.DOWN]

    def pauses(self) -> list[float]:
        """Between the end of each session and the next try."""
        pairs = itertools.pairwise(zip(self.states, self.times, strict=True))
        return [
            after - before
            for (state, before), (_, after) in pairs
            if state.phase is SocketPhase.DOWN
        ]


@asynccontextmanager
async def serving(peer: Peer) -> AsyncIterator[str]:
    """A WebSocket server whose every connection is given to `peer`; yields its URL."""

    async def handler(request: WebSocketRequest) -> None:
        socket = await request.accept()
        with suppress(ConnectionClosed):
            await peer(socket)

    async with trio.open_nursery() as nursery:
        serve = partial(serve_websocket, handler, "127.0.0.1", 0, None, disconnect_timeout=1)
        server = await nursery.start(serve)
        yield f"ws://127.0.0.1:{server.port}/ws"
        nursery.cancel_scope.cancel()


@asynccontextmanager
async def running(
    url: str,
    log: Log,
    *,
    greet: Sequence[str] = ("hello",),
    ping: tuple[str, float] | None = ("PING", 10),
    silence_s: float = 30,
    limits: SocketLimits | None = None,
) -> AsyncIterator[None]:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(
            partial(
                run_socket,
                url,
                greet=greet,
                on_text=log.on_text,
                on_state=log.on_state,
                ping=ping,
                silence_s=silence_s,
                clock=CLOCK,
                rng=random.Random(7),
                limits=limits or SocketLimits(),
            )
        )
        yield
        nursery.cancel_scope.cancel()


async def test_frames_arrive_in_order_and_answers_are_sent(clock: MockClock) -> None:
    """The greeting goes first, every text is seen once and in order, an answer goes back."""
    heard: list[str | bytes] = []

    async def peer(socket: WebSocketConnection) -> None:
        heard.append(await socket.get_message())
        for number in range(200):
            await socket.send_message(str(number))
        await socket.send_message(b"bytes")
        await socket.send_message("question")
        heard.append(await socket.get_message())
        heard.append(await socket.get_message())
        await trio.sleep_forever()

    log = Log(answers={"question": ("answer", "and more")})
    async with serving(peer) as url, running(url, log):
        await log.until(lambda: "question" in log.texts)
        await trio.sleep(1)

    assert log.texts == [*map(str, range(200)), "bytes", "question"]
    assert heard == ["hello", "answer", "and more"]
    assert log.phases() == [SocketPhase.CONNECTING, SocketPhase.OPEN]


async def test_a_new_connection_is_greeted_again(clock: MockClock) -> None:
    """After a close the shell comes back and sends the whole greeting afresh."""
    greetings: list[list[str | bytes]] = []

    async def peer(socket: WebSocketConnection) -> None:
        greetings.append([await socket.get_message(), await socket.get_message()])
        await socket.aclose(1013, "slow consumer: send buffer full")

    log = Log()
    async with serving(peer) as url, running(url, log, greet=("auth", "subscribe")):
        await log.until(lambda: len(log.downs()) >= 2)

    assert greetings[:2] == [["auth", "subscribe"]] * 2
    assert log.downs()[0].why == "closed 1013 slow consumer: send buffer full"


async def test_a_keepalive_that_is_answered_keeps_it_open(clock: MockClock) -> None:
    """PING every ten seconds, PONG each time: nothing else is needed to stay connected."""
    pings: list[float] = []

    async def peer(socket: WebSocketConnection) -> None:
        assert await socket.get_message() == "hello"
        while True:
            assert await socket.get_message() == "PING"
            pings.append(trio.current_time())
            await socket.send_message("PONG")

    log = Log()
    async with serving(peer) as url, running(url, log, silence_s=25):
        await trio.sleep(300)

    assert log.phases() == [SocketPhase.CONNECTING, SocketPhase.OPEN]
    assert len(pings) >= 29
    assert set(log.texts) == {"PONG"}


async def test_silence_is_loss(clock: MockClock) -> None:
    """A connection that is up and says nothing is dropped after `silence_s` and dialled again."""

    async def peer(socket: WebSocketConnection) -> None:
        while True:
            await socket.get_message()

    log = Log()
    async with serving(peer) as url, running(url, log, silence_s=25):
        await log.until(lambda: log.phases().count(SocketPhase.OPEN) == 2)

    (down, *_) = log.downs()
    assert down.why == "silent for 25 s"
    opened = log.times[log.phases().index(SocketPhase.OPEN)]
    ended = log.times[log.phases().index(SocketPhase.DOWN)]
    assert 25 <= ended - opened <= 26


async def test_a_server_that_accepts_and_says_nothing(clock: MockClock) -> None:
    """TCP accepted, no HTTP answer ever: given up after `handshake_s`, again and again."""
    async with trio.open_nursery() as nursery:

        async def mute(stream: trio.SocketStream) -> None:
            await trio.sleep_forever()

        listeners = await nursery.start(partial(trio.serve_tcp, mute, 0, host="127.0.0.1"))
        port = listeners[0].socket.getsockname()[1]
        log = Log()
        async with running(f"ws://127.0.0.1:{port}/ws", log):
            await log.until(lambda: len(log.downs()) >= 2)
        nursery.cancel_scope.cancel()

    assert {down.why for down in log.downs()} == {"no handshake within its deadline"}
    assert 5 <= log.times[1] - log.times[0] <= 6
    assert SocketPhase.OPEN not in log.phases()


async def test_a_server_that_hangs_up_before_the_handshake(clock: MockClock) -> None:
    """A TCP close instead of an HTTP answer ends the try, with nothing left behind."""
    async with trio.open_nursery() as nursery:

        async def hang_up(stream: trio.SocketStream) -> None:
            await stream.receive_some()

        listeners = await nursery.start(partial(trio.serve_tcp, hang_up, 0, host="127.0.0.1"))
        port = listeners[0].socket.getsockname()[1]
        log = Log()
        async with running(f"ws://127.0.0.1:{port}/ws", log):
            await log.until(lambda: len(log.downs()) >= 2)
        nursery.cancel_scope.cancel()

    assert SocketPhase.OPEN not in log.phases()


async def test_nobody_listens(clock: MockClock) -> None:
    """Refused connections are retried with full jitter below a ceiling that doubles up to 30 s."""
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    port = listeners[0].socket.getsockname()[1]
    await listeners[0].aclose()
    log = Log()

    async with running(f"ws://127.0.0.1:{port}/ws", log):
        await log.until(lambda: len(log.downs()) >= 15)

    starts = [
        at
        for at, phase in zip(log.times, log.phases(), strict=True)
        if phase is SocketPhase.CONNECTING
    ]
    waits = [after - before for before, after in itertools.pairwise(starts)]
    for number, wait in enumerate(waits, 1):
        assert wait <= min(0.25 * 2**number, 30) + 0.5
    assert max(waits) > 5
    assert [down.attempt for down in log.downs()] == list(range(1, len(log.downs()) + 1))
    assert all(down.why.startswith("cannot connect") for down in log.downs())


async def test_an_http_refusal_is_told(clock: MockClock) -> None:
    """A server that answers the handshake with 403 is down, with the reason."""

    async def handler(request: WebSocketRequest) -> None:
        await request.reject(403)

    async with trio.open_nursery() as nursery:
        serve = partial(serve_websocket, handler, "127.0.0.1", 0, None)
        server = await nursery.start(serve)
        log = Log()
        async with running(f"ws://127.0.0.1:{server.port}/ws", log):
            await log.until(lambda: bool(log.downs()))
        nursery.cancel_scope.cancel()

    assert log.downs()[0].phase is SocketPhase.DOWN
    assert "refused" in log.downs()[0].why
    assert "403" in log.downs()[0].why


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n",
        b"\x00\xff\x00garbage\r\n\r\n",
        b"HTTP/1.1 503 Busy\r\nRetry-After: 5\r\nContent-Length: 0\r\n\r\n",
    ],
)
async def test_a_peer_that_speaks_something_else(clock: MockClock, answer: bytes) -> None:
    """Whatever comes instead of a handshake ends the try, and the next one follows."""
    async with trio.open_nursery() as nursery:

        async def babble(stream: trio.SocketStream) -> None:
            await stream.receive_some()
            await stream.send_all(answer)

        listeners = await nursery.start(partial(trio.serve_tcp, babble, 0, host="127.0.0.1"))
        port = listeners[0].socket.getsockname()[1]
        log = Log()
        async with running(f"ws://127.0.0.1:{port}/ws", log):
            await log.until(lambda: len(log.downs()) >= 2)
        nursery.cancel_scope.cancel()

    assert SocketPhase.OPEN not in log.phases()


async def test_closes_right_after_the_greeting_look_like_bad_credentials(
    clock: MockClock,
) -> None:
    """Three sessions in a row that end at once are told as that; back-off slows the storm."""
    sessions: list[float] = []

    async def peer(socket: WebSocketConnection) -> None:
        sessions.append(trio.current_time())
        await socket.get_message()
        await socket.aclose()

    log = Log()
    async with serving(peer) as url, running(url, log):
        await log.until(lambda: len(log.downs()) >= 12)

    suspect = [down.why.endswith("are these the right credentials?") for down in log.downs()]
    assert not any(suspect[:2])
    assert all(suspect[2:])
    assert sessions[-1] - sessions[0] > 20


@pytest.mark.parametrize(
    ("code", "least_s", "most_s"), [(4003, 3, 10), (4008, 15, 30), (4001, 0, 0.6), (1012, 0, 0.6)]
)
async def test_what_a_server_says_in_going_is_heeded(
    clock: MockClock, code: int, least_s: float, most_s: float
) -> None:
    """One that drains is met again within ten seconds, not by all at once; one that we have
    offended much later; others as soon as ever, while sessions last (feeds.md 5.3).
    """

    async def peer(socket: WebSocketConnection) -> None:
        await trio.sleep(20)
        await socket.aclose(code, "that is why")

    log = Log()
    async with serving(peer) as url, running(url, log):
        await log.until(lambda: len(log.downs()) >= 9)

    assert least_s <= max(log.pauses()) <= most_s
    assert code != 4008 or min(log.pauses()) >= least_s
    assert log.downs()[0].why == f"closed {code} that is why"


@pytest.mark.parametrize(
    ("said", "least_s", "most_s"),
    [
        (b"5", 5, 6), (b"0.5", 0.5, 1.5), (b"86400", 300, 301), (b"inf", 0, 1), (b"-3", 0, 1),
        (b"nan", 0, 1), (b"Fri, 27 Nov 2026 10:00:00 GMT", 0, 1), (None, 0, 1),
    ],
)  # fmt: skip
async def test_a_server_that_asks_to_be_left_alone(
    clock: MockClock, said: bytes | None, least_s: float, most_s: float
) -> None:
    """Retry-After is the least, and jitter comes on top; more than five minutes is not believed,
    and what is no number is not there.
    """

    async def handler(request: WebSocketRequest) -> None:
        headers = [] if said is None else [(b"Retry-After", said)]
        await request.reject(503, extra_headers=headers)

    async with trio.open_nursery() as nursery:
        serve = partial(serve_websocket, handler, "127.0.0.1", 0, None)
        server = await nursery.start(serve)
        log = Log()
        async with running(f"ws://127.0.0.1:{server.port}/ws", log):
            await log.until(lambda: len(log.pauses()) >= 1)
        nursery.cancel_scope.cancel()

    assert least_s <= log.pauses()[0] <= most_s


async def talk(socket: WebSocketConnection, times: int, every_s: float) -> None:
    for _ in range(times):
        await trio.sleep(every_s)
        await socket.send_message("data")


async def test_a_long_session_forgives_earlier_failures(clock: MockClock) -> None:
    """Back-off starts over after a session that lasted."""
    count = 0

    async def peer(socket: WebSocketConnection) -> None:
        nonlocal count
        count += 1
        await socket.get_message()
        if count == 4:
            await talk(socket, 10, every_s=5)
        await socket.aclose()

    log = Log()
    async with serving(peer) as url, running(url, log, ping=None):
        await log.until(lambda: len(log.downs()) >= 4)

    assert [down.attempt for down in log.downs()] == [1, 2, 3, 1]
    assert log.downs()[3].phase is SocketPhase.DOWN


async def test_five_closes_a_minute_are_no_storm(clock: MockClock) -> None:
    """Seed 682: a price stream that the venue closed after fifteen seconds, again and again, was
    away for longer each time. What carried data for twelve seconds is dialled at once (F04).
    """

    async def peer(socket: WebSocketConnection) -> None:
        await socket.get_message()
        await talk(socket, 4, every_s=3.1)
        await socket.aclose()

    log = Log()
    async with serving(peer) as url, running(url, log, ping=None):
        await log.until(lambda: len(log.downs()) >= 5)

    assert [down.attempt for down in log.downs()] == [1] * 5


async def test_a_peer_that_does_not_read_is_dropped(clock: MockClock) -> None:
    """When the buffers are full, the keepalive cannot be sent: the session ends by its deadline."""

    async def peer(socket: WebSocketConnection) -> None:
        while True:
            await trio.sleep(1)
            await socket.send_message("still talking")

    log = Log()
    big = ("x" * 900_000, 0.5)
    async with serving(peer) as url, running(url, log, ping=big):
        await log.until(lambda: bool(log.downs()))

    assert log.downs()[0].why == "peer does not read"


async def test_cancelling_ends_at_once(clock: MockClock) -> None:
    """With a peer that is deaf and mute the shell still goes away without waiting for it."""

    async def peer(socket: WebSocketConnection) -> None:
        await trio.sleep_forever()

    log = Log()
    async with serving(peer) as url:
        async with running(url, log):
            await log.until(lambda: SocketPhase.OPEN in log.phases())
            before = trio.current_time()
        assert trio.current_time() - before < 1


async def test_a_bug_in_the_reader_is_not_swallowed(clock: MockClock) -> None:
    """An exception out of `on_text` ends everything instead of reconnecting for ever."""

    async def peer(socket: WebSocketConnection) -> None:
        await socket.get_message()
        await socket.send_message("poison")
        await trio.sleep_forever()

    def broken(text: str, _at_ms: int) -> None:
        raise LookupError(text)

    log = Log()
    with pytest.RaisesGroup(LookupError, flatten_subgroups=True):
        async with serving(peer) as url:
            await run_socket(
                url,
                greet=("hello",),
                on_text=broken,
                on_state=log.on_state,
                ping=None,
                silence_s=30,
                clock=CLOCK,
                rng=random.Random(1),
            )


def test_tls_is_checked_and_set_up_once() -> None:
    """Certificates and names are verified, and a reconnect does not read the root store again."""
    context = tls_context()

    assert context is tls_context()
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname


@asynccontextmanager
async def secured(certificate: Certificate) -> AsyncIterator[str]:
    """A WebSocket server behind TLS that says what it hears."""
    trio.socket.set_custom_hostname_resolver(tls_kit.AtHome())

    async def handler(request: WebSocketRequest) -> None:
        socket = await request.accept()
        with suppress(ConnectionClosed):
            while True:
                await socket.send_message(f"heard {await socket.get_message()!s}")

    async with trio.open_nursery() as nursery:
        server = await nursery.start(
            serve_websocket, handler, "127.0.0.1", 0, tls_kit.serving(certificate)
        )
        yield f"wss://localhost:{server.port}/ws"
        nursery.cancel_scope.cancel()


async def test_a_secure_stream(
    clock: MockClock, certificate: Certificate, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the venue's are: frames go both ways, large ones too."""
    trusting = ssl.create_default_context(cafile=str(certificate[0]))
    monkeypatch.setattr(sockets, "tls_context", lambda: trusting)
    log, large = Log(), "x" * 300_000
    async with secured(certificate) as url, running(url, log, greet=("hello", large)):
        await log.until(lambda: len(log.texts) == 2)

    assert log.texts == ["heard hello", f"heard {large}"]


async def test_a_stranger_is_not_spoken_to(clock: MockClock, certificate: Certificate) -> None:
    """Nobody we trust has signed for him: it is told why, and dialled again (F71)."""
    log = Log()
    async with secured(certificate) as url, running(url, log):
        await log.until(lambda: len(log.downs()) == 2)

    assert log.texts == []
    assert "certificate verify failed" in (log.downs()[0].why or "")


async def test_a_url_that_is_none_is_a_bug(clock: MockClock) -> None:
    """Only ws and wss URLs are dialled."""
    with pytest.raises(ValueError, match="expected a ws or wss URL"):
        await run_socket(
            "http://127.0.0.1",
            greet=(),
            on_text=lambda text, at_ms: None,
            on_state=lambda state: None,
            ping=None,
            silence_s=1,
            clock=CLOCK,
            rng=random.Random(1),
        )
