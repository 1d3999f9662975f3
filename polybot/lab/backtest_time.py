"""A backtest's time: one heap of what happens when, and how long each way takes.

Rejected: a virtual Trio clock with sleeping tasks. A day of a busy market is ten million moments,
and a task that wakes costs fifty times what a heap's entry does.
"""

from __future__ import annotations

import enum
import heapq
import random
from collections.abc import Callable

import attrs

from polybot.exchange.latency_models import Latencies, Latency

Act = Callable[[int], None]  # called with its own time


class Rank(enum.IntEnum):
    """What comes first in a moment: whoever decides sees all that it brought."""

    HAPPENS = 0
    QUOTES = 1
    ORDERS = 2


class Timeline:
    """Acts by time; those of one moment by rank, then in the order in which they were added."""

    def __init__(self) -> None:
        self._heap: list[tuple[int, Rank, int, Act]] = []
        self._number = 0

    def at(self, when_ms: int, act: Act, rank: Rank = Rank.HAPPENS) -> None:
        self._number += 1
        heapq.heappush(self._heap, (when_ms, rank, self._number, act))

    def next_ms(self) -> int | None:
        return self._heap[0][0] if self._heap else None

    def step(self) -> None:
        """The next act; there must be one."""
        when_ms, _, _, act = heapq.heappop(self._heap)
        act(when_ms)


@attrs.define
class Stream:
    """A way on which nothing overtakes: whoever leaves later arrives no sooner."""

    latency: Latency
    rng: random.Random
    _last_ms: int = 0

    def arrival(self, leaves_ms: int) -> int:
        self._last_ms = max(self._last_ms, leaves_ms + self.latency(self.rng))
        return self._last_ms


@attrs.define
class Ways:
    """All ways between the bot and the venue. Prices and books come over streams of their own."""

    books: Stream
    prices: Stream
    private: Stream
    _order: Latency
    _news: Latency
    _rng: random.Random

    @classmethod
    def of(cls, latencies: Latencies, seed: int) -> Ways:
        def rng(name: str) -> random.Random:
            return random.Random(f"{seed} latency {name}")

        return cls(
            Stream(latencies.feed, rng("books")), Stream(latencies.feed, rng("prices")),
            Stream(latencies.news, rng("private")), latencies.order, latencies.news,
            rng("requests"),
        )  # fmt: skip

    def request(self, leaves_ms: int) -> int:
        """When a request that leaves now is at the venue."""
        return leaves_ms + self._order(self._rng)

    def answer(self, leaves_ms: int) -> int:
        """When an answer that leaves now is with us."""
        return leaves_ms + self._news(self._rng)
