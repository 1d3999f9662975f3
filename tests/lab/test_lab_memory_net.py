"""The network in memory behaves as TCP does where the program could tell the difference."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from polybot.lab.memory_net import OWNER, WINDOW, Network, memory_network

Handler = Callable[[trio.SocketStream], object]


@asynccontextmanager
async def wire() -> AsyncIterator[tuple[Network, trio.SocketStream, trio.SocketStream]]:
    """A network with one connection: the client's end, and the server's."""
    came: list[trio.SocketStream] = []
    with memory_network() as network:
        (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
        port = listener.socket.getsockname()[1]
        client = await trio.open_tcp_stream("127.0.0.1", port)
        came.append(await listener.accept())
        yield network, client, came[0]
        for stream in (client, came[0]):
            await trio.aclose_forcefully(stream)
        await listener.aclose()


async def test_bytes_arrive_in_order_and_end() -> None:
    """What is sent is read, and after the sender's end there is nothing more."""
    async with wire() as (_, client, server):
        await client.send_all(b"one ")
        await client.send_all(b"two")
        assert await server.receive_some(5) + await server.receive_some(5) == b"one two"
        await client.send_eof()
        assert await server.receive_some() == b""
        await server.send_all(b"still")
        assert await client.receive_some() == b"still"


async def test_a_sender_waits_for_its_reader() -> None:
    """No more than the window is under way."""
    async with wire() as (_, client, server), trio.open_nursery() as nursery:
        nursery.start_soon(client.send_all, b"x" * (WINDOW + 10))
        await wait_all_tasks_blocked()
        read = 0
        while read < WINDOW:
            read += len(await server.receive_some())
        assert read + len(await server.receive_some()) == WINDOW + 10


async def test_bytes_take_their_time(autojump_clock: MockClock) -> None:
    """A slow port delivers late, and in order."""
    with memory_network() as network:
        (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
        port = listener.socket.getsockname()[1]
        network.delays[port], network.connects[port] = 0.5, 2.0
        async with await trio.open_tcp_stream("127.0.0.1", port) as client:
            server = await listener.accept()
            await client.send_all(b"1")
            assert await server.receive_some() == b"1"
            assert trio.current_time() == pytest.approx(2.5), "two for the connection"
            await trio.aclose_forcefully(server)
        await listener.aclose()


async def test_a_cut_is_felt_on_both_sides() -> None:
    """Reads and writes fail as after a reset."""
    async with wire() as (network, client, server):
        (one,) = network.wires_to(server.socket.getsockname()[1])
        one.cut()
        for stream in (client, server):
            with pytest.raises(trio.BrokenResourceError):
                await stream.receive_some()
            with pytest.raises(trio.BrokenResourceError):
                await stream.send_all(b"x")
        assert network.wires_to(one.port) == []


async def test_a_held_wire_says_nothing() -> None:
    """Both ends believe that all is well; later everything arrives."""
    async with wire() as (network, client, server):
        (one,) = network.wires_to(server.socket.getsockname()[1])
        one.hold(held=True)
        await client.send_all(b"late")
        with trio.move_on_after(0.01) as patience:
            await server.receive_some()
        assert patience.cancelled_caught

        one.hold(held=False)
        assert await server.receive_some() == b"late"


@pytest.mark.parametrize(("dark_s", "after_s"), [(0.9, 1.0), (2.5, 3.0), (3.5, 7.0)])
async def test_a_connection_waits_for_a_dark_port(
    dark_s: float, after_s: float, autojump_clock: MockClock
) -> None:
    """It is asked for again after one second, two and four, as a kernel does; a port that takes
    none now, or took none from somebody, is known to.
    """
    async with wire() as (network, _, server), trio.open_nursery() as nursery:
        port, began = server.socket.getsockname()[1], trio.current_time()
        assert not network.refuses(port, began)
        network.dark.add(port)

        async def lighten() -> None:
            await trio.sleep(dark_s)
            assert network.shut(port)
            network.dark.discard(port)
            assert network.refuses(port, began + after_s), "who has asked asks again only then"

        nursery.start_soon(lighten)
        async with await trio.open_tcp_stream("127.0.0.1", port):
            assert trio.current_time() - began == pytest.approx(after_s)
        assert not network.shut(port)
        assert network.refuses(port, began)
        assert not network.refuses(port, trio.current_time() + 0.1)


async def test_nobody_there() -> None:
    """A port without a listener, or one that is refused, takes no connection."""
    async with wire() as (network, _, server):
        port = server.socket.getsockname()[1]
        network.refused.add(port)
        for target in (port, 9):
            with pytest.raises(OSError, match="failed"):
                await trio.open_tcp_stream("127.0.0.1", target)


async def test_a_killed_owner_reaches_nobody() -> None:
    """What it had sent arrives, then the end; what comes for it is lost; it connects no more, and
    is not told so: nobody is there who could try again.
    """
    token = OWNER.set("bot")
    try:
        async with wire() as (network, client, server):
            await client.send_all(b"last words")
            network.kill("bot")
            assert await server.receive_some() == b"last words"
            assert await server.receive_some() == b""
            with pytest.raises(trio.BrokenResourceError):
                await client.receive_some()
            with trio.move_on_after(0.01) as patience:
                await trio.open_tcp_stream("127.0.0.1", server.socket.getsockname()[1])
            assert patience.cancelled_caught
    finally:
        OWNER.reset(token)


async def test_closing_tells_the_peer() -> None:
    """An end for its reads, a broken pipe for its writes, as TCP has it."""
    async with wire() as (_, client, server):
        await client.aclose()
        assert await server.receive_some() == b""
        with pytest.raises(trio.BrokenResourceError):
            await server.send_all(b"x")
        with pytest.raises(trio.ClosedResourceError):
            await client.send_all(b"x")


async def test_every_dial_counts() -> None:
    """Also one whose wire is cut before anybody looks (seed 957, L8)."""
    async with wire() as (network, near, _):
        (port,) = network.listening
        assert network.dials == {(OWNER.get(), port): 1}
        await near.aclose()
        await trio.open_tcp_stream("127.0.0.1", port)
        assert network.dials == {(OWNER.get(), port): 2}


async def test_a_wire_is_mute_from_what_it_carried_last(autojump_clock: MockClock) -> None:
    """Freed for a moment and held up again, it has been heard in between (seed 952, S9)."""
    async with wire() as (network, client, server):
        (one,) = network.wires
        await trio.sleep(5)
        one.hold(held=True)
        assert one.mute_s == math.inf, "nothing ever came"
        await server.send_all(b"x")
        one.hold(held=False)
        assert one.mute_s == 0
        await client.receive_some()
        one.hold(held=True)
        await trio.sleep(2)
        assert one.mute_s == 2
