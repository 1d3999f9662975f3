"""What the core's tape keeps of windows that are over."""

from __future__ import annotations

from shell_kit import playing

from polybot.patient_clock import PatientClock


async def test_a_scope_that_has_ended_leaves_nothing_with_the_tape(
    fast_clock: PatientClock,
) -> None:
    """A month of a few series has thirty thousand windows: each left its last decision (S20)."""
    async with playing(taped=True) as it:
        core = it.bot.ctx.core
        assert core._quoted
        await it.idle()
        assert not core._quoted
        assert not core._outside
