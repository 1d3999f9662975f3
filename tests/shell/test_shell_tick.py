"""What happens while an order waits for the disk, or for a connection: nothing leaves of a grid
(F08), a phase (S1) or a wish (S2) that is over.
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
from polybot.execution.wish import Desired
from polybot.order_messages import Message, Posted, Unsent
from polybot.orders_task import OrdersTask
from polybot.stream_trust import StreamTrust
from polybot.venue.leave import Leave
from polybot.venue.tap import NOBODY

GTC, FAK = TimeInForce.GTC, TimeInForce.FAK
UP_BID = NewOrder(MARKET, Outcome.UP, Side.BUY, 4700, 10 * SHARE)
DOWN_BID = NewOrder(MARKET, Outcome.DOWN, Side.BUY, 4700, 10 * SHARE)
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


def wish(cap: int, *orders: NewOrder) -> Desired:
    """A wish that lets a bid cost so much."""
    return Desired(orders, cap, cap, 9900, 5000)


async def asked(
    where: str,
    tick: int = 10,
    left_ms: int = 200_000,
    takes_ms: int = 0,
    then: Desired | None = None,
    *,
    tif: TimeInForce = TimeInForce.GTC,
) -> tuple[Message | None, list[SignedOrder]]:
    """What becomes of two bids, at 0.48 and 0.485, so long before the window's end, when the write
    or the dialling takes this long, and after it the tick is this and the wish `then`.
    """
    made, ticks = desk(), [10]
    made.firewall.heard_tick = lambda: ticks[0]
    clock = Clock.starting_at(MARKET.end_ms - left_ms)

    def wait() -> None:
        ticks[0] = tick
        clock.set_right(takes_ms)
        if then is not None:
            orders.wish(then)

    account: Any = Account(Disk(wait if where == "disk" else nothing))
    client: Any = (venue := Venue(wait if where == "dialling" else nothing))
    orders = OrdersTask(made, client, account, clock, CoreTape(NOBODY, clock))
    market = attrs.evolve(MARKET, tick=10)
    bids = tuple(
        SignedOrder(
            f"0x{price}",
            NewOrder(market, Outcome.UP, Side.BUY, price, 10 * SHARE, tif, post_only=tif is GTC),
            b"{}",
        )
        for price in (4800, 4850)
    )
    made.desired = wish(4900, *(bid.order for bid in bids))
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


@WHERE
@pytest.mark.parametrize(
    ("then", "left"),
    [
        (wish(4850, UP_BID), 2),
        (wish(4840, UP_BID), 0),
        (wish(4850, DOWN_BID), 0),
        (Desired(cause="oracle stale"), 0),
    ],
    ids=["moved within its caps", "cap fallen", "side withdrawn", "blind"],
)
async def test_what_leaves_is_of_the_wish_of_now(where: str, then: Desired, left: int) -> None:
    """The price moved while the order was written: known to be too dear, it was sent all the same,
    and no cancel reaches what is in flight.
    """
    answer, placed = await asked(where, then=then)

    assert len(placed) == left
    assert answer == (Posted(()) if left else Unsent(("0x4800", "0x4850")))


@WHERE
async def test_what_takes_leaves_under_a_later_wish(where: str) -> None:
    """It is asked for once: the wish after it says nothing of it, for it is under way."""
    _, placed = await asked(where, then=Desired(cause="balanced"), tif=FAK)

    assert len(placed) == 2
