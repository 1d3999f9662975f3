"""What happens while an order waits for the disk, or for a connection: nothing leaves of a grid
(F08) or a phase (S1) that is over.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs
import pytest
import trio
from desk_kit import MARKET, desk

from polybot.clock import Clock
from polybot.core_tape import CoreTape
from polybot.domain.market import Outcome, Side
from polybot.domain.orders import NewOrder, SignedOrder, TimeInForce
from polybot.domain.units import SHARE
from polybot.execution.actions import Post
from polybot.order_messages import Message, Posted, Unsent
from polybot.orders_task import OrdersTask
from polybot.stream_trust import StreamTrust
from polybot.venue.leave import Leave
from polybot.venue.tap import NOBODY

WHERE = pytest.mark.parametrize("where", ["disk", "dialling"])


@attrs.define
class Disk:
    """A journal; something happens while it writes."""

    meanwhile: Callable[[], object]

    async def append(self, *_: object) -> None:
        self.meanwhile()
        await trio.lowlevel.checkpoint()


@attrs.define
class Account:
    journal: Disk
    stream: StreamTrust = attrs.field(factory=StreamTrust)


@attrs.define
class Venue:
    """Notes what has been sent; something happens while it is dialled."""

    meanwhile: Callable[[], object]
    placed: list[SignedOrder] = attrs.field(factory=list)

    async def place(self, orders: tuple[SignedOrder, ...], leave: Leave) -> list[object]:
        self.meanwhile()
        await trio.lowlevel.checkpoint()
        if leave.take():
            self.placed += orders
        return []


def nothing() -> None: ...


async def asked(
    where: str, tick: int = 10, left_ms: int = 200_000, takes_ms: int = 0
) -> tuple[Message | None, list[SignedOrder]]:
    """What becomes of two bids, at 0.48 and 0.485, so long before the window's end, when the write
    or the dialling takes this long and the tick is this after it.
    """
    made, ticks = desk(), [10]
    made.firewall.heard_tick = lambda: ticks[0]
    clock = Clock.starting_at(MARKET.end_ms - left_ms)

    def wait() -> None:
        ticks[0] = tick
        clock.set_right(takes_ms)

    account: Any = Account(Disk(wait if where == "disk" else nothing))
    client: Any = (venue := Venue(wait if where == "dialling" else nothing))
    orders = OrdersTask(made, client, account, clock, CoreTape(NOBODY, clock))
    market = attrs.evolve(MARKET, tick=10)
    bids = tuple(
        SignedOrder(
            f"0x{price}",
            NewOrder(market, Outcome.UP, Side.BUY, price, 10 * SHARE, TimeInForce.GTC),
            b"{}",
        )
        for price in (4800, 4850)
    )
    return await orders.ask(orders.request(Post(bids))), venue.placed


@WHERE
@pytest.mark.parametrize(("tick", "left"), [(10, 2), (50, 2), (100, 0)])
async def test_what_leaves_is_on_the_grid_of_now(where: str, tick: int, left: int) -> None:
    """A request goes as it was signed, or not at all: its orders are taken back, and the quoter's
    next turn asks for better ones (S2).
    """
    answer, placed = await asked(where, tick)

    assert len(placed) == left
    assert answer == (Posted(()) if left else Unsent(("0x4800", "0x4850")))


@WHERE
@pytest.mark.parametrize(
    ("left_ms", "left"),
    [(122_000, 2), (120_500, 0), (119_000, 2), (62_000, 2), (60_500, 0)],
    ids=["before the stop", "over the stop", "after it", "before the cutoff", "over the cutoff"],
)
async def test_what_leaves_is_of_the_phase_of_now(where: str, left_ms: int, left: int) -> None:
    """A disk that took a second and a half let orders leave up to as much after the cutoff, or
    after the stop, where only what pairs may be asked for.
    """
    answer, placed = await asked(where, left_ms=left_ms, takes_ms=1_500)

    assert len(placed) == left
    assert answer == (Posted(()) if left else Unsent(("0x4800", "0x4850")))
