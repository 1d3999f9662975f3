"""The venue's dead-man switch: one state machine per API key (clob.md 4.2).

Pure; time is passed in. The first accepted beat arms it. Each accepted beat gives the id the next
one must carry. A key whose last accepted beat is 10 s old at a sweep has all its orders cancelled
and its registration removed. There is no disarming.
"""

from __future__ import annotations

import random
import uuid

import attrs

WINDOW_MS = 10_000
SWEEP_MS = 5_000


@attrs.frozen
class Beat:
    """Accepted: the id the next beat must carry."""

    heartbeat_id: str


@attrs.frozen
class Mismatch:
    """Refused: the id the beat should have carried; "" when the key is not registered."""

    expected: str


@attrs.frozen
class _Registration:
    heartbeat_id: str
    beat_ms: int


class Heartbeats:
    def __init__(self, rng: random.Random, *, window_ms: int = WINDOW_MS) -> None:
        self._rng = rng
        self._window_ms = window_ms
        self._registered: dict[str, _Registration] = {}

    def beat(self, key: str, heartbeat_id: str, now_ms: int) -> Beat | Mismatch:
        """Take in one beat. A refused one does not extend the deadline."""
        known = self._registered.get(key)
        expected = known.heartbeat_id if known else ""
        if heartbeat_id != expected:
            return Mismatch(expected)
        fresh = self._fresh()
        self._registered[key] = _Registration(fresh, now_ms)
        return Beat(fresh)

    def legacy_beat(self, key: str, now_ms: int) -> None:
        """Take in a beat without an id. It counts like any other and ends the chain: the next
        chained beat begins with an empty id, as the official client says.
        """
        self._registered[key] = _Registration("", now_ms)

    def beat_ms(self, key: str) -> int | None:
        """When the beat came that holds the switch of this key off; None where it is not set."""
        known = self._registered.get(key)
        return None if known is None else known.beat_ms

    def rotate(self) -> int:
        """Give every registered key another id without telling it; how many there were (F45)."""
        for key, known in self._registered.items():
            self._registered[key] = attrs.evolve(known, heartbeat_id=self._fresh())
        return len(self._registered)

    def _fresh(self) -> str:
        return str(uuid.UUID(int=self._rng.getrandbits(128), version=4))

    def sweep(self, now_ms: int) -> list[str]:
        """Forget the keys that have been silent too long and name them: their orders must go."""
        silent = [
            key
            for key, known in self._registered.items()
            if now_ms - known.beat_ms >= self._window_ms
        ]
        for key in silent:
            del self._registered[key]
        return silent
