"""Orders of ours that no desk knows, each counted until its end is proven.

They are an earlier run's, or a scope's that has ended before it knew what became of them, or they
came late, from a request that the edge had held back. What may cost dollars or shares is told to
the account, for every desk's last check; what rests is withdrawn.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Sequence, Set as AbstractSet

import attrs
import trio

from polybot.account import Account
from polybot.asking import Asking
from polybot.clock import Clock
from polybot.domain.market import Outcome, Side
from polybot.domain.orders import EDGE_S, OrderRow, OrderSeen, as_bid
from polybot.domain.units import notional
from polybot.execution.table import KEEP_DEAD_MS
from polybot.execution.tracked import Tracked
from polybot.journal.entries import ABSENT, Ended, Entry, Intent, Told
from polybot.venue.clob import ClobClient

# Exposure that no desk counts: until their end is proven, and until the venue shows them no more.
DOUBTFUL, LATE = "orders without a desk", "late orders"
UNTOLD = "fills without a desk"  # spent, and not booked: their trades lag behind


LOOK_UPS = 10  # at a time


async def _each(ids: Sequence[str], look: Callable[[str], Awaitable[None]]) -> None:
    """Some at once: where none is answered, one market's orders would else hold up for minutes what
    compares the wallet's books for all.
    """
    limit = trio.CapacityLimiter(LOOK_UPS)

    async def one(order_id: str) -> None:
        async with limit:
            await look(order_id)

    async with trio.open_nursery() as nursery:
        for order_id in ids:
            nursery.start_soon(one, order_id)


@attrs.frozen
class _Doubt:
    """An order whose end is not proven, and Trio's time from which its absence proves it."""

    intent: Intent
    until: float


@attrs.frozen
class _Lagging:
    """An order of which more is matched than was told, and Trio's time until which that counts."""

    tracked: Tracked
    until: float


@attrs.frozen
class _Remainder:
    """An order that no desk knows: what is left of it, and the bid that it stands for. Of a market
    without books tokens are not known.
    """

    token: str
    side: Side
    toward: str  # the token of the outcome that its fills make us hold more of, net
    bid_price: int
    left: int


@attrs.define(eq=False)
class Adrift:
    client: ClobClient
    clock: Clock
    account: Account
    # Who is told of an order that stays, whatever is cancelled.
    on_stays: Callable[[str], None] = lambda _: None
    again: Asking = attrs.field(factory=Asking)  # when strays are withdrawn again
    _doubtful: dict[str, _Doubt] = attrs.field(factory=dict)  # by order id
    _listed: list[OrderRow] = attrs.field(factory=list)  # late ones, by the venue's latest list
    _shown: dict[str, OrderRow] = attrs.field(factory=dict)  # strays, as they were looked up last
    _lagging: dict[str, _Lagging] = attrs.field(factory=dict)  # by order id
    _looked_up: Asking = attrs.field(factory=Asking)  # when the doubtful are
    # Strays by Trio's time from which they are asked for less and less often.
    _patient_from: dict[str, float] = attrs.field(factory=dict)
    _stay: set[str] = attrs.field(factory=set)  # strays that have been told of as such

    def __attrs_post_init__(self) -> None:
        self.account.after_booking.append(self._booked)

    def look_after(self, intents: Iterable[Intent]) -> int:
        """Take over orders whose end is not proven, of an earlier run or of a scope that has ended:
        they count like every order whose fate is not known, for as long as the edge may hold them.
        Returns how many.
        """
        until = trio.current_time() + EDGE_S
        taken = {intent.order_id: _Doubt(intent, until) for intent in intents}
        if taken:
            self._doubtful |= taken
            self._answer_for_doubtful()
        return len(taken)

    def await_told(self, lagging: Iterable[Tracked]) -> None:
        """Keep what orders of a scope that has ended have spent or sold, and no trade has told: it
        was nobody's until its trade came, and others could spend it again. For as long as a desk
        waits for a trade.
        """
        until = trio.current_time() + KEEP_DEAD_MS / 1000
        self._lagging |= {one.id: _Lagging(one, until) for one in lagging}
        self._answer_for_lagging()

    def _booked(self) -> None:
        """What a trade has told is in the books from this step on, and not to come as well."""
        if self._lagging:
            self._answer_for_lagging()

    def _answer_for_lagging(self) -> None:
        now, dollars = trio.current_time(), 0
        pledges: Counter[str] = Counter()
        coming: Counter[str] = Counter()
        for order_id, lagging in list(self._lagging.items()):
            one = self._as_told(lagging.tracked)
            if now > lagging.until or not one.untold:
                del self._lagging[order_id]
                continue
            dollars += one.unbooked
            coming[one.order.market.token(one.order.toward)] += one.untold
            if one.order.selling:  # its risk counts as that of the bid that it stands for
                dollars += notional(one.order.bid_price, one.untold)
                pledges[one.order.token] += one.untold
        self.account.answer_for(UNTOLD, dollars, dict(pledges), dict(coming))

    def _as_told(self, tracked: Tracked) -> Tracked:
        """With what the ledger has learnt since its desk has gone."""
        books = self.account.ledger.books.get(tracked.order.market.condition_id)
        booked = () if books is None else books.trades.items()
        later = sum(
            leg.shares * times
            for (trade_id, order_id), trade in booked
            if order_id == tracked.id and trade_id not in tracked.fills
            for leg, times in trade.legs.items()
        )
        return attrs.evolve(tracked, told=tracked.told + later)

    async def found(self, intent: Intent, row: OrderRow) -> None:
        """A look-up of a doubtful order has found it: learn what it proves."""
        seen = OrderSeen(row.order_id, row.kind, row.matched, row.text, self.clock.now_ms())
        facts: list[Entry] = [Told(intent.condition_id, seen)]
        if row.kind in (OrderSeen.Kind.DEAD, OrderSeen.Kind.MATCHED):
            facts.append(Ended(intent.condition_id, intent.order_id, row.kind.value))
            self._doubtful.pop(intent.order_id, None)
        await self.account.learn(*facts)

    async def ended(self, intent: Intent, state: str) -> None:
        """A doubtful order matches no more, by what the venue has said or has not."""
        if self._doubtful.pop(intent.order_id, None) is not None:
            await self.account.learn(Ended(intent.condition_id, intent.order_id, state))

    def note_strays(self, rows: Iterable[OrderRow]) -> None:
        """Of a look that is not whole: what no desk knows is withdrawn by its id all the same."""
        known = {it.order_id for route in self.account.routes.values() for it in route.orders()}
        for row in rows:
            if row.order_id not in known:
                at_ms = self.clock.now_ms()
                self.account.stray(OrderSeen(row.order_id, row.kind, row.matched, row.text, at_ms))

    async def withdraw_strays(self) -> None:
        """Cancel what rests and no desk knows, by its id: the list may not show it yet (F48). Asked
        again until the venue says that it has ended, or nobody has told of it for long. One that
        stays for longer than the edge holds anything is never left, and asked for less and less
        often: the venue takes only so many requests, and each look for it is a dozen.
        """
        strays, now = self.account.strays, trio.current_time()
        for order_id, told_at in list(strays.items()):
            if now > told_at + EDGE_S:
                del strays[order_id]
        self._patient_from = {one: self._patient_from.get(one, now + EDGE_S) for one in strays}
        self._stay &= strays.keys()
        due = self.again.due(strays)
        if due:
            await self.client.cancel(due)
        await _each(due, self._look_for_stray)
        self._answer_for_late()

    async def _look_for_stray(self, order_id: str) -> None:
        row = await self.client.order(order_id)
        if isinstance(row, OrderRow):
            seen = OrderSeen(order_id, row.kind, row.matched, row.text, self.clock.now_ms())
            self._shown[order_id] = row
            await self.account.learn_of([seen])
        if order_id in self.account.strays and trio.current_time() > self._patient_from[order_id]:
            self._stays(order_id)

    def _stays(self, order_id: str) -> None:
        self.again.in_vain(order_id)
        if order_id not in self._stay:
            self._stay.add(order_id)
            self.on_stays(order_id)

    async def visit(self) -> None:
        """Look again for orders that nobody has seen; after the edge's patience they never were.
        What cannot be looked up counts for as long, and is asked for less and less often.
        """
        await _each(self._looked_up.due(self._doubtful), self._look_for_doubtful)
        self._answer_for_doubtful()
        self._answer_for_lagging()

    async def _look_for_doubtful(self, order_id: str) -> None:
        doubt = self._doubtful.get(order_id)
        if doubt is None:
            return  # its end was told while it waited for its turn
        late, intent = trio.current_time() >= doubt.until, doubt.intent
        row = await self.client.order(order_id)
        if isinstance(row, OrderRow):
            await self.found(intent, row)
        elif row is None and late:
            await self.ended(intent, ABSENT)
        elif late:
            self._looked_up.in_vain(order_id)

    @property
    def doubtful(self) -> AbstractSet[str]:
        """Those whose end is not proven, by id: they count as if they rested."""
        return self._doubtful.keys()

    @property
    def orders(self) -> AbstractSet[str]:
        """All that rest or may, and that no desk knows, by id."""
        listed = {row.order_id for row in self._listed}
        return self._doubtful.keys() | self.account.strays.keys() | listed

    @property
    def may_come(self) -> int:
        """Orders that nobody has seen, and that may come to rest yet."""
        return len(self._doubtful)

    def left_in(self, condition_id: str) -> bool:
        """Whether an order of this market may be filled yet, or has been and no trade has told it,
        and no desk knows of it any more.
        """
        markets = {doubt.intent.condition_id for doubt in self._doubtful.values()}
        markets |= {one.tracked.order.market.condition_id for one in self._lagging.values()}
        owners = map(self.account.owner, self.account.strays)
        return condition_id in markets or condition_id in owners

    def _answer_for_doubtful(self) -> None:
        found: list[_Remainder] = []
        for doubt in self._doubtful.values():
            it, books = doubt.intent, self.account.ledger.books.get(doubt.intent.condition_id)
            token = books.market.token(it.outcome) if books is not None else ""
            found.append(self._remainder(it.condition_id, token, it.side, it.price, it.size))
        self._answer_for(DOUBTFUL, found)

    def _remainder(
        self, condition_id: str, token: str, side: Side, price: int, left: int
    ) -> _Remainder:
        _, bid_price = as_bid(Outcome.UP, side, price)  # of either outcome the same
        books, toward = self.account.ledger.books.get(condition_id), token
        if side is Side.SELL:
            pair = map(books.market.token, Outcome) if books is not None else ()
            toward = next((one for one in pair if one != token), "")
        return _Remainder(token, side, toward, bid_price, left)

    def answer_for_late(self, rows: Iterable[OrderRow]) -> None:
        """Count those that the venue's list shows."""
        self._listed = [*rows]
        self._answer_for_late()

    def _answer_for_late(self) -> None:
        """With the strays that it does not show: the venue has told of them by their ids."""
        strays, shown = self.account.strays, self._shown
        self._shown = {order_id: row for order_id, row in shown.items() if order_id in strays}
        counted = self._doubtful.keys() | {row.order_id for row in self._listed}
        unlisted = [row for order_id, row in self._shown.items() if order_id not in counted]
        late = [
            self._remainder(it.condition_id, it.token, it.side, it.price, it.size - it.matched)
            for it in (*self._listed, *unlisted)
        ]
        self._answer_for(LATE, late)

    def _answer_for(self, who: str, orders: Sequence[_Remainder]) -> None:
        """Count orders that no desk knows. A sale binds its shares; of its risk nobody could tell
        the market's desk, so it counts as the bid that it stands for. What either may bring leaves
        the desk less room, and no reason to take the same once more (S7).
        """
        dollars = sum(notional(order.bid_price, order.left) for order in orders)
        pledges: Counter[str] = Counter()
        coming: Counter[str] = Counter()
        for order in orders:
            coming[order.toward] += order.left
            if order.side is Side.SELL:
                pledges[order.token] += order.left
        self.account.answer_for(who, dollars, dict(pledges), dict(coming))
