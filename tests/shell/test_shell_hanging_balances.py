"""Balances that cannot be read, while everything else of the venue answers at once."""

from __future__ import annotations

import pytest
from shell_kit import playing
from test_shell_silent_node import hold_old_windows
from venue_bent import Act, answer, silence

from polybot.patient_clock import PatientClock

AGAIN_S = 20.0  # many times what a look takes


@pytest.mark.parametrize("act", [answer(503), silence], ids=["refused", "hang"])
async def test_quotes_come_back_while_balances_cannot_be_read(
    act: Act, fast_clock: PatientClock
) -> None:
    """After a stream was lost the venue's books are read, then quoting goes on; a dozen windows
    that wait for their results must not hold that up one after the other.
    """
    async with playing() as it:
        line = it.venue.lines["user_ws"]
        await hold_old_windows(it)
        it.venue.bend("GET", "/balance-allowance", act=act)
        line.cut()
        await it.until(lambda: it.gate, "the gate closes", 30)
        line.flow()
        await it.until(lambda: it.bot.ctx.account.stream.open, "the stream is back", 30)
        began_ms = it.venue.clock.now_ms()
        await it.until(lambda: it.gate is None, "the gate opens", 400)
        took_s = (it.venue.clock.now_ms() - began_ms) / 1000
    assert took_s <= AGAIN_S, took_s
