"""The reconciler: the venue's books beside ours, at the start, on a cadence and after every doubt.

It brings in trades that no stream has told us of, and compares orders and balances. Every
difference is of a kind (execution/reconcile.py), every kind has its act below, and each is counted,
logged and in the summary. Nothing is decided on one absent read.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Iterable, Sequence, Set as AbstractSet

import attrs
import trio
from loguru import logger

from polybot.account import IDENTITY, Account, Route
from polybot.adrift import Adrift
from polybot.asking import Asking
from polybot.balances import Balances
from polybot.clock import Clock
from polybot.domain.halts import Halt
from polybot.domain.orders import Failure, OrderRow, OrderSeen
from polybot.execution.reconcile import Difference, Kind, OurOrder, order_differences
from polybot.health import Health
from polybot.heartbeat import Heartbeat
from polybot.journal.entries import TradesRead
from polybot.loop_watch import LOOP
from polybot.payments import Payments
from polybot.records import Records
from polybot.right_time import CLOCK, RightTime
from polybot.risk.undone import UNDONE
from polybot.venue.clob import ClobClient

RECONCILE_EVERY_S = 20.0
RECONCILE_RETRY_S = 1.0
LEAST_S = 2.0  # from look to look, however often somebody rings: a venue may lie, and it counts
BLIND_AFTER = 2
TRADES_OVERLAP_S = 120  # for rows that are listed late, and for a clock that is ahead
WATERMARK_EVERY_S = 30  # an older one than the last is as good: some trades are read once more
# One that is retried for longer, perhaps for ever (clob.md 5.1), is asked for by its id: a list of
# all trades since would grow until it cannot be read.
SETTLES_WITHIN_S = 300
UNPLACED_AT_ONCE, UNPLACED_S = 10, 5.0  # look-ups in one look, and from when on none is begun
CANCEL_PAUSE_S, CANCEL_PAUSE_MOST_S = 0.05, 0.4
# Requests that a link has held up come together; who refuses us otherwise does so soon again.
SLIP_LASTS_S, SLIP_AGAIN_S = 5.0, 60.0
SHUT_MOST_S = 300.0  # for a venue that refuses us even the time to think better of it
UNAUTHORISED = "HTTP 401"
LOOKED_AFTER = ("orders inbox", "private events", LOOP)  # troubles that a look ends
PROOF_S = 10.0  # for the chain to explain what differs; a start gives it as long (restart.py)
LATE_LOOK_S = 0.5  # from look to look for what may come late, when nothing else is left to do
AWAY_PAUSE_S = 1.0  # between cancel-alls to an engine that says it takes none


async def _never(_markets: AbstractSet[str] = frozenset()) -> bool:
    return False


@attrs.define(eq=False, slots=False)
class Reconciler:
    """`read_until_s`: trades before this Unix second have been read."""

    client: ClobClient
    clock: Clock
    health: Health
    account: Account
    heartbeat: Heartbeat
    records: Records
    payments: Payments
    grace_ms: int  # how old an order's last move must be before a list that contradicts it counts
    moved_again: Callable[..., Awaitable[bool]] = _never  # may be told which markets come first
    on_late: Callable[[Sequence[OrderRow]], None] = lambda _: None
    on_unlisted: Callable[[Iterable[str]], None] = lambda _: None
    read_until_s: int = 0
    engine_away: str | None = None  # what the venue said when it last took no cancels
    time: RightTime = attrs.field(init=False)
    adrift: Adrift = attrs.field(init=False)
    _watermark_s: int = 0  # as it was last written down
    _asking: Asking = attrs.field(factory=Asking)  # when what we have not placed is looked up
    _turn: int = 0  # whose it was, of the trades that are asked for by id
    _slipped_at: float = -math.inf  # when a refusal was last taken for a request that came late
    _shut_since: float = math.inf  # since when the venue refuses us the time as well
    _misses: int = 0  # reconciliations in a row that failed
    _noted: set[str] = attrs.field(factory=set)  # differences of the last look

    def __attrs_post_init__(self) -> None:
        self.balances = Balances(self.client, self.clock, self.account)
        self.adrift = Adrift(self.client, self.clock, self.account, self._note_stays)
        self.time = RightTime(self.client, self.clock, self.health, self.account.doubt)
        self.account.before_booking.append(self.balances.remember)

    async def run(self) -> None:
        """Compare with the venue's books at start, on a cadence, and
        whenever something is in doubt.
        """
        while True:
            began = trio.current_time()
            await self._judge_refusal()
            await self.adrift.withdraw_strays()
            await self.account.approvals.judge(self.client)
            agreed = await self.reconcile() and not self.balances.differing
            await self.time.make_sure()
            if CLOCK in self.health.troubles:
                await self.time.set()
                continue
            pause_s = self._pause_s() if agreed else RECONCILE_RETRY_S
            with trio.move_on_after(max(pause_s, self.balances.soonest_s)):
                await self.account.doubt.wait()
                await trio.sleep_until(began + max(LEAST_S, self.balances.soonest_s))

    def _pause_s(self) -> float:
        """Until the next look, where the books agree: sooner where somebody waits for it."""
        if self.account.refusal:
            return RECONCILE_RETRY_S
        soonest = min(
            self.adrift.again.soonest(self.account.strays),
            self._asking.soonest(self.account.unplaced),
        )
        in_s = soonest - trio.current_time()
        return min(RECONCILE_EVERY_S, max(RECONCILE_RETRY_S, in_s))

    async def reconcile(self) -> bool:
        """One look: the clock, trades since the watermark, open orders, balances, and what they
        imply.

        A single failed read proves nothing; two in a row mean that we are blind.
        """
        started_ms = self.clock.now_ms()
        stream, heart = self.account.stream, self.heartbeat
        session, was_beating, lost = stream.sessions, heart.beating, heart.lost
        stood = self.health.standing(*LOOKED_AFTER)
        unread = await self.read_trades()
        await self._judge_unplaced()  # before what they have changed is taken for a drift
        rows = await self.client.open_orders()
        asked_at = trio.current_time()
        venue_s = await self.client.server_time()
        if unread or isinstance(rows, Failure) or isinstance(venue_s, Failure):
            self.adrift.note_strays([] if isinstance(rows, Failure) else rows)
            self.on_unlisted(self.account.strays)
            self._misses += 1
            if self._misses >= BLIND_AFTER:
                failed = [r.what for r in (rows, venue_s, unread) if isinstance(r, Failure)]
                self.health.bad("reconciler", failed[0])
            return False
        self._misses = 0
        self.time.judge(asked_at, venue_s)
        await self._compare(rows, started_ms)
        await self.adrift.visit()
        drifts = await self.balances.compare(doubt=self.payments.doubt_s > 0)
        if drifts:
            # A node that hangs takes its time for each of dozens of windows.
            with trio.move_on_after(PROOF_S):
                if await self.moved_again({drift.condition_id for drift in drifts}):
                    drifts = []  # the books are others now
        for drift in drifts:
            if self.balances.halt(drift):
                self._note(drift)
        await self.payments.look(surplus=self.balances.surplus, more=self.balances.more)
        self.health.good("reconciler")
        for name, told in stood.items():  # what comes meanwhile may be of later than what was read
            self.health.good(name, told)
        if self.account.undone.over(self.clock.now_ms()):
            self.health.good(UNDONE)
        if stream.open and session == stream.sessions:
            self.health.good("user stream")
        if was_beating and lost == heart.lost:
            self.health.good("heartbeat")
        return True

    async def read_trades(self) -> Failure | None:
        """Learn trades since the watermark; why they could not be read, if so."""
        started_ms = self.clock.now_ms()
        trades = await self.client.trades(after_s=self._trades_wanted_from_s())
        if isinstance(trades, Failure):
            return trades
        await self.account.read(trades)
        await self._read_stuck()
        self.read_until_s = started_ms // 1000
        self._note_watermark()
        return None

    def _note_watermark(self) -> None:
        """Write down for the next start how far trades were read, behind what they have said. By a
        clock that was set back it is another one at once.
        """
        if not 0 <= self.read_until_s - self._watermark_s < WATERMARK_EVERY_S:
            self._watermark_s = self.read_until_s
            self.account.journal.note(TradesRead(self._watermark_s))

    async def _read_stuck(self) -> None:
        """One of the trades that no list reaches back to, each in its turn: there may be many. No
        answer is no news.
        """
        unsettled = self.account.ledger.unsettled().items()
        if stuck := [trade_id for trade_id, at_ms in unsettled if not self._listed(at_ms)]:
            self._turn = (self._turn + 1) % len(stuck)
            trades = await self.client.trades(trade_id=stuck[self._turn])
            if not isinstance(trades, Failure):
                await self.account.learn_of(trades)

    def _listed(self, told_ms: int) -> bool:
        """Whether a list goes back to a trade that has not settled."""
        return told_ms // 1000 >= self.read_until_s - SETTLES_WITHIN_S

    def _trades_wanted_from_s(self) -> int:
        """From the watermark, or a trade that settles yet, less an overlap; never from before our
        start, for those trades are in the balance we began with.
        """
        settling = filter(self._listed, self.account.ledger.unsettled().values())
        until_s = min([self.read_until_s, *(told_ms // 1000 for told_ms in settling)])
        return max(self.account.since_s, until_s - TRADES_OVERLAP_S)

    # --- who we are --------------------------------------------------------------------------

    async def _judge_refusal(self) -> None:
        """Credentials, a region or an account that are refused are an operator's business (F42,
        F43). A clock that is off is ours, and whatever it has signed may be refused for it. So may
        a request that was held up: how old a signature may be is not known (clob.md 2.2).
        """
        why, times = self.account.refusal, self.account.refusals
        if not why:
            return
        if (no_time := await self.time.ask()) is not None:
            self._judge_shut(why, no_time)
            return  # nothing is placed meanwhile, and the next round asks again
        self._shut_since = math.inf
        if CLOCK not in self.health.troubles and not self.time.new:
            rows = await self.client.open_orders()
            if isinstance(rows, Failure) and not rows.refused:
                return
            if isinstance(rows, Failure) or UNAUTHORISED not in why or not self._forgiven():
                self.health.halt(Halt.VENUE_REFUSES, why)
            else:
                logger.warning("refused, and taken when asked again: {}", why)
        if self.account.refusals == times:  # else it was refused once more while we asked
            self.account.refusal = ""
            self.health.good(IDENTITY)

    def _judge_shut(self, why: str, no_time: Failure) -> None:
        """The time is anybody's to read. Whether our clock is why we are refused cannot be known
        where it is refused, too; that this lasts is for the operator to look at (F42).
        """
        if not no_time.refused:
            return
        now = trio.current_time()
        if self._shut_since == math.inf:
            self._shut_since = now
            logger.warning("refused, and the time as well: {}; {}", why, no_time.what)
        if now >= self._shut_since + SHUT_MOST_S:
            self.health.halt(Halt.VENUE_REFUSES, f"{why}; and its time as well")

    def _forgiven(self) -> bool:
        """Take a refusal for one of a request that came late, and say whether it may be: what comes
        between a few seconds and a minute after such a one is not.
        """
        since_s = trio.current_time() - self._slipped_at
        if since_s < SLIP_AGAIN_S:
            return since_s <= SLIP_LASTS_S
        self._slipped_at = trio.current_time()
        return True

    # --- differences -----------------------------------------------------------------------

    async def _compare(self, rows: list[OrderRow], begun_ms: int) -> None:
        known = [order for route in self.account.routes.values() for order in route.orders()]
        self._pass_on(rows, known)
        is_ours = lambda order_id: self.account.owner(order_id) is not None  # noqa: E731
        found = order_differences(known, is_ours, rows, begun_ms, self.grace_ms)
        for one in found:
            if one.text not in self._noted:  # it is told once for as long as it lasts
                self._note(one)
        self._noted = {one.text for one in found}
        for kind, act in self._acts().items():
            those = [one for one in found if one.kind is kind]
            if those:
                await act(those, begun_ms)
        late = [one.row for one in found if one.kind is Kind.MISSING_HERE and one.row is not None]
        self.adrift.answer_for_late(late)
        self.on_late(late)

    def _acts(self) -> dict[Kind, Callable[[Sequence[Difference], int], Awaitable[None]]]:
        """What is done about each kind of difference between orders."""
        return {
            Kind.FOREIGN: self._halt_foreign,
            Kind.PRICE: self._halt_terms,
            Kind.MISSING_HERE: self._cancel_late,
            Kind.MISSING_THERE: self._doubt,
            Kind.GHOST: self._doubt,
            Kind.SIZE: self._read_again,
        }

    def _pass_on(self, rows: list[OrderRow], known: Sequence[OurOrder]) -> None:
        """Every desk hears what the list says of its orders."""
        ids = {order.order_id for order in known}
        for row in rows:
            route = self._route_of(row.order_id)
            if route is not None and row.order_id in ids:
                at = self.clock.now_ms()
                route.hear(OrderSeen(row.order_id, row.kind, row.matched, row.text, at), at)

    def _route_of(self, order_id: str) -> Route | None:
        owner = self.account.owner(order_id)
        return self.account.routes.get(owner) if owner is not None else None

    def _note(self, one: Difference) -> None:
        self.records.differences[one.kind.value] += 1
        logger.warning("reconciliation: {}", one.text)

    def _note_stays(self, order_id: str) -> None:
        self._note(Difference(Kind.STAYS, order_id))

    async def _halt_foreign(self, those: Sequence[Difference], _begun_ms: int) -> None:
        """But not for a market that is settled: nothing can rest there, and which orders of it were
        ours is forgotten. A list that lags shows one of them once more.
        """
        account = self.account
        theirs = [one for one in those if account.is_foreign(one.subject, one.condition_id)]
        if theirs:
            self.health.halt(Halt.FOREIGN_ORDERS, f"{len(theirs)} we did not place")

    async def _judge_unplaced(self) -> None:
        """Look up what we were told of and have not placed: where the venue has it as ours,
        somebody else has our key. Word of long ago is no proof: of a settled market we have
        forgotten which orders were ours. One that cannot be looked up is asked for again, less and
        less often. A journal that is an old copy has missed thousands, and a few of them tell it.
        Where reads take seconds those that are left come with the next look: all else waits here.
        """
        until = trio.current_time() + UNPLACED_S
        for order_id in self._asking.due(sorted(self.account.unplaced))[:UNPLACED_AT_ONCE]:
            if trio.current_time() >= until:
                return
            row = await self.client.order(order_id)
            if isinstance(row, Failure):
                self._asking.in_vain(order_id)
                continue
            self.account.unplaced.discard(order_id)
            if row is not None and self.account.is_foreign(order_id, row.condition_id):
                why = f"by this journal we did not place {order_id[:10]}: it may be an old copy"
                self.health.halt(Halt.FOREIGN_ORDERS, why)
                self.account.unplaced.clear()
                return

    async def _halt_terms(self, those: Sequence[Difference], _begun_ms: int) -> None:
        self.health.halt(Halt.ORDER_TERMS, f"{those[0].subject} rests on terms we did not sign")
        await self.client.cancel([one.subject for one in those])

    async def _cancel_late(self, those: Sequence[Difference], _begun_ms: int) -> None:
        """Orders of ours that no desk knows any more, from a request that the edge held back."""
        await self.client.cancel([one.subject for one in those])
        self.account.doubt.ring()

    async def _doubt(self, those: Sequence[Difference], begun_ms: int) -> None:
        """Their desk looks them up: they are in doubt."""
        for one in those:
            route = self._route_of(one.subject)
            if route is not None:
                tell = route.missing if one.kind is Kind.MISSING_THERE else route.resting
                tell(one.subject, begun_ms)

    async def _read_again(self, _those: Sequence[Difference], _begun_ms: int) -> None:
        """More was matched than we were told: the trades are to be had by now."""
        await self.read_trades()

    # --- emptying the account ------------------------------------------------------------

    async def cancel_everything(self) -> bool:
        """Cancel all and read back until nothing rests; True when the venue shows none twice.

        Twice, a little apart, because a POST sent just before may land just after the first read.
        While orders rest all the same it is asked less and less often: the venue takes fewer
        cancel-alls than anything else (clob.md 7.1). Where we are refused our clock may be why.
        """
        clean, pause_s = 0, CANCEL_PAUSE_S
        while clean < 2:
            answer = await self.client.cancel_all()
            self.engine_away = answer.failure if answer.away else None
            rows = await self.client.open_orders()
            if isinstance(rows, Failure) and rows.refused:
                await self.time.agree()
            clean = clean + 1 if rows == [] else 0
            pause_s = CANCEL_PAUSE_S if clean else min(2 * pause_s, CANCEL_PAUSE_MOST_S)
            await trio.sleep(AWAY_PAUSE_S if answer.away else pause_s)
        return True

    async def outwait(self) -> None:
        """Look until no order can come to rest any more, and withdraw those that do. The list shows
        them all in one request; a look-up is one for each of them.
        """
        visit_at = trio.current_time() + LEAST_S
        while self.adrift.may_come:
            await trio.sleep(LATE_LOOK_S)
            if trio.current_time() >= visit_at:
                await self.adrift.visit()
                visit_at = trio.current_time() + LEAST_S
            if await self.client.open_orders() != []:
                await self.cancel_everything()
