"""What a restart knows: the books as they were, and everything that is not yet certain."""

from __future__ import annotations

import random
from pathlib import Path

import attrs
import pytest
from journal_kit import CONDITION, OWNER, T0, intent, market

from polybot.domain.accounts import Kind
from polybot.domain.baseline import Baseline
from polybot.domain.earned import Earned, Worth
from polybot.domain.halts import Halt
from polybot.domain.ledger import Ledger
from polybot.domain.market import Outcome, Side
from polybot.domain.market_books import Holdings
from polybot.domain.market_states import Happened, MarketState
from polybot.domain.orders import EDGE_S, FillLeg, TradeSeen, TradeStatus
from polybot.domain.units import SHARE
from polybot.execution.lifecycle import State
from polybot.journal import entries as e
from polybot.journal.recovery import UNREAD_MOST_S, Recovered, apply, carried, recover
from polybot.journal.store import Stamped, Store

MARKET = market()


def told(n: int, outcome: Outcome, shares: int, status: TradeStatus) -> e.Told:
    leg = FillLeg(f"0x{n:064x}", MARKET.token(outcome), Side.BUY, 4_000, shares * SHARE, maker=True)
    return e.Told(CONDITION, TradeSeen(f"t{n}", CONDITION, status, (leg,), T0 + n))


def recovered(*entries: e.Entry) -> Recovered:
    return recover(Stamped(n, T0 + n, entry) for n, entry in enumerate(entries, 1))


FIRST = (e.Paid("deposit", 100 * SHARE, "start"), e.Known(MARKET))
PAIRS = (
    told(1, Outcome.UP, 20, TradeStatus.CONFIRMED),
    told(2, Outcome.DOWN, 20, TradeStatus.CONFIRMED),
)


def test_an_empty_journal() -> None:
    """Nothing is known, nothing is wrong."""
    found = recovered()

    assert (found.last_ms, found.orderly, found.since_s) == (0, True, None)
    assert found.doubtful == []
    assert found.ledger.cash == 0


def test_positions_come_back_with_their_cost() -> None:
    """Shares, what they cost and what is only promised: as before the end (item 6)."""
    found = recovered(*FIRST, *PAIRS, told(3, Outcome.UP, 5, TradeStatus.MATCHED))
    books = found.ledger.books[CONDITION]

    assert books.holdings() == Holdings(25 * SHARE, 20 * SHARE, 20 * SHARE, 20 * SHARE, 18 * SHARE)
    assert found.ledger.cash == 82 * SHARE
    assert found.ledger.unsettled() == {"t3": T0 + 3}
    assert found.markets == {CONDITION: MARKET}


def entered(state: MarketState, before: MarketState, cause: Happened) -> e.Entered:
    return e.Entered(CONDITION, state, before, cause)


REDUCED = (
    entered(MarketState.QUOTING, MarketState.AWAIT_STRIKE, Happened.STRIKE),
    entered(MarketState.REDUCE, MarketState.QUOTING, Happened.STOP),
)


def test_a_market_goes_on_from_its_last_state() -> None:
    """The last transition is where a market stands, until its books are closed (strategy.md 13)."""
    found = recovered(*FIRST, *REDUCED)
    assert found.states == {CONDITION: MarketState.REDUCE}
    assert found.ledger.cash == recovered(*FIRST).ledger.cash

    assert recovered(*FIRST, *REDUCED, e.Closed(CONDITION, 0, 0, 0)).states == {}


def test_transitions_are_mere_evidence_once_the_books_are_closed(tmp_path: Path) -> None:
    """A restart does not read the lives of markets that are over, however many there were."""
    store = Store.open(tmp_path / "journal", OWNER)
    store.append([(T0, entry) for entry in (*FIRST, *REDUCED)])
    assert len(list(store.live())) == 4
    last = entered(MarketState.CLOSED, MarketState.RESOLVED, Happened.AGREED)
    store.append([(T0, last), (T0, e.Closed(CONDITION, 0, 0, 0))])

    assert [type(one.entry) for one in store.live()] == [e.Paid, e.Closed]
    store.close()


def test_a_merge_is_booked_once_it_is_done() -> None:
    """Asked for is a doubt to be resolved; done is money; failed is neither."""
    asked = e.Moved(CONDITION, "merge", "asked", "m1", 20 * SHARE)
    done = e.Moved(CONDITION, "merge", "done", "m1", 20 * SHARE, 20 * SHARE, "0xhash")
    failed = e.Moved(CONDITION, "merge", "failed", "m1", 20 * SHARE)

    assert recovered(*FIRST, *PAIRS, asked).operations == {"m1": asked}
    assert recovered(*FIRST, *PAIRS, asked).ledger.cash == 84 * SHARE
    after = recovered(*FIRST, *PAIRS, asked, done)
    assert (after.operations, after.ledger.cash, after.ledger.realised) == (
        {}, 104 * SHARE, 4 * SHARE,
    )  # fmt: skip
    assert recovered(*FIRST, *PAIRS, asked, failed).operations == {}
    assert (after.moves, recovered(*FIRST, *PAIRS, asked).moves) == ([done], [])
    assert recovered(*FIRST, *PAIRS, asked, done, e.Closed(CONDITION, 0, 0, 0)).moves == []


def test_orders_without_an_end_are_doubtful() -> None:
    """An intent may live until its end is on record, however little else is known of it (F63)."""
    ended = e.Ended(CONDITION, intent(1).order_id, "cancelled")
    found = recovered(*FIRST, intent(1), intent(2), ended)

    assert found.doubtful == [intent(2)]
    assert set(found.intents) == {intent(1).order_id, intent(2).order_id}


@pytest.mark.parametrize(("later_s", "doubtful"), [(EDGE_S - 1, True), (EDGE_S, False)])
def test_an_order_inferred_away_is_doubtful_while_the_edge_may_hold_it(
    later_s: int, doubtful: bool
) -> None:
    """Counted from the inference to when we were last seen: nobody reads the clock here (F18)."""
    absent = e.Ended(CONDITION, intent(1).order_id, e.ABSENT)
    known: tuple[e.Entry, ...] = (*FIRST, intent(1), absent)
    before = [Stamped(n, T0, it) for n, it in enumerate(known)]
    found = recover([*before, Stamped(9, T0 + later_s * 1000, e.Rearmed("operator"))])

    assert found.doubtful == [intent(1)] * doubtful


def test_the_journal_has_the_table_s_word_for_absence() -> None:
    """The order's last state is written as it is called there, and read back by this name."""
    assert State.ABSENT.value == e.ABSENT


def test_a_halt_stays_until_it_is_rearmed() -> None:
    """A restart does not clear a halt; an operator does (S12)."""
    halted = e.Halted("foreign orders", "1 we did not place")

    assert recovered(*FIRST, halted).halts == {"foreign orders": "1 we did not place"}
    assert recovered(*FIRST, halted, e.Rearmed("operator")).halts == {}
    assert list(recovered(halted, e.Rearmed("operator"), halted).halts) == ["foreign orders"]


def test_the_loss_baseline_is_kept() -> None:
    """What losses are measured from survives, or a restart would be a way round a stop."""
    baseline = Baseline("2026-11-26", 5, 7, 3)

    assert recovered(*FIRST, baseline).baseline == baseline
    for halt, kept in ((Halt.DAILY_LOSS, None), (Halt.DRAWDOWN, None), (Halt.OVERFILLED, baseline)):
        seen = (baseline, e.Halted(halt.value, "why"), e.Rearmed("operator"))
        assert recovered(*FIRST, *seen).baseline == kept, halt


def test_what_signals_have_earned_is_kept() -> None:
    """The last that was told, also by an operator's word: it is no reason to halt (strategy.md
    11).
    """
    first, last = Earned("x", (Worth("flow", 1.0, 1.0, 1.0, 0.0),)), Earned("y", ())

    assert recovered(*FIRST, first, e.Rearmed("operator")).earned == first
    assert recovered(*FIRST, first, last).earned == last
    assert recovered(*FIRST).earned is None


def test_a_session_that_did_not_end_is_known() -> None:
    """A start without an end means that we were killed."""
    start, end = e.Session("start", "1", "d"), e.Session("end", "1", "d")

    assert not recovered(start).orderly
    assert recovered(start, end).orderly
    assert not recovered(start, end, start).orderly


def test_a_closed_market_is_only_its_result() -> None:
    """After the end of its books a market's orders, positions and doubts are gone."""
    close = (
        *FIRST, *PAIRS, intent(1),
        e.Moved(CONDITION, "merge", "done", "m", 20 * SHARE),
        e.Resolved(CONDITION, SHARE, "gamma"),
        e.Closed(CONDITION, 4 * SHARE, 0, 0),
    )  # fmt: skip
    found = recovered(*close)

    assert found.ledger.books == {}
    assert (found.markets, found.intents) == ({}, {})
    assert found.ledger.realised == 4 * SHARE
    assert found.ledger.cash == 104 * SHARE


def run_of_markets(rng: random.Random) -> list[e.Entry]:
    """Several markets' whole lives, one after the other, and payments between them."""
    entries: list[e.Entry] = [e.Paid("deposit", 1_000 * SHARE, "start")]
    for number in range(rng.randint(1, 4)):
        key = f"0x{number:064x}"
        here = market(condition_id=key)
        legs = tuple(
            FillLeg("0x1", here.token(o), Side.BUY, rng.randrange(100, 9_900, 100), n, maker)
            for o in Outcome
            for n, maker in [(rng.randrange(1, 10**7), rng.random() < 0.5)]
        )
        trade = TradeSeen(f"t{number}", key, TradeStatus.CONFIRMED, legs, T0)
        payout = rng.choice((0, SHARE // 2, SHARE))
        entries += [
            e.Known(here),
            e.Told(key, trade),
            e.Moved(key, "merge", "done", f"m{number}", min(leg.shares for leg in legs)),
            e.Resolved(key, payout, "chain"),
            e.Moved(key, "redeem", "done", f"r{number}", 0),
        ]
        entries.append(e.Paid(rng.choice(("rebate", "reward", "deposit")), 7, "row"))
    return entries


def test_closing_and_carrying_change_no_figure(tmp_path: Path) -> None:
    """Through the file, closed and summed up, restarted at any point: cash, results, fees and
    payments are those of a ledger that never stopped.
    """
    for seed in range(60):
        rng = random.Random(seed)
        straight = Ledger()
        store = Store.open(tmp_path / f"j{seed}", OWNER)
        for entry in run_of_markets(rng):
            apply(straight, entry, T0)
            store.append([(T0, entry)])
            if isinstance(entry, e.Moved) and entry.kind == "redeem":
                books = straight.books[entry.condition_id]
                result = e.Closed(
                    entry.condition_id, books.realised, books.fees, books.rebate_estimate
                )
                straight.close(entry.condition_id)
                store.append([(T0, result)])
            if rng.random() < 0.3:
                again = recover(store.live()).ledger
                store.append([(T0, carried(again, 1))])
        final = recover(store.live()).ledger
        store.close()
        assert final.received() == straight.received()
        for figure in ("cash", "realised", "capital", "equity"):
            assert getattr(final, figure) == getattr(straight, figure), (seed, figure)
        for kind in (Kind.FEES, Kind.REBATES_DUE):
            assert final.closed(kind) == straight.closed(kind), (seed, kind)


def test_a_certificate_is_remembered_with_its_date() -> None:
    """A restart knows when the dead-man switch was last seen to work: the newest counts."""
    stamped = [Stamped(1, 1_000, e.Certified(12_000)), Stamped(2, 9_000, e.Certified(11_000))]

    assert recover([]).certified_ms is None
    assert recover(stamped).certified_ms == 9_000


def test_payments_of_late_are_known_by_their_evidence() -> None:
    """Booked since the last sum or named in it: neither is booked again (clob.md 6.2)."""
    before = e.Carried(0, 0, 0, 0, 0, 0, 7, (("old", 5),))
    entries: list[e.Entry] = [
        before,
        e.Paid("rebate", 1, "new", 9),
        e.Paid("deposit", 1, "at the start"),
    ]

    found = recover(Stamped(n, T0, entry) for n, entry in enumerate(entries))

    assert found.payments == {"old": 5, "new": 9}


def test_what_the_venue_has_paid_is_no_capital() -> None:
    """Rebates and rewards are told apart from deposits, and a sum of everything before adds nothing
    to books that have gone all the way.
    """
    paid = (e.Paid("rebate", 3 * SHARE, "0x1", T0), e.Paid("reward", 2 * SHARE, "0x2", T0))
    for more in ((), (carried(recovered(*FIRST, *paid).ledger, since_s=0),)):
        ledger = recovered(*FIRST, *paid, *more).ledger
        assert (ledger.received(Kind.REBATES), ledger.received(Kind.REWARDS)) == (
            3 * SHARE,
            2 * SHARE,
        )
        assert ledger.received() == 5 * SHARE
        assert (ledger.capital, ledger.cash) == (100 * SHARE, 105 * SHARE)


def test_what_starts_have_found_explains_no_more_than_that() -> None:
    """Of seven dollars beside a withdrawal of a hundred none were left over to be explained."""
    found = e.Paid("deposit", -93, e.UNKNOWN_ORIGIN)
    entries = [found, e.Paid("deposit", -7, e.ORIGIN_KNOWN + "row"), attrs.evolve(found, amount=5)]

    left = recover(Stamped(n, T0, it) for n, it in enumerate(entries))
    assert (left.unexplained, left.found_s) == (5, T0 // 1000)
    more = [*entries, e.Paid("deposit", -3, e.ORIGIN_KNOWN + "other")]
    assert recover(Stamped(n, T0, it) for n, it in enumerate(more)).unexplained == 2


def test_how_far_trades_were_read_is_what_was_last_said_of_it() -> None:
    """And no stamp of anything else: a halt, its end and what a failed start finds out are written
    while nobody reads (F29).
    """
    later = (e.Halted("a", "b"), e.Rearmed("me"), e.Ended(CONDITION, intent(1).order_id, e.ABSENT))
    entries: tuple[e.Entry, ...] = (*FIRST, e.TradesRead(7), intent(1), e.TradesRead(9), *later)
    found = recover(Stamped(n, T0 + n * 60_000, entry) for n, entry in enumerate(entries))

    assert found.read_until_s == 9
    assert recover([]).read_until_s == 0


def test_a_journal_that_does_not_say_how_far_trades_were_read() -> None:
    """One of before schema 6: they were read when an order last left, or a start was done, give or
    take; whatever else was written since proves nothing, an orderly end included (F29).
    """
    start, end = e.Session("start", "1", "d"), e.Session("end", "1", "d")
    ended = e.Ended(CONDITION, intent(1).order_id, "cancelled")
    halt: tuple[e.Entry, ...] = (e.Halted("a", "b"), e.Rearmed("me"))
    entries: tuple[e.Entry, ...] = (start, *FIRST, intent(1), ended, end, *halt)
    stamped = [Stamped(n, T0 + n * 60_000, entry) for n, entry in enumerate(entries)]

    assert recover(stamped[:3]).read_until_s == T0 // 1000 - UNREAD_MOST_S
    assert recover(stamped).read_until_s == T0 // 1000 + 3 * 60 - UNREAD_MOST_S
