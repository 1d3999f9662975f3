"""The twelve faults that others fail at, each against the exchange, each with a bot that fails.

Reliability.md, end of section 2. Every test runs twice: as we are, and with one line of a naive
implementation put in, for which the very same check must come out false. A check that a naive bot
passes would prove nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import Any

import attrs
import orjson
import pytest
import trio
from shell_kit import Scene, clean, playing, scene
from venue_bent import PLACING, answer, changed, lose_reply, silence, untold

from polybot.domain import booking, ledger
from polybot.domain.market import FeeSchedule, Outcome, TwapPair
from polybot.domain.orders import (
    Failure,
    OrderRow,
    OrderSeen,
    PostResult,
    Reject,
    Rejected,
    SignedOrder,
    TradeSeen,
    TradeStatus,
    Unknown,
)
from polybot.domain.units import ONE, SHARE
from polybot.exchange.faults import plan
from polybot.exchange.model import BUY, SELL, Order
from polybot.exchange.settlement import Step
from polybot.execution import desk, doubts, pauses
from polybot.execution.doubts import Doubts
from polybot.execution.lifecycle import OPEN, State
from polybot.execution.table import OrderTable
from polybot.health import Health
from polybot.market_feed import MarketFeed
from polybot.patient_clock import PatientClock
from polybot.risk.breakers import MarketBrakes
from polybot.venue import clob_reads, gamma, private_rows, user_messages
from polybot.venue.clob import ClobClient
from polybot.venue.leave import Leave
from polybot.venue.private_rows import Me

Patch = pytest.MonkeyPatch
BEATS = "/v1/heartbeats"

# Ours first: whoever breaks it sees the real failure before the proof that the check can fail.
both = pytest.mark.parametrize("naive", [False, True], ids=["ours", "naive"])


@asynccontextmanager
async def starting() -> AsyncGenerator[Scene]:
    """A scene whose bot has just been started; stopped at the end."""
    async with scene() as it, trio.open_nursery() as nursery:
        nursery.start_soon(it.run)
        yield it
        if not it.ended.is_set():
            await it.end()


async def soon(it: Scene, true: Callable[[], object], within_s: float) -> bool:
    """Whether it comes true in time, on the venue's clock."""
    try:
        await it.until(true, "it comes true", within_s)
    except AssertionError:
        return False
    return True


def fault(it: Scene, name: str) -> None:
    """From now on, everywhere it lives."""
    entries = plan.read({"fault": [{"fault": name}]})
    it.venue.faults.start(entries, it.venue.clock.now_ms())


def table_of(it: Scene) -> OrderTable:
    return it.bot.supervisor.scopes[it.market.slug].orders.desk.table


def booked(it: Scene) -> int:
    return it.bot.ctx.account.ledger.books[it.market.condition_id].fills


# --- 1 --------------------------------------------------------------------------------------------


def posts_by_order(it: Scene) -> Counter[str]:
    """How often the venue was sent each order, by its signature."""
    sent: Counter[str] = Counter()
    for seen in it.venue.asked("POST", *PLACING):
        rows = orjson.loads(seen.body)
        for row in rows if isinstance(rows, list) else [rows]:
            sent[row["order"]["signature"]] += 1
    return sent


def posts_again(patch: Patch) -> None:
    place = ClobClient.place

    async def retrying(
        self: ClobClient, orders: list[SignedOrder], leave: Leave
    ) -> list[PostResult]:
        results = await place(self, orders, leave)
        lost = any(isinstance(result, Unknown) for result in results)
        return await place(self, orders) if lost else results

    patch.setattr(ClobClient, "place", retrying)


@both
async def test_1_a_post_is_not_retried_after_its_time_out(
    naive: bool, monkeypatch: Patch, fast_clock: PatientClock
) -> None:
    """A naive bot sends the order again when no answer came, and has it twice: three FOKs that
    timed out all matched (py-clob-client #273, F16).
    """
    if naive:
        posts_again(monkeypatch)
    async with starting() as it:
        bend = it.venue.bend("POST", *PLACING, act=lose_reply, times=1)
        await it.until(lambda: bend.met, "the first POST")
        await trio.sleep(12)
        once = max(posts_by_order(it).values()) == 1

    assert once is not naive


# --- 2 --------------------------------------------------------------------------------------------


def time_out_means_rejected(patch: Patch) -> None:
    place = ClobClient.place

    async def guessing(
        self: ClobClient, orders: list[SignedOrder], leave: Leave
    ) -> list[PostResult]:
        return [
            Rejected(one.order_id, Reject.POST_ONLY_CROSSES, "timed out")
            if isinstance(one, Unknown)
            else one
            for one in await place(self, orders, leave)
        ]

    patch.setattr(ClobClient, "place", guessing)


def twins(it: Scene, number: int) -> list[Order]:
    """Orders placed for a token of which one from the request of that number rests unanswered, when
    its time is out and before anybody has asked the venue what became of it.
    """
    sent = [e for n, e in it.venue.events if n == number and e.kind == "PLACEMENT"]
    timeout_ms = it.bot.ctx.config.orders.post_timeout_s * 1000
    found = []
    for n, event in it.venue.events:
        if event.kind == "PLACEMENT" and event.at_ms > sent[0].at_ms + timeout_ms:
            unasked = [e.order for e in sent if not cleared(it, e.order, before=n)]
            found += [event.order for one in unasked if one.token == event.order.token]
    return found


def cleared(it: Scene, order: Order, *, before: int) -> bool:
    """Whether the venue was asked for it, or had cancelled it, before that request. The bot does
    both at once when the time is out, and either may be answered first.
    """
    asked = [seen.path for seen in it.venue.seen[: before - 1] if seen.method == "GET"]
    gone = [e.order for n, e in it.venue.events if n < before and e.kind == "CANCELLATION"]
    return any(order.id in path for path in asked) or order in gone


@both
async def test_2_a_time_out_is_no_refusal(
    naive: bool, monkeypatch: Patch, fast_clock: PatientClock
) -> None:
    """A naive bot takes an unanswered order for rejected and places another beside it (Nautilus
    #4152, F17): two live orders where it wanted one.
    """
    if naive:
        time_out_means_rejected(monkeypatch)
    async with starting() as it:
        act = untold(it.venue.lines["user_ws"], lose_reply)
        bend = it.venue.bend("POST", *PLACING, act=act, times=1)
        await it.until(lambda: bend.met, "the first POST")
        number = it.venue.asked("POST", *PLACING)[0].number
        await trio.sleep(9)
        alone = not twins(it, number)

    assert alone is not naive


# --- 3 --------------------------------------------------------------------------------------------


def matched_is_final(patch: Patch) -> None:
    book = ledger.Ledger.book

    def believing(self: ledger.Ledger, trade: TradeSeen) -> bool:
        return trade.status is not TradeStatus.FAILED and book(self, trade)

    patch.setattr(ledger.Ledger, "book", believing)


@both
async def test_3_a_match_that_fails_is_taken_back(
    naive: bool, monkeypatch: Patch, fast_clock: PatientClock
) -> None:
    """A naive bot counts MATCHED as money: a third of its fills never settle, and its books are
    wrong for good (py-clob-client #338, F31).
    """
    steps: tuple[Step, ...] = (("RETRYING", 500), ("FAILED", 500))
    monkeypatch.setattr("polybot.exchange.settlement.schedule", lambda *_: steps)
    if naive:
        matched_is_final(monkeypatch)
    async with playing() as it:
        await it.filled(2)
        it.venue.crowd.hushed = True  # or one more might trade so late that it has not failed yet
        await trio.sleep(3)
        report = await it.end()

    assert it.venue.fills == 0, "every one of them failed"
    assert (report.equity_bot == report.equity_exchange) is not naive


# --- 4 --------------------------------------------------------------------------------------------


@both
async def test_4_an_unknown_settlement_rule_is_not_priced(
    naive: bool, monkeypatch: Patch, fast_clock: PatientClock
) -> None:
    """A naive bot prices the contract it knows: spot against spot, or last month's average; one
    project booked 14 of 83 settlements wrong (F55, S11).
    """
    if naive:
        monkeypatch.setattr(gamma, "read_rule", lambda *_: TwapPair("btcusd", 60))
    async with scene() as it, trio.open_nursery() as nursery:
        fault(it, "rule_changed")
        nursery.start_soon(it.run)
        quoted = await soon(it, it.venue.placed, 20)
        await it.end()

    assert quoted is naive


# --- 5 --------------------------------------------------------------------------------------------


@both
async def test_5_a_stream_that_only_answers_pings_is_replaced(
    naive: bool, monkeypatch: Patch, fast_clock: PatientClock
) -> None:
    """A naive bot trusts the PONG and quotes from a book that no longer moves (py-clob-client
    #292, F01).
    """
    if naive:
        monkeypatch.setattr(MarketFeed, "_watch", _never)
    async with playing() as it:
        line = it.venue.lines["market_ws"]
        opened = line.opened
        line.stall()
        replaced = await soon(it, lambda: line.opened > opened, 40)
        line.flow()

    assert replaced is not naive


async def _never(_self: MarketFeed) -> None:
    await trio.sleep_forever()


# --- 6 --------------------------------------------------------------------------------------------


@both
async def test_6_fills_of_the_blind_time_are_read(
    naive: bool, monkeypatch: Patch, fast_clock: PatientClock
) -> None:
    """A naive bot subscribes again and goes on; the venue replays nothing, so what was filled
    meanwhile is missing for good (Nautilus #3869, F29).
    """
    async with playing() as it:
        if naive:

            async def nothing(*_: object, **__: object) -> list[TradeSeen]:
                return []

            monkeypatch.setattr(ClobClient, "trades", nothing)
        it.market.taker_delay_ms = 0  # or our cancels would be quicker than those who hit us
        line = it.venue.lines["user_ws"]
        line.cut()
        for order in it.venue.live[:2]:
            it.venue.hit(order)
        await it.until(lambda: it.venue.fills, "somebody trades with us", 5)
        hidden = it.venue.fills
        assert booked(it) < hidden
        await trio.sleep(15)  # until the last word on them has been said to nobody
        line.flow()
        told = await soon(it, lambda: booked(it) >= hidden, 25)

    assert told is not naive


# --- 7 --------------------------------------------------------------------------------------------


def only_the_takers_token(patch: Patch) -> None:
    decode = private_rows.decode_trade

    def filtering(value: Any, me: Me, source: str) -> TradeSeen:
        trade = decode(value, me, source)
        legs = tuple(leg for leg in trade.legs if leg.token == value["asset_id"])
        return attrs.evolve(trade, legs=legs)

    patch.setattr(clob_reads, "decode_trade", filtering)
    patch.setattr(user_messages, "decode_trade", filtering)


@both
async def test_7_fills_of_the_complementary_token_count(
    naive: bool, monkeypatch: Patch, fast_clock: PatientClock
) -> None:
    """A naive bot looks for its own token in a trade; when a buyer of Down meets its bid for Up,
    both buy, a pair is minted, and the trade names the other token (Nautilus #3345, F26).
    """
    if naive:
        only_the_takers_token(monkeypatch)
    async with playing() as it:
        before, now_ms = it.venue.fills, it.venue.clock.now_ms()

        def minted() -> bool:
            for ours in it.venue.live[:1]:
                other = next(token for token in ours.market.tokens if token != ours.token)
                price = ONE - ours.price
                hand, size = it.venue.taker, ours.remaining
                hand.take(ours.market, other, BUY, price, size, now_ms, seen=price)
            return it.venue.fills > before

        await it.until(minted, "a pair is minted against our bid")
        counted = await soon(it, lambda: booked(it) >= it.venue.fills, 25)

    assert counted is not naive


# --- 8 --------------------------------------------------------------------------------------------


@both
async def test_8_nothing_is_placed_after_a_heartbeat_failed(
    naive: bool, monkeypatch: Patch, fast_clock: PatientClock
) -> None:
    """A naive bot logs the failure and goes on quoting, while the venue cancels under it (Nautilus
    discussion #5021, F45).
    """
    if naive:
        bad = Health.bad

        def shrugging(self: Health, name: str, trouble: str) -> None:
            if name != "heartbeat":
                bad(self, name, trouble)

        monkeypatch.setattr(Health, "bad", shrugging)
    async with playing() as it:
        failing = it.venue.bend("POST", BEATS, act=answer(503))
        await it.until(lambda: failing.met, "a heartbeat fails", 10)
        await trio.sleep(2)
        known = len(it.venue.seen)
        await trio.sleep(20)
        quiet = not it.venue.placed(after=known)

    assert quiet is not naive


# --- 9 --------------------------------------------------------------------------------------------


def asks_once(patch: Patch) -> None:
    patch.setattr(desk, "RECANCEL_MS", 10**9)
    patch.setattr(doubts, "CANCEL_MOST_MS", 10**9)


@both
async def test_9_a_cancel_without_an_answer_is_asked_again(
    naive: bool, monkeypatch: Patch, fast_clock: PatientClock
) -> None:
    """A naive bot waits for its cancel's answer in PENDING_CANCEL for ever, and its order rests
    (Nautilus #3797, F21).
    """
    if naive:
        asks_once(monkeypatch)
    async with playing() as it:
        bend = it.venue.bend("DELETE", "/order", "/orders", act=silence, times=1)
        await it.until(lambda: bend.met, "a cancel is lost", 120)
        asked = bend.bodies[0].decode()
        lost = [order for order in it.venue.live if order.id in asked]
        assert lost
        gone = await soon(it, lambda: not {o.id for o in lost} & {o.id for o in it.venue.live}, 8)

    assert gone is not naive


# --- 10 -------------------------------------------------------------------------------------------


def stale_fee(_fees: FeeSchedule, price: int, shares: int) -> int:
    """0.25·(p(1−p))², the schedule of a year before."""
    return shares * (price * (ONE - price)) ** 2 // (4 * ONE**4)


@both
async def test_10_fees_are_those_the_venue_publishes(
    naive: bool, monkeypatch: Patch, fast_clock: PatientClock
) -> None:
    """A naive bot keeps the fee formula it was written with, and its gates are loose by two to four
    times (simmer-sdk #83, F56). Ours expects the rebate that the venue accrues.
    """
    if naive:
        monkeypatch.setattr(booking, "taker_fee", stale_fee)
    async with playing() as it:
        await it.filled(3)
        await it.until(lambda: booked(it) >= it.venue.fills, "they are booked", 25)
        books = it.bot.ctx.account.ledger.books[it.market.condition_id]
        expected = books.rebate_estimate
        accrued = it.venue.clob.rebates.accrued(it.venue.demo_wallets.deposit)

    assert accrued > 0
    assert (abs(expected - accrued) * 50 <= accrued) is not naive


# --- 11 -------------------------------------------------------------------------------------------


@both
async def test_11_a_balance_refusal_is_not_drummed_on(
    naive: bool, monkeypatch: Patch, fast_clock: PatientClock
) -> None:
    """A naive bot tries again at once, and again, when a stale balance refuses its order right
    after a fill (py-clob-client #287, F34).
    """
    if naive:
        monkeypatch.setitem(pauses.QUIET_MS, Reject.NOT_ENOUGH_BALANCE, 0)
        monkeypatch.setattr(MarketBrakes, "refused", lambda *_: None)
    async with playing() as it:
        await it.filled()
        no = answer(400, b'{"error": "not enough balance / allowance"}')
        refusing = it.venue.bend("POST", *PLACING, act=no)
        await it.until(lambda: refusing.met, "an order is refused", 60)
        before = refusing.met
        await trio.sleep(12)
        calm = refusing.met - before <= 10
        it.venue.bends.remove(refusing)

    assert calm is not naive


# --- 12 -------------------------------------------------------------------------------------------


def believes_the_word(patch: Patch) -> None:
    honest = Doubts.looked_up

    def looked_up(
        self: Doubts, order_id: str, answer: OrderRow | Failure | None, now_ms: int
    ) -> None:
        honest(self, order_id, answer, now_ms)
        if isinstance(answer, OrderRow) and "MATCHED" in answer.text.upper():
            kind = OrderSeen.Kind.MATCHED
            self.table.seen(OrderSeen(order_id, kind, answer.size, answer.text, now_ms), now_ms)

    patch.setattr(Doubts, "looked_up", looked_up)


def says_matched(row: Any) -> None:
    if isinstance(row, dict) and "status" in row and float(row.get("size_matched", 0)) > 0:
        row["status"] = "MATCHED"


async def partly_filled(it: Scene) -> Order:
    """One of our orders after somebody has sold five shares at a time at its price until a part of
    it was filled; each sale waits for the taker delay of the one before.
    """
    hand, market = it.venue.taker, it.market
    hand.stock_up(market, it.venue.clock.now_ms())
    for _ in range(100):
        now_ms = it.venue.clock.now_ms()
        it.venue.advance(now_ms)
        parts = [order for order in it.venue.live if 0 < order.matched < order.size]
        if parts:
            return parts[0]
        # One of five shares, as the crowd leaves us at times, has no part.
        large = [order for order in it.venue.live if order.remaining > 5 * SHARE]
        if large:
            best, five = max(large, key=lambda order: order.price), 5 * SHARE
            bids, _ = it.venue.engine.levels(best.token)
            size = five + sum(there for price, there in bids if price > best.price)
            hand.take(market, best.token, SELL, best.price, size, now_ms, seen=best.price)
        await trio.sleep(0.4)
    raise AssertionError("no order of ours was filled in part")


@both
async def test_12_a_partial_fill_and_a_cancel_are_no_full_fill(
    naive: bool, monkeypatch: Patch, fast_clock: PatientClock
) -> None:
    """A naive bot reads the word MATCHED on an order partly filled and then cancelled, and takes
    all of it for bought (Nautilus #4795, F25).
    """
    if naive:
        believes_the_word(monkeypatch)
    async with playing() as it:
        it.venue.bend("GET", "/data/order", act=changed(says_matched))
        order = await partly_filled(it)
        it.venue.lines["user_ws"].stall()  # not before: who hears of no order soon quotes none
        table = table_of(it)
        it.venue.engine.cancel(order.id, order.owner, it.venue.clock.now_ms())

        await it.until(lambda: table[order.id].state not in OPEN, "its end is known", 50)
        known = table[order.id]
        true = known.remaining == order.remaining and known.state is not State.FILLED

    assert true is not naive


@both
async def test_12_outcomes_are_mapped_by_name(
    naive: bool, monkeypatch: Patch, fast_clock: PatientClock
) -> None:
    """A naive bot takes the first token for Up; when Gamma lists Down first, it buys the opposite
    of what it means (py-clob-client #276, F53).
    """
    if naive:
        guess = [Outcome.UP, Outcome.DOWN]
        monkeypatch.setattr(gamma, "_outcomes", lambda _: guess)
        monkeypatch.setattr("polybot.discovery.mismatch", lambda *_: None)
    async with scene() as it, trio.open_nursery() as nursery:
        fault(it, "outcomes_swapped")
        nursery.start_soon(it.run)
        await it.until(lambda: it.bot.supervisor.scopes, "a window is known")
        scope = next(iter(it.bot.supervisor.scopes.values()))
        theirs = it.venue.lifecycle.by_slug[scope.market.slug]
        right = (scope.market.up_token, scope.market.down_token) == theirs.tokens
        await it.end()

    assert right is not naive


async def test_clean_after_all(fast_clock: PatientClock) -> None:
    """The scenes above are fair: without any fault the same bot quotes, is filled, and both books
    agree.
    """
    async with playing() as it:
        await it.filled(2)
        report = await it.end()

    clean(report)
