"""One crowd member's hands: its account, its API key, and how it sends orders to the engine."""

from __future__ import annotations

import random
import uuid
from collections.abc import Callable

import attrs

from polybot.exchange.engine import Engine
from polybot.exchange.model import (
    BUY,
    DOWN,
    SELL,
    UP,
    Accepted,
    Kind,
    Market,
    Order,
    Refused,
    Status,
)
from polybot.exchange.modes import Answer, Call
from polybot.exchange.money import ONE, UNIT

FUNDS = 10**9 * UNIT  # plenty: nobody in the crowd ever stops for want of money
STOCK = 50_000 * UNIT  # pairs split at each market's opening, to have something to sell
CENT = UNIT // 100
LEAST = 5 * UNIT  # smallest order the venue accepts (clob.md 5, `mos`)
SELL_SHARE = 0.3  # of resting orders; the rest are BUYs of the other token


@attrs.define(eq=False)
class Hand:
    """Sends orders for one account; resting ones are given in Up terms whatever their token."""

    engine: Engine
    name: str
    owner: str
    account: str
    refused: int = 0
    # By condition id: who is told at once that an order of this hand has died.
    ended: dict[str, Callable[[Order], None]] = attrs.field(factory=dict)
    _serial: int = 0

    @classmethod
    def make(cls, engine: Engine, name: str) -> Hand:
        """A funded member; key and address are a function of the name, so equal in every run."""
        rng = random.Random(f"crowd/{name}")
        owner = str(uuid.UUID(int=rng.getrandbits(128), version=4))
        account = f"0x{rng.getrandbits(160):040x}"
        engine.accounts.deposit(account, FUNDS)
        engine.unread |= {owner, account}
        hand = cls(engine, name, owner, account)
        engine.ends[owner] = hand._order_ended
        return hand

    def stock_up(self, market: Market, now_ms: int) -> None:
        """Split pairs, so that this member can sell either token."""
        self.engine.split(self.account, market, STOCK, now_ms)

    def rest(
        self, market: Market, side: str, price: int, size: int, now_ms: int,
        *, sell: bool = False, post_only: bool = True,
    ) -> Order | None:  # fmt: skip
        """Rest on one side of the book (BUY bids, SELL asks) at an Up price.

        `sell` uses shares at hand when there are enough, else the other token is bought. Returns
        the order when it lives (or is held by the taker delay), None when refused or filled.
        """
        outcome = UP if (side == BUY) != sell else DOWN
        own_price = price if outcome == UP else ONE - price
        answer = self.post(
            market, outcome, SELL if sell else BUY, own_price, size, now_ms, post_only=post_only
        )
        if isinstance(answer, Refused) and sell:
            return self.rest(market, side, price, size, now_ms, post_only=post_only)
        return answer if isinstance(answer, Order) else None

    def post(
        self, market: Market, outcome: int, side: str, price: int, size: int, now_ms: int,
        *, post_only: bool = True,
    ) -> Order | Refused | None:  # fmt: skip
        """Send a GTC order in its own token's terms. None when it was filled at once."""
        token = market.tokens[outcome]
        order = self._order(market, token, side, price, size, Kind.GTC, now_ms)
        order.post_only = post_only
        answer = self._send(order, now_ms)
        if isinstance(answer, Refused):
            return answer
        return order if alive(order) else None

    def take(
        self, market: Market, token: str, side: str, limit: int, shares: int, now_ms: int,
        *, seen: int,
    ) -> Accepted | Refused | None:  # fmt: skip
        """A fill-and-kill order up to `limit`, both in the token's own terms.

        BUYs are in dollars (at least one): what the shares cost at the price `seen`.
        """
        order = self._order(market, token, side, limit, shares, Kind.FAK, now_ms)
        if side == BUY:  # whole cents, and shares to four decimals (clob.md 3.4)
            order.dollars = max(UNIT, -(-shares * seen // ONE // CENT) * CENT)
            order.size = max(LEAST, order.dollars * ONE // limit // 100 * 100)
        return self._send(order, now_ms)

    def pull(self, order: Order, now_ms: int) -> bool:
        """Cancel; False when the venue would not (already gone, or held by the taker delay)."""
        if self._shut(Call.CANCEL, now_ms):
            return False
        return self.engine.cancel(order.id, self.owner, now_ms) is None

    def leave(self, market: Market, now_ms: int) -> None:
        """Cancel everything resting in a market, if the venue takes cancels now."""
        if not self._shut(Call.CANCEL, now_ms):
            self.engine.cancel_where(self.owner, now_ms, condition_id=market.condition_id)

    def _order_ended(self, order: Order) -> None:
        told = self.ended.get(order.market.condition_id)
        if told is not None:
            told(order)

    def _order(
        self, market: Market, token: str, side: str, price: int, size: int, kind: Kind, now_ms: int
    ) -> Order:
        self._serial += 1
        return Order(
            id=f"{self.account}{self._serial:024x}", owner=self.owner, account=self.account,
            market=market, token=token, side=side, price=price, size=size, kind=kind,
            created_ms=now_ms,
        )  # fmt: skip

    def barred(self, now_ms: int) -> bool:
        """Whether the venue takes no resting orders now."""
        return self._shut(Call.POST, now_ms) is not None

    def _shut(self, call: Call, now_ms: int) -> Answer | None:
        """What the venue's trading mode has against such a call: the crowd is no exception."""
        return self.engine.modes.answer(call, now_ms)

    def _send(self, order: Order, now_ms: int) -> Accepted | Refused | None:
        """The engine's answer, or None while the order is held by the taker delay."""
        shut = self._shut(Call.POST if order.post_only else Call.TAKE, now_ms)
        if shut is not None:
            self.refused += 1
            return Refused(shut.error, order.id, shut.status)
        answers: list[Accepted | Refused] = []
        self.engine.place(order, now_ms, answers.append)
        answer = answers[0] if answers else None
        if isinstance(answer, Refused):
            self.refused += 1
        return answer


def alive(order: Order) -> bool:
    """Whether the order still rests, or is held and may yet rest."""
    return order.status in (Status.LIVE, Status.DELAYED) and order.remaining > 0
