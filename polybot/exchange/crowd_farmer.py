"""The rebate farmer: at the touch with everybody else, for its part of the takers' fees.

It has no opinion of its own and never improves a price: it joins the best bid and the best ask with
the same small size, and stays behind when the touch has just moved away (clob.md 6.2).
"""

from __future__ import annotations

import random

from polybot.exchange.crowd_hand import Hand, alive
from polybot.exchange.crowd_takers import over, pace
from polybot.exchange.model import BUY, SELL, UP, Market, Order
from polybot.exchange.money import ONE, UNIT

LEAVES_MS = 30_000  # before the end: one late look then costs more than all rebates
GLANCE_S = 1.5  # mean time between its looks, whatever the intensity: it is not fast
SHARES = 50  # at intensity 1: the least size that liquidity rewards count (clob.md 6.3)


class Farmer:
    """Joins both sides of the touch of one market."""

    def __init__(
        self, hand: Hand, market: Market, rng: random.Random, thickness: float = 1.0
    ) -> None:
        """`thickness` scales its size."""
        self.hand, self.market, self._rng = hand, market, rng
        self._size = max(5, round(SHARES * thickness)) * UNIT
        self.orders: dict[str, Order | None] = {BUY: None, SELL: None}

    def act(self, now_ms: int) -> int | None:
        """One look; returns the time of the next, None when this market is over."""
        market = self.market
        if over(market, now_ms + LEAVES_MS):
            self.hand.leave(market, now_ms)
            return None
        bid, ask = self.hand.engine.best(market.tokens[UP])
        for side, price in ((BUY, bid), (SELL, ask)):
            self._join(side, price, now_ms)
        pause_s = self._rng.expovariate(pace(market, now_ms) / GLANCE_S)
        left_ms = market.end_ms - LEAVES_MS - now_ms
        return now_ms + max(1, min(1 + round(pause_s * 1000), left_ms))

    def _join(self, side: str, price: int | None, now_ms: int) -> None:
        order = self.orders[side]
        if order is not None and alive(order):
            up = order.token == self.market.tokens[UP]
            if price == (order.price if up else ONE - order.price):
                return
            self.hand.pull(order, now_ms)
        self.orders[side] = (
            None if price is None else self.hand.rest(self.market, side, price, self._size, now_ms)
        )
