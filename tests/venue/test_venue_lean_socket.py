"""The lean WebSocket against a peer that frames by hand what a library never would."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs
import pytest
import trio
from hypothesis import given, strategies as st
from trio.testing import memory_stream_pair
from trio_websocket import ConnectionClosed
from wsproto import ConnectionType, WSConnection
from wsproto.events import (
    AcceptConnection,
    BytesMessage,
    CloseConnection,
    Event,
    Ping,
    Pong,
    RejectConnection,
    Request,
    TextMessage,
)

from polybot.venue.lean_socket import LeanSocket


@attrs.define(eq=False)
class Peer:
    """A server on one end of a memory stream; `heard` is what the client sent."""

    stream: trio.StapledStream  # type: ignore[type-arg]
    protocol: WSConnection = attrs.field(factory=lambda: WSConnection(ConnectionType.SERVER))
    heard: list[Event] = attrs.field(factory=list)

    async def hear(self) -> None:
        data = await self.stream.receive_some(65536)
        self.protocol.receive_data(bytes(data) or None)
        self.heard += list(self.protocol.events())

    async def say(self, *events: Event) -> None:
        """All of them in one write, so that they come in one read."""
        await self.stream.send_all(b"".join(self.protocol.send(event) for event in events))


async def talk(
    told: Callable[[Peer], list[Event]], *, most_bytes: int = 1000
) -> tuple[Peer, LeanSocket]:
    """Shake hands; whatever `told` gives is sent together with the acceptance."""
    ours, far = memory_stream_pair()
    peer = Peer(far)
    near: Any = ours  # to the socket, any stream is like another
    opened: list[LeanSocket] = []

    async def dial() -> None:
        opened.append(await LeanSocket.open(near, "peer", "/ws", most_bytes=most_bytes))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(dial)
        await peer.hear()
        assert isinstance(peer.heard[0], Request)
        await peer.say(AcceptConnection(), *told(peer))
    return peer, opened[0]


async def test_frames_in_the_same_bytes_as_the_handshake_are_not_lost() -> None:
    """A quick server's first messages come glued to its acceptance."""
    _, socket = await talk(lambda _: [TextMessage("one"), TextMessage("two")])

    assert [await socket.get_message(), await socket.get_message()] == ["one", "two"]


async def test_parts_become_one_message() -> None:
    """A fragmented message is handed out once, whole; bytes that are text are text."""
    _, socket = await talk(
        lambda _: [
            TextMessage("fi", message_finished=False),
            TextMessage("ve"),
            BytesMessage(b"sechs"),
        ]
    )

    assert [await socket.get_message(), await socket.get_message()] == ["five", "sechs"]


async def test_a_ping_between_messages_is_answered() -> None:
    """The answer leaves before the next message is handed out."""
    peer, socket = await talk(lambda _: [Ping(b"x"), TextMessage("after")])

    assert await socket.get_message() == "after"
    await peer.hear()

    assert peer.heard[-1] == Pong(bytearray(b"x"))  # type: ignore[arg-type]


async def test_an_endless_message_ends_the_connection() -> None:
    """What was whole before it still arrives; then the connection counts as closed."""
    _, socket = await talk(
        lambda _: [TextMessage("good"), TextMessage("y" * 60, message_finished=False)],
        most_bytes=50,
    )

    assert await socket.get_message() == "good"
    with pytest.raises(ConnectionClosed) as closed:
        await socket.get_message()
    assert closed.value.reason is not None
    assert closed.value.reason.code == 1009


async def test_a_goodbye_comes_after_what_was_said_before_it() -> None:
    """Messages first, then the close with its code; sending is over too."""
    peer, socket = await talk(lambda _: [TextMessage("last"), CloseConnection(1013, "slow")])

    assert await socket.get_message() == "last"
    with pytest.raises(ConnectionClosed) as closed:
        await socket.get_message()
    assert closed.value.reason is not None
    assert (closed.value.reason.code, closed.value.reason.reason) == (1013, "slow")
    with pytest.raises(ConnectionClosed):
        await socket.send_message("too late")
    await peer.hear()
    assert isinstance(peer.heard[-1], CloseConnection)


async def test_a_cut_line_is_a_closed_connection() -> None:
    """No close frame: code 1006, as the protocol numbers it."""
    peer, socket = await talk(lambda _: [])
    await peer.stream.aclose()

    with pytest.raises(ConnectionClosed) as closed:
        await socket.get_message()

    assert closed.value.reason is not None
    assert closed.value.reason.code == 1006


async def test_a_refused_handshake_says_the_status() -> None:
    """HTTP 403 in place of an upgrade."""
    ours, far = memory_stream_pair()
    peer = Peer(far)
    near: Any = ours

    async def refuse() -> None:
        await peer.hear()
        await peer.say(RejectConnection(status_code=403))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(refuse)
        with pytest.raises(ConnectionClosed) as closed:
            await LeanSocket.open(near, "peer", "/", most_bytes=10)

    assert closed.value.reason is not None
    assert closed.value.reason.code == 403


@pytest.mark.parametrize("name", ["Connection", "Upgrade", "Sec-WebSocket-Extensions", "Server"])
async def test_an_answer_in_no_letters_is_no_handshake_and_no_more(name: str) -> None:
    """Of some headers wsproto takes for granted that they are ASCII: what stands in front of the
    venue ended the whole bot by a single byte of one.
    """
    ours, far = memory_stream_pair()
    near: Any = ours
    head = f"HTTP/1.1 101 Switching Protocols\r\n{name}: up\xe9\r\n\r\n".encode("latin-1")

    async def answer() -> None:
        await Peer(far).hear()
        await far.send_all(head)
        await far.aclose()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(answer)
        with pytest.raises(ConnectionClosed):
            await LeanSocket.open(near, "peer", "/", most_bytes=10)


async def read_on(socket: LeanSocket) -> None:
    while True:
        await socket.get_message()


FRAMES = st.lists(
    st.one_of(
        st.text(max_size=300).map(lambda text: [TextMessage(text)]),
        st.tuples(st.text(max_size=9), st.text(max_size=9)).map(
            lambda two: [
                TextMessage(two[0], message_finished=False),
                Ping(b"p"),
                TextMessage(two[1]),
            ]
        ),
        st.binary(max_size=9).map(lambda payload: [Ping(payload)]),
    ),
    max_size=12,
)


@given(FRAMES, st.lists(st.integers(1, 400), max_size=30))
def test_messages_are_those_that_were_sent_however_the_bytes_are_cut(
    said: list[list[Event]], cuts: list[int]
) -> None:
    """A read may end anywhere: in a head, in a payload, in the handshake's last line."""
    texts = [[event.data for event in one if isinstance(event, TextMessage)] for one in said]
    wanted = ["".join(parts) for parts in texts if parts]
    got: list[str] = []

    async def main() -> None:
        ours, far = memory_stream_pair()
        peer, near = Peer(far), ours
        async with trio.open_nursery() as nursery:

            async def serve() -> None:
                await peer.hear()
                events = [AcceptConnection(), *(event for one in said for event in one)]
                data = b"".join(peer.protocol.send(event) for event in events)
                for size in [*cuts, len(data)]:
                    await peer.stream.send_all(data[:size])
                    data = data[size:]
                    await trio.testing.wait_all_tasks_blocked()

            nursery.start_soon(serve)
            any_stream: Any = near
            socket = await LeanSocket.open(any_stream, "peer", "/ws", most_bytes=5000)
            while len(got) < len(wanted):
                got.append(await socket.get_message())

    trio.run(main)
    assert got == wanted


async def test_a_text_inside_another_message_is_the_peers_error() -> None:
    """What RFC 6455 forbids (5.4) is for wsproto to refuse, quick way or not."""
    peer, socket = await talk(lambda _: [TextMessage("be", message_finished=False)])
    await peer.stream.send_all(b"\x81\x02in")

    with pytest.raises(ConnectionClosed):
        await read_on(socket)
    assert socket._ready == socket._ready.__class__()


@pytest.mark.parametrize(
    "frame", [b"\x81\x7e\x00\x02no", b"\x81\x82\x00\x00\x00\x00no", b"\xc1\x02no", b"\x81\x01\xff"]
)
async def test_frames_that_no_server_may_send_end_the_connection(frame: bytes) -> None:
    """A length longer than it need be, a mask, an unknown extension, text that is none."""
    peer, socket = await talk(lambda _: [TextMessage("good")])
    await peer.stream.send_all(frame)

    assert await socket.get_message() == "good"
    with pytest.raises(ConnectionClosed):
        await socket.get_message()


@given(st.binary(max_size=200))
def test_garbage_ends_the_connection_and_nothing_else(garbage: bytes) -> None:
    """Whatever bytes follow the handshake: messages, a closed connection, never another error."""

    async def main() -> None:
        peer, socket = await talk(lambda _: [])
        await peer.stream.send_all(garbage)
        await peer.stream.aclose()
        with pytest.raises(ConnectionClosed):
            await read_on(socket)

    trio.run(main)
