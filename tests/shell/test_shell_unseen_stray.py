"""A late order that no desk knows, while no look at the venue's books is whole (F18, F21, S4)."""

from __future__ import annotations

import pytest
from shell_kit import Scene, playing
from test_shell_lapse import CANCELS, SWITCH_S, pulse
from test_shell_late import held_back
from venue_bent import PLACING, answer

from polybot.adrift import DOUBTFUL
from polybot.heartbeat import Pulse
from polybot.lapse import LATE_MOST_S, NO_DESK
from polybot.patient_clock import PatientClock


async def on_its_way(it: Scene) -> None:
    """An order that the edge holds back, of a scope that has ended meanwhile."""
    bend = it.venue.bend("POST", *PLACING, act=held_back, times=1)
    await it.until(lambda: bend.met, "an order is on its way")
    it.bot.ctx.health.bad("a test", "trouble")
    await it.until(lambda: it.bot.ctx.account.reserved.get(DOUBTFUL), "it counts")
    await it.until(lambda: not it.bot.supervisor.scopes, "its scope has ended")


@pytest.mark.parametrize("path", ["/data/orders", "/data/trades", "/time"])
async def test_a_stray_while_no_look_is_whole(path: str, fast_clock: PatientClock) -> None:
    """The stream has told that it rests, every cancel fails, and something that each look begins
    with fails as well. It is left to the venue's switch like one that a whole look finds (F21, F40,
    L4).
    """
    async with playing() as it:
        await on_its_way(it)
        before = len(it.venue.placed())
        it.venue.bend("DELETE", *CANCELS, act=answer(503))
        it.venue.bend("GET", path, act=answer(503))
        await it.until(lambda: len(it.venue.placed()) > before, "it comes to rest")
        assert it.venue.live
        await it.until(lambda: it.bot.ctx.account.strays, "it is known", 5)
        await it.until(lambda: pulse(it) is Pulse.LAPSING, "silent", LATE_MOST_S + 30)
        await it.until(lambda: not it.venue.live, "all gone", SWITCH_S + 10)
        it.venue.bends.clear()
        it.bot.ctx.health.good("a test")
        await it.requoting(120)
        assert NO_DESK not in it.bot.ctx.lapse.markets


@pytest.mark.parametrize("path", ["/data/trades", "/time"])
async def test_what_a_list_shows_is_withdrawn_while_no_look_is_whole(
    path: str, fast_clock: PatientClock
) -> None:
    """A late order that no stream has told of: the list of open orders shows it, and cancels work.
    That something else cannot be read is no reason to leave it there (F18, S4).
    """
    async with playing() as it:
        await on_its_way(it)
        before = len(it.venue.placed())
        it.venue.lines["user_ws"].passes = lambda data: b"PLACEMENT" not in data
        it.venue.bend("GET", path, act=answer(503))
        await it.until(lambda: len(it.venue.placed()) > before, "it comes to rest")
        assert it.venue.live
        it.venue.crowd.hushed = True
        await it.until(lambda: not it.venue.live, "it is withdrawn", 40)
