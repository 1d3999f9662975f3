"""The life of every interval market: listed, opened, started, ended, resolved, forgotten.

One heap of due steps and one listing step per series. A strike is published when the previous
window's outcome is (feeds.md 9), so both draw the same delay for the same boundary. Trading goes on
after the end, until the resolution (clob.md 8; of hours and days, too: while one is `proposed` its
Gamma object still shows market prices, feeds.md 10.2). `Terms.close_at_end` stops it at the end.
"""

from __future__ import annotations

import enum
import heapq
import random
from collections.abc import Sequence

from polybot.exchange.calendar import LISTED_AHEAD_MS, market_for, under_way, windows
from polybot.exchange.engine import GRACE_MS, Engine
from polybot.exchange.model import Market, Phase, Series, Status
from polybot.exchange.oracle import Oracle
from polybot.exchange.resolution import (
    MINUTE_S,
    STRAIGHT,
    Bend,
    Delays,
    Readings,
    Settlement,
    delays,
    winner,
)
from polybot.exchange.terms import Terms

PRINT_WAIT_MS = 500  # a candle's open and close are known once a print has followed them


class Step(enum.IntEnum):
    """What happens to a market; of steps that are due together, in this order."""

    OPEN = 0
    STRIKE = 1  # read the rule's value at the start
    PUBLISH = 2  # Gamma's priceToBeat appears
    CLOSE = 3  # no more orders; by default this comes with the resolution only
    FINAL = 4  # read the rule's value at the end
    PROPOSE = 5  # Gamma's finalPrice appears
    RESOLVE = 6
    CLEAR = 7  # the engine drops its orders and trades
    FORGET = 8


class Lifecycle:
    """Keeps the calendar's markets moving through the engine.

    When constructed, everything is as at `start_ms`: the windows under way and those that start
    within 24 h are listed and open. `settlement`, where it answers, replaces the oracle's strike
    and final (a recorded market keeps its own outcome). `hydration_ms` is how long a listed market
    has no book; `keep_ms` how long a resolved one can still be looked up here.
    """

    def __init__(
        self,
        engine: Engine,
        oracle: Oracle,
        series: Sequence[Series],
        rng: random.Random,
        start_ms: int,
        *,
        settlement: Settlement | None = None,
        hydration_ms: int = 0,
        keep_ms: int = 172_800_000,  # two days: the venue never forgets, but memory ends
        terms: Terms = Terms(),
    ) -> None:
        self.series = tuple(series)
        self.by_slug: dict[str, Market] = {}
        self.by_condition: dict[str, Market] = {}
        self.proposed_ms: dict[str, int] = {}  # condition id → when the final was published
        self._engine = engine
        self._readings = Readings(oracle, settlement)
        self._bends: dict[str, Bend] = {}  # by condition id
        self._hydration_ms = hydration_ms
        self._keep_ms = keep_ms
        self._terms = terms
        self._seed = rng.getrandbits(64)
        self._start_ms = start_ms
        self._steps: list[tuple[int, int, Step, Market]] = []
        self._listings: list[tuple[int, int, Series, int]] = []  # due, order, series, window start
        self._order = 0
        for one in self.series:
            self._await_listing(one, under_way(one, start_ms))
        self.advance(start_ms)

    def advance(self, now_ms: int) -> None:
        """Take every step due up to and including `now_ms`, each stamped with its own time."""
        while (due_ms := self.next_due_ms()) <= now_ms:
            stamp_ms = max(due_ms, self._start_ms)
            if self._listings and self._listings[0][0] == due_ms:
                _, _, series, window_ms = heapq.heappop(self._listings)
                self._list(market_for(series, window_ms, self._seed, self._terms), stamp_ms)
                self._await_listing(series, window_ms + 1)
            else:
                _, _, step, market = heapq.heappop(self._steps)
                if self._due_ms(step, market) > due_ms:  # put off since it was scheduled
                    self._await_step(step, market)
                else:
                    self._take(step, market, stamp_ms)

    def next_due_ms(self) -> int:
        """When `advance` has something to do next. There is always a next window to list."""
        listing_ms = self._listings[0][0]
        return min(listing_ms, self._steps[0][0]) if self._steps else listing_ms

    def _await_listing(self, series: Series, after_ms: int) -> None:
        """Windows are listed a day ahead; two days hold one of any series, whatever the clocks."""
        window_ms = next(windows(series, after_ms, after_ms + 2 * LISTED_AHEAD_MS))
        self._order += 1
        heapq.heappush(
            self._listings, (window_ms - LISTED_AHEAD_MS, self._order, series, window_ms)
        )

    def _await_step(self, step: Step, market: Market) -> None:
        self._order += 1
        heapq.heappush(self._steps, (self._due_ms(step, market), self._order, step, market))

    def bend(self, market: Market, bend: Bend) -> None:
        """Make something go wrong with one market; `Bend()` takes it back where that still can be.

        A step that has been taken stays taken.
        """
        self._bends[market.condition_id] = bend
        if bend.close_early_ms is not None:
            self._await_step(Step.CLOSE, market)

    def bent(self, market: Market) -> Bend:
        return self._bends.get(market.condition_id, STRAIGHT)

    def shown_strike(self, market: Market, now_ms: int) -> float | None:
        """The priceToBeat as it is published now; None: not yet."""
        published_ms, bend = market.strike_published_ms, self.bent(market)
        if published_ms is None or market.strike is None:
            return None
        wrong = now_ms < published_ms + bend.corrected_ms
        return market.strike * (1 + bend.strike_error) if wrong else market.strike

    def _due_ms(self, step: Step, market: Market) -> int:
        series, start_ms, end_ms = market.series, market.start_ms, market.end_ms
        bend, read_ms = self.bent(market), _read_ms(series)
        match step:
            case Step.OPEN:
                return market.listed_ms + self._hydration_ms
            case Step.STRIKE:
                return start_ms + read_ms
            case Step.PUBLISH:
                known_ms = max(read_ms, self._delays(series, start_ms).published_ms)
                return start_ms + known_ms + bend.strike_late_ms
            case Step.CLOSE:
                return end_ms - (bend.close_early_ms or 0)
            case Step.FINAL:
                return end_ms + read_ms
            case Step.PROPOSE:
                late_ms = bend.resolve_late_ms if series.rule == "twap" else 0
                known_ms = max(read_ms, self._delays(series, end_ms).published_ms)
                return end_ms + known_ms + late_ms
        resolved_ms = end_ms + self._delays(series, end_ms).resolved_ms + bend.resolve_late_ms
        after = {Step.RESOLVE: 0, Step.CLEAR: GRACE_MS, Step.FORGET: self._keep_ms}
        return resolved_ms + after[step]

    def _delays(self, series: Series, boundary_ms: int) -> Delays:
        return delays(series, boundary_ms, self._seed)

    def _list(self, market: Market, now_ms: int) -> None:
        self.by_slug[market.slug] = market
        self.by_condition[market.condition_id] = market
        self._engine.list_market(market, now_ms)
        for step in Step:
            self._await_step(step, market)

    def _take(self, step: Step, market: Market, now_ms: int) -> None:
        match step:
            case Step.OPEN:
                self._engine.open_market(market, now_ms)
            case Step.STRIKE:
                market.strike = self._readings.strike(market)
            case Step.PUBLISH:
                if not self.bent(market).strike_absent:
                    market.strike_published_ms = now_ms
            case Step.CLOSE:
                self._close(market, now_ms)
            case Step.FINAL:
                market.final = self._readings.final(market)
            case Step.PROPOSE:
                self.proposed_ms[market.condition_id] = now_ms
            case Step.RESOLVE:
                self._resolve(market, now_ms)
            case Step.CLEAR:
                self._engine.advance(now_ms)  # it judges the age by its own time
                self._engine.forget(market)
            case Step.FORGET:
                del self.by_slug[market.slug]
                del self.by_condition[market.condition_id]
                del self.proposed_ms[market.condition_id]
                self._bends.pop(market.condition_id, None)

    def _close(self, market: Market, now_ms: int) -> None:
        closes = self._terms.close_at_end or self.bent(market).close_early_ms is not None
        if closes and market.phase is Phase.OPEN:
            self._engine.close_market(market, now_ms)

    def _resolve(self, market: Market, now_ms: int) -> None:
        bend, verdict = self.bent(market), winner(market)
        if bend.void:
            verdict = None
        elif bend.told is not None:
            verdict = bend.told
        ends = Status.INVALID if self._terms.close_invalidates else Status.CANCELED_MARKET_RESOLVED
        self._engine.resolve_market(market, verdict, now_ms, payouts=bend.payouts, ends=ends)


def _read_ms(series: Series) -> int:
    """How long after a boundary its price can be read."""
    if series.rule == "twap":
        return 0
    return PRINT_WAIT_MS + (MINUTE_S * 1000 if series.rule == "noon" else 0)
