"""Binance's limits, its depth streams and the end of its day (feeds.md 7)."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked
from wire_kit import Wire

from polybot.clock import Clock
from polybot.exchange.binance import KEEPALIVE, BinanceService
from polybot.exchange.oracle import Oracle
from polybot.exchange.request import Request
from polybot.exchange.synthetic import SyntheticSource
from polybot.exchange.terms import Terms

HOUR = 1_795_197_600_000
START = HOUR - 5_000


class Venue:
    """The service without a network, on a virtual clock."""

    def __init__(self, nursery: trio.Nursery, mock: MockClock, terms: Terms = Terms()) -> None:
        source = SyntheticSource(1, START, {"btc": 90_000.0})
        self.nursery, self.mock = nursery, mock
        self.clock = Clock.starting_at(START)
        self.oracle = Oracle(source, ["btc"], START, random.Random(2))
        self.service = BinanceService(self.oracle, self.clock, terms)

    async def connect(self, path: str) -> Wire:
        wire = Wire(path=path)
        self.nursery.start_soon(self.service._serve, wire)
        await wait_all_tasks_blocked()
        return wire

    async def run(self, seconds: float) -> None:
        self.mock.jump(seconds)
        self.oracle.advance(self.clock.now_ms())
        await wait_all_tasks_blocked()


def ask(number: int, *names: str) -> dict[str, Any]:
    return {"method": "SUBSCRIBE", "params": list(names), "id": number}


@pytest.mark.conforms("feeds-12.7-depth")
async def test_partial_books_stand_around_the_touch(
    nursery: trio.Nursery, mock_clock: MockClock
) -> None:
    """So many levels a side, best first, never crossed; once a second or every 100 ms."""
    venue = Venue(nursery, mock_clock)
    slow = await venue.connect("/ws/btcusdt@depth5")
    fast = await venue.connect("/ws/btcusdt@depth20@100ms")
    await venue.run(10)
    books, many = slow.take(), fast.take()
    assert 7 <= len(books) <= 10 < len(many)
    for book, levels in [(b, 5) for b in books] + [(b, 20) for b in many]:
        bids = [float(price) for price, _ in book["bids"]]
        asks = [float(price) for price, _ in book["asks"]]
        assert (len(bids), len(asks)) == (levels, levels)
        assert bids == sorted(bids, reverse=True)
        assert asks == sorted(asks)
        assert bids[0] < asks[0]
    numbers = [book["lastUpdateId"] for book in books]
    assert numbers == sorted(set(numbers))


@pytest.mark.conforms("feeds-12.7-kline-1m-1s")
async def test_minutes_and_seconds_end_like_hours(
    nursery: trio.Nursery, mock_clock: MockClock
) -> None:
    """Each minute and each second once with x:true; seconds come every second."""
    venue = Venue(nursery, mock_clock)
    minutes = await venue.connect("/ws/btcusdt@kline_1m")
    seconds = await venue.connect("/ws/btcusdt@kline_1s")
    await venue.run(127)
    done = [m["k"] for m in minutes.take() if m["k"]["x"]]
    assert [k["t"] for k in done] == [HOUR - 60_000, HOUR, HOUR + 60_000]
    assert {k["T"] - k["t"] for k in done} == {59_999}
    closed = [m["k"] for m in seconds.take() if m["k"]["x"]]
    assert len({k["t"] for k in closed}) == len(closed) >= 120
    assert {k["i"] for k in closed} == {"1s"}


@pytest.mark.conforms("feeds-12.7-microseconds")
async def test_times_may_be_microseconds(nursery: trio.Nursery, mock_clock: MockClock) -> None:
    """`timeUnit=MICROSECOND` of the URL scales every time and nothing else."""
    venue = Venue(nursery, mock_clock)
    names = "btcusdt@trade/btcusdt@kline_1h"
    plain = await venue.connect(f"/stream?streams={names}")
    micro = await venue.connect(f"/stream?streams={names}&timeUnit=MICROSECOND")
    await venue.run(3)
    pairs = list(zip(plain.take(), micro.take(), strict=True))
    assert pairs
    for one, other in pairs:
        ms, us = one["data"], other["data"]
        assert us["E"] == ms["E"] * 1000
        if ms["e"] == "kline":
            assert us["k"]["t"] == ms["k"]["t"] * 1000
            assert us["k"]["T"] == ms["k"]["T"] * 1000 + 999
            assert us["k"]["c"] == ms["k"]["c"]
        else:
            assert (us["T"], us["p"]) == (ms["T"] * 1000, ms["p"])


@pytest.mark.conforms("feeds-12.7-message-limit")
async def test_six_messages_in_a_second_end_the_connection(
    nursery: trio.Nursery, mock_clock: MockClock
) -> None:
    """Five a second are served, for as long as one likes."""
    venue = Venue(nursery, mock_clock)
    wire = await venue.connect("/ws")
    for second in range(3):
        for number in range(5):
            await wire.tell(ask(number, f"s{second}{number}"))
        await venue.run(1.001)
    assert wire.closed is None
    for number in range(6):
        wire.say.send_nowait(json.dumps(ask(number, "x")))
    await wait_all_tasks_blocked()
    assert wire.closed == (1008, "Too many requests")


@pytest.mark.conforms("feeds-12.7-stream-limit")
async def test_a_connection_has_1024_streams_at_most(
    nursery: trio.Nursery, mock_clock: MockClock
) -> None:
    """By SUBSCRIBE the one too many is refused; in the URL it ends the connection."""
    venue = Venue(nursery, mock_clock)
    wire = await venue.connect("/ws")
    names = [f"s{n}" for n in range(1024)]
    assert await wire.tell(ask(1, *names)) == [{"result": None, "id": 1}]
    (refusal,) = await wire.tell(ask(2, "one-more"))
    assert refusal["code"] == 2
    over = await venue.connect("/stream?streams=" + "/".join([*names, "one-more"]))
    assert over.closed == (1008, "too many streams")


@pytest.mark.conforms("feeds-12.7-connection-limit")
async def test_three_hundred_connections_in_five_minutes(
    nursery: trio.Nursery, mock_clock: MockClock
) -> None:
    """The next of the same address is 429 until the first is five minutes old."""
    venue = Venue(nursery, mock_clock)
    mine, other = (Request("GET", "/ws", {}, {}, b"", f"10.0.0.{n}") for n in (1, 2))
    assert [venue.service._admit(mine) for _ in range(300)] == [None] * 300
    refusal = venue.service._admit(mine)
    assert refusal is not None
    assert (refusal.status, dict(refusal.headers)["retry-after"]) == (429, "301")
    assert venue.service._admit(other) is None
    mock_clock.jump(300.1)
    assert venue.service._admit(mine) is None


@pytest.mark.conforms("feeds-12.7-day-end")
async def test_a_connection_ends_with_its_day(nursery: trio.Nursery, mock_clock: MockClock) -> None:
    """serverShutdown first, served on for a little, then closed; one may come again."""
    venue = Venue(nursery, mock_clock)
    wire = await venue.connect("/ws/btcusdt@trade")
    mock_clock.jump(86_400 - 11)
    await wait_all_tasks_blocked()
    assert wire.closed is None
    assert wire.take() == []
    mock_clock.jump(2)
    await wait_all_tasks_blocked()
    assert [m["e"] for m in wire.take()] == ["serverShutdown"]
    (answer,) = await wire.tell(ask(7, "btcusdt@kline_1h"))
    assert answer["id"] == 7
    mock_clock.jump(10)
    await wait_all_tasks_blocked()
    assert wire.closed == (1001, "connection lifetime exceeded")
    assert not venue.service._readers
    assert (await venue.connect("/ws")).closed is None


@pytest.mark.conforms("feeds-12.7-pings")
def test_pings_come_every_twenty_seconds_and_a_minute_is_the_bound() -> None:
    """Three unanswered pings end it; that the mechanism works is shown with PolyBolt's figures."""
    assert (KEEPALIVE.every_s, KEEPALIVE.every_s * KEEPALIVE.misses) == (20, 60)
