"""What is held over a limit on losses is paired down to it, through the whole bot (strategy.md 14).

No order of ours leads there: a start with a tighter limit does, on what a run with a wider one has
left. Rejected: to bend the limit of a running bot, which no operator can.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import attrs
import trio
from shell_kit import OWNER, Scene, clean, playing, put_together, shell_config
from test_shell_completion import takes
from test_shell_losses import buy_up

from polybot.config import Config
from polybot.domain.market_books import Holdings
from polybot.domain.units import SHARE, USD
from polybot.exchange.model import BUY, SELL
from polybot.journal.store import Store
from polybot.patient_clock import PatientClock
from polybot.quoter import Quoter
from polybot.risk.checks import Limit, Over

LIMIT = 20 * USD  # a percent of what the wallet has


def config(*, percent: int = 12, relieve: bool = True) -> Config:
    """Merges wait, so that the pairs can be counted; the market's word on the price counts most,
    so that offers near it are near the fair one.
    """
    made = shell_config(model_weight_max=0.2)
    return attrs.evolve(
        made,
        risk=attrs.evolve(made.risk, max_market_loss_percent=percent),
        inventory=attrs.evolve(made.inventory, merge_shares=100_000),
        completion=attrs.evolve(made.completion, relieve=relieve),
    )


def quoter_of(it: Scene) -> Quoter:
    return it.bot.supervisor.scopes[it.market.slug].quote.quoter


def held(it: Scene) -> Holdings:
    return it.bot.ctx.account.ledger.books[it.market.condition_id].holdings()


def over(it: Scene) -> Over | None:
    inputs = quoter_of(it).inputs
    return None if inputs is None else inputs.over


async def offer_near_fair(it: Scene) -> None:
    """Nobody is left but one who rests a cent around the fair price with as much as is wanted."""
    it.venue.crowd.hushed = True
    await it.until(lambda: quoter_of(it).decision.fair, "a fair price")
    fair, now_ms = quoter_of(it).decision.fair or 0.5, it.venue.clock.now_ms()
    engine, hand = it.venue.engine, it.venue.taker
    for owner in set(engine.desk.resting.live) - {it.venue.wallet.api_key}:
        engine.cancel_where(owner, now_ms, condition_id=it.market.condition_id)
    for side, price in ((BUY, fair - 0.01), (SELL, fair + 0.01)):
        on_grid = round(price * 100) * 100
        assert hand.rest(it.market, side, on_grid, 300 * SHARE, now_ms, post_only=False)


@asynccontextmanager
async def heir_of(it: Scene, config: Config) -> AsyncGenerator[Scene]:
    """The bot is stopped, long on one side, and started again with other settings."""
    await buy_up(it)
    await it.end()
    it.bot.ctx.account.journal.store.close()
    store = Store.open(it.journal, OWNER)
    bot = put_together(it.venue, it.urls, it.http, config, None, store)
    again = attrs.evolve(it, bot=bot, code=None, summary=None, ended=trio.Event())
    async with trio.open_nursery() as nursery:
        nursery.start_soon(again.run)
        await again.until(lambda: again.market.slug in bot.supervisor.scopes, "a scope")
        await offer_near_fair(again)
        yield again
    store.close()


async def test_what_is_over_a_limit_is_paired_down_to_it(fast_clock: PatientClock) -> None:
    """At once and at any time of the window, by orders that take of the missing side as much as
    the limit asks for: no more than that, and the position is never turned around.
    """
    async with playing(config=config()) as it, heir_of(it, config(percent=1)) as again:
        before = held(again).net
        assert before > 60 * SHARE
        await again.until(lambda: takes(again), "something is taken")
        await again.until(lambda: held(again).net < before, "its fill")
        await again.until(lambda: over(again) is None, "the limit holds")
        left = held(again)
        taken = takes(again)
        report = await again.end()

    assert 0 < left.net < before
    assert left.cost - left.down <= LIMIT, "what may be lost: all but the pairs"
    assert left.cost - left.down > LIMIT / 2, "and no more was given up for it than was asked"
    assert {row["orderType"] for row in taken} == {"FAK"}
    clean(report)


async def test_it_can_be_switched_off(fast_clock: PatientClock) -> None:
    """Then nothing is taken: the firewall refuses what adds, and the position is held."""
    async with (
        playing(config=config()) as it,
        heir_of(it, config(percent=1, relieve=False)) as again,
    ):
        before = held(again).net
        await again.until(lambda: over(again), "it is over the limit")
        found = over(again)
        await trio.sleep(10)
        assert takes(again) == []
        assert held(again).net >= before - 30 * SHARE, "bids that rest may pair it, as ever"
        report = await again.end()

    assert found is not None
    assert found.limit is Limit.MARKET_LOSS
    clean(report)
