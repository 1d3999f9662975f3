"""Interval records: time kept honestly, counts added once, money read from the ledger."""

from __future__ import annotations

import gc

import attrs
import pytest
from desk_kit import MARKET, START, desk

from polybot.domain.booking import book
from polybot.domain.ledger import Ledger
from polybot.domain.market import Candle, Outcome, Rule, Side, TwapPair, UnknownRule
from polybot.domain.market_states import Happened, MarketState
from polybot.domain.orders import FillLeg, TradeSeen, TradeStatus
from polybot.domain.units import SHARE
from polybot.quoting.model import Decision
from polybot.quoting.reasons import Reason, Why
from polybot.quoting.tally import NOBODY
from polybot.records import LONGEST_STEP_MS, IntervalRecord, Records, rule_text
from polybot.risk.timetable import Times, Timetable
from polybot.summary import ReasonShare

OTHER = attrs.evolve(MARKET, condition_id="0xd", slug="other")


def timed(
    *steps: tuple[int, bool, bool], quotable: tuple[int, int] = (0, 100_000)
) -> IntervalRecord:
    """Steps of (milliseconds, bid on Up, bid on Down) in a window quotable from, and until."""
    record = IntervalRecord(
        MARKET, quotable_from_ms=START + quotable[0], quotable_to_ms=START + quotable[1]
    )
    for at, up, down in steps:
        record.time(START + at, bids_up=up, bids_down=down)
    return record


def test_time_is_credited_by_what_rests() -> None:
    """Any bid is quoted time, bids on both outcomes two-sided time."""
    record = timed((0, False, False), (100, False, False), (300, True, False), (600, True, True))

    assert record.quoted_ms == 500
    assert record.two_sided_ms == 300


def test_time_when_nothing_should_be_quoted_counts_nowhere() -> None:
    """Bids before the window is quotable, or after, earn nothing."""
    record = timed((0, True, True), (500, True, True), (1500, True, True), quotable=(600, 1400))

    assert (record.quoted_ms, record.two_sided_ms) == (0, 0)


@pytest.mark.parametrize(
    ("step", "quoted"), [(LONGEST_STEP_MS, LONGEST_STEP_MS), (LONGEST_STEP_MS + 1, 0)]
)
def test_a_gap_is_time_not_quoted(step: int, quoted: int) -> None:
    """A scope that did not run cannot claim it quoted meanwhile."""
    assert timed((0, True, True), (step, True, True)).quoted_ms == quoted


@pytest.mark.parametrize(
    ("ended", "quotable"), [(-10, 0), (100, 0), (101, 1), (400, 300), (500, 400), (10**9, 400)]
)
def test_time_is_quotable_whether_or_not_anybody_was_there(ended: int, quotable: int) -> None:
    """From the window's beginning to its stop, or to the end of the run if that is first."""
    assert timed(quotable=(100, 500)).quotable_ms(START + ended) == quotable


@pytest.mark.parametrize(
    ("read", "two_sided", "quotable"), [(True, False, 0), (True, True, 400), (False, False, 400)]
)
def test_an_empty_market_is_not_quotable_but_a_blind_bot_is_no_excuse(
    read: bool, two_sided: bool, quotable: int
) -> None:
    """Only a verified book that never had two sides takes a window out of the account."""
    record = timed(quotable=(100, 500))
    record.book_read, record.book_two_sided = read, two_sided

    assert record.quotable_ms(START + 1000) == quotable


def test_one_record_for_one_market() -> None:
    """A scope that starts again in the same window goes on with its record."""
    records = Records()

    assert records.of(MARKET) is records.of(MARKET)
    assert records.of(MARKET) is not records.of(OTHER)


def test_the_share_quoted_is_over_all_intervals() -> None:
    """Time, not intervals, is the weight; without quotable time there is no share."""
    records = Records()
    assert records.share(lambda record: record.quoted_ms, START) is None
    records.by_market["0xc"] = timed((0, True, True), (1000, True, False), quotable=(0, 1000))
    records.by_market["0xd"] = timed(quotable=(0, 2000))

    assert records.share(lambda record: record.quoted_ms, START + 9000) == pytest.approx(0.3333)
    assert records.share(lambda record: record.two_sided_ms, START + 9000) == 0


def test_bad_input_is_counted_by_kind() -> None:
    """Each unreadable thing counts, under one of few names."""
    records = Records()
    for what in ("gamma", "gamma", "user stream"):
        records.note_bad(what)

    assert records.bad_input == {"gamma": 2, "user stream": 1}


def test_what_desks_did_adds_up() -> None:
    """Each scope's counts are added to what earlier scopes of the same market did."""
    records = Records()
    record = records.of(MARKET)
    for _ in range(2):
        made = desk()
        made.counts.orders = 3
        made.counts.rejects["post-only would cross"] = 1
        made.counts.cancels["requote"] = 2
        made.counts.withheld["message budget"] = 4
        made.table.faults["filled / refused"] = 1
        made.table.doubts_ms += [100, 200, 300, 400, 4000]
        records.take(record, made)

    assert record.orders == 6
    assert records.rejects == {"post-only would cross": 2}
    assert records.cancels == {"requote": 4}
    assert records.withheld == {"message budget": 8}
    assert records.faults == {"filled / refused": 2}
    assert len(records.doubts_ms) == 10
    assert (records.doubt_ms(50), records.doubt_ms(99)) == (300, 4000)


def test_money_comes_from_the_ledger() -> None:
    """Fills, volume and result are the books'; quotes, orders and outcome the record's."""
    ledger = Ledger()
    books = ledger.open(MARKET)
    leg = FillLeg("0x1", MARKET.up_token, Side.BUY, 4000, 10 * SHARE, maker=True)
    ledger.book(TradeSeen("t", MARKET.condition_id, TradeStatus.CONFIRMED, (leg,), 0))
    record = IntervalRecord(MARKET, strike=100_000.5, outcome="Up", quotes=9, orders=4)
    assert record.interval(books).unpaid_pnl == 0, "nobody knows yet"
    ledger.resolve(MARKET.condition_id, SHARE)
    known = record.interval(books)
    assert (known.realised_pnl, known.unpaid_pnl) == (0, 6 * SHARE)
    ledger.redeem(MARKET.condition_id, "receipt")
    told = record.interval(books)

    assert (told.slug, told.outcome, told.strike) == (MARKET.slug, "Up", 100_000.5)
    assert (told.quotes, told.orders, told.fills) == (9, 4, 1)
    assert (told.volume, told.fees, told.redeemed) == (4 * SHARE, 0, 10 * SHARE)
    assert (told.realised_pnl, told.unpaid_pnl) == (6 * SHARE, 0)
    assert told.rebate_estimate == 33_600


def test_sales_are_counted_among_the_fills() -> None:
    """What came in by selling is told beside the whole volume, as merges are."""
    books = Ledger().open(MARKET)
    for n, side in enumerate((Side.BUY, Side.SELL)):
        leg = FillLeg(f"0x{n}", MARKET.up_token, side, 4000 + 1000 * n, 10 * SHARE, maker=True)
        book(
            books,
            TradeSeen(f"t{n}", MARKET.condition_id, TradeStatus.CONFIRMED, (leg,), 0),
            leg.order_id,
            [leg],
        )
    told = IntervalRecord(MARKET).interval(books)

    assert (told.fills, told.sales) == (2, 1)
    assert (told.volume, told.sold) == (9 * SHARE, 5 * SHARE)


def test_without_books_an_interval_made_nothing() -> None:
    """A market that was never opened, or not traded, has zeros and no outcome."""
    told = IntervalRecord(MARKET).interval(None)

    assert told.outcome is None
    assert (told.fills, told.realised_pnl) == (0, 0)


def test_a_closed_interval_does_not_change() -> None:
    """Once its books are closed, the figures of that moment are shown for ever."""
    record = IntervalRecord(MARKET)
    record.final = record.interval(None)
    record.quotes = 99

    assert record.interval(None) is record.final
    assert record.final.quotes == 0


@pytest.mark.parametrize(
    ("rule", "text"),
    [
        (TwapPair("btcusd", 60), "twap60 btcusd end >= start"),
        (Candle("BTCUSDT", "1h"), "candle 1h BTCUSDT close >= open"),
        (UnknownRule("no resolutionSource"), "unknown: no resolutionSource"),
    ],
)
def test_the_rule_is_told_in_words(rule: Rule, text: str) -> None:
    """The summary says by which rule an interval settled."""
    assert rule_text(attrs.evolve(MARKET, rule=rule)) == text


def test_one_machine_for_all_scopes_of_a_market() -> None:
    """States only go forward, so a scope that starts anew finds the machine of the one before; the
    result and the agreed balances close it; told again, they change nothing (strategy.md 13).
    """
    records, table = Records(), Timetable.of(MARKET, Times(120_000, 60_000))
    machine = records.machine(MARKET, table)
    assert records.machine(MARKET, table) is machine
    record, late = records.of(MARKET), MARKET.end_ms + 90_000

    record.resolved(SHARE, late)
    record.resolved(SHARE, late + 1_000)
    assert (record.outcome, machine.state) == ("Up", MarketState.RESOLVED)
    final = record.closed(Ledger().open(MARKET), late + 2_000)

    assert machine.state is MarketState.CLOSED
    assert machine.ignored == 0
    assert record.final is final


@pytest.mark.parametrize(
    ("payout", "text"), [(SHARE, "Up"), (0, "Down"), (SHARE // 2, "void, Up at 0.5")]
)
def test_a_result_without_a_machine(payout: int, text: str) -> None:
    """After a restart an old market has no machine: its result is booked all the same."""
    record = IntervalRecord(MARKET)
    record.resolved(payout, MARKET.end_ms)
    record.closed(Ledger().open(MARKET), MARKET.end_ms)

    assert record.outcome == text
    assert record.final is not None


def test_only_time_that_counts_is_given_a_reason() -> None:
    """What the account of time leaves out – before, after, a gap – no reason may claim."""
    record = IntervalRecord(MARKET, quotable_from_ms=START, quotable_to_ms=START + 10_000)
    steps = (-100, 0, 300, 300 + LONGEST_STEP_MS + 1, 2_500, 10_001)

    assert [record.time(START + at, bids_up=True, bids_down=False) for at in steps] == [
        0, 100, 300, 0, 199, 0
    ]  # fmt: skip
    assert record.counted_ms == 599


def test_reasons_are_shares_of_all_quotable_time() -> None:
    """Markets are added up, time with nobody there is told, and a market that nobody trades is
    left out with its reasons (issue D 10).
    """
    records = Records()
    for key, read in (("0xa", False), ("0xb", False), ("0xc", True)):
        record = records.of(attrs.evolve(MARKET, condition_id=key))
        record.quotable_from_ms, record.quotable_to_ms = START, START + 1000
        record.book_read = read
    crossed = Decision((), (Reason(Why.CROSSED, Outcome.UP), Reason(Why.CROSSED, Outcome.DOWN)))
    for key in ("0xa", "0xc"):
        record = records.by_market[key]
        record.time(START, bids_up=False, bids_down=False)
        ms = record.time(START + 600, bids_up=False, bids_down=True)
        record.why.add(ms, crossed, {Outcome.DOWN}, {})

    told = records.reasons(START + 5000)
    assert told["Up"] == {
        Why.CROSSED.value: ReasonShare(0.3, 0.0), NOBODY: ReasonShare(0.7, 0.0)
    }  # fmt: skip
    assert told["Down"] == {NOBODY: ReasonShare(0.7, 0.0)}
    assert Records().reasons(START) == {"Up": {}, "Down": {}}


def test_a_closed_market_leaves_its_figures_alone() -> None:
    """Hundreds are closed in a day, for weeks. What each of them kept of its quotes was walked by
    every whole collection, with the loop standing still: a tenth of a second after a month.
    """
    records, table = Records(), Timetable.of(MARKET, Times(120_000, 60_000))
    crossed = Decision((), (Reason(Why.CROSSED), Reason(Why.BELOW_MINIMUM), Reason(Why.NO_BOOK)))
    gc.collect()
    before = len(gc.get_objects())
    for number in range(100):
        market = attrs.evolve(MARKET, condition_id=f"0x{number}")
        record, machine = records.of(market), records.machine(market, table)
        record.quotable_from_ms, record.quotable_to_ms = START, START + 1000
        for at_ms in (START, START + 500):
            ms = record.time(at_ms, bids_up=False, bids_down=False)
            record.why.add(ms, crossed, (), {})
        machine.hear(Happened.PAYOUT, MARKET.end_ms)
        told = records.reasons(MARKET.end_ms)
        records.close(market, Ledger().open(market), MARKET.end_ms + 90_000)
        assert records.reasons(MARKET.end_ms) == told
    gc.collect()

    assert len(gc.get_objects()) - before < 100 * 10
    assert told["Up"][Why.CROSSED.value] == ReasonShare(0.5, 0.0)


def test_a_clock_that_went_back_before_everything_has_no_reasons() -> None:
    """No time was quotable by then, whatever closed markets have lost."""
    records = Records()
    record = records.of(MARKET)
    record.quotable_from_ms, record.quotable_to_ms = START, START + 1000
    for at_ms in (START, START + 500):
        record.why.add(
            record.time(at_ms, bids_up=False, bids_down=False),
            Decision((), (Reason(Why.CROSSED),)), (), {},
        )  # fmt: skip
    records.close(MARKET, Ledger().open(MARKET), MARKET.end_ms + 90_000)

    assert records.reasons(START - 1) == {"Up": {}, "Down": {}}
