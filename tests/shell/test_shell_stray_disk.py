"""A late order that no desk knows, while the journal's disk does not answer (F18, F66, S4)."""

from __future__ import annotations

from shell_kit import clean, playing
from test_shell_disk import _Stuck
from test_shell_unseen_stray import on_its_way

from polybot.disk_watch import DISK
from polybot.patient_clock import PatientClock

WITHDRAWN_S = 5.0


async def test_a_stray_is_withdrawn_by_a_disk_that_does_not_answer(
    fast_clock: PatientClock,
) -> None:
    """What is told is booked when it is written, and that an order of ours rests where no desk
    knows it was told to nobody before: it rested for as long as the disk stood still. So all is
    cancelled, again and again.
    """
    async with playing() as it:
        await on_its_way(it)
        before, journal = len(it.venue.placed()), it.bot.ctx.account.journal
        disk = journal.disk = _Stuck(journal.disk)
        it.venue.crowd.hushed = True
        try:
            await it.until(lambda: len(it.venue.placed()) > before, "it comes to rest")
            assert it.venue.live
            await it.until(lambda: not it.venue.live, "it is withdrawn", WITHDRAWN_S)
            assert DISK in it.bot.ctx.health.troubles
        finally:
            disk.answers.set()  # or the bot would wait for it for ever, and the test with it
        it.venue.crowd.hushed = False
        it.bot.ctx.health.good("a test")
        await it.requoting(120)
        clean(await it.end())
