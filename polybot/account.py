"""What belongs to the wallet: the ledger, who owns which order, and the tasks that keep both true.

The account is the only writer of the ledger. Private events enter through `hear`, from the user
stream and from REST alike: money first, then the event goes, losslessly and in order, to the market
that owns the order.
"""

from __future__ import annotations

from collections.abc import Callable

import attrs
import trio
from loguru import logger

from polybot.channels import Bell
from polybot.clock import Clock
from polybot.domain.ledger import Holdings, Ledger
from polybot.domain.orders import Failure, OrderRow, OrderSeen, PrivateEvent, TradeSeen
from polybot.execution.firewall import Standing
from polybot.health import Health
from polybot.venue.clob import ClobClient, StaleHeartbeat
from polybot.venue.site import HEARTBEAT_EVERY_S

HEARTBEAT_RETRY_S = 0.5
HEARTBEAT_PATIENCE_S = 4.0  # two attempts must fit before the venue's ten seconds are over
RECONCILE_EVERY_S = 20.0
RECONCILE_RETRY_S = 1.0
BLIND_AFTER = 2
CLOCK_OFF_S = 2
TRADES_OVERLAP_S = 120


@attrs.frozen
class Route:
    """How the account reaches one market's orders task.

    `missing` hears of an open order that a read begun at the given time did not show; `knows` says
    whether an order is in the task's table.
    """

    hear: Callable[[PrivateEvent], None]
    missing: Callable[[str, int], None]
    open_ids: Callable[[], list[str]]
    knows: Callable[[str], bool]


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
    heartbeats: int = 0
    started_s: int = 0  # trades before this are in the balance that was read at the start
    _owners: dict[str, str] = attrs.field(factory=dict)  # order id → condition id
    _placed_in: set[str] = attrs.field(factory=set)  # markets that ever had an order of ours
    _read_until_s: int = 0
    _misses: int = 0  # reconciliations in a row that failed
    _beating: bool = False

    # --- facts in ------------------------------------------------------------------------

    def own(self, order_id: str, condition_id: str) -> None:
        """Note whose order this is, before it is sent."""
        self._owners[order_id] = condition_id
        self._placed_in.add(condition_id)

    def placed_in(self, condition_id: str) -> bool:
        """Whether a market ever had an order of ours, so that it must
        be read to be called empty.
        """
        return condition_id in self._placed_in

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
        self._placed_in.discard(condition_id)
        self.reserved.pop(condition_id, None)
        self.changed.pop(condition_id, None)

    def standing(self, condition_id: str) -> Standing:
        """Where the wallet stands, seen from one market's desk."""
        others = sum(usd for market, usd in self.reserved.items() if market != condition_id)
        here = self.ledger.books.get(condition_id)
        held = here.holdings() if here else Holdings()
        elsewhere = sum(
            books.holdings().cost
            for market, books in self.ledger.books.items()
            if market != condition_id and books.up_payout is None
        )
        free = self.ledger.cash - others
        return Standing(free, held.cost, others + elsewhere, held.net)

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
                self._beating = True
                due = max(due + HEARTBEAT_EVERY_S.value, trio.current_time())
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
        """Compare with the venue's books at start, on a cadence, and
        whenever something is in doubt.
        """
        while True:
            pause = RECONCILE_EVERY_S if await self.reconcile() else RECONCILE_RETRY_S
            with trio.move_on_after(pause):
                await self.doubt.wait()

    async def reconcile(self) -> bool:
        """One look: the clock, trades since the watermark, open orders, and what they imply.

        A single failed read proves nothing; two in a row mean that we are blind.
        """
        started_ms = self.clock.now_ms()
        session, was_beating = self.stream_sessions, self._beating
        trades = await self.client.trades(after_s=self._trades_wanted_from_s())
        rows = await self.client.open_orders()
        asked_ms = self.clock.now_ms()
        venue_s = await self.client.server_time()
        failed = [r for r in (trades, rows, venue_s) if isinstance(r, Failure)]
        if isinstance(trades, Failure) or isinstance(rows, Failure) or isinstance(venue_s, Failure):
            self._misses += 1
            if self._misses >= BLIND_AFTER:
                self.health.bad("reconciler", failed[0].what)
            return False
        self._misses = 0
        for trade in trades:
            self.hear(trade)
        self._read_until_s = started_ms // 1000
        self._judge_clock(asked_ms // 1000, venue_s, self.clock.now_ms() // 1000)
        await self._compare(rows, started_ms)
        self.health.good("reconciler")
        self.health.good("orders inbox")
        if self.stream_open and session == self.stream_sessions:
            self.health.good("user stream")
        if was_beating and self._beating:
            self.health.good("heartbeat")
        return True

    def _trades_wanted_from_s(self) -> int:
        """From the watermark, or the oldest trade still unsettled, less an overlap; never from
        before our start, for those trades are in the balance we began with.
        """
        unsettled_ms = self.ledger.oldest_unsettled_ms()
        until_s = self._read_until_s
        if unsettled_ms is not None:
            until_s = min(until_s, unsettled_ms // 1000)
        return max(self.started_s, until_s - TRADES_OVERLAP_S)

    def _judge_clock(self, asked_s: int, venue_s: int, told_s: int) -> None:
        """The venue's second should lie between our asking and its answer; it tells no
        fractions.
        """
        off_s = max(asked_s - venue_s, venue_s - told_s)
        if off_s > CLOCK_OFF_S:
            self.health.bad("clock", f"{off_s} s off the venue's: check the time service")
        else:
            self.health.good("clock")

    async def _compare(self, rows: list[OrderRow], started_ms: int) -> None:
        orphans: list[str] = []
        for row in rows:
            owner = self._owners.get(row.order_id)
            route = self.routes.get(owner) if owner is not None else None
            if route is not None and route.knows(row.order_id):
                at = self.clock.now_ms()
                route.hear(OrderSeen(row.order_id, row.kind, row.matched, row.text, at))
            elif owner is not None:
                orphans.append(row.order_id)
        await self._cancel_orphans(orphans)
        foreign = sum(row.order_id not in self._owners for row in rows)
        if foreign:
            self.health.bad("foreign orders", f"{foreign} we did not place")
        else:
            self.health.good("foreign orders")
        there = {row.order_id for row in rows}
        for route in self.routes.values():
            for order_id in route.open_ids():
                if order_id not in there:
                    route.missing(order_id, started_ms)

    async def _cancel_orphans(self, orphans: list[str]) -> None:
        """Orders of ours that no desk knows any more, from a request
        that the edge held back (F18).
        """
        if orphans:
            logger.warning("{} late orders appeared and are cancelled", len(orphans))
            await self.client.cancel(orphans)
            self.doubt.ring()

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
