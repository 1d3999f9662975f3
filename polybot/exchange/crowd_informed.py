"""Takers who know something: racers who see Binance first, and one who watches two markets at once.

They lift what is wrong by more than the fee, and nothing else. Several race for the same quote, a
few milliseconds apart: that is where the bursts of a moving market come from.
"""

from __future__ import annotations

import random

import attrs

from polybot.exchange.crowd_hand import LEAST, Hand
from polybot.exchange.crowd_odds import MarketOdds
from polybot.exchange.crowd_takers import linger, lognormal, over
from polybot.exchange.model import BUY, DOWN, UP, Market
from polybot.exchange.money import ONE

INFORMED_MEDIAN, INFORMED_SIGMA, INFORMED_MOST = 15.0, 0.7, 150.0
GLANCE_S = 0.25  # mean time between a racer's looks at the book
SHOTS_PER_S = 0.8  # of each racer at most, at intensity 1
REST_MS = 400  # after a shot: the taker delay must be over before the book can be judged again
# One order more, in the same row, for each so much that a quote is wrong by: they want all of it.
VOLLEY_PER, VOLLEY_MOST, VOLLEY_GAP_MS = 0.01, 20, 8.0
THRESHOLD = 0.005  # profit after the fee that makes a quote worth lifting
PARITY_GLANCE_MS = 1000
PARITY_PROFIT = 0.01  # of a dollar, for a pair that cannot pay less than one
PARITY_SHARES, PARITY_REST_MS = 50, 3000


@attrs.frozen
class Racer:
    """One informed trader's line to Binance and to the venue: how late it sees the truth."""

    name: str
    lag_ms: tuple[int, int]


RACERS = (
    Racer("colocated", (60, 120)),
    Racer("quick", (100, 200)),
    Racer("homegrown", (180, 320)),
)


def fee(market: Market, price: int) -> float:
    """What a taker pays for a share at `price`, in dollars (clob.md 8.1)."""
    p = price / ONE
    return float(market.fee_rate_ppm / 1e6 * (p * (1 - p)) ** market.fee_exponent)


class Informed:
    """Sees the truth a fraction of a second late, before the makers do; lifts what is stale."""

    def __init__(
        self, hand: Hand, market: Market, odds: MarketOdds, rng: random.Random, rate: float,
        racer: Racer = RACERS[1],
    ) -> None:  # fmt: skip
        """`rate`: shots per second at most, on average."""
        self.hand, self.market, self.odds, self._rng, self._rate = hand, market, odds, rng, rate
        self._racer = racer
        self._linger_ms, self._left = linger(rng), 0

    def act(self, now_ms: int) -> int | None:
        """One look at the book; returns the time of the next, None when this market is over."""
        market, rng = self.market, self._rng
        if over(market, now_ms, self._linger_ms):
            return None
        up = self.odds.at(now_ms - rng.randint(*self._racer.lag_ms)).up
        bid, ask = self.hand.engine.best(market.tokens[UP])
        if ask is not None and self.stale(ask, up):
            return now_ms + self._lift(UP, ask, up, now_ms)
        if bid is not None and self.stale(ONE - bid, 1 - up):
            return now_ms + self._lift(DOWN, ONE - bid, 1 - up, now_ms)
        self._left = 0
        return now_ms + 1 + round(rng.expovariate(1 / GLANCE_S) * 1000)

    def stale(self, ask: int, fair: float) -> bool:
        """Whether buying at `ask` leaves more than the threshold after the fee."""
        return self._profit(ask, fair) > THRESHOLD

    def _profit(self, ask: int, fair: float) -> float:
        return fair - ask / ONE - fee(self.market, ask)

    def _lift(self, outcome: int, ask: int, fair: float, now_ms: int) -> int:
        """Buy the outcome at every price that is still stale. Returns how long to wait then."""
        limit, tick = ask, self.market.tick
        while limit + tick < ONE and self.stale(limit + tick, fair):
            limit += tick
        shares = max(LEAST, lognormal(self._rng, INFORMED_MEDIAN, INFORMED_SIGMA, INFORMED_MOST))
        token = self.market.tokens[outcome]
        self.hand.take(self.market, token, BUY, limit, shares, now_ms, seen=ask)
        if self._left == 0:
            self._left = 1 + min(VOLLEY_MOST, int(self._profit(ask, fair) / VOLLEY_PER))
        self._left -= 1
        if self._left > 0:
            return 1 + round(self._rng.expovariate(1 / VOLLEY_GAP_MS))
        return REST_MS + round(self._rng.expovariate(self._rate) * 1000)


class Parity:
    """Watches two windows that end together: Up of the lower strike and Down of the higher.

    At least one of the two pays, whatever the end: below a dollar, fees paid, the pair is free
    money. Within one market there is no such thing: both tokens share one book, and a bid on each
    that together give a dollar match each other (feeds.md 2.3).
    """

    def __init__(self, hand: Hand, one: Market, other: Market) -> None:
        """Two markets of one asset, one settlement rule and one end."""
        assert one.end_ms == other.end_ms, "the two settle on the same value"
        self.hand, self._one, self._other = hand, one, other

    def act(self, now_ms: int) -> int | None:
        """One look at both books; returns the time of the next."""
        if over(self._one, now_ms):
            return None
        return now_ms + (PARITY_REST_MS if self._bought(now_ms) else PARITY_GLANCE_MS)

    def _bought(self, now_ms: int) -> bool:
        if self._one.strike is None or self._other.strike is None:
            return False
        low, high = sorted((self._one, self._other), key=lambda market: market.strike or 0.0)
        up, down = low.tokens[UP], high.tokens[DOWN]
        first, second = self.hand.engine.best(up)[1], self.hand.engine.best(down)[1]
        if first is None or second is None:
            return False
        cost = (first + second) / ONE + fee(low, first) + fee(high, second)
        if cost > 1 - PARITY_PROFIT:
            return False
        shares = PARITY_SHARES * LEAST // 5
        self.hand.take(low, up, BUY, first, shares, now_ms, seen=first)
        self.hand.take(high, down, BUY, second, shares, now_ms, seen=second)
        return True
