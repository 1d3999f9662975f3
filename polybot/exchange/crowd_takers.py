"""Crowd takers who trade for reasons of their own: small orders in runs, and whales.

What each one wants does not depend on the book, only what it gets does: runs can be compared.
Sizes, the buy share and the rhythm from calibration.json (full_rate_btc5m, book_events_btc5m).
"""

from __future__ import annotations

import math
import random

import attrs

from polybot.exchange.crowd_hand import LEAST, Hand
from polybot.exchange.crowd_odds import MarketOdds
from polybot.exchange.model import BUY, DOWN, SELL, UP, Market, Phase
from polybot.exchange.money import ONE, UNIT

TRADES_PER_S = 13.0  # small orders of one busy market at intensity 1 (7–11 trades measured)
# They come when something happens: a market whose touch stands has half of the others' trades.
CALM, STIRRED, STIRRED_MOST = 0.45, 0.02, 10.0  # at rest; a move that adds one; the most
NOTICE_MS, STIR_MS = 500, 2_000  # how late they see the fair price, and how far they look back
CASHING = 2.5  # after the close against just before: who has won sells rather than wait for days
QUIET_BEFORE = 0.2  # activity before the window starts
BUY_SHARE = 0.66
NOISE_MEDIAN, NOISE_SIGMA, NOISE_MOST = 7.0, 1.0, 150.0
DOLLAR_SHARE = 0.4  # of small buys: one dollar, the least there is
# Some want it done, not cheap: they sweep (7 % of settlements span levels, feeds.md 2.3).
HURRIED_SHARE, HURRIED_MEDIAN, HURRIED_TICKS = 0.08, 20.0, 4
# Orders come in runs a few hundredths of a second apart: half of all gaps are under 32 ms.
RUN_MEAN = 2.6  # orders
RUN_GAP_MS, RUN_GAP_SIGMA = 24.0, 0.9
STORM_SHARE, STORM, STORM_GAP_MS = 0.008, (20, 70), 5.0  # of runs: a script gone wild
# And there are loud seconds and quiet ones: median 8 a second, 63 at the 99th percentile.
HEAT_SIGMA, HEAT_MEMORY_S = 0.9, 4.0
WHALES_PER_S = 1 / 90  # at intensity 1
WHALE_MEDIAN, WHALE_SIGMA, WHALE_MOST, WHALE_TICKS = 500.0, 0.6, 3000.0, 6
# The last trades come up to so long after the close. The sample has each of these ends as often as
# any other, later by the same 0.15 s from one market to the next: its recorder's rounds, not the
# market's habit, and we know of no trade after them.
LINGER_MOST_S = 5.0


def over(market: Market, now_ms: int, linger_ms: int = 0) -> bool:
    """Whether a member is done here: some linger after the end, as long as the venue lets them."""
    if now_ms < market.end_ms:
        return False
    return now_ms >= market.end_ms + linger_ms or market.phase is not Phase.OPEN


def linger(rng: random.Random) -> int:
    """How long after the close a taker goes on, in ms."""
    return round(rng.uniform(0, LINGER_MOST_S) * 1000)


def lognormal(rng: random.Random, median: float, sigma: float, most: float) -> int:
    """A size in 10⁻⁶ shares, whole shares."""
    return max(1, round(min(most, rng.lognormvariate(math.log(median), sigma)))) * UNIT


def pace(market: Market, now_ms: int) -> float:
    """Activity now, against that of the window."""
    return QUIET_BEFORE if now_ms < market.start_ms else 1.0


@attrs.define
class Heat:
    """How excited a market is: a factor on arrivals with mean 1 and a memory of seconds."""

    rng: random.Random
    level: float = 0.0
    _at_ms: int = 0

    def at(self, now_ms: int) -> float:
        """The factor now; time never runs backwards."""
        kept = math.exp(-(now_ms - self._at_ms) / 1000 / HEAT_MEMORY_S)
        self._at_ms = now_ms
        self.level = kept * self.level + math.sqrt(1 - kept * kept) * self.rng.gauss(0.0, 1.0)
        return math.exp(HEAT_SIGMA * self.level - HEAT_SIGMA**2 / 2)


class Noise:
    """Retail and its scripts: small orders in runs, on either token, more buys than sales."""

    def __init__(
        self, hand: Hand, market: Market, odds: MarketOdds, rng: random.Random, rate: float
    ) -> None:
        """`rate`: orders per second once the window runs."""
        self.hand, self.market, self._odds, self._rng = hand, market, odds, rng
        self._rate = rate
        self._heat = Heat(rng)
        self._linger_ms = linger(rng)
        self._choose()

    def act(self, now_ms: int) -> int | None:
        """One order; returns the next one's time, None when this market is over."""
        market, rng = self.market, self._rng
        if over(market, now_ms, self._linger_ms):
            return None
        hurried = rng.random() < HURRIED_SHARE
        median = HURRIED_MEDIAN if hurried else NOISE_MEDIAN
        reach = (HURRIED_TICKS if hurried else 1) * market.tick
        shares = lognormal(rng, median, NOISE_SIGMA, NOISE_MOST)
        if self._side == BUY and not hurried and rng.random() < DOLLAR_SHARE:
            shares = UNIT  # what it costs is raised to a dollar
        _take(self.hand, market, self._token, self._side, reach, shares, now_ms)
        self._left -= 1
        if self._left > 0:
            return now_ms + 1 + round(rng.lognormvariate(math.log(self._gap_ms), RUN_GAP_SIGMA))
        self._choose()
        rate = self._rate / RUN_MEAN * pace(market, now_ms) * self._heat.at(now_ms)
        rate *= self._stirred(now_ms) * (CASHING if now_ms >= market.end_ms else 1.0)
        return now_ms + 1 + round(rng.expovariate(rate) * 1000)

    def _stirred(self, now_ms: int) -> float:
        """A factor on arrivals for what the fair price has just done, about 1 on average."""
        seen, before = now_ms - NOTICE_MS, now_ms - NOTICE_MS - STIR_MS
        moved = abs(self._odds.at(seen).up - self._odds.at(before).up)
        return min(STIRRED_MOST, CALM + moved / STIRRED)

    def _choose(self) -> None:
        """A run is one trader's: one token, one side, so many orders in so quick a row."""
        rng = self._rng
        storm = rng.random() < STORM_SHARE
        self._left = rng.randint(*STORM) if storm else 1 + int(rng.expovariate(1 / RUN_MEAN))
        self._gap_ms = STORM_GAP_MS if storm else RUN_GAP_MS
        self._token = self.market.tokens[UP if rng.random() < 0.5 else DOWN]
        self._side = BUY if rng.random() < BUY_SHARE else SELL


class Whale:
    """Somebody large who wants in now and does not mind the price: sweeps several levels."""

    def __init__(
        self, hand: Hand, market: Market, rng: random.Random, rate: float, thickness: float = 1.0
    ) -> None:
        """`rate`: sweeps per second once the window runs; `thickness` scales their sizes."""
        self.hand, self.market, self._rng, self._rate = hand, market, rng, rate
        self._thickness = thickness
        self._first = True

    def act(self, now_ms: int) -> int | None:
        """A sweep, but for the first act; returns the next one's time."""
        market, rng = self.market, self._rng
        if over(market, now_ms):
            return None
        if not self._first:
            token = market.tokens[UP if rng.random() < 0.5 else DOWN]
            side = BUY if rng.random() < BUY_SHARE else SELL
            median = WHALE_MEDIAN * self._thickness
            shares = lognormal(rng, median, WHALE_SIGMA, WHALE_MOST)
            _take(self.hand, market, token, side, WHALE_TICKS * market.tick, shares, now_ms)
        self._first = False
        return now_ms + 1 + round(rng.expovariate(self._rate * pace(market, now_ms)) * 1000)


def _take(
    hand: Hand, market: Market, token: str, side: str, reach: int, shares: int, now_ms: int
) -> None:
    """Up to `reach` beyond the touch, if there is one. A SELL has the venue's least size."""
    bid, ask = hand.engine.best(token)
    if side == BUY and ask is not None:
        limit = min(ask + reach, ONE - market.tick)
        hand.take(market, token, BUY, limit, shares, now_ms, seen=ask)
    elif side == SELL and bid is not None:
        limit = max(bid - reach, market.tick)
        hand.take(market, token, SELL, limit, max(LEAST, shares), now_ms, seen=bid)
