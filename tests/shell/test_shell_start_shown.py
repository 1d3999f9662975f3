"""What the screen shows before trading has begun: a start may wait for the venue for minutes."""

from __future__ import annotations

import pytest
import trio
from shell_kit import Scene, scene
from venue_bent import answer

from polybot.console.snapshot import Snapshot
from polybot.patient_clock import PatientClock


def shown(it: Scene) -> Snapshot:
    """The newest that has been handed to the screen."""
    snapshot = it.bot.ctx.published.value
    assert snapshot is not None
    return snapshot


def says(it: Scene, words: str) -> bool:
    return any(words in event.text for event in shown(it).events)


async def test_a_start_that_waits_is_shown(fast_clock: PatientClock) -> None:
    """What it waits for, and that time goes on: the screen stood still at its first second, and the
    words were in the log alone, which is a file where there is a screen.
    """
    async with scene() as it, trio.open_nursery() as nursery:
        bend = it.venue.bend("GET", "/balance-allowance", act=answer(500))
        nursery.start_soon(it.run)
        await it.until(lambda: it.bot.ctx.published.value, "the screen begins")
        first = shown(it)
        assert first.state == "starting"
        assert first.uptime_s < 60, "and not since 1970"
        await it.until(lambda: bend.met, "it asks")
        await it.until(lambda: shown(it).uptime_s > 20, "the screen goes on", 90)
        assert shown(it).state == "starting"
        await it.until(lambda: says(it, "the start waits: balances are compared"), "its words", 90)
        it.venue.bends.remove(bend)
        await it.end()


async def test_a_stop_that_waits_before_trading_has_begun_is_shown(
    fast_clock: PatientClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The venue's engine is away, so nothing is proven: whoever stopped the start saw "starting",
    and not that it waits for minutes, or how to leave.
    """
    monkeypatch.setattr("polybot.app.RESTART_S", 80.0)
    async with scene() as it, trio.open_nursery() as nursery:
        bend = it.venue.bend("DELETE", "/cancel-all", act=answer(425))
        it.venue.bend("GET", "/data/orders", act=answer(500))
        nursery.start_soon(it.run)
        await it.until(lambda: bend.met, "it asks")
        it.bot.stop("SIGINT")
        await it.until(lambda: shown(it).state == "stopping", "it stops")
        await it.until(lambda: says(it, "stop again to leave orders behind"), "how to leave")
        await it.ending(150)
