"""A connection is left for what withdraws: no cancel dials because reads have all there are."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import attrs
import trio
from test_venue_lean_http import OK, gathered, peer
from trio.testing import MockClock

from polybot.venue.lean_http import BEAT, IDLE_S, LeanClient

BEAT_S = 5.0


@attrs.define
class Met:
    """What came over each connection, in the order of their dialling."""

    lines: list[list[str]] = attrs.field(factory=list)

    @asynccontextmanager
    async def venue(self) -> AsyncIterator[str]:
        """It answers all but what is asked of `/hangs`."""

        async def behave(stream: trio.SocketStream) -> None:
            mine: list[str] = []
            self.lines.append(mine)
            while data := await stream.receive_some():
                mine.append(bytes(data).split(b" HTTP")[0].decode())
                if "hangs" in mine[-1]:
                    await trio.sleep_forever()
                await stream.send_all(OK)

        async with peer(behave) as url:
            yield url


async def test_a_cancel_finds_a_connection() -> None:
    """Of a kept one, and a read that comes first and stays."""
    met = Met()
    async with met.venue() as url, LeanClient() as client, trio.open_nursery() as nursery:
        await client.post(url + BEAT)
        nursery.start_soon(client.get, url + "/hangs")
        await trio.testing.wait_all_tasks_blocked()
        await client.delete(url + "/order")
        nursery.cancel_scope.cancel()
    assert met.lines == [[f"POST {BEAT}", "DELETE /order"], ["GET /hangs"]]


async def test_reads_share_what_is_over() -> None:
    """One more connection than are in use at once, and no more."""
    met = Met()
    async with met.venue() as url, LeanClient() as client:
        await client.post(url + BEAT)
        for _ in range(3):
            await client.get(url)
    assert [len(lines) for lines in met.lines] == [1, 3]


async def test_nothing_is_left_where_nothing_withdraws() -> None:
    """Gamma has no orders: one connection after the other is its only one."""
    met = Met()
    async with met.venue() as url, LeanClient() as client:
        for _ in range(3):
            await client.get(url)
    assert [len(lines) for lines in met.lines] == [3]


async def test_beats_keep_it_warm(autojump_clock: MockClock) -> None:
    """Reads take the connection that was used last, and the other would have grown too old."""
    met = Met()
    async with met.venue() as url, LeanClient() as client:
        await gathered(client, url, 2)
        for _ in range(int(IDLE_S / BEAT_S) + 2):
            await client.post(url + BEAT)
            await client.get(url)
            await trio.sleep(BEAT_S)
        await client.delete(url + "/order")
    assert len(met.lines) == 2
    assert all(sum("POST" in line for line in lines) > 2 for lines in met.lines)
