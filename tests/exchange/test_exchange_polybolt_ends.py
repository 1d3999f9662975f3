"""PolyBolt's limits and endings, and the tops of books (feeds.md 5.2, 5.3)."""

from __future__ import annotations

import random
from typing import Any

import attrs
import pytest
import trio
from clob_kit import DOWN_TOKEN, UP_TOKEN, ClobKit
from trio.testing import MockClock, wait_all_tasks_blocked
from trio_websocket import ConnectionClosed
from websocket_client import open_client
from wire_kit import Wire

from polybot.clock import Clock
from polybot.exchange.model import BUY, SELL
from polybot.exchange.net import Socket, serve
from polybot.exchange.oracle import Oracle
from polybot.exchange.polybolt import BACKLOG_FRAMES, PAIRS_MOST, SLOW, BookOf, PolyboltService
from polybot.exchange.request import Request
from polybot.exchange.synthetic import SyntheticSource
from polybot.exchange.terms import Terms

START = 1_795_197_730_500
AUTH = {"op": "auth", "auth": {"apiKey": "k", "secret": "s", "passphrase": "p"}}
TWAP = {"channel": "price.crypto.twap", "filter": {"symbol": "btcusd", "window_seconds": 60}}


class Venue:
    """The service without a network, on a virtual clock."""

    def __init__(
        self, nursery: trio.Nursery, terms: Terms = Terms(), book_of: BookOf = lambda _: None
    ) -> None:
        source = SyntheticSource(1, START, {"btc": 90_000.0})
        self.nursery = nursery
        self.oracle = Oracle(source, ["btc"], START, random.Random(2))
        clock = Clock.starting_at(START)
        self.service = PolyboltService(
            self.oracle, lambda *key: key == ("k", "s", "p"), clock, book_of, terms
        )

    def connect(self) -> Wire:
        wire = Wire()
        self.nursery.start_soon(self.service._serve, wire)
        return wire

    async def logged_in(self) -> Wire:
        wire = self.connect()
        assert await wire.tell(AUTH) == [{"op": "authed"}]
        return wire


def codes(answers: list[Any]) -> list[str]:
    return [answer.get("code", answer["op"]) for answer in answers]


@pytest.mark.conforms("feeds-12.4-auth-gate", "feeds-12.4-auth-bad")
async def test_gated_channels_want_credentials_and_the_open_one_none(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    """auth_required, then auth_invalid, and the connection lives on (feeds.md 5.1)."""
    wire = Venue(nursery).connect()
    assert codes(await wire.tell({"op": "subscribe", **TWAP})) == ["auth_required"]
    assert codes(await wire.tell({"op": "auth", "auth": {"apiKey": "k"}})) == ["auth_invalid"]
    top = {"channel": "price.polymarket", "filter": {"asset_id": "5"}}
    acked, snapshot = await wire.tell({"op": "subscribe", **top})
    assert (acked["op"], snapshot["payload"]["data"]) == ("subscribed", [])
    assert codes(await wire.tell(AUTH)) == ["authed"]
    assert wire.closed is None


@pytest.mark.conforms("feeds-12.4-auth-expired")
async def test_an_authentication_may_end(nursery: trio.Nursery, mock_clock: MockClock) -> None:
    """Its time over, the session is told so and closed with 4001; a fresh one begins anew."""
    venue = Venue(nursery, Terms(prices_auth_s=600))
    wire = await venue.logged_in()
    mock_clock.jump(500)
    assert codes(await wire.tell(AUTH)) == ["authed"]
    mock_clock.jump(599)
    assert codes(await wire.tell({"op": "ping"})) == ["pong"]
    mock_clock.jump(2)
    await wait_all_tasks_blocked()
    assert codes(wire.take()) == ["auth_expired"]
    assert wire.closed == (4001, "authentication expired")


async def test_by_default_an_authentication_has_no_end(
    nursery: trio.Nursery, mock_clock: MockClock
) -> None:
    """No source tells its length (feeds.md 14.6)."""
    wire = await Venue(nursery).logged_in()
    mock_clock.jump(100_000)
    assert codes(await wire.tell({"op": "ping"})) == ["pong"]


@pytest.mark.conforms("feeds-12.4-dropped")
async def test_a_reader_that_falls_behind_is_told_what_it_lost(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    """seq counts what was left out, and the next update says how much it was (feeds.md 5.1)."""
    venue = Venue(nursery)
    wire = await venue.logged_in()
    await wire.tell({"op": "subscribe", **TWAP})
    wire.backlog = BACKLOG_FRAMES + 1
    venue.oracle.advance(START + 3000)
    assert wire.take() == []
    wire.backlog = 0
    venue.oracle.advance(START + 5000)
    first, second = wire.take()
    assert (first["seq"], first["dropped"]) == (5, 3)
    assert second["seq"] == 6
    assert "dropped" not in second


@pytest.mark.conforms("feeds-12.4-provider")
@pytest.mark.parametrize(("provider", "points"), [("chainlink", 120), ("pyth", 0)])
async def test_the_default_provider_is_a_term(
    provider: str, points: int, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    """Who names none gets the venue's, and the payload's source tells which (feeds.md 5.2)."""
    wire = await Venue(nursery, Terms(prices_provider=provider)).logged_in()
    spot = {"channel": "price.crypto", "filter": {"symbol": "btcusd"}}
    _, snapshot = await wire.tell({"op": "subscribe", **spot})
    assert snapshot["payload"]["source"] == provider
    assert abs(len(snapshot["payload"]["data"]) - points) <= 2


@pytest.mark.conforms("feeds-12.4-price-polymarket")
async def test_the_top_of_a_book_is_told_when_it_changes(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    """market, best_bid, best_ask, hash and timestamp of one token, as REST has them."""
    kit = ClobKit()
    venue = Venue(nursery, book_of=kit.server.book_of)
    kit.engine.listeners.append(venue.service.on_event)
    wire, item = venue.connect(), {"channel": "price.polymarket", "filter": {"asset_id": UP_TOKEN}}
    _, snapshot = await wire.tell({"op": "subscribe", **item})
    (top,) = snapshot["payload"]["data"]
    assert (top["best_bid"], top["best_ask"]) == ("0", "1")
    kit.crowd(BUY, UP_TOKEN, 5000, 10)
    kit.crowd(BUY, UP_TOKEN, 4000, 10)
    kit.crowd(BUY, DOWN_TOKEN, 4500, 10)
    one, two = wire.take()
    assert (one["seq"], one["payload"]["best_bid"]) == (2, "0.5")
    assert (two["payload"]["best_bid"], two["payload"]["best_ask"]) == ("0.5", "0.55")
    _, book = await kit.get("/book", token_id=UP_TOKEN)
    assert two["payload"]["hash"] == book["hash"]
    assert str(two["payload"]["timestamp"]) == book["timestamp"]
    await wire.tell({"op": "unsubscribe", **item})
    kit.crowd(SELL, UP_TOKEN, 5300, 10)
    assert wire.take() == []


@pytest.mark.conforms("feeds-12.4-pair-limit")
async def test_sixty_four_pairs_and_no_more(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    """The one too many is sub_limit; those there may be named again (feeds.md 5.3)."""
    wire = await Venue(nursery).logged_in()
    tops = [
        {"channel": "price.polymarket", "filter": {"asset_id": str(n)}}
        for n in range(PAIRS_MOST + 1)
    ]
    answers = await wire.tell({"op": "subscribe", "subscriptions": tops})
    acks = [answer for answer in answers if "op" in answer]
    assert codes(acks) == ["subscribed"] * 64 + ["sub_limit"]
    assert codes(await wire.tell({"op": "subscribe", **tops[0]})) == ["subscribed"]


@pytest.mark.conforms("feeds-12.4-draining", "feeds-12.4-handshake")
async def test_draining_closes_everybody_and_admits_nobody_for_a_while(
    nursery: trio.Nursery, mock_clock: MockClock
) -> None:
    """4003 to the sessions there are, 503 with Retry-After to those that come (feeds.md 5.3)."""
    venue = Venue(nursery)
    wires = [venue.connect() for _ in range(3)]
    await wait_all_tasks_blocked()
    venue.service.drain(seconds=20)
    assert {wire.closed for wire in wires} == {(4003, "server draining")}
    refusal = venue.service._admit(Request("GET", "/ws", {}, {}, b"", "10.0.0.1"))
    assert refusal is not None
    assert (refusal.status, dict(refusal.headers)["retry-after"]) == (503, "20")
    mock_clock.jump(20.1)
    await wait_all_tasks_blocked()
    assert venue.service._admit(wires[0].request) is None


@pytest.mark.conforms("feeds-12.4-handshake")
async def test_one_address_may_not_take_all_connections(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    """429 with Retry-After for its next one; another address is let in; places become free."""
    venue = Venue(nursery, Terms(prices_connections_most=2))
    wires = [venue.connect() for _ in range(2)]
    await wait_all_tasks_blocked()
    same, other = wires[0].request, Request("GET", "/ws", {}, {}, b"", "10.0.0.1")
    refusal = venue.service._admit(same)
    assert refusal is not None
    assert (refusal.status, dict(refusal.headers)["retry-after"]) == (429, "1")
    assert venue.service._admit(other) is None
    wires[0].say.close()
    await wait_all_tasks_blocked()
    assert venue.service._admit(same) is None


@pytest.mark.conforms("feeds-12.4-slow")
async def test_a_reader_with_a_full_buffer_is_closed_with_4002() -> None:
    """PolyBolt has its own code for a slow consumer (feeds.md 5.3)."""
    source = SyntheticSource(1, START, {"btc": 90_000.0})
    oracle = Oracle(source, ["btc"], START, random.Random(2))
    service = PolyboltService(oracle, lambda *_: True, Clock.starting_at(START)).service

    async def flood(socket: Socket) -> None:
        for _ in range(SLOW.frames + 1):
            socket.send("tick")
        await socket.receive()

    async with trio.open_nursery() as nursery:
        port = await nursery.start(serve, attrs.evolve(service, socket=flood), 0)
        async with open_client(port, "/ws") as client:
            with pytest.raises(ConnectionClosed) as closed:
                await client.get_message()
        nursery.cancel_scope.cancel()
    assert closed.value.reason is not None
    assert (closed.value.reason.code, closed.value.reason.reason) == (4002, "slow consumer")
