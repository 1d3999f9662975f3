"""A market's brakes, where a stumble ends its scope and another begins a second later."""

from __future__ import annotations

from shell_kit import playing

from polybot.domain.market import UP
from polybot.patient_clock import PatientClock


async def test_brakes_outlast_their_scope(fast_clock: PatientClock) -> None:
    """After too many fills of one side within a minute it is left alone for a minute, whatever
    stumbles meanwhile: the next scope of the same market had heard of none of them.
    """
    async with playing() as it:
        scope = it.bot.supervisor.scopes[it.market.slug]
        brakes, clock = scope.orders.desk.firewall.brakes, it.bot.ctx.clock
        for _ in range(it.bot.ctx.config.risk.repeat_most):
            brakes.filled(UP, clock.now_ms())
        assert brakes.holds(UP, clock.now_ms()) == "too many fills on one side"
        it.bot.ctx.health.bad("a test", "trouble")
        await it.until(lambda: it.market.slug not in it.bot.supervisor.scopes, "the scope ends", 10)
        it.bot.ctx.health.good("a test")
        await it.until(lambda: it.market.slug in it.bot.supervisor.scopes, "another begins", 10)
        another = it.bot.supervisor.scopes[it.market.slug].orders.desk.firewall.brakes
        assert another.holds(UP, clock.now_ms()) == "too many fills on one side"
