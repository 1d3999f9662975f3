"""A venue whose balances follow the chain only where it is told to look (clob.md 5.1, F34)."""

from __future__ import annotations

import pytest
import trio
from shell_kit import clean, playing, scene
from test_shell_inventory import merged_there, merging
from test_shell_inventory_ways import AT_ONCE
from venue_bent import answer

from polybot.domain.units import USD
from polybot.exchange.terms import Terms
from polybot.execution.reconcile import STALE_MS
from polybot.patient_clock import PatientClock

UPDATE = "/balance-allowance/update"
BLIND = Terms(balances_follow_chain=False)


@pytest.mark.parametrize("lost", [0, 3])
async def test_a_merge_is_seen_although_word_of_it_got_lost(
    lost: int, fast_clock: PatientClock
) -> None:
    """After a merge the venue is told to look for all three balances, until it has; what it was
    not told of was a drift for good.
    """
    async with playing(config=AT_ONCE, terms=BLIND) as it:
        losing = it.venue.bend("GET", UPDATE, act=answer(503), times=lost)
        condition = await merging(it, 5)
        it.venue.crowd.hushed = True
        await it.until(lambda: merged_there(it, condition), "the merge", 200)
        await it.until(lambda: losing.met == lost, "they are lost", 20)
        await it.until(lambda: len(it.venue.asked("GET", UPDATE)) >= lost + 3, "it looks", 10)
        await trio.sleep(STALE_MS / 1000 + 10)  # longer than an old figure is forgiven
        assert not it.bot.ctx.health.halted
        summary = await it.end()
    clean(summary)


async def test_a_first_start_counts_the_cash_of_the_chain(fast_clock: PatientClock) -> None:
    """A deposit that the venue has not looked for would come to light later, as a surplus."""
    async with scene(terms=BLIND) as it, trio.open_nursery() as nursery:
        engine, wallet = it.venue.engine, it.venue.account
        before = engine.settled_cash(wallet)
        engine.deposit(wallet, 500 * USD, it.venue.clock.now_ms())
        nursery.start_soon(it.run)
        await it.quoting()
        assert it.bot.ctx.account.ledger.cash == before + 500 * USD
        clean(await it.end())
