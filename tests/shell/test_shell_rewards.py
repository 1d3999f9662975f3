"""Liquidity rewards in the whole bot: a pool is read, quoted for, and asked about (clob.md 6.3)."""

from __future__ import annotations

from typing import Any

import attrs
import orjson
import pytest
import trio
from shell_kit import HOUR_MS, Scene, clean, playing, scene, shell_config
from venue_bent import Handler, answer, changed

from polybot.domain.units import SHARE
from polybot.exchange import rewards as exchange_rewards
from polybot.exchange.request import Request, Response
from polybot.exchange.terms import Terms
from polybot.market_scope import MarketScope
from polybot.patient_clock import PatientClock
from polybot.quoting.params import RewardParams
from polybot.quoting.reasons import NoReward

DAY_MS = 86_400_000
MIDNIGHT_MS = HOUR_MS // DAY_MS * DAY_MS + DAY_MS
DAYS = ("2026-11-20", "2026-11-21")  # before that midnight and after
LEAST = 20  # shares; more than the usual ten
POOL = Terms(
    rewards_daily_pool=1_000_000 * SHARE,
    rewards_min_size=LEAST,
    rewards_max_spread=2000,
    rewards_min_age_s=1,
)
OFTEN = attrs.evolve(shell_config(kappa=0.1), rewards=RewardParams(check_s=5.0))
SELDOM = attrs.evolve(OFTEN, rewards=RewardParams(check_s=600.0))


def under_way(it: Scene) -> MarketScope:
    return next(s for s in it.bot.supervisor.scopes.values() if s.market.slug == it.market.slug)


def large(it: Scene) -> set[str]:
    """The tokens on which an order of the pool's least size rests."""
    return {order.token for order in it.venue.live if order.size >= LEAST * SHARE}


async def test_a_pool_is_quoted_for_and_its_orders_are_asked_about(
    fast_clock: PatientClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both sides rest with the pool's least size, the venue says that they score, it is told, and
    the venue's own samples find us: a dozen a minute, for in a few minutes one a minute might not.
    """
    monkeypatch.setattr(exchange_rewards, "MINUTE_MS", 5_000)
    async with playing(at_ms=HOUR_MS + 5_000, config=OFTEN, terms=POOL) as it:
        scope = under_way(it)
        pool = scope.market.rewards
        assert pool is not None
        assert (pool.per_day, pool.min_size) == (1_000_000 * SHARE, LEAST * SHARE)
        assert [event.text for event in it.bot.ctx.events if "a pool of 1000000" in event.text]
        await it.until(lambda: len(large(it)) == 2, "bids of the least size on both sides", 120)
        watch = scope.scoring
        assert watch is not None
        await it.until(lambda: watch.scored, "the venue says that an order scores", 120)
        await it.until(lambda: scope.snapshot().rewards, "and the screen that we quote for it", 120)
        rewards, wallet = it.venue.clob.rewards, it.venue.demo_wallets.deposit
        latest = it.market.condition_id
        await it.until(lambda: wallet in rewards.latest(latest), "sampled among the makers", 150)
        clean(await it.end())


async def test_an_order_that_does_not_score_is_a_reason(fast_clock: PatientClock) -> None:
    """The venue's no is shown with its side, counts against what a pool is expected to bring, and a
    question without an answer changes nothing.
    """
    async with playing(at_ms=HOUR_MS + 5_000, config=OFTEN, terms=POOL) as it:
        scope = under_way(it)
        watch = scope.scoring
        assert watch is not None
        it.venue.bend("POST", "/orders-scoring", act=answer(500))
        await it.until(lambda: watch.failed, "a question that was not answered", 120)
        assert (watch.asked, watch.unscored) == (0, ())

        it.venue.bend("POST", "/orders-scoring", act=answer(200, b"{}"))
        await it.until(lambda: watch.unscored, "an order that does not score", 150)
        assert watch.share < 1

        def told() -> bool:
            reasons = scope.quote.quoter.decision.reasons
            return any(r.why is NoReward.NOT_SCORING and r.outcome is not None for r in reasons)

        await it.until(told, "the reason is shown", 120)
        clean(await it.end())


async def test_a_withdrawn_order_is_none_that_does_not_score(fast_clock: PatientClock) -> None:
    """One that goes while it is asked about is not known to the venue any more, which says no: that
    counted against the pool, the more the oftener it was quoted anew.
    """
    async with playing(at_ms=HOUR_MS + 5_000, config=SELDOM, terms=POOL) as it:
        watch, ctx = under_way(it).scoring, it.bot.ctx
        assert watch is not None
        await it.until(lambda: len(large(it)) == 2, "bids of the least size on both sides", 120)
        await (
            it.answered()
        )  # the venue shows them before we have its word, and those are asked about

        async def too_late(request: Request, handle: Handler) -> Response:
            ctx.health.bad("test", "all is withdrawn")
            await it.until(lambda: not watch.desk.table.open(), "nothing rests", 30)
            return await handle(request)

        bend = it.venue.bend("POST", "/orders-scoring", act=too_late)
        await watch.ask()
        assert len(orjson.loads(bend.bodies[0])) == 2
        assert (watch.asked, watch.unscored, watch.failed) == (0, (), 0)
        ctx.health.good("test")
        clean(await it.end())


async def test_without_a_pool_nobody_asks(fast_clock: PatientClock) -> None:
    """The terms of rewards stand in every market's metadata; without a pool they mean nothing."""
    async with playing(at_ms=HOUR_MS + 5_000) as it:
        scope = under_way(it)
        assert scope.market.rewards is None
        assert scope.scoring is None
        clean(await it.end())


@pytest.mark.parametrize("paid", [0, 1], ids=["until midnight", "from midnight on"])
async def test_a_window_of_tomorrow_has_tomorrows_pool(paid: int, fast_clock: PatientClock) -> None:
    """A window is read of before it begins, one of four hours as long before: the pool of that day
    was taken for its own, quoted for when it had ended, and none that began after midnight.
    """

    def of_one_day(page: Any) -> None:
        for row in page["data"]:
            for one in row["rewards_config"]:
                one["start_date"] = one["end_date"] = DAYS[paid]

    async with scene(at_ms=MIDNIGHT_MS - 240_000, config=OFTEN, terms=POOL) as it:
        it.venue.bend("GET", "/rewards/markets", act=changed(of_one_day))
        found = it.bot.discovery.markets
        async with trio.open_nursery() as nursery:
            nursery.start_soon(it.run)
            await it.until(lambda: len(found) == 2, "the window under way and the next", 60)
            assert [
                found[key].rewards is not None for key in sorted(found, key=lambda key: key[1])
            ] == [paid == 0, paid == 1]
            clean(await it.end())
