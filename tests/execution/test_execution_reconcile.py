"""Differences between our books and the venue's: each kind, and what is no difference."""

from __future__ import annotations

import attrs
import pytest
from execution_kit import MARKET, T0, Kind as Seen, row
from hypothesis import given, strategies as st

from polybot.domain.market import Outcome, Side
from polybot.domain.orders import NewOrder, OrderRow, SignedOrder, TimeInForce
from polybot.domain.units import ONE, SHARE
from polybot.execution.reconcile import (
    DRIFT_MS,
    LAG_MOST_MS,
    PAYMENT_MS,
    STALE_MS,
    TOLERANCE,
    Belief,
    Difference,
    DriftWatch,
    Kind,
    OurOrder,
    order_differences,
)
from polybot.execution.tracked import Tracked
from polybot.venue.signing import amounts

GRACE = 2000
LATER = T0 + LAG_MOST_MS


def ours(order_id: str = "0x1", *, matched: int = 0, open_: bool = True) -> OurOrder:
    """Ten Up at 0.48, last moved at T0."""
    where = (MARKET.condition_id, MARKET.up_token, Side.BUY)
    return OurOrder(order_id, *where, 4800, 10 * SHARE, matched * SHARE, open_, T0)


def kinds(
    known: list[OurOrder],
    rows: list[OrderRow],
    *,
    begun_ms: int = LATER,
    signed: tuple[str, ...] = (),
) -> list[Kind]:
    found = order_differences(known, signed.__contains__, rows, begun_ms, GRACE)
    return [one.kind for one in found]


def test_agreement_is_no_difference() -> None:
    """The same orders on both sides, and ended ones that rest nowhere."""
    assert kinds([ours(), ours("0x2", open_=False)], [row("0x1")]) == []


def test_a_difference_is_as_large_as_what_is_left() -> None:
    """Not as what was placed."""
    there = [row("0x1", matched=4)]
    (ghost,) = order_differences([ours(open_=False)], lambda _: True, there, LATER, GRACE)
    assert (ghost.ours, ghost.theirs) == (0, 6 * SHARE)
    (gone,) = order_differences([ours(matched=4)], lambda _: True, [], LATER, GRACE)
    assert (gone.ours, gone.theirs) == (6 * SHARE, 0)


def test_each_kind_has_its_sign() -> None:
    """Missing here, missing there, size, price, foreign and ghost are told apart (issue C, 5)."""
    assert kinds([], [row("0x1")], signed=("0x1",)) == [Kind.MISSING_HERE]
    assert kinds([], [row("0x9")]) == [Kind.FOREIGN]
    assert kinds([ours()], []) == [Kind.MISSING_THERE]
    assert kinds([ours(matched=2)], [row("0x1", matched=5)]) == [Kind.SIZE]
    assert kinds([ours(open_=False)], [row("0x1")]) == [Kind.GHOST]
    assert kinds([ours()], [attrs.evolve(row("0x1"), price=4900)]) == [Kind.PRICE]


@pytest.mark.parametrize(
    "other", [{"price": 4700}, {"size": 11 * SHARE}, {"token": "222"}, {"side": Side.SELL}]
)
def test_any_other_term_than_signed_counts(other: dict[str, object]) -> None:
    """Price, size, token and side are in the hash; a row that differs is nobody's we trust."""
    changed = attrs.evolve(row("0x1"), **other)  # type: ignore[arg-type]  # of one field each

    assert kinds([ours()], [changed]) == [Kind.PRICE]


@pytest.mark.parametrize(("changed_ms", "matched_ms"), [(T0 + 7, T0 + 3), (T0 + 3, T0 + 7)])
def test_an_order_of_a_table_is_compared_as_it_moved_last(changed_ms: int, matched_ms: int) -> None:
    """With what is gone of it, by whoever told more, and since when nothing has moved."""
    wanted = NewOrder(MARKET, Outcome.UP, Side.BUY, 4800, 10 * SHARE)
    tracked = Tracked(SignedOrder("0x1", wanted, b""), T0, changed_ms)
    tracked.matched, tracked.matched_ms = 4 * SHARE, matched_ms

    assert OurOrder.of(tracked) == attrs.evolve(ours(matched=4), moved_ms=T0 + 7)


def test_one_that_takes_is_signed_in_dollars() -> None:
    """It spends whole cents, for the shares that these buy at its limit: 21.37 at 0.53 are 21.3584.
    A list that shows it while the venue delays takers would have stopped trading for good.
    """
    take = NewOrder(
        MARKET, Outcome.UP, Side.BUY, 5300, 21_370_000, TimeInForce.FAK, post_only=False
    )
    dollars, shares = amounts(take)
    price = dollars * ONE // shares
    held = attrs.evolve(row("0x1", Seen.DELAYED), size=shares, price=price)
    mine = OurOrder.of(Tracked(SignedOrder("0x1", take, b""), T0, T0))

    assert shares != take.size
    assert kinds([mine], [held]) == []
    assert kinds([mine], [attrs.evolve(held, token="222")]) == [Kind.PRICE]


@pytest.mark.parametrize(
    ("known", "rows", "begun_ms", "found"),
    [
        (ours(), [], T0 + LAG_MOST_MS - 1, []),
        (ours(), [], T0 + LAG_MOST_MS, [Kind.MISSING_THERE]),
        (ours(open_=False), [row("0x1")], T0 + GRACE - 1, []),
        (ours(open_=False), [row("0x1")], T0 + GRACE, [Kind.GHOST]),
        (ours(), [row("0x1", matched=3)], T0 + GRACE - 1, []),
        (ours(), [row("0x1", matched=3)], T0 + GRACE, [Kind.SIZE]),
    ],
)
def test_what_moved_just_before_is_not_judged(
    known: OurOrder, rows: list[OrderRow], begun_ms: int, found: list[Kind]
) -> None:
    """Messages race with lists, and lists lag (F48)."""
    assert kinds([known], rows, begun_ms=begun_ms) == found


def test_a_long_grace_is_waited_for_before_an_order_is_missed() -> None:
    """Where it is longer than any lag of a list."""
    for begun_ms, missed in ((T0 + 9_999, 0), (T0 + 10_000, 1)):
        assert len(order_differences([ours()], "".__contains__, [], begun_ms, 10_000)) == missed


def test_an_old_amount_is_no_difference() -> None:
    """Sums never shrink: a list that shows less than we were told is merely older."""
    assert kinds([ours(matched=5)], [row("0x1", matched=2)]) == []


def test_an_ended_order_shown_as_ended_is_no_ghost() -> None:
    """Only what still rests contradicts an end."""
    assert kinds([ours(open_=False)], [row("0x1", Seen.DEAD)]) == []


def test_a_difference_tells_its_figures() -> None:
    """The log has the kind, the order and both amounts."""
    one = Difference(Kind.SIZE, "0xabcdefghijklmnop", "0xc", 2 * SHARE, 5 * SHARE)

    assert one.text == "size: 0xabcdefghij, 2 here and 5 there"


@given(
    st.lists(st.integers(0, 5), unique=True),
    st.lists(st.integers(0, 5), unique=True),
    st.lists(st.integers(0, 5), unique=True),
)
def test_every_order_is_judged_once(open_: list[int], ended: list[int], there: list[int]) -> None:
    """Each order of either side is in exactly the difference its two sides make."""
    known = {n: ours(str(n)) for n in open_} | {
        n: ours(str(n), open_=False) for n in ended if n not in open_
    }
    signed = {str(n) for n in known} | {"5"}
    rows = [row(str(n)) for n in there]
    found = order_differences(known.values(), signed.__contains__, rows, LATER, GRACE)

    expected = {}
    for n in range(6):
        order = known.get(n)
        if n in there and order is None:
            expected[str(n)] = Kind.MISSING_HERE if n == 5 else Kind.FOREIGN
        elif n in there and order is not None and not order.open:
            expected[str(n)] = Kind.GHOST
        elif n not in there and order is not None and order.open:
            expected[str(n)] = Kind.MISSING_THERE
    assert {one.subject: one.kind for one in found} == expected
    assert len(found) == len(expected)


# --- balances -------------------------------------------------------------------------------------

TEN = Belief(Kind.SHARES, "111", 10 * SHARE, 10 * SHARE, 10 * SHARE, "0xc")


def holding(shares: int) -> Belief:
    """So many, and nothing under way."""
    return attrs.evolve(TEN, least=shares * SHARE, most=shares * SHARE, total=shares * SHARE)


def judged(watch: DriftWatch, belief: Belief, there: int, *at_ms: int) -> list[bool]:
    return [watch.judge(belief, there, T0 + ms) is not None for ms in at_ms]


def test_a_difference_that_lasts_is_drift() -> None:
    """More than a hundredth of a share, for more than five seconds (G14)."""
    there = 10 * SHARE + TOLERANCE + 1
    assert judged(DriftWatch(), TEN, there, 0, 2500, DRIFT_MS, DRIFT_MS + 1) == [
        False, False, False, True,
    ]  # fmt: skip
    assert judged(DriftWatch(), TEN, 10 * SHARE + TOLERANCE, 0, DRIFT_MS + 1) == [False, False]


def test_drift_tells_both_figures() -> None:
    """What an operator wants to know first."""
    watch = DriftWatch()
    watch.judge(TEN, 9 * SHARE, T0)

    assert watch.differing
    assert watch.judge(TEN, 9 * SHARE, T0 + 6000) == Difference(
        Kind.SHARES, "111", "0xc", 10 * SHARE, 9 * SHARE
    )


def test_agreement_in_between_starts_anew() -> None:
    """A figure that came right was late, not wrong."""
    watch = DriftWatch()
    assert judged(watch, TEN, 9 * SHARE, 0, 4000) == [False, False]
    assert judged(watch, TEN, 10 * SHARE, 4500) == [False]
    assert not watch.differing
    assert judged(watch, TEN, 9 * SHARE, 5500) == [False]


def test_news_in_between_starts_anew() -> None:
    """A fill learnt meanwhile is a trade under way: the figures are compared afresh."""
    watch = DriftWatch()
    assert judged(watch, TEN, 30 * SHARE, 0, 4000) == [False, False]
    more = holding(20)
    assert judged(watch, more, 30 * SHARE, 6000, 11_000, 11_001) == [False, False, True]


def test_what_was_believed_between_two_looks_is_old_too() -> None:
    """Seed 681: a trade was confirmed and then undone between two looks, and the venue's cache
    showed for eight seconds what had been true in between: trading was halted.
    """
    watch = DriftWatch()
    assert judged(watch, TEN, 10 * SHARE, 0) == [False]
    watch.keep([], T0 + 1000)
    watch.remember(TEN, T0 + 1000)
    watch.remember(holding(7), T0 + 15_000)

    old = (20_000, 26_000, 15_000 + STALE_MS)
    assert judged(watch, TEN, 7 * SHARE, *old) == [False, False, False]
    assert judged(watch, TEN, 7 * SHARE, 46_000, 51_001) == [False, True]
    assert judged(watch, TEN, 6 * SHARE, 52_000, 58_000) == [True, True], "never believed"
    watch.keep([], T0 + 60_000)
    assert not watch._past


def test_each_belief_of_late_may_be_shown() -> None:
    """Until as long after it was the last; what is said twice of one is the later."""
    watch = DriftWatch()
    for belief, until_ms in ((TEN, 1_000), (holding(7), 2_000), (holding(7), 3_000)):
        watch.remember(belief, T0 + until_ms)

    for shown, last_ms in ((10 * SHARE, 1_000), (7 * SHARE, 3_000)):
        assert judged(watch, holding(4), shown, STALE_MS + last_ms) == [False]
        assert not watch.differing, "an old figure is no difference"
        assert judged(watch, holding(4), shown, STALE_MS + last_ms + 1) == [False]
        assert watch.differing


def test_dollars_more_than_known_wait_for_their_evidence() -> None:
    """Rebates are paid unannounced and told elsewhere; shares, and dollars that are missing, have
    five seconds.
    """
    cash = Belief(Kind.CASH, "cash", 10 * SHARE, 10 * SHARE, 10 * SHARE)
    ever = (0, DRIFT_MS + 1, PAYMENT_MS, PAYMENT_MS + 1)
    watch = DriftWatch()
    assert judged(watch, cash, 13 * SHARE, *ever) == [False, False, False, True]
    assert not watch.differing, "nothing to hurry for"
    assert judged(DriftWatch(), cash, 7 * SHARE, 0, DRIFT_MS + 1) == [False, True]
    assert judged(DriftWatch(), TEN, 13 * SHARE, 0, DRIFT_MS + 1) == [False, True]


def test_news_that_explain_nothing_do_not_hide_drift() -> None:
    """In a busy market fills come all the time; what they leave as it was goes on counting."""
    watch = DriftWatch()
    found = []
    for n in range(8):
        held = holding(10 + n)
        found += judged(watch, held, (110 + n) * SHARE, 1000 * n)

    assert found == [False] * 6 + [True] * 2


@pytest.mark.parametrize(("there", "off"), [(9, -1), (10, 0), (12, 0), (15, 0), (16, 1)])
def test_trades_under_way_explain_their_own_shares(there: int, off: int) -> None:
    """Whether the venue moves balances at the match or when it is confirmed, both are right."""
    belief = Belief(Kind.SHARES, "1", 10 * SHARE, 15 * SHARE, 15 * SHARE)
    assert belief.off(there * SHARE) == off * SHARE


def test_a_figure_we_believed_lately_is_the_venues_cache() -> None:
    """Stale balances halt nothing for thirty seconds (F34); after that they are drift."""
    watch = DriftWatch()
    before = holding(4)
    watch.judge(before, 4 * SHARE, T0)
    ever = range(1000, STALE_MS + 1000, 1000)
    assert not any(judged(watch, TEN, 4 * SHARE, *ever))
    assert watch.stale == len(ever)
    late = STALE_MS + 1001
    assert judged(watch, TEN, 4 * SHARE, late, late + DRIFT_MS + 1) == [False, True]


def test_what_is_compared_no_more_is_forgotten() -> None:
    """Closed markets leave nothing behind (S20), and no difference that would ask for haste."""
    watch = DriftWatch()
    watch.judge(TEN, 0, T0)
    watch.keep(["cash"], T0)

    assert not watch.differing


@pytest.mark.parametrize("every_ms", [300_000, 540_000])
def test_transactions_in_between_do_not_hide_dollars(every_ms: int) -> None:
    """Cash is not asked for while a transaction is under way; what differed before goes on
    counting, for who merges all day would never hear of it.
    """
    cash = Belief(Kind.CASH, "cash", 10 * SHARE, 10 * SHARE, 10 * SHARE)
    watch, found = DriftWatch(), []
    for ms in range(0, PAYMENT_MS + 20_001, 20_000):
        busy = ms > 0 and ms % every_ms == 0
        watch.keep([] if busy else ["cash"], T0 + ms, paused=["cash"])
        found += [] if busy else judged(watch, cash, 17 * SHARE, ms)

    assert found[-1]
    assert not any(found[:-1])


def test_what_is_paused_asks_for_no_haste() -> None:
    """Nobody will read it at the next look: to look again soon would change nothing."""
    watch = DriftWatch()
    watch.judge(TEN, 0, T0)
    watch.keep([], T0, paused=[TEN.subject])
    assert not watch.differing
    watch.keep([TEN.subject], T0, paused=[TEN.subject])
    assert watch.differing


def test_trades_under_way_do_not_hide_dollars() -> None:
    """While a trade is on its way the venue may have taken its dollars or not, so that seven more
    than we know of may look like none: that proves nothing, and the seven go on counting. Where
    nothing is on its way, and none are left, they are explained.
    """
    cash = Belief(Kind.CASH, "cash", 10 * SHARE, 10 * SHARE, 10 * SHARE)
    buying = attrs.evolve(cash, least=2 * SHARE, total=2 * SHARE)
    bought = attrs.evolve(buying, most=2 * SHARE)
    watch = DriftWatch()
    assert judged(watch, cash, 17 * SHARE, 0) == [False]
    assert judged(watch, buying, 9 * SHARE, 20_000) == [False]
    assert judged(watch, bought, 9 * SHARE, 40_000, PAYMENT_MS + 1) == [False, True]
    watch.keep([], T0)
    assert judged(watch, cash, 17 * SHARE, 0) == [False]
    assert judged(watch, buying, 9 * SHARE, 20_000) == [False]
    assert judged(watch, bought, 2 * SHARE, 40_000) == [False]
    assert judged(watch, bought, 9 * SHARE, 80_000, PAYMENT_MS + 1) == [False, False]
    assert judged(watch, buying, -5 * SHARE, PAYMENT_MS + 2, PAYMENT_MS + 6_000) == [False, True]
