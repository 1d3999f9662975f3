"""Cursor pages, price history and notifications (clob.md 5)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from clob_kit import DOWN_TOKEN, T0, UP_TOKEN, ClobKit, make_market
from polymarket._internal.actions.account import (
    build_drop_notifications_request,
    build_notifications_request,
    parse_notifications,
)
from polymarket.models.clob.builder import BuilderFeeRates
from polymarket.models.clob.notifications import NotificationType
from trio.testing import MockClock

from polybot.exchange.model import BUY, DOWN, SELL, UP
from polybot.exchange.notifications import KEPT
from polybot.exchange.paging import END_CURSOR, PAGE, START_CURSOR
from polybot.exchange.price_history import MARKETS_KEPT

LISTS = ["/markets", "/simplified-markets", "/sampling-markets", "/sampling-simplified-markets"]


@pytest.fixture
async def kit(autojump_clock: MockClock) -> ClobKit:
    return ClobKit()


def add_markets(kit: ClobKit, count: int) -> None:
    for number in range(count):
        market = make_market(
            condition_id=f"0x{number:064x}", tokens=(f"{2 * number}", f"{2 * number + 1}")
        )
        kit.engine.list_market(market, T0)
        kit.engine.open_market(market, T0)


@pytest.mark.conforms("clob-5.2-markets")
@pytest.mark.parametrize("path", LISTS)
async def test_every_market_is_on_one_page_once(kit: ClobKit, path: str) -> None:
    """A hundred rows a page, from MA== to LTE= (clob.md 5.1, 5.2)."""
    add_markets(kit, 2 * PAGE)
    seen: list[str] = []
    cursor, sizes = START_CURSOR, []
    while cursor != END_CURSOR:
        status, page = await kit.get(path, next_cursor=cursor)
        assert (status, page["limit"], page["count"]) == (200, PAGE, len(page["data"]))
        sizes.append(page["count"])
        seen += [row["condition_id"] for row in page["data"]]
        cursor = page["next_cursor"]
    assert sizes == [PAGE, PAGE, 1]
    assert len(set(seen)) == len(seen) == 2 * PAGE + 1
    assert (await kit.get(path, next_cursor=END_CURSOR))[1]["data"] == []


async def test_lists_show_the_right_markets_in_their_form(kit: ClobKit) -> None:
    """Sampling lists leave out what no longer takes orders; simplified rows are short (5.2)."""
    kit.engine.close_market(kit.market, T0)
    kit.engine.resolve_market(kit.market, DOWN, T0)
    _, every = await kit.get("/markets")
    assert every["data"][0] == (await kit.get(f"/markets/{kit.market.condition_id}"))[1]
    _, simple = await kit.get("/simplified-markets")
    (row,) = simple["data"]
    assert set(row) == {
        "condition_id", "rewards", "tokens", "active", "closed", "archived", "accepting_orders",
    }  # fmt: skip
    assert [token["winner"] for token in row["tokens"]] == [False, True]
    assert (row["closed"], row["accepting_orders"]) == (True, False)
    for path in LISTS[2:]:
        assert (await kit.get(path))[1]["data"] == []


@pytest.mark.conforms("clob-5.1-bad-cursor")
@pytest.mark.parametrize("path", [*LISTS, "/data/orders", "/data/trades"])
@pytest.mark.parametrize("cursor", ["!", "MA", "YQ==", "é"])
async def test_a_bad_cursor_is_refused(kit: ClobKit, path: str, cursor: str) -> None:
    """Neither base64 nor a number is 400 (clob.md 5.1)."""
    if path.startswith("/data"):
        status, reply = await kit.call(kit.ann, "GET", path, next_cursor=cursor)
    else:
        status, reply = await kit.get(path, next_cursor=cursor)
    assert (status, list(reply)) == (400, ["error"])


@pytest.mark.conforms("clob-5.2-batch-limit", "clob-5.2-books")
@pytest.mark.parametrize(
    "path", ["/books", "/midpoints", "/prices", "/spreads", "/last-trades-prices"]
)
async def test_batch_reads_have_a_limit(kit: ClobKit, path: str) -> None:
    """Five hundred entries and no more (clob.md 5.2)."""
    entry = {"token_id": UP_TOKEN, "side": "BUY"}
    status, reply = await kit.post(path, [entry] * 500)
    assert status == 200
    if path == "/books":
        assert [book["asset_id"] for book in reply] == [UP_TOKEN] * 500
    assert await kit.post(path, [entry] * 501) == (400, {"error": "Payload exceeds the limit"})


# --- prices-history ------------------------------------------------------------------------


def trade(kit: ClobKit, clock: MockClock, price: int, minutes: float) -> None:
    clock.jump(minutes * 60)
    kit.crowd(SELL, UP_TOKEN, price, 10)
    kit.crowd(BUY, UP_TOKEN, price, 10)


async def test_a_point_a_minute(mock_clock: MockClock) -> None:
    """The last trade of each step, either token, over an interval or between times (5.2)."""
    kit = ClobKit()
    for price, minutes in ((5000, 0), (5100, 0), (5200, 1), (5300, 1), (5400, 58)):
        trade(kit, mock_clock, price, minutes)
    zero = T0 // 60_000 * 60

    async def history(**query: str) -> list[tuple[int, float]]:
        status, reply = await kit.get("/prices-history", **({"market": UP_TOKEN} | query))
        assert status == 200, reply
        return [((point["t"] - zero) // 60, point["p"]) for point in reply["history"]]

    assert await history(interval="max") == [(0, 0.51), (1, 0.52), (2, 0.53), (60, 0.54)]
    assert await history(interval="max", fidelity="5") == [(2, 0.53), (60, 0.54)]
    start, end = str(zero + 60), str(zero + 120)
    assert await history(startTs=start, endTs=end) == [(1, 0.52), (2, 0.53)]
    down = await history(market=DOWN_TOKEN, interval="1d")
    assert down == [(0, 0.49), (1, 0.48), (2, 0.47), (60, 0.46)]
    mock_clock.jump(3600)
    assert await history(interval="1h") == [(60, 0.54)]


@pytest.mark.parametrize(
    "query",
    [
        {"interval": "1d"},
        {"market": "5", "interval": "1d"},
        {"market": UP_TOKEN},
        {"market": UP_TOKEN, "interval": "2d"},
        {"market": UP_TOKEN, "startTs": "1"},
        {"market": UP_TOKEN, "startTs": "1", "endTs": "soon"},
        {"market": UP_TOKEN, "interval": "1d", "fidelity": "0"},
        {"market": UP_TOKEN, "interval": "1d", "fidelity": "-1"},
    ],
)
async def test_a_history_needs_a_token_and_a_span(kit: ClobKit, query: dict[str, str]) -> None:
    """What cannot be answered is 400."""
    assert await kit.get("/prices-history", **query) == (400, {"error": "invalid filters"})


async def test_old_markets_are_forgotten_first(
    kit: ClobKit, monkeypatch: pytest.MonkeyPatch, mock_clock: MockClock
) -> None:
    """Memory is bounded: the market that traded longest ago goes (trades go on for ever)."""
    assert MARKETS_KEPT > 1000
    monkeypatch.setattr("polybot.exchange.price_history.MARKETS_KEPT", 1)
    kit.crowd(SELL, UP_TOKEN, 5000, 10)
    kit.crowd(BUY, UP_TOKEN, 5000, 10)
    kept = dict(kit.server.prices._minutes)
    assert list(kept) == [kit.market.condition_id]
    kit.server.prices._minutes = {"0xold": {1: 1}} | kept
    kit.crowd(SELL, UP_TOKEN, 5000, 10)
    kit.crowd(BUY, UP_TOKEN, 5000, 10)
    assert list(kit.server.prices._minutes) == [kit.market.condition_id]


# --- notifications -------------------------------------------------------------------------


async def told(kit: ClobKit, wallet: Any) -> tuple[Any, ...]:
    path, params = build_notifications_request(signature_type=0)
    query = {name: str(value) for name, value in params.items()}
    status, reply = await kit.call(wallet, "GET", path, **query)
    assert status == 200, reply
    return parse_notifications(reply)


@pytest.mark.conforms("clob-5.1-notifications")
async def test_the_bell_tells_fills_cancellations_and_results(kit: ClobKit) -> None:
    """As the official SDK parses them; each key hears of its own (clob.md 5.1)."""
    assert await told(kit, kit.ann) == ()
    post: Callable[..., Any] = kit.call
    await post(kit.ann, "POST", "/order", kit.ann.limit(SELL, UP_TOKEN, 52, 10))
    await post(kit.bob, "POST", "/order", kit.bob.limit(BUY, UP_TOKEN, 52, 6))
    await post(kit.ann, "DELETE", "/cancel-all")
    kit.engine.resolve_market(kit.market, UP, T0 + 1)

    kinds = NotificationType
    mine = await told(kit, kit.ann)
    assert [one.type for one in mine] == [
        kinds.MARKET_RESOLVED, kinds.ORDER_CANCELLATION, kinds.ORDER_FILL,
    ]  # fmt: skip
    resolved, cancelled, filled = mine
    assert [token.winner for token in resolved.payload.tokens] == [True, False]
    assert (cancelled.payload.matched_size, cancelled.payload.remaining_size) == (6, 4)
    assert (filled.payload.trade_id, filled.payload.transaction_hash) == (
        next(iter(kit.engine.trades)), None,
    )  # fmt: skip
    assert {one.owner for one in mine} == {kit.ann.creds.api_key}
    assert [one.type for one in await told(kit, kit.bob)] == [
        kinds.MARKET_RESOLVED, kinds.ORDER_FILL,
    ]  # fmt: skip

    path, params = build_drop_notifications_request(
        ids=[resolved.id, str(filled.id), 10**9], signature_type=0
    )
    query = {name: str(value) for name, value in params.items()}
    assert await kit.call(kit.ann, "DELETE", path, **query) == (200, "OK")
    assert await told(kit, kit.ann) == (cancelled,)
    assert len(await told(kit, kit.bob)) == 2


async def test_a_failed_fill_is_told(autojump_clock: MockClock) -> None:
    """ORDER_FILL_FAILED when a settlement fails (clob.md 5.1)."""
    kit = ClobKit()
    for wallet, side in ((kit.ann, SELL), (kit.bob, BUY)):
        await kit.call(wallet, "POST", "/order", wallet.limit(side, UP_TOKEN, 52, 10))
    (trade,) = kit.engine.trades.values()
    kit.engine.desk.clearing.fail(trade, T0 + 5)
    for wallet in (kit.ann, kit.bob):
        newest, _ = await told(kit, wallet)
        assert newest.type == NotificationType.ORDER_FILL_FAILED
        assert newest.payload.trade_id == trade.id


async def test_the_bell_forgets_the_oldest(kit: ClobKit) -> None:
    """A bounded list per key; strangers and the crowd have none."""
    for _ in range(KEPT + 20):
        await kit.call(kit.ann, "POST", "/order", kit.ann.limit(BUY, UP_TOKEN, 10, 5))
        kit.engine.cancel_where(kit.ann.creds.api_key, T0)
    kit.crowd(SELL, UP_TOKEN, 5000, 10)
    kit.crowd(BUY, UP_TOKEN, 5000, 10)
    kept = await told(kit, kit.ann)
    assert len(kept) == KEPT
    assert kept[0].id == KEPT + 20


@pytest.mark.parametrize("ids", ["", "x", "1,,2", "-1", "1" * 20])
async def test_bad_ids_drop_nothing(kit: ClobKit, ids: str) -> None:
    """Only a list of numbers is one."""
    assert (await kit.call(kit.ann, "DELETE", "/notifications", ids=ids))[0] == 400
    refused = await kit.call(kit.ann, "GET", "/notifications", signature_type="7")
    assert refused == (400, {"error": "Invalid signature_type"})


@pytest.mark.conforms("clob-6.1-builder-fees")
async def test_a_builder_asks_for_nothing(kit: ClobKit) -> None:
    """A builder code of 32 bytes has rates, here none; anything else is unknown (clob.md 6.1)."""
    status, reply = await kit.get(f"/fees/builder-fees/0x{'ab' * 32}")
    assert status == 200
    rates = BuilderFeeRates.model_validate(reply)
    assert rates.maker == rates.taker == 0

    assert (await kit.get("/fees/builder-fees/moon"))[0] == 404
