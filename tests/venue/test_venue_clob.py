"""The CLOB client against a venue that answers, refuses, stalls and breaks."""

from __future__ import annotations

import json

import httpx
import pytest
import trio
from venue_kit import CONDITION, CREDENTIALS, NOW_MS, answering, make_client, noting, signed

from polybot.clock import Clock
from polybot.domain.orders import (
    Acked,
    CancelResult,
    Failure,
    Reject,
    Rejected,
    Unknown,
)
from polybot.venue.auth import l2_headers
from polybot.venue.clob import ClobClient, StaleHeartbeat
from polybot.venue.site import POLYMARKET

A, B = "0x" + "a" * 64, "0x" + "b" * 64


async def test_one_order_goes_to_order_with_its_own_bytes_and_signature() -> None:
    """The bytes sent are those of the signed order, and the HMAC is over exactly them."""
    seen: list[httpx.Request] = []
    client = make_client(noting(seen, {"orderID": A, "status": "live", "errorMsg": ""}))

    (result,) = await client.place([signed(A)])

    assert isinstance(result, Acked)
    (request,) = seen
    assert (request.method, request.url.path) == ("POST", "/order")
    assert request.content == signed(A).body
    stamp = int(request.headers["POLY_TIMESTAMP"])
    assert stamp >= NOW_MS // 1000
    expected = l2_headers(CREDENTIALS, "POST", "/order", request.content, stamp)
    assert {name: request.headers[name] for name in expected} == expected


async def test_several_orders_go_to_orders() -> None:
    """2 to 15 orders are one array; more or none is a bug."""
    seen: list[httpx.Request] = []
    client = make_client(noting(seen, [{"orderID": order, "status": "live"} for order in (A, B)]))

    results = await client.place([signed(A), signed(B)])

    assert [type(result) for result in results] == [Acked, Acked]
    assert seen[0].url.path == "/orders"
    assert seen[0].content == b"[" + signed(A).body + b"," + signed(B).body + b"]"
    for count in (0, 16):
        with pytest.raises(ValueError, match="expected 1 to 15"):
            await client.place([signed(A)] * count)


@pytest.mark.parametrize(
    "error",
    [
        httpx.ConnectError("refused"),
        httpx.ReadTimeout("slow"),
        httpx.RemoteProtocolError("cut"),
        httpx.WriteError("gone"),
    ],
)
async def test_transport_trouble_is_unknown(error: Exception) -> None:
    """An exception of the transport leaves every order unknown and every read a Failure."""

    def handler(request: httpx.Request) -> httpx.Response:
        raise error

    client = make_client(handler)

    assert isinstance((await client.place([signed(A)]))[0], Unknown)
    assert isinstance(await client.order(A), Failure)
    cancelled = await client.cancel_all()
    assert cancelled.failure is not None
    assert not cancelled.cancelled


async def test_the_deadline_covers_the_whole_call(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """A peer that drips for ever is given up after the client's own deadline."""

    async def drip(request: httpx.Request) -> httpx.Response:
        await trio.sleep_forever()
        raise AssertionError

    client = make_client(drip)  # type: ignore[arg-type]

    (result,) = await client.place([signed(A)])

    assert isinstance(result, Unknown)
    assert trio.current_time() == pytest.approx(5)


async def test_redirects_are_not_followed() -> None:
    """A signed request is never carried to another address."""
    hosts: list[str] = []

    def handler(request: httpx.Request) -> httpx.Response:
        hosts.append(request.url.host)
        return httpx.Response(307, headers={"Location": "https://elsewhere.example/order"})

    client = make_client(handler)

    assert isinstance((await client.place([signed(A)]))[0], Unknown)
    assert hosts == ["clob.polymarket.com"]


async def test_a_refusal_comes_through() -> None:
    """A definite HTTP refusal reaches the caller as Rejected."""
    client = make_client(answering({"error": "invalid signature"}, 400))

    assert isinstance((await client.place([signed(A)]))[0], Rejected)


async def test_cancels_use_their_calls_and_respect_the_limit() -> None:
    """One id, many ids in parts, a market, everything: each the documented request."""
    seen: list[tuple[str, object]] = []

    def handler(request: httpx.Request) -> httpx.Response:
        body = json.loads(request.content) if request.content else None
        seen.append((f"{request.method} {request.url.path}", body))
        ids = body if isinstance(body, list) else [A]
        return httpx.Response(200, json={"canceled": ids, "not_canceled": {}})

    client = make_client(handler)
    many = [f"0x{number:064x}" for number in range(150)]

    assert (await client.cancel([A])).cancelled == {A}
    assert (await client.cancel(many)).cancelled == set(many)
    await client.cancel_market(CONDITION)
    await client.cancel_all()
    assert await client.cancel([]) == CancelResult(frozenset(), {})

    assert seen == [
        ("DELETE /order", {"orderID": A}),
        ("DELETE /orders", many[:100]),
        ("DELETE /orders", many[100:]),
        ("DELETE /cancel-market-orders", {"market": CONDITION}),
        ("DELETE /cancel-all", None),
    ]


@pytest.mark.parametrize(
    ("count", "cut"), [(1, [1]), (2, [2]), (100, [100]), (101, [100, 1]), (250, [100, 100, 50])]
)
async def test_where_a_long_cancel_is_cut(count: int, cut: list[int]) -> None:
    """Each id is asked for once and in its order; a part never exceeds what the signer's bucket
    holds (clob.md 7.2), for one that does can never pass.
    """
    seen: list[httpx.Request] = []
    ids = [f"0x{number:064x}" for number in range(count)]

    await make_client(noting(seen, {"canceled": [], "not_canceled": {}})).cancel(ids)

    bodies = [json.loads(request.content) for request in seen]
    parts = [[body["orderID"]] if isinstance(body, dict) else body for body in bodies]
    assert [len(part) for part in parts] == cut
    assert [one for part in parts for one in part] == ids


async def test_a_part_of_a_cancel_that_fails_is_told() -> None:
    """What was cancelled before the failure is kept; ids in neither set stay unknown."""
    calls: list[int] = []

    def handler(request: httpx.Request) -> httpx.Response:
        calls.append(1)
        if len(calls) == 2:
            return httpx.Response(502)
        return httpx.Response(200, json={"canceled": json.loads(request.content)})

    ids = [f"0x{number:064x}" for number in range(101)]

    result = await make_client(handler).cancel(ids)

    assert result.cancelled == set(ids[:100])
    assert result.failure is not None


@pytest.mark.parametrize(
    ("trouble", "failure", "away"),
    [
        (httpx.Response(502), "HTTP 502", False),
        (httpx.Response(425), "HTTP 425", True),
        (httpx.Response(200, text="<html>"), "unreadable reply", False),
        (httpx.ReadTimeout("slow"), "ReadTimeout", False),
    ],
    ids=["502", "425", "a page", "no answer"],
)
async def test_the_parts_after_one_that_failed_are_asked_for(
    trouble: httpx.Response | Exception, failure: str, away: bool
) -> None:
    """A part in the middle gets no answer that can be used: what comes after it is cancelled all
    the same, what the venue refused is told, and of the part itself nothing is claimed.
    """
    calls: list[int] = []

    def handler(request: httpx.Request) -> httpx.Response:
        calls.append(1)
        if len(calls) != 2:
            first, *rest = json.loads(request.content)
            return httpx.Response(200, json={"canceled": rest, "not_canceled": {first: "matched"}})
        if isinstance(trouble, Exception):
            raise trouble
        return trouble

    ids = [f"0x{number:064x}" for number in range(300)]

    result = await make_client(handler).cancel(ids)

    assert len(calls) == 3
    assert result.cancelled == {*ids[1:100], *ids[201:]}
    assert result.refused == {ids[0]: "matched", ids[200]: "matched"}
    assert failure in (result.failure or "")
    assert result.away is away


ENGINE_AWAY = (b"", b"<html>restarting</html>", {"error": "matching engine is restarting"})


@pytest.mark.parametrize("body", ENGINE_AWAY, ids=["nothing", "a page", "a word"])
async def test_an_engine_that_is_away_takes_no_order(body: object) -> None:
    """425 is said of the request before any engine has it (clob.md 7.3): a refusal, of each order,
    whoever words it. It is sent once; what is to be sent again is its owner's decision.
    """
    calls: list[str] = []

    def handler(request: httpx.Request) -> httpx.Response:
        calls.append(request.url.path)
        return answering(body, 425)(request)

    client = make_client(handler)
    results = [*await client.place([signed(A)]), *await client.place([signed(A), signed(B)])]

    assert calls == ["/order", "/orders"]
    assert [result.order_id for result in results] == [A, A, B]
    for result in results:
        assert isinstance(result, Rejected)
        assert result.reason is Reject.RESTARTING


@pytest.mark.parametrize("status", [408, 499, 500, 502, 504])
async def test_whoever_gave_up_waiting_has_refused_nothing(status: int) -> None:
    """The request may be with the engine: of no order in it anything is known, and none is sent a
    second time.
    """
    calls: list[str] = []

    def handler(request: httpx.Request) -> httpx.Response:
        calls.append(request.url.path)
        return httpx.Response(status, json={"error": "client closed request"})

    results = await make_client(handler).place([signed(A), signed(B)])

    assert [type(result) for result in results] == [Unknown, Unknown]
    assert calls == ["/orders"]


@pytest.mark.parametrize(
    "order_id", ["0x1\n", "0x\0", "0x" + "a" * 70_000], ids=["LF", "NUL", "long"]
)
async def test_an_id_that_fits_in_no_address(order_id: str) -> None:
    """The user stream may tell of any id, and each that we have not placed is looked up: a text
    that no address can hold ended the process.
    """
    seen: list[httpx.Request] = []

    answer = await make_client(noting(seen, {})).order(order_id)

    assert isinstance(answer, Failure)
    assert len(answer.what) < 200
    assert seen == []


async def test_a_cursor_that_fits_in_no_address() -> None:
    """The venue makes them up: a list that cannot be followed to its end is not read."""
    page = {"data": [], "next_cursor": "M" * 70_000}

    assert isinstance(await make_client(answering(page)).open_orders(), Failure)


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (200, {"heartbeat_id": "next"}, "next"),
        (
            400,
            {"error_msg": "Invalid Heartbeat ID", "heartbeat_id": "want"},
            StaleHeartbeat("want"),
        ),
        (400, {"error": "Invalid Heartbeat ID", "heartbeat_id": ""}, StaleHeartbeat("")),
    ],
)
async def test_heartbeats(status: int, body: object, expected: object) -> None:
    """Accepted beats give the next id; a stale one gives the id the venue expects."""
    assert await make_client(answering(body, status)).heartbeat("") == expected


@pytest.mark.parametrize(
    ("status", "body"),
    [(200, {}), (400, {"error": "x"}), (500, {"heartbeat_id": "x"}), (200, b"<html>"), (401, b"")],
)
async def test_heartbeats_that_fail(status: int, body: object) -> None:
    """Anything else is a Failure: the switch may or may not have been extended."""
    assert isinstance(await make_client(answering(body, status)).heartbeat("a"), Failure)


@pytest.mark.parametrize(
    ("status", "body", "done"),
    [
        (200, {"heartbeat_id": "x"}, True), (429, {"error": "slow down"}, False),
        (400, {"error_msg": "Invalid Heartbeat ID", "heartbeat_id": "x"}, False),
        (503, b"", False),
    ],
)  # fmt: skip
async def test_what_is_told_of_cancels_and_heartbeats(
    status: int, body: object, done: bool
) -> None:
    """How long each took, and whether the venue did it: what it refuses at once is not quick."""
    told: list[tuple[str, bool]] = []
    http = httpx.AsyncClient(transport=httpx.MockTransport(answering(body, status)))
    client = ClobClient(
        http, POLYMARKET, CREDENTIALS, Clock(NOW_MS),
        took=lambda kind, _seconds, did: told.append((kind, did)),
    )  # fmt: skip
    await client.cancel_all()
    await client.heartbeat("")
    await client.open_orders()

    assert told == [("DELETE", done), ("POST", done)]
