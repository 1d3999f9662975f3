"""What belongs to the wallet: the ledger, who owns which order, and the tasks that keep both true.

The account is the only writer of the ledger. Private events enter through `hear`, from the user
stream and from REST alike: money first, then the event goes, losslessly and in order, to the market
that owns the order.
"""

from __future__ import annotations

from collections.abc import Callable

import attrs
import trio

from polybot.channels import Bell
from polybot.clock import Clock
from polybot.domain.ledger import Ledger
from polybot.domain.orders import Failure, OrderRow, OrderSeen, PrivateEvent, TradeSeen
from polybot.execution.firewall import Standing
from polybot.health import Health
from polybot.venue.clob import ClobClient, StaleHeartbeat

HEARTBEAT_EVERY_S = 5.0  # clob.md 4.2: the venue cancels all after 10 s without one
HEARTBEAT_RETRY_S = 0.5
HEARTBEAT_PATIENCE_S = 4.0  # two attempts must fit before the venue's ten seconds are over
RECONCILE_EVERY_S = 20.0
TRADES_OVERLAP_S = 120


@attrs.frozen
class Route:
    """How the account reaches one market's orders task.

    `missing` hears of an open order that a read begun at the given time did not show.
    """

    hear: Callable[[PrivateEvent], None]
    missing: Callable[[str, int], None]
    open_ids: Callable[[], list[str]]


@attrs.define(eq=False)
class Account:
    client: ClobClient
    clock: Clock
    health: Health
    ledger: Ledger = attrs.field(factory=Ledger)
    routes: dict[str, Route] = attrs.field(factory=dict)  # by condition id
    reserved: dict[str, int] = attrs.field(factory=dict)  # dollars open orders may spend, by market
    changed: dict[str, Bell] = attrs.field(factory=dict)  # rung when a market's holdings change
    doubt: Bell = attrs.field(factory=Bell)  # rung when the reconciler should look now
    stream_open: bool = False
    stream_sessions: int = 0  # how often the user stream was opened
    foreign: int = 0
    heartbeats: int = 0
    heartbeat_lag_ms: int = 0
    reconciled_at_ms: int = 0
    _owners: dict[str, str] = attrs.field(factory=dict)  # order id → condition id
    _trades_since_s: int = 0
    _beating: bool = False

    # --- facts in ------------------------------------------------------------------------

    def own(self, order_id: str, condition_id: str) -> None:
        """Note whose order this is, before it is sent."""
        self._owners[order_id] = condition_id

    def hear(self, event: PrivateEvent) -> None:
        if isinstance(event, TradeSeen):
            if self.ledger.book(event) and (bell := self.changed.get(event.condition_id)):
                bell.ring()
            condition_id: str | None = event.condition_id
        else:
            condition_id = self._owners.get(event.order_id)
        if condition_id is not None and (route := self.routes.get(condition_id)) is not None:
            route.hear(event)

    def release(self, condition_id: str) -> None:
        """Forget a settled market's order ids."""
        self._owners = {o: c for o, c in self._owners.items() if c != condition_id}
        self.reserved.pop(condition_id, None)
        self.changed.pop(condition_id, None)

    def standing(self, condition_id: str) -> Standing:
        """Where the wallet stands, seen from one market's desk."""
        others = sum(usd for market, usd in self.reserved.items() if market != condition_id)
        here = self.ledger.books.get(condition_id)
        cost = here.holdings().cost if here else 0
        elsewhere = sum(
            books.holdings().cost
            for market, books in self.ledger.books.items()
            if market != condition_id and books.winner is None
        )
        return Standing(self.ledger.cash - others, cost, others + elsewhere)

    # --- the heartbeat -------------------------------------------------------------------

    async def keep_alive(self) -> None:
        """Send the dead-man heartbeat every 5 s, chaining ids; any failure stops trading at once.

        It beats until the process ends, also while everything else shuts down: while an order may
        rest, the venue must neither forget us nor be asked to clean up for us.
        """
        previous, due = "", trio.current_time()
        while True:
            answer = await self._beat(previous)
            if isinstance(answer, StaleHeartbeat):
                answer = await self._beat(answer.expected)
            if isinstance(answer, str):
                previous = answer
                self.heartbeats += 1
                if "heartbeat" in self.health.troubles:
                    # Orders may be gone: the reconciler looks, then lets us trade.
                    self.doubt.ring()
                lag = trio.current_time() - due
                self.heartbeat_lag_ms = max(self.heartbeat_lag_ms, int(lag * 1000))
                self._beating = True
                due = max(due + HEARTBEAT_EVERY_S, trio.current_time())
            else:
                self._beating = False
                what = answer.what if isinstance(answer, Failure) else "id refused twice"
                self.health.bad("heartbeat", what)
                due = trio.current_time() + HEARTBEAT_RETRY_S
            await trio.sleep_until(due)

    async def _beat(self, previous: str) -> str | StaleHeartbeat | Failure:
        with trio.move_on_after(HEARTBEAT_PATIENCE_S):
            return await self.client.heartbeat(previous)
        return Failure(f"no answer within {HEARTBEAT_PATIENCE_S:g} s")

    # --- reconciliation ------------------------------------------------------------------

    async def reconcile_for_ever(self) -> None:
        """Compare with the venue's books at start, on a cadence, and whenever something is in
        doubt.
        """
        while True:
            pause = RECONCILE_EVERY_S if await self.reconcile() else 1.0
            with trio.move_on_after(pause):
                await self.doubt.wait()

    async def reconcile(self) -> bool:
        """One look: trades since the watermark, open orders, then everything they imply."""
        started_ms = self.clock.now_ms()
        session, was_beating = self.stream_sessions, self._beating
        since = max(0, self._trades_since_s - TRADES_OVERLAP_S)
        trades = await self.client.trades(after_s=since or None)
        rows = await self.client.open_orders()
        if isinstance(trades, Failure) or isinstance(rows, Failure):
            what = trades if isinstance(trades, Failure) else rows
            self.health.bad("reconciler", what.what if isinstance(what, Failure) else "")
            return False
        for trade in trades:
            self.hear(trade)
        self._trades_since_s = started_ms // 1000
        self.reconciled_at_ms = started_ms
        self._compare(rows, started_ms)
        self.health.good("reconciler")
        if self.stream_open and session == self.stream_sessions:
            self.health.good("user stream")
        if was_beating and self._beating:
            self.health.good("heartbeat")
        return True

    def _compare(self, rows: list[OrderRow], started_ms: int) -> None:
        there = {row.order_id for row in rows}
        for row in rows:
            if row.order_id in self._owners:
                at = self.clock.now_ms()
                self.hear(OrderSeen(row.order_id, row.kind, row.matched, row.text, at))
        foreign = len(there - self._owners.keys())
        if foreign:
            self.foreign += foreign
            self.health.bad("foreign orders", f"{foreign} we did not place")
        else:
            self.health.good("foreign orders")
        for route in self.routes.values():
            for order_id in route.open_ids():
                if order_id not in there:
                    route.missing(order_id, started_ms)

    # --- emptying the account ------------------------------------------------------------

    async def cancel_everything(self) -> bool:
        """Cancel all and read back until nothing rests; True when the venue shows none twice.

        Twice, a little apart, because a POST sent just before may land just after the first read.
        """
        clean = 0
        while clean < 2:
            await self.client.cancel_all()
            rows = await self.client.open_orders()
            clean = clean + 1 if rows == [] else 0
            await trio.sleep(0.05)
        return True
