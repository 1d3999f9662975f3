"""Crowd takers: noise that pays the spread, and one informed trader who punishes stale quotes.

Sizes and the buy share from calibration.json (full_rate_btc5m, one_active_wallet_fills).
"""

from __future__ import annotations

import math
import random

from polybot.exchange.crowd_hand import LEAST, Hand
from polybot.exchange.crowd_makers import QUIET_BEFORE
from polybot.exchange.crowd_odds import MarketOdds
from polybot.exchange.model import BUY, DOWN, SELL, UP, Market
from polybot.exchange.money import ONE, UNIT

TRADES_PER_S = 8.0  # of one busy market at intensity 1 (7–11 measured)
BUY_SHARE = 0.66
NOISE_MEDIAN, NOISE_SIGMA, NOISE_MOST = 7.1, 1.17, 150.0
# Some want it done, not cheap: they sweep (7 % of settlements span levels, feeds.md 2.3).
HURRIED_SHARE, HURRIED_MEDIAN, HURRIED_TICKS = 0.12, 40.0, 4
INFORMED_MEDIAN, INFORMED_SIGMA, INFORMED_MOST = 48.0, 0.5, 150.0
GLANCE_S = 0.25  # mean time between the informed trader's looks at the book
SHOTS_PER_S = 2.0  # at most, at intensity 1: about a fifth of all trades
REST_MS = 400  # after a shot: the taker delay must be over before the book can be judged again
LAG_MS = (100, 200)
THRESHOLD = 0.005  # profit after the fee that makes a quote worth lifting


def _shares(rng: random.Random, median: float, sigma: float, most: float) -> int:
    """A lognormal size in whole shares; the venue takes none under five."""
    return max(LEAST, round(min(most, rng.lognormvariate(math.log(median), sigma))) * UNIT)


class Noise:
    """Poisson arrivals; what each one wants does not depend on the book, only what it gets does."""

    def __init__(self, hand: Hand, market: Market, rng: random.Random, rate: float) -> None:
        """`rate`: arrivals per second once the window runs."""
        self.hand, self.market, self._rng, self._rate = hand, market, rng, rate

    def act(self, now_ms: int) -> int | None:
        """One arrival; returns the next, None when this market is over."""
        market, rng = self.market, self._rng
        if now_ms >= market.end_ms:
            return None
        token = market.tokens[UP if rng.random() < 0.5 else DOWN]
        side = BUY if rng.random() < BUY_SHARE else SELL
        hurried = rng.random() < HURRIED_SHARE
        median = HURRIED_MEDIAN if hurried else NOISE_MEDIAN
        reach = (HURRIED_TICKS if hurried else 1) * market.tick
        shares = _shares(rng, median, NOISE_SIGMA, NOISE_MOST)
        rate = self._rate * (QUIET_BEFORE if now_ms < market.start_ms else 1.0)
        due = now_ms + 1 + round(rng.expovariate(rate) * 1000)
        bid, ask = self.hand.engine.best(token)
        if side == BUY and ask is not None:
            limit = min(ask + reach, ONE - market.tick)
            self.hand.take(market, token, BUY, limit, shares, now_ms, seen=ask)
        elif side == SELL and bid is not None:
            limit = max(bid - reach, market.tick)
            self.hand.take(market, token, SELL, limit, shares, now_ms, seen=bid)
        return min(due, market.end_ms)


class Informed:
    """Sees the truth 100–200 ms late; lifts quotes wrong by more than the fee and a bit."""

    def __init__(
        self, hand: Hand, market: Market, odds: MarketOdds, rng: random.Random, rate: float
    ) -> None:
        """`rate`: shots per second at most, on average."""
        self.hand, self.market, self.odds, self._rng, self._rate = hand, market, odds, rng, rate

    def act(self, now_ms: int) -> int | None:
        """One look at the book; returns the time of the next, None when this market is over."""
        market, rng = self.market, self._rng
        if now_ms >= market.end_ms:
            return None
        up = self.odds.at(now_ms - rng.randint(*LAG_MS)).up
        shares = _shares(rng, INFORMED_MEDIAN, INFORMED_SIGMA, INFORMED_MOST)
        due = now_ms + 1 + round(rng.expovariate(1 / GLANCE_S) * 1000)
        rested = now_ms + REST_MS + round(rng.expovariate(self._rate) * 1000)
        bid, ask = self.hand.engine.best(market.tokens[UP])
        if ask is not None and self.stale(ask, up):
            self._lift(UP, ask, up, shares, now_ms)
            due = rested
        elif bid is not None and self.stale(ONE - bid, 1 - up):
            self._lift(DOWN, ONE - bid, 1 - up, shares, now_ms)
            due = rested
        return min(due, market.end_ms)

    def stale(self, ask: int, fair: float) -> bool:
        """Whether buying at `ask` leaves more than the threshold after the fee (clob.md 8.1)."""
        p, market = ask / ONE, self.market
        fee = market.fee_rate_ppm / 1e6 * (p * (1 - p)) ** market.fee_exponent
        return fair - p - fee > THRESHOLD

    def _lift(self, outcome: int, ask: int, fair: float, shares: int, now_ms: int) -> None:
        """Buy the outcome at every price that is still stale."""
        limit, tick = ask, self.market.tick
        while limit + tick < ONE and self.stale(limit + tick, fair):
            limit += tick
        token = self.market.tokens[outcome]
        self.hand.take(self.market, token, BUY, limit, shares, now_ms, seen=ask)
