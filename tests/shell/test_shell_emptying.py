"""Emptying a venue that does not do as it is asked: patiently, and without an end (F51)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import Any, cast

import attrs
import pytest
import trio
from desk_kit import MARKET, desk
from trio.testing import MockClock

from polybot.clock import Clock
from polybot.core_tape import CoreTape
from polybot.domain.market import Side
from polybot.domain.orders import CancelResult, Failure, OrderRow, OrderSeen
from polybot.orders_task import OrdersTask
from polybot.reconciler import Reconciler
from polybot.venue.tap import NOBODY

SOME_S = 20.0
MOST_A_SECOND = 3.5  # a look every 0.4 s, and the first few sooner


@attrs.define
class Venue:
    """What rests stays, or nobody can be reached; and when it was asked."""

    shows: list[OrderRow] | Failure
    cancels: list[float] = attrs.field(factory=list)
    looks: list[float] = attrs.field(factory=list)

    async def cancel_all(self) -> CancelResult:
        self.cancels.append(trio.current_time())
        await trio.lowlevel.checkpoint()
        return CancelResult(frozenset(), {})

    async def cancel_market(self, _condition_id: str) -> CancelResult:
        return await self.cancel_all()

    async def open_orders(self, *_: object) -> list[OrderRow] | Failure:
        self.looks.append(trio.current_time())
        await trio.lowlevel.checkpoint()
        return self.shows


class Account:
    owner = {"ours": MARKET.condition_id, "of another market": "0x1"}.get

    def placed_in(self, _condition_id: str) -> bool:
        return True

    def emptied(self, _condition_id: str) -> None:
        pass


def flatten(venue: Any) -> Callable[[], Awaitable[object]]:
    account: Any = Account()
    clock = Clock(0.0)
    orders: Any = OrdersTask(desk(), venue, account, clock, CoreTape(NOBODY, clock))
    orders.act = lambda _at_ns: []  # the desk has nothing to add
    return cast(Callable[[], Awaitable[object]], orders.flatten)


def cancel_everything(venue: Any) -> Callable[[], Awaitable[object]]:
    nothing: Any = None
    account: Any = SimpleNamespace(doubt=nothing, before_booking=[], after_booking=[])
    return Reconciler(
        venue, nothing, nothing, account, nothing, nothing, nothing, grace_ms=2_000
    ).cancel_everything


@pytest.mark.parametrize("empty", [flatten, cancel_everything])
async def test_it_asks_less_and_less_often(
    empty: Callable[[Any], Callable[[], Awaitable[object]]], autojump_clock: MockClock
) -> None:
    """At once at first, for a venue is quick mostly; not twenty times a second for an hour."""
    venue = Venue(Failure("nobody there"))
    with trio.move_on_after(SOME_S) as patience:
        await empty(venue)()

    assert patience.cancelled_caught, "nothing is proven by a venue that cannot be reached"
    assert venue.looks[2] < 0.5
    assert 20 < len(venue.looks) <= SOME_S * MOST_A_SECOND
    assert len(venue.cancels) <= SOME_S * MOST_A_SECOND


@pytest.mark.parametrize(
    ("whose", "proven"), [("of another market", True), ("ours", False), ("nobody knows", False)]
)
async def test_other_markets_orders_are_none_of_ours(
    whose: str, proven: bool, autojump_clock: MockClock
) -> None:
    """A venue that told of all markets' orders, whichever was asked for, let no window prove itself
    empty while another was quoted: ten seconds later nothing was quoted anywhere, and the switch
    was let fall. What nobody knows may rest here all the same.
    """
    row = OrderRow(whose, "0x1", "1", Side.BUY, 4000, 5, 0, OrderSeen.Kind.LIVE, "LIVE")
    with trio.move_on_after(SOME_S) as patience:
        await flatten(Venue([row]))()

    assert patience.cancelled_caught is not proven
