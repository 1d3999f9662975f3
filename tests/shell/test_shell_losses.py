"""The loss limits on the wire: what is lost halts trading, and stays halted (strategy.md 14)."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import attrs
import trio
from shell_kit import OWNER, Scene, clean, playing, put_together, scene, shell_config

from polybot.domain.baseline import Baseline
from polybot.domain.halts import Halt
from polybot.domain.units import SHARE, USD
from polybot.exchange.model import UP
from polybot.exchange.synthetic import SyntheticSource
from polybot.journal.entries import Rearmed
from polybot.journal.recovery import recover
from polybot.journal.store import Store
from polybot.patient_clock import PatientClock
from polybot.risk.limits import RiskParams

SMALL = attrs.evolve(shell_config(), risk=RiskParams(max_daily_loss_percent=1))
NET = 70 * SHARE


def fall(it: Scene, part: float) -> None:
    """The price falls at once by a part of itself."""
    source = it.venue.crowd.world.source
    assert isinstance(source, SyntheticSource)
    source._paths["btc"].prices[-1] *= 1 - part


def halts(it: Scene) -> dict[str, str]:
    return it.bot.ctx.health.halted


async def buy_up(it: Scene) -> None:
    """Let only our bids on Up be hit, until we hold many more of them than of Down."""

    def held() -> bool:
        token = it.market.tokens[UP]
        for order in it.venue.live:
            if order.token == token:
                it.venue.hit(order)
        books = it.bot.ctx.account.ledger.books.get(it.market.condition_id)
        return books is not None and books.holdings().net >= NET

    await it.until(held, "many shares Up", 120)


@asynccontextmanager
async def another(it: Scene, store: Store) -> AsyncGenerator[Scene]:
    """The same venue and journal, started again."""
    bot = put_together(it.venue, it.urls, it.http, it.bot.ctx.config, None, store)
    again = attrs.evolve(it, bot=bot, code=None, summary=None, ended=trio.Event())
    async with trio.open_nursery() as nursery:
        nursery.start_soon(again.run)
        await again.until(lambda: bot.ready, "venue and journal agree")
        yield again
        await again.end()


async def test_a_loss_on_paper_halts_for_good(fast_clock: PatientClock) -> None:
    """Shares bought at half a dollar become worthless by a fall: that is the day's loss before it
    is realised. Nothing is quoted any more, also not after a restart; re-armed, the day is measured
    from what is left (S12).
    """
    async with playing(config=SMALL) as it:
        await buy_up(it)
        assert halts(it) == {}
        fall(it, 0.02)
        await it.until(lambda: halts(it), "it halts", 60)
        assert it.bot.ctx.account.day_loss >= 20 * USD, "and the limits on orders have shrunk"
        assert "lost today, from 20" in halts(it)[Halt.DAILY_LOSS.value]
        await it.withdrawn()
        report = await it.end()
        it.bot.ctx.account.journal.store.close()
        store = Store.open(it.journal, OWNER)
        async with another(it, store) as again:
            after = len(it.venue.seen)
            await trio.sleep(20)
            assert again.venue.placed(after=after) == []
            assert list(halts(again)) == [Halt.DAILY_LOSS.value]
        store.append([(it.venue.clock.now_ms(), Rearmed("operator"))])
        assert recover(store.live()).baseline is None
        async with another(it, store) as third:
            after = len(it.venue.seen)
            await third.until(lambda: third.venue.placed(after=after), "the next window", 400)
            assert halts(third) == {}
        store.close()

    assert any(name.startswith(Halt.DAILY_LOSS.value) for name in report.halts)
    clean(report)


async def test_a_loss_while_we_were_away_halts_before_the_first_quote(
    fast_clock: PatientClock,
) -> None:
    """The journal knows what the day began with: less than that at the start is a loss of today,
    and no order leaves (S12, G11).
    """
    async with scene(config=SMALL) as it:
        today = Baseline("2026-11-20", 2_100 * USD, 2_150 * USD, 2_000 * USD)
        store = it.bot.ctx.account.journal.store
        store.append([(it.venue.clock.now_ms(), today)])
        async with another(it, store) as again:
            assert "100 lost today, from 2100" in halts(again)[Halt.DAILY_LOSS.value]
            await trio.sleep(20)
            assert again.venue.placed() == []


async def test_the_baseline_is_in_the_journal_and_only_once(fast_clock: PatientClock) -> None:
    """A run writes where its day began; looks that change nothing write nothing."""
    async with playing() as it:
        store = it.bot.ctx.account.journal.store
        await trio.sleep(30)
        written = [one.entry for one in store.live() if isinstance(one.entry, Baseline)]
        await it.end()

    assert len(written) == 1
    assert written[0].capital == 2_000 * USD
    assert written[0].peak < 2_002 * USD
