"""The doctor's far order before a venue that is slow: nothing rests unsaid."""

from __future__ import annotations

import pytest
import trio
from shell_kit import HOUR_MS, scene
from venue_bent import Handler, silence

from polybot.exchange.request import Request, Response
from polybot.operator import check_order
from polybot.operator.doctor import CHECK_S, in_turn
from polybot.operator.findings import Grade
from polybot.operator.patient import Patient
from polybot.patient_clock import PatientClock

LATE_S = 4.0  # below a request's patience, above what the last cancel had


async def late(request: Request, handle: Handler) -> Response:
    """It is held up on its way."""
    await trio.sleep(LATE_S)
    return await handle(request)


@pytest.mark.parametrize("cancels", ["late", "lost"])
async def test_an_order_whose_end_nobody_tells(cancels: str, fast_clock: PatientClock) -> None:
    """Look-ups get no answer: the check was given up as one that is slow, its last cancel after
    three seconds, and nobody was told to look for the order.
    """
    async with scene(at_ms=HOUR_MS + 60_000) as it:
        ctx = it.bot.ctx
        one = Patient(
            config=ctx.config, site=ctx.site, wallet=ctx.wallet, client=ctx.client, http=it.http,
            rng=ctx.rng, journal=it.journal.with_name("none yet"), owner="scene",
        )  # fmt: skip
        it.venue.bend("GET", "/data/order", act=silence)
        it.venue.bend("DELETE", "/order", act=late if cancels == "late" else silence)
        began = trio.current_time()
        ((name, found),) = await in_turn(one, [check_order.CHECK])

        assert trio.current_time() - began < CHECK_S
        assert len(it.venue.placed()) == 1
        assert bool(it.venue.live) is (cancels == "lost")
    assert (name, found.grade) == ("far order", Grade.FAILED)
    assert "may rest" in found.found
    assert found.remedy == check_order.REMEDY
