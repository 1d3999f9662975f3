"""Reads that answer within their own time-out: a market is proven empty by them all the same."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import attrs
import pytest
import trio
from desk_kit import MARKET, desk
from trio.testing import MockClock

from polybot.account import Account
from polybot.clock import Clock
from polybot.core_tape import CoreTape
from polybot.domain.market import Outcome, Side
from polybot.domain.orders import CancelResult, Failure, NewOrder, SignedOrder, TimeInForce
from polybot.domain.units import SHARE
from polybot.execution.doubts import Survey
from polybot.execution.firewall import Admission
from polybot.health import Health
from polybot.market_scope import FLATTEN_S
from polybot.orders_task import OrdersTask
from polybot.venue.tap import NOBODY


@attrs.define
class Venue:
    """One that never had the order; cancels are quick, reads are let wait (F41)."""

    read_s: float

    async def cancel_market(self, _: str) -> CancelResult:
        await trio.sleep(0.1)
        return CancelResult(frozenset(), {})

    async def cancel(self, ids: tuple[str, ...]) -> CancelResult:
        await trio.sleep(0.1)
        return CancelResult(frozenset(), dict.fromkeys(ids, "order not found"))

    async def order(self, _: str) -> None:
        await trio.sleep(self.read_s)

    async def nothing(self, *_: object, **__: object) -> list[Any]:
        await trio.sleep(self.read_s)
        return []

    open_orders = trades = nothing


def task(read_s: float) -> OrdersTask:
    nothing: Any = None
    clock, made = Clock(0.0), desk()
    core, journal = CoreTape(NOBODY, clock), SimpleNamespace(note=lambda *_: None)
    account = Account(nothing, clock, Health(Admission()), journal, core)  # type: ignore[arg-type]
    orders = OrdersTask(made, Venue(read_s), account, clock, core)  # type: ignore[arg-type]
    bid = NewOrder(MARKET, Outcome.UP, Side.BUY, 4800, 10 * SHARE, TimeInForce.GTC)
    made.table.record(SignedOrder("0x1", bid, b"{}"), clock.now_ms())
    account.own("0x1", MARKET.condition_id)
    return orders


@pytest.mark.parametrize("read_s", [0.5, 3.2, 4.5])
async def test_a_survey_is_waited_for(autojump_clock: MockClock, read_s: float) -> None:
    """Each of its two reads may take five seconds (`Rest.timeout_s`)."""
    orders = task(read_s)
    await orders._perform(Survey(0))
    answer: Any = orders.waiting()
    assert not isinstance(answer.rows, Failure), answer
    assert answer.trades


@pytest.mark.parametrize(
    ("lost", "read_s"), [(1, 0.5), (1, 2.0), (1, 3.4), (1, 4.5), (8, 0.2), (8, 1.0)]
)
async def test_a_market_is_proven_empty_by_slow_reads(
    lost: int, read_s: float, autojump_clock: MockClock
) -> None:
    """As its scope asks: ten seconds at a time, again and again. One second a read is no outage,
    also for a batch without an answer.
    """
    orders = task(read_s)
    bid = orders.desk.table["0x1"].order
    for n in range(2, lost + 1):
        orders.desk.table.record(SignedOrder(f"0x{n}", bid, b"{}"), orders.clock.now_ms())
        orders.account.own(f"0x{n}", MARKET.condition_id)
    for _ in range(12):
        with trio.move_on_after(FLATTEN_S) as patience:
            await orders.flatten()
        if not patience.cancelled_caught:
            break

    assert not patience.cancelled_caught, orders.desk.table["0x1"].absences
