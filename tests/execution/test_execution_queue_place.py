"""Queue place against caps: what may stay where it rests, and what leaves before anything else."""

from __future__ import annotations

import itertools

import attrs
import pytest
from execution_kit import (
    DOWN,
    MARKET,
    RICH,
    T0,
    UP,
    acked,
    cancels,
    desk,
    order,
    posts,
    resting,
    wanting,
)
from hypothesis import given, strategies as st
from msgspec.structs import replace

from polybot.domain.orders import NewOrder
from polybot.execution.actions import Cancel
from polybot.execution.desk import Desk
from polybot.execution.lifecycle import Event, State
from polybot.execution.params import OrderParams
from polybot.execution.throttle import Bucket
from polybot.execution.wish import Desired

PATIENT = OrderParams(routine_every_ms=10_000)


def spent(made: Desk) -> Desk:
    """Its cancel budget used up, as after a storm of requotes."""
    made.budget.cancels.take(1000, T0)
    return made


@pytest.mark.parametrize(("away", "kept"), [(10, True), (40, True), (50, False), (-40, True)])
def test_a_bid_within_part_of_the_edge_keeps_its_place(away: int, kept: bool) -> None:
    """On a fine tick a tick is nothing: what counts is 0.3 of the edge (strategy.md 6.2, 6)."""
    made = desk()
    made.market = made.firewall.market = attrs.evolve(MARKET, tick=10)
    resting(made, attrs.evolve(order(UP, 4800), market=made.market))
    moved = attrs.evolve(order(UP, 4800 - away), market=made.market)
    made.desired = replace(wanting(moved), hold=40)

    assert (cancels(made.act(T0, RICH)) == []) == kept


@pytest.mark.parametrize(("price", "kept"), [(4530, False), (4600, True)])
def test_what_is_off_a_coarser_grid_keeps_no_place(price: int, kept: bool) -> None:
    """A tick that becomes coarser leaves orders between its prices, where nobody can join them and
    the venue promises nothing: they are placed anew, however near they are.
    """
    made = desk()
    made.market = made.firewall.market = attrs.evolve(MARKET, tick=10)
    resting(made, attrs.evolve(order(UP, price), market=made.market))
    made.market = made.firewall.market = MARKET
    made.desired = replace(wanting(order(UP, 4500)), hold=100)

    assert (cancels(made.act(T0, RICH)) == []) == kept


def test_two_bids_kept_beside_their_prices_are_no_dear_pair() -> None:
    """Each may stay beside what the other is wanted at, but not both: the cap holds for every pair
    that rests (strategy.md 6.2, 4).
    """
    made = desk()
    resting(made, order(UP, 4900), order(DOWN, 5000))
    made.desired = wanting(order(UP, 4800), order(DOWN, 4900), pair_cap=9800)

    assert len(cancels(made.act(T0, RICH))) == 1
    live = [t.order.price for t in made.table.open() if t.state is not State.CANCELLING]
    assert sum(live) <= 9800


def broken_cap(made: Desk) -> Desired:
    return wanting(order(UP, 4700), order(DOWN, 4900), cap=4799)


def broken_pair(made: Desk) -> Desired:
    return wanting(order(UP, 4300), order(DOWN, 4300), pair_cap=8900)


def side_withdrawn(made: Desk) -> Desired:
    return wanting(order(DOWN, 4300))


def nothing_wanted(made: Desk) -> Desired:
    return Desired(cause="past the cutoff")


def closing(made: Desk) -> Desired:
    made.closing = True
    return made.desired


def in_doubt(made: Desk) -> Desired:
    made.table.move(made.table["0x1"], Event.CANCEL_REFUSED, T0)
    return made.desired


def back_from_the_dead(made: Desk) -> Desired:
    for event in (Event.CANCEL_DONE, Event.RESTS_STILL, Event.SEEN_LIVE):
        made.table.move(made.table["0x1"], event, T0)
    return made.desired


@pytest.mark.parametrize(
    "wish",
    [
        broken_cap,
        broken_pair,
        side_withdrawn,
        nothing_wanted,
        closing,
        in_doubt,
        back_from_the_dead,
    ],
)
def test_a_violation_leaves_outside_the_throttle(wish: object) -> None:
    """Neither the pace of routine moves nor an empty cancel budget holds back what breaks a cap, is
    not wanted at all (strategy.md 6.2, 6), or is where it should not be.
    """
    made = desk(params=PATIENT)
    made.desired = wanting(order(UP, 4800), order(DOWN, 4300))
    sent = posts(made.act(T0, RICH))
    made.posted([acked(each.id) for each in sent], T0)
    spent(made).desired = wish(made)  # type: ignore[operator]  # one of the functions above

    actions = made.act(T0 + 1, RICH)

    assert sent[0].id in cancels(actions)
    causes = {action.cause for action in actions if isinstance(action, Cancel)}
    assert "requote" not in causes
    assert posts(actions) == []


def test_a_routine_move_pays_the_debt_of_the_urgent_ones() -> None:
    """What left unasked is still counted: requotes wait until it has been earned again."""
    bucket = Bucket(10, 10)
    bucket.take(10, T0)
    bucket.spend(5, T0)

    assert bucket.take(1, T0 + 500) == 0
    assert bucket.take(1, T0 + 600) == 1
    bucket.spend(1000, T0 + 600)
    assert bucket.take(1, T0 + 1600) == 0, "a debt is never above the burst"
    assert bucket.take(1, T0 + 1700) == 1


def test_an_improvement_waits() -> None:
    """A better price within the hysteresis is not worth the queue place: neither now nor later."""
    made = desk()
    resting(made, order(UP, 4800))
    made.desired = wanting(order(UP, 4900))

    assert [made.act(T0 + ms, RICH) for ms in (0, 300, 5000)] == [[], [], []]


def test_one_order_serves_one_wish() -> None:
    """Near enough to two of them, it stands for the better."""
    made = desk()
    resting(made, order(UP, 4800))
    made.desired = wanting(order(UP, 4900), order(UP, 4700, level=1))

    actions = made.act(T0, RICH)
    assert [each.order.price for each in posts(actions)] == [4700]
    assert cancels(actions) == []


cents = st.integers(30, 60).map(lambda price: price * 100)
sides = st.lists(cents, max_size=3, unique=True)


def bids(ups: list[int], downs: list[int]) -> list[NewOrder]:
    both = ((UP, sorted(ups, reverse=True)), (DOWN, sorted(downs, reverse=True)))
    return [order(o, price, level=n) for o, prices in both for n, price in enumerate(prices)]


@given(sides, sides, sides, sides, cents, cents, st.integers(85, 99), st.integers(0, 3))
def test_whatever_is_wished_no_cap_stays_broken(
    old_up: list[int],
    old_down: list[int],
    ups: list[int],
    downs: list[int],
    cap_up: int,
    cap_down: int,
    total: int,
    hold: int,
) -> None:
    """After one step, with the throttle shut, nothing of ours rests above its cap, on a side that
    is not wanted, or in a pair above the combined cap; except what is asked to be cancelled.
    """
    made = desk(params=OrderParams(routine_every_ms=10_000))
    made.desired = wanting(*bids(old_up, old_down), pair_cap=9900)
    made.posted([acked(each.id) for each in posts(made.act(T0, RICH))], T0)
    ups = [price for price in ups if price <= cap_up]
    downs = [price for price in downs if price <= cap_down]
    wanted = [
        o for o in bids(ups, downs) if max(ups, default=0) + max(downs, default=0) <= total * 100
    ]
    spent(made).desired = Desired(
        tuple(wanted), cap_up, cap_down, total * 100, 5000, hold=hold * 100
    )

    made.act(T0 + 1, RICH)

    stays = [t.order for t in made.table.open() if t.state is not State.CANCELLING]
    assert all(o.price <= made.desired.cap(o.outcome) for o in stays)
    assert {o.outcome for o in stays} <= {o.outcome for o in wanted}
    for one, other in itertools.combinations(stays, 2):
        if one.outcome is not other.outcome:
            assert one.price + other.price <= total * 100


def test_both_outcomes_are_matched_whatever_their_order() -> None:
    """A wish that lists Down first keeps and places the same as one that lists Up first."""
    found = []
    for flip in (1, -1):
        made = desk()
        resting(made, order(UP, 4800), order(DOWN, 4900))
        made.desired = wanting(*[order(UP, 4700), order(DOWN, 4900)][::flip])
        found.append((cancels(made.act(T0, RICH)), len(made.table.open())))
    assert found[0] == found[1] == ([], 2)
