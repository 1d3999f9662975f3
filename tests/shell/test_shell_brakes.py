"""A market's brakes and pauses, where a stumble ends its scope and another begins soon after."""

from __future__ import annotations

from shell_kit import Scene, playing

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
        await stumbled(it)
        another = it.bot.supervisor.scopes[it.market.slug].orders.desk.firewall.brakes
        assert another.holds(UP, clock.now_ms()) == "too many fills on one side"


async def test_an_engine_that_has_restarted_is_known_to_the_next_scope(
    fast_clock: PatientClock,
) -> None:
    """It breaks the streams as well, which ends scopes: the next one knew of no restart, and asked
    for completions in the two minutes in which the venue takes resting orders only (F39).
    """
    async with playing() as it:
        clock = it.bot.ctx.clock
        it.bot.supervisor.scopes[it.market.slug].orders.desk.pauses.engine_left(clock.now_ms())
        await stumbled(it)
        another = it.bot.supervisor.scopes[it.market.slug].orders.desk.pauses
        assert another.post_only(clock.now_ms())


async def stumbled(it: Scene) -> None:
    """The market's scope has ended by a trouble, and another runs."""
    it.bot.ctx.health.bad("a test", "trouble")
    await it.until(lambda: it.market.slug not in it.bot.supervisor.scopes, "the scope ends", 10)
    it.bot.ctx.health.good("a test")
    await it.until(lambda: it.market.slug in it.bot.supervisor.scopes, "another begins", 10)
