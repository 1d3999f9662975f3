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


async def test_a_halt_beside_somebody_elses_order_cancels_none_of_theirs(
    fast_clock: PatientClock,
) -> None:
    """It stands as evidence (F27), also when another halt follows: who trades with our key soon
    makes the balances differ, or has cost enough for a limit. Ours go market by market.
    """
    async with playing() as it:
        asked, health = len(it.venue.seen), it.bot.ctx.health
        health.halt(Halt.FOREIGN_ORDERS, "one we did not place")
        health.halt(Halt.LEDGER_DRIFT, "cash")
        await it.until(lambda: not it.venue.live, "ours are gone", 15)
        await trio.sleep(5)
        assert not it.venue.asked("DELETE", "/cancel-all", after=asked)
