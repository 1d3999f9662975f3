"""An order whose answer was lost on the way to its desk: its market is emptied all the same."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import trio
from desk_kit import MARKET, desk
from trio.testing import MockClock

from polybot import orders_task
from polybot.account import Account
from polybot.clock import Clock
from polybot.core_tape import CoreTape
from polybot.domain.market import Outcome, Side
from polybot.domain.orders import CancelResult, NewOrder, SignedOrder, TimeInForce
from polybot.domain.units import SHARE
from polybot.execution.firewall import Admission
from polybot.execution.lifecycle import State
from polybot.health import Health
from polybot.order_messages import Posted, Wish
from polybot.orders_task import OrdersTask
from polybot.venue.tap import NOBODY

PROVEN_WITHIN_S = 8.0  # the grace, and the pause between two looks


class Venue:
    """One that never had the order."""

    async def cancel_market(self, _: str) -> CancelResult:
        await trio.lowlevel.checkpoint()
        return CancelResult(frozenset(), {})

    async def cancel(self, ids: tuple[str, ...]) -> CancelResult:
        await trio.lowlevel.checkpoint()
        return CancelResult(frozenset(), dict.fromkeys(ids, "order not found"))

    async def order(self, _: str) -> None:
        await trio.lowlevel.checkpoint()

    async def nothing(self, *_: object, **__: object) -> list[Any]:
        await trio.lowlevel.checkpoint()
        return []

    open_orders = trades = nothing


async def test_a_reply_that_found_no_room_is_no_answer(
    autojump_clock: MockClock, monkeypatch: Any
) -> None:
    """An inbox that overflows ends every scope, and the books tell what was in the messages. But
    what a POST came to is in no book: its order was on its way for ever, which nothing cancels or
    looks up, and the market was never proven empty: the rest of the night nothing was placed.
    """
    monkeypatch.setattr(orders_task, "INBOX", 1)
    nothing: Any = None
    clock, venue, made = Clock(0.0), Venue(), desk()
    core, journal = CoreTape(NOBODY, clock), SimpleNamespace(note=lambda *_: None)
    health = Health(Admission())
    account = Account(nothing, clock, health, journal, core)  # type: ignore[arg-type]
    orders = OrdersTask(made, venue, account, clock, core)  # type: ignore[arg-type]
    bid = NewOrder(MARKET, Outcome.UP, Side.BUY, 4800, 10 * SHARE, TimeInForce.GTC)
    made.table.record(SignedOrder("0x1", bid, b"{}"), clock.now_ms())
    account.own("0x1", MARKET.condition_id)
    orders._put(Wish())
    orders._put(Posted(()))
    assert health.troubles == {"orders inbox": "overflow"}

    with trio.fail_after(PROVEN_WITHIN_S):
        await orders.flatten()
    assert made.table["0x1"].state is State.ABSENT
