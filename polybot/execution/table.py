"""The order table: every order of one market we may still hear of, keyed by its hash.

Written by that market's orders task alone. It knows states and amounts, not what an order is for.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterator

import attrs

from polybot.domain.market import Outcome
from polybot.domain.orders import (
    Acked,
    NewOrder,
    OrderSeen,
    PostResult,
    Rejected,
    SignedOrder,
    TradeSeen,
    TradeStatus,
)
from polybot.execution.lifecycle import OPEN, Event, State, next_state
from polybot.execution.tracked import DUST, Tracked

# A dead order keeps listening for late fills this long; one minute is twice what the venue was seen
# to take.
KEEP_DEAD_MS = 60_000

# How much later than an order's end its last fill was heard of. The venue tells the amount with the
# end as far as its stream knows it, and repeats the end with more (feeds.md 4.5); 650 ms after a
# match the trade is mined.
LATE_FILL_MS = 650

OVERFILLED = "filled beyond its size"

_ACKS = {
    "live": Event.ACK_LIVE,
    "matched": Event.ACK_MATCHED,
    "delayed": Event.ACK_DELAYED,
    "unmatched": Event.ACK_LIVE,
}
_SEEN = {
    OrderSeen.Kind.LIVE: Event.SEEN_LIVE,
    OrderSeen.Kind.DELAYED: Event.SEEN_DELAYED,
    OrderSeen.Kind.MATCHED: Event.SEEN_FILLED,
    OrderSeen.Kind.DEAD: Event.SEEN_DEAD,
}
_EXISTS = frozenset({*_ACKS.values(), *_SEEN.values(), Event.CANCEL_DONE, Event.RESTS_STILL})
# Ends that the venue's stream has not told: our inference, or a reply alone.
_UNPROVEN = frozenset({Event.CANCEL_DONE, Event.PROVEN_ABSENT, Event.PROVEN_GONE})


@attrs.define(eq=False)
class OrderTable:
    """`changes` counts all that may change what an order serves: its coming, its state, its fills.
    `faults`: what happened outside the life-cycle table; `unproven`: ended orders to keep an eye
    on; `ending`: those whose end is told, and perhaps not yet their last fill; `doubts_ms`: how
    long each doubt lasted that has ended. `on_end` and `on_fault` are told.
    """

    _orders: dict[str, Tracked] = attrs.field(factory=dict)
    _open: dict[str, Tracked] = attrs.field(factory=dict)  # the part of it that may still match
    _untold: dict[str, Tracked] = attrs.field(factory=dict)  # the part whose trades lag behind
    unproven: dict[str, Tracked] = attrs.field(factory=dict)
    ending: dict[str, Tracked] = attrs.field(factory=dict)
    faults: Counter[str] = attrs.field(factory=Counter)
    doubts_ms: list[int] = attrs.field(factory=list)
    on_end: Callable[[Tracked], None] = lambda _: None
    on_fault: Callable[[Tracked, str], None] = lambda _tracked, _what: None
    changes: int = 0
    _forget_at_ms: int = 0

    def __getitem__(self, order_id: str) -> Tracked:
        return self._orders[order_id]

    def __contains__(self, order_id: str) -> bool:
        return order_id in self._orders

    def __iter__(self) -> Iterator[Tracked]:
        return iter(self._orders.values())

    def __len__(self) -> int:
        return len(self._orders)

    @property
    def mark(self) -> tuple[int, int, int, int]:
        """Another one whenever anything may have changed of what orders spend and sell: an order
        that was only kept in mind leaves without a change of its own.
        """
        return self.changes, len(self.unproven), len(self._untold), len(self.ending)

    def open(self) -> Collection[Tracked]:
        """The orders that may still match, oldest first."""
        return self._open.values()

    def possible(self) -> list[Tracked]:
        """The open orders and those that may yet turn out to have matched: what limits count (S7).
        One may have matched just before a cancel that only its reply has confirmed (F20), or that
        overtook the word of its fill; one that no read has shown may be a request that the edge
        still holds back (F18). An ask binds nothing beyond its end: the venue has the shares or
        refuses the next one; that it may have moved us, `untold_toward` tells.
        """
        ending = [t for t in self.ending.values() if not t.order.selling]
        return [*self._open.values(), *self.unproven.values(), *ending]

    def unseen(self) -> list[SignedOrder]:
        """What the edge may still hold back: what no read has shown, and what no read has been
        asked about, or none has answered, where there was no time for more.
        """
        absent = [t.signed for t in self.unproven.values() if t.state is State.ABSENT]
        doubtful = (State.IN_FLIGHT, State.UNKNOWN)
        return absent + [t.signed for t in self._open.values() if t.state in doubtful]

    @property
    def lags(self) -> bool:
        """Whether trades lag behind what orders have matched, or may."""
        return bool(self._untold or self.ending)

    def lagging(self) -> list[Tracked]:
        """Orders of which more is matched than trades have told."""
        return [*self._untold.values()]

    @property
    def unbooked(self) -> int:
        """Dollars (10⁻⁶) that neither orders nor the ledger count: trades of which only the amount
        is known.
        """
        return sum(tracked.unbooked for tracked in self._untold.values())

    def untold_toward(self, outcome: Outcome) -> int:
        """Shares (10⁻⁶) that orders have moved us toward an outcome without the ledger yet, or may
        have: the last fill of an ask that has ended is told a moment later. That the venue refuses
        the next ask for want of those shares holds neither for a bid or a take of the twin nor
        where more is held.
        """
        told = sum(t.untold for t in self._untold.values() if t.order.toward is outcome)
        asks = (t for t in self.ending.values() if t.order.selling and t.order.toward is outcome)
        return told + sum(ask.remaining for ask in asks)

    def unbooked_sales(self) -> Iterator[tuple[NewOrder, int]]:
        """The same of asks, whose shares the ledger still has: the order, and how many."""
        for tracked in self._untold.values():
            if tracked.order.selling:
                yield tracked.order, tracked.untold

    def pledged(self, outcome: Outcome) -> int:
        """Shares (10⁻⁶) of an outcome that may still be sold, or are sold without the ledger yet:
        what our asks bind, whatever is known of them.
        """
        asks = [tracked for tracked in self.possible() if tracked.order.selling]
        if not (asks or self._untold):
            return 0  # as most of the time: we sell what cannot be merged
        bound = sum(ask.pledged for ask in asks if ask.order.outcome is outcome)
        return bound + sum(n for order, n in self.unbooked_sales() if order.outcome is outcome)

    def bound(self, outcome: Outcome) -> int:
        """Shares (10⁻⁶) of an outcome that no merge may take: pledged ones, and what an ask that
        has ended may have sold at last, which is told a moment later. Its trade would find none
        and fail.
        """
        ending = (t for t in self.ending.values() if t.order.outcome is outcome)
        return self.pledged(outcome) + sum(ask.pledged for ask in ending)

    def record(self, signed: SignedOrder, now_ms: int) -> None:
        """Take an order in before its POST leaves. The same hash twice is our bug."""
        if signed.id in self._orders:
            raise AssertionError(f"order {signed.id} signed twice")
        self._orders[signed.id] = self._open[signed.id] = Tracked(signed, now_ms, now_ms)
        self.changes += 1

    def move(self, tracked: Tracked, event: Event, now_ms: int) -> None:
        before, after = tracked.state, next_state(tracked.state, event)
        if after is None:
            self._fault(tracked, f"{before.value} / {event.value}")
            return
        tracked.existed |= event in _EXISTS
        if event in (Event.SEEN_DEAD, Event.SEEN_FILLED):
            self.unproven.pop(tracked.id, None)
            tracked.end_told_ms = tracked.end_told_ms or now_ms
            if after is State.CANCELLED:
                self.ending[tracked.id] = tracked
        if after is not before:
            self._changed(tracked, before, after, now_ms)
            if event in _UNPROVEN:
                self.unproven[tracked.id] = tracked

    def _changed(self, tracked: Tracked, before: State, after: State, now_ms: int) -> None:
        if before is State.UNKNOWN:
            self.doubts_ms.append(now_ms - tracked.changed_ms)
        if after is State.UNKNOWN:
            tracked.look_ups = 0
            tracked.absences.clear()
        tracked.late |= before not in OPEN and after in OPEN
        tracked.state, tracked.changed_ms = after, now_ms
        self.changes += 1
        if after is State.LIVE:
            tracked.cancel_refused = False  # what lives had it refused for another reason
        if after in OPEN:
            tracked.end_told_ms = 0
            self._open[tracked.id] = tracked
            self.unproven.pop(tracked.id, None)
            self.ending.pop(tracked.id, None)
        elif self._open.pop(tracked.id, None) is not None:
            self.on_end(tracked)

    def _fault(self, tracked: Tracked, what: str) -> None:
        self.faults[what] += 1
        self.on_fault(tracked, what)

    def posted(self, result: PostResult, now_ms: int) -> None:
        tracked = self._orders[result.order_id]
        match result:
            case Acked():
                event = _ACKS.get(result.status, Event.ACK_LIVE)
                if event is Event.ACK_MATCHED:
                    self._count(tracked, result.taking, now_ms)
                    if tracked.order.taking:
                        # What it did not get is gone already; what it got somebody must tell.
                        event = Event.SEEN_FILLED if result.taking else Event.NO_ANSWER
            case Rejected():
                event = Event.REFUSED
            case _:
                event = Event.NO_ANSWER
        self.move(tracked, event, now_ms)
        self._settle(tracked, now_ms)

    def seen(self, event: OrderSeen, now_ms: int) -> None:
        tracked = self._orders.get(event.order_id)
        if tracked is None:
            return
        self._count(tracked, event.matched, now_ms)
        kind = event.kind
        if kind is OrderSeen.Kind.MATCHED and tracked.remaining > DUST:
            # "MATCHED" has been said of orders partly filled and then cancelled: believe the amount
            # (F25).
            rests = tracked.id in self._open and not tracked.order.taking
            kind = OrderSeen.Kind.LIVE if rests else OrderSeen.Kind.DEAD
        self.move(tracked, _SEEN[kind], now_ms)
        self._settle(tracked, now_ms)

    def traded(self, trade: TradeSeen, now_ms: int) -> None:
        """Count a trade's legs once per (trade, order); FAILED takes them back."""
        shares: Counter[str] = Counter()
        dollars: Counter[str] = Counter()
        for leg in trade.legs:  # a taker has one leg for each price it met
            shares[leg.order_id] += leg.shares
            dollars[leg.order_id] += leg.dollars
        for order_id, filled in shares.items():
            tracked = self._orders.get(order_id)
            if tracked is None:
                continue
            self.changes += 1
            before, now = tracked.fills.get(trade.trade_id), (filled, dollars[order_id])
            if before is None:
                tracked.told += filled
            if trade.status is TradeStatus.FAILED:
                tracked.fills[trade.trade_id] = 0  # stays failed if an old message comes late
                tracked.paid[trade.trade_id] = 0
            elif before is None or (before and tracked.outranked(trade)):
                tracked.told_by[trade.trade_id] = trade.status, trade.source
                if before is None or now != (before, tracked.paid[trade.trade_id]):
                    self._filled(tracked, trade.trade_id, now, now_ms)
            tracked.existed = True
            self._settle(tracked, now_ms)

    def _filled(
        self, tracked: Tracked, trade_id: str, amounts: tuple[int, int], now_ms: int
    ) -> None:
        """Take the shares and dollars of a trade that is new, or whose amounts are corrected (F30).
        What trades alone have called filled may rest where they come to less.
        """
        before = tracked.fills.get(trade_id)
        tracked.told += amounts[0] - before if before is not None else 0
        tracked.fills[trade_id], tracked.paid[trade_id] = amounts
        tracked.matched_ms = now_ms
        if tracked.overfilled:
            self._fault(tracked, OVERFILLED)
        left = tracked.remaining > DUST and not tracked.order.taking
        if left and before is not None and tracked.state is State.FILLED:
            self.move(tracked, Event.RESTS_STILL, now_ms)

    def _count(self, tracked: Tracked, matched: int, now_ms: int) -> None:
        """Order messages tell a sum: an old one arriving late says nothing, and no more than can be
        matched is: a number gone wild would bind every dollar until the order is forgotten.
        """
        matched = min(matched, tracked.most_shares)
        if matched > tracked.matched:
            tracked.matched, tracked.matched_ms = matched, now_ms
            self.changes += 1

    def _settle(self, tracked: Tracked, now_ms: int) -> None:
        # Not in flight: its reply is still to come, and may say more than that.
        if tracked.remaining <= DUST and tracked.state in OPEN - {State.IN_FLIGHT}:
            self.move(tracked, Event.SEEN_FILLED, now_ms)
        if tracked.untold:
            self._untold[tracked.id] = tracked
        else:
            self._untold.pop(tracked.id, None)

    def forget(self, now_ms: int) -> None:
        """Drop dead orders nobody will tell us about any more, so that a long run stays bounded."""
        for tracked in list(self.ending.values()) if self.ending else ():
            tracked.end_told_ms = min(tracked.end_told_ms, now_ms)  # the clock may be set back
            if now_ms - tracked.end_told_ms >= LATE_FILL_MS:
                del self.ending[tracked.id]
        if now_ms < self._forget_at_ms:
            return
        self._forget_at_ms = now_ms + KEEP_DEAD_MS // 4
        old = [
            t.id
            for t in self._orders.values()
            if t.id not in self._open and now_ms - t.changed_ms > KEEP_DEAD_MS
        ]
        for order_id in old:
            del self._orders[order_id]
            self._untold.pop(order_id, None)
            self.unproven.pop(order_id, None)
