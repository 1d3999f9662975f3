"""Two makers to send into the crowd: one who does not think, and one who does.

A market in which the first earns money is too sleepy to learn anything from; one in which the
second must lose is no market. Both see what they see one latency before their orders arrive.
"""

from __future__ import annotations

import math
from typing import Protocol

import attrs

from polybot.exchange.crowd_hand import Hand
from polybot.exchange.crowd_odds import MarketOdds
from polybot.exchange.engine import Engine
from polybot.exchange.model import BUY, SELL, UP, Event, Market, MarketResolved, Order, Traded
from polybot.exchange.money import ONE, UNIT

LATENCY_MS = 150  # from a look at the book to the orders' arrival; the next look is then
SHARES = 15 * UNIT
HALF_CENTS = 100  # the naive half-spread, 10⁻⁴
QUIET_MS = 5_000  # before the end: both stop quoting
REBATE_PPM = 200_000  # makers' part of the taker fees on their own fills (clob.md 6.2)
CAREFUL_EDGE, CAREFUL_CAUTION = 0.008, 1.0  # of probability; of the fair price's σ in a latency
CAREFUL_MOST = 45 * UNIT  # unpaired shares: beyond it only the other side is quoted

Quotes = tuple[int | None, int | None]  # (bid, ask) in Up terms


class Mind(Protocol):
    """What a maker wants to quote, as far as it can see now."""

    def quotes(self, now_ms: int, unpaired: int) -> Quotes: ...


@attrs.define
class Naive:
    """A fixed cent either side of the mid, whatever the price of Bitcoin does."""

    engine: Engine
    market: Market

    def quotes(self, now_ms: int, unpaired: int) -> Quotes:
        bid, ask = self.engine.best(self.market.tokens[UP])
        if bid is None or ask is None:
            return None, None
        return (bid + ask) // 2 - HALF_CENTS, -(-(bid + ask) // 2) + HALF_CENTS


@attrs.define
class Careful:
    """Prices the contract, asks for what a latency can cost, and stops adding to one side.

    It knows the settlement rule, the volatility and Binance's price of now: as much as a bot with
    a perfect model, not more.
    """

    odds: MarketOdds

    def quotes(self, now_ms: int, unpaired: int) -> Quotes:
        view = self.odds.at(now_ms)
        edge = CAREFUL_EDGE + CAREFUL_CAUTION * view.speed * math.sqrt(2 * LATENCY_MS / 1000)
        bid, ask = int((view.up - edge) * ONE), math.ceil((view.up + edge) * ONE)
        return (
            None if unpaired >= CAREFUL_MOST else bid,
            None if unpaired <= -CAREFUL_MOST else ask,
        )


class Rival:
    """One maker in one market after the other: quotes as its mind says, one latency late."""

    def __init__(self, hand: Hand) -> None:
        self.hand = hand
        self.profits: list[float] = []  # dollars, by resolved market, rebates counted in
        self.rebates = 0.0
        self.filled = 0.0  # shares
        self._fills: dict[str, list[tuple[str, int, int]]] = {}  # by market: token, shares, price
        self._pending: Quotes = (None, None)
        self._orders: dict[str, Order] = {}
        hand.engine.listeners.append(self._on_event)

    def act(self, mind: Mind, market: Market, now_ms: int) -> None:
        """The orders that were decided a latency ago arrive; decide again."""
        for side, price in zip((BUY, SELL), self._pending, strict=True):
            self._move(market, side, price, now_ms)
        over = market.end_ms - now_ms <= QUIET_MS
        unpaired = self._unpaired(market)
        self._pending = (None, None) if over else mind.quotes(now_ms, unpaired)

    def leave(self, market: Market, now_ms: int) -> None:
        """The window is over."""
        self.hand.leave(market, now_ms)
        self._pending, self._orders = (None, None), {}

    def _move(self, market: Market, side: str, price: int | None, now_ms: int) -> None:
        tick = market.tick
        if price is not None:
            price = price // tick * tick if side == BUY else -(-price // tick) * tick
            price = price if tick <= price <= ONE - tick else None
        order = self._orders.pop(side, None)
        if order is not None and order.remaining and order.status.value == "LIVE":
            at = order.price if order.token == market.tokens[UP] else ONE - order.price
            if at == price:
                self._orders[side] = order
                return
            self.hand.pull(order, now_ms)
        if price is not None:
            placed = self.hand.rest(market, side, price, SHARES, now_ms)
            if placed is not None:
                self._orders[side] = placed

    def _unpaired(self, market: Market) -> int:
        """Up less Down shares bought in this market."""
        fills = self._fills.get(market.condition_id, [])
        return sum(n if token == market.tokens[UP] else -n for token, n, _ in fills)

    def _on_event(self, event: Event) -> None:
        if isinstance(event, Traded):
            for fill in event.trade.makers:
                if fill.order.account == self.hand.account:
                    mine = self._fills.setdefault(event.trade.market.condition_id, [])
                    mine.append((fill.order.token, fill.shares, fill.price))
        elif isinstance(event, MarketResolved):
            self._settle(event.market)

    def _settle(self, market: Market) -> None:
        """Pairs and winners pay a dollar a share: what was bought, against what was paid."""
        assert market.winner is not None, "a resolved market has a winner"
        winner, profit, rebate = market.tokens[market.winner], 0.0, 0.0
        for token, shares, price in self._fills.pop(market.condition_id, []):
            size, p = shares / UNIT, price / ONE
            rebate += size * market.fee_rate_ppm / 1e6 * p * (1 - p) * REBATE_PPM / 1e6
            profit += size * ((token == winner) - p)
            self.filled += size
        self.rebates += rebate
        self.profits.append(profit + rebate)
