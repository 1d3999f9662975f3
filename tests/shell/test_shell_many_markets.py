"""Several markets on one wallet: what befalls one of them is not the others' fate."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs
import orjson
import trio
from shell_kit import HOUR_MS, Scene, scene, shell_config
from venue_bent import changed, silence

from polybot.config import BotParams, Config
from polybot.discovery import AHEAD
from polybot.domain.market_books import MarketBooks
from polybot.exchange.model import Market
from polybot.inventory import RESULTS_S
from polybot.patient_clock import PatientClock
from polybot.pricing.fair import Fair, NoFair, WhyNoFair
from polybot.results import RESULT_POLL_S
from polybot.venue import slugs

SERIES = SHORT, LONG = "btc-5m", "btc-15m"
SLUGS = {series: f"btc-updown-{series[4:]}-{HOUR_MS // 1000}" for series in SERIES}


def both() -> Config:
    return attrs.evolve(shell_config(), bot=BotParams(series=SERIES))


async def look(it: Scene, *series: str) -> None:
    for one in series:
        await it.bot.discovery._look(one, HOUR_MS)


def as_of(twin: Market) -> Callable[[Any], None]:
    """A description with the ids of another market."""

    def change(row: Any) -> None:
        row["conditionId"] = twin.condition_id
        row["clobTokenIds"] = orjson.dumps(list(twin.tokens)).decode()

    return change


def with_a_token_of(twin: Market) -> Callable[[Any], None]:
    def change(row: Any) -> None:
        row["clobTokenIds"] = orjson.dumps([twin.tokens[0], "1"]).decode()

    return change


def fair(it: Scene, series: str) -> Fair | NoFair:
    market = it.bot.discovery.markets[series, HOUR_MS]
    return it.bot.ctx.board.fair(market, it.venue.clock.now_ms())


async def test_two_windows_with_one_id(fast_clock: PatientClock) -> None:
    """Gamma told the ids of the five minutes for the quarter of an hour as well, and the CLOB had
    nothing against it: one book was quoted by two windows at two prices, and the first scope to end
    ended the program. Neither is quoted until one of them is told otherwise (F53).
    """
    async with scene(config=both()) as it:
        await look(it, SHORT)
        twin, path = it.venue.lifecycle.by_slug[SLUGS[SHORT]], f"/markets/slug/{SLUGS[LONG]}"
        for change in (as_of, with_a_token_of):
            bend = it.venue.bend("GET", path, act=changed(change(twin)), service="gamma")
            await look(it, LONG)
            assert (LONG, HOUR_MS) not in it.bot.discovery.markets
            for _ in range(2):  # what is told of the first by itself is no answer
                found = fair(it, SHORT)
                assert isinstance(found, NoFair)
                assert found.why is WhyNoFair.TERMS_CHANGED
                await look(it, SHORT)
            it.venue.bends.remove(bend)

        await look(it, LONG, SHORT)
        assert (LONG, HOUR_MS) in it.bot.discovery.markets
        assert WhyNoFair.TERMS_CHANGED not in {getattr(fair(it, one), "why", 0) for one in SERIES}


async def test_a_new_window_with_the_ids_of_one_that_we_hold(fast_clock: PatientClock) -> None:
    """Likewise where the other is over and only in our books."""
    async with scene(config=both()) as it:
        await look(it, SHORT)
        held = it.bot.discovery.markets.pop((SHORT, HOUR_MS))
        it.bot.discovery._forget(held.end_ms)
        over = MarketBooks(attrs.evolve(held, slug="btc-updown-5m-0"))
        it.bot.ctx.account.ledger.books[held.condition_id] = over
        await look(it, SHORT)
        assert "btc-updown-5m-0 has ids of it" in it.bot.discovery.skipped[held.slug]


async def test_a_series_that_gamma_does_not_answer_for(fast_clock: PatientClock) -> None:
    """The other's window was found ten seconds later, and all that is told of it read as late."""
    async with scene(config=both()) as it, trio.open_nursery() as nursery:
        windows = slugs.windows_from(LONG, it.venue.clock.now_ms(), AHEAD)
        paths = [f"/markets/slug/{slugs.slug(LONG, window.start_ms)}" for window in windows]
        bend = it.venue.bend("GET", *paths, act=silence, service="gamma")
        it.bot.discovery.series = (LONG, SHORT)
        nursery.start_soon(it.bot.discovery.run)
        with trio.fail_after(2):
            await it.bot.discovery.wait(SHORT, HOUR_MS)
        assert bend.met
        nursery.cancel_scope.cancel()


async def test_windows_whose_results_nobody_tells(fast_clock: PatientClock) -> None:
    """Gamma answered for neither, and the round that merges for all others took ten seconds, with
    three dozen of them three minutes. Each is asked about in its turn.
    """
    async with scene() as it:
        it.venue.crowd.hushed = True
        await look(it, SHORT)
        inventory, window = it.bot.inventory, it.bot.discovery.markets[SHORT, HOUR_MS]
        for n in range(2):
            key, ended_ms = f"0x{n:064x}", HOUR_MS - 60_000
            over = attrs.evolve(window, slug=f"over-{n}", condition_id=key, end_ms=ended_ms)
            it.bot.ctx.account.ledger.books[over.condition_id] = MarketBooks(over)
            inventory.watch(over)
        bend = it.venue.bend("GET", "/markets", act=silence, service="gamma")
        await trio.sleep(RESULT_POLL_S)
        for round_ in range(2):
            began = trio.current_time()
            await inventory.round()
            assert trio.current_time() - began < RESULTS_S + 2
            assert bend.met == round_ + 1
        asked = {seen.path for seen in it.venue.asked("GET", "/markets")[-2:]}
        assert asked == {f"/markets/slug/over-{n}" for n in range(2)}
