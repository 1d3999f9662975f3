"""From the journal's entries to what a restart must know. Pure.

The ledger is rebuilt by applying the same facts in the same order as when they were new: `apply` is
what the running program uses, too, so that the books after a restart are the books before it.
"""

from __future__ import annotations

from collections.abc import Iterable

import attrs

from polybot.domain.accounts import RESULTS, Kind
from polybot.domain.baseline import Baseline
from polybot.domain.earned import Earned
from polybot.domain.halts import LOSSES
from polybot.domain.ledger import Ledger
from polybot.domain.market import Market
from polybot.domain.market_states import MarketState
from polybot.domain.orders import EDGE_S, TradeSeen
from polybot.journal.entries import (
    ABSENT,
    ORIGIN_KNOWN,
    UNKNOWN_ORIGIN,
    Carried,
    Certified,
    Closed,
    Ended,
    Entered,
    Entry,
    Halted,
    Intent,
    Known,
    Moved,
    Paid,
    Rearmed,
    Resolved,
    Session,
    Told,
    TradesRead,
    market_of,
)
from polybot.journal.store import JournalCorrupt, Stamped

# How old the last reading of trades may be when an order leaves, or a start says that it is done:
# twice as long as anybody waits for it, and more of the past costs no more than a page.
UNREAD_MOST_S = 300
_PAID = {"rebate": Kind.REBATES, "reward": Kind.REWARDS}
# How books say no: sums that are not right, a market or an account that is not there.
REFUSED = (AssertionError, LookupError, ValueError, ArithmeticError)


@attrs.define(eq=False)
class Recovered:
    """What the journal knows at a start. `last_ms`: when we were last seen alive, 0 if never. Halts
    do not tell: one may be `stop`'s, by a clock that is off, or of no time that is known.

    `states` is how far each market still open had come; `intents` are all orders of those markets,
    `doubtful` those of them without a proven end, or inferred away when the edge might still have
    held them; `operations` those asked for and neither done nor failed; `since_s` as in `Carried`;
    `read_s` as in `TradesRead`, `busy_ms` when a start was done or an order last left, which nobody
    does who cannot read trades; `payments` those booked of late, by their evidence;
    `submissions_ms` when transactions were asked for within the last day.
    """

    ledger: Ledger = attrs.field(factory=Ledger)
    markets: dict[str, Market] = attrs.field(factory=dict)
    states: dict[str, MarketState] = attrs.field(factory=dict)
    intents: dict[str, Intent] = attrs.field(factory=dict)
    ended: dict[str, int] = attrs.field(factory=dict)  # order id → when it is sure not to come
    operations: dict[str, Moved] = attrs.field(factory=dict)
    moves: list[Moved] = attrs.field(factory=list)  # merges, splits done in markets still open
    halts: dict[str, str] = attrs.field(factory=dict)
    baseline: Baseline | None = None
    earned: Earned | None = None
    since_s: int | None = None
    submissions_ms: list[int] = attrs.field(factory=list)
    payments: dict[str, int] = attrs.field(factory=dict)
    unexplained: int = 0  # as in `Carried`, and `found_s`, `paid_s`
    found_s: int = 0
    paid_s: int = 0
    summed_s: int = 0  # when the wallet's accounts were last summed up
    certified_ms: int | None = None  # when the dead-man switch was last seen to work
    read_s: int | None = None
    busy_ms: int = 0
    last_ms: int = 0
    latest_ms: int = 0  # the latest stamp of all: a clock may have been behind since
    orderly: bool = True  # the last session ended by its own hand

    @property
    def read_until_s(self) -> int:
        """Until which second the venue's trades are known. A journal of before schema 6 does not
        say; the last order that left tells enough, for without orders there are no trades.
        """
        if self.read_s is not None:
            return self.read_s
        return max(0, self.busy_ms // 1000 - UNREAD_MOST_S)

    @property
    def doubtful(self) -> list[Intent]:
        never = self.last_ms + 1
        return [it for key, it in self.intents.items() if self.ended.get(key, never) > self.last_ms]


def recover(entries: Iterable[Stamped]) -> Recovered:
    """Fold the live entries, oldest first. Raises JournalCorrupt for one that those before it rule
    out: no later start could take it either, and each of them would end in a fault of our own.
    """
    found = Recovered()
    for stamped in entries:
        if not isinstance(stamped.entry, Halted):
            found.last_ms = stamped.at_ms
        found.latest_ms = max(found.latest_ms, stamped.at_ms)
        try:
            apply(found.ledger, stamped.entry, stamped.at_ms)
        except REFUSED as error:
            what = f"entry {stamped.seq} ({type(stamped.entry).__name__})"
            where = f" of market {key}" if (key := market_of(stamped.entry)) else ""
            raise JournalCorrupt(f"{what} contradicts those before it{where}: {error!r}") from error
        _remember(found, stamped.entry, stamped.at_ms)
    return found


def apply(ledger: Ledger, entry: Entry, at_ms: int) -> bool:
    """Book what an entry says about money; True if it changed anything."""
    match entry:
        case Known(market):
            ledger.open(market)
        case Told(event=TradeSeen() as trade):
            return ledger.book(trade)
        case Moved(step="done"):
            return _move(ledger, entry, at_ms)
        case Paid(account, amount, evidence):
            if account == "deposit":
                ledger.deposit(amount, evidence, at_ms)
            else:
                ledger.receive(_PAID[account], amount, evidence, at_ms)
        case Resolved(condition_id, up_payout):
            ledger.resolve(condition_id, up_payout)
        case Closed():
            _close(ledger, entry)
        case Carried():
            _carry(ledger, entry)
        case _:
            return False
    return True


def _move(ledger: Ledger, entry: Moved, at_ms: int) -> bool:
    evidence = f"{entry.operation_id} {entry.evidence}".rstrip()
    match entry.kind:
        case "merge":
            ledger.merge(entry.condition_id, entry.shares, evidence, at_ms)
        case "split":
            ledger.split(entry.condition_id, entry.shares, evidence, at_ms)
        case _:
            ledger.redeem(entry.condition_id, evidence, at_ms)
    return True


def _close(ledger: Ledger, entry: Closed) -> None:
    """Close books that are open, or take over the result of those closed before this start."""
    if entry.condition_id in ledger.books:
        ledger.close(entry.condition_id)
    else:
        evidence = f"closed {entry.condition_id}"
        ledger.carry(entry.realised, entry.fees, entry.rebates_due, evidence)


def _carry(ledger: Ledger, entry: Carried) -> None:
    """A sum of everything before: it says nothing new to a ledger that has gone all the way."""
    if ledger.capital or ledger.closed(*RESULTS):
        return
    ledger.deposit(entry.capital, "carried")
    ledger.carry(entry.realised, entry.fees, entry.rebates_due, "carried")
    ledger.receive(Kind.REBATES, entry.rebates, "carried")
    ledger.receive(Kind.REWARDS, entry.rewards, "carried")


def carried(
    ledger: Ledger,
    since_s: int,
    payments: tuple[tuple[str, int], ...] = (),
    unexplained: int = 0,
    found_s: int = 0,
    paid_s: int = 0,
) -> Carried:
    """The sums of a wallet as they stand."""
    return Carried(
        capital=ledger.capital,
        realised=-ledger.closed(*RESULTS),
        fees=ledger.closed(Kind.FEES),
        rebates_due=ledger.closed(Kind.REBATES_DUE),
        rebates=-ledger.closed(Kind.REBATES),
        rewards=-ledger.closed(Kind.REWARDS),
        since_s=since_s,
        payments=payments,
        unexplained=unexplained,
        found_s=found_s,
        paid_s=paid_s,
    )


def _remember(found: Recovered, entry: Entry, at_ms: int) -> None:
    match entry:
        case Known(market):
            found.markets[market.condition_id] = market
        case Entered(condition_id, state):
            found.states[condition_id] = state
        case Certified():
            found.certified_ms = at_ms
        case TradesRead(until_s):
            found.read_s = until_s
        case Intent():
            found.busy_ms = at_ms
            found.intents[entry.order_id] = entry
            found.ended.pop(entry.order_id, None)
        case Ended(order_id=order_id, state=state):
            found.ended[order_id] = at_ms + EDGE_S * 1000 * (state == ABSENT)
        case Moved():
            if entry.step in ("asked", "sent"):
                found.operations[entry.operation_id] = entry
            else:
                found.operations.pop(entry.operation_id, None)
            if entry.step == "done" and entry.kind != "redeem":
                found.moves.append(entry)
        case Closed(condition_id):
            found.markets.pop(condition_id, None)
            found.states.pop(condition_id, None)
            mine = [key for key, i in found.intents.items() if i.condition_id == condition_id]
            for key in mine:
                del found.intents[key]
            found.moves = [it for it in found.moves if it.condition_id != condition_id]
        case Halted(name, why):
            found.halts.setdefault(name, why)
        case Rearmed():
            if LOSSES & found.halts.keys():
                found.baseline = None
            found.halts.clear()
        case Baseline():
            found.baseline = entry
        case Earned():
            found.earned = entry
        case Carried(since_s=since_s, payments=payments):
            found.since_s, found.summed_s = since_s, at_ms // 1000
            found.payments |= dict(payments)
            found.unexplained, found.found_s = entry.unexplained, entry.found_s
            found.paid_s = entry.paid_s or since_s
        case Paid():
            _remember_payment(found, entry, at_ms)
        case Session(what):
            found.orderly = what == "end"
            found.busy_ms = at_ms if what == "start" else found.busy_ms
        case _:
            pass


def _remember_payment(found: Recovered, paid: Paid, at_ms: int) -> None:
    if paid.evidence == UNKNOWN_ORIGIN:
        found.unexplained += max(0, paid.amount)
        found.found_s = at_ms // 1000
    elif paid.evidence.startswith(ORIGIN_KNOWN):
        found.unexplained = max(0, found.unexplained + paid.amount)
    elif paid.at_s:
        found.payments[paid.evidence] = paid.at_s
