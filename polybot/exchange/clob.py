"""The exchange's CLOB, assembled: REST routes, market and user streams, background work."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable

import attrs
import trio

from polybot.clock import Clock
from polybot.exchange.auth import ApiKey, KeyStore
from polybot.exchange.book_wire import BookText
from polybot.exchange.clob_account import AccountReads
from polybot.exchange.clob_auth import AuthCalls
from polybot.exchange.clob_balances import BalanceReads
from polybot.exchange.clob_orders import OrderCalls
from polybot.exchange.clob_reads import PublicReads
from polybot.exchange.door import Door, Kind, with_forced_status
from polybot.exchange.engine import Engine
from polybot.exchange.faults.state import Faults, quiet
from polybot.exchange.geoblock import Geoblock
from polybot.exchange.heartbeats import SWEEP_MS, Heartbeats
from polybot.exchange.market_stream import MarketStream
from polybot.exchange.model import Event, MarketResolved, OrderEvent, Refused, Traded, TradeUpdated
from polybot.exchange.modes import Mode, Modes
from polybot.exchange.money import UNIT
from polybot.exchange.net import Service, log_error
from polybot.exchange.notifications import Notifications
from polybot.exchange.order_entry import OrderReader
from polybot.exchange.price_history import PriceHistory
from polybot.exchange.rebates import Rebates
from polybot.exchange.request import Request, Response, error_response, json_response
from polybot.exchange.restrictions import Restrictions
from polybot.exchange.rewards import Rewards
from polybot.exchange.rewards_reads import RewardsReads, private_reads, public_reads
from polybot.exchange.scoring import RewardRule
from polybot.exchange.session_signers import SessionSigners
from polybot.exchange.terms import Terms
from polybot.exchange.user_stream import UserStream
from polybot.exchange.volumes import Volumes
from polybot.exchange.websocket import Keepalive, OnError

# The venue pings too (feeds.md 2.2); how often is not known, the close's words are.
KEEPALIVE = Keepalive(every_s=30, misses=2, code=1011, reason="keepalive ping timeout")

Route = tuple[str, str]  # method, path; a last segment "*" stands for any
Public = Callable[[Request], Response]
Private = Callable[[Request, ApiKey], Response]
Placing = Callable[[Request, ApiKey], Awaitable[Response]]


def _ignore(refused: Refused) -> None:
    pass


def _nothing(now_ms: int) -> None:
    pass


class ClobServer:
    """One CLOB on one engine. Serve the three services with `net.serve` and keep `run` running.

    `keys` holds the API keys, `sessions` the session keys that deposit wallets have authorised; an
    order's account is the checksum address of the wallet it names as maker. `on_refused` hears of
    every refused order, `on_error` of every bug in a handler. `modes` and `geoblock` can be
    switched while it runs.
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
        faults: Faults | None = None,
    ) -> None:
        self._engine, self._clock = engine, clock
        self.keys = KeyStore(clock, rng, tolerance_s=terms.timestamp_tolerance_s)
        self.sessions = SessionSigners()
        self._market_stream = MarketStream(engine, clock, rng, terms)
        self._user_stream = UserStream(self.keys, clock, rng, terms)
        wipe = _nothing if terms.orders_survive_restart else engine.clear_books
        self.modes = engine.modes = Modes(terms, on_restart=wipe)
        self.geoblock = Geoblock(terms)
        self.restrictions = Restrictions(lambda: self.geoblock.close_only)
        reader = OrderReader(engine.by_token, self.sessions, self.restrictions, terms)
        self.volumes = Volumes(terms.signer_tier)
        self._door = Door(clock, terms, self.geoblock, self.modes, self.volumes)
        self.heartbeats = Heartbeats(rng)
        self._orders = OrderCalls(
            engine, clock, self.heartbeats, reader, on_refused, self._door.entry, faults or quiet()
        )
        self._account = AccountReads(engine, self.keys)
        self.balances = BalanceReads(engine, clock, self.sessions)
        self._reads = PublicReads(engine, clock, self._market_stream.book)
        self.prices, bell = PriceHistory(engine, clock), Notifications(engine, self.keys)
        engine.listen(self._note_taker_side, Traded, MarketResolved)
        engine.listen(self._account.on_event, OrderEvent, Traded)
        engine.listen(self.prices.on_event, Traded)
        engine.listen(bell.on_event, OrderEvent, Traded, TradeUpdated, MarketResolved)
        engine.listen(self._market_stream.on_event, *self._market_stream.hears)
        engine.listen(self._user_stream.on_event, OrderEvent, Traded, TradeUpdated)
        engine.listen(self.volumes.on_event, Traded)
        auth = AuthCalls(self.keys, self.restrictions)
        start_ms, seed = clock.now_ms(), f"{rng.getrandbits(64)}"
        self.rewards = Rewards(engine, _rule(terms), terms.rewards_daily_pool, seed, start_ms)
        self.rebates = Rebates(engine, terms.maker_rebate_percent, start_ms)
        programs = RewardsReads(engine, clock, self.rewards, self.rebates)
        self._public = _public_routes(self._reads, auth) | public_reads(programs)
        self._public["GET", "/prices-history"] = self.prices.answer
        self._private = _private_routes(self._orders, self._account, self.balances, auth)
        self._private |= private_reads(programs)
        self._private["GET", "/v1/user/rate-limit-tier"] = self._tier
        self._private["GET", "/notifications"] = bell.list
        self._private["DELETE", "/notifications"] = bell.drop
        orders = self._orders
        self._placing: dict[Kind, Placing] = {
            Kind.PLACE: orders.place,
            Kind.PLACE_MANY: orders.place_many,
        }
        self._cancelling: dict[Kind, Private] = {
            Kind.CANCEL: orders.cancel,
            Kind.CANCEL_MANY: orders.cancel_many,
            Kind.CANCEL_MARKET: orders.cancel_market,
            Kind.CANCEL_ALL: orders.cancel_all,
        }
        self.service_rest = Service(self.handle, None, on_error)
        self.service_market_ws = Service(None, self._market_stream.session, on_error, KEEPALIVE)
        self.service_user_ws = Service(None, self._user_stream.session, on_error, KEEPALIVE)

    async def handle(self, request: Request) -> Response:
        """Answer one REST request."""
        kind = Kind.of(request)
        reply = self._read(request) if kind is None else await self._trade(kind, request)
        return with_forced_status(reply)

    async def _trade(self, kind: Kind, request: Request) -> Response:
        """An order endpoint: the checks in the order of clob.md 10, each of which may end it."""
        refusal = self._door.before_auth()
        if refusal is not None:
            return refusal
        key = self.keys.authenticate(request)
        if isinstance(key, Response):
            return key
        passage = self._door.after_auth(kind, request, key)
        if isinstance(passage, Response):
            return passage
        if kind.places:
            reply = await self._placing[kind](request, key)
        else:
            reply = self._cancelling[kind](request, key)
        return self._door.leave(passage, reply)

    def _read(self, request: Request) -> Response:
        """Everything else: no mode, region or signer limit stands before it."""
        public = _find(request, self._public)
        if public is not None:
            return self._public[public](request)
        private = _find(request, self._private)
        if private is None:
            return self._unknown(request)
        key = self.keys.authenticate(request)
        return key if isinstance(key, Response) else self._private[private](request, key)

    def _tier(self, request: Request, key: ApiKey) -> Response:
        """GET /v1/user/rate-limit-tier; its keys are not documented (clob.md 5.1)."""
        return json_response({"tier": self.volumes.tier(key.address, self._clock.now_ms()).name})

    def _unknown(self, request: Request) -> Response:
        """404, or 405 where another method would do."""
        methods = ("GET", "POST", "DELETE")
        others = [attrs.evolve(request, method=method) for method in methods]
        if any(Kind.of(o) or _find(o, self._public) or _find(o, self._private) for o in others):
            return error_response("method not allowed", 405)
        return error_response("not found", 404)

    def add_routes(self, public: dict[Route, Public], private: dict[Route, Private]) -> None:
        """Calls that other parts of the exchange answer on this host."""
        self._public |= public
        self._private |= private

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
            # An engine that restarts cancels nothing: whoever fell silent is found afterwards.
            if self.modes.at(self._clock.now_ms()) is not Mode.RESTARTING:
                self._orders.sweep()

    def _note_taker_side(self, event: Event) -> None:
        if isinstance(event, Traded):
            trade = event.trade
            self._reads.last_taker_side[trade.market.condition_id] = trade.taker.side
        elif isinstance(event, MarketResolved):
            self._reads.last_taker_side.pop(event.market.condition_id, None)


def _rule(terms: Terms) -> RewardRule:
    size, age_ms = terms.rewards_min_size * UNIT, terms.rewards_min_age_s * 1000
    return RewardRule(size, terms.rewards_max_spread, age_ms)


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
        ("GET", "/fees/builder-fees/*"): reads.builder_fees,
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
        ("GET", "/markets"): reads.markets,
        ("GET", "/markets/*"): reads.market,
        ("GET", "/simplified-markets"): reads.simplified_markets,
        ("GET", "/sampling-markets"): reads.sampling_markets,
        ("GET", "/sampling-simplified-markets"): reads.sampling_simplified_markets,
        ("GET", "/markets-by-token/*"): reads.market_by_token,
        ("POST", "/auth/api-key"): auth.create,
        ("GET", "/auth/derive-api-key"): auth.derive,
    }


def _private_routes(
    orders: OrderCalls, account: AccountReads, balances: BalanceReads, auth: AuthCalls
) -> dict[Route, Private]:
    return {
        ("POST", "/v1/heartbeats"): orders.heartbeat,
        ("POST", "/heartbeats"): orders.legacy_heartbeat,
        ("GET", "/data/orders"): account.orders,
        ("GET", "/data/order/*"): account.order,
        ("GET", "/data/trades"): account.trades,
        ("GET", "/balance-allowance"): balances.balance,
        ("GET", "/balance-allowance/update"): balances.update,
        ("GET", "/auth/api-keys"): auth.list_keys,
        ("DELETE", "/auth/api-key"): auth.delete,
        ("POST", "/auth/readonly-api-key"): auth.create_reader,
        ("GET", "/auth/readonly-api-keys"): auth.list_readers,
        ("DELETE", "/auth/readonly-api-key"): auth.delete_reader,
        ("GET", "/auth/ban-status/closed-only"): auth.closed_only,
    }
