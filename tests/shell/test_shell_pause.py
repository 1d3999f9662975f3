"""How long a market is not quoted after one fault, where there were others long before."""

from __future__ import annotations

import trio
from shell_kit import playing, shell_config

from polybot.patient_clock import PatientClock
from polybot.supervisor import SETTLED_S

FAULTS = 6


async def test_faults_of_long_ago_cost_a_later_one_nothing(fast_clock: PatientClock) -> None:
    """An hour, or a day, has many short troubles, each of them soon over: the pause before the next
    scope grows for a scope that fails again and again, not for one that has lived for a while.
    """
    async with playing(config=shell_config("btc-1h")) as it:
        took = []
        for _ in range(FAULTS):
            await trio.sleep(1.5 * SETTLED_S)
            it.bot.ctx.health.bad("a test", "trouble")
            await it.until(lambda: not it.bot.supervisor.scopes, "the scope ends", 10)
            it.bot.ctx.health.good("a test")
            began = trio.current_time()
            await it.until(lambda: it.bot.supervisor.scopes, "another begins", 60)
            took.append(round(trio.current_time() - began, 1))
    assert took[-1] <= took[0] + 2, took
