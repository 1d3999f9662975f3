"""How a doubt about an order ends: by evidence from three sources, never by waiting alone. Pure.

An order is in doubt when a request about it ended without a definite answer, or two answers
disagree. Three reads can tell: the look-up by its hash, the list of open orders, and the trades.
Any of them that *shows* the order ends the doubt at once. Not being shown proves less, for reads
lag behind writes (F48) and requests wait at the edge (F18), so absence is believed only when

- two sources agree, each having said so twice, in reads begun after the doubt began, and
- the last of each began after the grace, counted from when the order was sent. Lists lag longer
  than look-ups: where the look-up by hash does not answer, the others wait `LAG_MOST_MS`.

Even so it is our inference. What we inferred, and a cancel that only its reply confirmed (such
replies have been false, F21), stays under watch: an order that shows up after all is adopted,
counted and cancelled. No doubt ends by sending anything again.

Rejected: one source read twice (a lagging list is as wrong the second time), and no upper bound: a
doubt older than `DOUBT_MOST_MS` is its market's fault, whose scope cancels everything by the
venue's own list. So is a cancel that has been repeated for so long: each look-up that shows the
order alive ends a doubt, and with a cancel path that fails there would be no end of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import attrs

from polybot.domain.orders import Failure, OrderRow, OrderSeen
from polybot.execution.lifecycle import OPEN, Event, State
from polybot.execution.reconcile import LAG_MOST_MS
from polybot.execution.table import OrderTable
from polybot.execution.tracked import Source, Tracked

# A doubt blocks its outcome, and most end at once. What has not ended by then is an outage: twelve
# orders looked up twice a second, with the lists beside, were half of what the venue takes. The
# sixth look is the first after the usual grace, and most doubts end by its word: where there was
# none, it is repeated soon.
LOOK_UP_AFTER_MS = (0, 200, 500, 500, 500, 500, 250, 1000, 2000)
DELAY_MOST_MS = 3000  # many times any taker delay there has been (clob.md 3.9)
CANCEL_MOST_MS = 3000  # a cancel without proof for so long is a doubt of its own (F21)
DOUBT_MOST_MS = 10_000  # L1 in reliability.md
CONFIRM_MS = 2000  # the stream tells a cancel much sooner than that
WATCH_EVERY_MS = 5000
EDGE_MS = 40_000  # the longest the edge ever held a request, and a margin (F18: 30 s)


@attrs.frozen
class LookUp:
    """Read one order by its hash."""

    order_id: str


@attrs.frozen
class Survey:
    """Read this market's open orders, and the wallet's trades since `since_ms`."""

    since_ms: int


@attrs.frozen
class Surveyed:
    """What a survey begun at `begun_ms` found. Its trades have been heard before it is handed over;
    `trades` says whether they could be read.
    """

    begun_ms: int
    rows: Sequence[OrderRow] | Failure
    trades: bool


@attrs.define(eq=False)
class Doubts:
    """The doubtful orders of one table. `grace_ms` as explained above."""

    table: OrderTable
    grace_ms: int
    surveying: bool = False
    _surveyed_ms: int = 0

    # --- what to read -------------------------------------------------------------------------

    def due(self, now_ms: int) -> list[LookUp | Survey]:
        """The reads that should be made now."""
        reads: list[LookUp | Survey] = []
        unknown: list[Tracked] = []
        for tracked in list(self.table.open()):
            if tracked.state is State.LIVE:
                continue  # as nearly all of them, nearly always
            if tracked.state is State.UNKNOWN and now_ms < tracked.changed_ms:
                tracked.sent_ms = tracked.changed_ms = now_ms  # the clock was ahead
                tracked.absences.clear()
            late = now_ms - tracked.changed_ms >= CANCEL_MOST_MS
            if tracked.state is State.CANCELLING and late:
                self.table.move(tracked, Event.OVERDUE, now_ms)
            if self._look_up_due(tracked, now_ms):
                tracked.look_ups += 1
                tracked.looked_up_ms = now_ms
                tracked.look_up_pending = True
                reads.append(LookUp(tracked.id))
                unknown += [tracked] if tracked.state is State.UNKNOWN else []
        watched = bool(self.table.unproven) and self._watch_due(now_ms)
        if (unknown or watched) and not self.surveying:
            self.surveying, self._surveyed_ms = True, now_ms
            since = [t.sent_ms for t in self.table.open() if t.state is State.UNKNOWN]
            since += [t.changed_ms for t in self.table.unproven.values() if t.existed]
            reads.append(Survey(min(since, default=now_ms)))
        return reads

    def _look_up_due(self, tracked: Tracked, now_ms: int) -> bool:
        if tracked.state not in (State.UNKNOWN, State.DELAYED) or tracked.look_up_pending:
            return False
        wait = LOOK_UP_AFTER_MS[min(tracked.look_ups, len(LOOK_UP_AFTER_MS) - 1)]
        if tracked.state is State.DELAYED:
            wait = max(wait, DELAY_MOST_MS)
        moments = (tracked.changed_ms, tracked.looked_up_ms)
        # What is of a time to come was stamped by a clock that has been set back.
        last = max((at for at in moments if at <= now_ms), default=0)
        grace_over = tracked.sent_ms + self.grace_ms
        if tracked.state is State.UNKNOWN and last < grace_over <= now_ms:
            return True  # what is read from now on counts: do not wait for the next turn
        return now_ms - last >= wait

    def _watch_due(self, now_ms: int) -> bool:
        """Whether an end that nobody but us, or only a reply, has told should be looked at."""
        for tracked in list(self.table.unproven.values()):
            if now_ms - tracked.changed_ms > EDGE_MS:
                del self.table.unproven[tracked.id]
                continue
            every = WATCH_EVERY_MS if tracked.state is State.ABSENT else CONFIRM_MS
            if now_ms - max(tracked.changed_ms, self._surveyed_ms) >= every:
                return True
        return False

    def overdue(self, now_ms: int) -> Tracked | None:
        """An order whose doubt, or whose cancelling, has lasted longer than any may."""
        for tracked in self.table.open():
            lasts = 0
            if tracked.state in (State.UNKNOWN, State.DELAYED):
                lasts = now_ms - tracked.changed_ms
            elif tracked.state is State.CANCELLING:
                lasts = tracked.unheeded_ms(now_ms)
            if lasts >= DOUBT_MOST_MS:
                return tracked
        return None

    def forget_requests(self, now_ms: int) -> None:
        """No request is under way any more, whatever became of it: an order that still waits for
        its answer gets none, for the inbox had no room for it.
        """
        self.surveying = False
        for tracked in list(self.table.open()):
            tracked.look_up_pending = False
            if tracked.state is State.IN_FLIGHT:
                self.table.move(tracked, Event.NO_ANSWER, now_ms)

    # --- what was read ------------------------------------------------------------------------

    def looked_up(self, order_id: str, answer: OrderRow | Failure | None, now_ms: int) -> None:
        """Apply a look-up by hash."""
        tracked = self.table[order_id]
        tracked.look_up_pending = False
        if isinstance(answer, OrderRow):
            kind = answer.kind
            _heed_life(tracked, answer)
            if tracked.cancel_refused and _says_matched(answer.text):
                # Said of a partly filled order that will match no more (F25): it refuses its
                # cancel, so nothing of it rests. Without that the same is said of live ones.
                kind = OrderSeen.Kind.DEAD
            seen = OrderSeen(order_id, kind, answer.matched, answer.text, now_ms)
            self.table.seen(seen, now_ms)
        elif answer is None:
            if tracked.state is State.DELAYED:
                self.table.move(tracked, Event.MISSING, now_ms)
            self._absent(tracked, Source.HASH, tracked.looked_up_ms, now_ms)

    def surveyed(self, found: Surveyed, now_ms: int) -> None:
        """Apply a survey: orders shown, orders not shown, and trades that did not come."""
        self.surveying = False
        if not isinstance(found.rows, Failure):
            shown = {row.order_id: row for row in found.rows}
            for row in shown.values():
                self._shown(row, found.begun_ms, now_ms)
            for tracked in self._doubtful():
                if tracked.id not in shown:
                    self._absent(tracked, Source.LIST, found.begun_ms, now_ms)
            for tracked in list(self.table.unproven.values()):
                quiet = found.begun_ms - tracked.changed_ms >= CONFIRM_MS
                gone = found.trades and quiet and tracked.id not in shown
                if tracked.state is not State.ABSENT and gone:
                    del self.table.unproven[tracked.id]
        if found.trades:
            for tracked in self._doubtful():
                self._absent(tracked, Source.TRADES, found.begun_ms, now_ms)

    def _doubtful(self) -> Iterator[Tracked]:
        return (t for t in list(self.table.open()) if t.state is State.UNKNOWN)

    def _shown(self, row: OrderRow, begun_ms: int, now_ms: int) -> None:
        if row.order_id not in self.table:
            return  # another program's, or forgotten: the reconciler deals with both
        _heed_life(self.table[row.order_id], row)
        self.resting(row.order_id, begun_ms, now_ms)
        seen = OrderSeen(row.order_id, row.kind, row.matched, row.text, now_ms)
        self.table.seen(seen, now_ms)

    def resting(self, order_id: str, begun_ms: int, now_ms: int) -> None:
        """A list of open orders shows this one. If it had ended well before the list was begun, its
        end was not true: it is in doubt again.
        """
        tracked = self.table[order_id]
        ended = tracked.state not in OPEN and tracked.state is not State.ABSENT
        if ended and begun_ms - tracked.changed_ms >= self.grace_ms:
            self.table.move(tracked, Event.RESTS_STILL, now_ms)

    def missing(self, order_id: str, begun_ms: int, now_ms: int) -> None:
        """A list of open orders lacks this one. Only a list begun well after the order last moved
        counts.
        """
        tracked = self.table[order_id]
        if tracked.state is State.UNKNOWN:
            self._absent(tracked, Source.LIST, begun_ms, now_ms)
        elif begun_ms - tracked.changed_ms >= max(self.grace_ms, LAG_MOST_MS):
            self.table.move(tracked, Event.MISSING, now_ms)

    def _absent(self, tracked: Tracked, source: Source, begun_ms: int, now_ms: int) -> None:
        if tracked.state is not State.UNKNOWN or begun_ms < tracked.changed_ms:
            return
        times, _ = tracked.absences.get(source, (0, 0))
        tracked.absences[source] = (times + 1, begun_ms)
        if self._proven(tracked):
            event = Event.PROVEN_GONE if tracked.existed else Event.PROVEN_ABSENT
            self.table.move(tracked, event, now_ms)

    def _proven(self, tracked: Tracked) -> bool:
        twice = {
            source: begun_ms for source, (times, begun_ms) in tracked.absences.items() if times >= 2
        }
        wait = self.grace_ms if Source.HASH in twice else max(self.grace_ms, LAG_MOST_MS)
        return sum(begun_ms - tracked.sent_ms >= wait for begun_ms in twice.values()) >= 2


def _heed_life(tracked: Tracked, row: OrderRow) -> None:
    """What a row shows alive had its cancel refused for another reason than its end."""
    if row.kind is OrderSeen.Kind.LIVE and not _says_matched(row.text):
        tracked.cancel_refused = False


def _says_matched(text: str) -> bool:
    """Not "unmatched", the word for one that rests (clob.md 3.6)."""
    return "MATCHED" in text.upper().replace("UNMATCHED", "")
