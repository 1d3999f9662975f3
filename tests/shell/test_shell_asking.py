"""What cannot be looked up, and what no cancel takes away: asked for ever, and ever more rarely."""

from __future__ import annotations

from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import attrs
import pytest
import trio
from desk_kit import MARKET
from trio.testing import MockClock

from polybot.account import Account
from polybot.approval_watch import ApprovalWatch
from polybot.asking import MOST_S, Asking
from polybot.channels import Bell
from polybot.clock import Clock
from polybot.core_tape import CoreTape
from polybot.domain.halts import Halt
from polybot.domain.ledger import Ledger
from polybot.domain.market import Outcome, Side
from polybot.domain.orders import EDGE_S, Failure, OrderRow, OrderSeen, TimeInForce
from polybot.domain.units import SHARE
from polybot.execution.firewall import Admission
from polybot.health import Health
from polybot.journal.entries import Intent, Told
from polybot.reconciler import RECONCILE_EVERY_S, UNPLACED_AT_ONCE, UNPLACED_S, Reconciler
from polybot.records import Records
from polybot.venue.tap import NOBODY

ORDER, LONG_S = "0x1", 600
AWAY = Failure("GET /data/order/0x1: HTTP 500")


def row() -> OrderRow:
    return OrderRow(
        ORDER, MARKET.condition_id, MARKET.up_token, Side.BUY, 4000, 10 * SHARE, 0,
        OrderSeen.Kind.LIVE, "LIVE",
    )  # fmt: skip


def intent(order_id: str) -> Intent:
    return Intent(
        order_id, MARKET.condition_id, Outcome.UP, Side.BUY, 4000, 10 * SHARE,
        TimeInForce.GTC, 0, True, 0, "quote", b"",
    )  # fmt: skip


@attrs.define
class Venue:
    """One answer to each look-up, and no cancel that does anything; when it was asked, in s."""

    answer: OrderRow | Failure | None
    asked: list[float] = attrs.field(factory=list)
    cancels: list[float] = attrs.field(factory=list)
    takes_s: float = 0.0  # for an answer
    ids: list[str] = attrs.field(factory=list)  # those asked for

    async def order(self, order_id: str) -> OrderRow | Failure | None:
        self.asked.append(trio.current_time())
        self.ids.append(order_id)
        await trio.sleep(self.takes_s)
        return self.answer

    async def cancel(self, ids: list[str]) -> None:
        self.cancels += [trio.current_time()] * len(ids)
        await trio.lowlevel.checkpoint()

    async def append(self, *_: object) -> None:
        await trio.lowlevel.checkpoint()


@attrs.frozen
class Scene:
    venue: Venue
    reconciler: Reconciler
    looks: list[float]


@pytest.fixture
def scene(monkeypatch: pytest.MonkeyPatch) -> Scene:
    """A reconciler whose looks agree, and do nothing but judge what nobody here has placed."""
    venue, clock, looks = Venue(AWAY), Clock(0.0), list[float]()
    anything: Any = venue
    nothing: Any = SimpleNamespace()
    health = Health(Admission())
    account = Account(
        client=anything, clock=clock, health=health, journal=anything,
        core=CoreTape(NOBODY, clock), ledger=Ledger(), doubt=Bell(),
    )  # fmt: skip

    async def look(made: Reconciler) -> bool:
        looks.append(trio.current_time())
        await made._judge_unplaced()
        return True

    monkeypatch.setattr(Reconciler, "reconcile", look)
    made = Reconciler(anything, clock, health, account, nothing, Records(), nothing, grace_ms=2_000)
    return Scene(venue, made, looks)


def late(times: list[float]) -> list[float]:
    """The pauses between those of the second half, in seconds."""
    found = [at for at in times if at > LONG_S / 2]
    return [b - a for a, b in pairwise(found)]


async def test_what_cannot_be_looked_up_is_asked_for_less_and_less_often(
    autojump_clock: MockClock, scene: Scene
) -> None:
    """An id of which no answer tells anything was asked for every second of the night, and with it
    the whole of a look. It stays in doubt all the same: one answer still halts.
    """
    account, health = scene.reconciler.account, scene.reconciler.health
    began = trio.current_time()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(scene.reconciler.run)
        await trio.sleep(5)
        account._suspect(ORDER)
        await trio.sleep(10)
        assert len(scene.venue.asked) >= 3, "quickly at first"
        await trio.sleep(LONG_S)
        for times in (scene.venue.asked, scene.looks):
            assert min(late([at - began for at in times])) > RECONCILE_EVERY_S - 1.5
        assert account.unplaced == {ORDER}

        scene.venue.answer = row()
        await trio.sleep(MOST_S + 1)
        assert Halt.FOREIGN_ORDERS.value in health.halted
        nursery.cancel_scope.cancel()


async def test_look_ups_that_hang_hold_no_look_up_for_longer_than_one(
    autojump_clock: MockClock, scene: Scene
) -> None:
    """Ten of them, one after the other, took most of a minute of each look, and all that it does
    had to wait: to withdraw strays, to compare balances, to open the gate. Each has its turn.
    """
    account, scene.venue.takes_s = scene.reconciler.account, UNPLACED_S
    account.unplaced |= {f"0x{n}" for n in range(UNPLACED_AT_ONCE)}
    for looks in range(1, UNPLACED_AT_ONCE):
        began = trio.current_time()
        await scene.reconciler._judge_unplaced()
        assert trio.current_time() - began == pytest.approx(UNPLACED_S)
        assert len(scene.venue.ids) == len({*scene.venue.ids}) == looks
    scene.venue.takes_s = 0.0
    await trio.sleep(MOST_S)
    await scene.reconciler._judge_unplaced()
    assert len(scene.venue.asked) == looks + UNPLACED_AT_ONCE, "all that are quick"


async def test_a_stray_that_stays_is_told_of_and_never_left(
    autojump_clock: MockClock, scene: Scene
) -> None:
    """The venue calls it live by its id, whatever is cancelled, and no list shows it: it was
    cancelled and looked up every second for ever, and nobody was told.
    """
    account, records = scene.reconciler.account, scene.reconciler.records
    scene.venue.answer = row()
    account.own(ORDER, MARKET.condition_id)
    live = OrderSeen(ORDER, OrderSeen.Kind.LIVE, 0, "LIVE", 0)
    account.take([Told(MARKET.condition_id, live)], 0)
    began = trio.current_time()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(scene.reconciler.run)
        await trio.sleep(EDGE_S - 1)
        assert len(scene.venue.cancels) >= EDGE_S / 3, "as quickly as ever at first"
        assert not records.differences
        await trio.sleep(LONG_S)
        nursery.cancel_scope.cancel()

    for times in (scene.venue.cancels, scene.venue.asked, scene.looks):
        assert min(late([at - began for at in times])) > MOST_S - 1.5
    assert records.differences == {"stays, whatever is cancelled": 1}
    assert list(account.strays) == [ORDER]


async def test_a_stray_waits_for_no_approval(
    autojump_clock: MockClock, scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Approvals are for the operator, and what rests unseen is ours: it was cancelled after."""
    account, began = scene.reconciler.account, trio.current_time()

    async def judge(*_: object) -> None:
        await trio.sleep(5)

    monkeypatch.setattr(ApprovalWatch, "judge", judge)
    account.own(ORDER, MARKET.condition_id)
    live = OrderSeen(ORDER, OrderSeen.Kind.LIVE, 0, "LIVE", 0)
    account.take([Told(MARKET.condition_id, live)], 0)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(scene.reconciler.run)
        await trio.sleep(4)
        nursery.cancel_scope.cancel()

    assert scene.venue.cancels == [began]


async def test_a_doubtful_order_that_cannot_be_looked_up_stays_in_doubt(
    autojump_clock: MockClock, scene: Scene
) -> None:
    """After the edge's patience it is asked for less and less often, and counts until it is known
    to have ended.
    """
    adrift, venue = scene.reconciler.adrift, scene.venue
    adrift.look_after([intent(ORDER)])
    began = trio.current_time()
    while trio.current_time() < began + LONG_S:
        await adrift.visit()
        await trio.sleep(1)
    assert len([at for at in venue.asked if at < began + EDGE_S]) == EDGE_S
    assert min(late([at - began for at in venue.asked])) >= MOST_S
    assert adrift.may_come == 1

    venue.answer = None
    await trio.sleep(MOST_S)
    await adrift.visit()
    assert adrift.may_come == 0


@pytest.mark.parametrize("kind", ["doubtful", "strays"])
async def test_many_that_are_not_answered_hold_nobody_up(
    kind: str, autojump_clock: MockClock, scene: Scene
) -> None:
    """A market that was given up leaves a dozen and more. Each look-up was waited for before the
    next: the wallet's books were compared again, for all markets, after more than a minute.
    """
    reconciler, venue, ids = scene.reconciler, scene.venue, [f"0x{n}" for n in range(16)]
    venue.takes_s = 5.0
    if kind == "doubtful":
        reconciler.adrift.look_after(map(intent, ids))
        look = reconciler.adrift.visit
    else:
        reconciler.account.strays.update(dict.fromkeys(ids, trio.current_time()))
        look = reconciler.adrift.withdraw_strays
    began = trio.current_time()
    await look()
    assert len(venue.asked) == len(ids)
    assert trio.current_time() - began <= 10


async def test_who_has_gone_begins_again(autojump_clock: MockClock) -> None:
    """What was known of an order that is no longer asked for is forgotten: nothing grows (S20),
    and when it comes again it is in a hurry.
    """
    asking = Asking()
    assert asking.due(["a", "b"]) == ["a", "b"]
    asking.in_vain("a")
    assert asking.due(["a", "b"]) == ["b"]
    assert asking.soonest(["a"]) == pytest.approx(trio.current_time() + 1)
    assert asking.due(["b"]) == ["b"]
    assert asking.due(["a"]) == ["a"]
