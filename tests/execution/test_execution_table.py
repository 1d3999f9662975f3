"""The order table: amounts told twice, in any order, and by two kinds of messages."""

from __future__ import annotations

import attrs
import pytest
from execution_kit import DOWN, T0, UP, Kind, acked, fill, order, refused, seen, signed, unknown
from hypothesis import given, strategies as st

from polybot.domain.booking import REST
from polybot.domain.market import Side
from polybot.domain.orders import Acked, OrderSeen, TimeInForce, TradeSeen, TradeStatus
from polybot.domain.units import LOT, SHARE
from polybot.execution.lifecycle import OPEN, Event, State
from polybot.execution.table import KEEP_DEAD_MS, LATE_FILL_MS, OVERFILLED, OrderTable
from polybot.execution.tracked import DUST, Tracked

FAILED, CONFIRMED = TradeStatus.FAILED, TradeStatus.CONFIRMED


def made(*ids: str, live: bool = True) -> OrderTable:
    """A table of orders of 10 shares at 0.48, acknowledged unless told otherwise."""
    table = OrderTable()
    for order_id in ids:
        table.record(signed(order_id, order()), T0)
        if live:
            table.posted(acked(order_id), T0)
    return table


def test_an_order_is_in_the_table_before_it_is_sent() -> None:
    """From its record on it is open, in flight, and counted in full."""
    tracked = made("0x1", live=False)["0x1"]

    assert tracked.state is State.IN_FLIGHT
    assert tracked.remaining == 10 * SHARE
    assert tracked.reserved == 4_800_000


def test_the_same_hash_twice_is_our_bug() -> None:
    """Signing the same order twice can never lead to a second POST (S3)."""
    table = made("0x1")
    with pytest.raises(AssertionError, match="0x1"):
        table.record(signed("0x1"), T0)


def test_remaining_is_the_smaller_of_two_tellings() -> None:
    """Order messages and trades count the same fills: the larger count of what is gone holds."""
    table = made("0x1")
    table.seen(seen("0x1", matched=4), T0)
    assert table["0x1"].remaining == 6 * SHARE
    table.traded(fill("0x1", 3), T0)
    assert table["0x1"].remaining == 6 * SHARE
    table.traded(fill("0x1", 3, "t2"), T0)
    assert table["0x1"].remaining == 4 * SHARE


def test_a_cumulative_amount_never_shrinks() -> None:
    """An old order message arriving late does not give shares back."""
    table = made("0x1")
    table.seen(seen("0x1", matched=6), T0)
    table.seen(seen("0x1", matched=2), T0)

    assert table["0x1"].matched == 6 * SHARE


def test_an_ack_in_part_matched_leaves_the_rest_resting() -> None:
    """`matched` with less than the size rests with what is left; with all of it, it is filled."""
    table = made("0x1", "0x2", live=False)
    table.posted(acked("0x1", "matched", 4), T0)
    table.posted(acked("0x2", "matched", 10), T0)

    assert (table["0x1"].state, table["0x1"].remaining) == (State.LIVE, 6 * SHARE)
    assert table["0x2"].state is State.FILLED


@pytest.mark.parametrize("status", ["live", "unmatched", "something new"])
def test_an_accepted_order_is_live_whatever_the_word(status: str) -> None:
    """An ack that we cannot read in detail still means: it may match (clob.md 3.6)."""
    table = made("0x1", live=False)
    table.posted(Acked("0x1", status, 0, 0, ()), T0)

    assert table["0x1"].state is State.LIVE


def test_dust_is_done_and_more_is_not() -> None:
    """A hundredth of a share may stay unmatched for ever; two hundredths are an order (F30)."""
    for left, state in ((0, State.FILLED), (DUST, State.FILLED), (2 * LOT, State.LIVE)):
        table = made("0x1")
        gone = 10 * SHARE - left
        table.seen(OrderSeen("0x1", Kind.LIVE, gone, "UPDATE", T0), T0)
        assert table["0x1"].state is state


def test_more_than_the_size_leaves_nothing_negative() -> None:
    """A fill larger than what remained ends the order at zero (F30)."""
    table = made("0x1")
    table.traded(fill("0x1", 11), T0)

    assert table["0x1"].remaining == 0
    assert table["0x1"].state is State.FILLED


@pytest.mark.parametrize("tif", [TimeInForce.GTC, TimeInForce.FAK])
@pytest.mark.parametrize(("beyond", "fault"), [(0, False), (DUST, False), (2 * LOT, True)])
def test_more_than_dust_beyond_the_size_is_a_fault(
    tif: TimeInForce, beyond: int, fault: bool
) -> None:
    """The venue has broken its word (F30): trading halts for it. A take is held to its dollars, and
    spends none beyond them.
    """
    table = OrderTable()
    resting = tif is TimeInForce.GTC
    table.record(signed("0x1", attrs.evolve(order(), tif=tif, post_only=resting)), T0)
    told = fill("0x1", 10)
    leg = attrs.evolve(told.legs[0], shares=10 * SHARE + beyond)
    table.traded(attrs.evolve(told, legs=(leg,)), T0)

    assert (OVERFILLED in table.faults) is fault
    assert table["0x1"].reserved == 0


def test_strangers_are_ignored() -> None:
    """Messages about orders that are not ours, or long forgotten, change nothing."""
    table = made("0x1")
    table.seen(seen("0x9", Kind.DEAD), T0)
    table.traded(fill("0x9", 5), T0)

    assert len(table) == 1
    assert "0x9" not in table


def test_a_failed_trade_stays_failed() -> None:
    """FAILED takes its shares back once; an old status arriving later does not book them again."""
    table = made("0x1")
    table.traded(fill("0x1", 4), T0)
    table.traded(fill("0x1", 4, status=FAILED), T0)
    assert table["0x1"].remaining == 10 * SHARE
    table.traded(fill("0x1", 4, status=CONFIRMED), T0)

    assert table["0x1"].remaining == 10 * SHARE


def test_a_corrected_amount_replaces_the_first() -> None:
    """A trade told again with fewer or more shares is one trade of the later amount, and what
    failed is not brought back by it (F30).
    """
    table = made("0x1")
    table.traded(fill("0x1", 6), T0)
    table.traded(fill("0x1", 4, status=CONFIRMED), T0)
    assert table["0x1"].remaining == 6 * SHARE
    assert table["0x1"].told == 4 * SHARE
    table.traded(fill("0x1", 4, status=FAILED), T0)
    table.traded(fill("0x1", 5), T0)
    assert table["0x1"].remaining == 10 * SHARE


def test_a_late_old_word_corrects_no_amount() -> None:
    """What the ledger leaves aside fills no order (F14): one of which REST had told the right
    amount was called filled by the stream's older word, and rested on unseen.
    """
    table = made("0x1")
    table.traded(attrs.evolve(fill("0x1", 4, status=CONFIRMED), source=REST), T0)
    table.traded(fill("0x1", 10), T0)
    table.traded(fill("0x1", 10, status=CONFIRMED), T0)

    assert (table["0x1"].state, table["0x1"].remaining) == (State.LIVE, 6 * SHARE)


def test_a_fill_that_was_less_leaves_an_order_in_doubt() -> None:
    """An order that trades alone had called filled may rest, once they came to less: it counts
    with what is left, and is looked up. One that the venue called filled is so, and what takes at
    once or not at all never rests.
    """
    table = made("0x1", "0x2")
    taking = attrs.evolve(order(), tif=TimeInForce.FAK, post_only=False)
    table.record(signed("0x3", taking), T0)
    table.posted(acked("0x3"), T0)
    for order_id in ("0x1", "0x2", "0x3"):
        table.traded(fill(order_id, 10), T0)
    table.seen(seen("0x2", Kind.MATCHED, 10), T0)
    assert not table.open()

    for order_id in ("0x1", "0x2", "0x3"):
        table.traded(fill(order_id, 4, status=CONFIRMED), T0)
    assert [(t.id, t.state, t.remaining) for t in table.open()] == [
        ("0x1", State.UNKNOWN, 6 * SHARE)
    ]


def test_each_end_is_told_once() -> None:
    """The journal learns of it, or a start would look up every order there has ever been."""
    table, told = made("0x1", "0x2"), list[str]()
    table.on_end = lambda tracked: told.append(f"{tracked.id} {tracked.state.value}")
    table.seen(seen("0x1", Kind.DEAD), T0)
    table.seen(seen("0x1", Kind.DEAD), T0)
    assert told == [f"0x1 {State.CANCELLED.value}"]

    table.move(table["0x1"], Event.RESTS_STILL, T0)
    table.seen(seen("0x1", Kind.DEAD), T0)
    assert told == [f"0x1 {State.CANCELLED.value}"] * 2


def test_what_the_ledger_does_not_know_yet_is_still_reserved() -> None:
    """Shares told by order messages alone count as spent until their trade is told (S7)."""
    table = made("0x1")
    table.seen(seen("0x1", Kind.MATCHED, 10), T0)
    assert not table.open()
    assert table.unbooked == 4_800_000

    table.traded(fill("0x1", 6), T0)
    assert table.unbooked == 4 * 480_000
    table.traded(fill("0x1", 6), T0)
    assert table.unbooked == 4 * 480_000
    assert table.lags
    table.traded(fill("0x1", 4, "t2", FAILED), T0)
    assert table.unbooked == 0
    assert not table.lags


def test_no_more_is_reserved_than_the_order_can_spend() -> None:
    """A number gone wild in an order's message: a hundred million dollars were bound, all there
    are, until a minute after its end.
    """
    table = made("0x1")
    table.seen(seen("0x1", Kind.LIVE, 200_000_000), T0)
    assert table.unbooked == 4_800_000

    table.traded(fill("0x1", 10), T0)
    assert table.unbooked == 0


def test_untold_shares_move_us_one_way() -> None:
    """What a bid has matched without its trade moves us toward its own outcome alone."""
    table = made("0x1")
    table.seen(seen("0x1", matched=4), T0)

    assert [table.untold_toward(outcome) for outcome in (UP, DOWN)] == [4 * SHARE, 0]


def test_a_take_whose_trade_failed_may_spend_it_again() -> None:
    """It is filled by dollars: those of a trade that came to nothing are not spent (F31, S7)."""
    table = OrderTable()
    table.record(signed("0x1", attrs.evolve(order(), tif=TimeInForce.FAK, post_only=False)), T0)
    whole = table["0x1"].reserved
    table.traded(fill("0x1", 4), T0)
    assert table["0x1"].reserved < whole
    table.traded(fill("0x1", 4, status=FAILED), T0)

    assert table["0x1"].reserved == whole


def test_what_the_edge_may_still_hold_back() -> None:
    """Who has no time to wait for it hands over what no read has shown: nothing else may come."""
    table = made("live", "cancelled")
    for order_id in ("on its way", "unknown", "absent"):
        table.record(signed(order_id), T0)
    table.move(table["cancelled"], Event.CANCEL_DONE, T0)
    for order_id in ("unknown", "absent"):
        table.posted(unknown(order_id), T0)
    table.move(table["absent"], Event.PROVEN_ABSENT, T0)

    assert {order.id for order in table.unseen()} == {"on its way", "unknown", "absent"}


def test_a_pair_outside_the_life_cycle_is_counted_and_changes_nothing() -> None:
    """A contradiction is shown, not raised: the order still has to be managed (S19)."""
    table = made("0x1")
    table.seen(seen("0x1", Kind.MATCHED, 10), T0)
    table.posted(refused("0x1"), T0)

    assert table["0x1"].state is State.FILLED
    assert table.faults == {"filled / refused": 1}


def test_the_dead_listen_for_a_minute_and_are_forgotten() -> None:
    """A late fill finds its order for a minute; after that the table is bounded (S20)."""
    table = made("0x1", "0x2")
    table.seen(seen("0x1", Kind.DEAD), T0)
    table.forget(T0 + KEEP_DEAD_MS)
    assert "0x1" in table

    table.forget(T0 + 2 * KEEP_DEAD_MS)
    assert "0x1" not in table
    assert "0x2" in table


def test_an_end_leaves_room_for_a_late_fill() -> None:
    """A CANCELLATION with nothing matched, then the fill, then the CANCELLATION again with it: as
    it was seen (feeds.md 4.5). What the bid might have matched counts until it would be told.
    """
    table = made("0x1")
    table.seen(seen("0x1", Kind.DEAD), T0)
    assert [tracked.remaining for tracked in table.possible()] == [10 * SHARE]

    table.traded(fill("0x1", 4), T0 + 300)
    table.seen(seen("0x1", Kind.DEAD, 4), T0 + 301)
    table.forget(T0 + LATE_FILL_MS - 1)
    assert [tracked.remaining for tracked in table.possible()] == [6 * SHARE]
    table.forget(T0 + LATE_FILL_MS)
    assert table.possible() == []


def test_a_ghost_counts_as_open_and_once() -> None:
    """A list that shows it well after its end makes it an open order again (F21)."""
    table = made("0x1")
    table.seen(seen("0x1", Kind.DEAD), T0)
    table.move(table["0x1"], Event.RESTS_STILL, T0)

    assert [tracked.state for tracked in table.possible()] == [State.UNKNOWN]


def test_an_ended_ask_binds_nothing() -> None:
    """Its shares may be offered at once: where they are gone, the venue refuses them."""
    table = OrderTable()
    ask = attrs.evolve(order(), side=Side.SELL, price=5200)
    table.record(signed("0x1", ask), T0)
    table.seen(seen("0x1", Kind.DEAD), T0)

    assert table.possible() == []


def test_an_open_order_is_never_forgotten() -> None:
    """However long it stays unknown, it stays in the table."""
    table = made("0x1", live=False)
    table.posted(unknown("0x1"), T0)
    table.forget(T0 + 100 * KEEP_DEAD_MS)

    assert table["0x1"].state is State.UNKNOWN


tellings = st.lists(
    st.one_of(
        st.builds(
            seen,
            st.just("0x1"),
            st.sampled_from((Kind.LIVE, Kind.DEAD, Kind.DELAYED)),
            st.integers(0, 10),
        ),
        st.builds(
            fill,
            st.just("0x1"),
            st.integers(1, 3),
            st.sampled_from(("t1", "t2", "t3")),
            st.sampled_from(TradeStatus),
        ),
    ),
    max_size=12,
)


def hear(events: list[OrderSeen | TradeSeen]) -> Tracked:
    table = made("0x1")
    for event in events:
        if isinstance(event, OrderSeen):
            table.seen(event, T0)
        else:
            table.traded(event, T0)
    return table["0x1"]


@given(tellings)
def test_hearing_everything_twice_is_hearing_it_once(events: list[OrderSeen | TradeSeen]) -> None:
    """Amounts do not depend on how often the same things are told (F13, S5)."""
    once, twice = hear(events), hear(events + events)

    assert (once.matched, once.fills, once.told) == (twice.matched, twice.fills, twice.told)
    assert once.remaining == twice.remaining


@given(tellings, st.integers(0, 11))
def test_a_dead_order_never_opens_again(events: list[OrderSeen | TradeSeen], at: int) -> None:
    """Once the venue declared it over, nothing told later makes it count as open (S23)."""
    at = min(at, len(events))
    ended = hear([*events[:at], seen("0x1", Kind.DEAD), *events[at:]])

    assert ended.state not in OPEN
    assert 0 <= ended.remaining <= ended.order.size
