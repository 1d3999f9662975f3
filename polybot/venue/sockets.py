"""One WebSocket kept alive for ever: connect, greet, read, notice silence, come back.

A WebSocket by itself waits for ever on a server that accepts and says nothing, and on pings and
closes to a dead peer (trio.md 9). So this shell owns the TCP stream, puts a deadline on every
await, keeps alive with texts the venue answers, and closes the stream itself at the end of a
session.
"""

from __future__ import annotations

import enum
import functools
import random
import ssl
from collections.abc import Callable, Sequence
from typing import NoReturn
from urllib.parse import urlsplit

import attrs
import h11
import trio
import wsproto.utilities
from trio_websocket import ConnectionClosed

from polybot.clock import NS, Clock
from polybot.venue.lean_socket import LeanSocket, Refused
from polybot.venue.tap import NOBODY, Tap, secrets_of, veiled, without_credentials

_MESSAGE_MAX = 4 * 1024 * 1024

Stream = trio.SocketStream | trio.SSLStream[trio.SocketStream]
OnText = Callable[[str, int], Sequence[str] | None]


class SocketPhase(enum.Enum):
    CONNECTING = "connecting"
    OPEN = "open"  # greeted; says nothing yet about data
    DOWN = "down"


@attrs.frozen
class SocketState:
    """`why` tells how the last session ended; `attempt` counts tries since a long one."""

    phase: SocketPhase
    why: str = ""
    attempt: int = 0


@attrs.frozen
class SocketLimits:
    """Seconds for each await that could hang, and when a session counts as what."""

    connect_s: float = 10  # names are looked up in it, and packets sent again
    handshake_s: float = 5
    send_s: float = 5
    close_s: float = 0.5
    first_delay_s: float = 0.25
    longest_delay_s: float = 30
    early_s: float = 2  # a session that ends this soon was refused (feeds.md 4.1)
    settled_s: float = 12  # one that lasts this long forgives earlier failures: five a minute (F04)
    suspect_after: int = 3
    drained_s: float = 10  # over which those that a server has put out come back (feeds.md 5.3)
    away_most_s: float = 300  # whatever a server asks for


_LIMITS = SocketLimits()
DRAINING, POLICY = 4003, 4008  # codes of a close (feeds.md 5.3)
SUSPECT = "at once, again and again: are these the right credentials?"


@attrs.frozen
class _End:
    """How a session ended: what is told of it, the code of its close or the status of its refusal,
    and for how many seconds the server wants to be left alone.
    """

    why: str
    code: int | None = None
    away_s: float = 0.0


NOT_READ = _End("peer does not read")


@attrs.frozen
class _Session:
    """What one connection needs to know."""

    url: str
    greet: Callable[[], Sequence[str]]
    on_text: OnText
    ping: tuple[str, float] | None
    silence_s: float
    limits: SocketLimits
    opened: Callable[[], None]
    clock: Clock
    tap: Tap
    name: str
    secrets: list[bytes] = attrs.field(factory=list)  # what a peer that quotes us is not to tell

    def sent(self, frames: Sequence[str]) -> None:
        for frame in frames:
            self.secrets.extend(secrets_of(frame))
            self.tap.sent(self.name, without_credentials(frame))

    def heard(self, text: str, at_ns: int) -> None:
        self.tap.heard(self.name, veiled(text.encode(), self.secrets), at_ns)

    def veil(self, words: str) -> str:
        """Words of the peer's, or of the system's: these may hold what is no text."""
        return veiled(words.encode("utf-8", "surrogatepass"), self.secrets).decode(
            "utf-8", "surrogatepass"
        )


async def run_socket(
    url: str,
    *,
    greet: Sequence[str] | Callable[[], Sequence[str]],
    on_text: OnText,
    on_state: Callable[[SocketState], None],
    ping: tuple[str, float] | None,
    silence_s: float,
    clock: Clock,
    rng: random.Random,
    limits: SocketLimits = _LIMITS,
    tap: Tap = NOBODY,
    name: str = "",
) -> NoReturn:
    """Keep one connection to `url`, until cancelled.

    `greet`: the first frames of every connection. `on_text` gets every text frame, in order and at
    once, with the Unix milliseconds of its receipt; it must not be slow, and what it returns is
    sent in answer. `ping`: a text and a period in
    seconds. `silence_s`: the connection is dropped if nothing at all arrives for so long; whether
    *data* arrives is for the owner to watch, for a dead subscription still answers pings. An
    exception out of `on_text` is a bug and ends everything. `tap` hears every frame under `name`
    before `on_text` does.
    """
    attempt = early = 0
    while True:
        on_state(SocketState(SocketPhase.CONNECTING, attempt=attempt))
        opened_at: list[float] = []

        def opened(stamps: list[float] = opened_at, attempt: int = attempt) -> None:
            stamps.append(trio.current_time())
            on_state(SocketState(SocketPhase.OPEN, attempt=attempt))

        frames = greet if callable(greet) else (lambda fixed=greet: fixed)
        session = _Session(url, frames, on_text, ping, silence_s, limits, opened, clock, tap, name)
        end = await _run_session(session)
        end = attrs.evolve(end, why=session.veil(end.why))
        lived = trio.current_time() - opened_at[0] if opened_at else 0
        early = early + 1 if opened_at and lived < limits.early_s else 0
        attempt = 1 if lived >= limits.settled_s else attempt + 1
        why = f"{end.why}, {SUSPECT}" if early >= limits.suspect_after else end.why
        on_state(SocketState(SocketPhase.DOWN, why, attempt))
        await trio.sleep(_pause_s(end, attempt, rng.random(), limits))


def _pause_s(end: _End, attempt: int, drawn: float, limits: SocketLimits) -> float:
    """Until the next try. Full jitter (feeds.md 2.2): a venue that drops everybody is not met by
    everybody at once. A server that drains, or that we have offended, is met later (feeds.md 5.3).
    """
    doubled_s: float = limits.first_delay_s * 2 ** min(attempt, 20)
    longest_s = min(doubled_s, limits.longest_delay_s)
    if end.code == DRAINING:
        longest_s = max(longest_s, limits.drained_s)
    if end.code == POLICY:
        return (1 + drawn) / 2 * limits.longest_delay_s
    return min(end.away_s, limits.away_most_s) + drawn * longest_s


async def _run_session(session: _Session) -> _End:
    """One connection from dial to end. Returns how it ended."""
    try:
        with trio.fail_after(session.limits.connect_s):
            stream = await _dial(session.url)
    except (trio.TooSlowError, OSError, trio.BrokenResourceError, ssl.CertificateError) as error:
        # What TLS objects to is behind a broken stream.
        why = f"cannot connect: {type(error).__name__} {str(error) or error.__cause__ or ''}"
        return _End(why)
    try:
        end = await _converse(session, stream)
    except* (h11.ProtocolError, wsproto.utilities.ProtocolError) as broken:
        # A peer that speaks something else, or a ping on a connection just closed.
        end = _End(f"protocol broken: {_first(broken)}")
    finally:
        with trio.CancelScope(shield=True):
            await trio.aclose_forcefully(stream)
    return end


@functools.cache
def tls_context() -> ssl.SSLContext:
    """The one TLS context: building it reads every root certificate and stops the loop for 20 ms
    (trio.md 1), which a reconnect must not cost.
    """
    return ssl.create_default_context()


async def _dial(url: str) -> Stream:
    parts = urlsplit(url)
    secure = parts.scheme == "wss"
    if parts.hostname is None or parts.scheme not in ("ws", "wss"):
        raise ValueError(f"expected a ws or wss URL, was {url!r}")
    port = parts.port or (443 if secure else 80)
    if not secure:
        return await trio.open_tcp_stream(parts.hostname, port)
    stream = await trio.open_ssl_over_tcp_stream(
        parts.hostname, port, ssl_context=tls_context(), https_compatible=True
    )
    try:
        await stream.do_handshake()
    except BaseException:
        await trio.aclose_forcefully(stream)
        raise
    return stream


async def _converse(session: _Session, stream: Stream) -> _End:
    limits = session.limits
    parts = urlsplit(session.url)
    resource = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    step = "handshake"
    try:
        with trio.fail_after(limits.handshake_s):
            socket = await LeanSocket.open(stream, parts.netloc, resource, most_bytes=_MESSAGE_MAX)
        step = "greeting"
        await _send(session, socket, session.greet())
        session.opened()
        return await _exchange(session, socket)
    except trio.TooSlowError:
        return _End(f"no {step} within its deadline")
    except ConnectionClosed as closed:
        return _closing(closed)


async def _exchange(session: _Session, socket: LeanSocket) -> _End:
    """Read until the connection ends or falls silent, with the keepalive beside it."""
    ends: list[_End] = []
    async with trio.open_nursery() as nursery:

        def end(how: _End) -> None:
            ends.append(how)
            nursery.cancel_scope.cancel()

        if session.ping is not None:
            nursery.start_soon(_keep_alive, session, socket, session.ping, end)
        end(await _read(session, socket))
    with trio.move_on_after(session.limits.close_s):
        await socket.aclose()
    return ends[0]


async def _read(session: _Session, socket: LeanSocket) -> _End:
    with trio.move_on_after(session.silence_s) as watchdog:
        while True:
            try:
                text = await socket.get_message()
            except ConnectionClosed as closed:
                return _closing(closed)
            watchdog.deadline = trio.current_time() + session.silence_s
            at_ns = session.clock.now_ns()
            session.heard(text, at_ns)
            answer = session.on_text(text, at_ns // NS)
            if answer:
                try:
                    await _send(session, socket, answer)
                except ConnectionClosed as closed:
                    return _closing(closed)
                except trio.TooSlowError:
                    return NOT_READ
    return _End(f"silent for {session.silence_s:g} s")


async def _keep_alive(
    session: _Session,
    socket: LeanSocket,
    ping: tuple[str, float],
    end: Callable[[_End], None],
) -> None:
    text, period = ping
    while True:
        await trio.sleep(period)
        try:
            await _send(session, socket, (text,))
        except ConnectionClosed:
            return  # the reader says why
        except trio.TooSlowError:
            end(NOT_READ)


async def _send(session: _Session, socket: LeanSocket, frames: Sequence[str]) -> None:
    """Send, or raise ConnectionClosed or TooSlowError. After the
    latter the stream is only good to close.
    """
    session.sent(frames)
    with trio.fail_after(session.limits.send_s):
        for frame in frames:
            await socket.send_message(frame)


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def _closing(closed: ConnectionClosed) -> _End:
    reason = closed.reason
    if reason is None:
        return _End("closed")
    why = f"closed {reason.code} {reason.reason or ''}".strip()
    away_s = closed.retry_after_s if isinstance(closed, Refused) else 0.0
    return _End(why, reason.code, away_s)
