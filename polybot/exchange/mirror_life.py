"""The lives of mirrored markets: listed, closed and resolved when the other venue says so.

No clock of ours ends anything: books stay open past `endDate` there (clob.md 8), and a market may
close early or late.
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Sequence

from polybot.exchange.engine import GRACE_MS, Engine
from polybot.exchange.lifecycle import Lifecycle
from polybot.exchange.mirror_gamma import Published
from polybot.exchange.model import Market, Phase, Series
from polybot.exchange.oracle import Oracle

KEEP_MS = 172_800_000  # a resolved market can be looked up this long, like those of `Lifecycle`
NEVER_MS = 10**15


class MirroredLife(Lifecycle):
    """Looks like the venue's own life cycle to Gamma and the rest; `hear` moves it."""

    def __init__(
        self, engine: Engine, oracle: Oracle, series: Sequence[Series], rng: random.Random,
        start_ms: int,
    ) -> None:  # fmt: skip
        self._later: list[tuple[int, int, Market]] = []  # resolved ones
        self._accepted: set[str] = set()  # condition ids that have been seen to take orders
        super().__init__(engine, oracle, (), rng, start_ms)
        self.series = tuple(series)

    def list_market(self, market: Market, now_ms: int) -> None:
        """Take a market over; one that is known, or over, is left alone."""
        if market.slug in self.by_slug or now_ms >= market.end_ms:
            return
        self.by_slug[market.slug] = market
        self.by_condition[market.condition_id] = market
        self._engine.list_market(market, now_ms)
        self._engine.open_market(market, now_ms)

    def hear(self, said: Published, now_ms: int) -> None:
        """What the other venue's Gamma publishes, each thing once."""
        market = self.by_slug.get(said.slug)
        if market is None:
            return
        if said.strike is not None and market.strike_published_ms is None:
            market.strike, market.strike_published_ms = said.strike, now_ms
        if said.final is not None and market.condition_id not in self.proposed_ms:
            market.final, self.proposed_ms[market.condition_id] = said.final, now_ms
        if said.accepting:
            self._accepted.add(market.condition_id)
        elif market.condition_id in self._accepted and market.phase is Phase.OPEN:
            self._engine.close_market(market, now_ms)
        if said.closed:
            self.resolve(market, said.winner, now_ms)

    def resolve(self, market: Market, winner: int | None, now_ms: int) -> None:
        """The result, None for a void, from the stream or from Gamma, whichever is first."""
        if market.phase is Phase.RESOLVED:
            return
        self.advance(now_ms)
        self.proposed_ms.setdefault(market.condition_id, now_ms)
        self._engine.resolve_market(market, winner, now_ms)
        self._expect(now_ms + GRACE_MS, market)

    def advance(self, now_ms: int) -> None:
        while self._later and self._later[0][0] <= now_ms:
            due_ms, _, market = heapq.heappop(self._later)
            if due_ms < (market.resolved_ms or 0) + KEEP_MS:
                self._engine.advance(due_ms)
                self._engine.forget(market)
                self._expect((market.resolved_ms or 0) + KEEP_MS, market)
            else:
                del self.by_slug[market.slug], self.by_condition[market.condition_id]
                del self.proposed_ms[market.condition_id]
                self._accepted.discard(market.condition_id)

    def next_due_ms(self) -> int:
        return self._later[0][0] if self._later else NEVER_MS

    def _expect(self, due_ms: int, market: Market) -> None:
        self._order += 1
        heapq.heappush(self._later, (due_ms, self._order, market))
