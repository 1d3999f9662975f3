"""A backtest's venue: the exchange's engine, prices, calendar and a recorded world; no sockets.

Everything is drawn from the seed under the same names as in the served exchange, so that a backtest
and paper on one recording see the same market lives. What a request's bytes would come to on the
wire is spared: orders arrive as the engine's, and what the venue tells of them is written by its
own encoders and read by the bot's own decoders.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

import orjson

from polybot.domain.orders import (
    Acked,
    CancelResult,
    OrderRow,
    PostResult,
    PrivateEvent,
    Rejected,
    SignedOrder,
)
from polybot.exchange.engine import Engine
from polybot.exchange.lifecycle import Lifecycle
from polybot.exchange.model import (
    BUY,
    Accepted,
    Event,
    Kind,
    Market,
    Order,
    OrderEvent,
    Refused,
    Trade,
    Traded,
    TradeUpdated,
)
from polybot.exchange.oracle import Oracle
from polybot.exchange.order_entry import implied_limit
from polybot.exchange.queue_models import QueueModel
from polybot.exchange.recording import RecordedWorld
from polybot.exchange.recording_model import Recording
from polybot.exchange.resting import TickRule
from polybot.exchange.server import DEMO_FUNDS, Moving
from polybot.exchange.terms import Terms
from polybot.exchange.wire_records import order_event, order_row, trade_event, trade_row
from polybot.venue.private_rows import Me, decode_order_row, decode_trade
from polybot.venue.replies import reject_of
from polybot.venue.signing import amounts
from polybot.venue.user_messages import decode_user

WALLET = "0x" + "b0" * 20
KEY = "b0b0b0b0-0000-4000-8000-b0b0b0b0b0b0"  # an API key of nobody
ME = Me(KEY, WALLET)

Posted = Callable[[Sequence[PostResult], int], None]  # with when the last answer was ready


class Venue:
    """One exchange with one client. Times are Unix milliseconds and never run backwards."""

    def __init__(
        self, recording: Recording, queue: QueueModel, seed: int, terms: Terms = Terms()
    ) -> None:
        def rng(name: str) -> random.Random:
            return random.Random(f"{seed} {name}")

        self.world = RecordedWorld(recording, queue, seed=seed)
        self.now_ms = start_ms = self.world.start_ms
        ticks = TickRule(terms.tick_fine_at, terms.tick_coarse_at)
        self.engine = Engine(rng=rng("engine"), tick_rule=ticks)
        assets = sorted({series.asset for series in self.world.series})
        self.oracle = Oracle(self.world.source, assets, start_ms, rng("oracle"))
        self.engine.accounts.deposit(WALLET, DEMO_FUNDS)
        self.lifecycle = Lifecycle(
            self.engine, self.oracle, self.world.series, rng("lifecycle"), start_ms,
            settlement=self.world.settlement, terms=terms,
        )  # fmt: skip
        self.world.attach(self.engine, self.oracle, self.lifecycle)
        self._parts: tuple[Moving, ...] = (
            self.oracle, self.lifecycle, self.engine, self.world,
        )  # fmt: skip
        numbered: list[tuple[int, Moving]] = list(enumerate(self._parts))
        self._others = numbered[1:]

    # --- time ----------------------------------------------------------------------------

    def due(self) -> tuple[int, int]:
        """When something happens next by itself, and which part is the first to have something
        then; the oracle always has a next tick.
        """
        due_ms, first = self.oracle.next_due_ms(), 0
        for place, part in self._others:
            part_ms = part.next_due_ms()
            if part_ms is not None and part_ms < due_ms:
                due_ms, first = part_ms, place
        return due_ms, first

    def advance(self, to_ms: int, first: int) -> None:
        """Whatever is due at `to_ms`, each part once from the `first` on, which `due` has named;
        more may be due at the same time after it.
        """
        for part in self._parts[first:]:
            due_ms = part.next_due_ms()
            if due_ms is not None and due_ms <= to_ms:
                self.now_ms = max(self.now_ms, due_ms)
                part.advance(due_ms)
        self.now_ms = max(self.now_ms, to_ms)

    # --- requests ------------------------------------------------------------------------

    def post(self, orders: Sequence[SignedOrder], now_ms: int, done: Posted) -> None:
        """Place orders in turn; `done` hears all answers when the last of them is known: one that
        is marketable waits for the taker delay, and its whole batch with it.
        """
        answers: dict[str, PostResult] = {}

        def heard(outcome: Accepted | Refused, at_ms: int, order_id: str) -> None:
            answers[order_id] = _answer(outcome, order_id)
            if len(answers) == len(orders):
                done([answers[one.id] for one in orders], at_ms)

        self.now_ms = max(self.now_ms, now_ms)
        self.engine.advance(now_ms)
        for signed in orders:
            self._place(signed, now_ms, heard)

    def _place(
        self,
        signed: SignedOrder,
        now_ms: int,
        heard: Callable[[Accepted | Refused, int, str], None],
    ) -> None:
        order_id, market = signed.id, self.engine.by_token.get(signed.order.token)
        assert market is not None, "the bot trades what the calendar lists"
        order = _to_order(signed, market, now_ms)
        self.engine.place(
            order, now_ms,
            lambda outcome: heard(outcome, self.now_ms, order_id),
        )  # fmt: skip

    def cancel(self, ids: Sequence[str], now_ms: int) -> CancelResult:
        told = {order_id: self.engine.cancel(order_id, KEY, now_ms) for order_id in ids}
        return CancelResult(
            frozenset(order_id for order_id, why in told.items() if why is None),
            {order_id: why for order_id, why in told.items() if why is not None},
        )

    def order(self, order_id: str) -> OrderRow | None:
        """What a look-up by id shows."""
        order = self.engine.orders.get(order_id)
        return None if order is None else decode_order_row(order_row(order))

    def open_orders(self, condition_id: str) -> list[OrderRow]:
        live = self.engine.live_orders(KEY)
        return [
            decode_order_row(order_row(one))
            for one in live
            if one.market.condition_id == condition_id
        ]

    def trades(self, since_ms: int) -> list[PrivateEvent]:
        """Our trades matched since then, as the list of trades shows them."""
        ours = filter(_concerns_us, self.engine.trades.values())
        return [
            decode_trade(trade_row(trade, KEY, self.now_ms), ME, "REST")
            for trade in ours
            if trade.matched_ms >= since_ms
        ]


def told(event: Event) -> tuple[PrivateEvent, ...]:
    """What the user stream tells us of an event of the engine: nothing of other people's."""
    if isinstance(event, OrderEvent):
        if event.order.owner != KEY:
            return ()
        record = order_event(event)
    elif isinstance(event, Traded | TradeUpdated) and _concerns_us(event.trade):
        role = "TAKER" if event.trade.taker.owner == KEY else "MAKER"
        record = trade_event(event.trade, role, event.at_ms)
    else:
        return ()
    batch = decode_user(orjson.dumps(record).decode(), ME)
    assert not batch.bad, batch.bad
    return batch.events


def _concerns_us(trade: Trade) -> bool:
    return trade.taker.owner == KEY or any(fill.order.owner == KEY for fill in trade.makers)


def _answer(outcome: Accepted | Refused, order_id: str) -> PostResult:
    if isinstance(outcome, Refused):
        return Rejected(order_id, reject_of(outcome.error), outcome.error)
    live = outcome.status == "live"
    making, taking = (0, 0) if live else (outcome.making, outcome.taking)
    return Acked(order_id, outcome.status, making, taking, outcome.trades)


def _to_order(signed: SignedOrder, market: Market, now_ms: int) -> Order:
    """The engine's order out of the amounts that would have been signed."""
    order = signed.order
    given, wanted = amounts(order)
    side = order.side.value
    money, shares = (given, wanted) if side == BUY else (wanted, given)
    taking = order.taking
    return Order(
        id=signed.id, owner=KEY, account=WALLET, market=market, token=order.token, side=side,
        price=implied_limit(side, money, shares, market.tick) if taking else order.price,
        size=shares, kind=Kind(order.tif.value), post_only=order.post_only,
        expiration_s=order.expires_s, created_ms=now_ms,
        dollars=money if taking and side == BUY else None,
    )  # fmt: skip
