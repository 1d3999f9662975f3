"""The Data API, asked and read by the official SDK's own encoders and parsers."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from data_kit import ANN, BOB, CONDITION, CROWD, SETTLED_MS, DataKit
from engine_kit import PAIRS, resolved
from polymarket._internal.actions import data as sdk
from polymarket.models.data import PositionStatus

from polybot.exchange.data_rows import LATE_MS
from polybot.exchange.model import DOWN, UP, Paid, Series
from polybot.exchange.money import UNIT


@pytest.fixture
def data() -> DataKit:
    return DataKit()


def of(kit: DataKit, wallet: str, outcome: int, **filters: Any) -> Any:
    """The wallet's one position in an outcome."""
    found = kit.pages(sdk.list_positions_spec(user=wallet, **filters))
    (one,) = [position for position in found if position.outcome_index == outcome]
    return one


@pytest.mark.conforms("feeds-12.8-positions")
def test_a_position_has_its_cost_and_fees(data: DataKit) -> None:
    """A pair split costs half a dollar a side; a purchase its price, fees apart (feeds.md 11)."""
    data.buy(BOB, ANN, UP, 60, 500)
    data.settle()
    up = of(data, BOB, UP)
    assert (up.current_size, up.total_size) == (1_500, 1_500)
    assert up.entry_cost_usdc == 800  # 1,000 at 0.5 and 500 at 0.6
    assert up.avg_price == Decimal("0.533333")
    assert up.entry_fees_usdc == Decimal("8.4")
    assert up.total_cost_usdc == Decimal("808.4")
    assert (up.outcome, up.opposite_asset_id, up.slug) == ("Up", "102", data.market.slug)
    assert up.status is PositionStatus.OPEN
    assert up.mergeable


def test_a_sale_realises_what_it_brought_over_the_average(data: DataKit) -> None:
    """Average cost; the maker pays no fee, the open rest keeps its average."""
    data.buy(BOB, ANN, UP, 60, 500)
    data.settle()
    up = of(data, ANN, UP)
    assert (up.current_size, up.entry_cost_usdc) == (500, 250)
    assert (up.realized_pnl, up.percent_realized_pnl) == (50, 10)
    assert up.entry_fees_usdc == 0


def test_values_follow_the_book(data: DataKit) -> None:
    """The middle while both sides are there; the portfolio's value is the sum."""
    data.kit.place(ANN, "BUY", UP, 30, 100)
    data.kit.place(ANN, "SELL", UP, 40, 100)
    data.settle()
    up, down = of(data, BOB, UP), of(data, BOB, DOWN)
    assert (up.current_price, up.current_value) == (Decimal("0.35"), 350)
    assert (down.current_price, down.unrealized_pnl) == (Decimal("0.65"), 150)
    value = data.ask(sdk.build_get_portfolio_value_spec(user=BOB))
    assert value.value == 1_000
    assert value.wallet == BOB


@pytest.mark.conforms("feeds-12.8-lag")
def test_nothing_shows_before_its_block_and_the_index(data: DataKit) -> None:
    """Own trades appear about three seconds after the block, the market's six and a half."""
    data.settle()
    data.buy(BOB, ANN, UP, 60, 500)
    mined_ms = data.engine.next_due_ms()
    assert mined_ms is not None
    data.kit.advance(mined_ms - data.kit.now + 2_999)
    assert data.pages(sdk.list_trades_spec(user=BOB)) == []
    assert of(data, BOB, UP).current_size == 1_000
    data.kit.advance(1)
    assert len(data.pages(sdk.list_trades_spec(user=BOB))) == 1
    assert of(data, BOB, UP).current_size == 1_500
    assert data.pages(sdk.list_trades_spec(condition_id=CONDITION)) == []
    data.kit.advance(3_500)
    assert len(data.pages(sdk.list_trades_spec(condition_id=CONDITION))) == 1


@pytest.mark.conforms("feeds-12.8-taker-only")
def test_trades_are_the_takers_unless_told_otherwise(data: DataKit) -> None:
    """`taker_only` is true by default; else one row per maker order (feeds.md 11)."""
    data.kit.place(ANN, "SELL", UP, 60, 100)
    data.kit.place(ANN, "SELL", UP, 61, 100)
    data.kit.place(BOB, "BUY", UP, 61, 200)
    data.settle()
    assert data.pages(sdk.list_trades_spec(user=ANN)) == []
    fills = data.pages(sdk.list_trades_spec(user=ANN, taker_only=False))
    assert [(fill.side, fill.size, fill.price) for fill in fills] == [
        ("SELL", 100, Decimal("0.61")),
        ("SELL", 100, Decimal("0.6")),
    ]
    (taken,) = data.pages(sdk.list_trades_spec(user=BOB))
    assert (taken.size, taken.price, taken.asset_id) == (200, Decimal("0.605"), data.up)
    assert {fill.transaction_hash for fill in fills} == {taken.transaction_hash}


def test_a_mint_shows_each_side_its_own_token(data: DataKit) -> None:
    """A maker who bought Down is a buyer of Down, whoever bought Up (feeds.md 4.4)."""
    data.kit.place(ANN, "BUY", DOWN, 40, 100)
    data.kit.place(BOB, "BUY", UP, 60, 100)
    data.settle()
    (made,) = data.pages(sdk.list_trades_spec(user=ANN, taker_only=False))
    assert (made.side, made.outcome, made.price) == ("BUY", "Down", Decimal("0.4"))


def test_trades_are_filtered(data: DataKit) -> None:
    """By side, size in shares or dollars, market and time."""
    data.buy(BOB, ANN, UP, 60, 100)
    data.settle()
    data.buy(ANN, BOB, UP, 50, 40)
    data.settle()
    every = sdk.list_trades_spec
    assert len(data.pages(every(user=BOB, taker_only=False))) == 2
    assert len(data.pages(every(user=BOB, taker_only=False, side="SELL"))) == 1
    assert len(data.pages(every(user=BOB, filter_type="CASH", filter_amount=60.0))) == 1
    assert data.pages(every(user=BOB, filter_type="TOKENS", filter_amount=100.5)) == []
    assert data.pages(every(user=BOB, condition_id="0x" + "cd" * 32)) == []
    (first,) = data.pages(every(user=BOB))
    later = int(first.timestamp.timestamp()) + 1
    assert len(data.pages(every(user=BOB, taker_only=False, start=later))) == 1
    assert len(data.pages(every(user=BOB, taker_only=False, end=later - 1))) == 1
    data.kit.advance(10_000)
    assert len(data.pages(every(event_id=1_000_000_077))) == 2


@pytest.mark.conforms("feeds-12.8-activity")
def test_activity_tells_everything_a_wallet_did(data: DataKit) -> None:
    """Trades, splits, merges, redemptions, money in and paid, newest first (feeds.md 11)."""
    engine, kit = data.engine, data.kit
    engine.deposit(BOB, 5 * UNIT, kit.now)
    data.buy(BOB, ANN, UP, 60, 100)
    data.settle()
    engine.merge(BOB, data.market, 40 * UNIT, kit.now)
    data.history.on_event(Paid("MAKER_REBATE", BOB, 2 * UNIT, kit.now))
    resolved(kit, UP)
    engine.redeem(BOB, data.market, kit.now)
    data.settle()
    rows = data.pages(sdk.list_activity_spec(user=BOB))
    assert [row.type for row in rows] == [
        "REDEEM", "MAKER_REBATE", "MERGE", "TRADE", "DEPOSIT", "SPLIT",
    ]  # fmt: skip
    amounts = [getattr(row, "amount", None) for row in rows]
    assert amounts == [1_060, 2, 40, 60, 5, 1_000]
    assert len({row.transaction_hash for row in rows}) == 6
    merges = data.pages(sdk.list_activity_spec(user=BOB, activity_types=["MERGE", "SPLIT"]))
    assert [row.type for row in merges] == ["MERGE", "SPLIT"]
    oldest = data.pages(sdk.list_activity_spec(user=BOB, sort_direction="ASC"))
    assert [row.type for row in oldest] == [row.type for row in rows][::-1]
    kept = [row["type"] for row in data.body("/v2/activity", user=BOB)["data"]]
    assert "DEPOSIT" not in kept  # unless asked, as the SDK always does


@pytest.mark.parametrize(
    ("payouts", "won", "lost"), [(UP, UP, DOWN), (DOWN, DOWN, UP)], ids=["up", "down"]
)
@pytest.mark.conforms("feeds-12.8-positions", "feeds-12.8-lag")
def test_redeemable_is_told_minutes_late(data: DataKit, payouts: int, won: int, lost: int) -> None:
    """One to three minutes after the result; then the loser is REDEEMABLE_LOST (feeds.md 11)."""
    data.buy(BOB, ANN, UP, 60, 500)
    data.settle()
    resolved(data.kit, payouts)
    data.kit.advance(LATE_MS[0] - 1)
    assert not of(data, BOB, won).redeemable
    data.kit.advance(LATE_MS[1])
    winner = of(data, BOB, won, status="REDEEMABLE") if won == UP else of(data, BOB, won)
    assert (winner.redeemable, winner.status, winner.current_price) == (True, "REDEEMABLE", 1)
    lost_one = of(data, BOB, lost, status="REDEEMABLE_LOST")
    assert (lost_one.status, lost_one.current_value) == ("REDEEMABLE", 0)
    assert not winner.mergeable
    assert data.pages(sdk.list_positions_spec(user=BOB, status="OPEN")) == []


def test_a_closed_position_keeps_its_result(data: DataKit) -> None:
    """Redeemed: size 0, CLOSED, and the profit realised; hidden unless asked for."""
    data.buy(BOB, ANN, UP, 60, 500)
    data.settle()
    resolved(data.kit, UP)
    data.engine.redeem(BOB, data.market, data.kit.now)
    data.settle()
    assert data.pages(sdk.list_positions_spec(user=BOB)) == []
    up = of(data, BOB, UP, status="CLOSED")
    assert (up.current_size, up.realized_pnl, up.total_size) == (0, 700, 1_500)
    assert of(data, BOB, DOWN, status="CLOSED").realized_pnl == -500


def test_mergeable_are_pairs_of_an_open_market(data: DataKit) -> None:
    """Both outcomes held; one side alone is not (feeds.md 11)."""
    data.settle()
    mergeable = sdk.list_positions_spec(user=BOB, status="MERGEABLE")
    assert {one.outcome for one in data.pages(mergeable)} == {"Up", "Down"}
    data.kit.place(ANN, "BUY", UP, 50, 1_000)
    data.kit.place(BOB, "SELL", UP, 50, 1_000)
    data.settle()
    assert data.pages(mergeable) == []


def test_a_void_pays_half(data: DataKit) -> None:
    """Both outcomes are worth half a dollar, and the result says so (F36)."""
    data.settle()
    resolved(data.kit, None)
    data.kit.advance(LATE_MS[1])
    assert of(data, BOB, UP).current_price == Decimal("0.5")
    (result,) = data.ask(sdk.build_get_resolutions_spec(condition_ids=CONDITION))
    assert result.payouts == (Decimal("0.5"), Decimal("0.5"))
    assert result.price == Decimal("0.5")


@pytest.mark.conforms("feeds-12.8-resolutions")
def test_resolutions_tell_the_chains_payouts(data: DataKit) -> None:
    """Unset is "69"; the payouts are the chain's, whatever the services say (F37)."""
    spec = sdk.build_get_resolutions_spec(condition_ids=CONDITION)
    (before,) = data.ask(spec)
    assert (before.status, before.price, before.payouts) == ("posed", None, None)
    data.engine.resolve_market(data.market, UP, data.kit.now, payouts=(0, 1))
    (after,) = data.ask(spec)
    assert (after.status, after.payouts) == ("resolved", (0, 1))
    assert after.reporter == "CHAINLINK"
    by_question = sdk.build_get_resolutions_spec(question_id=data.market.question_id)
    assert data.ask(by_question) == (after,)


def test_an_hour_is_proposed_with_the_time_it_waits_for(data: DataKit) -> None:
    """Proposed, and ten minutes of liveness to go (feeds.md 10.2)."""
    data.market.series = Series("btc", "1h", 3600, "candle")
    data.lifecycle.proposed_ms[CONDITION] = data.kit.now
    (row,) = data.ask(sdk.build_get_resolutions_spec(condition_ids=CONDITION))
    assert (row.status, row.settlement_time_basis, row.reporter) == (
        "proposed",
        "liveness",
        "UMA_OO",
    )
    assert row.expected_settlement_time is not None
    assert int(row.expected_settlement_time.timestamp()) == data.kit.now // 1000 + 600


def test_a_trade_undone_by_the_chain_leaves_the_index(data: DataKit) -> None:
    """A reorganisation takes row, shares and cost away again (F38)."""
    data.settle()
    before = of(data, BOB, UP)
    data.engine.clearing_policy.reorg_ppm = 1_000_000
    data.buy(BOB, ANN, UP, 60, 500)
    data.kit.advance(120_000)
    assert data.pages(sdk.list_trades_spec(user=BOB)) == []
    after = of(data, BOB, UP)
    assert (after.current_size, after.entry_cost_usdc, after.entry_fees_usdc) == (
        before.current_size, before.entry_cost_usdc, 0,
    )  # fmt: skip
    assert data.pages(sdk.list_trades_spec(condition_id=CONDITION)) == []


def test_a_failed_trade_never_was_there(data: DataKit) -> None:
    """What no block held is not in the index at any time (F31)."""
    data.engine.clearing_policy.fail_ppm = 1_000_000
    data.buy(BOB, ANN, UP, 60, 500)
    data.kit.advance(60_000)
    assert data.pages(sdk.list_trades_spec(user=BOB)) == []
    assert data.history.volume == {}


def test_the_crowd_has_no_wallet_but_its_trades_are_the_markets(data: DataKit) -> None:
    """Nobody asks about the crowd, and its memory would be without bound."""
    data.buy(CROWD, ANN, UP, 60, 100)
    data.kit.advance(2 * SETTLED_MS)
    assert data.pages(sdk.list_positions_spec(user=CROWD)) == []
    (seen,) = data.pages(sdk.list_trades_spec(condition_id=CONDITION))
    assert seen.wallet == CROWD


@pytest.mark.conforms("feeds-12.8-paging")
def test_pages_neither_repeat_nor_lose_a_row(data: DataKit) -> None:
    """A row that comes in front between two pages moves nothing (keyset cursors)."""
    for cents in range(50, 60):
        data.buy(BOB, ANN, UP, cents, 10)
        data.settle()
    spec = sdk.list_trades_spec(user=BOB)
    everything = data.pages(spec)
    assert data.pages(spec, limit=3) == everything
    first = data.body("/v2/trades", user=BOB, limit="3")
    data.buy(BOB, ANN, UP, 70, 10)
    data.settle()
    cursor = first["pagination"]["next_cursor"]
    second = data.body("/v2/trades", user=BOB, limit="3", cursor=cursor)
    prices = [row["price"] for row in first["data"] + second["data"]]
    assert prices == [0.59, 0.58, 0.57, 0.56, 0.55, 0.54]


def test_the_market_as_a_whole(data: DataKit) -> None:
    """Holders, open interest, volume, tokens and the price's history (feeds.md 11)."""
    data.buy(BOB, ANN, UP, 60, 100)
    data.kit.advance(10_000)
    groups = data.pages(sdk.build_list_market_holders_spec(condition_ids=CONDITION))
    up = next(group for group in groups if group.asset_id == data.up)
    assert (up.holders[0].wallet, up.holders[0].amount) == (BOB, 1_100)
    (interest,) = data.ask(sdk.get_open_interests_spec(condition_ids=CONDITION))
    assert interest.value == 6_000
    (whole,) = data.ask(sdk.get_open_interests_spec())
    assert (whole.condition_id, whole.value) == (None, 6_000)
    volume = data.ask(sdk.build_get_event_live_volume_spec(event_ids=1_000_000_077))
    assert (volume.taker_volume_total, volume.markets[0].condition_id) == (100, CONDITION)
    tokens = data.ask(sdk.build_get_token_references_spec(condition_ids=CONDITION))
    assert [(one.outcome, one.opposite_asset_id) for one in tokens] == [
        ("Up", "102"), ("Down", "101"),
    ]  # fmt: skip
    (point,) = data.pages(sdk.build_list_price_history_spec(asset_id="102", interval="1h"))
    assert point.price == Decimal("0.4")


def test_positions_are_sorted_and_filtered(data: DataKit) -> None:
    """By value, falling, unless asked otherwise; small ones can be left out."""
    data.kit.place(ANN, "BUY", UP, 30, 100)
    data.kit.place(ANN, "SELL", UP, 40, 100)
    data.settle()
    positions = sdk.list_positions_spec
    assert [one.outcome for one in data.pages(positions(user=BOB))] == ["Down", "Up"]
    rising = positions(user=BOB, sort_by="PRICE", sort_direction="ASC")
    assert [one.outcome for one in data.pages(rising)] == ["Up", "Down"]
    large = positions(user=BOB, filter_type="CASH", filter_amount=400.0)
    assert [one.outcome for one in data.pages(large)] == ["Down"]
    assert data.pages(positions(user=BOB, title="nothing of this name")) == []
    everybody = data.pages(positions(condition_id=CONDITION))
    assert {one.wallet for one in everybody} == {ANN, BOB}


@pytest.mark.parametrize(
    ("path", "query"),
    [
        ("/v2/positions", {}),
        ("/v2/positions", {"user": "bob"}),
        ("/v2/positions", {"user": BOB, "status": "LOST"}),
        ("/v2/positions", {"condition_id": CONDITION, "status": "MERGEABLE"}),
        ("/v2/positions", {"user": BOB, "cursor": "%%%"}),
        ("/v2/positions", {"user": BOB, "limit": "0"}),
        ("/v2/trades", {"taker_only": "perhaps"}),
        ("/v2/trades", {"filter_amount": "NaN"}),
        ("/v2/trades", {"condition_id": CONDITION, "event_id": "1"}),
        ("/v2/trades", {"start": "yesterday"}),
        ("/v2/activity", {}),
        ("/v2/activity", {"user": BOB, "type": "TRADE,FLIGHT"}),
        ("/v2/value", {}),
        ("/v2/resolutions", {}),
        ("/v2/holders", {}),
        ("/v2/live-volume", {}),
        ("/v2/prices-history", {"token_id": "9", "interval": "1h"}),
        ("/v2/prices-history", {"token_id": "101"}),
        ("/v2/approvals", {}),
    ],
)
def test_a_bad_question_is_refused(data: DataKit, path: str, query: dict[str, str]) -> None:
    """400 with the reason as JSON, never a wrong answer."""
    response = data.raw(path, **query)
    assert response.status == 400
    assert b'"error"' in response.body


def test_the_old_version_is_gone(data: DataKit) -> None:
    """v1 ended on 2026-10-24 (feeds.md 11); other methods and routes are not there."""
    assert data.raw("/positions", user=BOB).status == 404
    assert data.raw("/v2/leaderboard").status == 404
    assert data.raw("/v2/positions", method="POST", user=BOB).status == 405


@pytest.mark.parametrize(
    ("path", "age_s"), [("/v2/positions", 5), ("/v2/activity", 15), ("/v2/trades", 300)]
)
@pytest.mark.conforms("feeds-12.8-stale-caches")
def test_answers_are_stale_unless_the_question_changes(path: str, age_s: int) -> None:
    """The cache keeps an answer so long; a changing dummy parameter gets past it (feeds.md 11)."""
    data = DataKit(cached=True)
    data.settle()
    first = data.raw(path, user=BOB)
    data.buy(BOB, ANN, UP, 60, 100)
    data.engine.advance(data.kit.now + SETTLED_MS)
    data.kit.now += age_s * 1000 - 1
    assert data.raw(path, user=BOB).body == first.body
    assert ("age", str(age_s - 1)) in data.raw(path, user=BOB).headers
    fresh = data.raw(path, user=BOB, _=str(data.kit.now))
    assert ("cf-cache-status", "MISS") in fresh.headers
    data.kit.now += 10_001
    assert (data.raw(path, user=BOB).body == first.body) is False


def test_what_the_index_holds_agrees_with_the_chain(data: DataKit) -> None:
    """After any mixture of acts, sizes are the settled balances to the micro-share."""
    kit, engine = data.kit, data.engine
    for step in range(60):
        outcome, cents = step % 2, 40 + step % 17
        data.buy((ANN, BOB)[step % 3 == 0], CROWD, outcome, cents, 5 + step / 100)
        if step % 7 == 0:
            engine.merge(BOB, data.market, 3 * UNIT, kit.now)
        if step % 11 == 0:
            engine.split(ANN, data.market, 2 * UNIT + step, kit.now)
        kit.advance(700)
    data.settle()
    for wallet in (ANN, BOB):
        for outcome in (UP, DOWN):
            token = data.market.tokens[outcome]
            held = data.history.wallet(wallet, kit.now).holdings[token]
            assert held.size == engine.settled_shares(wallet, token) > PAIRS // 2
