"""RTDS's public trades, and how its sessions live and die (feeds.md 6)."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest
import trio
from clob_kit import T0, UP_TOKEN, ClobKit
from trio.testing import MockClock, wait_all_tasks_blocked
from wire_kit import Wire

from polybot.exchange.model import BUY, SELL
from polybot.exchange.oracle import Oracle
from polybot.exchange.rtds import RtdsService
from polybot.exchange.rtds_activity import DELAY_MS, pseudonym
from polybot.exchange.synthetic import SyntheticSource
from polybot.exchange.terms import Terms

MINUTE_MS = 60_000


class Venue:
    """The service beside a CLOB, without a network, on a virtual clock."""

    def __init__(self, nursery: trio.Nursery, clock: MockClock, terms: Terms = Terms()) -> None:
        self.kit = ClobKit()
        source = SyntheticSource(1, T0, {"btc": 90_000.0})
        self.nursery, self.clock = nursery, clock
        self.oracle = Oracle(source, ["btc"], T0, random.Random(2))
        self.service = RtdsService(self.oracle, self.kit.clock, random.Random(3), terms)
        self.kit.engine.listeners.append(self.service.on_event)

    def connect(self) -> Wire:
        wire = Wire()
        self.nursery.start_soon(self.service._serve, wire)
        return wire

    async def run(self, ms: int) -> None:
        """Let venue time pass, prices coming as they do."""
        self.clock.jump(ms / 1000)
        self.oracle.advance(self.kit.clock.now_ms())
        await wait_all_tasks_blocked()


def request(*items: tuple[str, str, str]) -> dict[str, object]:
    """Subscriptions of (topic, type, filters)."""
    keys = ("topic", "type", "filters")
    return {
        "action": "subscribe",
        "subscriptions": [
            {key: value for key, value in zip(keys, item, strict=True) if value} for item in items
        ],
    }


def topics(frames: list[Any]) -> set[str]:
    return {frame["topic"] for frame in frames}


@pytest.mark.conforms("feeds-12.5-activity-trades", "feeds-12.5-activity-matched")
async def test_public_trades_come_with_wallets_two_seconds_later(
    nursery: trio.Nursery, mock_clock: MockClock
) -> None:
    """Both types tell the taker's row, about 1.9 s after the match (feeds.md 6)."""
    venue = Venue(nursery, mock_clock)
    wire = venue.connect()
    assert await wire.tell(request(("activity", "*", ""))) == []
    venue.kit.crowd(SELL, UP_TOKEN, 5200, 10)
    order = venue.kit.ann.limit(BUY, UP_TOKEN, 55, 6)
    assert (await venue.kit.call(venue.kit.ann, "POST", "/order", order))[0] == 200
    await venue.run(DELAY_MS - 10)
    assert wire.take() == []
    await venue.run(500)
    told = wire.take()
    assert [(m["topic"], m["type"]) for m in told] == [
        ("activity", "trades"), ("activity", "orders_matched"),
    ]  # fmt: skip
    row = told[0]["payload"]
    assert row["proxyWallet"] == venue.kit.ann.address
    assert (row["price"], row["size"], row["side"]) == (0.52, 6.0, "BUY")
    assert (row["asset"], row["outcome"]) == (UP_TOKEN, "Up")
    assert (row["slug"], row["timestamp"]) == (venue.kit.market.slug, T0 // 1000)
    assert row["pseudonym"] == pseudonym(venue.kit.ann.address)
    await venue.run(5000)
    assert wire.take() == []


@pytest.mark.conforms("feeds-12.5-activity-matched")
async def test_an_event_slug_filters_and_unsubscribing_ends_it(
    nursery: trio.Nursery, mock_clock: MockClock
) -> None:
    """Only the event asked for, and only the type; other filters are refused."""
    venue = Venue(nursery, mock_clock)
    slug = json.dumps({"event_slug": venue.kit.market.slug})
    mine, other, left = venue.connect(), venue.connect(), venue.connect()
    await mine.tell(request(("activity", "orders_matched", slug)))
    await other.tell(request(("activity", "trades", '{"event_slug":"something-else"}')))
    await left.tell(request(("activity", "trades", "")))
    await left.tell({**request(("activity", "trades", "")), "action": "unsubscribe"})
    (refusal,) = await other.tell(request(("activity", "trades", "[1]")))
    assert refusal["statusCode"] == 401
    venue.kit.crowd(SELL, UP_TOKEN, 5200, 10)
    venue.kit.crowd(BUY, UP_TOKEN, 5200, 6)
    await venue.run(3000)
    assert [m["type"] for m in mine.take()] == ["orders_matched"]
    assert other.take() == left.take() == []


@pytest.mark.conforms("feeds-12.5-stall")
async def test_chainlink_stops_after_a_while_though_binance_goes_on(
    nursery: trio.Nursery, mock_clock: MockClock
) -> None:
    """Within 14 to 63 minutes, PING answered all the time; a new session has it back."""
    venue = Venue(nursery, mock_clock)
    wire = venue.connect()
    wanted = request(
        ("crypto_prices", "update", ""),
        ("crypto_prices_chainlink", "update", ""),
        ("crypto_prices_twap_sixty", "update", ""),
    )
    await wire.tell(wanted)
    stalled_after = 0
    for minute in range(1, 64):
        assert "" in await wire.tell("PING")
        await venue.run(MINUTE_MS)
        heard = topics(wire.take())
        assert "crypto_prices" in heard
        if heard == {"crypto_prices"}:
            stalled_after = minute
            break
    assert 14 <= stalled_after <= 63
    fresh = venue.connect()
    await fresh.tell(wanted)
    await venue.run(5000)
    assert "crypto_prices_chainlink" in topics(fresh.take()[3:])


async def test_without_the_habit_nothing_stalls(
    nursery: trio.Nursery, mock_clock: MockClock
) -> None:
    """Both habits can be switched off."""
    venue = Venue(nursery, mock_clock, Terms(rtds_stalls=False, rtds_needs_ping=False))
    wire = venue.connect()
    await wire.tell(request(("crypto_prices_chainlink", "update", "")))
    await venue.run(70 * MINUTE_MS)
    assert wire.take()[-1]["timestamp"] > T0 + 69 * MINUTE_MS
    assert not wire.dropped


@pytest.mark.conforms("feeds-12.5-no-ping-life")
async def test_who_sends_no_ping_is_cut_or_left_in_silence(
    nursery: trio.Nursery, mock_clock: MockClock
) -> None:
    """Some after four minutes, the others after six; who pings is served on (feeds.md 6)."""
    venue = Venue(nursery, mock_clock)
    wires = [venue.connect() for _ in range(12)]
    pinging = venue.connect()
    for wire in (*wires, pinging):
        await wire.tell(request(("crypto_prices", "update", "")))
    ends = []
    for half in range(1, 15):
        await pinging.tell("PING")
        await venue.run(MINUTE_MS // 2)
        ends.append((half / 2, sum(w.dropped for w in wires), sum(not w.take() for w in wires)))
    cut = [count for _, count, _ in ends]
    assert cut[6] == 0
    assert 0 < cut[8] < 12
    assert cut[8] == cut[-1]
    assert ends[10][2] == cut[-1]
    assert ends[-1][2] == 12
    assert pinging.take()
    assert not pinging.dropped


@pytest.mark.conforms("feeds-12.5-snapshots", "feeds-12.5-replay")
async def test_every_new_session_gets_a_minute_or_two_of_the_past(
    nursery: trio.Nursery, mock_clock: MockClock
) -> None:
    """About 58 points of Chainlink, 120 of Binance, again on each reconnect (feeds.md 6)."""
    venue = Venue(nursery, mock_clock)
    for _ in range(2):
        await venue.run(30_000)
        wire = venue.connect()
        snapshots = await wire.tell(
            request(
                ("crypto_prices", "update", '{"symbol":"btcusdt"}'),
                ("crypto_prices_chainlink", "update", '{"symbol":"btc/usd"}'),
            )
        )
        binance, chainlink = (len(s["payload"]["data"]) for s in snapshots)
        assert 118 <= binance <= 121
        assert 50 <= chainlink <= 60  # a minute, less the stamps that Chainlink leaves out


@pytest.mark.conforms("feeds-12.5-filter-list")
async def test_a_list_of_symbols_is_a_trap_either_way(
    nursery: trio.Nursery, mock_clock: MockClock
) -> None:
    """Commas are refused with a regex error, an array is taken and gives nothing (feeds.md 6)."""
    venue = Venue(nursery, mock_clock)
    wire = venue.connect()
    commas = request(("crypto_prices", "update", '{"symbol":"btcusdt,ethusdt"}'))
    (refusal,) = await wire.tell(commas)
    assert "regular expression" in refusal["body"]["message"]
    array = '["btcusdt"]'
    assert await wire.tell(request(("crypto_prices", "update", array))) == []
    await venue.run(3000)
    assert wire.take() == []
