"""What each interval came to, kept while the program runs and read by the summary and the screen.

A record is written by its market's scope (quotes, orders, time) and by the inventory engine
(outcome); money figures are read from the ledger when they are asked for: one source for each.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from functools import partial

import attrs
from loguru import logger

from polybot.domain.market import Candle, Market, Outcome, TwapPair
from polybot.domain.market_books import MarketBooks
from polybot.domain.market_states import Happened, MarketState
from polybot.domain.units import SHARE, amount_text
from polybot.execution.desk import Desk
from polybot.execution.pauses import Pauses
from polybot.pricing.calibration import Sampler
from polybot.quoting.tally import WhyTally
from polybot.risk.breakers import MarketBrakes
from polybot.risk.timetable import MarketMachine, Moved, Timetable
from polybot.summary import Interval, ReasonShare

# A step longer than this was not one: the scope was gone or stalled, and what rested is not known;
# or the clock was set, back as well, and what was lived by it is not taken away again.
LONGEST_STEP_MS = 2_000
SPENT = WhyTally()  # of a closed market: its quotable time is long over, so nothing is added to it


@attrs.define(eq=False)
class IntervalRecord:
    """`quotable_*`: from when on, and until when, this market should have had quotes of ours."""

    market: Market
    strike: float | None = None
    outcome: str | None = None  # Up, Down, or a void's payout
    quotes: int = 0
    orders: int = 0
    quotable_from_ms: int = 0
    quotable_to_ms: int = 0
    book_read: bool = False  # we had a verified book of it at some time …
    book_two_sided: bool = False  # … and others bid and asked in it
    counted_ms: int = 0  # quotable time in which a quoter was there
    quoted_ms: int = 0
    two_sided_ms: int = 0
    why: WhyTally = attrs.field(factory=WhyTally)  # what withheld or reduced quotes meanwhile
    final: Interval | None = None  # set when the books are closed
    machine: MarketMachine | None = None  # set by its first scope
    brakes: MarketBrakes | None = None  # likewise: what a side is left alone for outlasts a scope
    pauses: Pauses | None = None  # likewise: so does an engine that has restarted
    sampler: Sampler = attrs.field(factory=Sampler)
    _at_ms: int | None = None

    def time(self, now_ms: int, *, bids_up: bool, bids_down: bool) -> int:
        """Account for the time since the last call, by what rests now. Returns the milliseconds
        that counted: those in which we should have quoted, and were there to do so.
        """
        since = now_ms - self._at_ms if self._at_ms is not None else 0
        self._at_ms = now_ms
        quotable = self.quotable_from_ms <= now_ms <= self.quotable_to_ms
        if not quotable or abs(since) > LONGEST_STEP_MS:
            return 0
        self.counted_ms += since
        self.quoted_ms += since * (bids_up or bids_down)
        self.two_sided_ms += since * (bids_up and bids_down)
        return since

    def quotable_ms(self, ended_ms: int) -> int:
        """Milliseconds until `ended_ms` in which quotes should have rested, whether or not any
        scope was there to place them.
        """
        if self.book_read and not self.book_two_sided:
            return 0  # nobody trades it: not ours to quote, as the windows around a recording
        return max(0, min(self.quotable_to_ms, ended_ms) - self.quotable_from_ms)

    def resolved(self, up_payout: int, now_ms: int) -> None:
        """The result is known: what one Up share pays, 10⁻⁶ dollars. Told again, it says nothing
        new.
        """
        self.outcome = outcome_text(up_payout)
        if self.machine is not None and self.machine.at(now_ms) is MarketState.ENDED:
            self.machine.hear(Happened.PAYOUT, now_ms)

    def closed(self, books: MarketBooks, now_ms: int) -> Interval:
        """The books agree with the balances: freeze the figures."""
        if self.machine is not None:
            self.machine.hear(Happened.AGREED, now_ms)
        self.final = self.interval(books)
        return self.final

    def interval(self, books: MarketBooks | None) -> Interval:
        if self.final is not None:
            return self.final
        done = books or MarketBooks(self.market)
        return Interval(
            slug=self.market.slug,
            rule=rule_text(self.market),
            strike=self.strike,
            outcome=self.outcome,
            quotes=self.quotes,
            orders=self.orders,
            fills=done.fills,
            sales=done.fills_sold,
            volume=done.volume,
            sold=done.volume_sold,
            fees=done.fees,
            rebate_estimate=done.rebate_estimate,
            merged=done.merged,
            redeemed=done.redeemed,
            realised_pnl=done.realised,
            unpaid_pnl=done.unpaid,
        )


@attrs.define(eq=False)
class Records:
    by_market: dict[str, IntervalRecord] = attrs.field(factory=dict)  # by condition id
    rejects: Counter[str] = attrs.field(factory=Counter)
    cancels: Counter[str] = attrs.field(factory=Counter)
    withheld: Counter[str] = attrs.field(factory=Counter)
    faults: Counter[str] = attrs.field(factory=Counter)
    bad_input: Counter[str] = attrs.field(factory=Counter)
    differences: Counter[str] = attrs.field(factory=Counter)  # found by reconciliation, by kind
    doubts_ms: list[int] = attrs.field(factory=list)  # how long each doubt about an order lasted
    states: Mapping[str, MarketState] = attrs.field(factory=dict)  # as an earlier run left markets
    on_move: Callable[[Market, Moved], None] = lambda *_: None
    _lost: WhyTally = attrs.field(factory=WhyTally)  # by closed markets

    def of(self, market: Market) -> IntervalRecord:
        record = self.by_market.get(market.condition_id)
        if record is None:
            record = self.by_market[market.condition_id] = IntervalRecord(market)
        return record

    def machine(self, market: Market, table: Timetable) -> MarketMachine:
        """The market's machine: one for all its scopes, because states only go forward, and begun
        where an earlier run has left it.
        """
        record = self.of(market)
        if record.machine is None:
            state = self.states.get(market.condition_id, MarketState.DISCOVERED)
            record.machine = MarketMachine(
                market, table, state, on_move=partial(self.on_move, market)
            )
        return record.machine

    def close(self, market: Market, books: MarketBooks, now_ms: int) -> Interval:
        """A market's books agree with the balances: its figures are frozen, and little else is kept
        of it, for hundreds are closed in a day.
        """
        record = self.of(market)
        final = record.closed(books, now_ms)
        if record.quotable_ms(now_ms):
            self._lost.include(record.why)
        record.why, record.machine, record.brakes, record.pauses = SPENT, None, None, None
        return final

    def final(self) -> dict[str, Interval]:
        """The figures of markets whose books are closed, by condition id."""
        records = self.by_market.items()
        return {key: record.final for key, record in records if record.final is not None}

    def take(self, record: IntervalRecord, desk: Desk) -> None:
        """Add up what a desk did, when its scope ends."""
        counts = desk.counts
        record.orders += counts.orders
        self.faults.update(desk.table.faults)
        self.doubts_ms += desk.table.doubts_ms
        self.rejects.update(counts.rejects)
        self.cancels.update(counts.cancels)
        self.withheld.update(counts.withheld)

    def doubt_ms(self, hundredth: int) -> int | None:
        """The time within which so many of a hundred doubts had ended; None if there were none."""
        if not self.doubts_ms:
            return None
        ranked = sorted(self.doubts_ms)
        return ranked[max(0, -(-len(ranked) * hundredth // 100) - 1)]

    def share(self, part: Callable[[IntervalRecord], int], ended_ms: int) -> float | None:
        """The part of all quotable time that `part` counts; None if there was none."""
        ours = {one: one.quotable_ms(ended_ms) for one in self.by_market.values()}
        counted = sum(part(one) for one, quotable_ms in ours.items() if quotable_ms)
        quotable = sum(ours.values())
        return round(counted / quotable, 4) if quotable else None

    def reasons(self, ended_ms: int) -> dict[str, dict[str, ReasonShare]]:
        """By side, for which part of all quotable time each reason withheld or reduced quotes."""
        tally, quotable = WhyTally(), 0
        for record in self.by_market.values():
            if ours_ms := record.quotable_ms(ended_ms):
                quotable += ours_ms
                tally.include(record.why)
                tally.nobody(ours_ms - record.counted_ms)
        if quotable:
            tally.include(self._lost)
        return {
            side.value: {
                text: ReasonShare(
                    round(lost.withheld_ms / quotable, 4), round(lost.reduced_ms / quotable, 4)
                )
                for text, lost in tally.by_side[side].items()
            }
            for side in Outcome
        }

    def note_bad(self, what: str) -> None:
        """Count something unreadable or missing; say it the first time only. Kinds are few."""
        if what not in self.bad_input:
            logger.warning("bad input: {}", what)
        self.bad_input[what] += 1


def rule_text(market: Market) -> str:
    match market.rule:
        case TwapPair(symbol, lookback_s):
            return f"twap{lookback_s} {symbol} end >= start"
        case Candle(symbol, interval):
            return f"candle {interval} {symbol} close >= open"
        case unknown:
            return f"unknown: {unknown.why}"


def outcome_text(up_payout: int) -> str:
    """Up, Down, or what a void pays for one Up share."""
    return {SHARE: "Up", 0: "Down"}.get(up_payout, f"void, Up at {amount_text(up_payout)}")
