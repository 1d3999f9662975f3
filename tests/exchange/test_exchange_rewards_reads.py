"""The programs' calls on the wire, each reply read by the official client's own parsers."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
import trio
from clob_kit import SECRET, T0, UP_TOKEN, ClobKit, Wallet
from polymarket._internal.actions.orders.market_data import _parse_platform_fee_info
from polymarket._internal.actions.rewards import (
    parse_current_rebates,
    parse_current_rewards_page,
    parse_market_rewards_page,
    parse_order_scoring,
    parse_orders_scoring,
    parse_reward_markets_page,
    parse_reward_percentages,
    parse_total_user_earnings,
    parse_user_earnings_page,
    parse_user_rewards_earnings_page,
)
from trio.testing import MockClock

from polybot.exchange import contracts
from polybot.exchange.gamma_objects import _fees
from polybot.exchange.invariants import check
from polybot.exchange.model import BUY, SELL
from polybot.exchange.payday import DAY_MS
from polybot.exchange.terms import Terms

TODAY = datetime.fromtimestamp(T0 / 1000, UTC).date().isoformat()
POOL = Terms(rewards_daily_pool=50_000_000, signer_tier="elite", timestamp_tolerance_s=10**6)


@pytest.fixture
async def kit() -> ClobKit:
    """A market with a pool that stays open, and two makers of different size in it."""
    made = ClobKit(terms=POOL, end_ms=T0 + 2 * DAY_MS)
    for wallet, shares in ((made.ann, 300), (made.bob, 100)):
        for side, cents in ((BUY, 49), (SELL, 51)):
            order = wallet.limit(side, UP_TOKEN, cents, shares)
            status, reply = await made.call(wallet, "POST", "/order", order)
            assert status == 200, reply
    return made


async def pass_s(kit: ClobKit, seconds: float) -> None:
    """Time goes by as the exchange moves it."""
    await trio.sleep(seconds)
    now_ms = kit.clock.now_ms()
    kit.engine.advance(now_ms)
    kit.server.rewards.advance(now_ms)
    kit.server.rebates.advance(now_ms)
    check(kit.engine)


async def told(kit: ClobKit, path: str, *, wallet: Wallet | None = None, **query: str) -> Any:
    query = {"date": TODAY, "signature_type": "0", **query}
    status, reply = await kit.call(wallet or kit.ann, "GET", path, None, **query)
    assert status == 200, reply
    return reply


@pytest.mark.conforms("clob-5.1-rewards-user")
async def test_a_day_s_earnings(kit: ClobKit, autojump_clock: MockClock) -> None:
    """By market, in sum, and with the markets' configurations (clob.md 5.1)."""
    await pass_s(kit, 180)
    (row,) = parse_user_earnings_page(await told(kit, "/rewards/user")).items
    assert (row.earnings, row.condition_id) == (Decimal("37.5"), kit.market.condition_id)
    assert (row.maker_address, row.asset_address) == (kit.ann.address, contracts.COLLATERAL)
    assert row.date.date().isoformat() == TODAY
    (total,) = parse_total_user_earnings(await told(kit, "/rewards/user/total"))
    assert total.earnings == Decimal("37.5")
    page = parse_user_rewards_earnings_page(await told(kit, "/rewards/user/markets"))
    (market,) = page.items
    assert page.total_count == 1
    assert (market.earning_percentage, market.market_slug) == (75, kit.market.slug)
    assert (market.rewards_min_size, market.rewards_max_spread) == (Decimal(50), 4.5)
    assert market.earnings[0].earnings == Decimal("37.5")
    assert market.rewards_config[0].rate_per_day == 50


@pytest.mark.conforms("clob-5.1-rewards-user")
async def test_percentages_are_those_of_the_last_sample(
    kit: ClobKit, autojump_clock: MockClock
) -> None:
    """Live: nothing before the first sample, and nothing of who has gone (clob.md 5.1)."""
    path = "/rewards/user/percentages"
    assert parse_reward_percentages(await told(kit, path)) == {}
    await pass_s(kit, 180)
    mine = parse_reward_percentages(await told(kit, path))
    theirs = parse_reward_percentages(await told(kit, path, wallet=kit.bob))
    assert (dict(mine), dict(theirs)) == (
        {kit.market.condition_id: 75.0}, {kit.market.condition_id: 25.0},
    )  # fmt: skip
    await kit.call(kit.ann, "DELETE", "/cancel-all")
    await pass_s(kit, 60)
    assert parse_reward_percentages(await told(kit, path)) == {}


async def test_another_wallet_or_day_has_earned_nothing(
    kit: ClobKit, autojump_clock: MockClock
) -> None:
    """Earnings belong to the wallet of the signature type asked for (clob.md 5.1)."""
    await pass_s(kit, 180)
    for kind, day in (("3", TODAY), ("0", "2026-01-01")):
        query = {"signature_type": kind, "date": day}
        _, page = await kit.call(kit.ann, "GET", "/rewards/user", None, **query)
        _, total = await kit.call(kit.ann, "GET", "/rewards/user/total", None, **query)
        assert parse_user_earnings_page(page).items == ()
        assert parse_total_user_earnings(total) == ()


@pytest.mark.conforms("clob-5.2-rewards-markets")
async def test_configurations(kit: ClobKit, autojump_clock: MockClock) -> None:
    """All markets with a pool, one of them, and a search (clob.md 5.2)."""
    _, reply = await kit.get("/rewards/markets/current")
    (current,) = parse_current_rewards_page(reply).items
    assert current.condition_id == kit.market.condition_id
    assert current.total_daily_rate == 50
    assert current.rewards_config[0].rate_per_day == 50
    _, reply = await kit.get(f"/rewards/markets/{kit.market.condition_id}")
    (one,) = parse_market_rewards_page(reply).items
    assert one.tokens[0].asset_id == UP_TOKEN
    assert (one.tokens[0].price, one.question) == (Decimal("0.5"), kit.market.question)
    _, reply = await kit.get("/rewards/markets/0x" + "00" * 32)
    assert parse_market_rewards_page(reply).items == ()
    for words, found in (("bitcoin", 1), ("dogecoin", 0)):
        _, reply = await kit.get("/rewards/markets/multi", q=words)
        assert len(parse_reward_markets_page(reply).items) == found


async def test_without_a_pool_there_is_no_configuration(autojump_clock: MockClock) -> None:
    """As on today's up/down markets (feeds.md 4.7)."""
    kit = ClobKit()
    for path in ("/rewards/markets/current", "/rewards/markets/multi"):
        _, reply = await kit.get(path)
        assert (reply["data"], reply["next_cursor"]) == ([], "LTE=")
    assert (await told(kit, "/rewards/user/markets"))["data"] == []


async def test_pages(kit: ClobKit, autojump_clock: MockClock) -> None:
    """Cursors are offsets in base64; nonsense is 400 (clob.md 5.1)."""
    _, reply = await kit.get("/rewards/markets/current", next_cursor="MTAw")
    assert (reply["data"], reply["next_cursor"]) == ([], "LTE=")
    for query in ({"next_cursor": "!"}, {"page_size": "x"}):
        assert (await kit.get("/rewards/markets/current", **query))[0] == 400


@pytest.mark.parametrize("path", ["", "/total", "/markets", "/percentages"])
async def test_bad_questions(kit: ClobKit, autojump_clock: MockClock, path: str) -> None:
    """A date that is none and a signature type nobody has are 400 (clob.md 5.1)."""
    bad = [{"signature_type": "4", "date": TODAY}]
    if path != "/percentages":
        bad += [{"date": "yesterday"}, {}]
    for query in bad:
        assert (await kit.call(kit.ann, "GET", f"/rewards/user{path}", None, **query))[0] == 400


@pytest.mark.conforms("clob-5.1-scoring-rule")
async def test_scoring_needs_age_and_ownership(kit: ClobKit, autojump_clock: MockClock) -> None:
    """The official client's two calls (clob.md 5.1)."""
    mine = kit.engine.live_orders(kit.ann.creds.api_key)[0].id
    theirs = kit.engine.live_orders(kit.bob.creds.api_key)[0].id
    _, reply = await kit.call(kit.ann, "GET", "/order-scoring", None, order_id=mine)
    assert parse_order_scoring(reply) is False
    await pass_s(kit, 30)
    _, reply = await kit.call(kit.ann, "POST", "/orders-scoring", [mine, theirs])
    assert parse_orders_scoring(reply) == {mine: True, theirs: False}


@pytest.mark.conforms("clob-5.2-rebates")
async def test_rebates_of_a_day(kit: ClobKit, autojump_clock: MockClock) -> None:
    """A list for a maker with fills, null for everybody else (clob.md 5.2)."""
    taker = Wallet(0x33)
    kit.server.keys.add_key(taker.address, "key-51", SECRET, "pass-51")
    kit.engine.accounts.deposit(taker.address, 10**9)
    status, reply = await kit.call(taker, "POST", "/order", taker.limit(BUY, UP_TOKEN, 51, 200))
    assert (status, reply["status"]) == (200, "matched"), reply
    _, reply = await kit.get("/rebates/current", date=TODAY, maker_address=kit.ann.address)
    (row,) = parse_current_rebates(reply)
    fee = kit.engine.accounts.fees
    assert row.rebated_fees_usdc * 1_000_000 == fee * 20 // 100
    assert (row.date, row.condition_id) == (date.fromisoformat(TODAY), kit.market.condition_id)
    assert row.maker_address == kit.ann.address
    for address, day in (
        (taker.address, TODAY),
        (kit.ann.address, (date.fromisoformat(TODAY) + timedelta(1)).isoformat()),
    ):
        _, reply = await kit.get("/rebates/current", date=day, maker_address=address)
        assert (reply, parse_current_rebates(reply)) == (None, ())
    assert (await kit.get("/rebates/current", date=TODAY, maker_address="0x1"))[0] == 400
    assert (await kit.get("/rebates/current", maker_address=kit.ann.address))[0] == 400


@pytest.mark.conforms("clob-6.1-fee-metadata")
async def test_the_fee_that_is_charged_is_the_one_that_is_published(
    kit: ClobKit, autojump_clock: MockClock
) -> None:
    """`fd` of /clob-markets as the official client reads it, and Gamma's schedule (clob.md 6.1)."""
    assert _fees(kit.market)["feeSchedule"] == {
        "exponent": 1, "rate": 0.07, "takerOnly": True, "rebateRate": 0.2,
    }  # fmt: skip
    _, reply = await kit.get(f"/clob-markets/{kit.market.condition_id}")
    published = _parse_platform_fee_info(reply)
    assert (published.rate, published.exponent) == (Decimal("0.07"), Decimal(1))
    price, shares = Decimal("0.51"), Decimal(100)
    fee = shares * published.rate * price * (1 - price)
    taker = Wallet(0x33)
    kit.server.keys.add_key(taker.address, "key-51", SECRET, "pass-51")
    kit.engine.accounts.deposit(taker.address, 10**9)
    await kit.call(taker, "POST", "/order", taker.limit(BUY, UP_TOKEN, 51, 100))
    assert Decimal(kit.engine.accounts.fees) / 1_000_000 == fee.quantize(Decimal("0.00001"))


@pytest.mark.conforms("clob-4.1-late-fill")
async def test_a_fill_that_was_first_outlives_the_cancel(
    kit: ClobKit, autojump_clock: MockClock
) -> None:
    """The cancel takes what is left, and the trade is there all the same (clob.md 4.1)."""
    ask = kit.engine.live_orders(kit.ann.creds.api_key)[1]
    taken = await kit.call(kit.bob, "POST", "/order", kit.bob.limit(BUY, UP_TOKEN, 51, 40))
    assert taken[1]["status"] == "matched"
    _, reply = await kit.call(kit.ann, "DELETE", "/order", {"orderID": ask.id})
    assert reply["canceled"] == [ask.id]
    _, trades = await kit.call(kit.ann, "GET", "/data/trades")
    assert [leg["order_id"] for row in trades["data"] for leg in row["maker_orders"]] == [ask.id]
    _, row = await kit.call(kit.ann, "GET", f"/data/order/{ask.id}")
    assert (row["status"], row["size_matched"]) == ("CANCELED", "40")
