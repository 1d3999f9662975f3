"""Message budgets: what refills, what is kept back, and who cannot starve whom."""

from __future__ import annotations

import pytest
from execution_kit import RICH, T0, UP, acked, cancels, desk, order, posts, wanting
from hypothesis import given, strategies as st

from polybot.execution.params import OrderParams
from polybot.execution.throttle import Bucket, Budget
from polybot.execution.wish import Desired


def test_a_bucket_starts_full_and_gives_what_it_has() -> None:
    """A wish for more than is there is granted in part."""
    bucket = Bucket(10, 10)

    assert bucket.take(4, T0) == 4
    assert bucket.take(10, T0) == 6
    assert bucket.take(1, T0) == 0


def test_a_bucket_refills_at_its_rate_and_not_above_its_burst() -> None:
    """Ten per second is one per 100 ms, and an idle hour earns no more than the burst."""
    bucket = Bucket(10, 10)
    bucket.take(10, T0)

    assert bucket.available(T0 + 99) == 0
    assert bucket.available(T0 + 100) == 1
    assert bucket.available(T0 + 3_600_000) == 10


def test_fractions_are_not_lost_between_looks() -> None:
    """Looking often earns as much as looking once."""
    bucket = Bucket(10, 10)
    bucket.take(10, T0)
    for ms in range(1, 1001):
        bucket.available(T0 + ms)

    assert bucket.available(T0 + 1001) == 10


def test_a_clock_set_back_costs_nothing() -> None:
    """No token is earned by it, none is lost, and what comes after is earned as always."""
    bucket = Bucket(10, 10)
    bucket.take(5, T0)

    assert bucket.available(T0 - 3_600_000) == 5
    assert bucket.available(T0 - 3_600_000 + 200) == 7


def test_the_reserve_is_left_for_others() -> None:
    """`keep` tokens stay; one who keeps nothing may have them."""
    bucket = Bucket(40, 40)

    assert bucket.take(40, T0, keep=10) == 30
    assert bucket.take(1, T0, keep=10) == 0
    assert bucket.take(10, T0) == 10


@given(
    st.lists(st.tuples(st.integers(0, 700), st.integers(0, 20), st.integers(0, 15)), max_size=60)
)
def test_no_window_ever_gets_more_than_burst_and_refill(asks: list[tuple[int, int, int]]) -> None:
    """Over any stretch of time, what was granted is at most the burst plus what was earned."""
    bucket, now, grants = Bucket(20, 20), T0, list[tuple[int, int]]()
    for wait, wanted, keep in asks:
        now += wait
        granted = bucket.take(wanted, now, keep=keep)
        assert 0 <= granted <= wanted
        grants.append((now, granted))
    for i, (start, _) in enumerate(grants):
        total = 0
        for at, granted in grants[i:]:
            total += granted
            assert total <= 20 + (at - start) / 1000 * 20 + 1e-6


def test_the_budget_has_a_bucket_for_each_class() -> None:
    """Places and cancels are counted apart, at the configured rates."""
    budget = Budget.from_params(OrderParams(orders_per_s=7, cancels_per_s=30, cancel_reserve=5))

    assert budget.places.take(100, T0) == 7
    assert budget.cancels.take(100, T0, keep=budget.cancel_reserve) == 25
    assert budget.cancels.take(100, T0) == 5


def test_an_exhausted_place_budget_withholds_orders() -> None:
    """Orders beyond the budget wait, are counted, and leave when it has refilled."""
    made = desk(params=OrderParams(routine_every_ms=0, orders_per_s=2))
    made.desired = wanting(*(order(UP, 4800 - 100 * n, level=n) for n in range(3)))
    sent = posts(made.act(T0, RICH))
    assert len(sent) == 2
    assert made.counts.withheld["message budget"] == 1
    made.posted([acked(each.id) for each in sent], T0)

    assert len(posts(made.act(T0 + 500, RICH))) == 1


def test_placing_never_starves_cancelling() -> None:
    """With the place budget spent to the last token, every cancel still leaves at once (S13)."""
    made = desk(params=OrderParams(routine_every_ms=0, orders_per_s=4))
    made.desired = wanting(*(order(UP, 4800 - 100 * n, level=n) for n in range(6)))
    sent = posts(made.act(T0, RICH))
    made.posted([acked(each.id) for each in sent], T0)
    made.desired = Desired(cause="withdraw")

    assert cancels(made.act(T0, RICH)) == [each.id for each in sent]


@pytest.mark.parametrize("urgent", [False, True])
def test_requotes_leave_the_reserve_to_withdrawals(urgent: bool) -> None:
    """A routine requote stops at the reserve; a withdrawal may use all of it (S13)."""
    made = desk(params=OrderParams(routine_every_ms=0, cancels_per_s=10, cancel_reserve=4))
    orders = [order(UP, 4800 - 100 * n, level=n) for n in range(8)]
    made.desired = wanting(*orders)
    sent = posts(made.act(T0, RICH))
    made.posted([acked(each.id) for each in sent], T0)
    made.desired = Desired(cause="withdraw") if urgent else wanting(order(UP, 3000))

    assert len(cancels(made.act(T0, RICH))) == (8 if urgent else 6)
    assert made.counts.withheld["cancel budget"] == (0 if urgent else 2), "and it is told"
    assert made.budget.cancels.available(T0) == (2 if urgent else 4)
