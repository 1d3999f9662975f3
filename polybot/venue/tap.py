"""Who listens in on the wire: everything heard and sent, as bytes, before anybody decodes it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

import orjson

HIDDEN = b"(credentials)"
# Of headers and of logins. The API key is none of them: every order and every row names it.
_SECRET_HEADERS = ("POLY_PASSPHRASE", "POLY_SIGNATURE", "RELAYER_API_KEY")
_SECRET_KEYS = ("secret", "passphrase")
_SHORTEST = 8  # what is shorter may be a part of any hash


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


def secrets_of(frame: str) -> list[bytes]:
    """What a frame of ours that logs in must not be quoted with."""
    said = orjson.loads(frame) if '"auth"' in frame else None
    auth = said.get("auth") if isinstance(said, dict) else None
    if not isinstance(auth, dict):
        return []
    return _telling(auth[key] for key in _SECRET_KEYS if auth.get(key))


def secrets_among(headers: dict[str, str]) -> list[bytes]:
    """The same of the headers of a request."""
    return _telling(headers[name] for name in _SECRET_HEADERS if headers.get(name))


def _telling(secrets: Iterable[str]) -> list[bytes]:
    return [secret.encode() for secret in secrets if len(secret) >= _SHORTEST]


def veiled(body: bytes, secrets: Iterable[bytes]) -> bytes:
    """What a peer says, without what we have told it in confidence: a gateway that objects to a
    request may quote it, and its words go to the screen, the journal and the tape.
    """
    for secret in secrets:
        if secret in body:
            body = body.replace(secret, HIDDEN)
    return body
