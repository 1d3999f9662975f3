"""Who listens in on the wire: everything heard and sent, as bytes, before anybody decodes it."""

from __future__ import annotations

from typing import Protocol

import orjson

HIDDEN = b"(credentials)"


class Tap(Protocol):
    """Gets each frame and body in the order of the wire. Must be quick and must not raise.

    `stream` names the connection ("market btc-updown-5m-1795132800", "rest clob"); `at_ns` is the
    Unix time, in nanoseconds, at which whoever is handed the frame takes it to have come.

    `fed` and `decided` are not of the wire: what else the core was handed, and what it made of it
    (`core_tape.py`). `on` tells whether anybody listens, for to encode these costs time.
    """

    @property
    def on(self) -> bool: ...

    def heard(self, stream: str, body: bytes, at_ns: int) -> None: ...

    def sent(self, stream: str, body: bytes) -> None: ...

    def fed(self, body: bytes, at_ns: int) -> None: ...

    def decided(self, stream: str, body: bytes, at_ns: int) -> None: ...


class Nobody:
    """Nobody listens."""

    on = False

    def heard(self, stream: str, body: bytes, at_ns: int) -> None:
        pass

    def sent(self, stream: str, body: bytes) -> None:
        pass

    def fed(self, body: bytes, at_ns: int) -> None:
        pass

    def decided(self, stream: str, body: bytes, at_ns: int) -> None:
        pass


NOBODY = Nobody()


def without_credentials(frame: str) -> bytes:
    """A frame as it may be recorded: those that log in are left out whole (feeds.md 4.1, 7).

    What cannot be read is left out, too: it is ours, so it is nothing that a reader would miss.
    """
    if frame in ("PING", "PONG", "{}"):
        return frame.encode()
    try:
        said = orjson.loads(frame)
    except ValueError:
        return HIDDEN
    logs_in = not isinstance(said, dict) or "auth" in said or said.get("op") == "auth"
    return HIDDEN if logs_in else frame.encode()
