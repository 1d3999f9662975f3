"""The checker checked: each kind of damage is seen, and named."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from engine_kit import Kit, resolved

from polybot.exchange.invariants import check
from polybot.exchange.model import BUY, SELL, UP, Order, Status


def make_money(kit: Kit) -> None:
    kit.engine.accounts.wallet("ann").cash += 1


def overdraw(kit: Kit) -> None:
    kit.engine.accounts.wallet("ann").cash = -1


def lose_shares(kit: Kit) -> None:
    kit.engine.accounts.wallet("ann").shares[kit.market.tokens[UP]] -= 1


def shift_shares(kit: Kit) -> None:
    shares = kit.engine.accounts.wallet("ann").shares
    kit.engine.accounts.wallet("bob").shares[kit.market.tokens[UP]] += shares.pop("m-up")


def claim_for_nobody(kit: Kit) -> None:
    kit.engine.accounts.claims["0xghost"] = 5


def claim_too_little(kit: Kit) -> None:
    kit.engine.accounts.claim(first(kit), 1)


def keep_a_claim(kit: Kit) -> None:
    kit.engine.accounts.wallet("bob").claimed_cash += 1


def claim_more_than_there_is(kit: Kit) -> None:
    kit.engine.accounts.wallet("bob").claimed_cash = 10**15


def cross(kit: Kit) -> None:
    book = kit.engine.desk.resting.books[kit.market.condition_id]
    book.add(kit.order("ann", BUY, UP, 70, 10))


def jump_the_queue(kit: Kit) -> None:
    first(kit).sequence = 99


def miscount(kit: Kit) -> None:
    first(kit).matched += 10


def wrong_status(kit: Kit) -> None:
    first(kit).status = Status.MATCHED


def held_for_ever(kit: Kit) -> None:
    kit.engine.orders["0x00"] = kit.order("ann", BUY, UP, 50, 10, status=Status.DELAYED)


def off_the_list(kit: Kit) -> None:
    order = first(kit)
    kit.engine.desk.resting.live["key-zoe"] = {
        order.id: kit.engine.desk.resting.live[order.owner].pop(order.id)
    }


def first(kit: Kit) -> Order:
    return kit.engine.orders["0x01"]


@pytest.mark.parametrize(
    ("damage", "named"),
    [
        (make_money, "money was made or lost"),
        (overdraw, "ann has cash -1"),
        (lose_shares, "pairs do not match"),
        (shift_shares, "claimed 10000000 of 0"),
        (claim_for_nobody, "claims without orders"),
        (claim_too_little, "claims a wrong sum"),
        (keep_a_claim, "disagree about what is reserved"),
        (claim_more_than_there_is, "more cash than it has"),
        (cross, "crossed"),
        (jump_the_queue, "out of priority"),
        (miscount, "wrong"),
        (wrong_status, "MATCHED"),
        (held_for_ever, "not held"),
        (off_the_list, "on no list"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_damage_is_seen(damage: Callable[[Kit], None], named: str) -> None:
    """A sound exchange passes; the same one damaged does not, and the reason says what is wrong."""
    kit = Kit()
    kit.place("bob", BUY, UP, 40, 10)
    kit.place("cy", BUY, UP, 40, 10)
    kit.place("ann", SELL, UP, 60, 10)
    check(kit.engine)

    damage(kit)
    with pytest.raises(AssertionError, match=named):
        check(kit.engine)


def test_unbacked_payouts_are_seen() -> None:
    """After the resolution every winning share must have its dollar."""
    kit = Kit()
    resolved(kit, UP)
    kit.engine.accounts.back(kit.market.condition_id, -1)
    kit.engine.accounts.wallet("ann").cash += 1
    with pytest.raises(AssertionError, match="payouts are not backed"):
        check(kit.engine)
