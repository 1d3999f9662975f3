"""One market's order desk: what we want against what rests, as actions. Pure.

`act` is the only place where anything leaves. It may be called at any time: what it returns depends
on the table, the wish and the clock alone, so live, replay and simulation agree. Three habits:

- What rests and is still good stays (queue place is worth money); what breaks a cap goes at once.
- A new order is recorded in the table before `act` returns it, so there is no moment at which the
  venue may know an order that we do not.
- An order whose fate is unknown blocks its side of the book: nothing new is placed there until
  evidence came, so that a lost reply can never become two orders.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence, Set as AbstractSet

import attrs

from polybot.domain.market import DOWN, UP, Market, Outcome
from polybot.domain.orders import (
    CancelResult,
    Failure,
    NewOrder,
    OrderRow,
    OrderSeen,
    PostResult,
    PrivateEvent,
    Reject,
    Rejected,
    SignedOrder,
    TradeStatus,
    Unknown,
)
from polybot.execution.actions import Action, Cancel, Post, Refresh
from polybot.execution.doubts import CANCEL_MOST_MS, Doubts, Surveyed
from polybot.execution.firewall import Firewall
from polybot.execution.lifecycle import OPEN, Event, State
from polybot.execution.params import OrderParams
from polybot.execution.pauses import Pauses
from polybot.execution.promises import Promised
from polybot.execution.table import OrderTable
from polybot.execution.throttle import Budget
from polybot.execution.tracked import DUST, Tracked, says_gone
from polybot.execution.wish import Compared, Desired, stands
from polybot.risk.breakers import VENUE_TROUBLE
from polybot.risk.checks import Standing, given_away

BATCH = 15  # clob.md 3.7
UNSENT = "not sent: gate closed, prices moved, another tick, slow disk or dialling"
RECANCEL_MS = 1000  # a cancel is idempotent: ask again while there is no proof


@attrs.define
class DeskCounts:
    orders: int = 0
    rejects: Counter[str] = attrs.field(factory=Counter)
    cancels: Counter[str] = attrs.field(factory=Counter)
    withheld: Counter[str] = attrs.field(factory=Counter)
    unknowns: int = 0


_NONE: AbstractSet[str] = frozenset()
_NOTHING: tuple[AbstractSet[str], Sequence[NewOrder]] = (_NONE, ())
_NOT_YET = (State.IN_FLIGHT, State.DELAYED)
_UNKNOWN = State.UNKNOWN


@attrs.define(eq=False)
class Desk:
    market: Market
    params: OrderParams
    firewall: Firewall
    budget: Budget
    sign: Callable[[NewOrder], SignedOrder]
    table: OrderTable = attrs.field(factory=OrderTable)
    counts: DeskCounts = attrs.field(factory=DeskCounts)
    desired: Desired = Desired()
    closing: bool = False
    doubts: Doubts = attrs.field(init=False)
    pauses: Pauses = attrs.field(factory=Pauses)
    refused: dict[Outcome, str] = attrs.field(factory=dict)  # why something is missing there now
    _routine_at_ms: int = 0
    held_back: bool = False  # something waits for the next routine moment
    _stale: set[str] = attrs.field(factory=set)  # tokens whose balance the venue has wrong
    _takes_tried: int = 0
    _compared: Compared | None = None
    _promised: Promised | None = None

    def __attrs_post_init__(self) -> None:
        self.doubts = Doubts(self.table, self.params.unknown_grace_s * 1000)

    # --- what we hear --------------------------------------------------------------------

    def posted(self, results: Sequence[PostResult], now_ms: int) -> None:
        """Apply a POST's reply. While it was under way the stream may have told an order's end, and
        the machine have slept until the table had forgotten it.
        """
        self.firewall.brakes.errors.note(now_ms, failed=any(map(_is_failure, results)))
        for result in results:
            if result.order_id not in self.table:
                continue
            self.table.posted(result, now_ms)
            if isinstance(result, Rejected):
                self.counts.rejects[result.reason.value] += 1
                self.firewall.brakes.refused(result.reason, now_ms)
                order = self.table[result.order_id].order
                self.pauses.refused(order, result.reason, now_ms)
                if order.selling and result.reason is Reject.NOT_ENOUGH_BALANCE:
                    self._stale.add(order.token)
            if self.table[result.order_id].state is State.UNKNOWN:
                self.counts.unknowns += 1

    def unsent(self, ids: Sequence[str], now_ms: int) -> None:
        """Take back orders whose POST never left: once they were signed, the gate closed, the tick
        changed, or the disk was too slow to write them down, or the venue to be dialled.
        """
        for order_id in filter(self.table.__contains__, ids):  # see `posted`
            self.table.move(self.table[order_id], Event.REFUSED, now_ms)
        self.counts.orders -= len(ids)
        self.counts.withheld[UNSENT] += len(ids)

    def cancelled(self, ids: Sequence[str], result: CancelResult, now_ms: int) -> None:
        """Apply a cancel's reply; ids it names nowhere stay CANCELLING and are asked for again."""
        self.firewall.brakes.errors.note(now_ms, failed=result.failure is not None)
        if result.away:
            self.pauses.engine_left(now_ms)
        for order_id in ids:
            if order_id not in self.table:
                continue
            tracked = self.table[order_id]
            if order_id in result.cancelled:
                self.table.move(tracked, Event.CANCEL_DONE, now_ms)
            elif order_id in result.refused:
                tracked.cancel_refused = says_gone(result.refused[order_id])
                self.table.move(tracked, Event.CANCEL_REFUSED, now_ms)
            elif result.away:
                tracked.await_engine(now_ms)

    def heard(self, event: PrivateEvent, now_ms: int) -> None:
        if isinstance(event, OrderSeen):
            self.table.seen(event, now_ms)
            return
        failed = event.status is TradeStatus.FAILED
        # One fill for each order: who takes has a leg for each price that it met.
        for order_id in () if failed else dict.fromkeys(leg.order_id for leg in event.legs):
            if order_id in self.table and event.trade_id not in self.table[order_id].fills:
                self.firewall.brakes.filled(self.table[order_id].order.toward, now_ms)
        self.table.traded(event, now_ms)

    def missing(self, order_id: str, begun_ms: int, now_ms: int) -> None:
        """A list of open orders begun at that time lacks this one."""
        if order_id in self.table:
            self.doubts.missing(order_id, begun_ms, now_ms)

    def resting(self, order_id: str, begun_ms: int, now_ms: int) -> None:
        """A list of open orders begun at that time shows this one, which we think has ended."""
        if order_id in self.table:
            self.doubts.resting(order_id, begun_ms, now_ms)

    def looked_up(self, order_id: str, answer: OrderRow | Failure | None, now_ms: int) -> None:
        """Apply a look-up by hash; the order may have been forgotten since, as in `posted`."""
        if order_id in self.table:
            self.doubts.looked_up(order_id, answer, now_ms)

    def surveyed(self, found: Surveyed, now_ms: int) -> None:
        self.doubts.surveyed(found, now_ms)

    # --- what we do ------------------------------------------------------------------------

    def act(self, now_ms: int, standing: Standing) -> list[Action]:
        """Everything that should leave now, cancels first; new orders are in the table by then."""
        table = self.table
        table.forget(now_ms)
        compared = self._compare()
        if compared.at_rest and not self._in_motion():
            self.held_back = False
            return []
        keep, missing = (compared.keep, compared.missing) if not self.closing else _NOTHING
        naked = self._naked(standing) if compared.asks else _NONE
        if self.refused:
            wanting = {order.toward for order in missing}
            self.refused = {side: why for side, why in self.refused.items() if side in wanting}
        routine = self._routine_due(now_ms)
        self.held_back = False
        actions: list[Action] = []
        if naked or len(keep) < len(table.open()):
            kept = keep - naked if naked else keep
            actions += self._cancels(kept, naked, now_ms, routine=routine)
        if self._stale:
            actions += [Refresh(token) for token in sorted(self._stale)]
            self._stale.clear()
        if table.unproven or not compared.certain:
            actions += self.doubts.due(now_ms)
        actions += self._takes(now_ms, standing)
        if missing and routine:
            actions += self._posts(missing, now_ms, standing)
        self.held_back |= bool(missing) and not routine
        if actions and any(isinstance(action, Post) for action in actions):
            self._routine_at_ms = now_ms
        return actions

    def _in_motion(self) -> bool:
        """Whether anything is to be done or found out that wish and open orders do not show."""
        return bool(
            self.closing
            or self._stale
            or self.refused
            or self.table.unproven
            or self.desired.take is not None
        )

    def _compare(self) -> Compared:
        """Wish and table side by side. Between two moves of the market neither changes, and what
        was found then holds.
        """
        want, table = self.desired, self.table
        near, hold = self.params.hysteresis_ticks * self.market.tick, want.hold
        bounds = (want.cap_up, want.cap_down, want.pair_cap, want.spare, near, hold, table.changes)
        before = self._compared
        if before is None or before.orders is not want.orders or before.bounds != bounds:
            slack = max(near, hold)
            before = self._compared = Compared.of(want, table.open(), bounds, slack)
        return before

    def _routine_due(self, now_ms: int) -> bool:
        """Whether moves that can wait may leave, together: of quotes many are soon gone again."""
        waited_ms = now_ms - self._routine_at_ms
        return not 0 <= waited_ms < self.params.routine_every_ms or not self.table.open()

    def _naked(self, standing: Standing) -> set[str]:
        """Asks whose shares are gone or wanted for a merge: those that go anyway first, then the
        farthest from the touch.
        """
        naked: set[str] = set()
        asks = [tracked for tracked in self.table.open() if tracked.order.selling]
        for outcome in Outcome:
            over = self.table.pledged(outcome) - standing.sellable(outcome)
            those = [ask for ask in asks if ask.order.outcome is outcome]
            for ask in sorted(those, key=lambda t: (stands(t), t.order.bid_price)):
                if over > 0:
                    naked.add(ask.id)
                    over -= ask.pledged
        return naked

    def _cancels(
        self, keep: AbstractSet[str], naked: AbstractSet[str], now_ms: int, *, routine: bool
    ) -> list[Action]:
        """Cancel what is not kept. Urgent ones (a cap broken, shares gone, a side withdrawn) wait
        for nothing: neither for the routine moment nor for the budget, which they leave in debt.
        """
        by_cause: dict[str, list[str]] = {}
        for tracked in list(self.table.open()):
            if tracked.id in keep or not self._cancel_due(tracked, now_ms):
                continue
            cause, urgent = self._cause(tracked, naked)
            if not urgent and not routine:
                self.held_back = True
                continue
            if urgent:
                self.budget.cancels.spend(1, now_ms)
            elif not self.budget.cancels.take(1, now_ms, keep=self.budget.cancel_reserve):
                self.counts.withheld["cancel budget"] += 1
                continue
            if tracked.cancel_sent_ms is None:
                self.counts.cancels[cause] += 1
            self.table.move(tracked, Event.CANCEL_SENT, now_ms)
            tracked.ask_away(now_ms)
            by_cause.setdefault(cause, []).append(tracked.id)
        return [Cancel(tuple(ids), cause) for cause, ids in by_cause.items()]

    def _cancel_due(self, tracked: Tracked, now_ms: int) -> bool:
        if tracked.state in _NOT_YET:
            return False  # nothing to cancel yet: the ack or the delay's end brings it back here
        sent_ms = tracked.cancel_sent_ms
        # One of a time to come was sent before the clock was set back.
        return sent_ms is None or not 0 <= now_ms - sent_ms < RECANCEL_MS

    def _cause(self, tracked: Tracked, naked: AbstractSet[str]) -> tuple[str, bool]:
        if self.closing:
            return "closing", True
        if tracked.state is _UNKNOWN:
            return "unknown", True
        if tracked.late:
            return "late", True
        if not self.desired.orders:
            return self.desired.cause, True
        if tracked.id in naked:
            return "shares", True
        outcome, price = tracked.order.toward, tracked.order.bid_price
        if price > self.desired.cap(outcome):
            return "cap", True
        if not self.desired.wants(outcome):
            return "side withdrawn", True
        others = [(t.order.toward, t.order.bid_price) for t in self.table.open()]
        if not self.desired.pairs_hold(outcome, price, others):
            return "pair cap", True
        return "requote", False

    def _takes(self, now_ms: int, standing: Standing) -> list[Action]:
        """The order that takes, once for each number, whatever comes of it."""
        order, number = self.desired.take, self.desired.take_number
        if order is None or number <= self._takes_tried or self.closing:
            return []
        self._takes_tried = number
        if self.taking:
            self.counts.withheld["one that takes is under way"] += 1
            return []
        if self._may_have_filled(order.toward):
            self.counts.withheld["the end of an order is not proven"] += 1
            return []
        return self._posts([order], now_ms, standing)

    def _may_have_filled(self, outcome: Outcome) -> bool:
        """Whether a cancelled order that moves us toward this outcome may have matched before its
        cancel (F20): its shares would be taken a second time.
        """
        ended = (*self.table.possible(), *self.table.ending.values())
        return any(t.state is State.CANCELLED and t.order.toward is outcome for t in ended)

    @property
    def taking(self) -> bool:
        """Whether an order that takes may still match, or its trades are not all told."""
        return self._takes_tried > 0 and any(
            t.order.taking and (t.state in OPEN or t.matched > t.told + DUST) for t in self.table
        )

    def _posts(self, missing: Sequence[NewOrder], now_ms: int, standing: Standing) -> list[Action]:
        batch: list[SignedOrder] = []
        standing = self._unbooked_off(standing)
        self.refused = {}
        for order in missing[:BATCH]:
            refusal = self._blocked(order, now_ms) or self.firewall.check(
                order, self.desired, self.table.possible(), standing, now_ms
            )
            if refusal is None and not self.budget.place(now_ms, taking=order.taking):
                refusal = "message budget"
            if refusal is not None:
                self.counts.withheld[refusal] += 1
                self.refused[order.toward] = refusal
                continue
            signed = self.sign(order)
            self.table.record(signed, now_ms)
            batch.append(signed)
        self.counts.orders += len(batch)
        return [Post(tuple(batch))] if batch else []

    def _unbooked_off(self, standing: Standing) -> Standing:
        """The standing without what is spent or sold and not in the ledger yet, or may be."""
        if not self.table.lags:
            return standing
        spent, sales = self.table.unbooked, list(self.table.unbooked_sales())
        given = sum(given_away(order.price, shares) for order, shares in sales)
        sold = {o: sum(n for order, n in sales if order.outcome is o) for o in Outcome}
        return attrs.evolve(
            standing,
            free_cash=standing.free_cash - spent,
            held=attrs.evolve(standing.held, loose=spent + given),
            sellable_up=standing.sellable_up - sold[UP],
            sellable_down=standing.sellable_down - sold[DOWN],
            coming_up=standing.coming_up + self.table.untold_toward(UP),
            coming_down=standing.coming_down + self.table.untold_toward(DOWN),
        )

    def _blocked(self, order: NewOrder, now_ms: int) -> str | None:
        if self.pauses.holds(order, now_ms):
            return "quiet after a refusal"
        for tracked in self.table.open():
            if tracked.unheeded_ms(now_ms) >= CANCEL_MOST_MS:
                return "a cancel is overdue"
            if tracked.order.toward is order.toward and tracked.state is State.UNKNOWN:
                return "an order is unknown"
        return None

    @property
    def promised(self) -> Promised:
        """What this market's orders may still spend and sell: reckoned once after each change."""
        held = self._promised
        if held is None or held.mark != self.table.mark:
            held = self._promised = Promised.of(self.table)
        return held

    def next_due_ms(self, now_ms: int) -> int:
        """When `act` has something to do even if nothing happens: look-ups, repeated cancels."""
        doubtful = (State.UNKNOWN, State.CANCELLING, State.DELAYED)
        waiting = any(t.state in doubtful for t in self.table.open())
        late = self.refused and self.table.ending
        due_ms = now_ms + (200 if waiting or late else 1000)
        if self.held_back:
            routine_ms = max(now_ms + 1, self._routine_at_ms + self.params.routine_every_ms)
            due_ms = min(due_ms, routine_ms)
        return due_ms


def _is_failure(result: PostResult) -> bool:
    """Whether a reply tells of trouble on the way or at the venue, not with the order."""
    if isinstance(result, Rejected):
        return result.reason in VENUE_TROUBLE
    return isinstance(result, Unknown)
