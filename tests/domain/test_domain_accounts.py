"""Double entry: what does not sum to zero is not booked, and what is booked can be undone."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from polybot.domain.accounts import Account, Accounts, Kind, confirmed, opposite

CASH = Account(Kind.CASH)
CAPITAL = Account(Kind.CAPITAL)
UP = Account(Kind.SHARES, "m", "up")
OUTSIDE_UP = Account(Kind.OUTSIDE, "m", "up")

amounts = st.integers(-(10**15), 10**15)


def test_postings_must_sum_to_zero() -> None:
    """Money that appears from nowhere is a bug of ours, not a balance."""
    accounts = Accounts()
    with pytest.raises(AssertionError, match="do not sum to zero"):
        accounts.post([(CASH, 5), (CAPITAL, -4)])

    assert accounts[CASH] == 0


def test_every_unit_sums_for_itself() -> None:
    """Shares of one token balance neither dollars nor shares of another."""
    accounts = Accounts()
    for other in (CAPITAL, Account(Kind.OUTSIDE, "m", "down")):
        with pytest.raises(AssertionError):
            accounts.post([(UP, 5), (other, -5)])

    accounts.post([(UP, 5), (OUTSIDE_UP, -5)])
    assert accounts[UP] == 5


def test_promised_and_final_are_two_balances() -> None:
    """`both` has the promise in it; a confirmation moves it over and changes no total."""
    accounts = Accounts()
    match = [(CASH._replace(final=False), -7), (Account(Kind.COST, "m", "up", final=False), 7)]
    accounts.post(match)
    assert (accounts[CASH], accounts.both(Kind.CASH)) == (0, -7)

    accounts.post(confirmed(match))
    assert (accounts[CASH], accounts.both(Kind.CASH)) == (-7, -7)
    assert accounts[Account(Kind.COST, "m", "up", final=False)] == 0


@given(st.lists(amounts, min_size=1, max_size=6))
def test_the_opposite_undoes(parts: list[int]) -> None:
    """Posting and its opposite leave nothing behind, not even an empty account."""
    accounts = Accounts()
    postings = [(Account(Kind.COST, "m", f"t{n}"), part) for n, part in enumerate(parts)]
    postings.append((CASH, -sum(parts)))
    accounts.post(postings)
    assert accounts.total(Kind.COST, Kind.CASH) == 0

    accounts.post(opposite(postings))
    assert accounts.of_market("m") == []
    assert accounts[CASH] == 0


def test_totals_by_market() -> None:
    """Reports sum over accounts of a kind, of one market or of all."""
    accounts = Accounts()
    for name, amount in (("m", 3), ("n", 4)):
        accounts.post([(Account(Kind.MERGED, name), -amount), (CASH, amount)])

    assert accounts.total(Kind.MERGED) == -7
    assert accounts.total(Kind.MERGED, market="n") == -4
    assert accounts.total(Kind.MERGED, Kind.CASH) == 0
