"""The venue takes orders and does not cancel any: what rests stays bounded, and the gate closes."""

from __future__ import annotations

import pytest
import trio
from shell_kit import Scene, clean, playing
from venue_bent import answer

from polybot.heartbeat import Pulse
from polybot.patient_clock import PatientClock

CANCELS = ("/order", "/orders", "/cancel-market-orders", "/cancel-all")
HOW = {
    "500": answer(500),
    "503 disabled": answer(503, b'{"error": "Trading is currently disabled"}'),
}
GIVEN_UP_S = 13.0  # ten of cancelling in vain, and a moment
GATE_S = 17.0  # and a flatten that cannot prove the market empty
AWAY_S = 60.0
A_TRY_S = 5.0
PLACED_MS = 4_000  # three until a cancel has been in vain, and a POST that was under way


def told(it: Scene, what: str) -> bool:
    return any(what in event.text for event in it.bot.ctx.events)


@pytest.mark.parametrize("answered", list(HOW))
async def test_a_cancel_path_that_fails_closes_the_gate(
    answered: str, fast_clock: PatientClock
) -> None:
    """Each look-up shows the order alive, and so ends the doubt about it; all the same its market
    is given up ten seconds after the first cancel, and nothing is placed anywhere while it cannot
    be emptied (F21, F40). Nor before that is anything placed beside what should be gone.
    """
    async with playing() as it:
        failing = it.venue.bend("DELETE", *CANCELS, act=HOW[answered])
        await it.until(lambda: failing.met, "a cancel fails")
        first_ms, known = it.venue.clock.now_ms(), len(it.venue.seen)
        await it.until(
            lambda: told(it, "cancelling for too long"), "the market is given up", GIVEN_UP_S
        )
        await it.until(lambda: it.gate is not None, "the gate closes", GATE_S)
        placed = [event.at_ms - first_ms for event in it.venue.placed(after=known)]
        assert max(placed, default=0) < PLACED_MS

        it.venue.bends.clear()
        await it.until(lambda: it.gate is None, "the gate opens again")
        await it.requoting()
        summary = await it.end()
    clean(summary)


async def test_an_engine_that_is_away_for_cancels_alone(
    fast_clock: PatientClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No stream is lost and nothing else is wrong: what cannot be withdrawn would be filled until
    its window ends. Its market is given up when no restart takes that long.
    """
    monkeypatch.setattr("polybot.execution.tracked.AWAY_MOST_MS", 15_000)
    async with playing() as it:
        away = it.venue.bend("DELETE", *CANCELS, act=answer(425))
        await it.until(lambda: away.met, "a cancel is put off")
        assert it.gate is None
        await it.until(
            lambda: told(it, "cancelling for too long"), "the market is given up", 15 + GIVEN_UP_S
        )
        await it.until(lambda: it.gate is not None, "the gate closes", GATE_S)

        it.venue.bends.clear()
        await it.requoting(60)
        clean(await it.end())


async def test_what_a_market_has_waited_for_the_engine_counts(
    fast_clock: PatientClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One time in which an engine may say that it is away, of the market and of the wallet: two in
    a row would leave what rests to be filled for minutes more.
    """
    monkeypatch.setattr("polybot.execution.tracked.AWAY_MOST_MS", 15_000)
    monkeypatch.setattr("polybot.lapse.AWAY_MOST_S", AWAY_S)
    async with playing() as it:
        away = it.venue.bend("DELETE", *CANCELS, act=answer(425))
        await it.until(lambda: away.met, "a cancel is put off")
        began, heartbeat = trio.current_time(), it.bot.ctx.heartbeat
        await it.until(
            lambda: heartbeat.pulse is Pulse.LAPSING, "the heart is silent", AWAY_S + A_TRY_S
        )
        assert trio.current_time() - began > AWAY_S - A_TRY_S

        it.venue.bends.clear()
        await it.requoting(120)
        clean(await it.end())
