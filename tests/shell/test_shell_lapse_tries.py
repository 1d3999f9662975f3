"""Each try for the whole wallet: what is asked, what proves it empty, when the heart is silent."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import attrs
import pytest
import trio
from trio.testing import MockClock

from polybot.channels import Bell
from polybot.domain.halts import Halt
from polybot.domain.market import Side
from polybot.domain.orders import CancelResult, Failure, OrderRow, OrderSeen
from polybot.execution.firewall import Admission
from polybot.health import Health
from polybot.heartbeat import Heartbeat, Pulse
from polybot.lapse import AGAIN_S, AWAY_MOST_S, LATE_MOST_S, NO_DESK, READ_PAUSE_S, WALLET_S, Lapse

TAKEN = CancelResult(frozenset(), {})
AWAY = CancelResult(frozenset(), {}, "HTTP 425", away=True)
BROKEN = CancelResult(frozenset(), {}, "HTTP 500")
TRY_S = WALLET_S + AGAIN_S


def row(order_id: str, condition_id: str = "0xa") -> OrderRow:
    kind = OrderSeen.Kind.LIVE
    return OrderRow(order_id, condition_id, "1", Side.BUY, 4000, 10**7, 0, kind, "LIVE")


@attrs.define(eq=False)
class Scene:
    """A wallet whose heart beats, and whose order `ours` no cancel takes away unless it says so."""

    lists: list[Any] = attrs.field(factory=lambda: [[row("ours")]])  # the last one for ever
    answer: CancelResult = TAKEN
    asked: list[str] = attrs.field(factory=list)
    told: list[str] = attrs.field(factory=list)
    health: Health = attrs.field(factory=lambda: Health(Admission()))
    heartbeat: Heartbeat = attrs.field(init=False)
    lapse: Lapse = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        me: Any = self
        self.heartbeat = Heartbeat(me, self.health, Bell(), lambda _: None)
        self.heartbeat.pulse = Pulse.BEATING
        owner = {"ours": "0xa"}.get
        self.lapse = Lapse(me, self.health, self.heartbeat, owner, self.told.append)

    async def cancel_all(self) -> CancelResult:
        self.asked.append("all")
        await trio.lowlevel.checkpoint()
        return self.answer

    async def cancel_market(self, condition_id: str) -> CancelResult:
        self.asked.append(condition_id)
        await trio.lowlevel.checkpoint()
        return self.answer

    async def open_orders(self) -> list[OrderRow] | Failure:
        await trio.lowlevel.checkpoint()
        shown: list[OrderRow] | Failure = self.lists[0]
        if len(self.lists) > 1:
            del self.lists[0]
        return shown

    @asynccontextmanager
    async def unproven(self) -> AsyncGenerator[None]:
        """One market is not proven empty within its patience."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.lapse.run)
            self.lapse.unproven("a-slug", "0xa")
            yield
            nursery.cancel_scope.cancel()

    @property
    def silent(self) -> bool:
        return self.heartbeat.pulse is Pulse.LAPSING


@pytest.mark.parametrize("rests", [[row("ours")], [row("ours"), row("theirs")], Failure("500")])
async def test_what_rests_or_cannot_be_read_lets_the_switch_fall(
    autojump_clock: MockClock, rests: Any
) -> None:
    """It is tried again, and told once; the gate is closed until the market is proven empty, and
    nothing more is asked for then.
    """
    it = Scene([rests])
    async with it.unproven():
        await trio.sleep(WALLET_S - 1)
        assert (it.asked, it.silent) == (["all"], False)
        assert "market a-slug" in it.health.troubles
        await trio.sleep(TRY_S)
        assert (it.asked, it.silent) == (["all", "all"], True)
        it.lists = [[]]
        await trio.sleep(TRY_S)
        assert not it.silent
        assert [("a-slug" in text, "go on" in text) for text in it.told] == [
            (True, False), (False, True)
        ]  # fmt: skip
        it.lapse.proven("a-slug")
        await trio.sleep(AGAIN_S)
        asked = len(it.asked)
        await trio.sleep(10 * TRY_S)
        assert len(it.asked) == asked
        assert "market a-slug" not in it.health.troubles


async def test_one_empty_list_proves_nothing(autojump_clock: MockClock) -> None:
    """A request that was sent just before may land behind it; one that shows ours begins anew."""
    it = Scene([[], [row("ours")], [], []])
    async with it.unproven():
        await trio.sleep(3.5 * READ_PAUSE_S)
        assert len(it.lists) == 1, "two more after the one that showed it"
        assert it.asked == ["all"]
        await trio.sleep(TRY_S)
        assert not it.silent


async def test_the_switch_is_let_fall_until_the_wallet_is_empty(autojump_clock: MockClock) -> None:
    """Also when its market has ended, in whatever way; a cancel that is not taken proves that what
    comes to rest next could not be withdrawn.
    """
    it = Scene()
    async with it.unproven():
        await trio.sleep(TRY_S)
        assert it.silent
        it.lapse.proven("a-slug")
        it.lists, it.answer = [[]], BROKEN
        await trio.sleep(5 * TRY_S)
        assert it.silent
        it.answer = TAKEN
        await trio.sleep(TRY_S)
        assert not it.silent


async def test_beside_somebody_elses_order_one_market_is_cancelled(
    autojump_clock: MockClock,
) -> None:
    """It stands as evidence, and counts as nothing of ours; without a market of ours that may have
    orders there is nothing to cancel.
    """
    it = Scene([[row("theirs")]])
    it.health.halt(Halt.FOREIGN_ORDERS, "1 we did not place")
    async with it.unproven():
        await trio.sleep(TRY_S)
        assert set(it.asked) == {"0xa"}
        assert not it.silent
        it.lists = [[row("ours")]]
        await trio.sleep(TRY_S)
        assert it.silent
        it.lapse.proven("a-slug")
        it.asked.clear()
        it.lists = [[row("theirs")]]
        await trio.sleep(TRY_S)
        assert (it.asked, it.silent) == ([], False)


async def test_an_engine_that_is_away_is_believed_for_minutes(autojump_clock: MockClock) -> None:
    """A lapse would cancel nothing then; for longer it may say so of cancels alone."""
    it = Scene(answer=AWAY)
    async with it.unproven():
        await trio.sleep(AWAY_MOST_S + 1)
        assert not it.silent
        await trio.sleep(AGAIN_S)
        assert it.silent
        it.answer, it.lists = TAKEN, [[]]
        await trio.sleep(TRY_S)
        it.lapse.proven("a-slug")
        await trio.sleep(AGAIN_S)
        it.answer = AWAY
        it.lapse.unproven("a-slug", "0xa")
        await trio.sleep(TRY_S)
        assert not it.silent, "it is another absence"


async def test_what_was_waited_before_counts_for_no_later_absence(
    autojump_clock: MockClock,
) -> None:
    """The market was proven empty while the engine was away, and is not once more."""
    it = Scene(answer=AWAY)
    async with it.unproven():
        it.lapse.unproven("another", "0xb", trio.current_time())
        await trio.sleep(AWAY_MOST_S - 10)
        it.lapse.proven("a-slug")
        it.lapse.proven("another")
        await trio.sleep(2 * AGAIN_S)
        it.lapse.unproven("another", "0xb")
        await trio.sleep(AWAY_MOST_S - 10)
        assert not it.silent


async def test_late_orders_that_stay_are_of_no_market(autojump_clock: MockClock) -> None:
    """Each has its own time, from when it was first seen, and until it is seen no more."""
    it = Scene()
    it.lapse.late([row("0x1", "0xb")])
    await trio.sleep(LATE_MOST_S)
    it.lapse.late([row("0x1", "0xb"), row("0x2", "0xc")])
    assert it.lapse.markets == {}
    await trio.sleep(1)
    it.lapse.late([row("0x2", "0xc"), row("0x1", "0xb")])
    assert it.lapse.markets == {NO_DESK: "0xb"}
    assert it.health.troubles
    it.lapse.late([row("0x2", "0xc")])
    assert it.lapse.markets == {}
    assert not it.health.troubles
    await trio.sleep(LATE_MOST_S)
    it.lapse.late([row("0x1", "0xb")])
    assert it.lapse.markets == {}, "it has come once more"


async def test_what_rests_by_no_list_is_forgotten_by_the_venues_word_alone(
    autojump_clock: MockClock,
) -> None:
    """While looks fail nothing tells that a stray has gone, but that it is none any more; what the
    last whole look has shown is gone by the next one that lacks it.
    """
    it = Scene()
    it.lapse.unlisted(["ours"])
    await trio.sleep(LATE_MOST_S + 1)
    it.lapse.unlisted([])
    assert it.lapse.markets == {}, "the venue has said that it ended"
    it.lapse.late([row("ours")])
    await trio.sleep(LATE_MOST_S + 1)
    it.lapse.unlisted([])
    assert it.lapse.markets == {NO_DESK: "0xa"}, "it may rest still"
    it.lapse.late([])
    assert it.lapse.markets == {}
    it.lapse.unlisted(["of a settled market"])
    await trio.sleep(LATE_MOST_S + 1)
    it.lapse.unlisted(["of a settled market"])
    assert it.lapse.markets == {}, "nothing rests there, and nobody knows whose it was"
