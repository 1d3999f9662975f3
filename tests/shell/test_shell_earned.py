"""What signals have earned outlives the bot: through the journal, and a kill (strategy.md 11)."""

from __future__ import annotations

import attrs
from shell_kit import OWNER, Scene, playing, put_together, shell_config

from polybot.app import Bot
from polybot.domain.earned import Earned
from polybot.journal.store import Store
from polybot.patient_clock import PatientClock
from polybot.signal.params import SignalParams

CONFIG = attrs.evolve(shell_config(), signals=SignalParams(acting=("flow",)))


def earn(it: Scene) -> None:
    """Forty calls that gained a cent, give or take a half."""
    for number in range(40):
        gain = 0.01 + 0.005 * (-1) ** number
        it.bot.ctx.signals.evidence.judged("flow", hit=True, gain=gain)


def heir(it: Scene) -> tuple[Bot, list[Earned]]:
    """A bot on the journal as it lies, and what this has of it."""
    it.bot.ctx.account.journal.store.close()
    store = Store.open(it.journal, OWNER)
    kept = [one.entry for one in store.live() if isinstance(one.entry, Earned)]
    bot = put_together(it.venue, it.urls, it.http, CONFIG, None, store)
    store.close()
    return bot, kept


async def test_an_orderly_end_keeps_it(fast_clock: PatientClock) -> None:
    """The next run begins where this one was: one entry, however often it was told."""
    async with playing(config=CONFIG) as it:
        assert [one.name for one in it.bot.ctx.signals.evidence.unproven] == ["flow"]
        it.bot.ctx.keep_earned()
        earn(it)
        it.bot.ctx.keep_earned()
        earn(it)
        await it.end()
        bot, kept = heir(it)

    assert len(kept) == 1
    assert bot.ctx.signals.evidence.unproven == ()
    assert bot.ctx.signals.evidence.news() is None


async def test_a_settled_market_keeps_it(fast_clock: PatientClock) -> None:
    """It is written when a market's result is known: what a death loses is what came after."""
    async with playing(config=CONFIG) as it:
        earn(it)
        it.bot.ctx.settled(it.market.condition_id, 1_000_000)
        await it.bot.ctx.account.journal.flush()
        store = it.bot.ctx.account.journal.store
        kept = [one.entry for one in store.live() if isinstance(one.entry, Earned)]
        await it.end()

    assert [worth.name for worth in kept[0].signals] == ["flow"]
