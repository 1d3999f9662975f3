"""One look of the reconciler: what it proves, what is done about it, and when the next one is."""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from types import SimpleNamespace
from typing import Any

import attrs
import pytest
import trio
from desk_kit import MARKET
from trio.testing import MockClock

from polybot.account import IDENTITY, Account, Route
from polybot.channels import Bell
from polybot.clock import Clock
from polybot.core_tape import CoreTape
from polybot.domain.halts import Halt
from polybot.domain.market import Outcome, Side
from polybot.domain.orders import (
    EDGE_S,
    CancelResult,
    Failure,
    OrderRow,
    OrderSeen,
    TimeInForce,
    TradeSeen,
    TradeStatus,
)
from polybot.domain.units import SHARE, USD
from polybot.execution.firewall import Admission
from polybot.execution.reconcile import DRIFT_MS, LAG_MOST_MS, Kind, OurOrder
from polybot.health import Health
from polybot.journal.entries import Intent, Known, Paid
from polybot.reconciler import PROOF_S, RECONCILE_EVERY_S, Reconciler
from polybot.records import Records
from polybot.right_time import CLOCK
from polybot.risk.limits import RiskParams
from polybot.risk.undone import UNDONE, Undone
from polybot.venue.tap import NOBODY

KEY, TEN, GRACE_MS, TRUE_S = MARKET.condition_id, 10 * SHARE, 2_000, 1_795_201_110
SILENT = Failure("GET: HTTP 503")
TAKEN = CancelResult(frozenset(), {})


def row(order_id: str, matched: int = 0, price: int = 4000, condition_id: str = KEY) -> OrderRow:
    kind = OrderSeen.Kind.LIVE
    return OrderRow(
        order_id, condition_id, MARKET.up_token, Side.BUY, price, TEN, matched, kind, "LIVE"
    )


def ours(order_id: str, *, is_open: bool = True) -> OurOrder:
    moved_ms = TRUE_S * 1000 - 60_000
    return OurOrder(
        order_id, KEY, MARKET.up_token, Side.BUY, 4000, TEN, 0, open=is_open, moved_ms=moved_ms
    )


@attrs.define(eq=False)
class Scene:
    """A market whose desk has the orders in `known`, and a venue that agrees in everything else."""

    lists: list[Any] = attrs.field(factory=lambda: [[]])  # the last one for ever
    known: list[OurOrder] = attrs.field(factory=list)
    time: Failure | None = None
    rows: Failure | tuple[TradeSeen, ...] = ()
    cash: int = 100 * USD
    answer: CancelResult = TAKEN
    cancelled: list[Any] = attrs.field(factory=list)
    told: list[tuple[str, str]] = attrs.field(factory=list)
    looks: list[float] = attrs.field(factory=list)
    after_s: int = 0
    paid: list[bool] = attrs.field(factory=list)  # whether payments were looked for in a surplus
    at: OrderRow | None = None  # what a look-up of any order shows
    late: list[list[str]] = attrs.field(factory=list)
    rest: Any = attrs.field(factory=lambda: SimpleNamespace(timeout_s=10))
    began: float = attrs.field(factory=trio.current_time)
    again: bool = False  # whether the chain shows moves done again
    chain_s: float = 0.01  # how long it takes to tell
    first: AbstractSet[str] = frozenset()  # the markets that it was asked about first
    doubt_s: int = 0  # of payments about a first balance: none
    health: Health = attrs.field(factory=lambda: Health(Admission()))
    account: Account = attrs.field(init=False)
    heart: Any = attrs.field(factory=lambda: SimpleNamespace(beating=True, lost=0))
    it: Reconciler = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        me: Any = self
        clock = Clock.starting_at(TRUE_S * 1000)
        self.account = Account(
            me, clock, self.health, me, CoreTape(NOBODY, clock), doubt=Bell(),
            undone=Undone(RiskParams(undone_most=1, undone_pause_s=30)),
        )  # fmt: skip
        self.account.take([Known(MARKET), Paid("deposit", 100 * USD, "a test")], 0)
        self.account.routes[KEY] = Route(
            lambda event, _: self.told.append(("heard", getattr(event, "order_id", ""))),
            lambda order_id, _: self.told.append(("missing", order_id)),
            lambda order_id, _: self.told.append(("resting", order_id)),
            lambda: self.known,
        )
        self.it = Reconciler(
            me, clock, self.health, self.account, self.heart, Records(), me, GRACE_MS,
            moved_again=self.moved_again,
            on_late=lambda rows: self.late.append([one.order_id for one in rows]),
        )  # fmt: skip

    async def open_orders(self) -> list[OrderRow] | Failure:
        await trio.sleep(0.01)
        shown: list[OrderRow] | Failure = self.lists[0]
        if len(self.lists) > 1:
            del self.lists[0]
        return shown

    async def server_time(self) -> int | Failure:
        await trio.sleep(0.01)
        return self.time or int(TRUE_S + trio.current_time() - self.began)

    async def trades(self, *, after_s: int) -> Failure | tuple[TradeSeen, ...]:
        self.after_s = after_s
        self.looks.append(trio.current_time() - self.began)
        await trio.lowlevel.checkpoint()
        return self.rows

    async def order(self, order_id: str) -> OrderRow | None:
        await trio.lowlevel.checkpoint()
        return self.at

    async def balance(self, _: str | None) -> int:
        await trio.lowlevel.checkpoint()
        return self.cash

    async def refresh(self, _: str | None) -> None:
        await trio.lowlevel.checkpoint()

    async def cancel(self, ids: list[str]) -> None:
        await trio.lowlevel.checkpoint()
        self.cancelled.append(ids)

    async def cancel_all(self) -> CancelResult:
        await trio.lowlevel.checkpoint()
        self.cancelled.append("all")
        return self.answer

    async def look(self, *, surplus: bool, more: int | None) -> None:
        await trio.lowlevel.checkpoint()
        self.paid.append(surplus)

    async def moved_again(self, first: AbstractSet[str]) -> bool:
        self.first = first
        await trio.sleep(self.chain_s)
        return self.again

    def note(self, *_: object) -> None:
        """Nothing is kept."""

    async def append(self, *_: object) -> None:
        await trio.lowlevel.checkpoint()

    @property
    def counted(self) -> dict[str, int]:
        return dict(self.it.records.differences)


# --- what was read ---------------------------------------------------------------------------


@pytest.mark.parametrize("what", ["trades", "orders", "time"])
async def test_two_looks_in_a_row_that_fail_are_blindness(
    autojump_clock: MockClock, what: str
) -> None:
    """One proves nothing, and a look in between is one; each thing that is read is needed."""
    scene = Scene()

    def fail(answer: Any) -> None:
        scene.rows = answer if what == "trades" else ()
        scene.lists = [answer or []] if what == "orders" else [[]]
        scene.time = answer if what == "time" else None

    for answer in (SILENT, None, SILENT):
        fail(answer or ())
        assert await scene.it.reconcile() is (answer is None)
        assert scene.health.troubles == {}
    assert not await scene.it.reconcile()
    assert scene.health.troubles == {"reconciler": SILENT.what}
    fail(())
    assert await scene.it.reconcile()
    assert scene.health.troubles == {}


async def test_a_look_ends_the_troubles_that_it_was_for(autojump_clock: MockClock) -> None:
    """What comes while it reads may be of later than what it has read; so may a stream's next
    session, and a heart that has stopped meanwhile. Others' troubles are others' business.
    """
    scene, troubles = Scene(), ("orders inbox", "private events", "heartbeat", "user stream", "x")
    stream: Any = SimpleNamespace(open=True, sessions=1)
    scene.account.stream = stream
    for name in troubles:
        scene.health.bad(name, "trouble")
    assert await scene.it.reconcile()
    assert [*scene.health.troubles] == ["x"]

    scene.health.bad("heartbeat", "trouble")
    scene.health.bad("user stream", "trouble")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(scene.it.reconcile)
        await trio.sleep(0.005)
        scene.health.bad("private events", "overflow")
        stream.sessions += 1
        scene.heart.lost += 1
    assert {*scene.health.troubles} == {"x", "heartbeat", "user stream", "private events"}

    stream.open, scene.heart.beating = False, False
    assert await scene.it.reconcile()
    assert {*scene.health.troubles} == {"x", "heartbeat", "user stream"}


async def test_the_pause_after_trades_that_failed_ends(autojump_clock: MockClock) -> None:
    """When it is over, and not before (F31)."""
    scene = Scene()
    for n in range(2):
        why = scene.account.undone.ended(f"t{n}", TradeStatus.FAILED, scene.it.clock.now_ms())
    scene.health.bad(UNDONE, str(why))
    await trio.sleep(29)
    assert await scene.it.reconcile()
    assert UNDONE in scene.health.troubles
    await trio.sleep(2)
    assert await scene.it.reconcile()
    assert scene.health.troubles == {}


async def test_a_chain_that_does_not_answer_hides_no_theft(autojump_clock: MockClock) -> None:
    """A node that hangs for each of dozens of windows held up the halt for minutes, and with it all
    that a look does.
    """
    scene = Scene(cash=90 * USD, again=True, chain_s=600.0)
    with trio.fail_after(DRIFT_MS / 1000 + PROOF_S + 3):
        while not scene.health.halted:
            assert await scene.it.reconcile()
            await trio.sleep(1)
    assert scene.first == {""}, "dollars are of no market"


@pytest.mark.parametrize("again", [True, False])
async def test_what_was_moved_again_is_no_theft(autojump_clock: MockClock, *, again: bool) -> None:
    """The chain is asked before a drift halts; where the books are others now, the next look
    compares those.
    """
    scene = Scene(cash=90 * USD, again=again)
    for _ in range(7):
        assert await scene.it.reconcile()
        await trio.sleep(1)

    assert bool(scene.health.halted) is not again
    assert scene.counted == ({} if again else {Kind.CASH.value: 1})


async def test_trades_of_before_our_books_are_not_read(autojump_clock: MockClock) -> None:
    """They are in the balance that these began with, and would be in it twice."""
    scene = Scene()
    scene.account.since_s = TRUE_S - 10
    assert await scene.it.reconcile()
    assert await scene.it.reconcile()
    assert scene.after_s == TRUE_S - 10


async def test_a_look_is_for_payments_and_for_what_is_in_doubt_as_well(
    autojump_clock: MockClock,
) -> None:
    """More cash than is known of may be a payment; an order that never was counts no more."""
    scene = Scene(cash=101 * USD)
    assert await scene.it.reconcile()
    scene.it.adrift.look_after([
        Intent("0x1", KEY, Outcome.UP, Side.BUY, 4000, TEN, TimeInForce.GTC, 0, True, 0, "", b"")
    ])  # fmt: skip
    await trio.sleep(EDGE_S)
    assert await scene.it.reconcile()

    assert scene.paid == [True, True]
    assert scene.it.adrift.may_come == 0


# --- what is done about it -------------------------------------------------------------------


async def test_an_order_that_no_desk_knows_is_cancelled_and_counted(
    autojump_clock: MockClock,
) -> None:
    """It came late. Told once for as long as it lasts, and looked for again at once."""
    scene = Scene([[row("0x1"), row("0x2")]], [ours("0x1")])
    scene.account.own("0x1", KEY)
    scene.account.own("0x2", KEY)
    for _ in range(2):
        assert await scene.it.reconcile()
    assert scene.cancelled == [["0x2"], ["0x2"]]
    assert scene.late == [["0x2"], ["0x2"]]
    assert scene.account.doubt._rung
    assert scene.account.reserved["late orders"] == 4 * USD
    assert scene.told == [("heard", "0x1")] * 2
    assert scene.counted == {Kind.MISSING_HERE.value: 1}

    scene.lists = [[row("0x1")], [row("0x1"), row("0x2")]]
    for _ in range(2):
        assert await scene.it.reconcile()
    assert scene.late[-2:] == [[], ["0x2"]]
    assert scene.counted == {Kind.MISSING_HERE.value: 2}, "it has come once more"


async def test_somebody_elses_order_halts_and_is_left_alone(autojump_clock: MockClock) -> None:
    """But not one of a market that is settled, whose orders are forgotten."""
    scene = Scene([[row("0x9", condition_id="0xd")]])
    scene.account.release("0xd")
    assert await scene.it.reconcile()
    assert scene.health.halted == {}

    scene.lists = [[row("0x9")]]
    assert await scene.it.reconcile()
    assert [*scene.health.halted] == [Halt.FOREIGN_ORDERS.value]
    assert scene.cancelled == []


@pytest.mark.parametrize(
    ("at", "halts"), [(row("0x9"), True), (None, False), (row("0x9", condition_id="0xd"), False)]
)
async def test_what_we_were_told_of_and_did_not_place_is_looked_up(
    autojump_clock: MockClock, at: OrderRow | None, *, halts: bool
) -> None:
    """Once: where the venue has it as ours somebody else has our key, but for a market that is
    settled, whose orders are forgotten.
    """
    scene = Scene(at=at)
    scene.account.release("0xd")
    scene.account.unplaced.add("0x9")
    assert await scene.it.reconcile()

    assert [*scene.health.halted] == [Halt.FOREIGN_ORDERS.value] * halts
    assert not scene.account.unplaced


async def test_an_order_on_other_terms_halts_and_is_cancelled(autojump_clock: MockClock) -> None:
    """Nobody we trust wrote it."""
    scene = Scene([[row("0x1", price=4100)]], [ours("0x1")])
    scene.account.own("0x1", KEY)
    assert await scene.it.reconcile()
    assert [*scene.health.halted] == [Halt.ORDER_TERMS.value]
    assert scene.cancelled == [["0x1"]]


async def test_their_desk_looks_up_what_is_missing_or_rests_again(
    autojump_clock: MockClock,
) -> None:
    """Each by what it is; where no scope runs nobody is told."""
    scene = Scene([[row("0x2")]], [ours("0x1"), ours("0x2", is_open=False)])
    scene.account.own("0x1", KEY)
    scene.account.own("0x2", KEY)
    await trio.sleep(LAG_MOST_MS / 1000)
    assert await scene.it.reconcile()
    assert scene.told == [("heard", "0x2"), ("missing", "0x1"), ("resting", "0x2")]


async def test_more_that_is_matched_is_read_at_once(autojump_clock: MockClock) -> None:
    """Its trades are to be had by now."""
    scene = Scene([[row("0x1", matched=SHARE)]], [ours("0x1")])
    scene.account.own("0x1", KEY)
    assert await scene.it.reconcile()
    assert len(scene.looks) == 2


# --- when the next look is -------------------------------------------------------------------


async def test_looks_come_sooner_while_something_differs(autojump_clock: MockClock) -> None:
    """Or failed, or is refused; never faster than the venue takes words of balances."""
    scene = Scene()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(scene.it.run)
        await trio.sleep(2.5 * RECONCILE_EVERY_S)
        assert len(scene.looks) == 3
        for trouble in ({"time": SILENT}, {"cash": 99 * USD}):
            for name, value in trouble.items():
                setattr(scene, name, value)
            scene.account.doubt.ring()
            await trio.sleep(0.5)
            scene.looks.clear()
            await trio.sleep(4)
            assert len(scene.looks) in (3, 4)
            scene.time, scene.cash = None, 100 * USD
            await trio.sleep(5)
        nursery.cancel_scope.cancel()


async def test_a_refusal_is_judged_at_each_look(autojump_clock: MockClock) -> None:
    """And soon again: nothing is placed until it is. One whose request may have been late is."""
    scene = Scene(time=SILENT)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(scene.it.run)
        await trio.sleep(5)
        scene.account.refused("POST /order: HTTP 401")
        await trio.sleep(5)
        assert IDENTITY in scene.health.troubles
        scene.time = None
        await trio.sleep(2)
        nursery.cancel_scope.cancel()

    assert IDENTITY not in scene.health.troubles
    assert scene.health.halted == {}


async def test_a_clock_that_is_off_is_set_and_looked_at_again(autojump_clock: MockClock) -> None:
    """A machine that has slept would stand still until it is started anew."""
    scene = Scene()
    scene.it.clock.set_right(40_000)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(scene.it.run)
        await trio.sleep(10)
        nursery.cancel_scope.cancel()

    true_ms = (TRUE_S + trio.current_time() - scene.began) * 1000
    assert abs(scene.it.clock.now_ms() - true_ms) < 1_000
    assert CLOCK not in scene.health.troubles
