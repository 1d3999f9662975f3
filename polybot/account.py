"""What belongs to the wallet: the ledger, who owns which order, and the way facts come in.

The account is the only writer of the ledger, which is sealed against all others. Every fact about
money or orders – a private event from the user stream or from REST, a merge, a result – goes
through `learn`: first to the journal, and only when it is durable into the books and, losslessly
and in order, to the market that owns the order. So the books after a restart are the books before
it. When the journal fails, facts are still applied, for risk must see a fill; the gate is closed
for good by then.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

import attrs
import trio

from polybot.approval_watch import ApprovalWatch
from polybot.channels import Bell
from polybot.clock import NS, Clock
from polybot.core_tape import AnsweredFor, CoreTape, Emptied, Learnt, Released, Seen
from polybot.domain.ledger import Ledger
from polybot.domain.market_books import SETTLED
from polybot.domain.orders import OrderSeen, PrivateEvent, TradeSeen
from polybot.execution.reconcile import OurOrder
from polybot.health import Health
from polybot.journal.entries import Entry, Moved, Told
from polybot.journal.recovery import apply
from polybot.journal.store import JournalFailed
from polybot.journal.writer import Journal
from polybot.risk.checks import Standing
from polybot.risk.exposure import OpenBids
from polybot.risk.limits import RiskParams
from polybot.risk.undone import UNDONE, Undone
from polybot.stream_trust import StreamTrust
from polybot.venue.clob import ClobClient
from polybot.wallet_standing import SPLITS, Read, WalletStanding

ENDED = (OrderSeen.Kind.DEAD, OrderSeen.Kind.MATCHED)
INBOX = 10_000  # a burst of two minutes at the busiest rate ever seen on a user stream
_Fact = TypeVar("_Fact", bound=Entry)
IDENTITY = "identity"  # the trouble's name while the venue does not take who we are


@attrs.frozen
class Route:
    """How the account reaches one market's orders task.

    `missing` hears of an open order that a list begun at the given time did not show, `resting` of
    an ended one that it did show; `orders` are all in the task's table.
    """

    hear: Callable[[PrivateEvent, int], None]
    missing: Callable[[str, int], None]
    resting: Callable[[str, int], None]
    orders: Callable[[], list[OurOrder]]


@attrs.define(eq=False, slots=False)
class Account(WalletStanding):
    client: ClobClient
    clock: Clock
    health: Health
    journal: Journal
    core: CoreTape
    ledger: Ledger = attrs.field(factory=Ledger)
    undone: Undone = attrs.field(factory=lambda: Undone(RiskParams()))
    began_ms: int = 0  # when this run began
    left_ms: int = 0  # when its journal was left: trades of before may be of what that has settled
    since_s: int = 0  # trades before this Unix second are in the balance we began with
    begun_s: int = 0  # the venue's second in which that was read: `since_s` may be earlier
    routes: dict[str, Route] = attrs.field(factory=dict)  # by condition id
    reserved: dict[str, int] = attrs.field(factory=dict)  # dollars open orders may spend, by market
    bids: dict[str, OpenBids] = attrs.field(factory=dict)  # the part of it known by outcome
    # Shares that asks may sell, by who answers for these and then by token.
    pledges: dict[str, dict[str, int]] = attrs.field(factory=dict)
    coming: dict[str, dict[str, int]] = attrs.field(factory=dict)  # likewise, toward its outcome
    claims: dict[str, int] = attrs.field(factory=dict)  # pairs that merges want or are under way
    unmergeable: dict[str, str] = attrs.field(factory=dict)  # markets whose pairs cannot be merged
    day_loss: int = 0  # dollars, by the loss watch: what today has cost so far, 0 or more
    changed: dict[str, Bell] = attrs.field(factory=dict)  # rung when a market's holdings change
    # Markets with a merge, split or redemption under way: their balances are in motion.
    moving: set[str] = attrs.field(factory=set)
    # Of those what has no end, long after any could come: the dollars that it may have brought.
    overdue: dict[str, int] = attrs.field(factory=dict)
    # Markets of which the chain leaves open whether a move was done again, and since when: nothing
    # more is moved there, and what differs is no drift yet.
    unclear: dict[str, int] = attrs.field(factory=dict)
    # Called before facts about money are booked, and after any are.
    before_booking: list[Callable[[int], None]] = attrs.field(factory=list)
    after_booking: list[Callable[[], None]] = attrs.field(factory=list)
    stream: StreamTrust = attrs.field(factory=StreamTrust)  # the user stream
    doubt: Bell = attrs.field(factory=Bell)  # rung when the reconciler should look now
    # Orders that rest and that no desk knows, and Trio's time at which they were told of last.
    strays: dict[str, float] = attrs.field(factory=dict)
    approvals: ApprovalWatch = attrs.field(init=False)
    refusal: str = ""  # in what words the venue has refused who we are, until it is judged
    refusals: int = 0  # how many times it has
    unplaced: set[str] = attrs.field(factory=set)  # told of as ours, and nobody here placed them
    _asked_after: set[str] = attrs.field(factory=set)  # those in markets without books, ever
    _released: set[str] = attrs.field(factory=set)  # markets whose orders have been forgotten
    _owners: dict[str, str] = attrs.field(factory=dict)  # order id → condition id
    _placed_in: set[str] = attrs.field(factory=set)  # markets that ever had an order of ours
    _booking: trio.Lock = attrs.field(factory=trio.Lock)
    _standings: dict[str, tuple[Read, Standing]] = attrs.field(factory=dict)  # by condition id

    def __attrs_post_init__(self) -> None:
        self.ledger.accounts.sealed = True
        self.approvals = ApprovalWatch(self.health)
        self._send, self._receive = trio.open_memory_channel[PrivateEvent](INBOX)

    # --- who owns which order -------------------------------------------------------------

    def own(self, order_id: str, condition_id: str) -> None:
        """Note whose order this is, before it is sent."""
        self._owners[order_id] = condition_id
        self._placed_in.add(condition_id)

    def owner(self, order_id: str) -> str | None:
        """The market an order of ours belongs to; None for one we do not know."""
        return self._owners.get(order_id)

    def placed_in(self, condition_id: str) -> bool:
        """Whether a market ever had an order of ours, and must be read to be called empty."""
        return condition_id in self._placed_in

    def emptied(self, condition_id: str) -> None:
        """A market is proven to have no open order."""
        self.core.fed(Emptied(condition_id))
        self.reserved[condition_id] = 0
        self.bids.pop(condition_id, None)
        self.pledges.pop(condition_id, None)

    def answer_for(
        self, who: str, dollars: int, shares: dict[str, int], coming: dict[str, int]
    ) -> None:
        """Count orders that no desk knows: what they may cost, the shares they bind, and those they
        may bring toward an outcome.
        """
        known = self.reserved.get(who, 0), self.pledges.get(who, {}), self.coming.get(who, {})
        if (dollars, shares, coming) != known:
            self.core.fed(AnsweredFor(who, dollars, shares, coming))
        self.reserved[who], self.pledges[who], self.coming[who] = dollars, shares, coming

    def outside(self, condition_id: str, closed_because: str | None) -> Seen:
        """What a market's turn reads of what others own."""
        return (
            closed_because,
            self.day_loss,
            self.claims.get(condition_id, 0),
            self.unmergeable.get(condition_id),
        )

    def release(self, condition_id: str) -> None:
        """Forget a settled market's order ids."""
        self.core.fed(Released(condition_id))
        self._released.add(condition_id)
        self._owners = {o: c for o, c in self._owners.items() if c != condition_id}
        self._placed_in.discard(condition_id)
        self.reserved.pop(condition_id, None)
        self.bids.pop(condition_id, None)
        for kept in (self.pledges, self.claims, self.unmergeable, self._standings):
            kept.pop(condition_id, None)
        self.changed.pop(condition_id, None)

    def standing(self, condition_id: str) -> Standing:
        """Reckoned anew only where what it is read from is not what it was: quoter and desk ask on
        every turn. What it is read from is compared, rather than whoever writes it trusted to say
        so: nothing can be forgotten.
        """
        now = self.read_for(condition_id)
        kept = self._standings.get(condition_id)
        if kept is not None and kept[0] == now:
            return kept[1]
        found = super().standing(condition_id)
        self._standings[condition_id] = (now.own(), found)
        return found

    # --- facts in ------------------------------------------------------------------------

    def heard(self, events: Iterable[PrivateEvent]) -> None:
        """Take private events from a stream, without waiting for the disk; `listen` goes on.

        One that finds no room ends every scope; the reconciler finds out what it said.
        """
        for event in events:
            self.stream.told(event)
            try:
                self._send.send_nowait(event)
            except trio.WouldBlock:
                self.health.bad("private events", "overflow")
                self.doubt.ring()

    @property
    def waiting(self) -> int:
        """Private events that have been heard and are not yet learnt."""
        return self._receive.statistics().current_buffer_used

    async def listen(self) -> None:
        """Learn what was heard, as much at a time as there is."""
        while True:
            events = [await self._receive.receive()]
            while True:
                try:
                    events.append(self._receive.receive_nowait())
                except trio.WouldBlock:
                    break
            await self.learn_of(events)

    async def read(self, trades: Sequence[TradeSeen]) -> None:
        """Learn trades that REST has told. Of those that are new here the stream owes us word."""
        for trade in trades:
            if self._placed(trade) and not self.ledger.has(trade):
                self.stream.read(trade, self.clock.now_ms())
        await self.learn_of(trades)

    def _placed(self, trade: TradeSeen) -> bool:
        return any(self.owner(leg.order_id) is not None for leg in trade.legs)

    async def learn_of(self, events: Iterable[PrivateEvent]) -> None:
        """Learn private events, those left out that say nothing new about money."""
        news = [event for event in map(self._here, events) if not self._is_old(event)]
        if news:
            await self.learn(*(Told(self._market_of(event), event) for event in news))

    async def learn(self, *facts: Entry) -> None:
        """Make facts durable, then book them and tell whom they concern. One caller at a time, so
        that the journal's order is the order in which they were applied.
        """
        async with self._booking:
            await self._keep(facts)

    async def learn_as(self, decide: Callable[[], tuple[_Fact, ...]]) -> tuple[_Fact, ...]:
        """Learn what the books call for when its turn has come, which may be nothing. Whoever read
        them before has waited behind facts that change them; and what the ledger cannot take is
        durable by then, and would end every start from now on.
        """
        async with self._booking:
            facts = decide()
            if facts:
                await self._keep(facts)
        return facts

    async def _keep(self, facts: tuple[Entry, ...]) -> None:
        """Who is cancelled meanwhile has handed them over: they will be written, and so are true
        here, too.
        """
        try:
            await self.journal.append(*facts)
        except JournalFailed as failed:
            self.health.bad("journal", str(failed))
        finally:
            at_ns = self.clock.now_ns()
            self.core.fed(Learnt(facts), at_ns)
            self.take(facts, at_ns // NS)

    def take(self, facts: Sequence[Entry], now_ms: int) -> None:
        """Book durable facts and tell whom they concern: the one place where the ledger is open,
        and nothing in it waits (S18).
        """
        accounts = self.ledger.accounts
        if not all(isinstance(f, Told) and isinstance(f.event, OrderSeen) for f in facts):
            for hear in self.before_booking:
                hear(now_ms)
        for fact in facts:
            accounts.sealed = False
            try:
                changed = apply(self.ledger, fact, now_ms)
            finally:
                accounts.sealed = True
            self._tell(fact, now_ms, changed=changed)
        for heed in self.after_booking:
            heed()

    def _tell(self, fact: Entry, now_ms: int, *, changed: bool) -> None:
        if isinstance(fact, Moved) and fact.step == "done" and not fact.again:
            self.claims.pop(fact.condition_id, None)  # in the step in which its shares go
            if fact.kind == "split":
                self.reserved[SPLITS] = max(0, self.reserved.get(SPLITS, 0) - fact.shares)
        if changed:
            bell = self.changed.get(getattr(fact, "condition_id", ""))
            if bell is not None:
                bell.ring()
        if not isinstance(fact, Told):
            return
        event, route = fact.event, self.routes.get(fact.condition_id)
        if route is not None:
            route.hear(event, now_ms)
        if isinstance(event, TradeSeen) and event.status in SETTLED:
            why = self.undone.ended(event.trade_id, event.status, now_ms)
            if why is not None:
                self.health.bad(UNDONE, why)
        if isinstance(event, TradeSeen) and fact.condition_id not in self._released:
            self._suspect(*(leg.order_id for leg in event.legs))
        if isinstance(event, OrderSeen):
            if event.kind in ENDED:
                self.strays.pop(event.order_id, None)
            elif route is None:
                self.stray(event)

    def refused(self, why: str) -> None:
        """The venue does not take who we are. Nothing is placed until the reconciler knows whether
        our clock is why: each request is signed with its time.
        """
        self.refusal = why
        self.refusals += 1
        self.health.bad(IDENTITY, why)
        self.doubt.ring()

    def stray(self, event: OrderSeen) -> None:
        """An order of ours rests that no desk knows: it was proven away and came all the same, or
        its scope has ended. The reconciler withdraws it, without waiting until it is due.
        """
        if event.kind in ENDED:
            return
        self._suspect(event.order_id)
        if self.owner(event.order_id) is not None:
            new = event.order_id not in self.strays
            self.strays[event.order_id] = trio.current_time()
            if new:  # the reconciler's own looks tell of the others, and it has its pace for them
                self.doubt.ring()

    def _suspect(self, *order_ids: str) -> None:
        """Whoever trades with our key and is not us: their order may have been filled, and be gone,
        before any list shows it (F27). The reconciler looks it up at once.
        """
        unplaced = {order_id for order_id in order_ids if self.owner(order_id) is None}
        if unplaced - self.unplaced:
            self.unplaced |= unplaced
            self.doubt.ring()

    def _left_out(self, trade: TradeSeen) -> bool:
        """Whether it is of before our books, of a run whose journal is lost (brief seed 4430), or
        of a market that they do not know: one that an earlier run has settled, or somebody else's,
        or of a later run than these books are of, which are looked into.
        """
        if trade.matched_s < self.begun_s and trade.matched_s and not self._placed(trade):
            return True
        if trade.condition_id in self.ledger.books:
            return False
        since_ms = self.left_ms if trade.matched_s else self.began_ms
        if (trade.matched_s or trade.at_ms // 1000) >= since_ms // 1000:
            orders = {*(leg.order_id for leg in trade.legs), *trade.elsewhere} - self._asked_after
            self._asked_after |= orders
            self._suspect(*(o for o in orders if self.is_foreign(o, trade.condition_id)))
        return True

    def is_foreign(self, order_id: str, condition_id: str) -> bool:
        """Whether an order is somebody else's, as far as we have not forgotten our own there."""
        return self.owner(order_id) is None and condition_id not in self._released

    def _here(self, event: PrivateEvent) -> PrivateEvent:
        """Without what another wallet of our key has traded, and without what no books are there
        for. An order that we placed is ours whatever the row says: to miss a fill would be worse
        than to doubt one.
        """
        if isinstance(event, TradeSeen) and self._left_out(event):
            return attrs.evolve(event, legs=(), elsewhere=())
        if not isinstance(event, TradeSeen) or not event.elsewhere:
            return event
        theirs = {order_id for order_id in event.elsewhere if self.owner(order_id) is None}
        self._suspect(*theirs)
        legs = tuple(leg for leg in event.legs if leg.order_id not in theirs)
        return attrs.evolve(event, legs=legs, elsewhere=())

    def _is_old(self, event: PrivateEvent) -> bool:
        """Whether it says nothing new about our money."""
        return isinstance(event, TradeSeen) and (not event.legs or self.ledger.knows(event))

    def _market_of(self, event: PrivateEvent) -> str:
        """The market that owns an event; empty where nobody does."""
        if isinstance(event, OrderSeen):
            return self._owners.get(event.order_id, "")
        return event.condition_id
