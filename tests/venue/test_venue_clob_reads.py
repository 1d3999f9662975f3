"""Reads from the CLOB: whole lists or none, and no absence without evidence."""

from __future__ import annotations

import httpx
import orjson
import pytest
from venue_kit import (
    CONDITION,
    CREDENTIALS,
    DOWN,
    NOW_MS,
    POSITION,
    UP,
    answering,
    make_client,
    noting,
)

from polybot.domain.market import FeeSchedule, RewardPool, Side
from polybot.domain.orders import (
    Failure,
    OrderRow,
    OrderSeen,
    TradeSeen,
    TradeStatus,
)
from polybot.journal.entries import Paid, encode
from polybot.venue.auth import l2_headers
from polybot.venue.clob_reads import ClobMarket, decode_clob_market
from polybot.venue.market_messages import BookMessage
from polybot.venue.site import CHAIN, CONTRACTS

A, B = "0x" + "a" * 64, "0x" + "b" * 64


def order_json(order_id: str, **changes: object) -> dict[str, object]:
    return {
        "id": order_id,
        "status": "LIVE",
        "owner": CREDENTIALS.api_key,
        "maker_address": CREDENTIALS.address,
        "market": CONDITION,
        "asset_id": UP,
        "side": "BUY",
        "original_size": "21.37",
        "size_matched": "1.5",
        "price": "0.53",
        "outcome": "Up",
        "expiration": None,
        "order_type": "GTC",
        "associate_trades": None,
        "created_at": 1_795_132_800,
    } | changes


def row(order_id: str) -> OrderRow:
    return OrderRow(
        order_id, CONDITION, UP, Side.BUY, 5300, 21_370_000, 1_500_000, OrderSeen.Kind.LIVE, "LIVE"
    )


async def test_open_orders_read_every_page_once() -> None:
    """Pages are followed to LTE=, and an order that moved between pages is listed once."""
    queries: list[dict[str, str]] = []
    pages = {
        None: {"data": [order_json(A)], "next_cursor": "MTAw"},
        "MTAw": {"data": [order_json(A), order_json(B)], "next_cursor": "LTE="},
    }

    def handler(request: httpx.Request) -> httpx.Response:
        query = dict(request.url.params)
        queries.append(query)
        stamp = int(request.headers["POLY_TIMESTAMP"])
        unsigned_query = l2_headers(CREDENTIALS, "GET", "/data/orders", b"", stamp)
        assert request.headers["POLY_SIGNATURE"] == unsigned_query["POLY_SIGNATURE"]
        return httpx.Response(200, json=pages[query.get("next_cursor")])

    found = await make_client(handler).open_orders(CONDITION)

    assert found == [row(A), row(B)]
    assert queries == [{"market": CONDITION}, {"market": CONDITION, "next_cursor": "MTAw"}]


@pytest.mark.parametrize("counts", [(1, 2), (3, 3)], ids=["of the page", "of all"])
async def test_a_list_is_whole_by_either_count(counts: tuple[int, int]) -> None:
    """Whether `count` is a page's or all of them is not known (clob.md 5.1)."""
    pages = {
        None: {"data": [order_json(A)], "next_cursor": "MTAw", "count": counts[0]},
        "MTAw": {
            "data": [order_json(A), order_json(B)], "next_cursor": "LTE=", "count": counts[1]
        },
    }  # fmt: skip

    def handler(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, json=pages[dict(request.url.params).get("next_cursor")])

    assert await make_client(handler).open_orders(CONDITION) == [row(A), row(B)]


@pytest.mark.parametrize(
    "page",
    [
        {"data": [order_json(A, price="NaN")], "next_cursor": "LTE="},
        {"data": [order_json(A, original_size=None)], "next_cursor": "LTE="},
        {"data": "x", "next_cursor": "LTE="},
        {"data": [], "next_cursor": "MA=="},
        {"data": [], "next_cursor": "LTE=", "count": 2},
        {"data": [order_json(A)], "count": 2},
        [],
        b"<html>",
    ],
)
async def test_half_a_list_of_orders_is_a_failure(page: object) -> None:
    """An unreadable row, an odd page or a cursor without end never looks like a complete list."""
    assert isinstance(await make_client(answering(page)).open_orders(), Failure)


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (200, order_json(A), row(A)),
        (404, {"error": "Order not found"}, None),
        (404, b"", None),
        (200, b"null", None),
        (200, b"", None),
    ],
)
async def test_one_order(status: int, body: object, expected: object) -> None:
    """A row, or None where the venue says that it has none."""
    assert await make_client(answering(body, status)).order(A) == expected


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (404, b"<html>not here</html>"),
        (404, {"message": "no Route matched with those values"}),
        (404, {"detail": "Not Found"}),
        (404, {"error": "not found"}),
        (404, {}),
        (500, b""),
        (401, {"error": "x"}),
        (200, b"[1]"),
    ],
)
async def test_a_proxys_404_is_no_evidence_of_absence(status: int, body: object) -> None:
    """An order is absent only if the venue itself says so."""
    assert isinstance(await make_client(answering(body, status)).order(A), Failure)


@pytest.mark.parametrize(
    ("status", "matched", "order_type", "kind"),
    [
        ("LIVE", "0", "GTC", OrderSeen.Kind.LIVE),
        ("ORDER_STATUS_LIVE", "0", "GTC", OrderSeen.Kind.LIVE),
        ("MATCHED", "21.37", "GTC", OrderSeen.Kind.MATCHED),
        ("MATCHED", "21.36", "GTC", OrderSeen.Kind.MATCHED),
        ("MATCHED", "5", "GTC", OrderSeen.Kind.LIVE),
        ("MATCHED", "5", "FAK", OrderSeen.Kind.DEAD),
        ("DELAYED", "0", "GTC", OrderSeen.Kind.DELAYED),
        ("UNMATCHED", "0", "GTC", OrderSeen.Kind.LIVE),
        ("CANCELED", "5", "GTC", OrderSeen.Kind.DEAD),
        ("CANCELED_MARKET_RESOLVED", "", "GTC", OrderSeen.Kind.DEAD),
        ("INVALID", "0", "GTC", OrderSeen.Kind.DEAD),
        ("SOMETHING_NEW", "0", "GTC", OrderSeen.Kind.LIVE),
    ],
)
async def test_order_statuses(
    status: str, matched: str, order_type: str, kind: OrderSeen.Kind
) -> None:
    """Dust counts as filled, partial fills as alive, and an unknown status as alive."""
    body = order_json(A, status=status, size_matched=matched, order_type=order_type)

    found = await make_client(answering(body)).order(A)

    assert isinstance(found, OrderRow)
    assert found.kind is kind


@pytest.mark.parametrize(("order_type", "matched"), [("GTC", 10), ("GTD", 10), ("FAK", 12)])
async def test_what_rests_matches_no_more_than_its_size(order_type: str, matched: int) -> None:
    """More is a number gone wild, and what is left of the order would free dollars that are bound;
    a take is filled by dollars, and gets more shares where they are cheaper.
    """
    body = order_json(A, original_size="10", size_matched="12", order_type=order_type)

    found = await make_client(answering(body)).order(A)

    assert isinstance(found, OrderRow)
    assert found.matched == matched * 1_000_000


async def test_trades_list_our_legs_only() -> None:
    """Of a trade only our makers' parts are listed; trades without one are left out."""
    maker = {
        "order_id": A,
        "owner": CREDENTIALS.api_key,
        "maker_address": "0x0",
        "matched_amount": "5",
        "price": "0.36",
        "asset_id": DOWN,
        "side": "BUY",
    }
    trade = {
        "id": "t1",
        "taker_order_id": B,
        "market": CONDITION,
        "asset_id": UP,
        "side": "BUY",
        "size": "9",
        "price": "0.64",
        "status": "TRADE_STATUS_CONFIRMED",
        "match_time": "1795132800",
        "trader_side": "MAKER",
        "maker_orders": [maker, maker | {"owner": "else", "order_id": B}],
    }
    foreign = trade | {"id": "t2", "maker_orders": [maker | {"owner": "else"}]}
    seen: list[httpx.Request] = []
    client = make_client(noting(seen, {"data": [trade, foreign], "next_cursor": "LTE="}))

    found = await client.trades(after_s=5, trade_id="t1")

    assert isinstance(found, list)
    (only,) = found
    assert isinstance(only, TradeSeen)
    assert (only.trade_id, only.status) == ("t1", TradeStatus.CONFIRMED)
    (leg,) = only.legs
    assert (leg.order_id, leg.token, leg.price, leg.shares) == (A, DOWN, 3600, 5_000_000)
    assert dict(seen[0].url.params) == {"after": "5", "id": "t1"}


@pytest.mark.parametrize(
    ("token", "params"),
    [
        (None, {"asset_type": "COLLATERAL"}),
        (UP, {"asset_type": "CONDITIONAL", "token_id": UP}),
        (POSITION, {"asset_type": "CONDITIONAL-V2", "token_id": POSITION}),
    ],
)
async def test_balances(token: str | None, params: dict[str, str]) -> None:
    """Balances are base units already; the asset type follows the kind of token."""
    seen: list[httpx.Request] = []
    client = make_client(noting(seen, {"balance": "1500000", "allowances": {}}))

    assert await client.balance(token) == 1_500_000
    assert dict(seen[0].url.params) == {"signature_type": "0"} | params
    assert isinstance(await make_client(answering({"balance": "1.5"})).balance(token), Failure)


async def test_a_balance_that_nobody_can_have() -> None:
    """A start would book it, and the journal, which cannot write such a number, would end us."""
    most = make_client(answering({"balance": "9" * 18}))
    more = await make_client(answering({"balance": "1" + "0" * 18})).balance(None)

    assert await most.balance(None) == 10**18 - 1
    assert isinstance(more, Failure)
    assert encode(Paid("deposit", 10**18 - 1, "a start"))


async def test_public_reads() -> None:
    """Time, a book and a market's terms, as exact integers."""
    assert await make_client(answering(b"1795132800")).server_time() == 1795132800
    terms = {
        "c": CONDITION,
        "v": "v1",
        "t": [{"t": UP, "o": "Up"}, {"t": DOWN, "o": "Down"}],
        "mos": 5,
        "mts": 0.01,
        "fd": {"r": 0.07, "e": 1, "to": True},
        "itode": True,
        "ao": True,
    }
    market = await make_client(answering(terms)).clob_market(CONDITION)
    assert market == ClobMarket(
        CONDITION,
        "v1",
        ((UP, "Up"), (DOWN, "Down")),
        100,
        5_000_000,
        FeeSchedule(70_000, 1, 0),
        accepting=True,
        neg_risk=False,
        taker_delay=True,
    )
    book = {
        "market": CONDITION,
        "asset_id": UP,
        "timestamp": "1795132800000",
        "hash": "h",
        "bids": [{"price": "0.5", "size": "5"}],
        "asks": [],
        "tick_size": "0.01",
        "last_trade_price": "",
    }
    found = await make_client(answering(book)).book(UP)
    assert isinstance(found, BookMessage)
    assert found.bids[0].price == 5000
    free = await make_client(answering({**terms, "fd": None})).clob_market(CONDITION)
    assert isinstance(free, ClobMarket)
    assert free.fees.rate_ppm == 0


@pytest.mark.parametrize("body", [{}, [], b"", {"c": CONDITION, "t": [], "mts": 0, "mos": 5}])
async def test_unreadable_public_answers_are_failures(body: object) -> None:
    """A body that is not what it should be is a Failure, never an exception."""
    client = make_client(answering(body))

    assert isinstance(await client.server_time(), Failure)
    assert isinstance(await client.book(UP), Failure)
    assert isinstance(await client.clob_market(CONDITION), Failure)
    assert isinstance(await make_client(answering(b"", 404)).book(UP), Failure)


@pytest.mark.parametrize("change", [{"mts": 0}, {"mts": 0.003}, {"mts": 0.9}, {"mos": 0}])
def test_terms_nobody_can_quote_by_are_refused(change: dict[str, object]) -> None:
    """A tick that is no part of a dollar, or orders of no shares, would break whoever rounds."""
    terms: dict[str, object] = {"c": CONDITION, "t": [], "mts": 0.01, "mos": 5}

    assert decode_clob_market(terms).tick == 100
    with pytest.raises(ValueError, match=r"tick|mos"):
        decode_clob_market(terms | change)


async def test_a_protocol_v2_condition_is_padded() -> None:
    """A 62-digit condition id is asked for with two zeros behind it (clob.md 3.2)."""
    seen: list[httpx.Request] = []

    await make_client(noting(seen, {})).clob_market("0x" + "ab" * 31)

    assert seen[0].url.path == "/clob-markets/0x" + "ab" * 31 + "00"


def configured(**changes: object) -> dict[str, object]:
    config = {
        "asset_address": CONTRACTS[CHAIN].collateral.lower(),
        "start_date": "2026-11-01",
        "end_date": "2026-12-01T00:00:00Z",
        "rate_per_day": "12.5",
    }
    return config | changes


def pool_page(*configs: dict[str, object], **changes: object) -> dict[str, object]:
    row = {"rewards_max_spread": 4.5, "rewards_min_size": 50, "rewards_config": list(configs)}
    return {"data": [row | changes], "next_cursor": "LTE="}


@pytest.mark.parametrize(
    ("page", "per_day"),
    [
        (pool_page(configured()), 12_500_000),
        (pool_page(configured(), configured(rate_per_day=2)), 14_500_000),
        (pool_page(configured(), configured(end_date=None, rate_per_day="1")), 13_500_000),
        (pool_page(configured(asset_address="0x" + "12" * 20)), None),
        (pool_page(configured(end_date="2026-11-02")), None),
        (pool_page(configured(start_date="2027-11-02")), None),
        (pool_page(), None),
        ({"data": [], "next_cursor": "LTE="}, None),
    ],
)
async def test_a_pool_is_what_pays_today(page: dict[str, object], per_day: int | None) -> None:
    """All configurations of our coin that cover the day together; terms without any are no pool,
    and neither is a market that is not listed (clob.md 5.2, 6.3).
    """
    seen: list[httpx.Request] = []
    client = make_client(noting(seen, page))
    found = await client.reward_pool("0x" + "ab" * 31, NOW_MS, NOW_MS + 300_000, 30)

    expected = None if per_day is None else RewardPool(per_day, 50_000_000, 450, 30)
    assert found == expected
    assert seen[0].url.path == "/rewards/markets/0x" + "ab" * 31 + "00"


@pytest.mark.parametrize(
    "page",
    [
        pool_page(configured(rate_per_day="NaN")),
        pool_page(configured(start_date="yesterday")),
        pool_page(configured(), rewards_min_size=0),
        pool_page(configured(), rewards_max_spread="0.001"),
        pool_page(configured(), rewards_config=None),
        {"data": [7], "next_cursor": "LTE="},
    ],
)
async def test_a_pool_that_cannot_be_read_is_a_failure(page: dict[str, object]) -> None:
    """A pool nobody understands is told, never guessed."""
    found = await make_client(answering(page)).reward_pool(CONDITION, NOW_MS, NOW_MS + 1, 0)
    assert isinstance(found, Failure)


async def test_which_orders_score() -> None:
    """The ids in the body, signed with it; only true and false are answers (clob.md 5.1)."""
    seen: list[httpx.Request] = []
    assert await make_client(noting(seen, {A: True, B: False})).scoring([A, B]) == {
        A: True, B: False
    }  # fmt: skip
    request, body = seen[0], orjson.dumps([A, B])
    assert (request.method, request.url.path, request.content) == ("POST", "/orders-scoring", body)
    stamp = int(request.headers["POLY_TIMESTAMP"])
    signed = l2_headers(CREDENTIALS, "POST", "/orders-scoring", body, stamp)
    assert request.headers["POLY_SIGNATURE"] == signed["POLY_SIGNATURE"]

    assert isinstance(await make_client(answering({A: "yes"})).scoring([A]), Failure)
    assert isinstance(await make_client(answering([])).scoring([A]), Failure)


def test_the_least_age_of_rewards_is_read_with_the_terms() -> None:
    """`r.moas` in seconds; a market may come without `r` (clob.md 5.2)."""
    terms: dict[str, object] = {"c": CONDITION, "t": [], "mts": 0.01, "mos": 5}

    assert decode_clob_market(terms).reward_age_s == 0
    assert decode_clob_market({**terms, "r": {"mi": 50, "ma": 4.5, "moas": 30}}).reward_age_s == 30
