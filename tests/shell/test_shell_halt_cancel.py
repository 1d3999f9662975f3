"""The cancel-all of a halt, where the first one reaches nobody."""

from __future__ import annotations

import trio
from shell_kit import playing
from venue_bent import answer

from polybot.domain.halts import Halt
from polybot.patient_clock import PatientClock


async def test_the_cancel_all_of_a_halt_is_tried_again(fast_clock: PatientClock) -> None:
    """It is for orders of no scope as well: one that failed is sent again, as at a stop, and one
    that was taken is not.
    """
    async with playing() as it:
        bend = it.venue.bend("DELETE", "/cancel-all", act=answer(503), times=1)
        asked = len(it.venue.seen)
        it.bot.ctx.health.halt(Halt.DRAWDOWN, "a test")
        await it.until(lambda: bend.met, "it is sent", 5)
        await trio.sleep(5)
        assert len(it.venue.asked("DELETE", "/cancel-all", after=asked)) == 2
