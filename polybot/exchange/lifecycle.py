"""The life of every interval market: listed, opened, started, ended, resolved, forgotten.

One heap of due steps, one pending step per market, and one listing step per series. Delays are
feeds.md 10.2: Chainlink markets resolve a lognormal minute after their end, hours are `proposed`
within 90 s and paid after twelve minutes. A strike is published when the previous window's outcome
is (feeds.md 9), so both draw the same delay for the same boundary.
"""

from __future__ import annotations

import enum
import heapq
import math
import random
from collections.abc import Callable, Sequence

from polybot.exchange.calendar import LISTED_AHEAD_MS, market_for, windows
from polybot.exchange.engine import GRACE_MS, Engine
from polybot.exchange.model import DOWN, UP, Market, Series
from polybot.exchange.oracle import Kline, Oracle
from polybot.exchange.terms import Terms

Settlement = Callable[[Market], tuple[float, float] | None]

PRINT_WAIT_MS = 500  # a candle's open and close are known once a print has followed them


class Step(enum.IntEnum):
    """What happens to a market, in this order."""

    OPEN = 0
    STRIKE = 1  # read the rule's value at the start
    PUBLISH = 2  # Gamma's priceToBeat appears
    CLOSE = 3
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
        keep_ms: int = 3_600_000,
        terms: Terms = Terms(),
    ) -> None:
        self.series = tuple(series)
        self.by_slug: dict[str, Market] = {}
        self.by_condition: dict[str, Market] = {}
        self.proposed_ms: dict[str, int] = {}  # condition id → when the final was published
        self._engine = engine
        self._oracle = oracle
        self._settlement = settlement
        self._hydration_ms = hydration_ms
        self._keep_ms = keep_ms
        self._terms = terms
        self._seed = rng.getrandbits(64)
        self._start_ms = start_ms
        self._steps: list[tuple[int, int, Step, Market]] = []
        self._listings: list[tuple[int, int, Series, int]] = []  # due, order, series, window start
        self._order = 0
        for one in self.series:
            self._await_listing(one, start_ms - one.length_s * 1000 + 1)
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
                self._take(step, market, stamp_ms)
                if step is not Step.FORGET:
                    self._await_step(Step(step + 1), market)

    def next_due_ms(self) -> int:
        """When `advance` has something to do next. There is always a next window to list."""
        listing_ms = self._listings[0][0]
        return min(listing_ms, self._steps[0][0]) if self._steps else listing_ms

    def _await_listing(self, series: Series, after_ms: int) -> None:
        """Windows are listed a day ahead; the autumn hole is two hours, so a day finds the next."""
        window_ms = next(windows(series, after_ms, after_ms + LISTED_AHEAD_MS))
        self._order += 1
        heapq.heappush(
            self._listings, (window_ms - LISTED_AHEAD_MS, self._order, series, window_ms)
        )

    def _await_step(self, step: Step, market: Market) -> None:
        self._order += 1
        heapq.heappush(self._steps, (self._due_ms(step, market), self._order, step, market))

    def _due_ms(self, step: Step, market: Market) -> int:
        series, start_ms, end_ms = market.series, market.start_ms, market.end_ms
        read_ms = PRINT_WAIT_MS if series.rule == "candle" else 0
        match step:
            case Step.OPEN:
                return market.listed_ms + self._hydration_ms
            case Step.STRIKE:
                return start_ms + read_ms
            case Step.PUBLISH:
                return start_ms + self._delays(series, start_ms)[0]
            case Step.CLOSE:
                return end_ms
            case Step.FINAL:
                return end_ms + read_ms
            case Step.PROPOSE:
                return end_ms + self._delays(series, end_ms)[0]
            case Step.RESOLVE:
                return end_ms + self._delays(series, end_ms)[1]
            case Step.CLEAR:
                return end_ms + self._delays(series, end_ms)[1] + GRACE_MS
            case Step.FORGET:
                return end_ms + self._delays(series, end_ms)[1] + self._keep_ms

    def _delays(self, series: Series, boundary_ms: int) -> tuple[int, int]:
        """Milliseconds from the end of the window that ends at a boundary to (published, resolved).

        A function of the boundary alone: no memory, and the same whatever else is drawn.
        """
        rng = random.Random(f"{self._seed}:{series.key}:{boundary_ms}")
        if series.rule == "candle":
            return rng.randint(50_000, 90_000), rng.randint(720_000, 780_000)
        seconds = 54 * math.exp(rng.gauss(0.0, math.log(87 / 54) / 1.2816))
        delay_ms = round(min(max(seconds, 15.0), 162.0) * 1000)
        return delay_ms, delay_ms

    def _list(self, market: Market, now_ms: int) -> None:
        self.by_slug[market.slug] = market
        self.by_condition[market.condition_id] = market
        self._engine.list_market(market, now_ms)
        self._await_step(Step.OPEN, market)

    def _take(self, step: Step, market: Market, now_ms: int) -> None:
        match step:
            case Step.OPEN:
                self._engine.open_market(market, now_ms)
            case Step.STRIKE:
                market.strike = self._strike(market)
            case Step.PUBLISH:
                market.strike_published_ms = now_ms
            case Step.CLOSE:
                self._engine.close_market(market, now_ms)
            case Step.FINAL:
                market.final = self._final(market)
            case Step.PROPOSE:
                self.proposed_ms[market.condition_id] = now_ms
            case Step.RESOLVE:
                self._engine.resolve_market(market, _winner(market), now_ms)
            case Step.CLEAR:
                self._engine.advance(now_ms)  # it judges the age by its own time
                self._engine.forget(market)
            case Step.FORGET:
                del self.by_slug[market.slug]
                del self.by_condition[market.condition_id]
                del self.proposed_ms[market.condition_id]

    def _strike(self, market: Market) -> float:
        given = self._settlement(market) if self._settlement else None
        if given is not None:
            return given[0]
        if market.series.rule == "candle":
            return self._candle(market).open
        return self._oracle.twap(market.series.asset, market.start_ms)

    def _final(self, market: Market) -> float:
        given = self._settlement(market) if self._settlement else None
        if given is not None:
            return given[1]
        if market.series.rule == "candle":
            return self._candle(market).close
        return self._oracle.twap(market.series.asset, market.end_ms)

    def _candle(self, market: Market) -> Kline:
        series = market.series
        return self._oracle.candle(series.asset, series.length_s, market.start_ms)


def _winner(market: Market) -> int:
    """Ties go to Up (feeds.md 10.1)."""
    if market.strike is None or market.final is None:
        raise ValueError(f"{market.slug} resolves without a strike or a final price")
    return UP if market.final >= market.strike else DOWN
