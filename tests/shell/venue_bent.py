"""The embedded exchange with a bent for misbehaving: every request and every stream can be bent.

Nothing inside the exchange changes: requests are met before its own handlers, frames after them.
What it did all the same is read from its own books and events.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, cast

import attrs
import orjson
import trio

from polybot.clock import Clock
from polybot.exchange.crowd_hand import Hand
from polybot.exchange.model import BUY, SELL, Event, Order, OrderEvent
from polybot.exchange.net import Request, Response, Service, error_response
from polybot.exchange.server import Exchange
from polybot.exchange.terms import Terms
from polybot.exchange.websocket import Socket, frame
from polybot.exchange.world import World

Handler = Callable[[Request], Awaitable[Response]]
Act = Callable[[Request, Handler], Awaitable[Response]]

PLACING = ("/order", "/orders")
SILENT_S = 25.0  # longer than any patience of the bot, shorter than the server's
HTML = b"<html><body><h1>502 Bad Gateway</h1></body></html>"
GARBAGE = (
    "", "PONG?", "[]", "null", "[[[[", '{"event_type": "book"}', '{"event_type": "moon"}', "\x00",
    '[{"event_type": "price_change", "price_changes": [{"price": "NaN", "size": "1e400"}]}]',
    '{"op": "data", "channel": 7}', '{"stream": "btcusdt@trade", "data": {"p": "Infinity"}}',
    '{"a":' * 1_000 + "1" + "}" * 1_000, '{"op":' + "[" * 1_000 + "]" * 1_000 + "}",
    '{"event_type":"trade","status":' + "[" * 1_000 + "]" * 1_000 + "}",
)  # fmt: skip


# --- what may happen to a request -----------------------------------------------------------------


async def silence(request: Request, handle: Handler) -> Response:
    """The request is lost: nothing happens, nothing is answered."""
    await trio.sleep(SILENT_S)
    return error_response("too late", 504)


async def lose_reply(request: Request, handle: Handler) -> Response:
    """The venue does it, and nobody hears of it."""
    await handle(request)
    return await silence(request, handle)


def answer(status: int, body: bytes = b'{"error": "no"}', *headers: tuple[str, str]) -> Act:
    """This answer, and nothing is done."""

    async def act(request: Request, handle: Handler) -> Response:
        return Response(status, body, headers)

    return act


def done_but(status: int, body: bytes = HTML) -> Act:
    """The venue does it and answers something else."""

    async def act(request: Request, handle: Handler) -> Response:
        await handle(request)
        return Response(status, body)

    return act


def changed(change: Callable[[Any], None]) -> Act:
    """The venue's own answer with its JSON changed in place."""

    async def act(request: Request, handle: Handler) -> Response:
        response = await handle(request)
        if response.status != 200:
            return response
        value = orjson.loads(response.body)
        change(value)
        return attrs.evolve(response, body=orjson.dumps(value))

    return act


@attrs.define(eq=False)
class Bend:
    """One rule: requests of a method to some paths of a service meet `act`, so many times."""

    service: str
    method: str
    paths: tuple[str, ...]
    act: Act
    times: float = float("inf")
    met: int = 0
    bodies: list[bytes] = attrs.field(factory=list)  # of the requests it has met

    def takes(self, service: str, request: Request) -> bool:
        at = (service, request.method)
        here = any(request.path == p or request.path.startswith(f"{p}/") for p in self.paths)
        return self.met < self.times and at == (self.service, self.method) and here


@attrs.frozen
class Seen:
    """A request as it came in, in the order in which requests came."""

    number: int
    service: str
    method: str
    path: str
    body: bytes


# --- what may happen to a stream ------------------------------------------------------------------


@attrs.define(eq=False)
class Line:
    """One stream of the venue. `passes` decides which frames go out; the sockets know nothing."""

    passes: Callable[[bytes], bool] = lambda data: True
    refusing: bool = False
    opened: int = 0
    sockets: set[Socket] = attrs.field(factory=set)

    def stall(self) -> None:
        """No more data; pings are still answered (F01)."""
        self.passes = lambda data: len(data) < 60 and b"pong" in data.lower()

    def flow(self) -> None:
        self.passes = lambda data: True
        self.refusing = False

    def cut(self) -> None:
        """Drop every connection, and every new one as soon as it is there."""
        self.refusing = True
        for socket in list(self.sockets):
            socket.drop()

    def say(self, text: str) -> None:
        for socket in self.sockets:
            socket.send_frame(frame(text))

    def tapped(self, session: Callable[[Socket], Awaitable[None]]) -> Callable[[Socket], Any]:
        async def run(socket: Socket) -> None:
            if self.refusing:
                socket.drop()
            tap = _Tapped.on(socket, self)
            self.opened += 1
            self.sockets.add(socket)
            try:
                await session(tap)
            finally:
                self.sockets.discard(socket)

        return run


class _Tapped(Socket):
    """The same session seen through a tap: it shares all its state with the socket it is on."""

    line: Line

    @classmethod
    def on(cls, socket: Socket, line: Line) -> _Tapped:
        tap = cls.__new__(cls)
        tap.__dict__ = socket.__dict__
        tap.line = line
        return tap

    def send_frame(self, data: bytes) -> None:
        if self.line.passes(data):
            super().send_frame(data)


def untold(line: Line, act: Act) -> Act:
    """What `act` does, and the user stream tells nothing of that request's orders either. Of others
    it does, and of trades: one that keeps silent is left.
    """
    hidden, handling = set[bytes](), False

    def passes(data: bytes) -> bool:
        if handling and b'"PLACEMENT"' in data:
            hidden.add(orjson.loads(data[data.index(b"{") :])["id"].encode())
        return b'"trade"' in data or not any(order_id in data for order_id in hidden)

    async def silently(request: Request, handle: Handler) -> Response:
        async def handled(request: Request) -> Response:
            nonlocal handling
            handling = True
            response = await handle(request)
            handling = False
            return response

        return await act(request, handled)

    line.passes = passes
    return silently


# --- the venue ------------------------------------------------------------------------------------


@attrs.define(eq=False)
class _Crowd:
    """The world as the pump sees it; hushed, nobody in it does anything any more."""

    world: World
    hushed: bool = False

    def next_due_ms(self) -> int | None:
        return None if self.hushed else self.world.next_due_ms()

    def advance(self, now_ms: int) -> None:
        self.world.advance(now_ms)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.world, name)


class Venue(Exchange):
    """An exchange whose services can be bent, that notes requests and what became of our orders."""

    def __init__(
        self, world: World, clock: Clock, seed: int, *, terms: Terms = Terms(), kind: int = 3
    ) -> None:
        self.errors: list[Exception] = []
        super().__init__(world, clock, seed, self.errors.append, terms=terms)
        self.kind = kind  # of our wallet: its signature type (clob.md 3.3)
        self.account = self.wallet_of_kind(kind)
        self.crowd = _Crowd(world)
        self.world = cast(World, self.crowd)
        self._moving = self._parts()
        self.bends: list[Bend] = []
        self.seen: list[Seen] = []
        self.lines: dict[str, Line] = {}
        self.events: list[tuple[int, OrderEvent]] = []  # of our orders, and after which request
        self.taker = Hand.make(self.engine, "taker")
        self.engine.listeners.append(self._hear)

    def _hear(self, event: Event) -> None:
        if isinstance(event, OrderEvent) and event.order.account == self.account:
            self.events.append((len(self.seen), event))

    def services(self) -> list[tuple[tuple[str, ...], Service]]:
        return [(names, self._bent(names, s)) for names, s in super().services()]

    def _bent(self, names: tuple[str, ...], service: Service) -> Service:
        """A service is called after its first name, its stream after the last."""
        name = names[0].split()[0]
        if service.socket is not None:
            line = self.lines[names[-1].split()[0]] = Line()
            service = attrs.evolve(service, socket=line.tapped(service.socket))
        return attrs.evolve(service, http=service.http and self._met(name, service.http))

    def _met(self, name: str, handle: Handler) -> Handler:
        async def meet(request: Request) -> Response:
            number = len(self.seen) + 1
            self.seen.append(Seen(number, name, request.method, request.path, request.body))
            for bend in self.bends:
                if bend.takes(name, request):
                    bend.met += 1
                    bend.bodies.append(request.body)
                    return await bend.act(request, handle)
            return await handle(request)

        return meet

    def bend(
        self, method: str, *paths: str, act: Act, service: str = "clob", times: float = float("inf")
    ) -> Bend:
        """From now on these requests meet `act`. The latest rule counts first."""
        rule = Bend(service, method, paths, act, times)
        self.bends.insert(0, rule)
        return rule

    # --- what the venue knows of us ---------------------------------------------------------------

    @property
    def live(self) -> list[Order]:
        """Our orders that rest."""
        return self.engine.live_orders(self.wallet.api_key)

    def placed(self, *, after: int = 0) -> list[OrderEvent]:
        """Our orders as they were accepted, after the request of that number."""
        return [e for n, e in self.events if e.kind == "PLACEMENT" and n > after]

    def asked(self, method: str, *paths: str, after: int = 0) -> list[Seen]:
        return [
            s
            for s in self.seen[after:]
            if s.method == method and any(s.path == p or s.path.startswith(f"{p}/") for p in paths)
        ]

    @property
    def fills(self) -> int:
        return self.counters.accounts[self.account].fills

    def hit(self, order: Order) -> None:
        """Somebody takes one of our orders, and every better one on that side of the book."""
        now_ms, market, hand = self.clock.now_ms(), order.market, self.taker
        self.advance(now_ms)
        if order.remaining == 0 or order.market.end_ms <= now_ms:
            return
        bids, asks = self.engine.levels(order.token)
        if order.side == SELL:
            shares = sum(size for price, size in asks if price <= order.price)
            hand.take(market, order.token, BUY, order.price, shares, now_ms, seen=order.price)
            return
        if not self.engine.accounts.shares(hand.account, order.token):
            hand.stock_up(market, now_ms)
        shares = sum(size for price, size in bids if price >= order.price)
        hand.take(market, order.token, SELL, order.price, shares, now_ms, seen=order.price)
