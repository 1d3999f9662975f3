"""The doctor's far order before a venue that is slow: nothing rests unsaid."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import orjson
import pytest
import trio
from desk_kit import MARKET
from shell_kit import HOUR_MS, Scene, scene
from venue_bent import Act, Handler, answer, silence

from polybot.domain.market import Outcome, Side
from polybot.domain.orders import Failure, NewOrder
from polybot.exchange.request import Request, Response
from polybot.far_order import far_order
from polybot.operator import check_order
from polybot.operator.doctor import CHECK_S, in_turn
from polybot.operator.findings import Finding, Grade
from polybot.operator.patient import Patient
from polybot.patient_clock import PatientClock

LATE_S = 4.0  # below a request's patience, above what the last cancel had


async def late(request: Request, handle: Handler) -> Response:
    """It is held up on its way."""
    await trio.sleep(LATE_S)
    return await handle(request)


def patient(it: Scene) -> Patient:
    """A wallet without a journal yet."""
    ctx = it.bot.ctx
    return Patient(
        config=ctx.config, site=ctx.site, wallet=ctx.wallet, client=ctx.client, http=it.http,
        rng=ctx.rng, journal=it.journal.with_name("none yet"), owner="scene",
    )  # fmt: skip


@pytest.mark.parametrize("cancels", ["late", "lost"])
async def test_an_order_whose_end_nobody_tells(cancels: str, fast_clock: PatientClock) -> None:
    """Look-ups get no answer: the check was given up as one that is slow, its last cancel after
    three seconds, and nobody was told to look for the order.
    """
    async with scene(at_ms=HOUR_MS + 60_000) as it:
        one = patient(it)
        it.venue.bend("GET", "/data/order", act=silence)
        it.venue.bend("DELETE", "/order", act=late if cancels == "late" else silence)
        began = trio.current_time()
        ((name, found),) = await in_turn(one, [check_order.CHECK])

        assert trio.current_time() - began < CHECK_S
        assert len(it.venue.placed()) == 1
        assert bool(it.venue.live) is (cancels == "lost")
    assert (name, found.grade) == ("far order", Grade.FAILED)
    assert "may rest" in found.found
    assert found.remedy == check_order.REMEDY


ROW = {
    "id": "0x1", "status": "LIVE", "asset_id": "1", "market": "0x2", "side": "BUY", "owner": "x",
    "original_size": "5", "size_matched": "0", "price": "0.1", "order_type": "GTC",
}  # fmt: skip


RESTS = answer(200, orjson.dumps({"data": [ROW], "next_cursor": "LTE="}))


@pytest.mark.parametrize("resting", [RESTS, answer(503)], ids=["rests", "unread"])
async def test_an_engine_that_no_lock_tells_of(resting: Act, fast_clock: PatientClock) -> None:
    """On another machine, or with a journal that this user cannot see: its orders rest, and one
    beside them would be a stranger's to it, and halt it.
    """
    async with scene(at_ms=HOUR_MS + 60_000) as it:
        it.venue.bend("GET", "/data/orders", act=resting)
        ((_, found),) = await in_turn(patient(it), [check_order.CHECK])

        assert it.venue.placed() == []
    assert found.grade is Grade.FAILED
    assert found.found.startswith("not placed: ")


@pytest.fixture
def gone() -> Iterator[list[int]]:
    """The signals that ended the process: as `__main__` has it, at once."""
    numbers: list[int] = []
    heard = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(one, lambda number, _: numbers.append(number)) for one in heard]
    yield numbers
    for one, handler in zip(heard, before, strict=True):
        signal.signal(one, handler)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_whoever_cannot_wait_leaves_no_order_behind(
    number: signal.Signals, gone: list[int], fast_clock: PatientClock
) -> None:
    """Ctrl-C while the order rests: the process was gone in that step, and the order stayed, under
    no dead-man switch, to the end of its window.
    """
    found: list[tuple[str, Finding]] = []
    async with scene(at_ms=HOUR_MS + 60_000) as it, trio.open_nursery() as nursery:
        it.venue.bend("GET", "/data/order", act=silence)

        async def look() -> None:
            found.extend(await in_turn(patient(it), [check_order.CHECK]))

        nursery.start_soon(look)
        await it.until(lambda: bool(it.venue.live), "the order rests", 20)
        os.kill(os.getpid(), number)
        await it.until(lambda: bool(found), "an end", 20)

        assert it.venue.live == []
        assert len(it.venue.placed()) == 1
    assert gone == []
    assert found[0][1].grade is Grade.FAILED
    assert "may rest" in found[0][1].found


class Books:
    """A venue that has these books: bids and asks, best first, or no answer."""

    def __init__(self, *those: tuple[tuple[int, ...], tuple[int, ...]] | None) -> None:
        self.by_token = dict(zip((MARKET.up_token, MARKET.down_token), those, strict=True))

    async def book(self, token: str) -> Any:
        await trio.lowlevel.checkpoint()
        sides = self.by_token[token]
        if sides is None:
            return Failure("no answer")
        bids, asks = ([SimpleNamespace(price=price) for price in side] for side in sides)
        return SimpleNamespace(bids=bids, asks=asks)


@pytest.mark.parametrize(
    ("up", "down", "where"),
    [
        (((6_000, 5_900), (6_100,)), ((3_900,), (4_000,)), Outcome.UP),
        (((3_900,), (4_000,)), ((6_000,), (6_100,)), Outcome.DOWN),
        (((), (400,)), ((), (9_700,)), Outcome.DOWN),  # nobody bids: whoever comes may, below asks
        (((400,), ()), ((), (500,)), Outcome.UP),
        (((399,), (500,)), ((300,), (400,)), "no price is far from the market"),
        (None, ((6_000,), (6_100,)), "no answer"),
        (((6_000,), (6_100,)), None, "no answer"),
    ],
)
async def test_it_rests_where_the_market_is_furthest(
    up: tuple[Any, Any] | None, down: tuple[Any, Any] | None, where: Outcome | str
) -> None:
    """At the lowest price, on the outcome with the better bid, and nowhere that is not read."""
    client: Any = Books(up, down)
    found = await far_order(client, MARKET)

    if isinstance(where, str):
        assert isinstance(found, Failure)
        assert where in found.what
    else:
        assert isinstance(found, NewOrder)
        assert (found.outcome, found.side) == (where, Side.BUY)
        assert (found.price, found.size, found.post_only) == (MARKET.tick, MARKET.min_size, True)
