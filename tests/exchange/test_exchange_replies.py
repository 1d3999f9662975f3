"""What POST /order and /orders answer, over HTTP, with the status of each (clob.md 3.5–3.9)."""

from __future__ import annotations

import json
import random
from decimal import Decimal
from typing import Any

import pytest
import trio
from clob_kit import T0, UP_TOKEN, ClobKit, Wallet
from polymarket._internal.actions.orders.limit import _compute_limit_order_amounts
from polymarket._internal.actions.orders.market import _compute_market_order_amounts
from polymarket._internal.actions.orders.post import parse_order_response, parse_order_responses
from polymarket.models.clob.order_response import AcceptedOrder, RejectedOrder
from trio.testing import MockClock, wait_all_tasks_blocked

from polybot.exchange.model import BUY, SELL, OrderEvent, Status
from polybot.exchange.money import ONE, UNIT, decimal_text
from polybot.exchange.order_entry import BAD_PAYLOAD
from polybot.exchange.order_signatures import WRONG_VERSION
from polybot.exchange.rules import FOK_KILLED, TICKS
from polybot.exchange.terms import Terms


@pytest.fixture
async def kit(autojump_clock: MockClock) -> ClobKit:
    return ClobKit()


async def post(kit: ClobKit, wallet: Wallet, order: dict[str, Any]) -> tuple[int, Any]:
    return await kit.call(wallet, "POST", "/order", order)


async def held_post(
    kit: ClobKit, nursery: trio.Nursery, clock: MockClock, wallet: Wallet, order: dict[str, Any]
) -> list[tuple[int, Any]]:
    """Post an order that waits; the list fills when its reply comes."""
    replies: list[tuple[int, Any]] = []

    async def send() -> None:
        replies.append(await post(kit, wallet, order))

    nursery.start_soon(send)
    await wait_all_tasks_blocked()
    return replies


async def pass_time(kit: ClobKit, clock: MockClock, seconds: float) -> None:
    clock.jump(seconds)
    kit.engine.advance(kit.clock.now_ms())
    await wait_all_tasks_blocked()


# --- statuses ------------------------------------------------------------------------------


@pytest.mark.conforms("clob-3.6-partial-rests", "clob-3.8-gtc-rests")
async def test_a_partly_matched_order_is_matched_and_rests(kit: ClobKit) -> None:
    """`matched` with what was filled at once; the remainder of a GTC rests (clob.md 3.6)."""
    await post(kit, kit.ann, kit.ann.limit(SELL, UP_TOKEN, 52, 6))
    _, reply = await post(kit, kit.bob, kit.bob.limit(BUY, UP_TOKEN, 52, 10))
    assert (reply["status"], reply["makingAmount"], reply["takingAmount"]) == (
        "matched", "3.12", "6",
    )  # fmt: skip
    assert isinstance(parse_order_response(reply), AcceptedOrder)
    _, page = await kit.call(kit.bob, "GET", "/data/orders")
    (row,) = page["data"]
    assert (row["status"], row["original_size"], row["size_matched"]) == ("LIVE", "10", "6")


@pytest.mark.conforms("clob-3.6-delayed")
async def test_a_seconds_delay_is_told_at_once(mock_clock: MockClock) -> None:
    """`delayed`, amounts 0 and no trades; the order is read as DELAYED and filled later (3.6)."""
    kit = ClobKit(seconds_delay=3)
    await post(kit, kit.ann, kit.ann.limit(SELL, UP_TOKEN, 52, 10))
    status, reply = await post(kit, kit.bob, kit.bob.limit(BUY, UP_TOKEN, 52, 10))
    assert (status, reply["status"]) == (200, "delayed")
    assert (reply["makingAmount"], reply["takingAmount"], "tradeIDs" in reply) == ("0", "0", False)
    assert isinstance(parse_order_response(reply), AcceptedOrder)
    path = f"/data/order/{reply['orderID']}"
    assert (await kit.call(kit.bob, "GET", path))[1]["status"] == "DELAYED"
    _, refused = await kit.call(kit.bob, "DELETE", "/order", {"orderID": reply["orderID"]})
    assert list(refused["not_canceled"]) == [reply["orderID"]]
    await pass_time(kit, mock_clock, 2.999)
    assert not kit.engine.trades
    await pass_time(kit, mock_clock, 0.001)
    assert len(kit.engine.trades) == 1
    assert (await kit.call(kit.bob, "GET", path))[1]["status"] == "MATCHED"
    _, form = await kit.get(f"/markets/{kit.market.condition_id}")
    assert form["seconds_delay"] == 3


@pytest.mark.conforms("clob-3.6-unmatched")
@pytest.mark.parametrize("told", [False, True])
async def test_an_order_whose_match_went_away_rests(
    nursery: trio.Nursery, mock_clock: MockClock, told: bool
) -> None:
    """Marketable when it came, it rests after the delay: `live`, or `unmatched` by term (3.6)."""
    kit = ClobKit(taker_delay_ms=150, terms=Terms(unmatched_is_told=told))
    _, maker = await post(kit, kit.ann, kit.ann.limit(SELL, UP_TOKEN, 52, 10))
    order = kit.bob.limit(BUY, UP_TOKEN, 52, 10)
    replies = await held_post(kit, nursery, mock_clock, kit.bob, order)
    await kit.call(kit.ann, "DELETE", "/order", {"orderID": maker["orderID"]})
    await pass_time(kit, mock_clock, 0.150)
    ((status, reply),) = replies
    assert (status, reply["status"]) == (200, "unmatched" if told else "live")
    assert isinstance(parse_order_response(reply), RejectedOrder if told else AcceptedOrder)
    assert len(kit.engine.live_orders(kit.bob.creds.api_key)) == 1
    _, plain = await post(kit, kit.bob, kit.bob.limit(BUY, UP_TOKEN, 40, 10))
    assert plain["status"] == "live"  # it never was marketable


@pytest.mark.conforms("clob-3.6-fok-on-user-stream")
@pytest.mark.parametrize("as_200", [False, True])
async def test_a_killed_fok(autojump_clock: MockClock, as_200: bool) -> None:
    """400, or by term 200 with an id and no status; a CANCELLATION with the text (clob.md 3.6)."""
    kit = ClobKit(terms=Terms(killed_fok_is_200=as_200))
    told: list[OrderEvent] = []
    kit.engine.listeners.append(lambda e: told.append(e) if isinstance(e, OrderEvent) else None)
    status, reply = await post(kit, kit.bob, kit.bob.limit(BUY, UP_TOKEN, 50, 10, "FOK"))
    (order,) = kit.engine.orders.values()
    assert [(event.kind, event.status) for event in told] == [
        ("CANCELLATION", f"CANCELED_{FOK_KILLED}")
    ]
    if as_200:
        assert (status, reply["success"], reply["orderID"]) == (200, True, order.id)
        assert (reply["status"], reply["errorMsg"]) == ("", FOK_KILLED)
        parsed = parse_order_response(reply)
        assert isinstance(parsed, RejectedOrder)
        assert parsed.code == "fok_not_filled"
    else:
        assert (status, reply) == (400, {"error": FOK_KILLED})
    assert (await kit.call(kit.bob, "GET", f"/data/order/{order.id}"))[1]["status"] == "CANCELED"


@pytest.mark.conforms("clob-3.9-hold-disconnect")
async def test_a_client_that_hangs_up_changes_nothing(mock_clock: MockClock) -> None:
    """A held order lives on without its request (clob.md 3.9)."""
    kit = ClobKit(taker_delay_ms=150)
    await post(kit, kit.ann, kit.ann.limit(SELL, UP_TOKEN, 52, 10))
    async with trio.open_nursery() as gone:
        order = kit.bob.limit(BUY, UP_TOKEN, 52, 10)
        await held_post(kit, gone, mock_clock, kit.bob, order)
        gone.cancel_scope.cancel()
    await pass_time(kit, mock_clock, 0.150)
    assert len(kit.engine.trades) == 1


# --- batches -------------------------------------------------------------------------------


async def test_each_entry_of_a_batch_has_its_own_answer(kit: ClobKit) -> None:
    """Same order as sent; a refusal says success, no id, and why (clob.md 3.6, 3.7)."""
    good = kit.ann.limit(BUY, UP_TOKEN, 40, 10)
    stranger = kit.ann.limit(BUY, UP_TOKEN, 41, 10) | {"owner": "somebody"}
    poor = kit.ann.limit(BUY, UP_TOKEN, 99, 100_000)
    killed = kit.ann.limit(BUY, UP_TOKEN, 50, 10, "FOK")
    status, replies = await kit.call(
        kit.ann, "POST", "/orders", [good, stranger, "nonsense", poor, killed, good]
    )
    assert status == 200
    assert [reply["success"] for reply in replies] == [True] * 6
    assert [bool(reply["orderID"]) for reply in replies] == [
        True,
        False,
        False,
        False,
        False,
        False,
    ]
    assert [reply["status"] for reply in replies] == ["live", "", "", "", "", ""]
    codes = [getattr(parsed, "code", None) for parsed in parse_order_responses(replies)]
    assert codes == [None, "unknown", "unknown", "not_enough_balance", "fok_not_filled", "unknown"]


@pytest.mark.conforms("clob-3.7-no-idempotency")
async def test_a_batch_sent_again_is_duplicated_entry_by_entry(kit: ClobKit) -> None:
    """There is no idempotency key: the ids are what recognises it (clob.md 3.7)."""
    batch = [kit.ann.limit(BUY, UP_TOKEN, cents, 10) for cents in (40, 41, 42)]
    _, first = await kit.call(kit.ann, "POST", "/orders", batch)
    status, again = await kit.call(kit.ann, "POST", "/orders", batch)
    assert status == 200
    for made, refused in zip(first, again, strict=True):
        assert refused["errorMsg"] == f"order {made['orderID']} is invalid. Duplicated."
    assert len(kit.engine.live_orders(kit.ann.creds.api_key)) == 3


# --- shape ---------------------------------------------------------------------------------


@pytest.mark.conforms("clob-3.6-old-version")
async def test_an_order_of_the_first_clob_has_the_wrong_version(kit: ClobKit) -> None:
    """taker, nonce and feeRateBps instead of timestamp, metadata and builder (clob.md 9)."""
    payload = kit.ann.limit(BUY, UP_TOKEN, 50, 10)
    for name in ("timestamp", "metadata", "builder"):
        del payload["order"][name]
    payload["order"] |= {"taker": "0x" + "00" * 20, "nonce": "0", "feeRateBps": "0"}
    assert await post(kit, kit.ann, payload) == (400, {"error": WRONG_VERSION})


@pytest.mark.conforms("clob-3.5-defer-exec")
@pytest.mark.parametrize("value", [None, False, True])
async def test_defer_exec_is_optional(kit: ClobKit, value: bool | None) -> None:
    """Absent or a flag; anything else is no order (clob.md 3.5)."""
    payload = kit.ann.limit(BUY, UP_TOKEN, 50, 10)
    payload.pop("deferExec", None)
    if value is not None:
        payload["deferExec"] = value
    assert (await post(kit, kit.ann, payload))[0] == 200
    wrong = kit.ann.limit(BUY, UP_TOKEN, 50, 10) | {"deferExec": "no"}
    assert await post(kit, kit.ann, wrong) == (400, {"error": BAD_PAYLOAD})


@pytest.mark.conforms("clob-3.5-key-order")
async def test_keys_come_in_any_order(kit: ClobKit) -> None:
    """Key order is free, inside and out (clob.md 3.5)."""
    rng = random.Random(1)
    for _ in range(5):
        payload = kit.ann.limit(BUY, UP_TOKEN, 50, 10)
        shuffled = {name: payload[name] for name in rng.sample(list(payload), len(payload))}
        order = payload["order"]
        shuffled["order"] = {name: order[name] for name in rng.sample(list(order), len(order))}
        assert (await post(kit, kit.ann, shuffled))[0] == 200


@pytest.mark.conforms("clob-3.1-unsigned-fields")
async def test_what_is_outside_the_signature_can_change(kit: ClobKit) -> None:
    """expiration, orderType and postOnly are not signed: the id stays (clob.md 3.1)."""
    payload = kit.ann.limit(BUY, UP_TOKEN, 50, 10)
    other = json.loads(json.dumps(payload)) | {"orderType": "GTD", "postOnly": True}
    other["order"]["expiration"] = str(T0 // 1000 + 200)
    _, made = await post(kit, kit.ann, other)
    assert made["status"] == "live"
    _, refused = await post(kit, kit.ann, payload)
    assert refused["error"] == f"order {made['orderID']} is invalid. Duplicated."


# --- ticks ---------------------------------------------------------------------------------


@pytest.mark.conforms("clob-3.4-ticks")
@pytest.mark.parametrize("tick", TICKS)
async def test_the_sdks_amounts_are_right_at_every_tick(
    autojump_clock: MockClock, tick: int
) -> None:
    """Limit and market orders by the official rounding, all over the grid (clob.md 3.4)."""
    kit = ClobKit(tick=tick)
    kit.engine.accounts.deposit(kit.ann.address, 10**12)
    rng = random.Random(tick)
    name = Decimal(decimal_text(tick, ONE))
    for _ in range(12):
        units = rng.randrange(tick, ONE - tick + 1, tick)
        price = Decimal(units) / ONE
        size = Decimal(rng.randrange(500, 50_000)) / 100
        limit = _compute_limit_order_amounts(price=price, size=size, side="BUY", tick_size=name)
        status, reply = await post(kit, kit.ann, kit.ann.order(BUY, UP_TOKEN, *_pair(limit)))
        assert (status, reply.get("status")) == (200, "live"), reply
        await kit.call(kit.ann, "DELETE", "/cancel-all")
        dollars = Decimal(rng.randrange(500, 90_000)) / 100
        spent = _compute_market_order_amounts(
            amount=dollars, price=price, side="BUY", tick_size=name
        )
        status, reply = await post(kit, kit.ann, kit.ann.order(BUY, UP_TOKEN, *_pair(spent), "FAK"))
        assert status == 400
        assert reply["error"].startswith("no orders found") or "lower than" in reply["error"], reply


def _pair(amounts: Any) -> tuple[int, int]:
    return int(amounts[0]), int(amounts[1])


@pytest.mark.conforms("clob-3.4-grid-by-division")
@pytest.mark.parametrize(
    ("tick", "price", "on_grid"),
    [(50, 60, False), (50, 55, False), (50, 150, True), (25, 75, True), (25, 60, False),
     (1000, 1500, False), (1, 1, True), (10, 9_995, False), (100, 9_950, False)],
)  # fmt: skip
async def test_a_price_is_a_multiple_of_the_tick(
    autojump_clock: MockClock, tick: int, price: int, on_grid: bool
) -> None:
    """0.006 at tick 0.005 is off the grid (clob.md 3.4)."""
    kit = ClobKit(tick=tick)
    status, reply = await post(kit, kit.ann, kit.ann.order(BUY, UP_TOKEN, price * 1_000, 10 * UNIT))
    assert status == (200 if on_grid else 400)
    if not on_grid:
        shown = f"Price ({decimal_text(price, ONE)}) breaks minimum tick size rule: "
        assert reply["error"].endswith(shown + decimal_text(tick, ONE))


@pytest.mark.conforms("clob-3.4-market-buy-cents")
async def test_a_market_buy_spends_whole_cents(kit: ClobKit) -> None:
    """A limit-style FAK of 21.37 × 0.53 is refused, the GTC is fine (clob.md 3.4)."""
    await post(kit, kit.bob, kit.bob.limit(SELL, UP_TOKEN, 53, 50))
    fak = kit.ann.order(BUY, UP_TOKEN, 11_326_100, 21_370_000, "FAK")
    status, reply = await post(kit, kit.ann, fak)
    assert status == 400
    assert reply["error"] == (
        "the market buy orders maker amount supports a max accuracy of 2 decimals, "
        "taker amount a max of 4 decimals"
    )
    gtc = kit.ann.order(BUY, UP_TOKEN, 11_326_100, 21_370_000)
    assert (await post(kit, kit.ann, gtc))[1]["status"] == "matched"


async def test_statuses_in_reads(kit: ClobKit) -> None:
    """Every end of an order is read under its own name (clob.md 5.1)."""
    _, live = await post(kit, kit.ann, kit.ann.limit(BUY, UP_TOKEN, 30, 10))
    _, gone = await post(kit, kit.ann, kit.ann.limit(BUY, UP_TOKEN, 31, 10))
    await kit.call(kit.ann, "DELETE", "/order", {"orderID": gone["orderID"]})
    when = T0 // 1000 + 200
    gtd = kit.ann.limit(BUY, UP_TOKEN, 32, 10, "GTD", expiration=when)
    _, expiring = await post(kit, kit.ann, gtd)
    _, sale = await post(kit, kit.ann, kit.ann.limit(SELL, UP_TOKEN, 70, 1_000))
    kit.engine.merge(kit.ann.address, kit.market, UNIT, T0)
    kit.engine.advance(T0 + 140_000)
    kit.engine.resolve_market(kit.market, 0, T0 + 140_001)
    names = []
    for reply in (live, gone, expiring, sale):
        _, row = await kit.call(kit.ann, "GET", f"/data/order/{reply['orderID']}")
        names.append(row["status"])
    assert names == [
        Status.CANCELED_MARKET_RESOLVED.value,
        Status.CANCELED.value,
        Status.CANCELED_EXPIRED_ORDER.value,
        Status.CANCELED_NOT_ENOUGH_BALANCE.value,
    ]
