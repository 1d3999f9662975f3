"""Gamma's objects and routes, against the shapes of real answers and the official SDK's models."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import httpx
import pytest
import trio
from polymarket.models.gamma.event import Event as SdkEvent
from polymarket.models.gamma.market import Market as SdkMarket

from polybot.clock import Clock
from polybot.exchange.calendar import SERIES, market_for
from polybot.exchange.engine import Engine
from polybot.exchange.gamma import GammaService
from polybot.exchange.gamma_figures import GammaFigures
from polybot.exchange.lifecycle import Lifecycle
from polybot.exchange.model import BUY, DOWN, SELL, UP, Kind, Market, Order, Phase
from polybot.exchange.net import serve
from polybot.exchange.oracle import Oracle
from polybot.exchange.resolution import Bend
from polybot.exchange.synthetic import SyntheticSource
from polybot.exchange.terms import Terms

START = 1_795_197_730_000  # 2026-11-20 18:02:10 UTC
HOUR_START = START - 130_000
SLUG = f"btc-updown-5m-{HOUR_START // 1000}"
HOUR_SLUG = "bitcoin-up-or-down-november-20-2026-1pm-et"
DATA = Path(__file__).resolve().parents[2].parent / "shared" / "data"

# Missing on part of the real markets, too, and stale where they are there (feeds.md 8.4).
VOLUMES = {
    "volume", "volumeNum", "volume24hr", "volume1wk", "volume1mo", "volume1yr", "volumeClob",
    "volume24hrClob", "volume1wkClob", "volume1moClob", "volume1yrClob",
}  # fmt: skip
LIQUIDITY = {"liquidity", "liquidityNum", "liquidityClob", "competitive"}
OPTIONAL = VOLUMES | LIQUIDITY | {
    "liquidityAmm", "oneHourPriceChange", "bestBid", "lastTradePrice",
}  # fmt: skip


class Gamma:
    """The service on a loopback port with a client, and the world behind it."""

    def __init__(self, terms: Terms = Terms()) -> None:
        self.engine = Engine(rng=random.Random(1))
        source = SyntheticSource(1, START, {"btc": 90_000.0})
        self.oracle = Oracle(source, ["btc"], START, random.Random(2))
        series = [SERIES["btc-5m"], SERIES["btc-1h"]]
        self.lifecycle = Lifecycle(self.engine, self.oracle, series, random.Random(3), START)
        clock = Clock.starting_at(START)
        self.service = GammaService(self.engine, self.lifecycle, clock, terms).service

    def to(self, now_ms: int) -> None:
        while (due := min(self.oracle.next_due_ms(), self.lifecycle.next_due_ms())) <= now_ms:
            self.oracle.advance(due)
            self.lifecycle.advance(due)

    def place(self, number: int, side: str, price: int, *, post_only: bool = True) -> None:
        market = self.lifecycle.by_slug[SLUG]
        order = Order(
            f"0x{number}", "key", "wallet", market, market.tokens[UP], side, price, 10_000_000,
            Kind.GTC, post_only=post_only,
        )  # fmt: skip
        self.engine.place(order, START, lambda _: None)


async def get(gamma: Gamma, path: str, status: int = 200) -> Any:
    """One request over a real socket."""
    async with trio.open_nursery() as nursery:
        port = await nursery.start(serve, gamma.service, 0)
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
            response = await client.get(path)
        nursery.cancel_scope.cancel()
    assert response.status_code == status, response.text
    return response.json()


def real(path: str) -> Any:
    file = DATA / path
    if not file.exists():
        pytest.skip("the recorded answers of ../shared/data are not here")
    return json.loads(file.read_text())


async def test_an_open_market_has_the_keys_and_types_of_a_real_one() -> None:
    """Every key of a real open market is there with the same JSON type."""
    sample = real("recordings/rest_samples_hugompt/gamma_market_updown.json")
    ours = await get(Gamma(), f"/markets/slug/{SLUG}")
    assert set(sample) - set(ours) <= OPTIONAL
    numbers = (int, float)
    for key in set(sample) & set(ours):
        same = numbers if type(sample[key]) in numbers else type(sample[key])
        assert isinstance(ours[key], same), key
    assert ours["feeSchedule"] == sample["feeSchedule"]


@pytest.mark.conforms("feeds-12.6-closed-time")
async def test_a_closed_market_has_the_keys_of_a_real_one() -> None:
    """After the resolution the closing keys are there, in their odd formats."""
    sample = real("wire/gamma_markets_btc_5m_closed_2026-07-24.json")[0]["market"]
    gamma = Gamma()
    gamma.to(HOUR_START + 300_000 + 163_000)
    ours = await get(gamma, f"/markets/slug/{SLUG}")
    assert set(sample) - set(ours) <= OPTIONAL
    assert len(ours["closedTime"]) == len(sample["closedTime"])


async def test_an_event_has_the_keys_of_a_real_one() -> None:
    """An event holds its market and series as the venue's does; tags and liquidity are left out."""
    sample = real("recordings/rest_samples_hugompt/gamma_event_crypto_updown.json")[0]
    ours = await get(Gamma(), f"/events/slug/{SLUG}")
    assert set(sample) - set(ours) <= {"tags"}
    assert set(sample["markets"][0]) - set(ours["markets"][0]) <= OPTIONAL
    optional = OPTIONAL | {"image", "icon", "updatedAt", "liquidity"}
    assert set(sample["series"][0]) - set(ours["series"][0]) <= optional


@pytest.mark.conforms("feeds-12.6-json-in-string")
async def test_strings_that_hold_arrays_and_rules_in_two_places() -> None:
    """Arrays are JSON inside strings; source, config and text name the same rule."""
    gamma = Gamma()
    five = await get(gamma, f"/markets/slug/{SLUG}")
    market = gamma.lifecycle.by_slug[SLUG]
    assert five["outcomes"] == '["Up", "Down"]'
    assert json.loads(five["clobTokenIds"]) == list(market.tokens)
    assert five["resolutionSource"] == "https://data.chain.link/streams/btc-usd-twap-60s-streams"
    assert five["resolutionSource"] in five["description"]
    assert five["cryptoMarketConfig"] == {
        "id": "btc-5m-twap-60", "asset": "btc", "duration": "5m",
        "twapEnabled": True, "twapLookbackSeconds": 60,
    }  # fmt: skip
    assert (five["eventStartTime"], five["endDate"]) == (
        "2026-11-20T18:00:00Z",
        "2026-11-20T18:05:00Z",
    )
    assert five["startDate"].startswith("2026-11-19T18:00:00")
    assert (five["version"], five["negRisk"], five["acceptingOrders"]) == ("v1", False, True)
    hour = await get(gamma, f"/markets/slug/{HOUR_SLUG}")
    assert hour["resolutionSource"] == "https://www.binance.com/en/trade/BTC_USDT"
    assert hour["resolutionSource"] in hour["description"]
    assert hour["cryptoMarketConfig"]["twapEnabled"] is False
    assert hour["customLiveness"] == 600


async def test_prices_follow_the_book() -> None:
    """Best prices, mid and liquidity come from the engine; an empty book shows even odds."""
    gamma = Gamma()
    empty = await get(gamma, f"/markets/slug/{SLUG}")
    assert empty["outcomePrices"] == '["0.5", "0.5"]'
    assert "bestBid" not in empty
    gamma.engine.accounts.deposit("wallet", 100_000_000)
    market = gamma.lifecycle.by_slug[SLUG]
    gamma.engine.split("wallet", market, 20_000_000, START)
    gamma.place(1, BUY, 5_000)
    gamma.place(2, SELL, 5_100)
    shown = await get(gamma, f"/markets/slug/{SLUG}")
    assert (shown["bestBid"], shown["bestAsk"], shown["spread"]) == (0.5, 0.51, 0.01)
    assert shown["outcomePrices"] == '["0.505", "0.495"]'
    assert shown["liquidityNum"] == pytest.approx(10 * 0.5 + 10 * 0.49)


def closed_market(number: int) -> Market:
    market = market_for(SERIES["btc-5m"], 300_000 * (5_000_000 + number), 1)
    market.phase, market.winner = Phase.RESOLVED, DOWN
    return market


@pytest.mark.conforms("feeds-12.6-gaps")
def test_closed_markets_lack_what_real_ones_lack() -> None:
    """Whole groups of fields, at the rates of the recorded day, the same at every look; none of it
    while a market is open, none when told not to (feeds.md 8.4).
    """
    engine = Engine(rng=random.Random(1))
    gappy, whole = GammaFigures(engine, gaps=True), GammaFigures(engine, gaps=False)
    markets = [closed_market(number) for number in range(2_000)]
    shown = [set(gappy.of(market)) for market in markets]
    without_volume = [fields for fields in shown if "volume" not in fields]
    without_liquidity = [fields for fields in shown if "liquidity" not in fields]

    assert shown == [set(gappy.of(market)) for market in markets]
    assert len(without_volume) / 2_000 == pytest.approx(44 / 292, abs=0.03)
    assert len(without_liquidity) / 2_000 == pytest.approx(72 / 156, abs=0.04)
    assert not any(fields & VOLUMES for fields in without_volume)
    assert not any(fields & LIQUIDITY for fields in without_liquidity)
    assert all(set(whole.of(market)) >= VOLUMES | LIQUIDITY for market in markets)


async def test_a_closed_market_keeps_its_last_touch_and_volume() -> None:
    """Nobody bids for a loser: the ask is its spread, and the bid is left out (feeds.md 8.4)."""
    gamma = Gamma(Terms(gamma_gaps=False))
    gamma.engine.accounts.deposit("wallet", 100_000_000)
    market = gamma.lifecycle.by_slug[SLUG]
    gamma.engine.split("wallet", market, 20_000_000, START)
    gamma.place(1, SELL, 5_000)
    gamma.place(2, BUY, 5_000, post_only=False)
    gamma.engine.advance(START + 10_000)
    gamma.place(3, SELL, 100)
    gamma.engine.resolve_market(market, DOWN, START + 400_000)
    shown = await get(gamma, f"/markets/slug/{SLUG}")

    assert (shown["bestAsk"], shown["spread"], shown["lastTradePrice"]) == (0.01, 0.01, 0.5)
    assert "bestBid" not in shown
    assert shown["volume"] == "5"
    assert {shown[name] for name in VOLUMES - {"volume"}} == {5}


@pytest.mark.conforms("feeds-12.6-strike-late")
async def test_prices_to_beat_and_results_appear_when_they_are_published() -> None:
    """priceToBeat after the window before resolved, finalPrice and closing with the result."""
    gamma = Gamma()
    slug = f"btc-updown-5m-{HOUR_START // 1000 + 300}"
    market = gamma.lifecycle.by_slug[slug]
    gamma.to(market.start_ms + 1000)
    early = await get(gamma, f"/events/slug/{slug}")
    assert early["eventMetadata"] == {}
    gamma.to(market.start_ms + 163_000)
    running = await get(gamma, f"/markets/slug/{slug}")
    assert running["events"][0]["eventMetadata"] == {"priceToBeat": market.strike}
    gamma.to(market.end_ms + 1000)
    ended = await get(gamma, f"/markets/slug/{slug}")
    assert (ended["acceptingOrders"], ended["closed"]) == (True, False)  # until the result
    assert "umaResolutionStatus" not in ended
    gamma.to(market.end_ms + 163_000)
    done = await get(gamma, f"/markets/slug/{slug}")
    assert done["closed"]
    assert done["umaResolutionStatus"] == "resolved"
    assert done["outcomePrices"] in {'["1", "0"]', '["0", "1"]'}
    assert done["events"][0]["eventMetadata"] == {
        "priceToBeat": market.strike,
        "finalPrice": market.final,
    }


@pytest.mark.conforms("feeds-12.6-resolution-hourly")
async def test_an_hour_is_proposed_with_both_prices_while_still_open() -> None:
    """Between proposal and resolution the hour shows both prices, market odds, and not closed."""
    gamma = Gamma()
    gamma.to(HOUR_START + 3_600_000 + 100_000)
    hour = await get(gamma, f"/markets/slug/{HOUR_SLUG}")
    assert (hour["umaResolutionStatus"], hour["closed"]) == ("proposed", False)
    assert set(hour["events"][0]["eventMetadata"]) == {"priceToBeat", "finalPrice"}
    assert hour["outcomePrices"] == '["0.5", "0.5"]'


async def test_a_market_is_found_hours_after_its_result() -> None:
    """A slug works for closed markets (feeds.md 8.3), and nothing has to be redeemed by a time
    (onchain.md 6.1): a bot that was away asks here for what it held, as the SDK's redeem does.
    """
    gamma = Gamma()
    gamma.to(HOUR_START + 300_000 + 163_000)
    before = await get(gamma, f"/markets/slug/{SLUG}")
    gamma.to(HOUR_START + 300_000 + 2 * 3_600_000)

    after = await get(gamma, f"/markets/slug/{SLUG}")
    assert after["outcomePrices"] == before["outcomePrices"]
    query = f"condition_ids={after['conditionId']}&closed=true"
    assert len((await get(gamma, f"/markets/keyset?{query}"))["markets"]) == 1


@pytest.mark.conforms("feeds-12.6-closed-hidden")
async def test_lists_hide_closed_markets_and_lookups_do_not() -> None:
    """`closed` defaults to false on every list (feeds.md 8.3)."""
    gamma = Gamma()
    condition = gamma.lifecycle.by_slug[SLUG].condition_id
    assert len(await get(gamma, f"/markets?slug={SLUG}")) == 1
    gamma.to(HOUR_START + 300_000 + 163_000)
    assert await get(gamma, f"/markets?slug={SLUG}") == []
    assert await get(gamma, f"/events?slug={SLUG}") == []
    hidden = await get(gamma, f"/markets/keyset?condition_ids={condition}")
    assert hidden == {"markets": []}
    shown = await get(gamma, f"/markets/keyset?condition_ids={condition}&closed=true")
    assert [m["slug"] for m in shown["markets"]] == [SLUG]
    assert (await get(gamma, f"/events/slug/{SLUG}"))["closed"]


async def test_a_list_filter_may_repeat_its_name_or_use_commas() -> None:
    """The official SDK repeats the name for each value; no value may be lost."""
    gamma = Gamma()
    slugs = [SLUG, HOUR_SLUG]
    for query in (f"slug={slugs[0]}&slug={slugs[1]}", f"slug={','.join(slugs)}"):
        assert {row["slug"] for row in await get(gamma, f"/markets?{query}")} == set(slugs)
    ids = "&".join(f"condition_ids={gamma.lifecycle.by_slug[s].condition_id}" for s in slugs)
    assert len(await get(gamma, f"/markets?{ids}")) == 2


@pytest.mark.conforms("feeds-12.6-keyset")
async def test_keyset_pages_cover_everything_once() -> None:
    """Following the cursor gives every open market exactly once; the last page has none."""
    gamma = Gamma()
    slugs: list[str] = []
    cursor = ""
    while True:
        page = await get(gamma, f"/events/keyset?limit=250&after_cursor={cursor}")
        assert len(page["events"]) <= 100
        slugs += [event["slug"] for event in page["events"]]
        if "next_cursor" not in page:
            break
        cursor = page["next_cursor"]
    assert sorted(slugs) == sorted(gamma.lifecycle.by_slug)


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/markets/slug/btc-updown-5m-1", 404),
        ("/events/slug/nothing", 404),
        ("/events/12", 404),
        ("/series/12", 404),
        ("/nowhere", 404),
        ("/markets?offset=2001", 422),
        ("/markets?limit=many", 422),
        ("/markets/keyset?after_cursor=!", 422),
        ("/markets/keyset?limit=9999999999999", 422),
    ],
)
@pytest.mark.conforms("feeds-12.6-offset-422")
async def test_what_cannot_be_answered_is_refused(path: str, status: int) -> None:
    """Unknown things are 404, queries that make no sense 422, both with a reason."""
    assert "error" in await get(Gamma(), path, status)


async def test_series_and_configs_are_listed() -> None:
    """The series this exchange runs, by slug, by id, and their rule configurations."""
    gamma = Gamma()
    assert [s["slug"] for s in await get(gamma, "/series")] == [
        "btc-up-or-down-5m",
        "btc-up-or-down-hourly",
    ]
    assert len(await get(gamma, "/series?slug=btc-up-or-down-5m")) == 1
    assert (await get(gamma, "/series/10114"))["slug"] == "btc-up-or-down-hourly"
    configs = await get(gamma, "/crypto-market-configs")
    assert [c["id"] for c in configs] == ["btc-5m-twap-60", "btc-1h"]
    hours = await get(gamma, "/events?series_id=10114&include_markets=false&limit=5")
    assert len(hours) == 5
    assert all("markets" not in hour for hour in hours)


async def test_the_official_sdk_understands_the_objects() -> None:
    """The SDK's models accept open and closed markets and events and read the same values."""
    gamma = Gamma()
    gamma.to(HOUR_START + 300_000 + 163_000)
    closed = SdkMarket.model_validate(await get(gamma, f"/markets/slug/{SLUG}"))
    assert closed.state.closed is True
    assert closed.state.closed_time is not None
    opened = SdkMarket.model_validate(await get(gamma, f"/markets/slug/{HOUR_SLUG}"))
    market = gamma.lifecycle.by_slug[HOUR_SLUG]
    assert opened.outcomes.yes.token_id == market.tokens[UP]
    assert opened.condition_id == market.condition_id
    event = SdkEvent.model_validate(await get(gamma, f"/events/slug/{SLUG}"))
    assert event.slug == SLUG


@pytest.mark.conforms("feeds-12.6-version-trap", "clob-3.2-bogus-positions")
async def test_some_v1_markets_carry_ids_that_have_no_book() -> None:
    """About a third show `positionIds`, none of which is a token of any market (feeds.md 8.4)."""
    gamma = Gamma()
    page = await get(gamma, "/markets/keyset?limit=100")
    carrying = [m["positionIds"] for m in page["markets"] if "positionIds" in m]
    assert 20 <= len(carrying) <= 50
    assert not {one for ids in carrying for one in ids} & set(gamma.engine.by_token)


async def test_a_market_that_is_not_hydrated_has_no_token_ids() -> None:
    """Known to Gamma, with an empty list until the book is there (feeds.md 8.3, F52)."""
    gamma = Gamma()
    market = gamma.lifecycle.by_slug[SLUG]
    market.phase = Phase.LISTED
    row = await get(gamma, f"/markets/slug/{SLUG}")
    assert (row["clobTokenIds"], row["acceptingOrders"]) == ("[]", False)
    market.phase = Phase.OPEN
    row = await get(gamma, f"/markets/slug/{SLUG}")
    assert json.loads(row["clobTokenIds"]) == list(market.tokens)


async def test_a_void_shows_half_a_dollar_a_side() -> None:
    """Closed and resolved with two halves (feeds.md 10.2, F36)."""
    gamma = Gamma()
    market = gamma.lifecycle.by_slug[SLUG]
    gamma.lifecycle.bend(market, Bend(void=True))
    gamma.to(market.end_ms + 163_000)
    row = await get(gamma, f"/markets/slug/{SLUG}")
    assert json.loads(row["outcomePrices"]) == ["0.5", "0.5"]
    assert (row["closed"], row["umaResolutionStatus"]) == (True, "resolved")


async def test_gamma_tells_the_winner_it_was_told_to() -> None:
    """The chain may pay the other one (F37)."""
    gamma = Gamma()
    market = gamma.lifecycle.by_slug[SLUG]
    gamma.lifecycle.bend(market, Bend(told=UP, payouts=(0, 1)))
    gamma.to(market.end_ms + 163_000)
    row = await get(gamma, f"/markets/slug/{SLUG}")
    assert json.loads(row["outcomePrices"]) == ["1", "0"]
    assert market.payouts == (0, 1)
