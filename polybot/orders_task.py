"""The orders task of a market scope: runs one desk, alone writes its table, and empties it at the
end.

Wishes come latest-only, private events and replies losslessly and in order through one bounded
channel; an overflow of that channel is a fault, never a drop. Requests run beside the task so that
a slow POST cannot hold up a cancel; each is shielded until its answer or its time-out, because a
sent order is a fact whose id we want to know (trio.md 4), and what it came to returns through the
same channel.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

import attrs
import trio
from loguru import logger

from polybot.account import Account, Route
from polybot.clock import Clock
from polybot.domain.orders import (
    CancelResult,
    Failure,
    OrderRow,
    PostResult,
    PrivateEvent,
    SignedOrder,
    Unknown,
)
from polybot.execution.desk import Action, Cancel, Desired, Desk, LookUp, Post
from polybot.health import Fault
from polybot.venue.clob import ClobClient

INBOX = 10_000  # a burst of two minutes at the busiest rate ever seen on a user stream
STOP_PATIENCE_S = 1.0  # how long a POST on the wire may still tell its fate once we are stopping
FLATTEN_PAUSE_S = 0.05  # between reads: long enough for a POST in flight to land on a quick venue


@attrs.frozen
class Wish:
    """A new wish lies in the slot."""


@attrs.frozen
class Posted:
    results: tuple[PostResult, ...]


@attrs.frozen
class Unsent:
    ids: tuple[str, ...]


@attrs.frozen
class CancelAnswered:
    ids: tuple[str, ...]
    result: CancelResult


@attrs.frozen
class LookedUp:
    order_id: str
    answer: OrderRow | Failure | None


@attrs.frozen
class Missing:
    order_id: str
    read_started_ms: int


Message = Wish | Posted | Unsent | CancelAnswered | LookedUp | Missing | PrivateEvent


@attrs.define(eq=False, slots=False)
class OrdersTask:
    desk: Desk
    client: ClobClient
    account: Account
    clock: Clock
    stopping: Callable[[], bool]
    on_change: Callable[[], None] = lambda: None
    _wish: Desired | None = None
    _requests: set[trio.CancelScope] = attrs.field(factory=set)

    def __attrs_post_init__(self) -> None:
        self._send, self._receive = trio.open_memory_channel[Message](INBOX)
        self.route = Route(
            hear=self._put,
            missing=lambda order_id, at_ms: self._put(Missing(order_id, at_ms)),
            open_ids=lambda: [t.id for t in self.desk.table.open()],
        )

    @property
    def condition_id(self) -> str:
        return self.desk.market.condition_id

    def _put(self, message: Message) -> None:
        try:
            self._send.send_nowait(message)
        except trio.WouldBlock:
            raise Fault("orders inbox overflows") from None

    def wish(self, desired: Desired) -> None:
        """Replace the wish; only the newest is ever acted on."""
        if self._wish is None:
            self._put(Wish())
        self._wish = desired

    # --- while the market runs -------------------------------------------------------------

    async def run(self) -> None:
        async with trio.open_nursery() as requests:
            while True:
                now_ms = self.clock.now_ms()
                for action in self.desk.act(now_ms, self.account.standing(self.condition_id)):
                    requests.start_soon(self._perform, action)
                self.account.reserved[self.condition_id] = self.desk.reserved
                self.on_change()
                due = self.clock.trio_time(self.desk.next_due_ms(now_ms))
                with trio.move_on_at(due):
                    self._apply(await self._receive.receive())
                self._drain()

    def _drain(self) -> None:
        while True:
            try:
                self._apply(self._receive.receive_nowait())
            except trio.WouldBlock:
                return

    def _apply(self, message: Message) -> None:
        now_ms = self.clock.now_ms()
        match message:
            case Wish():
                if self._wish is not None:
                    self.desk.desired, self._wish = self._wish, None
            case Posted(results):
                self.desk.posted(results, now_ms)
                self._tell_refusals(results)
            case Unsent(ids):
                self.desk.unsent(ids, now_ms)
            case CancelAnswered(ids, result):
                self.desk.cancelled(ids, result, now_ms)
            case LookedUp(order_id, answer):
                self.desk.looked_up(order_id, answer, now_ms)
            case Missing(order_id, started_ms):
                self.desk.missing(order_id, started_ms, now_ms)
            case _:
                self.desk.heard(message, now_ms)

    def _tell_refusals(self, results: Sequence[PostResult]) -> None:
        for result in results:
            if isinstance(result, Unknown):
                logger.warning("order {} has no answer: {}", result.order_id[:10], result.why)

    # --- requests ----------------------------------------------------------------------------

    async def _perform(self, action: Action) -> None:
        match action:
            case Post(orders):
                await self._shielded(lambda: self._post(orders), self._lost(orders))
            case Cancel(ids):
                await self._shielded(lambda: self._cancel(ids), None)
            case LookUp(order_id):
                await self._shielded(
                    lambda: self._look_up(order_id), LookedUp(order_id, _NO_ANSWER)
                )

    @staticmethod
    def _lost(orders: tuple[SignedOrder, ...]) -> Posted:
        return Posted(tuple(Unknown(o.id, "given up while stopping") for o in orders))

    async def _shielded(
        self, request: Callable[[], Awaitable[Message]], otherwise: Message | None
    ) -> None:
        limit = self.desk.params.post_timeout_s + 1
        with trio.move_on_after(
            STOP_PATIENCE_S if self.stopping() else limit, shield=True
        ) as scope:
            self._requests.add(scope)
            try:
                otherwise = await request()
            finally:
                self._requests.discard(scope)
        if otherwise is not None:
            self._put(otherwise)

    def hurry(self) -> None:
        """The program stops: requests on the wire get a second more, not their whole time-out."""
        for scope in self._requests:
            scope.deadline = min(scope.deadline, trio.current_time() + STOP_PATIENCE_S)

    async def _post(self, orders: tuple[SignedOrder, ...]) -> Message:
        """Place, unless the gate has closed since the decision: a stop may come between the two."""
        if self.desk.firewall.admission.closed_because is not None:
            return Unsent(tuple(order.id for order in orders))
        return Posted(tuple(await self.client.place(orders)))

    async def _cancel(self, ids: tuple[str, ...]) -> Message:
        return CancelAnswered(ids, await self.client.cancel(ids))

    async def _look_up(self, order_id: str) -> Message:
        return LookedUp(order_id, await self.client.order(order_id))

    # --- the end -------------------------------------------------------------------------------

    async def flatten(self) -> None:
        """Cancel what rests in this market and prove it: returns only when nothing of ours is open.

        Called when every task of the market has ended, so nothing can place an order behind it. The
        caller shields and bounds it.
        """
        self.desk.closing = True
        self._drain()
        resting: list[OrderRow] | Failure | None = None if self.desk.counts.orders else []
        while self._anything_open() or resting != []:
            if self._anything_open() or resting:
                await self._cancel_round()
            resting = await self.client.open_orders(self.condition_id)
            self._drain()
            if self._anything_open() or resting != []:
                await trio.sleep(FLATTEN_PAUSE_S)
        self.account.reserved[self.condition_id] = 0

    def _anything_open(self) -> bool:
        return len(self.desk.table.open()) > 0

    async def _cancel_round(self) -> None:
        answer = await self.client.cancel_market(self.condition_id)
        open_ids = tuple(t.id for t in self.desk.table.open())
        self._apply(CancelAnswered(open_ids, answer))
        self._drain()
        for order_id in [t.id for t in self.desk.table.open()]:
            self._apply(await self._look_up(order_id))
            self._drain()


_NO_ANSWER = Failure("given up while stopping")
