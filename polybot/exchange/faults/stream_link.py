"""Faults on a stream, from outside: every frame passes here before it is queued for its client.

A stream without entries has no tap: its frames go the way they always went.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Awaitable, Callable
from functools import partial

import attrs
import orjson

from polybot.clock import Clock
from polybot.exchange.faults.frames import BEFORE, MOON, bad_utf8, framed, is_data, text_of
from polybot.exchange.faults.kinds_stream import EVENTS_KEPT
from polybot.exchange.faults.state import Faults, Running, Strike
from polybot.exchange.faults.stream_lies import LIES, NOTHING
from polybot.exchange.net import Service
from polybot.exchange.websocket import Socket

Session = Callable[[Socket], Awaitable[None]]

CHUNK_FRAMES, CHUNK_MS = 500, 50  # of a burst: a socket's queue holds about a thousand
OLD_MS = 1_000


@attrs.define(eq=False)
class _Line:
    """One session: what is held back of it."""

    socket: Socket
    held: list[tuple[int, bytes]] = attrs.field(factory=list)  # (frames still to pass, frame)
    late_until_ms: int = 0
    snapshot: bytes | None = None  # of some time ago
    snapshot_ms: int = 0


class StreamLink:
    """One stream of the venue. `faulty` gives the service as seen over this link."""

    def __init__(self, name: str, faults: Faults, clock: Clock) -> None:
        self._name, self._faults, self._clock = name, faults, clock
        self._lines: dict[Socket, _Line] = {}
        # By API key, while somebody spoils this stream: what its sessions were last sent.
        self._sent: dict[str, deque[bytes]] = defaultdict(partial(deque, maxlen=EVENTS_KEPT))
        faults.on_change.append(self._arm)
        for fault, act in _ACTS.items():
            faults.on_act(name, fault, partial(self._act, act))

    def faulty(self, service: Service) -> Service:
        session = service.socket
        assert session is not None, "a stream has sessions"
        return attrs.evolve(service, socket=partial(self._run, session))

    async def _run(self, session: Session, socket: Socket) -> None:
        now_ms = self._clock.now_ms()
        if self._faults.strike(self._name, "refuse", now_ms):
            socket.drop()
            return
        self._lines[socket] = _Line(socket)
        socket.on_known = partial(self._again, socket)
        self._arm()
        try:
            await session(socket)
        finally:
            del self._lines[socket]
            socket.tap = None

    def _arm(self) -> None:
        armed = bool(self._faults.at(self._name))
        for socket, line in self._lines.items():
            socket.tap = partial(self._tap, line) if armed else None
            if not armed:
                for _, frame in line.held:
                    socket.put(frame)
                line.held.clear()
        if not armed:
            self._sent.clear()

    def _again(self, socket: Socket) -> None:
        """The overlap that a reconnect may bring (feeds.md 4.5): events this key has had already.

        Those of the time in between are not among them: nothing replays what was never sent.
        """
        sent = self._sent.get(socket.whose)
        strike = sent and self._faults.strike(self._name, "events_again", self._clock.now_ms())
        if sent and strike:
            for frame in list(sent)[-strike["events"] :]:
                socket.put(frame)

    # --- frames ------------------------------------------------------------------------------

    def _tap(self, line: _Line, frame: bytes) -> list[bytes]:
        """The frames that go out now in place of this one."""
        text = text_of(frame)
        if not is_data(text) or text is None:
            return [frame]
        self._remember(line.socket.whose, frame)
        now_ms = self._clock.now_ms()
        before: list[bytes] = []
        out = [frame]
        for running in self._faults.at(self._name):
            if _matches(running, text) and (strike := running.meet(now_ms)):
                before += self._before(strike, line, now_ms)
                out = [one for frame in out for one in self._struck(strike, frame, line, now_ms)]
        if '"bids"' in text and line.snapshot is None:
            line.snapshot, line.snapshot_ms = frame, now_ms
        return self._in_turn(line, before + out, now_ms)

    def _remember(self, whose: str, frame: bytes) -> None:
        """Once, though every session of a key gets the same bytes."""
        if whose and not (self._sent[whose] and self._sent[whose][-1] is frame):
            self._sent[whose].append(frame)

    def _before(self, strike: Strike, line: _Line, now_ms: int) -> list[bytes]:
        """What comes before the frame that is struck."""
        if strike.fault in BEFORE:
            strike.land()
            return [BEFORE[strike.fault](strike)]
        if strike.fault != "snapshot_old" or line.snapshot is None:
            return []
        if now_ms - line.snapshot_ms < OLD_MS:
            return []
        strike.land()
        old, line.snapshot = line.snapshot, None
        return [old]

    def _struck(self, strike: Strike, frame: bytes, line: _Line, now_ms: int) -> list[bytes]:
        if strike.fault in LIES:
            return _lied(strike, frame)
        match strike.fault:
            case "stall" | "frame_lost" | "snapshots_gone":
                out: list[bytes] = []
            case "gap_at_open" if _in_gap(strike, now_ms):
                out = []
            case "frame_twice":
                out = [frame] * (1 + strike["copies"])
            case "frame_overtaken":
                line.held.append((strike["by"], frame))
                out = []
            case "frames_late":
                line.late_until_ms = max(line.late_until_ms, now_ms + strike["delay_ms"])
                out = [frame]
            case "frame_bad_utf8":
                out = [bad_utf8(frame, strike)]
            case _:
                return [frame]
        strike.land()
        return out

    def _in_turn(self, line: _Line, out: list[bytes], now_ms: int) -> list[bytes]:
        """Let held frames follow, and everything wait while the line is late."""
        if out:
            line.held = [(left - 1, frame) for left, frame in line.held]
            out = out + [frame for left, frame in line.held if left <= 0]
            line.held = [(left, frame) for left, frame in line.held if left > 0]
        if line.late_until_ms <= now_ms:
            return out
        for frame in out:
            self._faults.later(line.late_until_ms, partial(_put, line.socket, frame))
        return []

    # --- acts --------------------------------------------------------------------------------

    def _act(
        self, act: Callable[[StreamLink, Socket, Strike], None], strike: Strike, _: int
    ) -> None:
        for socket in list(self._lines):
            strike.land()
            act(self, socket, strike)

    def burst(self, socket: Socket, strike: Strike) -> None:
        """So many frames within a second or so, none of which says anything."""
        frame, left, due_ms = framed((MOON % "").encode()), strike["frames"], self._clock.now_ms()
        while left > 0:
            for _ in range(min(left, CHUNK_FRAMES)):
                self._faults.later(due_ms, partial(_put, socket, frame))
            left, due_ms = left - CHUNK_FRAMES, due_ms + CHUNK_MS


def _put(socket: Socket, frame: bytes, _now_ms: int) -> None:
    socket.put(frame)


_ACTS: dict[str, Callable[[StreamLink, Socket, Strike], None]] = {
    "half_open": lambda _link, socket, _strike: socket.mute(),
    "close": lambda _link, socket, strike: socket.end(strike["code"], ""),
    "drop": lambda _link, socket, _strike: socket.drop(),
    "burst": StreamLink.burst,
}


def _matches(running: Running, text: str) -> bool:
    wanted = running.entry.match or running.entry.kind.match
    return not wanted or any(one in text for one in wanted)


def _lied(strike: Strike, frame: bytes) -> list[bytes]:
    """The frame with the lie in it, or none. What another fault has spoiled stays as it is."""
    text = text_of(frame)
    try:
        told = LIES[strike.fault](text, strike) if text is not None else None
    except (orjson.JSONDecodeError, KeyError, TypeError, ValueError, ArithmeticError):
        return [frame]
    if told is None:
        return [frame]
    strike.land()
    return [] if told == NOTHING else [framed(told.encode())]


def _in_gap(strike: Strike, now_ms: int) -> bool:
    """Within the gap around the start of the window that is nearest."""
    length_ms = strike["window_s"] * 1000
    into_ms = now_ms % length_ms
    before = into_ms >= length_ms - strike["before_s"] * 1000
    return before or into_ms < strike["after_s"] * 1000
