"""Books are not closed over an order whose end is not proven: forgotten it would be nobody's. Its
fill in a decided market was not booked, and the venue's switch held off as if nothing rested.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import trio
from desk_kit import START
from test_shell_adrift import intent, tracked
from test_shell_turns import KEY, OTHER, Wallet
from trio.testing import MockClock

from polybot.account import Account, Route
from polybot.adrift import Adrift
from polybot.domain.market import Side
from polybot.domain.orders import OrderSeen
from polybot.domain.units import SHARE
from polybot.execution.table import KEEP_DEAD_MS
from polybot.journal.entries import Resolved

OURS = "0x1"
AGES_S = KEEP_DEAD_MS / 1000 + 600.0

Left = Callable[[Account, Adrift], object]


def asked_on(account: Account, _: Adrift) -> None:
    """Its scope has not proven it empty, and still asks."""
    nothing: Any = None
    account.routes[KEY] = Route(nothing, nothing, nothing, nothing)


def resting(account: Account, _: Adrift) -> None:
    """It came to rest when its scope had ended."""
    account.stray(OrderSeen(OURS, OrderSeen.Kind.LIVE, 0, "", START))


def unseen(_: Account, adrift: Adrift) -> None:
    """Nobody has answered its request."""
    adrift.look_after([intent(OURS)])


def untold(_: Account, adrift: Adrift) -> None:
    """It is matched, by the venue's word, and no trade has told of that yet."""
    adrift.await_told([tracked(Side.BUY, matched=SHARE)])


@pytest.mark.parametrize("left", [asked_on, resting, unseen, untold])
async def test_books_stay_open_for_an_order_without_an_end(
    left: Left, autojump_clock: MockClock
) -> None:
    """The window is over, its result known, and nothing held of it."""
    wallet = Wallet(Resolved(KEY, SHARE, "chain"))
    wallet.shown.set()
    wallet.disk.answers.set()
    wallet.account.own(OURS, KEY)
    left(wallet.account, wallet.adrift)
    await trio.sleep(1)
    await wallet.inventory.round(final=True)

    assert KEY in wallet.account.ledger.books
    assert wallet.account.owner(OURS) == KEY, "who withdraws it must know whose it is"


@pytest.mark.parametrize("left", [asked_on, resting, unseen, untold])
async def test_books_are_closed_when_each_has_its_end(
    left: Left, autojump_clock: MockClock
) -> None:
    """Nor are they kept open by what rests in another market."""
    wallet = Wallet(Resolved(KEY, SHARE, "chain"))
    wallet.shown.set()
    wallet.disk.answers.set()
    account, adrift = wallet.account, wallet.adrift
    account.own(OURS, KEY)
    account.own("0x2", OTHER.condition_id)
    account.stray(OrderSeen("0x2", OrderSeen.Kind.LIVE, 0, "", START))
    adrift.look_after([intent("0x3", condition_id=OTHER.condition_id)])
    left(account, adrift)

    account.routes.clear()
    account.strays.pop(OURS, None)
    await adrift.ended(intent(OURS), "absent")
    await trio.sleep(AGES_S)
    await adrift.visit()
    await wallet.inventory.round(final=True)
    assert KEY not in account.ledger.books
