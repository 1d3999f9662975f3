"""What a simulated run is told by: every byte heard, decided and sent, and when."""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Callable

import attrs
import trio

from polybot.journal.recorder import CORE
from polybot.journal.tape import Event, Kind
from polybot.venue.tap import NOBODY, Tap

LAST_KEPT = 50


@attrs.define(eq=False)
class Trace:
    """The hash of a run, over all its lives. The last events are kept."""

    events: int = 0
    last: deque[tuple[float, str, str, bytes]] = attrs.field(
        factory=lambda: deque(maxlen=LAST_KEPT)
    )
    kept: tuple[str, ...] = ()
    on_sent: Callable[[str, bytes], None] = lambda *_: None
    on_decided: Callable[[str, bytes], None] = lambda *_: None
    on_kept: Callable[[str, bytes], None] = lambda *_: None
    _hash: hashlib._Hash = attrs.field(factory=hashlib.sha256)

    def fed(self, body: bytes, at_ns: int) -> None:
        self._hash.update(b"%d " % at_ns + body)
        self.on_kept(CORE, body)

    def decided(self, stream: str, body: bytes, at_ns: int) -> None:
        self._hash.update(b"%d %s " % (at_ns, stream.encode()) + body)
        self.on_decided(stream, body)

    def add(self, kind: str, stream: str, body: bytes) -> None:
        at_s = trio.current_time()
        self.events += 1
        self.on_kept(stream, body)
        self._hash.update(b"%.9f %s %s " % (at_s, kind.encode(), stream.encode()) + body)
        self.last.append((at_s, kind, stream, body))

    def note(self, text: str) -> None:
        self.add("told", "simulation", text.encode())

    def keep(self) -> None:
        """The last events as they are now: what led to what has just been found."""
        self.kept = tuple(
            f"{at_s:.3f} {kind} {stream}: {body[:160].decode('utf-8', 'replace')}"
            for at_s, kind, stream, body in self.last
        )

    @property
    def digest(self) -> str:
        return self._hash.hexdigest()


@attrs.define(eq=False)
class LifeTrace:
    """What one life adds to the run's trace. `file` is the tape that the bot itself keeps, `tape`
    what of it a replay needs, where that is wanted.

    The tasks of a killed one still run to their ends and decide: as nobody's, on no tape, least of
    all on that of the life after it (brief seed 20480).
    """

    whole: Trace
    file: Tap = NOBODY
    tape: list[Event] | None = None
    on: bool = True

    def heard(self, stream: str, body: bytes, at_ns: int) -> None:
        if self.on:
            self.whole.add("heard", stream, body)
            self._keep(at_ns, Kind.HEARD, stream, body)
            self.file.heard(stream, body, at_ns)

    def sent(self, stream: str, body: bytes) -> None:
        if self.on:
            self.whole.add("sent", stream, body)
            self.whole.on_sent(stream, body)
            self.file.sent(stream, body)

    def fed(self, body: bytes, at_ns: int) -> None:
        if self.on:
            self.whole.fed(body, at_ns)
            self._keep(at_ns, Kind.FED, CORE, body)
            self.file.fed(body, at_ns)

    def decided(self, stream: str, body: bytes, at_ns: int) -> None:
        if self.on:
            self._keep(at_ns, Kind.DECIDED, stream, body)
            self.whole.decided(stream, body, at_ns)
            self.file.decided(stream, body, at_ns)

    def _keep(self, at_ns: int, kind: Kind, stream: str, body: bytes) -> None:
        if self.tape is not None:
            self.tape.append(Event(at_ns, kind, stream, body))
