from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import trio
from shell_kit import Scene, clean, playing, scene
from venue_bent import (
    HTML,
    PLACING,
    Act,
    Handler,
    answer,
    changed,
    done_but,
    lose_reply,
    silence,
    untold,
)

from polybot.exchange.model import Order
from polybot.exchange.request import Request, Response
from polybot.execution.desk import Desk
from polybot.execution.lifecycle import State
from polybot.patient_clock import PatientClock

LOOKED_UP = "/data/order"
KNOWN = {State.LIVE, State.FILLED, State.CANCELLED, State.CANCELLING}


def drop_last_leg(rows: Any) -> None:
    if isinstance(rows, list):
        rows.pop()


async def late(request: Request, handle: Handler) -> Response:
    """The request waits at the edge until everybody has given it up, and is then carried out."""
    await trio.sleep(12)
    return await handle(request)


def desk_of(it: Scene) -> Desk:
    """The desk of the window under way."""
    return it.bot.supervisor.scopes[it.market.slug].orders.desk


def doubles(it: Scene, number: int) -> list[str]:
    """Orders placed where an earlier one wanted to rest, which the request of that number carried,
    while the venue had not been asked what became of it: what must never be.
    """
    return [
        later.order.id
        for lost in accepted_in(it, number)
        for n, later in it.venue.events
        if number < n < asked_after(it, lost, number)
        if later.kind == "PLACEMENT" and place_of(later.order) == place_of(lost)
    ]


def place_of(order: Order) -> tuple[str, int]:
    return order.token, order.price


def accepted_in(it: Scene, number: int) -> list[Order]:
    """The orders that the venue took from the request of that number."""
    return [event.order for n, event in it.venue.events if n == number]


def asked_after(it: Scene, order: Order, number: int) -> int:
    """The number of the first later request whose answer says what became of the order."""
    for seen in it.venue.seen[number:]:
        reads = seen.path in (f"{LOOKED_UP}/{order.id}", "/data/orders")
        if reads or (seen.method == "DELETE" and order.id.encode() in seen.body):
            return seen.number
    return len(it.venue.seen) + 1


ACTS = {
    "no reply": lose_reply,
    "500 in HTML": done_but(500),
    "empty 200": done_but(200, b""),
    "short list": changed(drop_last_leg),
}


@pytest.mark.parametrize("how", ACTS)
async def test_accepted_but_not_heard(how: str, fast_clock: PatientClock) -> None:
    """Orders whose acceptance got lost are found by their ids and managed; while their fate is
    open nothing more is placed on their side, so a lost reply is never two orders.
    """
    async with scene() as it, trio.open_nursery() as nursery:
        act = untold(it.venue.lines["user_ws"], ACTS[how])  # or the stream would tell at once
        bend = it.venue.bend("POST", *PLACING, act=act, times=1)
        nursery.start_soon(it.run)
        await it.until(lambda: bend.met, "the first POST")
        number = it.venue.asked("POST", *PLACING)[0].number
        lost = accepted_in(it, number)
        assert len(lost) >= 2
        await it.until(lambda: found(it, lost), "all are found", 30)
        await it.requoting()
        report = await it.end()

    assert doubles(it, number) == []
    assert report.unknown_resolved >= (1 if how == "short list" else len(lost))
    assert it.code == 0
    clean(report)


def found(it: Scene, orders: list[Order]) -> bool:
    table = desk_of(it).table
    return all(order.id in table and table[order.id].state in KNOWN for order in orders)


async def test_filled_but_not_heard(fast_clock: PatientClock) -> None:
    """An order whose acceptance got lost may be filled meanwhile: the fill is booked once."""
    async with scene() as it, trio.open_nursery() as nursery:
        it.venue.lines["user_ws"].stall()
        it.venue.bend("POST", *PLACING, act=lose_reply, times=1)
        nursery.start_soon(it.run)
        await it.until(lambda: it.venue.live, "orders that nobody knows")
        await it.filled()
        ledger = it.bot.ctx.account.ledger
        await it.until(
            lambda: ledger.books[it.market.condition_id].fills == it.venue.fills, "it is booked"
        )
        report = await it.end()

    clean(report)
    assert report.totals.fills == it.venue.fills > 0


async def test_lost_on_the_way_out(fast_clock: PatientClock) -> None:
    """A POST that never arrived is given up on two reads after the grace, not on the time-out, and
    only then may something new be placed on its side.
    """
    async with scene() as it, trio.open_nursery() as nursery:
        bend = it.venue.bend("POST", *PLACING, act=silence, times=1)
        nursery.start_soon(it.run)
        await it.until(lambda: bend.met, "the first POST")
        lost = {tracked.id: tracked.order for tracked in desk_of(it).table.open()}
        await it.quoting()
        for event in it.venue.placed():  # of another POST that was on its way
            lost.pop(event.order.id, None)
        report = await it.end()

    assert lost
    assert report.unknown_resolved >= len(lost)
    for order_id, order in lost.items():
        place = (order.market.token(order.outcome), order.price)
        again = [n for n, event in it.venue.events if place_of(event.order) == place]
        looked = it.venue.asked("GET", f"{LOOKED_UP}/{order_id}")
        assert sum(seen.number < min(again, default=10**9) for seen in looked) >= 2
    clean(report)


@pytest.mark.parametrize("hears", [True, False], ids=["told by the stream", "told by the list"])
async def test_accepted_long_after(hears: bool, fast_clock: PatientClock) -> None:
    """Orders that appear after they were given up for lost are ours, not foreign; they are
    taken in and nothing of them stays behind.
    """
    async with scene() as it, trio.open_nursery() as nursery:
        act = late if hears else untold(it.venue.lines["user_ws"], late)
        bend = it.venue.bend("POST", *PLACING, act=act, times=1)
        nursery.start_soon(it.run)
        await it.until(lambda: bend.met, "the first POST")
        lost = {tracked.id for tracked in desk_of(it).table.open()}

        def arrived() -> list[Order]:
            return [e.order for e in it.venue.placed() if e.order.id in lost]

        await it.until(arrived, "it arrives")
        await it.until(lambda: found(it, arrived()), "it is taken in", 30)
        report = await it.end()

    assert not [halt for halt in report.halts if "foreign" in halt]
    clean(report)


REFUSALS: dict[str, Callable[[], Act]] = {
    "restarting": lambda: answer(425, b'{"error": "Too early"}'),
    "limited at the edge": lambda: answer(429, HTML),
    "new words": lambda: answer(400, HTML),
    "cancel only": lambda: answer(503, b'{"error": "Trading is currently cancel-only."}'),
}


@pytest.mark.parametrize("why", REFUSALS)
async def test_refusals_are_not_drummed_on(why: str, fast_clock: PatientClock) -> None:
    """Refused POSTs are counted by reason and followed by quiet; cancels still go, and when the
    venue takes orders again they come by themselves.
    """
    async with playing() as it:
        bend = it.venue.bend("POST", *PLACING, act=REFUSALS[why]())
        await it.until(lambda: bend.met, "a refused POST")
        begun = trio.current_time()
        await trio.sleep(12)
        posts_per_s = bend.met / (trio.current_time() - begun)
        assert posts_per_s <= 2, f"{bend.met} POSTs"
        it.venue.bends.remove(bend)
        await it.requoting()
        report = await it.end()

    assert report.rejects or report.unknown_resolved
    assert it.code == 0
    clean(report)
