"""The REST API: handlers called as the router calls them, and once end to end over sockets."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
import trio
from clob_kit import DOWN_TOKEN, T0, UP_TOKEN, ClobKit, Wallet, decoded
from hypothesis import given, settings, strategies as st
from polymarket._internal.actions.account import (
    parse_account_trades_page,
    parse_balance_allowance,
    parse_open_order,
    parse_open_orders_page,
)
from polymarket._internal.actions.orders.cancel import parse_cancel_orders_response
from polymarket._internal.actions.orders.post import parse_order_response, parse_order_responses
from trio.testing import MockClock
from websocket_client import open_client

from polybot.exchange.model import BUY, DOWN, SELL, UP
from polybot.exchange.money import UNIT
from polybot.exchange.net import serve
from polybot.exchange.request import Request
from polybot.exchange.rules import DELAYED


# The clock is an argument of each test: pytest-trio looks for it there only.
@pytest.fixture
async def kit() -> ClobKit:
    return ClobKit()


async def place(kit: ClobKit, wallet: Wallet, *order: Any, **more: Any) -> str:
    status, reply = await kit.call(wallet, "POST", "/order", wallet.limit(*order, **more))
    assert status == 200, reply
    return str(reply["orderID"])


# --- placing ---------------------------------------------------------------------------------


@pytest.mark.conforms("clob-3.6-live")
async def test_a_resting_order_is_live(kit: ClobKit, autojump_clock: MockClock) -> None:
    """200, the order's hash as id, empty amounts; the SDK reads it as accepted."""
    payload = kit.ann.limit(BUY, UP_TOKEN, 50, 10, post_only=True)
    status, reply = await kit.call(kit.ann, "POST", "/order", payload)
    assert status == 200
    assert reply == {
        "errorMsg": "", "orderID": reply["orderID"], "takingAmount": "", "makingAmount": "",
        "status": "live", "success": True,
    }  # fmt: skip
    assert parse_order_response(reply).ok
    assert kit.engine.orders[reply["orderID"]].price == 5000


@pytest.mark.conforms("clob-3.6-matched", "clob-3.6-trade-ids", "clob-3.6-improvement")
async def test_a_match_tells_human_amounts_and_trade_ids(
    kit: ClobKit, autojump_clock: MockClock
) -> None:
    """What was given and got, improved for the taker; trade ids, no hashes (clob.md 3.6)."""
    await place(kit, kit.ann, SELL, UP_TOKEN, 52, 10)
    payload = kit.bob.limit(BUY, UP_TOKEN, 55, 6)
    _, reply = await kit.call(kit.bob, "POST", "/order", payload)
    assert (reply["status"], reply["makingAmount"], reply["takingAmount"]) == (
        "matched",
        "3.12",
        "6",
    )
    assert reply["tradeIDs"] == list(kit.engine.trades)
    assert "transactionsHashes" not in reply


@pytest.mark.conforms("clob-3.6-refusal-shape")
async def test_refusals_are_400_with_the_venues_words(
    kit: ClobKit, autojump_clock: MockClock
) -> None:
    """The engine's refusal and ours have the same shape."""
    small = kit.ann.limit(BUY, UP_TOKEN, 50, 4)
    status, reply = await kit.call(kit.ann, "POST", "/order", small)
    assert (status, list(reply)) == (400, ["error"])
    assert reply["error"].endswith("is invalid. Size (4) lower than the minimum: 5")
    status, reply = await kit.call(kit.ann, "POST", "/order", "nonsense")
    assert (status, reply) == (400, {"error": "Invalid order payload"})


@pytest.mark.conforms("clob-3.6-duplicate")
async def test_the_same_signed_order_twice_is_a_duplicate(
    kit: ClobKit, autojump_clock: MockClock
) -> None:
    """Re-posting is recognised by the hash."""
    payload = kit.ann.limit(BUY, UP_TOKEN, 50, 10)
    await kit.call(kit.ann, "POST", "/order", payload)
    status, reply = await kit.call(kit.ann, "POST", "/order", payload)
    assert status == 400
    assert reply["error"].endswith("is invalid. Duplicated.")


@pytest.mark.conforms("clob-3.6-http-waits", "clob-3.9-hold")
async def test_a_held_order_answers_when_its_delay_is_over(
    nursery: trio.Nursery, mock_clock: MockClock
) -> None:
    """The call itself waits; the result is final (clob.md 3.6, 3.9)."""
    kit = ClobKit(taker_delay_ms=150)
    await place(kit, kit.ann, SELL, UP_TOKEN, 52, 10)
    replies: list[Any] = []

    async def take() -> None:
        payload = kit.bob.limit(BUY, UP_TOKEN, 52, 10, "FAK")
        replies.append(await kit.call(kit.bob, "POST", "/order", payload))

    nursery.start_soon(take)
    await trio.testing.wait_all_tasks_blocked()
    mock_clock.jump(0.150)
    await trio.testing.wait_all_tasks_blocked()
    assert replies == []  # time alone does nothing: the world advances the engine
    kit.engine.advance(kit.clock.now_ms())
    await trio.testing.wait_all_tasks_blocked()
    assert [(status, reply["status"]) for status, reply in replies] == [(200, "matched")]


@pytest.mark.conforms("clob-3.9-hold-uncancellable")
@pytest.mark.parametrize("path", ["/cancel-all", "/cancel-market-orders", "/order"])
async def test_a_cancel_during_the_delay_says_what_it_left(
    nursery: trio.Nursery, mock_clock: MockClock, path: str
) -> None:
    """A held order cannot be cancelled, and no cancel may pretend that nothing is left."""
    kit = ClobKit(taker_delay_ms=150)
    await place(kit, kit.ann, SELL, UP_TOKEN, 52, 10)
    taker = kit.bob.limit(BUY, UP_TOKEN, 52, 20)
    nursery.start_soon(kit.call, kit.bob, "POST", "/order", taker)
    await trio.testing.wait_all_tasks_blocked()
    ((held, _),) = kit.engine.desk.held.items()
    body = {"orderID": held, "market": kit.market.condition_id}
    expected = {"canceled": [], "not_canceled": {held: DELAYED}}
    assert await kit.call(kit.bob, "DELETE", path, body) == (200, expected)
    other = {"market": "0x" + "00" * 32}
    _, elsewhere = await kit.call(kit.bob, "DELETE", "/cancel-market-orders", other)
    assert elsewhere == {"canceled": [], "not_canceled": {}}
    kit.engine.advance(T0 + 150)
    _, now = await kit.call(kit.bob, "DELETE", "/cancel-all")
    assert now == {"canceled": [held], "not_canceled": {}}


@pytest.mark.conforms("clob-3.7-batch", "clob-3.6-refusal-shape")
async def test_a_batch_has_independent_entries(kit: ClobKit, autojump_clock: MockClock) -> None:
    """Replies in order; a refused entry says why and has no id."""
    good, bad = kit.ann.limit(BUY, UP_TOKEN, 50, 10), kit.ann.limit(BUY, UP_TOKEN, 50, 1)
    status, replies = await kit.call(kit.ann, "POST", "/orders", [bad, {}, good])
    assert status == 200
    assert [reply["status"] for reply in replies] == ["", "", "live"]
    assert [bool(reply["errorMsg"]) for reply in replies] == [True, True, False]
    assert [order.ok for order in parse_order_responses(replies)] == [False, False, True]


@pytest.mark.conforms("clob-3.7-too-many", "clob-3.7-empty")
async def test_batches_are_bounded(kit: ClobKit, autojump_clock: MockClock) -> None:
    """At most fifteen, at least one."""
    order = kit.ann.limit(BUY, UP_TOKEN, 50, 10)
    status, reply = await kit.call(kit.ann, "POST", "/orders", [order] * 16)
    assert (status, reply["error"]) == (
        400, "Too many orders in payload: 16, max allowed: 15",
    )  # fmt: skip
    assert (await kit.call(kit.ann, "POST", "/orders", []))[0] == 400
    assert not kit.engine.orders


@pytest.mark.conforms("clob-3.6-market-buy-more")
async def test_a_market_buy_buys_more_at_better_prices(
    kit: ClobKit, autojump_clock: MockClock
) -> None:
    """FAK BUYs spend dollars (clob.md 3.6)."""
    await place(kit, kit.ann, SELL, UP_TOKEN, 50, 100)
    payload = kit.bob.order(BUY, UP_TOKEN, 10 * UNIT, 19_230_700, "FAK")
    _, reply = await kit.call(kit.bob, "POST", "/order", payload)
    assert (reply["makingAmount"], reply["takingAmount"]) == ("10", "20")


# --- cancelling ------------------------------------------------------------------------------


@pytest.mark.conforms("clob-4.1-cancel-one", "clob-4.1-reasons")
async def test_cancelling_one_and_many(kit: ClobKit, autojump_clock: MockClock) -> None:
    """What is gone, and a reason for what is not, in one 200."""
    first, second = [await place(kit, kit.ann, BUY, UP_TOKEN, c, 10) for c in (50, 51)]
    _, reply = await kit.call(kit.ann, "DELETE", "/order", {"orderID": first})
    assert reply == {"canceled": [first], "not_canceled": {}}
    status, reply = await kit.call(kit.ann, "DELETE", "/orders", [first, second, second])
    assert status == 200
    assert reply["canceled"] == [second]
    assert list(reply["not_canceled"]) == [first]
    parse_cancel_orders_response(reply)


@pytest.mark.conforms("clob-4.1-reasons")
async def test_nobody_cancels_anothers_order(kit: ClobKit, autojump_clock: MockClock) -> None:
    """It stays live and the answer is the usual reason."""
    order_id = await place(kit, kit.ann, BUY, UP_TOKEN, 50, 10)
    status, reply = await kit.call(kit.bob, "DELETE", "/order", {"orderID": order_id})
    assert (status, list(reply["not_canceled"])) == (200, [order_id])
    assert (await kit.call(kit.bob, "DELETE", "/cancel-all"))[1]["canceled"] == []
    assert len(kit.engine.live_orders(kit.ann.creds.api_key)) == 1


@pytest.mark.conforms("clob-4.1-cancel-market", "clob-4.1-cancel-all")
async def test_cancelling_by_market_token_and_all(kit: ClobKit, autojump_clock: MockClock) -> None:
    """One of the two keys is enough; an empty one counts as absent."""
    up = await place(kit, kit.ann, BUY, UP_TOKEN, 50, 10)
    down = await place(kit, kit.ann, BUY, DOWN_TOKEN, 40, 10)
    path = "/cancel-market-orders"
    _, reply = await kit.call(kit.ann, "DELETE", path, {"market": "", "asset_id": UP_TOKEN})
    assert reply["canceled"] == [up]
    _, reply = await kit.call(kit.ann, "DELETE", path, {"market": kit.market.condition_id})
    assert reply["canceled"] == [down]
    last = await place(kit, kit.ann, BUY, UP_TOKEN, 49, 10)
    assert (await kit.call(kit.ann, "DELETE", "/cancel-all"))[1]["canceled"] == [last]


@pytest.mark.conforms("clob-4.1-bad-id", "clob-4.1-bad-payload", "clob-4.1-cancel-too-many")
@pytest.mark.parametrize(
    ("path", "body", "error"),
    [
        ("/order", {"orderID": "0x12"}, "Invalid orderID"),
        ("/order", {}, "Invalid orderID"),
        ("/order", [], "Invalid order payload"),
        ("/orders", {"a": 1}, "Invalid order payload"),
        ("/orders", [5], "Invalid orderID"),
        ("/orders", ["0x"] * 1001, "Too many orders in payload, max allowed: 1000"),
        ("/cancel-market-orders", {}, "Invalid order payload"),
        ("/cancel-market-orders", {"market": 5}, "Invalid order payload"),
    ],
)
async def test_bad_cancels(
    kit: ClobKit, autojump_clock: MockClock, path: str, body: object, error: str
) -> None:
    """Shapes are refused before anything is cancelled."""
    assert await kit.call(kit.ann, "DELETE", path, body) == (400, {"error": error})


# --- heartbeats ------------------------------------------------------------------------------


@pytest.mark.conforms("clob-4.2-expiry")
async def test_a_lost_heartbeat_cancels_everything_of_that_key(
    kit: ClobKit, autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    """Ten silent seconds after the last accepted beat, at the next sweep."""
    nursery.start_soon(kit.server.run)
    await place(kit, kit.ann, BUY, UP_TOKEN, 50, 10)
    await place(kit, kit.bob, BUY, UP_TOKEN, 50, 10)
    status, reply = await kit.call(kit.ann, "POST", "/v1/heartbeats", {"heartbeat_id": ""})
    assert status == 200
    beat = {"heartbeat_id": reply["heartbeat_id"]}
    await trio.sleep(4)
    _, reply = await kit.call(kit.ann, "POST", "/v1/heartbeats", beat)
    status, refusal = await kit.call(kit.ann, "POST", "/v1/heartbeats", beat)
    assert (status, refusal) == (
        400, {"error_msg": "Invalid Heartbeat ID", "heartbeat_id": reply["heartbeat_id"]},
    )  # fmt: skip
    await trio.sleep(9)
    assert len(kit.engine.live_orders(kit.ann.creds.api_key)) == 1
    await trio.sleep(3)
    assert kit.engine.live_orders(kit.ann.creds.api_key) == []
    assert len(kit.engine.live_orders(kit.bob.creds.api_key)) == 1


async def test_a_heartbeat_needs_its_id(kit: ClobKit, autojump_clock: MockClock) -> None:
    """A body without a text id is refused."""
    for body in (None, {}, {"heartbeat_id": 5}):
        assert (await kit.call(kit.ann, "POST", "/v1/heartbeats", body))[0] == 400


# --- private reads ---------------------------------------------------------------------------


@pytest.mark.conforms("clob-5.1-orders", "clob-5.1-paging", "clob-5.1-order-keys")
async def test_open_orders_are_paged_and_filtered(kit: ClobKit, autojump_clock: MockClock) -> None:
    """A hundred a page, cursors as base64 offsets, the end as -1; the SDK reads the page."""
    for cents in range(1, 52):
        for token in (UP_TOKEN, DOWN_TOKEN):
            await place(kit, kit.ann, BUY, token, min(cents, 49), 5)
    _, page = await kit.call(kit.ann, "GET", "/data/orders")
    assert (page["count"], page["limit"], page["next_cursor"]) == (100, 100, "MTAw")
    _, rest = await kit.call(kit.ann, "GET", "/data/orders", next_cursor="MTAw")
    assert (rest["count"], rest["next_cursor"]) == (2, "LTE=")
    assert len({row["id"] for row in page["data"] + rest["data"]}) == 102
    _, up = await kit.call(kit.ann, "GET", "/data/orders", asset_id=UP_TOKEN)
    assert up["count"] == 51
    assert (await kit.call(kit.ann, "GET", "/data/orders", market="0x1"))[1]["count"] == 0
    assert len(parse_open_orders_page(page).items) == 100
    status, reply = await kit.call(kit.ann, "GET", "/data/orders", next_cursor="!")
    assert (status, reply["error"]) == (400, "invalid order params payload")


@pytest.mark.conforms("clob-5.1-order", "clob-5.1-others-invisible")
async def test_one_order_in_any_status(kit: ClobKit, autojump_clock: MockClock) -> None:
    """Cancelled orders can still be read by their owner, and by nobody else."""
    order_id = await place(kit, kit.ann, BUY, UP_TOKEN, 50, 10)
    await kit.call(kit.ann, "DELETE", "/cancel-all")
    status, row = await kit.call(kit.ann, "GET", f"/data/order/{order_id}")
    assert (status, row["status"], row["original_size"], row["size_matched"]) == (
        200, "CANCELED", "10", "0",
    )  # fmt: skip
    assert (row["created_at"], row["expiration"], row["order_type"]) == (T0 // 1000, "0", "GTC")
    parse_open_order(row)
    assert (await kit.call(kit.ann, "GET", "/data/orders", id=order_id))[1]["count"] == 1
    missing = (404, {"error": "Order not found"})
    assert await kit.call(kit.bob, "GET", f"/data/order/{order_id}") == missing
    assert await kit.call(kit.ann, "GET", "/data/order/0x1") == missing


@pytest.mark.conforms("clob-5.1-trades", "clob-5.1-trade-keys", "clob-5.1-trade-filter-taker")
async def test_trades_from_both_sides(kit: ClobKit, autojump_clock: MockClock) -> None:
    """Each side sees the trade with its own role; filters look at the taker order."""
    await place(kit, kit.ann, BUY, DOWN_TOKEN, 48, 10)
    await place(kit, kit.bob, BUY, UP_TOKEN, 52, 10)
    _, maker = await kit.call(kit.ann, "GET", "/data/trades")
    _, taker = await kit.call(kit.bob, "GET", "/data/trades")
    assert [row["trader_side"] for row in maker["data"] + taker["data"]] == ["MAKER", "TAKER"]
    assert maker["data"][0]["status"] == "TRADE_STATUS_MATCHED_NOT_BROADCASTED"
    kit.engine.advance(T0 + 650)
    _, maker = await kit.call(kit.ann, "GET", "/data/trades")
    assert maker["data"][0]["status"] == "TRADE_STATUS_MATCHED"
    parse_account_trades_page(maker)
    trade_id = maker["data"][0]["id"]
    second = T0 // 1000
    for query, count in (
        ({"id": trade_id}, 1), ({"id": "x"}, 0), ({"asset_id": UP_TOKEN}, 1),
        ({"asset_id": DOWN_TOKEN}, 0), ({"market": kit.market.condition_id}, 1),
        ({"maker_address": kit.ann.address.lower()}, 1), ({"maker_address": "0x1"}, 0),
        ({"after": str(second)}, 1), ({"after": str(second + 1)}, 0), ({"before": "1"}, 0),
    ):  # fmt: skip
        _, page = await kit.call(kit.ann, "GET", "/data/trades", **query)
        assert page["count"] == count, query
    assert (await kit.call(kit.ann, "GET", "/data/trades", after="x"))[0] == 400


async def test_only_keys_trades_are_remembered(kit: ClobKit, autojump_clock: MockClock) -> None:
    """The crowd trades by the thousand and reads nothing."""
    kit.crowd(SELL, UP_TOKEN, 5000, 10)
    kit.crowd(BUY, UP_TOKEN, 5000, 10)
    assert kit.engine.trades
    assert not kit.server._account._trades


@pytest.mark.conforms("clob-5.1-balance")
async def test_balances_are_base_units(kit: ClobKit, autojump_clock: MockClock) -> None:
    """pUSD and shares; the update call answers too; bad kinds are refused."""
    _, cash = await kit.call(kit.ann, "GET", "/balance-allowance", asset_type="COLLATERAL")
    assert cash["balance"] == str(10_000 * UNIT)
    parse_balance_allowance(cash)
    _, shares = await kit.call(
        kit.ann, "GET", "/balance-allowance/update", asset_type="CONDITIONAL", token_id=UP_TOKEN
    )
    assert shares["balance"] == str(1_000 * UNIT)
    for query in ({}, {"asset_type": "X"}, {"asset_type": "CONDITIONAL", "token_id": "5"}):
        assert await kit.call(kit.ann, "GET", "/balance-allowance", **query) == (
            400, {"error": "Invalid asset type"},
        )  # fmt: skip


@pytest.mark.conforms("clob-5.1-scoring")
async def test_scoring(kit: ClobKit, autojump_clock: MockClock) -> None:
    """Live, at least fifty shares, within 4.5 cents of the midpoint, for half a minute."""
    kit.crowd(SELL, UP_TOKEN, 5300, 50)
    near = await place(kit, kit.ann, BUY, UP_TOKEN, 51, 50)
    small = await place(kit, kit.ann, BUY, UP_TOKEN, 51, 49)
    far = await place(kit, kit.ann, BUY, UP_TOKEN, 40, 50)
    await trio.sleep(30)
    _, scores = await kit.call(kit.ann, "POST", "/orders-scoring", [near, small, far, "0x1"])
    assert list(scores.values()) == [True, False, False, False]
    _, one = await kit.call(kit.ann, "GET", "/order-scoring", order_id=near)
    assert one == {"scoring": True}


@pytest.mark.conforms("clob-2.2-unauthorized")
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/order"),
        ("DELETE", "/cancel-all"),
        ("GET", "/data/orders"),
        ("GET", "/auth/api-keys"),
    ],
)
async def test_private_calls_need_credentials(
    kit: ClobKit, autojump_clock: MockClock, method: str, path: str
) -> None:
    """401 without the headers, before anything else."""
    reply = decoded(await kit.server.handle(Request(method, path, {}, {}, b"")))
    assert reply == (401, {"error": "Unauthorized/Invalid api key"})


@pytest.mark.conforms("clob-2.1-closed-only-flag", "clob-2.1-delete")
async def test_the_key_calls_behind_l2(kit: ClobKit, autojump_clock: MockClock) -> None:
    """Listing, the closed-only flag and deletion, after which the key is dead."""
    assert (await kit.call(kit.ann, "GET", "/auth/api-keys"))[1] == {"apiKeys": ["key-17"]}
    flag = await kit.call(kit.ann, "GET", "/auth/ban-status/closed-only")
    assert flag == (200, {"closed_only": False})
    assert await kit.call(kit.ann, "DELETE", "/auth/api-key") == (200, "OK")
    assert (await kit.call(kit.ann, "GET", "/auth/api-keys"))[0] == 401


# --- public reads ----------------------------------------------------------------------------


@pytest.mark.conforms(
    "clob-5.2-ok",
    "clob-5.2-tick-size",
    "clob-5.2-neg-risk",
    "clob-5.2-fee-rate",
    "clob-3.2-version-route",
)
async def test_the_simple_public_calls(kit: ClobKit, autojump_clock: MockClock) -> None:
    """Constant and per-token answers (clob.md 5.2)."""
    assert await kit.get("/ok") == (200, "OK")
    assert await kit.get("/time") == (200, T0 // 1000)
    assert await kit.get("/version") == (200, {"version": 2})
    assert await kit.get("/tick-size", token_id=UP_TOKEN) == (200, {"minimum_tick_size": 0.01})
    assert await kit.get("/neg-risk", token_id=UP_TOKEN) == (200, {"neg_risk": False})
    assert await kit.get("/fee-rate", token_id=UP_TOKEN) == (200, {"base_fee": 1000})
    assert await kit.get("/fee-rate", token_id="5") == (
        404, {"error": "fee rate not found for market"},
    )  # fmt: skip
    assert (await kit.get("/nowhere"))[0] == 404


@pytest.mark.conforms("clob-5.2-midpoint", "clob-5.2-price", "clob-5.2-spread")
async def test_prices_from_the_book(kit: ClobKit, autojump_clock: MockClock) -> None:
    """Midpoint, sides and spread of either token, one by one and in bulk."""
    kit.crowd(BUY, UP_TOKEN, 5000, 10)
    kit.crowd(SELL, UP_TOKEN, 5300, 10)
    assert await kit.get("/midpoint", token_id=UP_TOKEN) == (200, {"mid": "0.515"})
    assert await kit.get("/spread", token_id=DOWN_TOKEN) == (200, {"spread": "0.03"})
    assert await kit.get("/price", token_id=DOWN_TOKEN, side="BUY") == (200, {"price": "0.47"})
    assert await kit.get("/price", token_id=UP_TOKEN, side="SELL") == (200, {"price": "0.53"})
    assert (await kit.get("/price", token_id=UP_TOKEN, side="x"))[0] == 400
    both = [{"token_id": UP_TOKEN}, {"token_id": "5"}]
    assert (await kit.post("/midpoints", both))[1] == {UP_TOKEN: "0.515"}
    assert (await kit.post("/spreads", both))[1] == {UP_TOKEN: "0.03"}
    sides = [{"token_id": UP_TOKEN, "side": "BUY"}]
    assert (await kit.post("/prices", sides))[1] == {UP_TOKEN: {"BUY": "0.5"}}
    _, books = await kit.post("/books", both)
    assert [book["asset_id"] for book in books] == [UP_TOKEN]
    assert (await kit.post("/books", [{}] * 501)) == (400, {"error": "Payload exceeds the limit"})
    assert (await kit.post("/books", {"a": 1}))[0] == 400


@pytest.mark.conforms("clob-5.2-last-trade")
async def test_the_last_trade(kit: ClobKit, autojump_clock: MockClock) -> None:
    """A half and no side until there was one; then the taker's."""
    assert await kit.get("/last-trade-price", token_id=UP_TOKEN) == (
        200, {"price": "0.5", "side": ""},
    )  # fmt: skip
    kit.crowd(BUY, UP_TOKEN, 5000, 10)
    kit.crowd(SELL, UP_TOKEN, 5000, 10)
    expected = {"price": "0.5", "side": SELL}
    assert await kit.get("/last-trade-price", token_id=UP_TOKEN) == (200, expected)
    _, many = await kit.post("/last-trades-prices", [{"token_id": UP_TOKEN}, {"token_id": "5"}])
    assert many == [{"token_id": UP_TOKEN, **expected}]


@pytest.mark.conforms("clob-5.2-book-missing", "clob-8-resolved-book")
async def test_a_book_is_gone_when_trading_stops(kit: ClobKit, autojump_clock: MockClock) -> None:
    """404 for unknown and closed books (clob.md 8)."""
    gone = (404, {"error": "No orderbook exists for the requested token id"})
    assert await kit.get("/book", token_id="5") == gone
    kit.engine.close_market(kit.market, T0)
    for path in ("/book", "/midpoint", "/spread", "/last-trade-price"):
        assert await kit.get(path, token_id=UP_TOKEN) == gone


@pytest.mark.conforms("clob-5.2-clob-market", "clob-5.2-by-token")
async def test_market_forms(kit: ClobKit, autojump_clock: MockClock) -> None:
    """Short keys, long form with the winner, and the token look-up."""
    condition = kit.market.condition_id
    _, short = await kit.get(f"/clob-markets/{condition}")
    assert short["t"] == [{"t": UP_TOKEN, "o": "Up"}, {"t": DOWN_TOKEN, "o": "Down"}]
    assert (short["mos"], short["mts"], short["v"]) == (5, 0.01, "v1")
    assert type(short["mos"]) is int
    assert (short["mbf"], short["tbf"], short["ao"]) == (1000, 1000, True)
    assert short["aot"] == "2026-11-20T00:00:00Z"
    assert short["fd"] == {"r": 0.07, "e": 1, "to": True}
    assert "itode" not in short
    assert "nr" not in short
    _, pair = await kit.get(f"/markets-by-token/{UP_TOKEN}")
    assert (pair["primary_token_id"], pair["secondary_token_id"]) == (DOWN_TOKEN, UP_TOKEN)
    kit.engine.close_market(kit.market, T0)
    kit.engine.resolve_market(kit.market, DOWN, T0)
    _, form = await kit.get(f"/markets/{condition}")
    assert [(t["outcome"], t["winner"]) for t in form["tokens"]] == [("Up", False), ("Down", True)]
    assert (form["closed"], form["accepting_orders"]) == (True, False)
    for path in ("/clob-markets/0x1", "/markets/0x1", "/markets-by-token/5"):
        assert (await kit.get(path))[0] == 404


@pytest.mark.conforms("clob-5.2-clob-market-omits")
async def test_a_delayed_market_says_so(autojump_clock: MockClock) -> None:
    """`itode` and `nr` appear when true."""
    kit = ClobKit(taker_delay_ms=150, neg_risk=True, fee_rate_ppm=0)
    _, short = await kit.get(f"/clob-markets/{kit.market.condition_id}")
    assert (short["itode"], short["nr"], "fd" in short) == (True, True, False)


# --- whole -----------------------------------------------------------------------------------


async def test_end_to_end_over_sockets() -> None:
    """Keys by L1, an order by L2, and both streams telling of it, over real connections."""
    kit = ClobKit()
    carol = Wallet(0x55)
    kit.engine.accounts.deposit(carol.address, 1_000 * UNIT)
    server = kit.server
    with trio.fail_after(20):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(server.run)
            rest = await nursery.start(serve, server.service_rest, 0)
            market_port = await nursery.start(serve, server.service_market_ws, 0)
            user_port = await nursery.start(serve, server.service_user_ws, 0)
            base = f"http://127.0.0.1:{rest}"
            async with (
                httpx.AsyncClient(base_url=base) as client,
                open_client(market_port, "/ws/market") as market,
                open_client(user_port, "/ws/user") as user,
            ):
                made = (await client.post("/auth/api-key", headers=carol.l1_headers())).json()
                again = await client.get("/auth/derive-api-key", headers=carol.l1_headers())
                assert again.json() == made
                carol.creds.api_key = made["apiKey"]
                carol.creds.api_secret = made["secret"]
                carol.creds.api_passphrase = made["passphrase"]
                await user.send_message(json.dumps({"type": "user", "auth": made}))
                await user.send_message("PING")
                assert await user.get_message() == "PONG"
                await market.send_message(json.dumps({"type": "market", "assets_ids": [UP_TOKEN]}))
                assert json.loads(await market.get_message())[0]["bids"] == []
                body = json.dumps(carol.limit(BUY, UP_TOKEN, 50, 10), separators=(",", ":"))
                headers = carol.headers("POST", "/order", body)
                reply = (await client.post("/order", content=body, headers=headers)).json()
                assert reply["status"] == "live"
                assert json.loads(await user.get_message())["id"] == reply["orderID"]
                assert json.loads(await market.get_message())["event_type"] == "price_change"
            nursery.cancel_scope.cancel()
    assert kit.errors == []


ROUTES = st.sampled_from(
    ["/order", "/orders", "/cancel-market-orders", "/v1/heartbeats", "/data/orders", "/data/trades",
     "/balance-allowance", "/orders-scoring", "/books", "/prices", "/last-trades-prices",
     "/cancel-all", "/heartbeats", "/order-scoring", "/rewards/user", "/rewards/user/total",
     "/rewards/user/percentages", "/rewards/user/markets", "/rewards/markets/multi",
     "/rewards/markets/current", "/rebates/current", "/v1/user/rate-limit-tier"]
)  # fmt: skip
JSON = st.recursive(
    # The official client signs ' as " (clob.md 2.2), so such a body would only be a 401.
    st.none()
    | st.booleans()
    | st.integers()
    | st.text(st.characters(exclude_characters="'"), max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["order", "orderID", "market", "token_id", "side"]), inner
        )
    ),
    max_leaves=6,
)
QUERY = st.dictionaries(
    st.sampled_from(["next_cursor", "id", "market", "asset_id", "before", "after", "maker_address",
                     "asset_type", "token_id", "signature_type", "date", "page_size", "order_id",
                     "q"]), st.text(max_size=20), max_size=4,
)  # fmt: skip


@given(st.sampled_from(["GET", "POST", "DELETE"]), ROUTES, JSON, QUERY)
@settings(max_examples=150, deadline=None)
def test_no_request_breaks_the_router(
    method: str, path: str, body: object, query: dict[str, str]
) -> None:
    """Whatever an authenticated client sends, the answer is a response."""

    async def main() -> None:
        kit = ClobKit()
        response = await kit.server.handle(kit.ann.request(method, path, body, query))
        assert response.status in {200, 400, 404, 405}
        assert kit.market.outcome_of(UP_TOKEN) == UP

    trio.run(main, clock=MockClock())
