"""The account behind mirrored liquidity: orders that stand for levels, and trades made elsewhere.

It only ever buys, bids as Up and asks as Down, so that it needs no shares to rest; it splits pairs
when a trade elsewhere was a sale.
"""

from __future__ import annotations

import random
import uuid
from collections.abc import Sequence

from polybot.exchange.accounts import leg_cash
from polybot.exchange.engine import Engine
from polybot.exchange.fees import taker_fee
from polybot.exchange.matching import LevelMatch
from polybot.exchange.model import BUY, DOWN, SELL, UP, Kind, MakerFill, Market, Order
from polybot.exchange.money import ONE, UNIT
from polybot.exchange.outbox import Act
from polybot.exchange.resting import Resting

FUNDS = 10**10 * UNIT  # an outside world never stops for want of money


class Outside:
    """Lays, resizes and trades for everybody who is not on this exchange."""

    def __init__(self, engine: Engine, name: str = "outside") -> None:
        """Funded; key and address are a function of the name, so equal in every run."""
        rng = random.Random(f"outside/{name}")
        self.engine = engine
        self.owner = str(uuid.UUID(int=rng.getrandbits(128), version=4))
        self.account = f"0x{rng.getrandbits(160):040x}"
        self.resting: Resting = engine.desk.resting
        self._serial = 0
        engine.accounts.deposit(self.account, FUNDS)
        engine.unread.add(self.owner)

    def owns(self, order: Order) -> bool:
        return order.owner == self.owner

    def lay(
        self, market: Market, side: str, price: int, size: int, act: Act,
        before: Order | None = None,
    ) -> None:  # fmt: skip
        """Rest liquidity at an Up price, last in its level or in front of `before`."""
        self.engine.desk.lay(self._buy(market, side, price, size, Kind.GTC), act, before)

    def resize(self, order: Order, change: int, act: Act) -> None:
        self.resting.resize(order, change, act)
        if not order.remaining:
            self.engine.orders.pop(order.id, None)

    def arrival(self, market: Market, side: str, price: int, size: int) -> Order:
        """An order from outside that may meet orders here; Up terms, never rests itself."""
        return self._buy(market, side, price, size, Kind.FAK)

    def taker(self, market: Market, token: str, side: str, price: int, size: int) -> Order:
        """Who traded elsewhere, in the token's own terms."""
        return self._order(market, token, side, price, size, Kind.FAK)

    def trade(self, taker: Order, price: int, fills: Sequence[MakerFill], act: Act) -> None:
        """Record one level's trade with the orders it met; `price` is in the taker's terms."""
        shares = sum(fill.shares for fill in fills)
        if taker.side == SELL:
            lack = shares - self.engine.accounts.shares(self.account, taker.token)
            if lack > 0:
                self.engine.split(self.account, taker.market, lack, act.now_ms)
        cash = sum(leg_cash(taker, fill.order, fill.shares)[1] for fill in fills)
        match = LevelMatch(
            price, shares, cash, taker_fee(taker.market, shares, price), tuple(fills)
        )
        self.engine.desk.print_outside(taker, match, act)

    def absent(self, taker: Order, up_side: str, up_price: int, shares: int) -> MakerFill:
        """A maker whose liquidity has left the mirror already: it never rested here."""
        maker = self._buy(taker.market, up_side, up_price, shares, Kind.GTC)
        return MakerFill(maker, shares, maker.price)

    def _buy(self, market: Market, side: str, price: int, size: int, kind: Kind) -> Order:
        outcome = UP if side == BUY else DOWN
        own = price if outcome == UP else ONE - price
        return self._order(market, market.tokens[outcome], BUY, own, size, kind)

    def _order(
        self, market: Market, token: str, side: str, price: int, size: int, kind: Kind
    ) -> Order:
        self._serial += 1
        return Order(
            id=f"{self.account}{self._serial:024x}", owner=self.owner, account=self.account,
            market=market, token=token, side=side, price=price, size=size, kind=kind,
        )  # fmt: skip
