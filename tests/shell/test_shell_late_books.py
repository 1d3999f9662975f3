"""A market stream whose changes are read late: its books are of the past, whatever their hashes say
(feeds.md 2.6, delayed frames).
"""

from __future__ import annotations

import math
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio
from shell_kit import Scene, clean, playing
from test_shell_streams import feed_of

from polybot.domain.units import SHARE
from polybot.exchange.model import BUY
from polybot.lab.replay import main as replay
from polybot.lateness import LONGEST_MS
from polybot.patient_clock import PatientClock

Due = Callable[[float], float]


@asynccontextmanager
async def delaying(it: Scene, due: Due) -> AsyncGenerator[None]:
    """Every frame of the market stream but answers to pings leaves when `due` says of its time, in
    order.
    """
    line = it.venue.lines["market_ws"]
    send, receive = trio.open_memory_channel[tuple[float, bytes]](math.inf)

    def passes(data: bytes) -> bool:
        if len(data) < 60:
            return True
        send.send_nowait((due(trio.current_time()), data))
        return False

    async def carry() -> None:
        async for at, data in receive:
            await trio.sleep_until(at)
            for socket in list(line.sockets):
                socket.send_frame(data)

    line.passes = passes
    async with trio.open_nursery() as nursery:
        nursery.start_soon(carry)
        yield
        nursery.cancel_scope.cancel()
    line.flow()
    for socket in list(line.sockets):  # what was under way is lost with its connection
        socket.drop()


async def believed(it: Scene, seconds: float) -> float:
    """The share of that time in which the quoter went by a book."""
    seen = 0
    for _ in range(int(seconds * 10)):
        inputs = it.bot.supervisor.scopes[it.market.slug].quote.quoter.inputs
        seen += inputs is not None and inputs.up is not None
        await trio.sleep(0.1)
    return seen / int(seconds * 10)


async def stir(it: Scene) -> None:
    """Somebody moves something every three seconds."""
    while True:
        stirred(it)
        await trio.sleep(3)


def stirred(it: Scene) -> None:
    deep = min(price for price, _ in it.venue.engine.levels(it.market.tokens[0])[0])
    assert it.venue.taker.rest(it.market, BUY, deep, 10 * SHARE, it.venue.clock.now_ms())


async def kept_still(it: Scene) -> None:
    it.bot.ctx.admission.trouble = "kept still"  # our own orders would be changes, too
    await it.withdrawn()
    it.venue.crowd.hushed = True


def steadily(now: float) -> float:
    return now + 3.0


def in_bunches(now: float) -> float:
    """The last of each are young, the first as old as the bunch is long."""
    return math.ceil(now / 3.0) * 3.0


@pytest.mark.parametrize("due", [steadily, in_bunches])
async def test_a_stream_that_stays_late(due: Due, fast_clock: PatientClock) -> None:
    """No book of it is gone by, however its frames come; another connection is tried, once; and
    when they come in time quoting goes on within the longest while.
    """
    async with playing() as it:
        line = it.venue.lines["market_ws"]
        opened = line.opened
        async with delaying(it, due):
            await trio.sleep(15)
            assert await believed(it, 60) == 0
            assert line.opened == opened + 1
        await it.requoting(LONGEST_MS / 1000 + 5)
        report = await it.end()

    assert report.bad_input["market stream: its changes come late"] == 1
    assert report.bad_input["market stream: changes read late, book held back"] <= 3
    clean(report)


async def test_a_late_stream_of_a_still_market(fast_clock: PatientClock) -> None:
    """That it has told all it had to tell is no evidence: it was believed two seconds of three."""
    async with playing() as it:
        await kept_still(it)
        async with delaying(it, steadily), trio.open_nursery() as nursery:
            nursery.start_soon(stir, it)
            await trio.sleep(10)
            assert await believed(it, 60) == 0
            nursery.cancel_scope.cancel()


async def test_one_late_change_and_then_nothing(
    fast_clock: PatientClock, capsys: pytest.CaptureFixture[str]
) -> None:
    """The venue is asked for its books, and they are ours: no change in time need come, and the
    connection stays. A replay of it decides the same.
    """
    async with playing(taped=True) as it:
        await kept_still(it)
        line, asked = it.venue.lines["market_ws"], len(it.venue.asked("GET", "/book"))
        opened, feed = line.opened, feed_of(it)
        async with delaying(it, steadily):
            stirred(it)
            await it.until(lambda: feed.lateness.unproven, "a late change", 5)
            await trio.sleep(0.1)  # the quoter's turn may come after this look
            assert await believed(it, 0.8) == 0
            await it.until(lambda: not feed.lateness.unproven, "the books are ours", 2.5)
            await trio.sleep(0.2)  # as above
            assert await believed(it, 1.0) == 1
            assert line.opened == opened
        assert 2 <= len(it.venue.asked("GET", "/book")) - asked <= 6
        await it.end()
        await trio.sleep(20)  # half a second of the wall's: what was taped is on the disk
        folder = Path(it.bot.ctx.config.journal.folder)
        await trio.to_thread.run_sync(replay, [str(folder / "tapes")])
    assert "no difference" in capsys.readouterr().out


async def test_a_stumble(fast_clock: PatientClock) -> None:
    """Once late, and in time after it: held back for a second or two, nothing more."""
    async with playing() as it:
        line = it.venue.lines["market_ws"]
        began = trio.current_time()
        async with delaying(it, lambda now: max(now, began + 2.5)):
            opened, late = line.opened, feed_of(it).lateness
            await it.until(lambda: late.late(it.venue.clock.now_ms()), "it is late", 5)
            await it.until(lambda: not late.late(it.venue.clock.now_ms()), "and is not", 2.5)
            assert line.opened == opened
            await it.requoting(10)
