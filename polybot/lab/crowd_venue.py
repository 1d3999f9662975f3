"""A venue with nobody on it but the crowd: engine, prices, windows one after the other, no sockets.

Its windows are of one series of BTC: five minutes, a quarter of an hour, or an hour.

The books of calibration.json were recorded in April 2026, when a five-minute market was settled
from point to point and a book rarely came to the fine tick. A measurement that is compared with
them runs under those `Rules`; today's are for everything else.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator

import attrs

from polybot.exchange.calendar import SERIES, market_for
from polybot.exchange.crowd import START_PRICES, Crowd
from polybot.exchange.crowd_odds import SAMPLES
from polybot.exchange.engine import Engine
from polybot.exchange.model import DOWN, UP, Market, Series
from polybot.exchange.synthetic import MEASURED, PriceRegime, SyntheticSource

FIRST_MS = 1_795_132_800_000
WINDOW_MS = 300_000
LISTED_MS = 100_000  # before its window: the crowd comes 90 s before
RESOLVED_MS = 21_000  # after it (calibration: gamma_btc5m, closed_minus_end_s)


@attrs.frozen
class Rules:
    """What the venue's rules were on a day: how it settles, and whether the tick turns fine; and of
    which series its windows are.
    """

    rule: str
    auto_tick: bool
    key: str = "btc-5m"

    @property
    def series(self) -> Series:
        return attrs.evolve(SERIES[self.key], rule=self.rule)


SAMPLE_DAY = Rules("point", auto_tick=False)  # Chainlink at the first and the last instant
TODAY = Rules("twap", auto_tick=True)
PLAYED = ("btc-5m", "btc-15m", "btc-1h")


def today(key: str) -> Rules:
    """Today's rules for one of the series `PLAYED`."""
    return Rules(SERIES[key].rule, auto_tick=True, key=key)


class CrowdVenue:
    """Windows in a row, and the crowd in them."""

    def __init__(
        self, seed: int, intensity: float, rules: Rules = TODAY, first_ms: int = FIRST_MS,
        regime: PriceRegime = MEASURED,
    ) -> None:  # fmt: skip
        """`first_ms` is when the first window starts: one seed has one path of prices, wherever on
        it a venue begins.
        """
        self.engine = Engine(rng=random.Random(f"{seed} engine"), auto_tick=rules.auto_tick)
        self._first_ms, self.now_ms = first_ms, first_ms - LISTED_MS
        prices = {"btc": START_PRICES["btc"]}
        self.source = SyntheticSource(seed, FIRST_MS - LISTED_MS, prices, regime)
        self.rules, self._seed = rules, seed
        self.crowd = Crowd(
            self.engine, self.source, seed=seed, start_ms=self.now_ms, intensity=intensity,
            series=[rules.series],
        )  # fmt: skip
        self._markets: dict[int, Market] = {}  # by start
        self._steps: list[tuple[int, Callable[[Market], None], Market]] = []  # in order of time

    def windows(self, count: int) -> Iterator[Market]:
        """So many windows in a row, each handed out at its start; the last one resolves, too."""
        market = self._market(self._first_ms)
        self._open(market)
        for _ in range(count):
            following = self._market(market.end_ms)
            self._steps.append((market.end_ms - LISTED_MS, self._open, following))
            self._steps.append((market.end_ms + RESOLVED_MS, self._resolve, market))
            self.until(market.start_ms)
            yield market
            self.until(market.end_ms)
            market = following
        self.until(self.now_ms + RESOLVED_MS)

    def value(self, at_ms: int) -> float:
        """What the settlement rule reads at a window's boundary."""
        if self.rules.rule == "candle":
            return self.source.binance("btc", at_ms)
        samples = range(SAMPLES[self.rules.rule])
        ticks = [self.source.chainlink("btc", at_ms - 1000 * k) for k in samples]
        return math.fsum(ticks) / len(ticks)

    def _market(self, start_ms: int) -> Market:
        market = self._markets.get(start_ms)
        if market is None:
            market = self._markets[start_ms] = market_for(
                SERIES[self.rules.key], start_ms, self._seed
            )
            market.series = self.rules.series
        return market

    def _open(self, market: Market) -> None:
        self.engine.list_market(market, self.now_ms)
        self.engine.open_market(market, self.now_ms)

    def _resolve(self, market: Market) -> None:
        up = self.value(market.end_ms) >= self.value(market.start_ms)
        self.engine.resolve_market(market, UP if up else DOWN, self.now_ms)
        for old in self.engine.markets.values():
            self.engine.forget(old)

    def until(self, at_ms: int) -> None:
        """Let everything happen that is due by then."""
        while self._steps and self._steps[0][0] <= at_ms:
            due_ms, step, market = self._steps.pop(0)
            self._move(due_ms)
            step(market)
        self._move(at_ms)

    def _move(self, at_ms: int) -> None:
        """The crowd's acts up to then; each of them brings the engine up to its own time."""
        self.crowd.advance(at_ms)
        self.engine.advance(at_ms)
        self.now_ms = at_ms
