"""What shows that a move has moved nothing, and what one leaves: the ground of asking again."""

from __future__ import annotations

from typing import Any

import pytest
from test_shell_move_proof import PAIRS, Wallet

from polybot.domain.units import SHARE
from polybot.execution.reconcile import STALE_MS
from polybot.journal.entries import Moved

TWENTY = 20 * SHARE


def move(kind: str) -> Moved:
    return Moved("0xc0", kind, "sent", "polybot-1", TWENTY, TWENTY, "0xabc")


@pytest.mark.parametrize(("kind", "change"), [("merge", -TWENTY), ("split", TWENTY)])
def test_shares_where_they_were_have_not_moved(kind: str, change: int) -> None:
    """Both outcomes, by all that was asked for; a figure that is neither proves nothing."""
    proof, left = Wallet().proof, PAIRS + change

    assert proof.unmoved(move(kind), (PAIRS, PAIRS))
    assert not proof.unmoved(move(kind), (left, left))
    assert not proof.unmoved(move(kind), (PAIRS, left))
    assert proof.after(move(kind)) == (left, left)


async def test_of_two_different_shortages_no_move_explains_one_alone() -> None:
    """Five Up and ten Down have gone, and ten pairs had been merged: it was not done again."""
    wallet = Wallet()
    wallet.merge(10 * SHARE)
    wallet.now_ms = STALE_MS + 1
    wallet.there, wallet.come = wallet.there - 10 * SHARE, 5 * SHARE

    assert not await wallet.proof.moved_again()
    assert not wallet.learned


def test_trades_on_their_way_may_have_come() -> None:
    """Seven Up more than there were are no move of twenty pairs, and those do not hide one."""
    wallet = Wallet(7 * SHARE)

    assert wallet.proof.unmoved(move("merge"), (PAIRS + 7 * SHARE, PAIRS))
    assert not wallet.proof.unmoved(move("merge"), (PAIRS + 7 * SHARE - TWENTY, PAIRS - TWENTY))


@pytest.mark.parametrize("unsettled", [False, True])
def test_what_is_redeemed_is_gone_whole(unsettled: bool) -> None:
    """So the very holdings show that nothing was, where no trade may have made them."""
    wallet = Wallet()
    books: Any = wallet.proof.account.ledger.books["0xc0"]
    books.unsettled = lambda: unsettled

    assert wallet.proof.unmoved(move("redeem"), (PAIRS, PAIRS)) is not unsettled
    assert not wallet.proof.unmoved(move("redeem"), (0, 0))
    assert wallet.proof.after(move("redeem")) == (0, 0)
