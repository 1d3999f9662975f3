"""A heart that beat for an engine while it was waited for, and has not beaten since (F40)."""

from __future__ import annotations

import trio
from shell_kit import HOUR_MS, scene
from test_shell_certify import certified
from venue_bent import silence

from polybot.patient_clock import PatientClock


async def test_nothing_is_placed_before_a_beat_of_this_trading(fast_clock: PatientClock) -> None:
    """The trial that follows lets the switch lapse, which ends the venue's watch (clob.md 4.2):
    what is placed before the next beat is accepted would be under no switch at all.
    """
    async with scene(at_ms=HOUR_MS + 30_000) as it, trio.open_nursery() as nursery:
        it.bot.certify = True
        nursery.start_soon(it.run)
        await it.until(lambda: it.venue.live, "the order rests")
        it.venue.clob.modes.restart(it.venue.clock.now_ms(), 30)
        await it.until(lambda: it.bot.ctx.heartbeat.beats, "the heart beats for the engine", 60)
        await it.until(lambda: len(it.venue.placed()) == 2, "the trial is made anew", 120)
        await trio.sleep(2)
        beats = it.bot.ctx.heartbeat.beats
        it.venue.bend("POST", "/v1/heartbeats", act=silence)
        await it.until(lambda: certified(it), "a certificate", 60)
        await trio.sleep(15)
        assert it.bot.ctx.heartbeat.beats == beats, "none was accepted"
        assert len(it.venue.placed()) == 2, f"{len(it.venue.placed()) - 2} orders under no switch"
        it.venue.bends.clear()
        await it.quoting()
        await it.end()
