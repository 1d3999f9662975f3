"""The embedded Polymarket, assembled and served: one engine, one world, every service on loopback.

A service has a port of its own, as it has a host of its own on the real venue, so that a client's
paths – and the HMAC over them – are the real ones. One pump task moves the world in the order of
its due times.
"""

from __future__ import annotations

import base64
import hashlib
import random
from collections.abc import Iterator, Sequence
from typing import Protocol

import attrs
import trio
from coincurve import PrivateKey

from polybot.clock import Clock
from polybot.exchange import eip712
from polybot.exchange.admin import AdminService
from polybot.exchange.approvals import STANDARD
from polybot.exchange.balance_cache import BalanceCache
from polybot.exchange.binance import BinanceService
from polybot.exchange.chain_services import ChainServices
from polybot.exchange.clob import ClobServer
from polybot.exchange.conduct_calls import ConductCalls
from polybot.exchange.counters import Counters
from polybot.exchange.data_api import OWN_LAG_MS, DataService
from polybot.exchange.engine import Engine
from polybot.exchange.far_link import FarLink
from polybot.exchange.faults.admin_calls import FaultCalls
from polybot.exchange.faults.kinds import REST, STREAMS
from polybot.exchange.faults.node_behind import NodeBehind
from polybot.exchange.faults.plan import Plan
from polybot.exchange.faults.rest_link import faulty_http
from polybot.exchange.faults.settlement_acts import SettlementActs
from polybot.exchange.faults.state import Faults
from polybot.exchange.faults.stream_link import StreamLink
from polybot.exchange.faults.venue_acts import VenueActs
from polybot.exchange.gamma import GammaService
from polybot.exchange.ip_limits import CLOB_RULES, DATA_RULES, GAMMA_RULES, Rule, limited
from polybot.exchange.latency_models import NEAR, Latencies
from polybot.exchange.lifecycle import Lifecycle
from polybot.exchange.mirror_live import LiveWorld
from polybot.exchange.mirror_world import MirrorWorld
from polybot.exchange.model import (
    LevelChanged,
    Moved,
    OrderEvent,
    Paid,
    Refused,
    Traded,
    TradeUpdated,
)
from polybot.exchange.net import Request, Response, Service, log_error, serve
from polybot.exchange.oracle import Oracle
from polybot.exchange.polybolt import PolyboltService
from polybot.exchange.resting import TickRule
from polybot.exchange.rtds import RtdsService
from polybot.exchange.site_service import SiteService
from polybot.exchange.standing import StandingMarkets
from polybot.exchange.terms import Terms
from polybot.exchange.wallet_history import WalletHistory
from polybot.exchange.wallets import wallets_of
from polybot.exchange.websocket import OnError
from polybot.exchange.world import World

DEMO_FUNDS = 2_000_000_000  # 10⁻⁶ pUSD
PORT_MOST = 65_535
# Venue seconds between two moves of the world: at least, for acts keep their own stamps; and at
# most, for whoever acts without a request may make something due.
PUMP_S, PUMP_MOST_S = 0.02, 0.1
FAR_MS = 1 << 62


@attrs.frozen
class DemoWallet:
    """A funded wallet with API credentials: for trying things out, worth nothing anywhere else."""

    private_key: str
    address: str
    api_key: str
    api_secret: str
    passphrase: str

    @classmethod
    def of_seed(cls, seed: int) -> DemoWallet:
        secret = hashlib.sha256(f"polybot demo wallet {seed}".encode())
        public = PrivateKey(secret.digest()).public_key.format(compressed=False)[1:]
        rng = random.Random(secret.hexdigest())
        raw = rng.randbytes(16).hex()
        return cls(
            "0x" + secret.hexdigest(),
            eip712.checksum(eip712.keccak(public)[12:]),
            f"{raw[:8]}-{raw[8:12]}-4{raw[13:16]}-8{raw[17:20]}-{raw[20:]}",
            base64.urlsafe_b64encode(rng.randbytes(32)).decode(),
            rng.randbytes(32).hex(),
        )


@attrs.frozen
class Urls:
    """Where every service listens."""

    clob: str
    gamma: str
    market_ws: str
    user_ws: str
    prices_ws: str
    rtds_ws: str
    binance_rest: str
    binance_ws: str
    admin: str
    site: str
    data: str
    relayer: str
    rpc: str


class Moving(Protocol):
    """A part of the exchange that time moves."""

    def next_due_ms(self) -> int | None: ...
    def advance(self, now_ms: int) -> None: ...


class Exchange:
    """One venue on one clock. `seed` draws everything the world does not."""

    _nursery: trio.Nursery | None = None  # while it serves
    _moves_at_ms = 0.0  # when the world is next moved, without a request

    def __init__(
        self,
        world: World,
        clock: Clock,
        seed: int,
        on_error: OnError = log_error,
        *,
        terms: Terms = Terms(),
        faults: Plan = Plan(),
        latencies: Latencies = NEAR,  # of the ways to and from its clients
        funds: int = DEMO_FUNDS,  # of each of the demo key's wallets, 10⁻⁶ dollars
        kind: int = 3,  # signature type of the one that trades
    ) -> None:
        self.world, self.clock, self.terms = world, clock, terms
        self.wallet = DemoWallet.of_seed(seed)
        self.counters = Counters()
        start_ms = clock.now_ms()

        def rng(name: str) -> random.Random:
            return random.Random(f"{seed} {name}")

        ticks = TickRule(terms.tick_fine_at, terms.tick_coarse_at)
        mirrored = isinstance(world, MirrorWorld)  # its ticks are the other venue's
        self.engine = Engine(rng=rng("engine"), auto_tick=not mirrored, tick_rule=ticks)
        assets = sorted({series.asset for series in world.series})
        relayed = world.relayed if isinstance(world, MirrorWorld) else ()
        self.oracle = Oracle(world.source, assets, start_ms, rng("oracle"), relayed)
        self.faults = Faults(seed, start_ms, faults)
        self._link = FarLink(latencies, seed)
        self.clob = ClobServer(
            self.engine, clock, rng("clob"), on_error, self._on_refused, terms=terms,
            faults=self.faults,
        )  # fmt: skip
        self.balances = BalanceCache(
            self.engine, terms.balance_lag_ms, follow=terms.balances_follow_chain
        )
        self.clob.balances.figure = self.balances.read
        self.clob.balances.refresh = self.balances.refresh
        self.engine.desk.known = self.balances.known
        self.engine.desk.incoming = self.balances.incoming
        self.engine.listen(self.counters.on_event, OrderEvent, Traded, TradeUpdated)
        wallet = self.wallet
        self.clob.keys.add_key(wallet.address, wallet.api_key, wallet.api_secret, wallet.passphrase)
        self.engine.accounts.deposit(wallet.address, funds)
        self.chain = ChainServices(self.engine, self.clob, clock, rng("chain"), terms, on_error)
        self.demo_wallets = self.chain.set_up_demo(wallet.address, funds)
        self.lifecycle = self._life(rng("lifecycle"), start_ms, terms)
        self.data = self._index(terms)
        self.standing = StandingMarkets(
            self.engine, self.lifecycle, clock, rng("standing").getrandbits(64)
        )
        world.attach(self.engine, self.oracle, self.lifecycle)
        self.acts = VenueActs(
            self.faults, self.engine, self.clob.modes, self.clob.heartbeats,
            self.wallet_of_kind(kind), wallet.api_key,
        )  # fmt: skip
        wallets = wallets_of(wallet.address).all()
        SettlementActs(
            self.faults, self.engine, self.lifecycle, self.chain.relayer.queue, self.balances,
            wallets,
        )  # fmt: skip
        NodeBehind(self.faults, self.chain.chain, clock, wallets)
        self._moving = self._parts()
        self.admin = self._operator()
        self._rng = rng
        self._terms = terms

    def _parts(self) -> tuple[Moving, ...]:
        """What time moves; of what is due together the first named goes first."""
        return (
            self.oracle, self.lifecycle, self.engine, self.chain.chain, self.world, self.faults,
            self.clob.rewards, self.clob.rebates,
        )  # fmt: skip

    def _index(self, terms: Terms) -> DataService:
        history = WalletHistory(self.engine.unread, OWN_LAG_MS)
        self.engine.listen(history.on_event, TradeUpdated, Moved, Paid)
        data = DataService(
            self.engine, self.lifecycle, history, self.clock, cached=terms.data_caches
        )
        data.approvals = self._approvals
        return data

    def _approvals(self, wallet: str) -> Iterator[tuple[str, str, int]]:
        """The standard pairs as the Data API's index shows them."""
        allowed, seen_ms = self.engine.accounts.approvals, self.clock.now_ms() - OWN_LAG_MS
        for token, spender in STANDARD:
            yield token, spender, allowed.indexed(wallet, token, spender, seen_ms)

    def _life(self, rng: random.Random, start_ms: int, terms: Terms) -> Lifecycle:
        """Markets live by the calendar, or as another venue says that they do."""
        world = self.world
        if isinstance(world, MirrorWorld):
            return world.make_life(self.engine, self.oracle, rng, start_ms)
        return Lifecycle(
            self.engine,
            self.oracle,
            world.series,
            rng,
            start_ms,
            settlement=world.settlement,
            hydration_ms=terms.hydration_ms,
            terms=terms,
        )

    def _on_refused(self, refused: Refused) -> None:
        """Refusals name no wallet: they count for each of the demo key's."""
        demo = self.demo_wallets
        self.counters.refuse(
            self.wallet.address, refused.error, demo.proxy, demo.safe, demo.deposit
        )

    def wallet_of_kind(self, signature_type: int) -> str:
        """The demo key's wallet that orders of this signature type are for (clob.md 3.3)."""
        demo = self.demo_wallets
        return (self.wallet.address, demo.proxy, demo.safe, demo.deposit)[signature_type]

    def services(self) -> list[tuple[tuple[str, ...], Service]]:
        """Every service by its URL names, each `name scheme [path]`. Call it once."""
        clob, clock = self.clob, self.clock
        gamma = GammaService(self.engine, self.lifecycle, clock, self.terms)
        polybolt = PolyboltService(self.oracle, self._known, clock, clob.book_of, self.terms)
        self.engine.listen(polybolt.on_event, LevelChanged)
        rtds = RtdsService(self.oracle, clock, self._rng("rtds"), self.terms)
        self.engine.listen(rtds.on_event, Traded)
        binance = BinanceService(self.oracle, clock, self.terms)
        return [
            (("clob http",), self._edge(CLOB_RULES, self._after_the_world(clob.service_rest))),
            (("gamma http",), self._edge(GAMMA_RULES, gamma.service)),
            (("market_ws ws /ws/market",), clob.service_market_ws),
            (("user_ws ws /ws/user",), clob.service_user_ws),
            (("prices_ws ws /ws",), polybolt.service),
            (("rtds_ws ws",), rtds.service),
            (("binance_rest http", "binance_ws ws"), binance.service),
            (("admin http",), self.admin.service),
            (("site http",), SiteService(clob.geoblock).service),
            (("data http",), self._edge(DATA_RULES, self.data.service)),
            (("relayer http",), self._after_the_world(self.chain.service_relayer)),
            (("rpc http",), self._after_the_world(self.chain.service_rpc)),
        ]

    def _operator(self) -> AdminService:
        """The exchange's own view of itself, and everybody's switches."""
        clob, clock = self.clob, self.clock
        admin = AdminService(self.engine, self.counters, clock)
        admin.routes |= self.standing.routes | clob.restrictions.routes
        admin.routes |= self.chain.faucet.routes
        admin.routes |= ConductCalls(clock, clob.modes, clob.geoblock).routes
        admin.routes |= FaultCalls(self.faults, clock).routes
        admin.figures.append(self._program_figures)
        return admin

    def _program_figures(self, address: str) -> dict[str, int]:
        """What the makers' programs owe and have paid a wallet, 10⁻⁶ pUSD."""
        rewards, rebates = self.clob.rewards, self.clob.rebates
        return {
            "rebates_accrued": rebates.accrued(address),
            "rebates_paid": rebates.paid[address],
            "rewards_paid": rewards.paid[address],
        }

    def _edge(self, rules: Sequence[Rule], service: Service) -> Service:
        terms = self._terms
        return (
            limited(service, rules, self.clock, terms.ip_delay_ms) if terms.ip_limits else service
        )

    def _over_links(self, names: tuple[str, ...], service: Service) -> Service:
        """The service as its clients meet it: over links that a fault plan may spoil, and from as
        far away as they are meant to be.
        """
        for name in (text.split()[0] for text in names):
            if name in REST:
                service = faulty_http(service, name, self.faults, self.clock)
            elif name in STREAMS:
                service = StreamLink(name, self.faults, self.clock).faulty(service)
            service = self._link.far(name, service)
        return service

    def _after_the_world(self, service: Service) -> Service:
        """Let everything due before a request happen before it, or the
        books' stamps would run backwards.
        """
        handle = service.http
        assert handle is not None, "a REST service answers requests"

        async def answer(request: Request) -> Response:
            self.advance(self.clock.now_ms())
            response = await handle(request)
            self._move_in_time()
            return response

        return attrs.evolve(service, http=answer)

    def _known(self, api_key: str, secret: str, passphrase: str) -> bool:
        return self.clob.keys.valid(api_key, secret, passphrase) is not None

    async def run(
        self, port: int = 0, *, task_status: trio.TaskStatus[Urls] = trio.TASK_STATUS_IGNORED
    ) -> None:
        """Serve until cancelled. With a `port`, the services take it and those that follow it.

        Raises ValueError when too few ports follow, OSError when one is taken (in a group).
        """
        services = [(names, self._over_links(names, one)) for names, one in self.services()]
        if port + len(services) - 1 > PORT_MOST:
            raise ValueError(f"the exchange takes {len(services)} ports, {port} leaves too few")
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            urls: dict[str, str] = {}
            for number, (names, service) in enumerate(services):
                wanted = port + number if port else 0
                bound = await nursery.start(serve, service, wanted)
                for name in names:
                    key, scheme, *path = name.split()
                    urls[key] = f"{scheme}://127.0.0.1:{bound}{''.join(path)}"
            nursery.start_soon(self.clob.run)
            nursery.start_soon(self._pump)
            if isinstance(self.world, LiveWorld):
                nursery.start_soon(self.world.run, self.clock)
            task_status.started(Urls(**urls))

    async def _pump(self) -> None:
        """Move the world when the next thing is due."""
        while True:
            now_ms = self.clock.now_ms()
            due_ms = self.advance(now_ms)
            soon_ms, late_ms = now_ms + PUMP_S * 1000, now_ms + PUMP_MOST_S * 1000
            self._moves_at_ms = max(soon_ms, min(late_ms, due_ms))
            await self.clock.sleep_until(self._moves_at_ms)

    def _move_in_time(self) -> None:
        """A request may have made something due before the pump's next move."""
        due_ms = self._next_due_ms()
        if self._nursery is not None and due_ms < self._moves_at_ms:
            self._moves_at_ms = due_ms
            self._nursery.start_soon(self._move_at, due_ms)

    async def _move_at(self, due_ms: int) -> None:
        await self.clock.sleep_until(due_ms)
        self.advance(self.clock.now_ms())

    def _next_due_ms(self) -> int:
        return self._first_due()[0]

    def _first_due(self) -> tuple[int, Moving | None]:
        """Which part has something to do first, and when."""
        soonest_ms, first = FAR_MS, None
        for part in self._moving:
            due_ms = part.next_due_ms()
            if due_ms is not None and due_ms < soonest_ms:
                soonest_ms, first = due_ms, part
        return soonest_ms, first

    def advance(self, now_ms: int) -> int:
        """Move everything due by now, in the order of due times, each act at its own. Returns when
        the next is due.
        """
        while True:
            soonest_ms, first = self._first_due()
            if first is None or soonest_ms > now_ms:
                break
            first.advance(soonest_ms)
        self.engine.advance(now_ms)
        return soonest_ms
