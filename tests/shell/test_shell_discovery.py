from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any

import pytest
import trio
from shell_kit import HOUR_MS, SERIES, Scene, clean, playing, scene
from venue_bent import HTML, PLACING, Act, Handler, answer, changed

from polybot.exchange.request import Request, Response
from polybot.exchange.terms import Terms
from polybot.patient_clock import PatientClock
from polybot.pricing.fair import NoFair, WhyNoFair
from polybot.pricing.strikes import Trust

SLUG = f"btc-updown-5m-{HOUR_MS // 1000}"
PATH = f"/markets/slug/{SLUG}"


def wrong_rule(row: Any) -> None:
    row["resolutionSource"] = "https://example.com/prices"


def other_average(row: Any) -> None:
    row["cryptoMarketConfig"]["twapLookbackSeconds"] = 30


def swapped_tokens(row: Any) -> None:
    row["outcomes"] = '["Down", "Up"]'


def shuffled_arrays(row: Any) -> None:
    for key in ("outcomes", "clobTokenIds", "outcomePrices"):
        row[key] = "[" + ", ".join(reversed(row[key].strip("[]").split(", "))) + "]"


def wrong_start(row: Any) -> None:
    row["eventStartTime"] = "2026-11-20T19:05:00Z"
    row["endDate"] = "2026-11-20T19:10:00Z"


def empty_tokens(row: Any) -> None:
    row["clobTokenIds"] = "[]"


def other_fees(row: Any) -> None:
    row["feeSchedule"]["rate"] = 0.25


def other_slug(row: Any) -> None:
    row["slug"] = "btc-updown-5m-1"


def closed_book(row: Any) -> None:
    row["ao"] = False


def no_strike(row: Any) -> None:
    for event in row["events"]:
        event.pop("eventMetadata", None)


def posted(it: Scene) -> bool:
    return bool(it.venue.asked("POST", *PLACING))


BENT: dict[str, tuple[Callable[[Any], None], str]] = {
    "another source": (wrong_rule, "rule"),
    "another average": (other_average, "rule"),
    "tokens swapped": (swapped_tokens, "disagree about its tokens"),
    "other fees": (other_fees, "disagree about its fees"),
    "another window": (wrong_start, "starts at"),
    "no tokens": (empty_tokens, "two token ids"),
    "another market": (other_slug, "asked for"),
}


@pytest.mark.parametrize("how", BENT)
async def test_a_window_that_does_not_check_out(how: str, fast_clock: PatientClock) -> None:
    """A window whose description is not what its name promises is skipped with a reason, and
    nothing is ever sent for it (F52–F55).
    """
    change, words = BENT[how]
    async with scene() as it, trio.open_nursery() as nursery:
        it.venue.bend("GET", PATH, act=changed(change), service="gamma")
        nursery.start_soon(it.run)
        skipped = it.bot.discovery.skipped
        await it.until(lambda: SLUG in skipped, "a reason")
        assert words in skipped[SLUG]
        await it.until(lambda: it.venue.clock.now_ms() > HOUR_MS + 10_000, "the window is open")
        assert not posted(it)
        assert [event for event in it.bot.ctx.events if SLUG in event.text]
        report = await it.end()

    assert it.code == 0
    clean(report)


def put_off(row: Any) -> None:
    for key in ("eventStartTime", "endDate"):
        later = dt.datetime.fromisoformat(row[key]) + dt.timedelta(seconds=90)
        row[key] = later.isoformat()


def made_longer(row: Any) -> None:
    row["endDate"] = row["endDate"].replace(":05:00", ":06:00")


def fees_of_makers(row: Any) -> None:
    row["feeSchedule"]["takerOnly"] = False


async def test_a_window_that_no_calendar_has(fast_clock: PatientClock) -> None:
    """A window that was put off by a minute and a half, or whose makers are to pay, was quoted on:
    what cannot be read lacked something, and only what could be was compared (F54, F56).
    """
    async with scene() as it:
        discovery, board = it.bot.discovery, it.bot.ctx.board
        for change in (None, put_off, None, made_longer, None, fees_of_makers):
            it.venue.bends.clear()
            if change is not None:
                it.venue.bend("GET", PATH, act=changed(change), service="gamma")
            await discovery._look(SERIES, HOUR_MS)
            found = board.fair(discovery.markets[SERIES, HOUR_MS], it.venue.clock.now_ms())
            assert isinstance(found, NoFair)
            assert (found.why is WhyNoFair.TERMS_CHANGED) is (change is not None)


def stops_accepting(row: Any) -> None:
    row["acceptingOrders"] = False


def inactive(row: Any) -> None:
    row["active"] = False


CHANGES = {
    "source": wrong_rule,
    "average": other_average,
    "fees": other_fees,
    "tokens": swapped_tokens,
    "accepting": stops_accepting,
    "active": inactive,
}


@pytest.mark.parametrize("how", CHANGES)
async def test_terms_that_change_under_way(how: str, fast_clock: PatientClock) -> None:
    """Seed 674: Gamma told another averaging window of a market that was quoted, and with it the
    strike put right, which was booked as that of another market. Nothing is quoted until it tells
    the terms of before (F51, F53 to F56); then its strike counts again.
    """
    async with playing(at_ms=HOUR_MS + 5_000) as it:
        path = f"/markets/slug/{it.market.slug}"
        bend = it.venue.bend("GET", path, act=changed(CHANGES[how]), service="gamma")
        await it.withdrawn()
        reasons = it.bot.supervisor.scopes[it.market.slug].quote.quoter.decision.reasons
        assert [reason.why for reason in reasons] == [WhyNoFair.TERMS_CHANGED]
        assert [event.text for event in it.bot.ctx.events if "told otherwise" in event.text]
        it.venue.bends.remove(bend)
        await it.quoting()
        clean(await it.end())


async def test_a_window_that_takes_no_orders_in_its_last_seconds(
    fast_clock: PatientClock,
) -> None:
    """Venues stop taking orders around a window's end: the next window is quoted as ever, and the
    one before settles and is redeemed (F51).
    """
    async with playing(at_ms=HOUR_MS + 215_000) as it:
        await it.filled()
        ending = it.market
        path, key = f"/markets/slug/{ending.slug}", ending.condition_id
        await it.until(lambda: it.venue.clock.now_ms() > ending.end_ms - 40_000, "its end", 120)
        bend = it.venue.bend("GET", path, act=changed(stops_accepting), service="gamma")
        await it.until(lambda: it.venue.clock.now_ms() > ending.end_ms, "it ends", 60)
        assert bend.met
        assert not [order for order in it.venue.live if order.market is ending]
        await it.quoting()
        await it.idle()
        books = it.bot.ctx.account.ledger.books
        await it.until(lambda: key not in books or not books[key].holdings().cost, "paid", 300)
        report = await it.end()

    clean(report)


def no_fees(row: Any) -> None:
    del row["feeSchedule"]


async def test_a_strike_counts_whatever_else_is_missing(fast_clock: PatientClock) -> None:
    """Seed 692: the price to beat was put right in a description without fees, of which nothing was
    read; for as long as the fees were missing the wrong strike was quoted against.
    """
    async with playing(at_ms=HOUR_MS + 5_000) as it:
        path, slug = f"/markets/slug/{it.market.slug}", it.market.slug
        bend = it.venue.bend("GET", path, act=changed(no_fees), service="gamma")

        def struck() -> bool:
            strike = it.bot.supervisor.scopes[slug].quote.quoter.strike
            return strike is not None and strike.trust is Trust.OFFICIAL

        await it.until(struck, "the official strike", 120)
        assert bend.met
        assert slug not in it.bot.discovery.skipped
        clean(await it.end())


async def test_the_book_takes_no_orders(fast_clock: PatientClock) -> None:
    """A market whose book is not open is waited for, not guessed at (F51)."""
    async with scene() as it, trio.open_nursery() as nursery:
        bend = it.venue.bend("GET", "/clob-markets", act=changed(closed_book))
        nursery.start_soon(it.run)
        await it.until(
            lambda: "not accepting" in it.bot.discovery.skipped.get(SLUG, ""), "a reason"
        )
        assert not posted(it)
        it.venue.bends.remove(bend)
        await it.quoting()
        assert SLUG not in it.bot.discovery.skipped
        clean(await it.end())


async def test_arrays_in_another_order(fast_clock: PatientClock) -> None:
    """Outcomes and tokens in another order, but belonging together, are the same market (F53)."""
    async with scene() as it, trio.open_nursery() as nursery:
        it.venue.bend("GET", PATH, act=changed(shuffled_arrays), service="gamma")
        nursery.start_soon(it.run)
        await it.quoting()
        market = it.bot.supervisor.scopes[SLUG].market
        assert (market.up_token, market.down_token) == it.market.tokens
        clean(await it.end())


async def late_answer(request: Request, handle: Handler) -> Response:
    await trio.sleep(20)
    return await handle(request)


@pytest.mark.parametrize(
    "act",
    [answer(404), answer(200, HTML), late_answer],
    ids=["404", "HTML", "slow"],
)
async def test_gamma_is_late(act: Act, fast_clock: PatientClock) -> None:
    """A window that Gamma cannot describe yet is asked for again, and traded when it is there."""
    async with scene() as it, trio.open_nursery() as nursery:
        bend = it.venue.bend("GET", PATH, act=act, service="gamma")
        nursery.start_soon(it.run)
        await it.until(lambda: it.venue.clock.now_ms() > HOUR_MS + 5_000, "the window is open")
        assert bend.met
        assert not posted(it)
        it.venue.bends.remove(bend)
        await it.quoting()
        clean(await it.end())


async def test_no_price_to_beat(fast_clock: PatientClock) -> None:
    """Who comes in the middle of a window waits for its price to beat; nothing is quoted on a
    guess (F57).
    """
    at_ms = HOUR_MS + 170_000
    async with scene(at_ms=at_ms) as it, trio.open_nursery() as nursery:
        bend = it.venue.bend("GET", PATH, act=changed(no_strike), service="gamma")
        nursery.start_soon(it.run)
        await it.until(lambda: it.venue.clock.now_ms() > at_ms + 15_000, "some time")
        assert SLUG in it.bot.supervisor.scopes
        assert not posted(it)
        it.venue.bends.remove(bend)
        await it.quoting()
        clean(await it.end())


async def test_gamma_away_while_trading(fast_clock: PatientClock) -> None:
    """A window under way needs Gamma no more."""
    async with playing() as it:
        it.venue.bend("GET", "/markets", act=answer(503), service="gamma")
        await trio.sleep(15)
        await it.requoting()
        clean(await it.end())


def short_id(row: Any) -> None:
    """31 bytes, in capitals but for the x."""
    row["conditionId"] = "0x" + row["conditionId"][2:64].upper()


async def test_a_v2_market_is_traded_under_the_id_of_its_books(fast_clock: PatientClock) -> None:
    """Gamma writes a byte less than the CLOB does: its books are believed all the same, its fills
    are booked, and it is emptied by its name (clob.md 3.2).
    """
    async with scene(terms=Terms(protocol="v2")) as it, trio.open_nursery() as nursery:
        it.venue.bend("GET", "/markets", act=changed(short_id), service="gamma")
        nursery.start_soon(it.run)
        await it.quoting()
        await it.filled()
        books = it.bot.ctx.account.ledger.books
        await it.until(lambda: books[it.market.condition_id].trades, "the fill is booked")
        clean(await it.end())
