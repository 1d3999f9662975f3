"""What a balance may be while trades settle: any of those under way, in whatever order."""

from __future__ import annotations

from itertools import product

from hypothesis import given, strategies as st

from polybot.domain.settling import EXACT_MOST, NOTHING, Settling

STEPS = st.lists(st.integers(-20, 20), max_size=7)


@given(before=st.integers(0, 100), steps=STEPS, balance=st.integers(-50, 200))
def test_it_is_some_of_the_trades(before: int, steps: list[int], balance: int) -> None:
    """By trying every choice of them."""
    choices = product(*((0, step) for step in steps))
    sums = {before + sum(choice) for choice in choices}
    settling = Settling(before, tuple(steps))

    assert settling.may_be(balance) is (balance in sums)
    assert (settling.least, settling.most) == (min(sums), max(sums))
    assert settling.total in sums


def test_one_that_is_retried_is_overtaken() -> None:
    """Brief seed 986: of 9.90 that was being retried nothing had moved, and the 4.80 matched after
    it had; that is no figure on the way from the first to the last.
    """
    cash = Settling(1_995_200_000, (-9_900_000, -4_800_000))

    assert cash.may_be(1_990_400_000)
    assert not cash.may_be(1_990_500_000)


def test_very_many_trades_are_judged_by_their_bounds() -> None:
    """A million choices are not tried: what lies between is believed, what lies outside is not."""
    many = Settling(1_000, (10,) * EXACT_MOST + (-10,))

    least, most = 990, 1_000 + 10 * EXACT_MOST
    assert all(many.may_be(balance) for balance in (least, 1_005, most))
    assert not many.may_be(least - 1)
    assert not many.may_be(most + 1)


def test_of_no_trade_it_is_what_it_was() -> None:
    """A market that we never traded holds nothing."""
    assert NOTHING.may_be(0)
    assert not NOTHING.may_be(1)
