"""The exchange's CLOB, assembled: REST routes, market and user streams, background work."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable

import trio

from polybot.clock import Clock
from polybot.exchange.auth import ApiKey, KeyStore
from polybot.exchange.book_wire import BookText
from polybot.exchange.clob_account import AccountReads
from polybot.exchange.clob_auth import AuthCalls
from polybot.exchange.clob_orders import OrderCalls
from polybot.exchange.clob_reads import PublicReads
from polybot.exchange.engine import Engine
from polybot.exchange.heartbeats import SWEEP_MS, Heartbeats
from polybot.exchange.market_stream import MarketStream
from polybot.exchange.model import Event, MarketResolved, Refused, Traded
from polybot.exchange.net import Service, log_error
from polybot.exchange.request import Request, Response, error_response
from polybot.exchange.terms import Terms
from polybot.exchange.user_stream import UserStream
from polybot.exchange.websocket import Keepalive, OnError

# The venue pings too (feeds.md 2.2); how often is not known, the close's words are.
KEEPALIVE = Keepalive(every_s=30, misses=2, code=1011, reason="keepalive ping timeout")

Route = tuple[str, str]  # method, path; a last segment "*" stands for any
Public = Callable[[Request], Response]
Private = Callable[[Request, ApiKey], Response]
Placing = Callable[[Request, ApiKey], Awaitable[Response]]


def _ignore(refused: Refused) -> None:
    pass


class ClobServer:
    """One CLOB on one engine. Serve the three services with `net.serve` and keep `run` running.

    `keys` holds the API keys; an order's account is its wallet's checksum address. `on_refused`
    hears of every refused order, `on_error` of every bug in a handler.
    """

    def __init__(
        self,
        engine: Engine,
        clock: Clock,
        rng: random.Random,
        on_error: OnError = log_error,
        on_refused: Callable[[Refused], None] = _ignore,
        *,
        terms: Terms = Terms(),
    ) -> None:
        self._engine, self._clock = engine, clock
        self.keys = KeyStore(clock, rng)
        self._market_stream = MarketStream(engine, clock, rng, terms)
        self._user_stream = UserStream(self.keys, clock, rng, terms)
        self._orders = OrderCalls(engine, clock, Heartbeats(rng), on_refused)
        self._account = AccountReads(engine, self.keys)
        self._reads = PublicReads(engine, clock, self._market_stream.book)
        engine.listeners += [
            self._note_taker_side,
            self._account.on_event,
            self._market_stream.on_event,
            self._user_stream.on_event,
        ]
        auth = AuthCalls(self.keys)
        self._public = _public_routes(self._reads, auth)
        self._private = _private_routes(self._orders, self._account, auth)
        self._placing: dict[str, Placing] = {
            "/order": self._orders.place,
            "/orders": self._orders.place_many,
        }
        self.service_rest = Service(self.handle, None, on_error)
        self.service_market_ws = Service(None, self._market_stream.session, on_error, KEEPALIVE)
        self.service_user_ws = Service(None, self._user_stream.session, on_error, KEEPALIVE)

    async def handle(self, request: Request) -> Response:
        """Answer one REST request."""
        route = _find(request, self._public)
        if route is not None:
            return self._public[route](request)
        placing = self._placing.get(request.path) if request.method == "POST" else None
        route = _find(request, self._private)
        if placing is None and route is None:
            return error_response("not found", 404)
        key = self.keys.authenticate(request)
        if isinstance(key, Response):
            return key
        if placing is not None:
            return await placing(request, key)
        assert route is not None
        return self._private[route](request, key)

    def authenticate(self, request: Request) -> str | Response:
        """For other private services: the wallet address behind the L2 headers, or the 401."""
        key = self.keys.authenticate(request)
        return key if isinstance(key, Response) else key.address

    def book_of(self, token: str) -> BookText | None:
        """The book behind a token as the streams tell it, if there is one."""
        market = self._engine.by_token.get(token)
        return None if market is None else self._market_stream.book(market)

    async def run(self) -> None:
        """The background work: the heartbeat sweep and the delayed prints. Never returns."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._market_stream.run)
            nursery.start_soon(self._user_stream.run)
            nursery.start_soon(self._sweep)

    async def _sweep(self) -> None:
        due_ms = self._clock.now_ms()
        while True:
            due_ms += SWEEP_MS
            await self._clock.sleep_until(due_ms)
            self._orders.sweep()

    def _note_taker_side(self, event: Event) -> None:
        if isinstance(event, Traded):
            trade = event.trade
            self._reads.last_taker_side[trade.market.condition_id] = trade.taker.side
        elif isinstance(event, MarketResolved):
            self._reads.last_taker_side.pop(event.market.condition_id, None)


def _find(request: Request, routes: dict[Route, Public] | dict[Route, Private]) -> Route | None:
    exact = (request.method, request.path)
    if exact in routes:
        return exact
    family = (request.method, request.path.rpartition("/")[0] + "/*")
    return family if family in routes else None


def _public_routes(reads: PublicReads, auth: AuthCalls) -> dict[Route, Public]:
    return {
        ("GET", "/ok"): reads.ok,
        ("GET", "/time"): reads.time,
        ("GET", "/version"): reads.version,
        ("GET", "/tick-size"): reads.tick_size,
        ("GET", "/neg-risk"): reads.neg_risk,
        ("GET", "/fee-rate"): reads.fee_rate,
        ("GET", "/book"): reads.book,
        ("POST", "/books"): reads.books,
        ("GET", "/midpoint"): reads.midpoint,
        ("POST", "/midpoints"): reads.midpoints,
        ("GET", "/price"): reads.price,
        ("POST", "/prices"): reads.prices,
        ("GET", "/spread"): reads.spread,
        ("POST", "/spreads"): reads.spreads,
        ("GET", "/last-trade-price"): reads.last_trade_price,
        ("POST", "/last-trades-prices"): reads.last_trades_prices,
        ("GET", "/clob-markets/*"): reads.clob_market,
        ("GET", "/markets/*"): reads.market,
        ("GET", "/markets-by-token/*"): reads.market_by_token,
        ("POST", "/auth/api-key"): auth.create,
        ("GET", "/auth/derive-api-key"): auth.derive,
    }


def _private_routes(
    orders: OrderCalls, account: AccountReads, auth: AuthCalls
) -> dict[Route, Private]:
    return {
        ("DELETE", "/order"): orders.cancel,
        ("DELETE", "/orders"): orders.cancel_many,
        ("DELETE", "/cancel-market-orders"): orders.cancel_market,
        ("DELETE", "/cancel-all"): orders.cancel_all,
        ("POST", "/v1/heartbeats"): orders.heartbeat,
        ("GET", "/data/orders"): account.orders,
        ("GET", "/data/order/*"): account.order,
        ("GET", "/data/trades"): account.trades,
        ("GET", "/balance-allowance"): account.balance,
        ("GET", "/balance-allowance/update"): account.balance,
        ("GET", "/order-scoring"): account.scoring,
        ("POST", "/orders-scoring"): account.orders_scoring,
        ("GET", "/auth/api-keys"): auth.list_keys,
        ("DELETE", "/auth/api-key"): auth.delete,
        ("GET", "/auth/ban-status/closed-only"): auth.closed_only,
    }
