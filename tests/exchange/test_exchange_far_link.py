"""Services from afar: every way takes as long as its model says, and nothing overtakes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from typing import Any

import pytest
import trio
from wsproto import ConnectionType
from wsproto.connection import Connection
from wsproto.events import CloseConnection, TextMessage

from polybot.exchange.far_link import FEEDS, PATIENCE_S, FarLink
from polybot.exchange.latency_models import LONGEST_MS, NEAR, latencies
from polybot.exchange.net import Service, log_error
from polybot.exchange.request import Request, Response, json_response
from polybot.exchange.websocket import Socket

FAR = latencies("feed=40,order=90,news=60")
ASKED = Request("GET", "/time", {}, {}, b"")


async def test_a_request_and_its_answer_take_their_ways(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """It is at the venue as late as an order, and its answer comes back as late as news."""
    begun, met = trio.current_time(), list[float]()

    async def handle(_: Request) -> Response:
        met.append(trio.current_time() - begun)
        return json_response(7)

    far = FarLink(FAR, 1).far("clob", Service(handle, None))
    assert far.http is not None
    assert (await far.http(ASKED)).body == b"7"

    assert [*met, trio.current_time() - begun] == pytest.approx([0.09, 0.15])
    assert far.patience_s == PATIENCE_S > 2 * LONGEST_MS / 1000, "no way is a bug of the service"


def test_each_stream_has_its_way() -> None:
    """What the wallet alone hears is news; books and prices are feeds; the rest is as near as it
    is, and with nothing to add so is everything.
    """
    plain, link = Service(None, None), FarLink(FAR, 1)
    took = {name: link.far(name, plain).latency for name in (*FEEDS, "user_ws")}

    assert {name: way and way() for name, way in took.items()} == {
        **dict.fromkeys(FEEDS, 0.04), "user_ws": 0.06,
    }  # fmt: skip
    assert link.far("gamma", plain) is plain
    assert FarLink(NEAR, 1).far("user_ws", plain) is plain


async def heard(
    tell: Callable[[Socket], Awaitable[None]], took: Iterable[float]
) -> list[tuple[float, str]]:
    """What a client hears of a session whose frames take so long, and when; the close at last."""
    ours, theirs = trio.testing.memory_stream_pair()
    server: Any = Connection(ConnectionType.SERVER)
    socket = Socket(ASKED, ours, server, latency=partial(next, iter(took)))
    client, begun = Connection(ConnectionType.CLIENT), trio.current_time()
    found: list[tuple[float, str]] = []
    async with trio.open_nursery() as nursery:
        nursery.start_soon(socket.run, tell, b"", log_error)
        while not found or found[-1][1] != "said":
            client.receive_data(bytes(await theirs.receive_some()))
            at = round(trio.current_time() - begun, 3)
            for event in client.events():
                assert isinstance(event, TextMessage | CloseConnection)
                said = event.data if isinstance(event, TextMessage) else event.reason
                found.append((at, said or ""))
        await theirs.aclose()
    return found


async def test_no_frame_overtakes_another(autojump_clock: trio.testing.MockClock) -> None:
    """A fast one waits for a slow one before it; a close comes behind all that was said."""

    async def tell(socket: Socket) -> None:
        for text in "abc":
            socket.send(text)
            await trio.sleep(0.1)
        await trio.sleep(0.1)
        await socket.close(1000, "said")

    assert await heard(tell, [0.3, 0.1, 0.5]) == [(0.3, "a"), (0.3, "b"), (0.4, "c"), (0.4, "said")]


async def test_a_session_that_ends_with_its_first_word(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """Nothing is on its way any more when the first frame would begin its."""

    async def tell(socket: Socket) -> None:
        await trio.sleep(0.1)
        socket.send("a")
        await socket.close(1000, "said")

    assert await heard(tell, [0.3]) == [(0.1, "a"), (0.1, "said")]
