"""Every fault of the REST links strikes on the wire, and nothing changes where it is off."""

from __future__ import annotations

from typing import Any

import pytest
from clob_kit import UP_TOKEN
from fault_kit import HUNG_UP, RestStage, jumping, rest_stage
from trio.testing import MockClock

from polybot.exchange.faults import rest_lies
from polybot.exchange.faults.gamma_lies import MARKET_CHANGES, METADATA_CHANGES
from polybot.exchange.faults.kinds_rest import CONDUCT, KINDS, LIES, TRANSPORT
from polybot.exchange.faults.rest_acts import ACTS, WORDS, route_matches
from polybot.exchange.faults.rest_lies import FRONT
from polybot.exchange.geoblock import RESTRICTED
from polybot.exchange.model import SELL
from polybot.exchange.request import Request
from polybot.exchange.rules import NO_BALANCE, NOT_CANCELABLE

UNIT = 1_000_000


@pytest.fixture
def patient_jumps() -> MockClock:
    return jumping()


# --- transport: what became of the order, and what its sender heard ------------------------------

SILENT = {"silence_ms": 20_000}
HEARD: dict[str, tuple[dict[str, Any], int, int]] = {  # parameters, status, orders
    "request_lost": (SILENT, 0, 0),
    "reply_lost": (SILENT, 0, 1),
    "request_delayed": ({"delay_ms": 5_000}, 200, 1),
    "reply_delayed": ({"delay_ms": 5_000}, 200, 1),
    "cut, not done": ({"done": 0}, 0, 0),
    "cut, done": ({"done": 1}, 0, 1),
    "html_page, not done": ({"done": 0, "status": 502}, 502, 0),
    "html_page, done": ({"done": 1, "status": 200}, 200, 1),
    "empty_body, not done": ({"done": 0}, 200, 0),
    "empty_body, done": ({"done": 1}, 200, 1),
    "wrong_status, done": ({"done": 1, "status": 504}, 504, 1),
    "wrong_status, not done": ({"done": 0, "status": 400}, 400, 0),
    "unknown_wording, done": ({"done": 1}, 400, 1),
    "truncated_json": ({}, 200, 1),
    "throttled": ({"retry_s": 7}, 429, 0),
    "unauthorized": ({}, 401, 0),
    "geoblocked": ({}, 403, 0),
    "no_balance": ({}, 400, 0),
}  # fmt: skip


@pytest.mark.parametrize("case", HEARD)
async def test_an_order_meets_a_fault(case: str, patient_jumps: MockClock) -> None:
    """What is done and what is heard of it are two things (F16–F18, F23, F34–F44)."""
    params, status, orders = HEARD[case]
    fault = case.partition(",")[0]
    async with rest_stage({"fault": fault, "at": "clob"} | params) as stage:
        before_ms = stage.kit.clock.now_ms()
        heard, body = await stage.place()
        took_ms = stage.kit.clock.now_ms() - before_ms

        assert (heard, len(stage.live)) == (status, orders)
        assert stage.struck == {fault: 1}
        assert took_ms >= max(params.get("silence_ms", 0), params.get("delay_ms", 0))
        check_body(fault, body, stage)

        stage.mend()
        assert (await stage.place(30))[0] == 200
        assert len(stage.live) == orders + 1
        assert stage.struck == {fault: 1}


def check_body(fault: str, body: Any, stage: RestStage) -> None:
    if stage.replies:
        headers = stage.replies[-1].headers
        assert (headers.get("retry-after") == "7") == (fault == "throttled")
    match fault:
        case "request_lost" | "reply_lost" | "cut":
            assert body == HUNG_UP
        case "html_page":
            assert body.startswith("<html>")
        case "empty_body":
            assert body == ""
        case "truncated_json":
            assert body.startswith("{")
            assert not body.endswith("}")
        case "unknown_wording":
            assert body["error"] in WORDS
        case "no_balance":
            assert body == {"error": NO_BALANCE}
        case "geoblocked":
            assert body == {"error": RESTRICTED}


def test_every_transport_fault_is_tried() -> None:
    """A kind that is added is tried here, or named here with the test that does it."""
    elsewhere = {"stale_reply", "server_time_skewed"}
    tried = {case.partition(",")[0] for case in HEARD}

    assert tried | elsewhere == {kind.name for kind in TRANSPORT + CONDUCT}
    dealt = {*ACTS, *FRONT, *rest_lies.LIES, *MARKET_CHANGES, *METADATA_CHANGES, "market_missing"}
    assert dealt == {kind.name for kind in KINDS}
    assert {name.removeprefix("test_") for name in globals()} >= {kind.name for kind in LIES}


async def test_stale_reply(patient_jumps: MockClock) -> None:
    """A read is answered as when the window began, whatever happens meanwhile (F34, F48)."""
    async with rest_stage({"fault": "stale_reply", "at": "clob"}) as stage:
        _, before = await stage.ask("GET", "/data/orders")
        await stage.place()

        assert await stage.ask("GET", "/data/orders") == (200, before)
        stage.mend()
        assert (await stage.ask("GET", "/data/orders"))[1]["count"] == 1


async def test_server_time_skewed(patient_jumps: MockClock) -> None:
    """The venue's clock is off (F49)."""
    async with rest_stage({"fault": "server_time_skewed", "skew_s": -300}) as stage:
        _, skewed = await stage.ask("GET", "/time")
        stage.mend()
        _, right = await stage.ask("GET", "/time")

        assert 299 <= right - skewed <= 305


async def test_public_reads_survive_revoked_keys(patient_jumps: MockClock) -> None:
    """Only what needs credentials gets the 401, whether a public read is signed or not (F42)."""
    async with rest_stage({"fault": "unauthorized"}) as stage:
        assert (await stage.http.get("/time")).status_code == 200
        assert (await stage.ask("GET", "/time"))[0] == 200
        assert (await stage.ask("GET", "/data/orders"))[0] == 401


async def test_a_batch_without_balance_is_refused_entry_by_entry(patient_jumps: MockClock) -> None:
    """POST /orders answers 200 with one refusal each (clob.md 3.6)."""
    async with rest_stage({"fault": "no_balance"}) as stage:
        status, entries = await stage.place(path="/orders", count=3)

        assert status == 200
        assert [entry["errorMsg"] for entry in entries] == [NO_BALANCE] * 3


# --- cancels ----------------------------------------------------------------------------------


@pytest.mark.parametrize("done", [0, 1])
async def test_cancel_not_found(done: int, patient_jumps: MockClock) -> None:
    """An order that is there is not found, and may be gone all the same (F19)."""
    async with rest_stage({"fault": "cancel_not_found", "done": done}) as stage:
        order_id = (await stage.place())[1]["orderID"]
        _, body = await stage.ask("DELETE", "/orders", [order_id])

        assert body == {"canceled": [], "not_canceled": {order_id: NOT_CANCELABLE}}
        assert len(stage.live) == 1 - done


async def test_cancel_ignored(patient_jumps: MockClock) -> None:
    """The venue says yes and does nothing (F21)."""
    async with rest_stage({"fault": "cancel_ignored", "match": "DELETE /order"}) as stage:
        order_id = (await stage.place())[1]["orderID"]

        for _ in range(2):
            _, body = await stage.ask("DELETE", "/order", {"orderID": order_id})
            assert body == {"canceled": [order_id], "not_canceled": {}}
        assert len(stage.live) == 1
        _, body = await stage.ask("DELETE", "/orders", [order_id])
        assert (body["canceled"], stage.live) == ([order_id], [])


async def test_cancel_acked_when_matched(patient_jumps: MockClock) -> None:
    """The match was first, and the cancel is acknowledged all the same (F20)."""
    async with rest_stage({"fault": "cancel_acked_when_matched"}) as stage:
        order_id = (await stage.place())[1]["orderID"]
        stage.kit.crowd(SELL, UP_TOKEN, 4000, 10)
        assert stage.live == []

        _, body = await stage.ask("DELETE", "/orders", [order_id])

        assert body == {"canceled": [order_id], "not_canceled": {}}
        assert stage.kit.engine.orders[order_id].matched == 10 * UNIT


# --- batches ------------------------------------------------------------------------------------


async def test_batch_short(patient_jumps: MockClock) -> None:
    """All three rest, two are answered (F22)."""
    async with rest_stage({"fault": "batch_short", "count": 1}) as stage:
        _, entries = await stage.place(path="/orders", count=3)

        assert [entry["orderID"] for entry in entries] == [order.id for order in stage.live[:2]]
        assert len(stage.live) == 3


async def test_batch_ids_empty(patient_jumps: MockClock) -> None:
    """An accepted entry comes without id (F22)."""
    async with rest_stage({"fault": "batch_ids_empty", "count": 1}) as stage:
        _, entries = await stage.place(path="/orders", count=3)

        assert min(entry["orderID"] for entry in entries) == ""
        assert all(entry["success"] for entry in entries)
        assert len(stage.live) == 3


async def test_batch_shuffled(patient_jumps: MockClock) -> None:
    """The same entries in another order (F22)."""
    async with rest_stage({"fault": "batch_shuffled"}) as stage:
        _, entries = await stage.place(path="/orders", count=8)
        placed = [order.id for order in stage.live]

        assert [entry["orderID"] for entry in entries] != placed
        assert sorted(entry["orderID"] for entry in entries) == sorted(placed)


async def test_batch_partly_done(patient_jumps: MockClock) -> None:
    """The first entries are in the book, and the answer is 500 (F23)."""
    async with rest_stage({"fault": "batch_partly_done", "keep": 2}) as stage:
        status, _ = await stage.place(path="/orders", count=4)

        assert (status, len(stage.live)) == (500, 2)
        stage.mend()
        assert (await stage.place(20, path="/orders", count=4))[0] == 200
        assert len(stage.live) == 6


# --- lists ------------------------------------------------------------------------------------


async def test_orders_lag(patient_jumps: MockClock) -> None:
    """A fresh order is not in the list, and is when it is older (F48)."""
    async with rest_stage({"fault": "orders_lag", "lag_ms": 2_000}) as stage:
        order_id = (await stage.place())[1]["orderID"]

        assert (await stage.ask("GET", "/data/orders"))[1]["data"] == []
        assert (await stage.ask("GET", f"/data/order/{order_id}"))[0] == 200
        await stage.kit.clock.sleep_until(stage.kit.clock.now_ms() + 3_500)
        assert (await stage.ask("GET", "/data/orders"))[1]["count"] == 1


async def test_trades_lag(patient_jumps: MockClock) -> None:
    """A fresh trade is not in the list, by its id neither, and is when it is older; its order, the
    stream and the balances have it (F29, F48).
    """
    async with rest_stage({"fault": "trades_lag", "lag_ms": 2_000}) as stage:
        order_id = (await stage.place())[1]["orderID"]
        stage.kit.crowd(SELL, UP_TOKEN, 4000, 6)

        assert (await stage.ask("GET", "/data/trades"))[1]["data"] == []
        row = (await stage.ask("GET", f"/data/order/{order_id}"))[1]
        assert row["size_matched"] == "6"
        named = {"id": row["associate_trades"][0]}
        assert (await stage.ask("GET", "/data/trades", **named))[1]["count"] == 0
        assert stage.struck == {"trades_lag": 2}
        await stage.kit.clock.sleep_until(stage.kit.clock.now_ms() + 3_500)
        assert (await stage.ask("GET", "/data/trades"))[1]["count"] == 1
        assert (await stage.ask("GET", "/data/trades", **named))[1]["count"] == 1
        assert stage.struck == {"trades_lag": 2}


async def test_page_loop(patient_jumps: MockClock) -> None:
    """Whoever follows the cursor comes back to the same page (F47)."""
    async with rest_stage({"fault": "page_loop"}) as stage:
        await stage.place()
        _, first = await stage.ask("GET", "/data/orders")
        _, second = await stage.ask("GET", "/data/orders", next_cursor=first["next_cursor"])

        assert second == first
        assert first["next_cursor"] != "LTE="


async def test_rows_twice(patient_jumps: MockClock) -> None:
    """An order is listed twice (F47)."""
    async with rest_stage({"fault": "rows_twice", "count": 1}) as stage:
        await stage.place()
        _, page = await stage.ask("GET", "/data/orders")

        assert len(page["data"]) == page["count"] == 2
        assert page["data"][0] == page["data"][1]


async def test_cancelled_says_matched(patient_jumps: MockClock) -> None:
    """Partly filled, cancelled, and MATCHED by its status word; unfilled ones are not (F25)."""
    async with rest_stage({"fault": "cancelled_says_matched"}) as stage:
        filled, other = [(await stage.place(cents))[1]["orderID"] for cents in (40, 30)]
        stage.kit.crowd(SELL, UP_TOKEN, 4000, 6)
        await stage.ask("DELETE", "/orders", [filled, other])

        _, row = await stage.ask("GET", f"/data/order/{filled}")
        assert (row["status"], row["size_matched"]) == ("MATCHED", "6")
        assert (await stage.ask("GET", f"/data/order/{other}"))[1]["status"] == "CANCELED"
        assert stage.struck == {"cancelled_says_matched": 1}


# --- several at once, and routes ------------------------------------------------------------------


async def test_faults_overlap(patient_jumps: MockClock) -> None:
    """A late request whose answer is lost is both (reliability.md 2, overlaps)."""
    rows = [
        {"fault": "request_delayed", "at": "clob", "delay_ms": 3_000},
        {"fault": "html_page", "at": "clob", "done": 1, "status": 502},
    ]
    async with rest_stage(*rows) as stage:
        before_ms = stage.kit.clock.now_ms()

        assert (await stage.place())[0] == 502
        assert stage.kit.clock.now_ms() - before_ms >= 3_000
        assert len(stage.live) == 1
        assert stage.struck == {"request_delayed": 1, "html_page": 1}


@pytest.mark.parametrize(
    ("routes", "method", "path", "meets"),
    [
        ((), "GET", "/time", True),
        (("GET",), "GET", "/data/orders", True),
        (("GET",), "POST", "/order", False),
        (("POST /order",), "POST", "/order", True),
        (("POST /order",), "POST", "/orders", False),
        (("POST /order",), "DELETE", "/order", False),
        (("GET /data/order",), "GET", "/data/order/0x1", True),
        (("/markets", "/events"), "GET", "/events/slug/x", True),
    ],
)
def test_routes(routes: tuple[str, ...], method: str, path: str, meets: bool) -> None:
    """A route is a method, a path with what is below it, or both."""
    assert route_matches(routes, Request(method, path, {}, {}, b"")) is meets
