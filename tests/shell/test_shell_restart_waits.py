"""A start that meets an outage: it waits, says what for, and goes on."""

from __future__ import annotations

import pytest
import trio
from loguru import logger
from shell_kit import HOUR_MS, scene
from venue_bent import answer

from polybot import restart
from polybot.operator.preflight import PASSES_WITHIN_S
from polybot.patient_clock import PatientClock

OUTAGE_S = 130.0
STARTS_AN_HOUR = 5  # that a service manager makes (docs/operations.md)


def test_an_outage_never_uses_up_the_starts_of_an_hour() -> None:
    """Each waits for longer than its share of it, whatever it is that does not answer: five of a
    minute each were over in ten, and so was the night.
    """
    waits = (restart.ANSWER_S, restart.SETTLING_S, restart.OPERATIONS_S, PASSES_WITHIN_S)

    assert min(waits) >= 3600 / STARTS_AN_HOUR


@pytest.mark.parametrize(
    ("path", "doing"),
    [
        ("/data/orders", "no open order of ours may be left"),
        ("/data/trades", "trades of before are read"),
        ("/balance-allowance", "balances are compared"),
    ],
)
async def test_an_outage_after_the_preflight_is_waited_for(
    path: str, doing: str, fast_clock: PatientClock
) -> None:
    """Of a part of the venue, for two minutes: the start goes on when it is over, and whoever looks
    has been told once what it waits for.
    """
    said: list[str] = []
    sink = logger.add(said.append, format="{message}", level="WARNING")
    async with scene(at_ms=HOUR_MS + 20_000) as it, trio.open_nursery() as nursery:
        away = it.venue.bend("GET", path, act=answer(503))
        nursery.start_soon(it.run)
        await trio.sleep(OUTAGE_S)
        assert not it.ended.is_set(), it.bot.exit_reason
        it.venue.bends.remove(away)
        await it.until(lambda: it.bot.ready, "it has started", 30)
        await it.end()
    logger.remove(sink)

    assert it.code == 0
    assert [line for line in said if "waits" in line] == [f"the start waits: {doing}\n"]
