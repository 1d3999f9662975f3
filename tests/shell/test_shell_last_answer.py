"""A POST on its way when its market ends: its answer is waited for, what it brings withdrawn."""

from __future__ import annotations

import trio
from shell_kit import Scene, clean, playing
from venue_bent import PLACING, Act, Handler, lose_reply

from polybot.exchange.request import Request, Response, error_response
from polybot.orders_task import LAST_ANSWER_S, LAST_PATIENCE_S
from polybot.patient_clock import PatientClock

COMES_S, SLOW_S = 0.3, 2.0
ENDS_WITHIN_S = SLOW_S + 3  # its markets emptied, proven twice, and the last look at the books


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


async def stopped_during(it: Scene, act: Act) -> float:
    """Stop while such a POST is under way; returns after how many seconds all had ended."""
    bend = it.venue.bend("POST", *PLACING, act=act)
    await it.until(lambda: bend.met, "an order is on its way")
    began = trio.current_time()
    clean(await it.end("SIGINT"))
    return trio.current_time() - began


async def test_what_was_refused_is_not_waited_for(fast_clock: PatientClock) -> None:
    """A refused order leaves no trace: who gives up its answer has no other word of it, and waited
    for a minute for an order that could not come any more (stop drill, seed 82).
    """
    async with playing() as it:
        took_s = await stopped_during(it, refused_at_last)
        assert not it.waits_for_late
    assert it.code == 0
    assert took_s < ENDS_WITHIN_S


async def test_what_the_stream_tells_needs_no_answer(fast_clock: PatientClock) -> None:
    """It was waited for as long as for one that nobody has seen."""
    async with playing() as it:
        took_s = await stopped_during(it, lose_reply)
        assert not it.waits_for_late
    assert it.code == 0
    assert took_s < ENDS_WITHIN_S


async def test_what_comes_meanwhile_is_withdrawn(fast_clock: PatientClock) -> None:
    """It came behind the first cancel, and would have rested for as long as the answer takes."""
    async with playing() as it:
        it.venue.lines["user_ws"].stall()  # or it would be known, and nothing waited for
        bend = it.venue.bend("POST", *PLACING, act=taken_and_told_late)
        await it.until(lambda: bend.met, "an order is on its way")
        before = len(it.venue.placed())
        it.bot.stop("SIGINT")
        await it.until(lambda: len(it.venue.placed()) > before, "it has come", 2 * COMES_S)
        await it.until(lambda: not it.venue.live, "it is withdrawn", LAST_PATIENCE_S)
        await it.ending()
    assert it.code == 0
    assert LAST_PATIENCE_S < SLOW_S < LAST_ANSWER_S
