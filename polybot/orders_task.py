"""The orders task of a market scope: runs one desk, alone writes its table, and empties it at the
end.

Wishes come latest-only, private events and replies losslessly and in order through one bounded
channel; an overflow of that channel is a fault, never a drop. Requests run beside the task so that
a slow POST cannot hold up a cancel; each is shielded until its answer or its time-out, because a
sent order is a fact whose id we want to know (trio.md 4), and what it came to returns through the
same channel.
"""

from __future__ import annotations

from collections.abc import Sequence

import attrs
import trio
from loguru import logger

from polybot.account import Account, Route
from polybot.clock import NS, Clock
from polybot.core_tape import Applied, Closing, CoreTape
from polybot.domain.halts import Halt
from polybot.domain.orders import (
    Failure,
    OrderRow,
    OrderSeen,
    PrivateEvent,
    SignedOrder,
)
from polybot.execution.actions import Action, Cancel, Post, Refresh
from polybot.execution.desk import Desk
from polybot.execution.doubts import LookUp, Survey, Surveyed
from polybot.execution.reconcile import OurOrder
from polybot.execution.table import OVERFILLED
from polybot.execution.tracked import Tracked
from polybot.execution.wish import Desired
from polybot.health import Fault
from polybot.journal.entries import Answered, Ended, Intent
from polybot.journal.store import JournalFailed
from polybot.order_messages import (
    CancelAnswered,
    LookedUp,
    Message,
    Missing,
    Posted,
    Resting,
    Unsent,
    Wish,
)
from polybot.order_requests import CancelMarket, Request
from polybot.refusals import Refusals
from polybot.venue.clob import ClobClient
from polybot.venue.leave import Leave

INBOX = 10_000  # a burst of two minutes at the busiest rate ever seen on a user stream
SURVEY_OVERLAP_S = 5  # our clock may be ahead of the venue's, by less than stops trading
LEAVES_WITHIN_S = 2.0  # an order that disk or dialling held up for longer is not sent: prices moved
# Between reads: at first long enough for a POST in flight to land on a quick venue.
FLATTEN_PAUSE_S, FLATTEN_PAUSE_MOST_S = 0.05, 0.4


@attrs.define(eq=False, slots=False)
class OrdersTask:
    desk: Desk
    client: ClobClient
    account: Account
    clock: Clock
    core: CoreTape
    _wish: Desired | None = None
    _ending: bool = False
    _requests: list[Request] = attrs.field(factory=list)

    def __attrs_post_init__(self) -> None:
        self._send, self._receive = trio.open_memory_channel[Message](INBOX)
        self.route = Route(
            hear=lambda event, _now_ms: self._put(event),
            missing=lambda order_id, at_ms: self._put(Missing(order_id, at_ms)),
            resting=lambda order_id, at_ms: self._put(Resting(order_id, at_ms)),
            orders=lambda: [OurOrder.of(tracked) for tracked in self.desk.table],
        )
        self._refusals = Refusals(self.account, self.desk.table)
        self.desk.table.on_end = self._note_end
        self.desk.table.on_fault = self._note_fault

    @property
    def condition_id(self) -> str:
        return self.desk.market.condition_id

    def _put(self, message: Message) -> None:
        """Hand over a message. One that finds no room ends every scope; the reconciler finds out
        what it said.
        """
        try:
            self._send.send_nowait(message)
        except trio.WouldBlock:
            self.account.health.bad("orders inbox", "overflow")
            self.account.doubt.ring()

    def wish(self, desired: Desired) -> None:
        """Replace the wish; only the newest is ever acted on."""
        if self._wish is None:
            self._put(Wish())
        self._wish = desired

    # --- while the market runs -------------------------------------------------------------

    async def run(self) -> None:
        async with trio.open_nursery() as requests:
            try:
                await self._work(requests)
            finally:
                # Whatever ended us: no waiting for a slow POST before the first cancel leaves.
                self._ending = True
                for request in self._requests:
                    request.wind_up()
                if self._anything_open():
                    requests.start_soon(self._withdraw)

    async def _work(self, requests: trio.Nursery) -> None:
        while True:
            at_ns = self.clock.now_ns()
            for action in self.act(at_ns):
                requests.start_soon(self._perform, action)
            now_ms = at_ns // NS
            if (doubtful := self.desk.doubts.overdue(now_ms)) is not None:
                raise Fault(f"order {doubtful.id[:10]}: {doubtful.state.value} for too long")
            due = self.clock.trio_time(self.desk.next_due_ms(now_ms))
            with trio.move_on_at(due):
                self._take(await self._receive.receive())
            self._drain()

    def act(self, at_ns: int) -> list[Action]:
        """A turn of the desk: what is to leave now."""
        account, key, slug = self.account, self.condition_id, self.desk.market.slug
        closed_because = self.desk.firewall.admission.closed_because
        self.core.outside(slug, account.outside(key, closed_because), at_ns)
        actions = self.desk.act(at_ns // NS, account.standing(key))
        self.core.acted(slug, actions, at_ns)
        self._publish()
        return actions

    def _publish(self) -> None:
        """Tell the other markets what ours may still spend, and who merges what it may still sell,
        in the same step as it was decided.
        """
        key, market, account = self.condition_id, self.desk.market, self.account
        promised = self.desk.promised
        if account.bids.get(key) is promised.bids:
            return  # as it was told before
        account.reserved[key], account.bids[key] = promised.reserved, promised.bids
        account.pledges[key] = {
            market.up_token: promised.pledged_up,
            market.down_token: promised.pledged_down,
        }

    def _drain(self) -> None:
        while (message := self.waiting()) is not None:
            self._take(message)

    def waiting(self) -> Message | None:
        """The next message of the inbox, if there is one."""
        try:
            return self._receive.receive_nowait()
        except trio.WouldBlock:
            return None

    def _take(self, message: Message) -> None:
        at_ns = self.clock.now_ns()
        self.core.fed(Applied(self.desk.market.slug, message), at_ns)
        self.apply(message, at_ns // NS)

    def apply(self, message: Message, now_ms: int) -> None:
        """Let the desk hear a message."""
        match message:
            case Wish():
                if self._wish is not None:
                    self.desk.desired, self._wish = self._wish, None
            case Posted(results):
                self.account.journal.note(*(Answered(self.condition_id, r) for r in results))
                self.desk.posted(results, now_ms)
                self._refusals.hear(results)
            case Unsent(ids):
                self.desk.unsent(ids, now_ms)
            case CancelAnswered(ids, result):
                self.desk.cancelled(ids, result, now_ms)
            case LookedUp(order_id, answer):
                self.desk.looked_up(order_id, answer, now_ms)
            case Surveyed():
                self.desk.surveyed(message, now_ms)
            case Missing(order_id, begun_ms):
                self.desk.missing(order_id, begun_ms, now_ms)
            case Resting(order_id, begun_ms):
                self.desk.resting(order_id, begun_ms, now_ms)
            case _:
                self.desk.heard(message, now_ms)
                self._look_for_late(message)

    def _look_for_late(self, event: PrivateEvent) -> None:
        """An order that its desk had proven away, or never knew, has come to rest: a request that
        the edge had held back. It is not to be filled beside its twin.
        """
        if isinstance(event, OrderSeen) and event.order_id not in self.desk.table:
            self.account.stray(event)

    def _note_end(self, tracked: Tracked) -> None:
        """An order that matches no more needs no look-up after a restart."""
        ended = Ended(self.condition_id, tracked.id, tracked.state.value)
        self.account.journal.note(ended)

    def _note_fault(self, tracked: Tracked, what: str) -> None:
        """Something outside the life cycle: the table has counted it. More shares than an order had
        are money that nobody can explain, and stop trading (F30).
        """
        logger.warning("order {}: {}", tracked.id[:10], what)
        if what == OVERFILLED:
            self.account.health.halt(Halt.OVERFILLED, f"order {tracked.id} was {what}")

    # --- requests ----------------------------------------------------------------------------

    async def _withdraw(self) -> None:
        """Cancel what rests, and again while a POST is under way that may bring more. An order that
        is refused leaves no trace at the venue: without its answer it has to be waited for as long
        as the edge may hold one. Those that the stream has told of need none.
        """
        await self._perform(CancelMarket())
        while self._posts() and self.desk.table.unseen():
            with trio.CancelScope(shield=True):
                await trio.sleep(FLATTEN_PAUSE_MOST_S)
            await self._perform(CancelMarket())
            self._drain()
        for request in self._posts():
            request.scope.cancel()

    def _posts(self) -> list[Request]:
        return [request for request in self._requests if request.posting]

    async def _perform(self, action: Action | CancelMarket) -> None:
        """Ask, shielded until the answer or the time-out, and put what it came to in the inbox."""
        request, answer = self.request(action), None
        reads = 2 if isinstance(action, Survey) else 1
        limit = reads * self.desk.params.post_timeout_s + 1
        with trio.move_on_after(limit, shield=True) as request.scope:
            if self._ending:
                request.wind_up()
            self._requests.append(request)
            try:
                answer = await self.ask(request)
            finally:
                self._requests.remove(request)
        if request.scope.cancelled_caught:
            answer = request.given_up()
        if answer is not None:
            self._put(answer)

    def request(self, action: Action | CancelMarket) -> Request:
        """An action as something to ask, from now on."""
        orders = action.orders if isinstance(action, Post) else ()
        asked, asked_ms = trio.current_time(), self.clock.now_ms()
        return Request(action, Leave(lambda: self._may_leave(orders, asked, asked_ms)))

    async def ask(self, request: Request) -> Message | None:
        """What a request comes to; None where nothing is to be heard."""
        match request.action:
            case Post(orders):
                return await self._post(orders, request.leave)
            case Cancel(ids):
                return CancelAnswered(ids, await self.client.cancel(ids))
            case LookUp(order_id):
                return LookedUp(order_id, await self.client.order(order_id))
            case Survey(since_ms):
                return await self._survey(since_ms)
            case Refresh(token):
                await self.client.refresh(token)
                return None
            case CancelMarket():
                answer = await self.client.cancel_market(self.condition_id)
                ids = tuple(tracked.id for tracked in self.desk.table.open())
                return CancelAnswered(ids, answer)

    async def _survey(self, since_ms: int) -> Surveyed:
        """Trades first: what they say is in the inbox before the answer that builds on it."""
        begun_ms = self.clock.now_ms()
        since_s = since_ms // 1000 - SURVEY_OVERLAP_S
        trades = await self.client.trades(after_s=since_s)
        if not isinstance(trades, Failure):
            await self.account.read(trades)
        rows = await self.client.open_orders(self.condition_id)
        return Surveyed(begun_ms, rows, not isinstance(trades, Failure))

    async def _post(self, orders: Sequence[SignedOrder], leave: Leave) -> Message:
        """Write the intents down first (S16). Leave is asked for before that, after that, and by
        the client once it has a connection.
        """
        unsent = Unsent(tuple(order.id for order in orders))
        if not leave.still():
            return unsent
        await self._write_down(orders)
        if not leave.still():
            return unsent
        sent_at = trio.current_time()
        results = await self.client.place(orders, leave)
        if leave.denied:
            return unsent
        self.account.stream.accepted(results, sent_at)
        return Posted(tuple(results))

    async def _write_down(self, orders: Sequence[SignedOrder]) -> None:
        try:
            await self.account.journal.append(*map(Intent.of, orders))
        except JournalFailed as failed:
            self.account.health.bad("journal", str(failed))

    def _may_leave(self, orders: Sequence[SignedOrder], asked: float, asked_ms: int) -> bool:
        """Nothing may have closed the gate since that was asked, nor may the disk, the dialling, a
        new tick, the market's timetable or a newer wish have made a quote of the past of it: what
        is in flight no cancel reaches.
        """
        firewall = self.desk.firewall
        if trio.current_time() - asked > LEAVES_WITHIN_S or self._closed():
            return False
        if firewall.machine.table.turns(asked_ms, self.clock.now_ms()):
            return False  # what may be asked for now is another turn's to say (S1)
        newest = self._wish or self.desk.desired
        return all(firewall.on_grid(it.order) and newest.bears(it.order) for it in orders)

    def _closed(self) -> bool:
        """A stop may come between the decision and the wire: then nothing leaves any more."""
        return self._ending or self.desk.firewall.admission.closed_because is not None

    # --- the end -------------------------------------------------------------------------------

    async def flatten(self) -> None:
        """Cancel what rests in this market and prove it: returns only when nothing of ours is open.

        Called when every task of the market has ended, so nothing can place an order behind it. The
        caller shields and bounds it. A venue that cannot be reached is asked less and less often.
        """
        self._drain()
        at_ns = self.clock.now_ns()
        self.core.fed(Closing(self.desk.market.slug), at_ns)
        self.close(at_ns // NS)
        ever = self.account.placed_in(self.condition_id)
        resting: list[OrderRow] | Failure | None = None if ever else []
        pause_s = FLATTEN_PAUSE_S
        while self._anything_open() or resting != []:
            if self._anything_open() or resting:
                await self._cancel_round()
            resting = self._here(await self.client.open_orders(self.condition_id))
            self._drain()
            if self._anything_open() or resting != []:
                await trio.sleep(pause_s)
                pause_s = min(2 * pause_s, FLATTEN_PAUSE_MOST_S)
        self.account.emptied(self.condition_id)

    def _here(self, rows: list[OrderRow] | Failure) -> list[OrderRow] | Failure:
        """Without orders that are known to be another market's: where the venue tells of all, none
        could be proven empty while any other is quoted, and all would be stopped for it.
        """
        if isinstance(rows, Failure):
            return rows
        maybe = (self.condition_id, None)
        return [row for row in rows if self.account.owner(row.order_id) in maybe]

    def close(self, now_ms: int) -> None:
        """From now on everything is withdrawn, whatever is wished."""
        self.desk.closing = True
        # All have ended, and what they came to is heard; an earlier flatten may have been cut off.
        self.desk.doubts.forget_requests(now_ms)

    def _anything_open(self) -> bool:
        return len(self.desk.table.open()) > 0

    async def _cancel_round(self) -> None:
        """All of the market first, then all that is in doubt at once: each read may be slow."""
        await self._ask_at_once([CancelMarket()])
        await self._ask_at_once(self.act(self.clock.now_ns()))

    async def _ask_at_once(self, actions: Sequence[Action | CancelMarket]) -> None:
        """What they come to is taken here, by who flattens alone (S18), and not through the inbox,
        where it might find no room; trades go before the survey that has read them.
        """
        answers: list[Message | None] = []

        async def ask(action: Action | CancelMarket) -> None:
            answers.append(await self.ask(self.request(action)))

        try:
            async with trio.open_nursery() as requests:
                for action in actions:
                    requests.start_soon(ask, action)
        finally:
            self._drain()
            for answer in answers:
                if answer is not None:
                    self._take(answer)
