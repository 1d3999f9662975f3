"""A halt is before the operator and in the log, whatever else the program is at."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from loguru import logger
from shell_kit import put_together, scene

from polybot.domain.halts import Halt
from polybot.journal.entries import Halted
from polybot.patient_clock import PatientClock

WHY = "20 lost today"


@pytest.fixture
def errors() -> Iterator[list[str]]:
    """What is logged as an error."""
    lines: list[str] = []
    sink = logger.add(lines.append, level="ERROR", format="{message}")
    yield lines
    logger.remove(sink)


async def test_a_halt_is_told_and_logged_once(fast_clock: PatientClock, errors: list[str]) -> None:
    """With no window under way nothing said so but the screen's line of state: in a service's log
    there was no word of it.
    """
    async with scene() as it:
        for _ in range(2):
            it.bot.ctx.health.halt(Halt.DAILY_LOSS, WHY)
        told = [event.text for event in it.bot.ctx.events]

    assert told == [f"halted: daily loss: {WHY}"]
    assert errors == [f"trading is halted: daily loss: {WHY}\n"]


async def test_a_halt_of_before_is_told_at_the_start(
    fast_clock: PatientClock, errors: list[str]
) -> None:
    """Why a service that was started again does not trade is in its own log."""
    async with scene() as it:
        store, ctx = it.bot.ctx.account.journal.store, it.bot.ctx
        store.append([(it.venue.clock.now_ms(), Halted(Halt.DAILY_LOSS.value, WHY))])
        again = put_together(it.venue, it.urls, it.http, ctx.config, None, store)
        told = [event.text for event in again.ctx.events]

    assert len(told) == len(errors) == 1
    assert told[0].startswith(f"halted: daily loss: {WHY} (of an earlier run")
    assert errors[0].startswith(f"trading is halted: daily loss: {WHY} (of an earlier run")
