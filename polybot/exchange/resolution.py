"""What a market settles on, how long that takes to be known, and what may go wrong with it.

The two rules are feeds.md 10.1, the delays feeds.md 9 and 10.2. `Bend` is how a fault changes one
market's end: late, void, contradicted, or with a strike that is missing, late or wrong.
"""

from __future__ import annotations

import functools
import math
import random
from collections.abc import Callable

import attrs

from polybot.exchange.calendar import by_spot
from polybot.exchange.model import DOWN, UP, Market, Series
from polybot.exchange.oracle import Kline, Oracle

Settlement = Callable[[Market], tuple[float, float] | None]
MINUTE_S = 60


@attrs.frozen
class Bend:
    """What is different about one market (reliability.md F36, F37, F51, F57); by default nothing.

    `told` and `payouts` are independent, so that the venue's services can name one winner and the
    chain pay another. A wrong strike (`strike_error`, a fraction) is put right `corrected_ms` after
    it was published; the market settles by the right one. Times are milliseconds on top of the
    usual delay. Each counts from when it is set, if the step it delays is still to come.
    """

    void: bool = False
    told: int | None = None  # UP | DOWN: what Gamma, CLOB and stream say, whatever the prices
    payouts: tuple[int, int] | None = None  # what the chain pays, whatever is told
    resolve_late_ms: int = 0
    close_early_ms: int | None = None  # before the end; None: with the others
    strike_late_ms: int = 0
    strike_absent: bool = False
    strike_error: float = 0.0
    corrected_ms: int = 60_000


STRAIGHT = Bend()


@attrs.frozen
class Delays:
    """Milliseconds from a window's end until its final is published, and until it is paid."""

    published_ms: int
    resolved_ms: int


@functools.lru_cache(maxsize=4096)  # a day of windows at a venue's start, several times each
def delays(series: Series, boundary_ms: int, seed: int) -> Delays:
    """Of the window that ends at a boundary.

    A function of the boundary alone: no memory, the same whatever else is drawn; and of the asset
    alone, so that windows of all lengths that share a boundary share its price, too. Candle markets
    are proposed within 90 s and paid after 600 s of liveness, 12–13 min in all; Chainlink ones
    resolve after 53–162 s, median 55, p90 87 (feeds.md 10.2, clob.md 8).
    """
    rng = random.Random(f"{seed}:{series.asset}:{series.rule}:{boundary_ms}")
    if series.rule != "twap":
        return Delays(rng.randint(50_000, 90_000), rng.randint(720_000, 780_000))
    seconds = 53 + math.exp(rng.gauss(math.log(1.8), math.log(34 / 1.8) / 1.2816))
    delay_ms = round(min(seconds, 162.0) * 1000)
    return Delays(delay_ms, delay_ms)


class Readings:
    """Reads the strike and the final of a market by its rule.

    `settlement`, where it answers, replaces the oracle (a recorded market keeps its own outcome).
    """

    def __init__(self, oracle: Oracle, settlement: Settlement | None) -> None:
        self._oracle = oracle
        self._settlement = settlement

    def strike(self, market: Market) -> float:
        given = self._settlement(market) if self._settlement else None
        if given is not None:
            return given[0]
        match market.series.rule:
            case "candle":
                return self._candle(market).open
            case "noon":
                return self._minute(market, market.start_ms)
        return self._told(market, market.start_ms)

    def final(self, market: Market) -> float:
        given = self._settlement(market) if self._settlement else None
        if given is not None:
            return given[1]
        match market.series.rule:
            case "candle":
                return self._candle(market).close
            case "noon":
                return self._minute(market, market.end_ms)
        return self._told(market, market.end_ms)

    def _told(self, market: Market, at_ms: int) -> float:
        """What the oracle says then: its average, or its spot where that decides."""
        spot = by_spot(market.series, market.start_ms)
        return (self._oracle.spot if spot else self._oracle.twap)(market.series.asset, at_ms)

    def _candle(self, market: Market) -> Kline:
        series = market.series
        return self._oracle.candle(series.asset, series.length_s, market.start_ms)

    def _minute(self, market: Market, noon_ms: int) -> float:
        """The close of the one-minute candle that begins at noon in New York.

        The candles of the past are few: of a day under way at the start the source is asked itself.
        """
        try:
            return self._oracle.candle(market.series.asset, MINUTE_S, noon_ms).close
        except LookupError:
            return self._oracle.source.binance(market.series.asset, noon_ms + MINUTE_S * 1000 - 1)


def winner(market: Market) -> int | None:
    """UP or DOWN by the rule. Ties go to Up, but a day's tie is a void (feeds.md 10.1)."""
    if market.strike is None or market.final is None:
        raise ValueError(f"{market.slug} resolves without a strike or a final price")
    if market.series.rule == "noon" and market.final == market.strike:
        return None
    return UP if market.final >= market.strike else DOWN
