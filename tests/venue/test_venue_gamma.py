"""Metadata read strictly: rules that agree in three places, labels, and one doubt refuses."""

from __future__ import annotations

import datetime as dt
import json

import httpx
import pytest
from hypothesis import given, strategies as st
from venue_kit import DOWN, NOW_MS, POSITION, UP, recording, wire

from polybot.clock import Clock
from polybot.domain.market import Candle, FeeSchedule, Market, Outcome, TwapPair, UnknownRule
from polybot.domain.orders import Failure
from polybot.venue.gamma import MarketMeta, Refusal, market_by_slug, parse_market, parse_meta
from polybot.venue.rest import Rest
from polybot.venue.rules import read_rule

SLUG = "btc-updown-5m-1795132800"
TWAP_URL = "https://data.chain.link/streams/btc-usd-twap-60s-streams"
TWAP_TEXT = (
    'This market will resolve to "Up" if the Bitcoin TWAP at the end of the time range is greater '
    "than or equal to that at the beginning. The source is Chainlink, the BTC/USD stream."
)
HOUR_TEXT = (
    'This market will resolve to "Up" if the close price is greater than or equal to the open '
    "price for the BTC/USDT 1 hour candle. The resolution source is Binance."
)


def gamma(**changes: object) -> dict[str, object]:
    return {
        "id": "1",
        "slug": SLUG,
        "conditionId": "0x" + "ab" * 32,
        "outcomes": '["Up", "Down"]',
        "clobTokenIds": json.dumps([UP, DOWN]),
        "outcomePrices": '["0.505", "0.495"]',
        "eventStartTime": "2026-11-20T00:00:00Z",
        "endDate": "2026-11-20T00:05:00Z",
        "active": True,
        "closed": False,
        "acceptingOrders": True,
        "enableOrderBook": True,
        "orderPriceMinTickSize": 0.01,
        "orderMinSize": 5,
        "negRisk": False,
        "feesEnabled": True,
        "feeSchedule": {"exponent": 1, "rate": 0.07, "takerOnly": True, "rebateRate": 0.2},
        "resolutionSource": TWAP_URL,
        "description": TWAP_TEXT,
        "cryptoMarketConfig": {
            "id": "btc-5m-twap-60",
            "asset": "btc",
            "duration": "5m",
            "twapEnabled": True,
            "twapLookbackSeconds": 60,
        },
        "version": "v1",
        "events": [{"eventMetadata": {}}],
    } | changes


def hourly(**changes: object) -> dict[str, object]:
    base = {
        "slug": "bitcoin-up-or-down-november-19-2026-7pm-et",
        "endDate": "2026-11-20T01:00:00Z",
        "resolutionSource": "https://www.binance.com/en/trade/BTC_USDT",
        "description": HOUR_TEXT,
        "cryptoMarketConfig": None,
    }
    return gamma(**(base | changes))


def parsed(row: dict[str, object], series: str = "btc-5m") -> Market:
    market = parse_market(row, series)
    assert isinstance(market, Market), market
    return market


def test_a_market_as_described() -> None:
    """Everything the bot needs, in its own units."""
    assert parsed(gamma()) == Market(
        series="btc-5m",
        slug=SLUG,
        condition_id="0x" + "ab" * 32,
        up_token=UP,
        down_token=DOWN,
        start_ms=NOW_MS,
        end_ms=NOW_MS + 300_000,
        rule=TwapPair("btcusd", 60),
        tick=100,
        min_size=5_000_000,
        fees=FeeSchedule(70_000, 1, 200_000),
        neg_risk=False,
        version="v1",
    )


def test_tokens_go_by_label() -> None:
    """Index 0 is not always Up, neither of the tokens nor of the chain's payout vector."""
    market = parsed(gamma(outcomes='["Down", "Up"]'))

    assert (market.up_token, market.down_token, market.up_index) == (DOWN, UP, 1)


def test_the_version_says_which_ids_count() -> None:
    """A v2 market trades position ids; a v1 market ignores those it carries."""
    ids = {"positionIds": [POSITION, "7"]}

    assert parsed(gamma(**ids, version="v2")).up_token == POSITION
    assert parsed(gamma(**ids)).up_token == UP


@pytest.mark.parametrize("told", ["0x01" + "AB" * 30, "0x01" + "ab" * 30 + "00"])
def test_a_v2_market_has_the_id_of_its_books(told: str) -> None:
    """Gamma may write 31 bytes, and in capitals; the CLOB's books, events and orders have 32."""
    market = parsed(gamma(conditionId=told, positionIds=[POSITION, "7"], version="v2"))

    assert market.condition_id == "0x01" + "ab" * 30 + "00"


@pytest.mark.parametrize(
    ("told", "version"), [("0x01" + "ab" * 30, "v1"), ("0x03" + "ab" * 30, "v2")]
)
def test_no_other_id_is_padded(told: str, version: str) -> None:
    """A condition of the first protocol has 32 bytes; the third module is no market's."""
    row = gamma(conditionId=told, positionIds=[POSITION, "7"], version=version)

    assert isinstance(parse_market(row, "btc-5m"), Refusal)


SPOT = {
    "resolutionSource": "https://data.chain.link/streams/btc-usd",
    "description": "according to Chainlink data stream BTC/USD",
    "cryptoMarketConfig": None,
}


def averaged(lookback_s: int) -> dict[str, object]:
    config = {"asset": "btc", "twapEnabled": True, "twapLookbackSeconds": lookback_s}
    source = TWAP_URL.replace("60s", f"{lookback_s}s")
    return {"resolutionSource": source, "cryptoMarketConfig": config}


@pytest.mark.parametrize(
    ("changes", "series", "day", "lookback_s"),
    [
        (SPOT, "btc-5m", "2026-07-24", 0),
        (SPOT, "btc-15m", "2026-08-06", 0),
        (SPOT, "btc-5m", "2026-08-07", None),
        (SPOT, "btc-5m", "2026-11-20", None),
        (averaged(30), "btc-5m", "2026-08-10", 30),
        (averaged(30), "btc-15m", "2026-08-10", None),
        (averaged(30), "btc-5m", "2026-08-17", None),
        (averaged(60), "btc-5m", "2026-08-10", None),
        (averaged(60), "btc-5m", "2026-08-15", 60),
        (averaged(60), "btc-15m", "2026-08-07", 60),
        (averaged(60), "btc-15m", "2026-08-06", None),
        (averaged(90), "btc-5m", "2026-11-20", None),
        (SPOT | {"description": "Chainlink TWAP"}, "btc-5m", "2026-07-24", None),
        (SPOT | {"cryptoMarketConfig": {"twapEnabled": True}}, "btc-5m", "2026-07-24", None),
        (SPOT, "eth-5m", "2026-07-24", None),
        (SPOT, "btc-1h", "2026-07-24", None),
    ],
)
def test_a_rule_holds_in_its_own_days(
    changes: dict[str, object], series: str, day: str, lookback_s: int | None
) -> None:
    """Each look-back was the rule of some windows for some time, of no others (feeds.md 10.1)."""
    start_ms = round(dt.datetime.fromisoformat(f"{day}T12:00:00+00:00").timestamp() * 1000)

    rule = read_rule(gamma(**changes), series, start_ms)

    if lookback_s is None:
        assert isinstance(rule, UnknownRule)
    else:
        assert rule == TwapPair("btcusd", lookback_s)


def test_a_rule_names_its_source() -> None:
    """The contract carries where it was read, its tie and its decimals (strategy.md 1)."""
    rule = parsed(gamma()).rule

    assert isinstance(rule, TwapPair)
    assert (rule.source, rule.tie, rule.decimals) == (TWAP_URL, Outcome.UP, 18)


def test_the_hourly_rule() -> None:
    """Source, description and series agree on the Binance candle."""
    assert parsed(hourly(), "btc-1h").rule == Candle("BTCUSDT", "1h")


@pytest.mark.parametrize(
    "changes",
    [
        {"resolutionSource": "https://data.chain.link/streams/btc-usd"},
        {"resolutionSource": "https://example.org"},
        {"resolutionSource": None},
        {"resolutionSource": TWAP_URL.replace("60s", "30s")},
        {"resolutionSource": TWAP_URL.replace("btc", "eth")},
        {"resolutionSource": "https://www.binance.com/en/trade/BTC_USDT"},
        {"cryptoMarketConfig": None},
        {"cryptoMarketConfig": {"asset": "btc", "twapEnabled": False}},
        {
            "cryptoMarketConfig": {
                "asset": "btc",
                "twapEnabled": True,
                "twapLookbackSeconds": 30,
            }
        },
        {"description": "Chainlink spot price"},
        {"description": TWAP_TEXT + " See Binance."},
        {"description": TWAP_TEXT + " A tie resolves 50-50."},
        {"description": None},
    ],
)
def test_twap_rules_that_disagree_are_unknown(changes: dict[str, object]) -> None:
    """Any contradiction between source, config and description makes the rule unknown."""
    assert isinstance(parsed(gamma(**changes)).rule, UnknownRule)


@pytest.mark.parametrize(
    "changes",
    [
        {"resolutionSource": "https://www.binance.com/en/trade/ETH_USDT"},
        {"resolutionSource": TWAP_URL},
        {"description": TWAP_TEXT},
        {"description": HOUR_TEXT.replace("1 hour", "1 minute")},
        {"description": HOUR_TEXT + " Chainlink."},
        {"cryptoMarketConfig": {"twapEnabled": True}},
    ],
)
def test_hourly_rules_that_disagree_are_unknown(changes: dict[str, object]) -> None:
    """The same for candles."""
    assert isinstance(parsed(hourly(**changes), "btc-1h").rule, UnknownRule)


@pytest.mark.parametrize(
    "changes",
    [
        {"conditionId": "0x12"},
        {"outcomes": '["Yes", "No"]'},
        {"outcomes": '["Up", "Up"]'},
        {"outcomes": "not json"},
        {"clobTokenIds": "[]"},
        {"clobTokenIds": json.dumps([UP, UP])},
        {"clobTokenIds": json.dumps([UP, "0x12"])},
        {"clobTokenIds": json.dumps([UP, str(2**256)])},
        {"clobTokenIds": json.dumps([UP, "9" * 5000])},
        {"clobTokenIds": None},
        {"version": "v3"},
        {"version": "v2"},
        {"eventStartTime": None},
        {"eventStartTime": "2026-11-20T00:00:00"},
        {"eventStartTime": "2026-11-20T00:01:00Z"},
        {"endDate": "2026-11-20T00:10:00Z"},
        {"orderPriceMinTickSize": 0},
        {"orderPriceMinTickSize": 0.003},
        {"orderPriceMinTickSize": "NaN"},
        {"orderMinSize": None},
        {"orderMinSize": 0},
        {"feeSchedule": None},
        {"feeSchedule": {"exponent": 1, "rate": 0.07, "takerOnly": False}},
        {"feeSchedule": {"exponent": 3, "rate": 0.07, "takerOnly": True}},
        {"feeSchedule": {"exponent": 1, "rate": -0.07, "takerOnly": True}},
        {"slug": ""},
    ],
)
def test_one_doubt_is_a_refusal(changes: dict[str, object]) -> None:
    """A field we cannot read exactly refuses the market, with the reason."""
    refusal = parse_market(gamma(**changes), "btc-5m")

    assert isinstance(refusal, Refusal)
    assert refusal.text


def test_a_market_without_fees() -> None:
    """No fees enabled: a rate of zero."""
    assert parsed(gamma(feesEnabled=False, feeSchedule=None)).fees.rate_ppm == 0


def test_state_of_an_open_market() -> None:
    """Accepting only if every flag says so; reference prices when they appear."""
    meta = parse_meta(gamma(events=[{"eventMetadata": {"priceToBeat": 64000.5}}]), "btc-5m")

    assert isinstance(meta, MarketMeta)
    assert (meta.accepting, meta.closed, meta.up_payout) == (True, False, None)
    assert (meta.price_to_beat, meta.final_price) == (64000.5, None)
    for flag in ("active", "acceptingOrders", "enableOrderBook"):
        shut = parse_meta(gamma(**{flag: False}), "btc-5m")
        assert isinstance(shut, MarketMeta)
        assert not shut.accepting


@pytest.mark.parametrize(
    ("prices", "payout"),
    [
        ('["1", "0"]', 1_000_000),
        ('["0", "1"]', 0),
        ('["0.5", "0.5"]', 500_000),
        ('["0.999", "0.001"]', None),
    ],
)
def test_the_payout_of_a_closed_market(prices: str, payout: int | None) -> None:
    """A winner is a price of exactly one, two halves a void; nothing is rounded up."""
    meta = parse_meta(gamma(closed=True, outcomePrices=prices), "btc-5m")
    still_open = parse_meta(gamma(outcomePrices=prices), "btc-5m")

    assert isinstance(meta, MarketMeta)
    assert isinstance(still_open, MarketMeta)
    assert (meta.up_payout, still_open.up_payout) == (payout, None)
    assert not meta.accepting


def test_captured_markets() -> None:
    """Real resolved markets parse with their outcome, and with the spot rule of July."""
    rows = json.loads(wire("gamma_markets_btc_5m_closed_2026-07-24.json"))
    metas = [parse_meta(row["market"], "btc-5m") for row in rows]

    outcomes = [meta.up_payout for meta in metas if isinstance(meta, MarketMeta)]
    assert outcomes == [1_000_000, 0]
    for meta in metas:
        assert isinstance(meta, MarketMeta)
        assert meta.market.rule == TwapPair("btcusd", 0)
    early = json.loads(wire("nt_gamma_market_btc_5m_open_2026-03.json"))
    refused = parse_meta(early, "btc-5m")
    assert isinstance(refused, Refusal)
    assert refused.text == "fees without a schedule"
    assert refused.slug == "btc-updown-5m-1773307200", "what else it says is read all the same"
    assert refused.rule == TwapPair("btcusd", 0)


def test_recorded_markets() -> None:
    """All 156 recorded markets parse, and their outcomes are those recorded beside them."""
    name = "chainlink_btc_ligengxin/BTC-5m-markets-2026-07-24T00-13.jsonl.zst"
    count = 0
    for line in recording(name):
        meta = parse_meta(line["raw"], "btc-5m")
        assert isinstance(meta, MarketMeta), meta
        payout = 1_000_000 if line["outcome_prices"] == ["1", "0"] else 0
        assert meta.up_payout == payout
        count += 1
    assert count == 156


def rest(status: int, body: object) -> Rest:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    transport = httpx.MockTransport(lambda request: httpx.Response(status, content=content))
    http = httpx.AsyncClient(transport=transport)
    return Rest(http, "https://gamma.example", Clock(NOW_MS))


async def test_a_market_by_its_slug() -> None:
    """Found, unknown, failed, refused: four different answers."""
    found = await market_by_slug(rest(200, gamma()), "btc-5m", SLUG)
    assert isinstance(found, MarketMeta)
    assert await market_by_slug(rest(404, {}), "btc-5m", SLUG) is None
    assert isinstance(await market_by_slug(rest(500, b""), "btc-5m", SLUG), Failure)
    assert isinstance(await market_by_slug(rest(200, b"<"), "btc-5m", SLUG), Failure)
    assert isinstance(await market_by_slug(rest(200, []), "btc-5m", SLUG), Refusal)
    assert isinstance(await market_by_slug(rest(200, gamma()), "btc-5m", "another"), Refusal)


scraps = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9)
scraps |= st.sampled_from(["[1]", '["Up","Down"]', '["NaN","0"]', "2026-11-20T00:00:00Z", TWAP_URL])
values = st.recursive(
    scraps,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["eventMetadata", "asset", "rate", "exponent"]), inner)
    ),
    max_leaves=6,
)


@given(st.dictionaries(st.sampled_from(sorted(gamma())), values, max_size=5), st.booleans())
def test_no_object_raises(changes: dict[str, object], closed: bool) -> None:
    """Any object is a market or a refusal."""
    row = gamma(closed=closed) | changes

    assert isinstance(parse_market(row, "btc-5m"), Market | Refusal)
    assert isinstance(parse_meta(row, "btc-5m"), MarketMeta | Refusal)


@given(values)
def test_no_value_raises(value: object) -> None:
    """Nor does anything else."""
    assert isinstance(parse_meta(value, "btc-5m"), Refusal)


@pytest.mark.parametrize("stamp", ["0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z"])
@pytest.mark.parametrize("series", ["btc-5m", "btc-1h", "btc-4h", "btc-daily"])
def test_a_date_at_the_end_of_the_calendar_is_a_refusal(series: str, stamp: str) -> None:
    """The zero of many a program, written for a date that is not there, is no reason to end."""
    refusal = parse_meta(gamma(eventStartTime=stamp), series)

    assert isinstance(refusal, Refusal)
    assert "in the year" in refusal.text
