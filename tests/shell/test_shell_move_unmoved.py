"""What shows that a move has moved nothing, and what one leaves: the ground of asking again."""

from __future__ import annotations

from typing import Any

import pytest
from test_shell_move_proof import PAIRS, Wallet

from polybot.domain.orders import Failure
from polybot.domain.settling import Settling
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


@pytest.mark.parametrize(("kind", "there"), [("merge", PAIRS), ("split", PAIRS + TWENTY)])
def test_trades_on_their_way_may_leave_both_open(kind: str, there: int) -> None:
    """Twenty of each outcome were bought, and twenty pairs moved: what is there says of neither
    whether it has come. An operation that was done would be called a failure, and asked for again.
    """
    wallet = Wallet()
    both = Settling(PAIRS, (TWENTY,))
    wallet.proof.account.ledger.settling = lambda *_: both  # type: ignore[method-assign]

    assert not wallet.proof.unmoved(move(kind), (there, there))


@pytest.mark.parametrize("unsettled", [False, True])
def test_what_is_redeemed_is_gone_whole(unsettled: bool) -> None:
    """So the very holdings show that nothing was, where no trade may have made them."""
    wallet = Wallet()
    books: Any = wallet.proof.account.ledger.books["0xc0"]
    books.unsettled = lambda: unsettled

    assert wallet.proof.unmoved(move("redeem"), (PAIRS, PAIRS)) is not unsettled
    assert not wallet.proof.unmoved(move("redeem"), (0, 0))
    assert wallet.proof.after(move("redeem")) == (0, 0)


async def test_a_node_that_does_not_answer_proves_nothing() -> None:
    """Neither that a move was done again nor that it was not."""
    wallet = Wallet()
    wallet.merge(TWENTY)

    async def silent(_: object) -> Failure:
        return Failure("503")

    wallet.proof.chain.shares = silent  # type: ignore[method-assign, assignment]
    assert await wallet.proof.there("0xc0") is None
    assert not await wallet.proof.moved_again()
    assert not wallet.unclear


async def test_what_is_learnt_while_a_node_is_asked_makes_it_no_evidence() -> None:
    """Twenty pairs were bought and confirmed meanwhile, as many as had been split: the answer has
    them, and the books that were held against it had not.
    """
    wallet = Wallet()
    wallet.split(TWENTY)
    wallet.now_ms += 60_000
    shares = wallet.proof.chain.shares

    async def slow(market: Any) -> Any:
        wallet.booked += TWENTY
        wallet.there += TWENTY
        return await shares(market)

    wallet.proof.chain.shares = slow  # type: ignore[method-assign]
    assert not await wallet.proof.moved_again()
    assert not wallet.unclear, "the next look decides"


async def test_a_market_that_is_closed_while_another_is_looked_at() -> None:
    """Its books are gone, and so is what was to be found out."""
    wallet = Wallet()
    wallet.merge(TWENTY)
    books: dict[str, Any] = wallet.proof.account.ledger.books
    books["0xc1"] = books["0xc0"]
    wallet.proof.moved(Moved("0xc1", "merge", "done", "polybot-1", TWENTY, TWENTY, "0xabc"))
    shares = wallet.proof.chain.shares

    async def slow(market: Any) -> Any:
        books.pop("0xc1", None)
        return await shares(market)

    wallet.proof.chain.shares = slow  # type: ignore[method-assign]
    assert not await wallet.proof.moved_again()


async def test_a_split_done_again_needs_no_pairs() -> None:
    """All that were there have been merged since."""
    wallet = Wallet()
    wallet.split(TWENTY)
    wallet.merge(PAIRS + TWENTY)
    wallet.there += TWENTY
    wallet.now_ms = STALE_MS + 1

    assert await wallet.proof.moved_again()
    assert [one.kind for one in wallet.learned] == ["split"]


async def test_a_split_done_again_makes_the_pairs_of_a_merge_done_again() -> None:
    """The books have five, and ten were merged: the ledger takes the split first."""
    wallet = Wallet()
    wallet.split(TWENTY)
    wallet.merge(PAIRS + 5 * SHARE, 10 * SHARE)
    wallet.there += TWENTY - 10 * SHARE
    wallet.now_ms = STALE_MS + 1

    assert await wallet.proof.moved_again()
    assert [one.kind for one in wallet.learned] == ["split", "merge"]
    assert wallet.booked == wallet.there == 15 * SHARE


async def test_a_merge_under_way_that_has_moved_nothing_is_no_split_again() -> None:
    """What is there is what the books say; beside the merge, were it done, a split of its size
    would explain it just as well.
    """
    wallet = Wallet()
    wallet.split(TWENTY)
    wallet.proof.account.moving.add("0xc0")

    assert not await wallet.proof.moved_again(move("merge"))
    assert not wallet.learned


async def test_an_earlier_merge_again_beside_one_under_way_where_outcomes_differ() -> None:
    """Seven Up are held beside the pairs: each figure is held against its own outcome."""
    wallet = Wallet()
    wallet.merge(10 * SHARE)
    wallet.there -= 10 * SHARE + TWENTY
    wallet.come = 7 * SHARE
    wallet.bought = (7 * SHARE,)

    def settling(_kind: object, _key: str, token: str) -> Settling:
        return Settling(wallet.booked + wallet.come * (token == "up"), ())

    wallet.proof.account.ledger.settling = settling  # type: ignore[method-assign, assignment]
    wallet.proof.account.moving.add("0xc0")

    assert await wallet.proof.moved_again(move("merge"))
    assert [one.operation_id for one in wallet.learned] == ["polybot-0 again"]


def test_a_closed_market_leaves_nothing_behind() -> None:
    """Hundreds of them pass in a day (S20)."""
    wallet = Wallet()
    wallet.merge(TWENTY)
    wallet.proof.forget("0xc0")

    assert not wallet.proof._moved
    assert not wallet.proof._said
