"""Leave to be written, over real sockets: asked when there is a connection, and what is known of a
request that did not get so far.
"""

from __future__ import annotations

from collections.abc import Callable

import attrs
import httpx
import pytest
import trio
from test_venue_lean_http import OK, counting, once, peer
from venue_kit import CREDENTIALS, NOW_MS, signed

from polybot.clock import Clock
from polybot.domain.orders import PostResult, Reject, Rejected, Unknown
from polybot.venue.clob import ClobClient
from polybot.venue.lean_http import CONNECTIONS_MOST, Connection, LeanClient, Origin
from polybot.venue.leave import Leave
from polybot.venue.site import POLYMARKET

PATIENCE_S = 0.1


async def placed(
    http: httpx.AsyncClient, url: str, still: Callable[[], bool] = lambda: True
) -> tuple[list[PostResult], Leave]:
    """What a POST of two orders comes to, and what became of its leave."""
    site, leave = attrs.evolve(POLYMARKET, clob=url), Leave(still)
    client = ClobClient(http, site, CREDENTIALS, Clock(NOW_MS), timeout_s=PATIENCE_S)
    return await client.place([signed("0x1"), signed("0x2")], leave), leave


def kinds(results: list[PostResult]) -> list[object]:
    return [each.reason if isinstance(each, Rejected) else type(each) for each in results]


async def test_leave_is_asked_for_when_there_is_a_connection(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A market may end while it is dialled: what comes of that waits for the next request."""
    met: list[int] = []
    open_ = [True]
    dial = Connection.dial

    async def slowly(origin: Origin) -> Connection:
        connection = await dial(origin)
        open_[0] = False
        return connection

    monkeypatch.setattr(Connection, "dial", slowly)
    async with peer(counting(OK, met)) as url, LeanClient() as http:
        results, leave = await placed(http, url, lambda: open_[0])
        assert kinds(results) == [Reject.UNREACHABLE] * 2
        assert (leave.denied, leave.unsent) == (True, True)
        await http.get(url)
    assert met == [1]


async def test_nobody_there_is_a_definite_answer() -> None:
    """Two orders that nobody can have need no minute of doubt."""
    async with peer(once(OK)) as url:
        pass
    async with LeanClient() as http:
        results, leave = await placed(http, url)
    assert kinds(results) == [Reject.UNREACHABLE] * 2
    assert (leave.denied, leave.unsent) == (False, True)


async def test_a_dialling_that_takes_too_long_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """A packet for a connection that is lost on the way: nothing follows it."""

    async def never(_: Origin) -> Connection:
        await trio.sleep_forever()

    monkeypatch.setattr(Connection, "dial", never)
    async with LeanClient() as http:
        results, leave = await placed(http, "http://127.0.0.1:1")
    assert all("no connection within" in str(each) for each in results)
    assert kinds(results) == [Reject.UNREACHABLE] * 2
    assert leave.unsent


async def test_so_is_a_wait_for_a_place_of_its_own() -> None:
    """As many connections as there may be are waiting for their answers."""

    async def silent(stream: trio.SocketStream) -> None:
        await stream.receive_some()
        await trio.sleep_forever()

    async with peer(silent) as url, LeanClient() as http, trio.open_nursery() as nursery:
        for _ in range(CONNECTIONS_MOST):
            nursery.start_soon(http.get, url)
        await trio.testing.wait_all_tasks_blocked()
        results, leave = await placed(http, url)
        nursery.cancel_scope.cancel()
    assert kinds(results) == [Reject.UNREACHABLE] * 2
    assert leave.unsent


@pytest.mark.parametrize("ends", ["hangs up", "is silent"])
async def test_what_may_have_been_written_is_in_doubt(ends: str) -> None:
    """From the first byte on it may have come, whoever hangs up, and on a kept connection too."""

    async def gone(stream: trio.SocketStream) -> None:
        await stream.receive_some()
        await stream.send_all(OK)
        await stream.receive_some()
        if ends == "is silent":
            await trio.sleep_forever()

    async with peer(gone) as url, LeanClient() as http:
        await http.get(url)
        results, leave = await placed(http, url)
    assert kinds(results) == [Unknown] * 2
    assert not leave.unsent


async def test_a_client_that_asks_for_no_leave_leaves_a_doubt() -> None:
    """Whatever else may stand in for ours says nothing of what it has written."""

    def refuse(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("no", request=request)

    async with httpx.AsyncClient(transport=httpx.MockTransport(refuse)) as http:
        results, leave = await placed(http, "http://venue")
    assert kinds(results) == [Unknown] * 2
    assert not leave.unsent


async def test_without_leave_to_ask_for_nothing_changes() -> None:
    """Who asks for none is told of no connection as of any failure."""
    async with peer(once(OK)) as url:
        pass
    async with LeanClient() as http:
        site = attrs.evolve(POLYMARKET, clob=url)
        client = ClobClient(http, site, CREDENTIALS, Clock(NOW_MS))
        assert kinds(await client.place([signed("0x1")])) == [Unknown]
