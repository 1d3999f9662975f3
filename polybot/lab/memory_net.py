"""A network in memory: Trio's own hook for socket factories, so that nothing else knows of it.

With `memory_network()` in force inside `trio.run`, every TCP socket that Trio opens – listeners,
WebSockets, httpx's connections – is one of these, and a virtual clock sees all there is: it jumps
only when nothing is under way. The kernel is left out, everything above it is the production code.

A wire carries bytes in order, at most `WINDOW` unread. What can happen to real ones happens to
these by the network's hand: every wire of a port may be slow, cut (a reset on both sides), or held
up in silence, and a port may refuse, or be out of reach: who dials it waits. Rejected: patching our
own dial and serve functions, which would prove other code than runs at night; Trio's
`memory_stream_pair`, which is unbounded.

A call that can be answered at once takes one pass of the loop, as with Trio's own sockets, and a
read that waits is woken once, when its bytes are there. Only what a server sends takes none: its
writers do nothing between two sends that anybody could come in between.
"""

from __future__ import annotations

import errno
import itertools
import math
import socket as stdlib
from collections import Counter, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import attrs
import trio

from polybot.lab.alarms import Alarm
from polybot.lab.moments import moment

WINDOW = 1 << 18  # bytes a sender may be ahead of its reader: loopback's default, about
HOST = "127.0.0.1"
FIRST_PORT = 20_000
AGAIN_S = 1.0  # until a kernel asks for a connection anew, at first
Address = tuple[str, int]

# Whose a connection is that is made in this context: a killed program's are cut, nobody else's.
OWNER: ContextVar[str] = ContextVar("OWNER", default="")


@attrs.define(eq=False)
class Pipe:
    """One direction of a wire. `parts` are (time they arrive, bytes)."""

    delay_s: float = 0.0
    parts: deque[tuple[float, bytes]] = attrs.field(factory=deque)
    waiting: int = 0
    ended: bool = False  # the sender has shut down its side
    reset: bool = False
    held: bool = False  # what is sent waits, and no one is told
    read_at: float = -math.inf  # when bytes were taken from it last, by Trio's time
    changed: trio.lowlevel.ParkingLot = attrs.field(factory=trio.lowlevel.ParkingLot)
    _arrival: Alarm | None = None  # of bytes on their way, which a reader waits for

    @property
    def readable(self) -> bool:
        """Whether a read would return at once, with bytes, an end or a reset."""
        if self.reset or (self.ended and not self.parts):
            return True
        return bool(self.parts) and not self.held and self.parts[0][0] <= trio.current_time()

    def wake(self) -> None:
        if self.changed:
            self.changed.unpark_all()

    def _expect(self, due: float) -> None:
        """Wake the reader then."""
        if self._arrival is None:
            self._arrival = Alarm(due, self._arrived)

    def _arrived(self) -> None:
        self._arrival = None
        self.wake()

    async def put(self, data: bytes) -> int:
        while self.waiting >= WINDOW and not self.reset:
            await self.changed.park()
        if self.reset:
            raise OSError(errno.ECONNRESET, "connection reset")
        some = bytes(data[: WINDOW - self.waiting])
        last = self.parts[-1][0] if self.parts else 0.0
        due = max(last, moment(trio.current_time() + self.delay_s))
        self.parts.append((due, some))
        self.waiting += len(some)
        if self.changed and not self.held:
            if due > trio.current_time():
                self._expect(self.parts[0][0])
            else:
                self.wake()
        return len(some)

    async def take(self, most: int) -> bytes:
        while True:
            if self.reset:
                raise OSError(errno.ECONNRESET, "connection reset")
            if self.parts and not self.held:
                due = self.parts[0][0]
                if due <= trio.current_time():
                    return self._taken(most)
                self._expect(due)
                await self.changed.park()
            elif self.ended and not self.parts:
                return b""
            else:
                await self.changed.park()

    def _taken(self, most: int) -> bytes:
        due, data = self.parts.popleft()
        if len(data) > most:
            self.parts.appendleft((due, data[most:]))
            data = data[:most]
        self.waiting -= len(data)
        self.read_at = trio.current_time()
        self.wake()
        return data

    def cut(self) -> None:
        self.reset = True
        self.parts.clear()
        self.wake()


@attrs.define(eq=False)
class Wire:
    """A connection to a port: what its client sends, and what it hears."""

    port: int
    owner: str
    up: Pipe
    down: Pipe

    @property
    def mute_s(self) -> float:
        """For how long its client has heard nothing, while it is held up."""
        return trio.current_time() - self.down.read_at if self.down.held else 0.0

    @property
    def open(self) -> bool:
        return not (self.up.reset or (self.up.ended and self.down.ended))

    def cut(self) -> None:
        self.up.cut()
        self.down.cut()

    def die(self) -> None:
        """Its client is gone: what it had sent arrives, followed by the end."""
        self.up.ended = True
        self.up.wake()
        self.down.cut()

    def hold(self, *, held: bool) -> None:
        """Carry nothing, in either direction, while both ends believe that all is well."""
        for pipe in (self.up, self.down):
            pipe.held = held
            pipe.wake()


@attrs.define(eq=False)
class Network(trio.abc.SocketFactory):
    """Every socket of a run, and the hand that troubles them.

    `delays` are the seconds that bytes take to and from a port, for wires made from now on;
    `refused` the ports that take no connection, `dark` those that no packet comes to or from,
    `dead` the owners of whom nothing more is heard; `connects` are the seconds until a connection
    to a port is there; `on_send` hears what is put on a wire, and the port at its other end;
    `dials` counts the wires that ever were, by owner and port; `refused_s` is when a port last took
    none, in Trio's time, or until when one whose question was lost in the dark can have none.
    """

    listening: dict[int, Socket] = attrs.field(factory=dict)
    wires: list[Wire] = attrs.field(factory=list)
    delays: dict[int, float] = attrs.field(factory=dict)
    refused: set[int] = attrs.field(factory=set)
    dark: set[int] = attrs.field(factory=set)
    connects: dict[int, float] = attrs.field(factory=dict)
    refused_s: dict[int, float] = attrs.field(factory=dict)
    dead: set[str] = attrs.field(factory=set)
    on_send: Callable[[int, bytes], None] = lambda *_: None
    dials: Counter[tuple[str, int]] = attrs.field(factory=Counter)
    _ports: Iterator[int] = attrs.field(factory=lambda: itertools.count(FIRST_PORT))

    def socket(  # as Trio calls it
        self,
        family: int = stdlib.AF_INET,
        type: int = stdlib.SOCK_STREAM,  # noqa: A002
        proto: int = 0,
    ) -> Socket:
        if family != stdlib.AF_INET or type != stdlib.SOCK_STREAM:
            raise OSError(errno.EAFNOSUPPORT, "this network is TCP over IPv4 only")
        return Socket(self)

    def free_port(self) -> int:
        return next(port for port in self._ports if port not in self.listening)

    def wires_to(self, port: int, owner: str | None = None) -> list[Wire]:
        """Open wires to a port, of everybody or of one owner."""
        self.wires = [wire for wire in self.wires if wire.open]
        return [
            wire
            for wire in self.wires
            if wire.port == port and (owner is None or wire.owner == owner)
        ]

    def kill(self, owner: str) -> None:
        """What was sent is sent; from now on nothing passes to or from this owner."""
        self.dead.add(owner)
        for wire in self.wires:
            if wire.owner == owner:
                wire.die()

    def refuses(self, port: int, since: float) -> bool:
        """Whether a port takes no connection, or has taken none from somebody since then."""
        return self.shut(port) or self.refused_s.get(port, -math.inf) >= since

    def shut(self, port: int) -> bool:
        """Whether a port takes no connection now."""
        return port in self.refused or port in self.dark

    async def reach(self, port: int) -> None:
        """Ask for a connection and hear that it is there. Where the question is lost it is asked
        again, as the kernel does, each time after twice as long.
        """
        again_s, connects_s = AGAIN_S, self.connects.get(port, 0.0)
        while port in self.dark:
            self.refused_s[port] = trio.current_time() + again_s + connects_s
            await trio.sleep(again_s)
            again_s *= 2
        if connects_s:
            await trio.sleep(connects_s)

    def connect(self, client: Socket, port: int) -> None:
        """Join a client's socket to whoever listens. Raises OSError where nobody does."""
        server, owner = self.listening.get(port), OWNER.get()
        if server is None or port in self.refused:
            self.refused_s[port] = trio.current_time()
            raise OSError(errno.ECONNREFUSED, "connection refused")
        delay_s = self.delays.get(port, 0.0)
        wire = Wire(port, owner, Pipe(delay_s), Pipe(delay_s))
        self.wires.append(wire)
        self.dials[owner, port] += 1
        here, there = (HOST, self.free_port()), (HOST, port)
        client.join(wire.down, wire.up, here, there)
        accepted = Socket(self, serves=True)
        server.arrivals.append(accepted.join(wire.up, wire.down, there, here))
        server.changed.unpark_all()


class Socket(trio.socket.SocketType):
    """As much of a socket as Trio's streams and listeners use."""

    def __init__(self, network: Network, *, serves: bool = False) -> None:
        super().__init__()
        self._network, self._serves = network, serves
        self._inward: Pipe | None = None
        self._outward: Pipe | None = None
        self._here: Address = ("0.0.0.0", 0)  # noqa: S104 - as an unbound socket says
        self._there: Address | None = None
        self._closed = self._shut = self._listens = False
        self.arrivals: deque[Socket] = deque()
        self.changed = trio.lowlevel.ParkingLot()

    def join(self, inward: Pipe, outward: Pipe, here: Address, there: Address) -> Socket:
        self._inward, self._outward, self._here, self._there = inward, outward, here, there
        return self

    # --- what Trio asks of every socket ---------------------------------------------------------

    @property
    def family(self) -> stdlib.AddressFamily:
        return stdlib.AF_INET

    @property
    def type(self) -> stdlib.SocketKind:
        return stdlib.SOCK_STREAM

    @property
    def proto(self) -> int:
        return stdlib.IPPROTO_TCP

    @property
    def did_shutdown_SHUT_WR(self) -> bool:  # noqa: N802 - Trio's name
        return self._shut

    def fileno(self) -> int:
        return -1 if self._closed else 1_000

    def getsockname(self) -> Address:
        return self._here

    def getpeername(self) -> Address:
        if self._there is None:
            raise OSError(errno.ENOTCONN, "not connected")
        return self._there

    def getsockopt(self, level: int, optname: int, buflen: int | None = None) -> Any:
        accepts = (level, optname) == (stdlib.SOL_SOCKET, stdlib.SO_ACCEPTCONN)
        return int(self._listens) if accepts else 0

    def setsockopt(self, level: int, optname: int, value: Any, optlen: int | None = None) -> None:
        """No option changes anything here."""

    # --- listeners ------------------------------------------------------------------------------

    async def bind(self, address: Any) -> None:
        await trio.lowlevel.checkpoint()
        host, port = address[:2]
        if port in self._network.listening:
            raise OSError(errno.EADDRINUSE, "address already in use")
        self._here = (host, port or self._network.free_port())

    def listen(self, backlog: int = 128) -> None:
        self._listens = True
        self._network.listening[self._here[1]] = self

    async def accept(self) -> tuple[Socket, Address]:
        await trio.lowlevel.checkpoint()
        while not self.arrivals:
            if self._closed:
                raise OSError(errno.EBADF, "closed")
            await self.changed.park()
        came = self.arrivals.popleft()
        return came, came.getpeername()

    # --- connections ----------------------------------------------------------------------------

    async def connect(self, address: Any) -> None:
        await trio.lowlevel.checkpoint()
        await self._network.reach(address[1])
        if OWNER.get() in self._network.dead:
            await trio.sleep_forever()  # nobody is there to be told, or to try again and again
        self._network.connect(self, address[1])

    async def recv(self, buflen: int, flags: int = 0, /) -> bytes:
        pipe = self._inward
        if self._closed or pipe is None or pipe.readable:
            await trio.lowlevel.checkpoint()  # else the wait below is one
        if self._closed or pipe is None:
            raise OSError(errno.EBADF, "closed")
        return await pipe.take(buflen)

    async def send(self, data: Any, flags: int = 0, /) -> int:
        if self._serves:
            await trio.lowlevel.checkpoint_if_cancelled()
        else:
            await trio.lowlevel.checkpoint()
        if self._closed or self._outward is None:
            raise OSError(errno.EBADF, "closed")
        if self._inward is not None and self._inward.reset:
            raise OSError(errno.EPIPE, "broken pipe")
        if self._there is not None:
            self._network.on_send(self._there[1], data)
        return await self._outward.put(data)

    def is_readable(self) -> bool:
        return self._closed or (self._inward is not None and self._inward.readable)

    async def wait_writable(self) -> None:
        await trio.lowlevel.checkpoint()

    def shutdown(self, flag: int) -> None:
        if flag != stdlib.SHUT_RD and self._outward is not None:
            self._shut = self._outward.ended = True
            self._outward.wake()

    def close(self) -> None:
        """End both directions. What the peer still sends is answered by a reset, as TCP does."""
        if self._closed:
            return
        self._closed = True
        if self._listens:
            self._network.listening.pop(self._here[1], None)
            self.changed.unpark_all()
        if self._outward is not None and self._inward is not None:
            self._outward.ended = True
            self._outward.wake()
            self._inward.cut()


@contextmanager
def memory_network() -> Iterator[Network]:
    """Give every TCP socket of this `trio.run` to a network in memory, while the body runs."""
    network = Network()
    before = trio.socket.set_custom_socket_factory(network)
    try:
        yield network
    finally:
        trio.socket.set_custom_socket_factory(before)
