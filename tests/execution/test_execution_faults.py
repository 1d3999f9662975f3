"""The order faults of the catalogue, one by one: F13 to F26 and F28 (reliability.md 2B)."""

from __future__ import annotations

import itertools

import attrs
import pytest
from execution_kit import (
    DOWN,
    RICH,
    T0,
    UP,
    acked,
    cancels,
    desk,
    fill,
    look_ups,
    order,
    posts,
    refused,
    resting,
    row,
    seen,
    signed,
    surveyed,
    surveys,
    unknown,
    wanting,
)

from polybot.domain.market import Side
from polybot.domain.orders import (
    CancelResult,
    Failure,
    FillLeg,
    OrderRow,
    OrderSeen,
    PostResult,
    Reject,
    TimeInForce,
    TradeSeen,
    TradeStatus,
)
from polybot.domain.units import SHARE
from polybot.execution.desk import RECANCEL_MS, Desk
from polybot.execution.doubts import DELAY_MOST_MS, EDGE_MS, Surveyed
from polybot.execution.lifecycle import State
from polybot.execution.params import OrderParams
from polybot.execution.reconcile import LAG_MOST_MS
from polybot.execution.table import KEEP_DEAD_MS, OrderTable
from polybot.execution.wish import Desired

Kind = OrderSeen.Kind
GRACE = 2000
PATIENT = OrderParams(routine_every_ms=0, unknown_grace_s=10)
NOTHING = CancelResult(frozenset(), {}, "timed out")


def sent(*, answer: bool = True, params: OrderParams | None = None) -> Desk:
    """A desk whose one order, 0x1, 10 Up at 0.48, is on the wire or has lost its answer."""
    made = desk(params=params)
    made.desired = wanting(order())
    assert [each.id for each in posts(made.act(T0, RICH))] == ["0x1"]
    if not answer:
        made.posted([unknown("0x1")], T0)
    return made


def withdrawing(params: OrderParams | None = None) -> Desk:
    """A desk that has asked for the cancel of its one order."""
    made = desk(params=params)
    resting(made, order())
    made.desired = Desired()
    assert cancels(made.act(T0, RICH)) == ["0x1"]
    return made


def test_f13_repeated_events_count_once() -> None:
    """The same order message and the same trade, five times each: one fill of four shares."""
    made = desk()
    resting(made, order())
    for _ in range(5):
        made.heard(seen("0x1", matched=4), T0)
        made.heard(fill("0x1", 4), T0)

    assert made.table["0x1"].remaining == 6 * SHARE
    assert not made.table.faults


@pytest.mark.parametrize("statuses", list(itertools.permutations(TradeStatus, 3)))
def test_f14_statuses_in_any_order(statuses: tuple[TradeStatus, ...]) -> None:
    """Whatever the order, the shares are gone once, or back if the trade failed."""
    made = desk()
    resting(made, order())
    for status in statuses:
        made.heard(fill("0x1", 4, status=status), T0)

    failed = TradeStatus.FAILED in statuses
    assert made.table["0x1"].remaining == (10 if failed else 6) * SHARE


def test_f15_a_fill_before_its_ack() -> None:
    """The hash is known before the POST, so the fill finds its order and the ack adds nothing."""
    made = sent()
    made.heard(fill("0x1", 10), T0)
    assert made.promised.reserved == 0
    made.posted([acked("0x1")], T0 + 50)

    assert made.table["0x1"].state is State.FILLED
    assert not made.table.faults


def test_f16_a_lost_ack_is_looked_up_cancelled_and_never_sent_again() -> None:
    """The order counts in full, is asked for by hash at once, and blocks its outcome."""
    made = sent(answer=False)
    assert made.counts.unknowns == 1
    assert made.promised.reserved == 4_800_000

    actions = made.act(T0, RICH)
    assert look_ups(actions) == cancels(actions) == ["0x1"]
    assert posts(actions) == []
    assert made.counts.withheld == {"an order is unknown": 1}

    made.looked_up("0x1", row("0x1", matched=3), T0 + 200)
    assert made.table["0x1"].state is State.LIVE
    assert made.table["0x1"].remaining == 7 * SHARE
    assert len(made.table.doubts_ms) == 1
    assert posts(made.act(T0 + 200, RICH)) == []


def test_f16_the_other_outcome_goes_on() -> None:
    """Doubt about Up keeps nothing from Down."""
    made = sent(answer=False)
    made.desired = wanting(order(), order(DOWN, 4900))

    assert [each.order.outcome for each in posts(made.act(T0, RICH))] == [DOWN]


def test_f17_absence_is_proven_by_two_sources_twice_after_the_grace() -> None:
    """Neither one source alone, nor two that come too early prove anything; then the outcome is
    free. What the order might spend stays reserved for as long as the edge may hold it (F18).
    """
    made = sent(answer=False)
    for ms in (0, 200, 700, GRACE, GRACE + 500):
        read(made, T0 + ms)
        assert made.table["0x1"].state is State.UNKNOWN, "one source alone"

    made = sent(answer=False)
    for ms in (0, 200, 700, GRACE - 1):
        read(made, T0 + ms, surveyed(T0 + ms))
        assert made.table["0x1"].state is State.UNKNOWN
        assert posts(made.act(T0 + ms, RICH)) == []
    read(made, T0 + GRACE, surveyed(T0 + GRACE))
    assert made.table["0x1"].state is State.ABSENT
    assert made.promised.reserved == 4_800_000
    assert [each.id for each in posts(made.act(T0 + GRACE, RICH))] == ["0x2"]
    assert made.table.doubts_ms == [GRACE]
    made.act(T0 + GRACE + EDGE_MS, RICH)
    assert made.promised.reserved == 2 * 4_800_000
    made.act(T0 + GRACE + EDGE_MS + 1, RICH)
    assert made.promised.reserved == 4_800_000


def read(made: Desk, ms: int, found: Surveyed | None = None) -> None:
    """Let the look-up that is due at this time find nothing, and a survey what it found."""
    tracked = made.table["0x1"]
    tracked.looked_up_ms = ms
    made.looked_up("0x1", None, ms)
    if found is not None:
        made.surveyed(found, ms)


@pytest.mark.parametrize(("ms", "state"), [(LAG_MOST_MS - 1, State.UNKNOWN), (LAG_MOST_MS, None)])
def test_f17_lists_alone_need_the_longest_lag(ms: int, state: State | None) -> None:
    """While look-ups by hash do not answer, the list and the trades decide, and wait longer (F44,
    F48).
    """
    made = sent(answer=False)
    for at in (T0, T0 + ms):
        made.looked_up("0x1", Failure("HTTP 502"), at)
        made.surveyed(surveyed(at), at)

    assert made.table["0x1"].state is (state or State.ABSENT)


def test_f17_the_list_of_the_whole_wallet_counts() -> None:
    """What reads the whole wallet's open orders has not seen it, either: with the look-ups that is
    two sources, where the market's own list cannot be read.
    """
    made = sent(answer=False)
    for ms in (GRACE, GRACE + 500):
        assert made.table["0x1"].state is State.UNKNOWN
        read(made, T0 + ms)
        made.missing("0x1", T0 + ms, T0 + ms)

    assert made.table["0x1"].state is State.ABSENT


def test_f17_a_list_that_cannot_be_read_is_no_source() -> None:
    """Trades alone agree with nobody."""
    made = sent(answer=False)
    for at in (T0, T0 + LAG_MOST_MS):
        made.surveyed(Surveyed(at, Failure("timed out"), trades=True), at)

    assert made.table["0x1"].state is State.UNKNOWN


def test_f17_trades_that_cannot_be_read_are_no_source() -> None:
    """Nor does the list alone."""
    made = sent(answer=False)
    for at in (T0, T0 + LAG_MOST_MS):
        made.surveyed(surveyed(at, trades=False), at)

    assert made.table["0x1"].state is State.UNKNOWN


def test_f17_a_long_grace_is_waited_for_without_look_ups_too() -> None:
    """Where it is longer than any lag of a list."""
    made = sent(answer=False, params=PATIENT)
    for ms, state in ((0, State.UNKNOWN), (9_999, State.UNKNOWN), (10_000, State.ABSENT)):
        made.surveyed(surveyed(T0 + ms), T0 + ms)
        assert made.table["0x1"].state is state


def test_f17_all_three_sources_are_asked_again_and_again() -> None:
    """Look-up and survey leave together, none while one is under way, at once when the grace ends,
    and trades are wanted from when the order was sent.
    """
    made = sent(answer=False)
    asked = []
    for ms in range(0, GRACE + 100, 10):
        actions = made.act(T0 + ms, RICH)
        if look_ups(actions):
            asked.append(ms)
            assert surveys(actions) == [T0]
            assert look_ups(made.act(T0 + ms + 1, RICH)) == []
            made.looked_up("0x1", Failure("timed out"), T0 + ms + 2)
            made.surveyed(Surveyed(T0 + ms, Failure("timed out"), trades=False), T0 + ms + 2)

    assert asked == [0, 200, 700, 1200, 1700, GRACE]


def test_f17_a_read_without_an_answer_is_no_absence() -> None:
    """However often a look-up fails, the order stays open."""
    made = sent(answer=False)
    for ms in range(0, 60_000, 2000):
        made.looked_up("0x1", Failure("timed out"), T0 + ms)

    assert made.table["0x1"].state is State.UNKNOWN


def test_f16_answers_that_found_no_room_are_asked_for_again() -> None:
    """No request is under way any more: an order without its reply is in doubt, one that rests is
    not, and look-up and survey leave anew.
    """
    made = desk()
    resting(made, order(UP, 4700))
    made.desired = wanting(order(UP, 4700), order(UP, 4800))
    assert len(posts(made.act(T0, RICH))) == 1
    for ms in (1_000, 2_000):
        made.doubts.forget_requests(T0 + ms)
        actions = made.act(T0 + ms, RICH)
        assert (look_ups(actions), len(surveys(actions))) == (["0x2"], 1)

    assert [tracked.state for tracked in made.table.open()] == [State.LIVE, State.UNKNOWN]


def test_f17_an_order_with_a_fill_did_exist() -> None:
    """When reads no longer show an order that traded, it is over, not absent."""
    made = sent(answer=False)
    made.heard(fill("0x1", 4), T0)
    for ms in (GRACE, GRACE + 200):
        read(made, T0 + ms, surveyed(T0 + ms))

    assert made.table["0x1"].state is State.CANCELLED


def test_f17_an_old_absence_does_not_count_in_a_new_doubt() -> None:
    """A read begun before the stream showed the order says nothing about a later doubt (F48), nor
    does one of the doubt before.
    """
    made = sent(answer=False)
    made.act(T0, RICH)
    made.surveyed(surveyed(T0), T0)
    made.heard(seen("0x1"), T0 + 100)
    made.looked_up("0x1", None, T0 + 150)
    made.cancelled(["0x1"], CancelResult(frozenset(), {"0x1": "not found"}), T0 + 9000)
    assert made.table["0x1"].state is State.UNKNOWN

    made.looked_up("0x1", None, T0 + 9100)
    assert made.table["0x1"].state is State.UNKNOWN
    for begun_ms in (8_999, 9_200, 9_300):
        assert made.table["0x1"].state is State.UNKNOWN, "two sources, each of them twice"
        made.surveyed(surveyed(T0 + begun_ms), T0 + 9_400)
    assert [each.state for each in made.table] == [State.CANCELLED]


def test_f18_an_order_that_lands_late_is_adopted_and_cancelled() -> None:
    """Thirty seconds after its POST an order proven absent shows up: it counts and must go."""
    made = sent(answer=False)
    for ms in (GRACE, GRACE + 200):
        read(made, T0 + ms, surveyed(T0 + ms))
    made.heard(seen("0x1"), T0 + 30_000)

    assert made.promised.reserved == 4_800_000
    assert cancels(made.act(T0 + 30_000, RICH)) == ["0x1"], "though the wish would have it"
    assert made.counts.cancels["late"] == 1
    assert not made.table.faults


def test_f18_an_order_proven_absent_stays_under_watch() -> None:
    """Every few seconds a list is read until the edge can hold it no longer; shown there, it is
    adopted and cancelled, whether or not the stream tells.
    """
    made = sent(answer=False)
    for ms in (GRACE, GRACE + 200):
        read(made, T0 + ms, surveyed(T0 + ms))
    made.desired = Desired()
    asked = 0
    for ms in range(GRACE + 300, 30_000, 100):
        if surveys(made.act(T0 + ms, RICH)):
            asked += 1
            made.surveyed(surveyed(T0 + ms), T0 + ms)
    assert asked == 5
    made.surveyed(surveyed(T0 + 30_000, row("0x1")), T0 + 30_050)

    assert made.promised.reserved == 4_800_000
    assert cancels(made.act(T0 + 30_100, RICH)) == ["0x1"]


def test_f18_the_watch_ends() -> None:
    """After the longest time the edge ever held a request nothing more is read."""
    made = sent(answer=False)
    for ms in (GRACE, GRACE + 200):
        read(made, T0 + ms, surveyed(T0 + ms))
    made.desired = Desired()

    assert surveys(made.act(T0 + 50_000, RICH)) == []
    assert not made.table.unproven


def test_f19_a_refused_cancel_frees_nothing_until_the_order_is_seen() -> None:
    """`already matched` leads to a look-up; that shows the fill, and its trade frees the money."""
    made = withdrawing()
    made.cancelled(["0x1"], CancelResult(frozenset(), {"0x1": "already matched"}), T0 + 50)
    tracked = made.table["0x1"]
    assert tracked.state is State.UNKNOWN
    assert made.promised.reserved == 4_800_000
    assert look_ups(made.act(T0 + 50, RICH)) == ["0x1"]

    made.looked_up("0x1", row("0x1", Kind.MATCHED, matched=10), T0 + 100)
    assert not made.table.open()
    assert made.promised.reserved == 4_800_000  # spent: the trade has not reached the ledger yet
    made.heard(fill("0x1", 10), T0 + 150)
    assert made.promised.reserved == 0


def test_f19_a_refused_cancel_of_a_living_order_is_asked_again() -> None:
    """The same words have been said of live orders: seen alive, it is cancelled once more."""
    made = withdrawing()
    made.cancelled(["0x1"], CancelResult(frozenset(), {"0x1": "already canceled"}), T0 + 50)
    made.looked_up("0x1", row("0x1"), T0 + 100)

    assert cancels(made.act(T0 + RECANCEL_MS, RICH)) == ["0x1"]


def test_f20_a_fill_after_the_cancel_is_a_fill() -> None:
    """The match came first: shares count, nothing goes negative, the order stays dead."""
    made = withdrawing()
    made.cancelled(["0x1"], CancelResult(frozenset({"0x1"}), {}), T0 + 50)
    made.heard(fill("0x1", 4), T0 + 80)
    made.heard(seen("0x1", Kind.DEAD, 10), T0 + 90)
    made.heard(fill("0x1", 6, "t2"), T0 + 95)

    tracked = made.table["0x1"]
    assert (tracked.state, tracked.remaining) == (State.CANCELLED, 0)
    assert sum(tracked.fills.values()) == 10 * SHARE
    assert not made.table.faults


@pytest.mark.parametrize("answer", [None, NOTHING, CancelResult(frozenset(), {})])
def test_f21_a_cancel_without_proof_is_asked_again(answer: CancelResult | None) -> None:
    """No reply, a lost one, or one that names nothing: the order counts, and we ask each second."""
    made = withdrawing()
    for n in range(1, 5):
        if answer is not None:
            made.cancelled(["0x1"], answer, T0 + n * RECANCEL_MS - 500)
        assert made.promised.reserved == 4_800_000
        assert cancels(made.act(T0 + n * RECANCEL_MS - 1, RICH)) == []
        assert cancels(made.act(T0 + n * RECANCEL_MS, RICH)) == ["0x1"]
    assert made.counts.cancels == {"no quote": 1}


def test_f21_a_cancel_that_only_its_reply_confirms_is_checked() -> None:
    """Acknowledged and not carried out: two seconds later a list still shows the order, which is in
    doubt again, counted in full and cancelled once more.
    """
    made = withdrawing()
    made.cancelled(["0x1"], CancelResult(frozenset({"0x1"}), {}), T0 + 50)
    assert made.promised.reserved == 4_800_000, "a fill may have come before the cancel"
    assert surveys(made.act(T0 + 2049, RICH)) == []
    assert len(surveys(made.act(T0 + 2050, RICH))) == 1
    made.surveyed(surveyed(T0 + 2050, row("0x1")), T0 + 2100)

    assert made.table["0x1"].late
    assert made.promised.reserved == 4_800_000
    assert cancels(made.act(T0 + 2100, RICH)) == ["0x1"]
    assert not made.table.faults


def test_f21_a_cancel_that_the_stream_confirms_is_not_checked() -> None:
    """Two wires have told it."""
    made = withdrawing()
    made.cancelled(["0x1"], CancelResult(frozenset({"0x1"}), {}), T0 + 50)
    made.heard(seen("0x1", Kind.DEAD), T0 + 60)

    assert surveys(made.act(T0 + 5000, RICH)) == []


def test_f21_a_cancel_confirmed_by_a_list_is_settled() -> None:
    """The list no longer shows it: nothing more is read."""
    made = withdrawing()
    made.cancelled(["0x1"], CancelResult(frozenset({"0x1"}), {}), T0 + 50)
    assert surveys(made.act(T0 + 2050, RICH))
    made.surveyed(surveyed(T0 + 2050), T0 + 2100)

    assert surveys(made.act(T0 + 9000, RICH)) == []


def test_f21_what_a_list_still_shows_stays_under_watch() -> None:
    """Too soon after its end to be a ghost, and no proof that it is gone."""
    made = withdrawing(PATIENT)
    made.cancelled(["0x1"], CancelResult(frozenset({"0x1"}), {}), T0 + 50)
    made.surveyed(surveyed(T0 + 9_000, row("0x1")), T0 + 9_000)

    assert made.table["0x1"].state is State.CANCELLED
    assert len(surveys(made.act(T0 + 12_000, RICH))) == 1


def test_f21_a_list_begun_before_the_end_proves_no_ghost() -> None:
    """It shows the order because it was still there."""
    made = withdrawing()
    made.cancelled(["0x1"], CancelResult(frozenset({"0x1"}), {}), T0 + 50)
    made.resting("0x1", T0 + 50 + GRACE - 1, T0 + 5000)

    assert made.table["0x1"].state is State.CANCELLED


def test_f21_a_cancel_without_proof_becomes_a_doubt() -> None:
    """Asked for again and again, named nowhere: after three seconds the sources are consulted."""
    made = withdrawing()
    for ms in range(0, 3000, 100):
        assert look_ups(made.act(T0 + ms, RICH)) == []
    assert look_ups(made.act(T0 + 3000, RICH)) == ["0x1"]
    assert made.table["0x1"].state is State.UNKNOWN
    assert made.doubts.overdue(T0 + 12_999) is None
    assert made.doubts.overdue(T0 + 13_000) is made.table["0x1"]


def test_f21_an_order_that_is_asked_to_go_and_lives_on() -> None:
    """Each doubt about it ends: it lives. Its going does not, and ten seconds of that are a fault;
    one that was wanted again in between begins anew.
    """
    made = withdrawing()
    for ms in range(0, 10_000, 500):
        made.act(T0 + ms, RICH)
        made.heard(seen("0x1", Kind.LIVE), T0 + ms)
        assert made.doubts.overdue(T0 + ms) is None
    assert made.doubts.overdue(T0 + 10_000) is made.table["0x1"]
    assert made.doubts.overdue(T0 + 20_000) is None, "it is wanted, or somebody would ask"
    made.act(T0 + 20_000, RICH)
    assert made.doubts.overdue(T0 + 20_000) is None


def test_f22_each_leg_of_a_batch_has_its_own_fate() -> None:
    """One accepted, one refused, one unanswered: matched by hash, in any order."""
    made = desk()
    made.desired = wanting(order(), order(UP, 4700, level=1), order(DOWN, 4900))
    assert len(posts(made.act(T0, RICH))) == 3
    made.posted([unknown("0x3"), acked("0x1"), refused("0x2")], T0)

    states = [made.table[i].state for i in ("0x1", "0x2", "0x3")]
    assert states == [State.LIVE, State.REJECTED, State.UNKNOWN]
    assert made.promised.reserved == 4_800_000 + 4_900_000


def test_f23_a_whole_batch_without_an_answer_is_all_unknown() -> None:
    """After a 500 every leg counts, every leg is looked up, and none is sent again."""
    made = desk()
    made.desired = wanting(order(), order(DOWN, 4900))
    ids = [each.id for each in posts(made.act(T0, RICH))]
    made.posted([unknown(i) for i in ids], T0)

    for ms in range(0, GRACE, 50):
        actions = made.act(T0 + ms, RICH)
        assert posts(actions) == []
        if ms == 0:
            assert look_ups(actions) == ids
    assert made.promised.reserved == 9_700_000
    assert made.counts.unknowns == 2


def test_f24_a_post_only_refusal_is_no_loop() -> None:
    """Refused because the book moved: the same wish is tried again only after the quiet."""
    made = sent()
    made.posted([refused("0x1", Reject.POST_ONLY_CROSSES)], T0)
    tries = sum(len(posts(made.act(T0 + ms, RICH))) for ms in range(0, 200, 10))
    assert tries == 0

    assert len(posts(made.act(T0 + 200, RICH))) == 1
    assert made.counts.rejects == {"post-only would cross": 1}


def test_f25_the_word_matched_is_believed_only_with_the_amount() -> None:
    """`MATCHED` with a remainder is a partial fill: open stays open, dead stays dead."""
    table = OrderTable()
    for order_id in ("0x1", "0x2"):
        table.record(signed(order_id), T0)
        table.posted(acked(order_id), T0)
    table.seen(seen("0x2", Kind.DEAD), T0)
    for order_id in ("0x1", "0x2"):
        table.seen(seen(order_id, Kind.MATCHED, 4), T0)

    assert (table["0x1"].state, table["0x1"].remaining) == (State.LIVE, 6 * SHARE)
    assert (table["0x2"].state, table["0x2"].remaining) == (State.CANCELLED, 6 * SHARE)


def test_f25_matched_and_a_refused_cancel_are_the_end_of_an_order() -> None:
    """Partly filled, then cancelled, then told as MATCHED for ever: closing must still come to an
    end, and only the refusal of its cancel says so.
    """
    made = desk()
    resting(made, order())
    told = attrs.evolve(row("0x1", matched=4), text="MATCHED")
    made.closing = True
    assert cancels(made.act(T0, RICH)) == ["0x1"]
    refusal = {"0x1": "order can't be found - already canceled or matched"}
    made.cancelled(["0x1"], CancelResult(frozenset(), refusal), T0)
    assert look_ups(made.act(T0, RICH)) == ["0x1"]

    made.looked_up("0x1", told, T0)

    assert (made.table["0x1"].state, len(made.table.open())) == (State.CANCELLED, 0)


def test_f25_a_live_order_is_not_ended_by_the_word_matched() -> None:
    """Without a refused cancel the same answer means a partial fill with a rest that lives."""
    made = desk()
    resting(made, order())
    made.looked_up("0x1", attrs.evolve(row("0x1", matched=4), text="MATCHED"), T0)

    assert made.table["0x1"].state is State.LIVE


def test_f26_one_trade_may_fill_several_of_our_orders() -> None:
    """Two of our bids on both outcomes under one taker: each leg reaches its own order."""
    made = desk()
    resting(made, order(), order(DOWN, 4900))
    up = FillLeg("0x1", "111", Side.BUY, 4800, 4 * SHARE, maker=True)
    down = attrs.evolve(up, order_id="0x2", token="222", price=4900, shares=7 * SHARE)
    stranger = attrs.evolve(up, order_id="0x9")
    trade = TradeSeen("t1", "0xc", TradeStatus.MATCHED, (up, down, stranger), T0)
    for _ in range(2):
        made.heard(trade, T0)

    assert made.table["0x1"].remaining == 6 * SHARE
    assert made.table["0x2"].remaining == 3 * SHARE


def test_f28_delayed_is_neither_failure_nor_life() -> None:
    """A held order counts in full, is not cancelled while it cannot be, and ends either way."""
    made = sent()
    made.posted([acked("0x1", "delayed")], T0)
    made.desired = Desired()
    assert made.table["0x1"].state is State.DELAYED
    assert made.promised.reserved == 4_800_000
    assert made.act(T0, RICH) == []

    made.heard(seen("0x1"), T0 + 150)
    assert cancels(made.act(T0 + 150, RICH)) == ["0x1"]


def test_f28_a_delay_that_nobody_ended_is_looked_up() -> None:
    """Longer than any taker delay without a word: it is read by its hash, and then cancelled."""
    made = sent()
    made.posted([acked("0x1", "delayed")], T0)
    made.desired = Desired()
    assert made.act(T0 + DELAY_MOST_MS - 1, RICH) == []
    assert look_ups(made.act(T0 + DELAY_MOST_MS, RICH)) == ["0x1"]

    made.looked_up("0x1", row("0x1"), T0 + DELAY_MOST_MS + 50)
    assert cancels(made.act(T0 + DELAY_MOST_MS + 50, RICH)) == ["0x1"]


def test_f28_a_delayed_order_that_nobody_knows_is_in_doubt() -> None:
    """Acknowledged as delayed and not found afterwards: two words of the venue disagree."""
    made = sent()
    made.posted([acked("0x1", "delayed")], T0)
    made.act(T0 + DELAY_MOST_MS, RICH)
    made.looked_up("0x1", None, T0 + DELAY_MOST_MS + 50)

    assert made.table["0x1"].state is State.UNKNOWN
    assert made.promised.reserved == 4_800_000


def test_f28_nothing_to_match_is_a_normal_end() -> None:
    """A FAK without a counterpart is over; its CANCELLATION may come before the reply or after."""
    fak = attrs.evolve(order(), tif=TimeInForce.FAK, post_only=False)
    for stream_first in (False, True):
        table = OrderTable()
        table.record(signed("0x1", fak), T0)
        if stream_first:
            table.seen(seen("0x1", Kind.DEAD), T0)
        table.posted(refused("0x1", Reject.NO_MATCH), T0)
        if not stream_first:
            table.seen(seen("0x1", Kind.DEAD), T0)

        assert not table.open()
        assert not table.faults


@pytest.mark.parametrize(
    ("begun_ms", "state"), [(LAG_MOST_MS - 1, State.LIVE), (LAG_MOST_MS, State.UNKNOWN)]
)
def test_f48_a_list_read_too_early_proves_nothing(begun_ms: int, state: State) -> None:
    """Missing from a list counts only if the list was begun well after the order last moved."""
    made = desk()
    resting(made, order())
    made.missing("0x1", T0 + begun_ms, T0 + begun_ms + 100)

    assert made.table["0x1"].state is state


def test_f48_a_slow_post_is_no_fault() -> None:
    """An order still on the wire is not missed from a list read in the meantime."""
    made = sent()
    made.missing("0x1", T0 + 4000, T0 + 4100)

    assert made.table["0x1"].state is State.IN_FLIGHT
    assert not made.table.faults


def slept(made: Desk) -> None:
    """0x1 ends by the stream's word, and the desk's next turn is long after that."""
    made.heard(seen("0x1", Kind.DEAD), T0 + 1_000)
    made.desired = Desired()
    made.act(T0 + 1_000 + KEEP_DEAD_MS + 1, RICH)
    assert "0x1" not in made.table


@pytest.mark.parametrize("result", [acked("0x1"), refused("0x1"), unknown("0x1")])
def test_a_reply_that_a_sleeping_machine_reads_too_late(result: PostResult) -> None:
    """The order was forgotten while its POST was under way: what the reply says changes nothing,
    and is no fault of ours (F50).
    """
    made = sent()
    slept(made)
    made.posted([result], T0 + 70_000)

    assert "0x1" not in made.table
    assert not made.counts.unknowns


def test_what_never_left_is_told_too_late() -> None:
    """The same of one that waited for its connection for as long (the desk raised KeyError)."""
    made = sent()
    slept(made)
    made.unsent(("0x1",), T0 + 70_000)

    assert "0x1" not in made.table
    assert made.counts.orders == 0


@pytest.mark.parametrize("answer", [row("0x1"), None, Failure("timed out")])
def test_a_look_up_that_a_sleeping_machine_reads_too_late(
    answer: OrderRow | Failure | None,
) -> None:
    """The same of an order that was being looked up."""
    made = sent(answer=False)
    assert look_ups(made.act(T0 + 1, RICH)) == ["0x1"]
    slept(made)
    made.looked_up("0x1", answer, T0 + 70_000)

    assert "0x1" not in made.table


def test_lists_and_cancels_that_a_sleeping_machine_reads_too_late() -> None:
    """The same of one that a cancel names, or a list that was read for all markets."""
    made = withdrawing()
    made.heard(seen("0x1", Kind.DEAD), T0)
    slept(made)
    made.cancelled(["0x1"], CancelResult(frozenset({"0x1"}), {}), T0 + 70_000)
    made.missing("0x1", T0 + 69_000, T0 + 70_000)
    made.resting("0x1", T0 + 69_000, T0 + 70_000)
    made.surveyed(surveyed(T0 + 69_000, row("0x1")), T0 + 70_000)

    assert "0x1" not in made.table
