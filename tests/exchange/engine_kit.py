"""A small exchange for the engine's tests: one market, named accounts, everything recorded."""

from __future__ import annotations

import random
from typing import Any

from polybot.exchange.engine import Engine
from polybot.exchange.invariants import check
from polybot.exchange.model import (
    BUY,
    UP,
    Accepted,
    Event,
    Kind,
    LevelChanged,
    Market,
    Order,
    OrderEvent,
    Phase,
    Refused,
    Series,
    Traded,
    TradeUpdated,
)
from polybot.exchange.money import UNIT
from polybot.exchange.resting import TickRule
from polybot.exchange.settlement import ClearingPolicy

T0 = 1_795_132_800_000
FIVE_MINUTES = Series("btc", "5m", 300, "twap")
CASH, PAIRS = 10_000 * UNIT, 1_000 * UNIT  # what each account starts with


def make_market(name: str = "m", **changes: Any) -> Market:
    """A 5-minute market. No taker delay unless asked for."""
    fields: dict[str, Any] = {
        "condition_id": f"0x{name}",
        "question_id": f"0xq{name}",
        "gamma_id": "1",
        "slug": f"btc-updown-5m-{name}",
        "question": "Up or Down?",
        "series": FIVE_MINUTES,
        "tokens": (f"{name}-up", f"{name}-down"),
        "listed_ms": T0,
        "start_ms": T0,
        "end_ms": T0 + 300_000,
        "taker_delay_ms": 0,
    }
    return Market(**(fields | changes))


class Kit:
    """An engine with an open market and three funded accounts: ann, bob and cy.

    Prices are given in hundredths of a dollar and may have a fraction (52.5), sizes in shares.
    """

    def __init__(
        self,
        *,
        fail_ppm: int = 0,
        auto_tick: bool = True,
        tick_rule: TickRule = TickRule(),
        **market: Any,
    ) -> None:
        self.engine = Engine(
            rng=random.Random(7),
            policy=ClearingPolicy(fail_ppm=fail_ppm),
            auto_tick=auto_tick,
            tick_rule=tick_rule,
        )
        self.events: list[Event] = []
        self.replies: list[Accepted | Refused] = []
        self.engine.listeners.append(self.events.append)
        self.now = T0
        self.market = make_market(**market)
        self.engine.list_market(self.market, T0)
        self.engine.open_market(self.market, T0)
        for account in ("ann", "bob", "cy"):
            self.engine.accounts.deposit(account, CASH + PAIRS)
            self.engine.split(account, self.market, PAIRS, T0)
        self.events.clear()
        self._serial = 0

    def order(
        self, who: str, side: str, outcome: int, cents: float, shares: float, **changes: Any
    ) -> Order:
        self._serial += 1
        fields: dict[str, Any] = {
            "id": f"0x{self._serial:02d}",
            "owner": f"key-{who}",
            "account": who,
            "market": self.market,
            "token": self.market.tokens[outcome],
            "side": side,
            "price": round(cents * 100),
            "size": round(shares * UNIT),
            "kind": Kind.GTC,
        }
        return Order(**(fields | changes))

    def send(self, order: Order) -> Accepted | Refused | None:
        """Place it; the reply if there is one already. Every invariant holds afterwards."""
        before = len(self.replies)
        self.engine.place(order, self.now, self.replies.append)
        check(self.engine)
        return self.replies[-1] if len(self.replies) > before else None

    def place(
        self, who: str, side: str, outcome: int, cents: float, shares: float, **changes: Any
    ) -> Order:
        """Place an order that must be accepted or held."""
        order = self.order(who, side, outcome, cents, shares, **changes)
        reply = self.send(order)
        assert not isinstance(reply, Refused), reply
        return order

    def refused(
        self, who: str, side: str, outcome: int, cents: float, shares: float, **changes: Any
    ) -> str:
        """The text with which an order that must be refused is refused."""
        reply = self.send(self.order(who, side, outcome, cents, shares, **changes))
        assert isinstance(reply, Refused), reply
        return reply.error

    def advance(self, ms: int) -> None:
        self.now += ms
        self.engine.advance(self.now)
        check(self.engine)

    def spend(self, who: str, outcome: int, cents: float, dollars: float, **changes: Any) -> Order:
        """A market-type BUY of so many dollars; shares as the official SDK rounds them."""
        money, price = round(dollars * UNIT), round(cents * 100)
        shares = money * 10_000 // price // 100 * 100 / UNIT
        fields = {"kind": Kind.FAK, "dollars": money} | changes
        return self.order(who, BUY, outcome, cents, shares, **fields)

    def cash_change(self, who: str) -> int:
        return self.engine.accounts.cash(who) - CASH

    def share_change(self, who: str, outcome: int) -> int:
        return self.engine.accounts.shares(who, self.market.tokens[outcome]) - PAIRS

    def up_book(self) -> tuple[list[tuple[float, float]], list[tuple[float, float]]]:
        """(bids, asks) of Up in cents and shares, best last."""
        bids, asks = self.engine.levels(self.market.tokens[UP])
        return [(p / 100, s / UNIT) for p, s in bids], [(p / 100, s / UNIT) for p, s in asks]

    def told(self) -> list[str]:
        """The events so far, one word each, and forgets them."""
        words = [_word(event) for event in self.events]
        self.events.clear()
        return words


def _word(event: Event) -> str:
    match event:
        case LevelChanged():
            return "levels " + " ".join(f"{s}{p}={n}" for _, s, p, n in event.changes)
        case Traded():
            return f"trade {event.trade.price} {event.trade.shares}"
        case TradeUpdated():
            return event.trade.status
        case OrderEvent():
            return f"{event.order.id} {event.kind} {event.status} {event.matched}"
        case _:
            return type(event).__name__


def resolved(kit: Kit, winner: int | None) -> None:
    """Close (if still open) and resolve the kit's market now."""
    if kit.market.phase is Phase.OPEN:
        kit.engine.close_market(kit.market, kit.now)
    kit.engine.resolve_market(kit.market, winner, kit.now)
    check(kit.engine)
