"""What the screen counts: orders also where no desk knows them any more, and fills once."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from desk_kit import START
from shell_kit import Scene, playing, scene
from test_shell_adrift import intent, row

from polybot.domain.market import Market
from polybot.domain.orders import OrderSeen
from polybot.patient_clock import PatientClock


def unseen(it: Scene, order_id: str) -> None:
    """Nobody has answered its request, and its scope has ended."""
    it.bot.ctx.reconciler.adrift.look_after([intent(order_id)])


def listed(it: Scene, order_id: str) -> None:
    """The venue's list shows it."""
    it.bot.ctx.reconciler.adrift.answer_for_late([row(order_id)])


def told(it: Scene, order_id: str) -> None:
    """The user stream has told that it rests."""
    it.bot.ctx.account.own(order_id, "0xc")
    it.bot.ctx.account.stray(OrderSeen(order_id, OrderSeen.Kind.LIVE, 0, "", START))


@pytest.mark.parametrize("found", [unseen, listed, told])
async def test_orders_without_a_desk_are_on_the_screen(
    found: Callable[[Scene, str], None], fast_clock: PatientClock
) -> None:
    """It said "orders 0" while the venue's switch was waited for; and each is one, however often
    it is told of.
    """
    async with scene() as it:
        assert it.bot.snapshot().open_orders == 0
        found(it, "0x1")
        assert it.bot.snapshot().open_orders == 1
        for again in (unseen, listed, told):
            again(it, "0x1")
        assert it.bot.snapshot().open_orders == 1


async def test_a_fill_counts_once_while_its_books_are_closed(fast_clock: PatientClock) -> None:
    """They stay until the disk has written that they are closed, which may take its time: until
    then every fill of the market was on the screen twice.
    """
    async with playing() as it:
        await it.filled(2)
        await it.idle()
        ctx = it.bot.ctx
        key = it.market.condition_id
        books = ctx.account.ledger.books[key]
        before = it.bot.snapshot().fills
        assert before == books.fills >= 2
        market: Market = books.market
        ctx.records.close(market, books, market.end_ms + 90_000)
        assert it.bot.snapshot().fills == before
        assert it.bot.summary().totals.fills == before
        ctx.records.of(market).final = None
        await it.end()
