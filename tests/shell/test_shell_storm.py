"""The bot in storms: whatever the venue does to it, nothing rests when it ends, and the books agree
(reliability.md 2, the storms).
"""

from __future__ import annotations

import pytest
import trio
from shell_kit import clean, playing

from polybot.exchange.faults import plan
from polybot.exchange.faults.plan import Plan, StormTerms
from polybot.patient_clock import PatientClock

HARD = StormTerms(warm_up_s=1, round_s=60, quiet_s=45, fewest=4, most=8)
NEXT_WINDOW_S = 360.0  # one that is decided early has no two-sided book to quote in


@pytest.mark.parametrize("seed", [1, 2])
async def test_a_storm_is_weathered(seed: int, fast_clock: PatientClock) -> None:
    """Two rounds of drawn faults: quoting comes back in the quiet, and the end is clean (S15)."""
    async with playing(seed=seed) as it:
        venue = it.venue
        venue.faults.start(Plan(storm=HARD), venue.clock.now_ms())
        await trio.sleep(1 + 2 * HARD.round_s + HARD.quiet_s)
        venue.faults.clear()
        await it.requoting(NEXT_WINDOW_S)
        report = await it.end()

    assert it.code == 0
    assert venue.faults.struck, "something happened"
    clean(report)


@pytest.mark.parametrize("name", [name for name in plan.presets() if name not in {"none", "storm"}])
async def test_a_preset_is_weathered(name: str, fast_clock: PatientClock) -> None:
    """Every plan that is shipped, from its first minute on."""
    async with playing() as it:
        venue = it.venue
        venue.faults.start(plan.load(name), venue.clock.now_ms())
        for _ in range(20):  # somebody trades with us: a settlement has something to go wrong
            for order in venue.live[:2]:
                venue.hit(order)
            await trio.sleep(5)
        venue.faults.clear()
        report = await it.end()

    assert it.code == 0
    assert venue.faults.struck, "something happened"
    clean(report)
