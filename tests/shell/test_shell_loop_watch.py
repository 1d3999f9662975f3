"""An event loop that stands still (F50, F69)."""

from __future__ import annotations

import pytest
import trio
from shell_kit import RATE, clean, playing, scene
from trio.testing import MockClock, wait_all_tasks_blocked
from venue_bent import Handler

from polybot.channels import Bell
from polybot.exchange.request import Request, Response
from polybot.execution.firewall import Admission
from polybot.health import Health
from polybot.loop_watch import EVERY_S, LOOP, LoopWatch
from polybot.patient_clock import PatientClock


async def test_what_rests_is_withdrawn(fast_clock: PatientClock) -> None:
    """Most of a second is missing from everybody's time: what rests is of the past. It goes, the
    venue's books are read, and then the market is quoted again.
    """
    async with playing() as it:
        left, looks = list(it.venue.live), len(it.venue.asked("GET", "/data/orders"))
        fast_clock._now += 0.8 * RATE  # nobody had asked to sleep for so long
        await it.until(lambda: all(o.status.value != "LIVE" for o in left), "nothing rests", 2.0)
        await it.requoting()
        assert len(it.venue.asked("GET", "/data/orders")) > looks
        assert [e.text for e in it.bot.ctx.events if e.text.endswith(f"{LOOP}: stood still")]
        report = await it.end()

    assert report.halts[f"{LOOP}: stood still"] == 1
    assert report.loop_late_most_ms == pytest.approx(800, abs=20)
    clean(report)


@pytest.mark.parametrize(
    ("late_s", "speed", "told", "stood"),
    [
        (0.04, 1.0, 0, False),
        (0.06, 1.0, 1, False),
        (0.49, 1.0, 1, False),
        (0.51, 1.0, 1, True),
        (0.9, 20.0, 0, False),  # 45 ms of the wall
        (10.1, 20.0, 1, True),
    ],
)
async def test_how_late_is_too_late(
    late_s: float, speed: float, told: int, stood: bool, mock_clock: MockClock
) -> None:
    """Twenty milliseconds are nothing, fifty are told, half a second is too much."""
    watch, rung = LoopWatch(Health(Admission()), Bell(), speed), trio.Event()

    async def listen() -> None:
        await watch.doubt.wait()
        rung.set()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(watch.run)
        nursery.start_soon(listen)
        await wait_all_tasks_blocked()
        mock_clock.jump(EVERY_S + late_s)
        await wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()

    assert watch.most_s == pytest.approx(late_s / speed)
    assert (watch.late, LOOP in watch.health.troubles) == (told, stood)
    assert rung.is_set() is stood


@pytest.mark.parametrize("name", [LOOP, "private events", "orders inbox"])
@pytest.mark.parametrize("stood", [False, True], ids=["anew", "again"])
async def test_a_look_ends_only_what_stood_when_it_began(
    name: str, stood: bool, fast_clock: PatientClock
) -> None:
    """What comes while the venue's books are being read may be of later than they are; and those
    who withdraw for it might not have been awake yet. So may what comes once more: an inbox that
    overflowed a second time was taken for the first.
    """
    async with scene() as it, trio.open_nursery() as nursery:
        health, reconciler = it.bot.ctx.health, it.bot.ctx.reconciler
        nursery.start_soon(it.bot.ctx.account.journal.run)
        if stood:
            health.bad(name, "of late")

        async def meanwhile(request: Request, handle: Handler) -> Response:
            health.bad(name, "of late")
            return await handle(request)

        bend = it.venue.bend("GET", "/time", act=meanwhile)
        assert await reconciler.reconcile()
        assert name in health.troubles

        it.venue.bends.remove(bend)
        assert await reconciler.reconcile()
        assert name not in health.troubles
        nursery.cancel_scope.cancel()
