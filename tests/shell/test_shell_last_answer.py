"""A POST on its way when its market ends: its answer is waited for, what it brings withdrawn."""

from __future__ import annotations

import pytest
import trio
from shell_kit import clean, playing
from venue_bent import PLACING, Act, Handler, lose_reply

from polybot.domain.orders import EDGE_S
from polybot.exchange.request import Request, Response, error_response
from polybot.order_requests import LAST_ANSWER_S
from polybot.patient_clock import PatientClock

COMES_S, SLOW_S = 0.3, 2.0
SOON_S = 1.5  # before the answer comes, which ended the waiting before


async def refused_at_last(request: Request, handle: Handler) -> Response:
    """An answer that takes its time, and takes none of the orders."""
    await trio.sleep(SLOW_S)
    return error_response("invalid post-only order: order crosses book", 400)


async def taken_and_told_late(request: Request, handle: Handler) -> Response:
    """The orders rest soon, and their placing is answered when all others have ended."""
    await trio.sleep(COMES_S)
    response = await handle(request)
    await trio.sleep(SLOW_S)
    return response


@pytest.mark.parametrize("act", [refused_at_last, lose_reply], ids=["refused", "seen"])
async def test_no_minute_is_waited(act: Act, fast_clock: PatientClock) -> None:
    """A refused order leaves no trace: who gives up its answer has no other word of it, and waited
    for a minute for an order that could not come any more (stop drill, seed 82). Of orders that the
    stream has told of no answer is needed.
    """
    async with playing() as it:
        bend = it.venue.bend("POST", *PLACING, act=act)
        await it.until(lambda: bend.met, "an order is on its way")
        began = trio.current_time()
        clean(await it.end("SIGINT"))
        assert not it.waits_for_late
    assert it.code == 0
    assert trio.current_time() - began < EDGE_S / 2


async def test_what_comes_meanwhile_is_withdrawn(fast_clock: PatientClock) -> None:
    """It came behind the first cancel, and would have rested for as long as the answer takes."""
    async with playing() as it:
        it.venue.lines["user_ws"].stall()  # or it would be known, and nothing waited for
        bend = it.venue.bend("POST", *PLACING, act=taken_and_told_late)
        await it.until(lambda: bend.met, "an order is on its way")
        before = len(it.venue.placed())
        it.bot.stop("SIGINT")
        await it.until(lambda: len(it.venue.placed()) > before, "it has come")
        await it.until(lambda: not it.venue.live, "it is withdrawn", SOON_S)
        await it.ending()
    assert it.code == 0
    assert SOON_S < SLOW_S < LAST_ANSWER_S
