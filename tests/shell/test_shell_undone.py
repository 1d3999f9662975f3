"""A venue on which trades come to nothing (F31)."""

from __future__ import annotations

import attrs
from shell_kit import clean, playing, shell_config
from test_shell_restart import killed, started

from polybot.patient_clock import PatientClock
from polybot.risk.limits import RiskParams
from polybot.risk.undone import UNDONE

LIMITS = RiskParams(
    max_daily_loss_percent=100, max_drawdown_percent=100, undone_most=2, undone_pause_s=60
)


async def test_what_rests_is_withdrawn_for_a_while(fast_clock: PatientClock) -> None:
    """At the third trade that fails nothing is left at rest, and nothing placed for a minute; then
    the venue is tried again, and goes on being quoted where trades are carried out.
    """
    async with playing(config=attrs.evolve(shell_config(), risk=LIMITS)) as it:
        policy = it.venue.engine.clearing_policy
        policy.fail_ppm = 1_000_000
        for _ in range(3):  # one hit may fill two bids
            await it.filled()
        await it.until(lambda: UNDONE in it.bot.ctx.health.troubles, "the third has failed", 90)
        policy.fail_ppm = 0
        assert it.gate is not None
        assert it.gate.startswith(f"{UNDONE}: 3 of the last ")
        stopped_ms = it.venue.clock.now_ms()
        await it.until(lambda: not it.venue.live, "nothing rests", 5.0)
        await it.requoting(120)
        began_ms = it.venue.placed()[-1].at_ms
        report = await it.end()

    assert began_ms - stopped_ms >= 55_000
    assert sum(count for text, count in report.halts.items() if text.startswith(UNDONE)) == 1
    clean(report)


async def test_a_start_does_not_end_the_pause(fast_clock: PatientClock) -> None:
    """A program that is killed and started again within the minute – whoever looks after it does so
    by itself – places nothing before that is over, and says why.
    """
    config = attrs.evolve(shell_config(), risk=attrs.evolve(LIMITS, undone_pause_s=120))
    async with started(config) as it:
        policy = it.venue.engine.clearing_policy
        policy.fail_ppm = 1_000_000
        for _ in range(3):
            await it.filled()
        await it.until(lambda: UNDONE in it.bot.ctx.health.troubles, "the third has failed", 90)
        policy.fail_ppm = 0
        it.venue.crowd.hushed = True
        stopped_ms, dead = it.venue.clock.now_ms(), len(it.venue.seen)
        async with killed(it) as again:
            await again.until(lambda: again.bot.ready, "venue and journal agree")
            assert again.gate is not None
            assert again.gate.startswith(f"{UNDONE}: 3 of the last ")
            assert again.gate.endswith(" trades failed, before this start")
            await again.requoting(180)
            began_ms = again.venue.placed(after=dead)[0].at_ms
            report = await again.end()

    assert 110_000 <= began_ms - stopped_ms <= 160_000
    clean(report)
