"""The desk in calm weather: what it keeps, what it replaces, what it withholds, how it ends."""

from __future__ import annotations

import attrs
import pytest
from execution_kit import (
    CUTOFF,
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
    seen,
    standing,
    unknown,
    wanting,
)
from msgspec.structs import replace

from polybot.domain.orders import (
    CancelResult,
    Failure,
    OrderSeen,
    PostResult,
    Reject,
    TradeStatus,
)
from polybot.domain.units import SHARE
from polybot.execution.actions import Cancel, Post
from polybot.execution.desk import BATCH
from polybot.execution.firewall import Admission
from polybot.execution.lifecycle import State
from polybot.execution.params import OrderParams
from polybot.execution.table import LATE_FILL_MS
from polybot.execution.wish import Desired, match
from polybot.risk.limits import RiskParams

DONE = CancelResult(frozenset({"0x1"}), {})


def test_a_wish_becomes_orders_once() -> None:
    """Both outcomes leave in one batch; asking again while they are on the wire sends nothing."""
    made = desk()
    made.desired = wanting(order(UP, 4800), order(DOWN, 4900))

    sent = posts(made.act(T0, RICH))
    assert [(each.order.outcome, each.order.price) for each in sent] == [(UP, 4800), (DOWN, 4900)]
    assert made.act(T0, RICH) == []
    assert made.counts.orders == 2


def test_orders_are_in_the_table_before_they_leave() -> None:
    """On return of `act`, every order of a POST is tracked and reserved (S4)."""
    made = desk()
    made.desired = wanting(order())
    (sent,) = posts(made.act(T0, RICH))

    assert made.table[sent.id].state is State.IN_FLIGHT
    assert made.promised.reserved == 4_800_000


def test_a_batch_is_no_larger_than_the_venue_takes() -> None:
    """At most fifteen orders in one POST (clob.md 3.7)."""
    made = desk(limits=RiskParams(max_open_orders_per_market=40, max_net_shares=1000))
    made.desired = wanting(*(order(UP, 4800 - 100 * n, level=n) for n in range(20)))

    (first,) = [a for a in made.act(T0, RICH) if isinstance(a, Post)]
    assert len(first.orders) == BATCH == 15


def test_what_is_good_enough_keeps_its_place() -> None:
    """Within the hysteresis a resting order serves the new wish; one tick further it does not."""
    made = desk(params=OrderParams(routine_every_ms=0, hysteresis_ticks=1))
    resting(made, order(UP, 4800))
    made.desired = wanting(order(UP, 4700))
    assert made.act(T0, RICH) == []

    made.desired = wanting(order(UP, 4600))
    actions = made.act(T0, RICH)
    assert cancels(actions) == ["0x1"]
    assert [each.order.price for each in posts(actions)] == [4600]


@pytest.mark.parametrize(
    ("shares", "kept"), [(4, False), (8, True), (10, True), (20, True), (21, False), (7, False)]
)
def test_a_resting_size_serves_when_it_is_about_right(shares: int, kept: bool) -> None:
    """Half to five quarters of what is wanted will do; anything else is replaced."""
    made = desk()
    resting(made, order(UP, 4800, 10))
    made.desired = wanting(attrs.evolve(order(UP, 4800), size=shares * SHARE))

    assert (cancels(made.act(T0, RICH)) == []) == kept


@pytest.mark.parametrize(
    ("wanted", "spare", "kept"),
    [(8, 0, False), (9.99, 0, False), (10, 0, True), (20, 0, True), (9, 1, True), (9, 0.99, False)],
)
def test_what_only_pairs_is_no_larger_than_what_is_to_pair(
    wanted: float, spare: float, kept: bool
) -> None:
    """A quarter more would turn the position around. What is smaller for some other reason may be
    larger by as much, and keeps its place.
    """
    made = desk()
    resting(made, order(UP, 4800, 10))
    one = attrs.evolve(order(UP, 4800), size=int(wanted * SHARE))
    made.desired = wanting(one)
    made.act(T0, RICH)
    made.desired = replace(made.desired, spare=int(spare * SHARE))

    assert (cancels(made.act(T0, RICH)) == []) == kept


def test_an_exact_match_goes_before_a_near_one() -> None:
    """Two resting orders each serve the wish at their own price: nothing moves."""
    made = desk()
    resting(made, order(UP, 4800), order(UP, 4700, level=1))
    made.desired = wanting(order(UP, 4700), order(UP, 4800, level=1))

    assert made.act(T0, RICH) == []


def test_what_was_found_holds_until_something_changes() -> None:
    """The same wish is not compared again, and is when a bid fills, its state, a cap, the slack or
    the tick changes: each time the answer is that of a fresh comparison.
    """
    made = desk(params=OrderParams(routine_every_ms=10_000))
    ids = resting(made, order(UP, 4800), order(DOWN, 4900))
    wish = wanting(*made.desired.orders)

    def found() -> set[str]:
        compared = made._compare()
        assert compared is made._compare(), "nothing has changed since"
        slack = max(made.params.hysteresis_ticks * made.market.tick, made.desired.hold)
        keep, missing = match(made.desired, made.table.open(), slack)
        assert (set(compared.keep), list(compared.missing)) == (keep, missing)
        assert compared.certain is all(t.state is State.LIVE for t in made.table.open())
        return set(compared.keep)

    made.desired = wish
    assert found() == set(ids)
    made.heard(fill(ids[0], 6), T0 + 1)
    assert found() == {ids[1]}, "four of ten are no ten"
    made.desired = replace(wish, cap_down=4800)
    assert found() == set()
    made.desired = replace(wish, orders=(order(DOWN, 4700),))
    assert found() == set()
    made.desired = replace(wish, orders=(order(DOWN, 4700),), hold=200)
    assert found() == {ids[1]}
    made.market = attrs.evolve(made.market, tick=10)
    assert found() == {ids[1]}
    made.missing(ids[1], T0 + 60_000, T0 + 60_000)
    assert found() == set(), "in doubt it serves nothing"


def test_above_its_cap_nothing_stays() -> None:
    """A cap that fell below a resting price cancels it at once, hysteresis or not."""
    made = desk()
    resting(made, order(UP, 4800))
    made.desired = wanting(order(UP, 4700), cap=4799)

    (action,) = [a for a in made.act(T0, RICH) if isinstance(a, Cancel)]
    assert action == Cancel(("0x1",), "cap")


def test_routine_moves_wait_for_their_moment_together() -> None:
    """Within the pace nothing routine leaves; when it is over, cancels and posts leave at once."""
    made = desk(params=OrderParams(routine_every_ms=200))
    made.desired = wanting(order(UP, 4800))
    first = posts(made.act(T0, RICH))
    assert len(first) == 1  # an empty market does not wait
    made.posted([acked(first[0].id)], T0)
    made.desired = wanting(order(UP, 4600), order(DOWN, 5000))

    for ms in (50, 199):
        assert made.act(T0 + ms, RICH) == []
        assert made.next_due_ms(T0 + ms) == T0 + 200, "not before: it would turn for nothing"
    actions = made.act(T0 + 200, RICH)

    assert cancels(actions) == [first[0].id]
    assert sorted(each.order.price for each in posts(actions)) == [4600, 5000]
    made.posted([acked(each.id) for each in posts(actions)], T0 + 201)
    made.desired = wanting(order(UP, 4400), order(DOWN, 5000))
    assert made.act(T0 + 399, RICH) == []
    assert cancels(made.act(T0 + 400, RICH)) == ["0x2"]


def test_a_broken_cap_does_not_wait() -> None:
    """The pace holds back what earns, never what protects."""
    made = desk(params=OrderParams(routine_every_ms=10_000))
    made.desired = wanting(order(UP, 4800))
    (first,) = posts(made.act(T0, RICH))
    made.posted([acked(first.id)], T0)
    made.desired = wanting(order(UP, 4700), cap=4799)

    actions = made.act(T0 + 1, RICH)

    assert cancels(actions) == [first.id]
    assert posts(actions) == []


def test_hysteresis_never_breaks_the_pair() -> None:
    """A dearer resting bid is not kept where it would make the pair too dear (S24)."""
    made = desk()
    resting(made, order(UP, 4900))
    made.desired = wanting(order(UP, 4800), order(DOWN, 5100))
    assert cancels(made.act(T0, RICH)) == ["0x1"]

    made = desk()
    resting(made, order(UP, 4900))
    made.desired = wanting(order(UP, 4800), order(DOWN, 5000))
    assert cancels(made.act(T0, RICH)) == []


def test_the_other_side_waits_until_the_dear_bid_is_gone() -> None:
    """While a cancel is unproven its order counts, so the dearer pair is withheld (S24)."""
    made = desk()
    resting(made, order(UP, 5500))
    made.desired = wanting(order(UP, 4500), order(DOWN, 5000))
    actions = made.act(T0, RICH)
    assert cancels(actions) == ["0x1"]
    assert [each.order.outcome for each in posts(actions)] == [UP]
    assert made.counts.withheld == {"pair with a resting order too dear": 1}

    made.cancelled(["0x1"], DONE, T0)
    assert [each.order.outcome for each in posts(made.act(T0, RICH))] == [DOWN]


def test_old_and_new_are_both_counted_until_the_cancel_is_proven() -> None:
    """A replacement waits while the old order's money is still committed: a cancel's reply alone
    does not free it, a fill may have come first (S7, F20). Nor does the venue's word of the end at
    once, for it may have overtaken that of a fill (feeds.md 4.5).
    """
    made = desk(limits=RiskParams(max_order_usd=6, max_position_usd_per_market=6))
    resting(made, order(UP, 4800))
    made.desired = wanting(order(UP, 4400))
    assert posts(made.act(T0, RICH)) == []

    made.cancelled(["0x1"], DONE, T0)
    assert posts(made.act(T0, RICH)) == []
    made.heard(seen("0x1", OrderSeen.Kind.DEAD), T0)
    assert posts(made.act(T0 + LATE_FILL_MS - 1, RICH)) == []
    assert made.next_due_ms(T0) <= T0 + LATE_FILL_MS
    assert len(posts(made.act(T0 + LATE_FILL_MS, RICH))) == 1


def test_fills_the_ledger_has_not_booked_count_against_the_limits() -> None:
    """Filled by an order message whose trade lags: the money is spent, not free again (S7)."""
    made = desk(limits=RiskParams(max_order_usd=6, max_position_usd_per_market=6))
    resting(made, order(UP, 4800))
    made.heard(seen("0x1", OrderSeen.Kind.MATCHED, 10), T0)
    assert made.promised.reserved == 4_800_000
    assert posts(made.act(T0, RICH)) == []
    assert made.counts.withheld == {"market limit": 1}

    made.heard(fill("0x1", 10), T0)
    assert made.promised.reserved == 0
    assert posts(made.act(T0, standing(100 * SHARE, 4_800_000))) == []
    assert made.counts.withheld == {"market limit": 2}


def test_fills_the_ledger_has_not_booked_move_the_position() -> None:
    """Two bids filled by their own messages are no room for two more (the soak, seed 941): until
    the trades are booked they count for the side they are on, and make no room for the other.
    """
    made = desk(limits=RiskParams(max_net_shares=20))
    both = resting(made, order(UP, 4800), order(UP, 4700, level=1))
    for order_id in both:
        made.heard(seen(order_id, OrderSeen.Kind.MATCHED, 10), T0)

    made.desired = wanting(order(UP, 4800), order(DOWN, 4800, 21))
    assert posts(made.act(T0, RICH)) == []
    assert made.counts.withheld == {"net share limit": 2}
    for order_id in both:
        made.heard(fill(order_id, 10, f"t{order_id}"), T0)
    booked = standing(10_000 * SHARE, up=20 * SHARE)
    assert [each.order.outcome for each in posts(made.act(T0, booked))] == [DOWN]


def test_no_wish_withdraws_everything_with_its_cause() -> None:
    """Nothing wanted means nothing rests, and the reason is counted once."""
    made = desk()
    resting(made, order(UP, 4800), order(DOWN, 4900))
    made.desired = Desired(cause="oracle average stale")

    assert made.act(T0, RICH) == [Cancel(("0x1", "0x2"), "oracle average stale")]
    made.act(T0 + 5000, RICH)
    assert made.counts.cancels == {"oracle average stale": 2}


def test_an_order_on_the_wire_is_cancelled_when_it_has_landed() -> None:
    """Before its ack there is nothing to cancel; after it, at once."""
    made = desk()
    made.desired = wanting(order())
    (sent,) = posts(made.act(T0, RICH))
    made.desired = Desired()
    assert made.act(T0, RICH) == []

    made.posted([acked(sent.id)], T0 + 50)
    assert cancels(made.act(T0 + 50, RICH)) == [sent.id]


@pytest.mark.parametrize("now_ms", [T0, CUTOFF])
def test_nothing_is_sent_through_a_closed_gate_or_past_the_cutoff(now_ms: int) -> None:
    """Orders are withheld and counted; cancels still leave (S1, S9)."""
    gate = Admission()
    made = desk(admission=gate)
    resting(made, order(UP, 4800))
    if now_ms < CUTOFF:
        gate.set("user stream: closed")
    made.desired = wanting(order(UP, 4500))

    actions = made.act(now_ms, RICH)
    assert cancels(actions) == ["0x1"]
    assert posts(actions) == []
    assert sum(made.counts.withheld.values()) == 1


def test_closing_cancels_everything_and_places_nothing() -> None:
    """When the scope ends the wish no longer counts."""
    made = desk()
    resting(made, order(UP, 4800), order(DOWN, 4900))
    made.closing = True

    assert made.act(T0, RICH) == [Cancel(("0x1", "0x2"), "closing")]
    made.cancelled(["0x1", "0x2"], CancelResult(frozenset({"0x1", "0x2"}), {}), T0)
    assert made.act(T0, RICH) == []
    for order_id in ("0x1", "0x2"):
        made.heard(seen(order_id, OrderSeen.Kind.DEAD), T0)
    assert made.act(T0 + LATE_FILL_MS, RICH) == []
    assert made.promised.reserved == 0


def test_the_desk_looks_again_soon_while_in_doubt() -> None:
    """With something unproven the next look is near, otherwise a second away."""
    made = desk()
    resting(made, order(UP, 4800))
    assert made.next_due_ms(T0) == T0 + 1000

    made.desired = Desired()
    made.act(T0, RICH)
    assert made.next_due_ms(T0) == T0 + 200


def test_what_never_left_is_taken_back() -> None:
    """The gate closed, or the disk was slow, when it was signed already: it counts as no order, it
    binds nothing, and its place is free for the next.
    """
    made = desk()
    made.desired = wanting(order())
    (sent,) = posts(made.act(T0, RICH))
    made.unsent((sent.id,), T0)

    assert made.table[sent.id].state is State.REJECTED
    assert not made.table.open()
    assert (made.counts.orders, sum(made.counts.withheld.values())) == (0, 1)
    later = T0 + made.params.routine_every_ms
    assert [each.order for each in posts(made.act(later, RICH))] == [order()]


def test_look_ups_back_off_and_never_overlap() -> None:
    """Reads by id come after 0, 200 and then every 500 ms, when the grace is over, from then on
    less and less often, and one at a time (F16; twice a second for each of many was half of what
    the venue takes, seed 1010).
    """
    made = desk()
    made.desired = wanting(order())
    (sent,) = posts(made.act(T0, RICH))
    made.posted([unknown(sent.id)], T0)
    asked = []
    for ms in range(0, 8000, 50):
        if look_ups(made.act(T0 + ms, RICH)):
            asked.append(ms)
            assert look_ups(made.act(T0 + ms, RICH)) == []
            made.looked_up(sent.id, Failure("timed out"), T0 + ms)

    assert asked == [0, 200, 700, 1200, 1700, 2000, 2250, 3250, 5250, 7250]


def test_lost_answers_of_many_requests_hold_new_orders() -> None:
    """When most requests end without an answer, no market places anything for a while; cancels
    go on (strategy.md 14, reliability: the error-rate breaker).
    """
    made = desk()
    for n in range(20):
        made.firewall.brakes.errors.note(T0 + n, failed=n % 2 == 0)
    made.desired = wanting(order())

    assert made.act(T0 + 30, RICH) == []
    assert made.counts.withheld == {"too many requests fail": 1}
    assert posts(made.act(T0 + 20_020, RICH))


@pytest.mark.parametrize(
    ("reply", "failed"),
    [
        (acked("0x8"), False),
        (unknown("0x8"), True),
        (refused("0x8", Reject.RESTARTING), True),
        (refused("0x8", Reject.UNREACHABLE), True),
        (refused("0x8", Reject.TICK), False),
    ],
)
def test_every_answer_counts_in_the_error_rate(reply: PostResult, failed: bool) -> None:
    """Of a POST and of a cancel, once each: twenty are judged, whatever became of their orders."""
    made = desk()
    failure = "timed out" if failed else None
    for _ in range(10):
        made.posted([reply, acked("0x9")], T0)
        made.cancelled([], CancelResult(frozenset(), {}, failure), T0)

    assert made.firewall.brakes.errors.open(T0) is failed


def test_a_storm_of_refusals_leaves_the_market_alone() -> None:
    """Refusal after refusal is not answered by order after order."""
    made = desk(limits=RiskParams(reject_most=3))
    now, sent = T0, 0
    for _ in range(600):
        made.desired = wanting(order())
        ids = [each.id for each in posts(made.act(now, RICH))]
        made.posted([refused(each, Reject.NOT_ENOUGH_BALANCE) for each in ids], now)
        sent += len(ids)
        now += 100

    assert sent <= 9, "without the brake twenty: one every three seconds"
    assert made.counts.withheld["storm of refusals"]


def test_fills_of_one_side_alone_hold_that_side() -> None:
    """The throttle of repeated executions: whoever hits one side again and again knows more."""
    made = desk(limits=RiskParams(repeat_most=3))
    resting(made, order(UP, 4800), order(DOWN, 4800))
    for n in range(3):
        made.heard(fill("0x1", 1, f"t{n}"), T0 + n)
    made.desired = wanting(order(UP, 4700), order(DOWN, 4700))

    held = made.firewall.brakes.holds

    assert held(UP, T0 + 10) == "too many fills on one side"
    assert held(DOWN, T0 + 10) is None


def test_a_fill_counts_at_its_first_word_whatever_that_is() -> None:
    """A trade that is first told as mined, or read when it is confirmed, was no fill to the
    throttle; what is told again is none.
    """
    made = desk(limits=RiskParams(repeat_most=3))
    resting(made, order(UP, 4800), order(DOWN, 4800))
    made.heard(fill("0x2", 1, "t"), T0)
    for n, status in enumerate((TradeStatus.RETRYING, TradeStatus.MINED, TradeStatus.CONFIRMED)):
        assert made.firewall.brakes.holds(UP, T0 + 10) is None
        made.heard(fill("0x1", 1, f"t{n}", status), T0 + n)
        made.heard(fill("0x2", 1, "t", status), T0 + n)
        made.heard(fill("0x1", 1, "undone", TradeStatus.FAILED), T0 + n)

    assert made.firewall.brakes.holds(UP, T0 + 10) == "too many fills on one side"


def test_open_bids_are_told_by_outcome() -> None:
    """What may still match, on each side, the unknown included; a replacement's two legs both."""
    made = desk()
    resting(made, order(UP, 4800), order(DOWN, 4500))
    made.posted([], T0)
    made.desired = wanting(order(UP, 4600), order(DOWN, 4500))
    new = posts(made.act(T0, RICH))
    made.posted([unknown(new[0].id)], T0)

    assert made.promised.bids.orders == 3
    assert (made.promised.bids.up, made.promised.bids.down) == (4_800_000 + 4_600_000, 4_500_000)
