"""An order that comes to rest after it was proven away: it is withdrawn at once (F18, S3, S4)."""

from __future__ import annotations

from typing import Any

import attrs
import pytest
from desk_kit import MARKET, desk

from polybot.account import Account, Route
from polybot.channels import Bell
from polybot.clock import Clock
from polybot.core_tape import CoreTape
from polybot.domain.ledger import Ledger
from polybot.domain.market import Outcome, Side
from polybot.domain.orders import NewOrder, OrderSeen, SignedOrder, TimeInForce
from polybot.domain.units import SHARE
from polybot.journal.entries import Told
from polybot.orders_task import OrdersTask
from polybot.venue.tap import NOBODY

KNOWN, LATE = "0x1", "0x2"


@attrs.define
class Wallet:
    doubt: Bell = attrs.field(factory=Bell)


@pytest.fixture
def account() -> Account:
    """A wallet's account; nothing is asked and nothing recorded."""
    nothing: Any = None
    clock = Clock(0.0)
    return Account(
        client=nothing, clock=clock, health=nothing, journal=nothing,
        core=CoreTape(NOBODY, clock), ledger=Ledger(), doubt=Bell(),
    )  # fmt: skip


def told(order_id: str, kind: OrderSeen.Kind = OrderSeen.Kind.LIVE) -> OrderSeen:
    return OrderSeen(order_id, kind, 0, kind.value, 1_000)


def task(wallet: Any) -> OrdersTask:
    """A market's orders task whose desk knows one order."""
    nothing: Any = None
    made, clock = desk(), Clock(0.0)
    order = NewOrder(MARKET, Outcome.UP, Side.BUY, 4800, 10 * SHARE, TimeInForce.GTC)
    made.table.record(SignedOrder(KNOWN, order, b""), 0)
    return OrdersTask(made, nothing, wallet, clock, CoreTape(NOBODY, clock))


@pytest.mark.parametrize(
    ("event", "rung"),
    [
        (told(LATE), True),
        (told(LATE, OrderSeen.Kind.DEAD), False),
        (told(KNOWN), False),
    ],
)
async def test_the_venues_list_is_read_when_a_late_order_rests(
    event: OrderSeen, rung: bool
) -> None:
    """Seed 651: a request that the edge had held back for eighteen seconds, after its scope had
    ended and its market had been proven empty. The next scope's desk does not know it, and has
    placed its like; for up to twenty seconds nobody looked.
    """
    wallet = Wallet()
    task(wallet).apply(event, 1_000)

    assert wallet.doubt._rung is rung


async def test_a_market_that_is_run_hears_it_itself(account: Account) -> None:
    """Its desk knows best whether an order is late."""
    heard: list[object] = []
    nothing: Any = lambda *_: None  # noqa: E731 - not asked
    account.routes[MARKET.condition_id] = Route(
        hear=lambda event, _: heard.append(event), missing=nothing, resting=nothing, orders=list
    )
    account.take([Told(MARKET.condition_id, told(KNOWN))], 1_000)

    assert heard == [told(KNOWN)]
    assert not account.doubt._rung
