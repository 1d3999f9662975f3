"""Orders that no desk knows: what they count for, and until when."""

from __future__ import annotations

from typing import Any

import attrs
import pytest
import trio
from desk_kit import MARKET
from trio.testing import MockClock

from polybot.account import Account
from polybot.adrift import DOUBTFUL, LATE, LOOK_UPS, UNTOLD, Adrift
from polybot.clock import Clock
from polybot.core_tape import CoreTape
from polybot.domain.market import Outcome, Side
from polybot.domain.orders import (
    EDGE_S,
    Failure,
    FillLeg,
    NewOrder,
    OrderRow,
    OrderSeen,
    SignedOrder,
    TimeInForce,
    TradeSeen,
    TradeStatus,
)
from polybot.domain.units import SHARE, notional
from polybot.execution.lifecycle import State
from polybot.execution.table import KEEP_DEAD_MS
from polybot.execution.tracked import Tracked
from polybot.journal.entries import ABSENT, Intent, Known, Told
from polybot.venue.tap import NOBODY

KEY, TEN = MARKET.condition_id, 10 * SHARE
LIVE, DEAD, MATCHED = OrderSeen.Kind.LIVE, OrderSeen.Kind.DEAD, OrderSeen.Kind.MATCHED
COST = notional(4000, TEN)  # of a bid for ten at 0.40


def row(
    order_id: str, kind: OrderSeen.Kind = LIVE, matched: int = 0, condition_id: str = KEY
) -> OrderRow:
    return OrderRow(
        order_id, condition_id, MARKET.up_token, Side.BUY, 4000, TEN, matched, kind, kind.value
    )


def intent(order_id: str, side: Side = Side.BUY, condition_id: str = KEY) -> Intent:
    return Intent(
        order_id, condition_id, Outcome.UP, side, 4000, TEN,
        TimeInForce.GTC, 0, True, 0, "quote", b"",
    )  # fmt: skip


@attrs.define(eq=False)
class Scene:
    """A wallet with one market and no money; a venue that shows what it is told to, and takes five
    seconds for each answer; a journal that keeps all.
    """

    there: dict[str, OrderRow | Failure] = attrs.field(factory=dict)
    notes: list[Any] = attrs.field(factory=list)
    asked: list[str] = attrs.field(factory=list)
    stay: list[str] = attrs.field(factory=list)
    account: Account = attrs.field(init=False)
    adrift: Adrift = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        me: Any = self
        clock, nothing = Clock(0.0), None
        self.account = Account(
            me, clock, nothing, me, CoreTape(NOBODY, clock),  # type: ignore[arg-type]
        )  # fmt: skip
        self.account.take([Known(MARKET)], 0)
        self.adrift = Adrift(me, clock, self.account, self.stay.append)

    async def order(self, order_id: str) -> OrderRow | Failure | None:
        self.asked.append(order_id)
        await trio.sleep(5)
        return self.there.get(order_id)

    async def cancel(self, ids: list[str]) -> None:
        assert ids, "a cancel of nothing"
        await trio.lowlevel.checkpoint()

    async def append(self, *facts: object) -> None:
        self.notes += facts
        await trio.lowlevel.checkpoint()

    def stray(self, order_id: str) -> None:
        """The venue tells that it rests, and nobody quotes its market."""
        self.account.own(order_id, KEY)
        self.account.take([Told(KEY, OrderSeen(order_id, LIVE, 0, "LIVE", 0))], 0)

    def counts(self, who: str) -> tuple[int, int]:
        """Dollars, and shares of Up that may come."""
        return self.account.reserved[who], self.account.coming[who].get(MARKET.up_token, 0)


@pytest.fixture
def it() -> Scene:
    return Scene()


# --- in doubt --------------------------------------------------------------------------------


async def test_one_that_is_found_resting_counts_on(autojump_clock: MockClock, it: Scene) -> None:
    """Late as it is: the list will show it, and until then nobody else counts it."""
    it.there["0x1"] = row("0x1")
    it.adrift.look_after([intent("0x1")])
    await trio.sleep(EDGE_S)
    await it.adrift.visit()

    assert it.adrift.may_come == 1
    assert it.counts(DOUBTFUL) == (COST, TEN)
    assert [type(one).__name__ for one in it.notes] == ["Told"]


@pytest.mark.parametrize("kind", [DEAD, MATCHED])
async def test_one_that_is_found_ended_counts_no_more(
    autojump_clock: MockClock, it: Scene, kind: OrderSeen.Kind
) -> None:
    """Its end is written down, or the next start would look it up again."""
    it.there["0x1"] = row("0x1", kind)
    it.adrift.look_after([intent("0x1")])
    await it.adrift.visit()

    assert it.adrift.may_come == 0
    assert it.counts(DOUBTFUL) == (0, 0)
    assert it.notes[-1].order_id == "0x1"
    assert it.notes[-1].state == kind.value


async def test_one_that_never_was_is_written_down_as_absent(
    autojump_clock: MockClock, it: Scene
) -> None:
    """Not before the edge would have let it through; once."""
    it.adrift.look_after([intent("0x1")])
    await it.adrift.visit()
    assert it.notes == []
    await trio.sleep(EDGE_S)
    await it.adrift.visit()

    assert [one.state for one in it.notes] == [ABSENT]
    await it.adrift.ended(intent("0x1"), ABSENT)
    assert len(it.notes) == 1


async def test_one_whose_end_is_told_while_it_waits_for_its_turn(
    autojump_clock: MockClock, it: Scene
) -> None:
    """Ten are looked up at a time."""
    ids = [f"0x{n}" for n in range(LOOK_UPS + 1)]
    it.adrift.look_after(map(intent, ids))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(it.adrift.visit)
        await trio.sleep(1)
        for order_id in {*ids} - {*it.asked}:
            await it.adrift.ended(intent(order_id), ABSENT)

    assert len(it.asked) == LOOK_UPS


async def test_a_sale_in_a_market_without_books_is_counted(
    autojump_clock: MockClock, it: Scene
) -> None:
    """Its tokens are not known, nor what it brings; as the bid that it stands for it is."""
    it.adrift.look_after([intent("0x1", Side.SELL, "0xelsewhere")])

    assert it.account.reserved[DOUBTFUL] == notional(6000, TEN)
    it.adrift.look_after([intent("0x2", Side.SELL)])
    assert it.account.coming[DOUBTFUL][MARKET.down_token] == TEN, "a sale brings the twin"


# --- strays ----------------------------------------------------------------------------------


async def test_a_stray_that_is_looked_up_counts_at_once(
    autojump_clock: MockClock, it: Scene
) -> None:
    """And no longer than it rests, or is told of."""
    it.stray("0x1")
    it.there["0x1"] = row("0x1", matched=4 * SHARE)
    await it.adrift.withdraw_strays()
    assert it.counts(LATE) == (notional(4000, 6 * SHARE), 6 * SHARE)

    it.there["0x1"] = row("0x1", DEAD)
    await it.adrift.withdraw_strays()
    assert it.counts(LATE) == (0, 0)
    assert not it.account.strays
    it.stray("0x1")
    await it.adrift.visit()
    it.adrift.answer_for_late([])
    assert it.counts(LATE) == (0, 0), "what was known of it is of before"


async def test_a_stray_that_others_count_is_counted_once(
    autojump_clock: MockClock, it: Scene
) -> None:
    """The list shows it as well, or its end was in doubt already."""
    it.stray("0x1")
    it.there["0x1"] = row("0x1")
    await it.adrift.withdraw_strays()
    it.adrift.answer_for_late([row("0x1")])
    assert it.counts(LATE) == (COST, TEN)

    it.adrift.look_after([intent("0x1")])
    it.adrift.answer_for_late([])
    assert (it.counts(LATE), it.counts(DOUBTFUL)) == ((0, 0), (COST, TEN))


async def test_a_stray_of_which_nobody_tells_any_more_is_left(
    autojump_clock: MockClock, it: Scene
) -> None:
    """The venue cannot look it up, and the stream has told of it once."""
    it.stray("0x1")
    it.there["0x1"] = Failure("503")
    await trio.sleep(EDGE_S - 1)
    await it.adrift.withdraw_strays()
    assert it.asked == ["0x1"]

    await trio.sleep(1)
    await it.adrift.withdraw_strays()
    assert it.asked == ["0x1"]
    assert not it.account.strays


async def test_a_stray_that_ends_at_last_does_not_stay(
    autojump_clock: MockClock, it: Scene
) -> None:
    """Nor is one that stays told of twice; one that comes once more is."""

    async def for_a_minute() -> None:
        for _ in range(EDGE_S // 5 + 2):
            await it.adrift.withdraw_strays()
            await trio.sleep(1)

    it.stray("0x1")
    it.there["0x1"] = row("0x1")
    await for_a_minute()
    await for_a_minute()
    assert it.stay == ["0x1"]
    it.there["0x1"] = row("0x1", DEAD)
    await trio.sleep(EDGE_S)
    await it.adrift.withdraw_strays()
    await it.adrift.withdraw_strays()
    assert it.stay == ["0x1"]

    it.stray("0x1")
    it.there["0x1"] = row("0x1")
    await for_a_minute()
    assert it.stay == ["0x1", "0x1"]


# --- fills that no trade has told ------------------------------------------------------------


def tracked(side: Side, **known: Any) -> Tracked:
    order = NewOrder(MARKET, Outcome.UP, side, 4000, TEN, TimeInForce.GTC)
    return Tracked(SignedOrder("0x1", order, b""), 0, 0, State.CANCELLED, **known)


def trade(trade_id: str, shares: int, order_id: str = "0x1") -> Told:
    leg = FillLeg(order_id, MARKET.up_token, Side.BUY, 4000, shares, maker=True)
    return Told(KEY, TradeSeen(trade_id, KEY, TradeStatus.MATCHED, (leg,), 0))


async def test_what_is_not_told_counts_until_its_trades_come(
    autojump_clock: MockClock, it: Scene
) -> None:
    """Seven are matched, of which the desk has heard two: another order's trades tell nothing of
    it, and what the desk had heard is not told once more.
    """
    it.account.own("0x1", KEY)
    it.account.own("0x2", KEY)
    it.account.take([trade("t1", 2 * SHARE)], 0)
    known = tracked(Side.BUY, matched=7 * SHARE, told=2 * SHARE, fills={"t1": 2 * SHARE})
    it.adrift.await_told([known])
    assert it.counts(UNTOLD) == (notional(4000, 5 * SHARE), 5 * SHARE)

    it.account.take([trade("t9", 5 * SHARE, "0x2")], 0)
    assert it.counts(UNTOLD) == (notional(4000, 5 * SHARE), 5 * SHARE)
    it.account.take([trade("t2", 3 * SHARE)], 0)
    assert it.counts(UNTOLD) == (notional(4000, 2 * SHARE), 2 * SHARE)
    it.account.take([trade("t3", 2 * SHARE)], 0)
    assert it.counts(UNTOLD) == (0, 0)
    it.account.ledger.books[KEY].trades.clear()
    await it.adrift.visit()
    assert it.counts(UNTOLD) == (0, 0), "it was let go"


@pytest.mark.parametrize("side", Side)
async def test_what_is_never_told_is_let_go(
    autojump_clock: MockClock, it: Scene, side: Side
) -> None:
    """As long after its scope as a desk would have waited for it. Several add up."""
    other = attrs.evolve(tracked(side, matched=SHARE), signed=SignedOrder(
        "0x2", tracked(side).order, b"",
    ))  # fmt: skip
    it.adrift.await_told([tracked(side, matched=4 * SHARE), other])
    dollars = notional(4000 if side is Side.BUY else 6000, 5 * SHARE)
    await trio.sleep(KEEP_DEAD_MS / 1000 - 1)
    await it.adrift.visit()
    assert it.account.reserved[UNTOLD] == dollars
    assert it.account.pledged(MARKET.up_token) == (5 * SHARE if side is Side.SELL else 0)

    await trio.sleep(2)
    await it.adrift.visit()
    assert it.account.reserved[UNTOLD] == 0
    assert it.account.pledged(MARKET.up_token) == 0
