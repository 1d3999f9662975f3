"""The stage of the drills: one exchange and one bot on loopback sockets, with taps on the wire.

Everything is what `make paper` runs. A tap sees a request in the very step in which it passes, and
may hold it up; it changes nothing of the bot or of the exchange.
"""

from __future__ import annotations

import random
import tempfile
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import attrs
import httpx
import trio

from polybot.app import Bot
from polybot.clock import Clock
from polybot.composition import build
from polybot.config import BotParams, Config, JournalParams, LiveParams, PaperParams
from polybot.exchange.crowd_hand import Hand
from polybot.exchange.faults.plan import Plan
from polybot.exchange.model import SELL, Event, Order, OrderEvent, Traded
from polybot.exchange.net import Service
from polybot.exchange.request import Request, Response
from polybot.exchange.server import Exchange, Urls
from polybot.exchange.world import make_world
from polybot.execution.inventory import InventoryParams
from polybot.execution.params import OrderParams
from polybot.host import ask_exchange
from polybot.journal.store import Store
from polybot.launch import PAPER_START_MS, demo_site
from polybot.options import BotOptions
from polybot.pricing.params import PricingParams
from polybot.purse import Purse
from polybot.quoting.params import QuoteParams
from polybot.risk.limits import RiskParams
from polybot.venue.rest import http_client
from polybot.venue.secret import Credentials, Secret

SERIES = "btc-5m"
# Half a minute into the window that follows the hour: its strike is known, four minutes are left.
MID_WINDOW_MS = PAPER_START_MS + 120_000
PLACING = ("/order", "/orders")

Handler = Callable[[Request], Awaitable[Response]]


async def _pass(request: httpx.Request) -> None:
    pass


@attrs.define(eq=False)
class Taps:
    """What a drill does as requests pass: on the bot's side, and around the exchange's handler."""

    sending: Callable[[httpx.Request], Awaitable[None]] = _pass  # about to be written
    answered: Callable[[httpx.Request], Awaitable[None]] = _pass  # answered, nobody knows it yet
    around: Callable[[Request, Handler], Awaitable[Response]] | None = None
    relaying: Callable[[Request, Handler], Awaitable[Response]] | None = None  # at the relayer


@attrs.define(eq=False)
class Stage:
    """An exchange that is being served, and a bot that has not been started."""

    exchange: Exchange
    bot: Bot
    urls: Urls
    http: httpx.AsyncClient
    store: Store
    traded: trio.Event = attrs.field(factory=trio.Event)  # the bot's first order has been accepted

    @property
    def address(self) -> str:
        return self.exchange.demo_wallets.deposit

    def mine(self, event: Event) -> bool:
        """Whether an event of the engine is about the bot's wallet."""
        if isinstance(event, OrderEvent):
            return event.order.account == self.address
        if isinstance(event, Traded):
            return any(fill.order.account == self.address for fill in event.trade.makers)
        return False

    def hear(self, event: Event) -> None:
        if self.mine(event):
            self.traded.set()

    def heir(self) -> Bot:
        """The bot that is started next on the same wallet and journal."""
        config = self.bot.ctx.config
        return bot_before(self.exchange, self.urls, self.http, self.store, config)

    async def verdict(self) -> Verdict:
        """What the exchange's own books say of the bot, beside what the bot's say."""
        state = await ask_exchange(self.http, self.urls.admin, self.address)
        assert state is not None, "the exchange on the stage answers"
        return Verdict(
            live_orders=state["live_orders"],
            equity_exchange=state["equity"],
            equity_bot=self.bot.summary().equity_bot,
            proven_empty=self.bot.empty,
            orders=state["placed"],
            fills=state["fills"],
        )


@attrs.frozen
class Verdict:
    """How a bot left its account. Money in 10⁻⁶ dollars."""

    live_orders: int
    equity_exchange: int
    equity_bot: int | None  # None: stopped before it had read what it owns
    proven_empty: bool
    orders: int
    fills: int

    @property
    def agreed(self) -> bool:
        """Whether the books agree to the micro-dollar; none are needed before the first order."""
        if self.equity_bot is None:
            return self.orders == 0
        return self.equity_bot == self.equity_exchange

    @property
    def clean(self) -> bool:
        """Nothing rests, the bot knows it, and the books agree."""
        return self.live_orders == 0 and self.proven_empty and self.agreed


def lab_config(seed: int, speed: float) -> Config:
    """Defaults, but a volatility to quote with before any has been measured, and a journal that
    forgets within the lives of here what it has not to keep.
    """
    return Config(
        bot=BotParams(series=(SERIES,)),
        journal=JournalParams(keep_orders_h=0.05),
        quote=QuoteParams(),
        pricing=PricingParams(vol_prior_annual=0.45),
        risk=RiskParams(max_daily_loss_percent=100, max_drawdown_percent=100, undone_most=0),
        orders=OrderParams(),
        paper=PaperParams(seed=seed, speed=speed),
        live=LiveParams(),
    )


@asynccontextmanager
async def staged(
    *,
    seed: int,
    speed: float,
    intensity: float,
    taps: Taps,
    inventory: InventoryParams = InventoryParams(),
) -> AsyncGenerator[Stage]:
    """Serve an exchange and put a bot before it; the exchange ends with the block."""
    config = attrs.evolve(lab_config(seed, speed), inventory=inventory)
    with scratch_journal() as store:
        async with serving(seed=seed, intensity=intensity, taps=taps) as (exchange, urls, http):
            bot = bot_before(exchange, urls, http, store, config)
            stage = Stage(exchange, bot, urls, http, store)
            exchange.engine.listeners.append(stage.hear)
            yield stage


@asynccontextmanager
async def serving(
    *,
    seed: int,
    intensity: float,
    taps: Taps,
    series: tuple[str, ...] = (SERIES,),
    start_ms: int = MID_WINDOW_MS,
    faults: Plan = Plan(),
) -> AsyncGenerator[tuple[Exchange, Urls, httpx.AsyncClient]]:
    """Serve an exchange for whoever comes; it ends with the block."""
    world = make_world(
        "synthetic", seed=seed, start_ms=start_ms, series=series, intensity=intensity
    )
    exchange = Exchange(world, Clock.starting_at(world.start_ms), seed, faults=faults)
    _tap_exchange(exchange, taps)
    async with trio.open_nursery() as nursery, http_client() as http:
        _tap_client(http, taps)
        urls: Urls = await nursery.start(exchange.run)
        yield exchange, urls, http
        nursery.cancel_scope.cancel()


def bot_before(
    exchange: Exchange, urls: Urls, http: httpx.AsyncClient, store: Store, config: Config
) -> Bot:
    """A bot with this journal, put before a served exchange; it has not been started."""
    wallet, demo = exchange.wallet, exchange.demo_wallets
    return build(
        config,
        BotOptions(Path("config.toml")),
        exchange.clock.copy(),
        demo_site(urls),
        Secret(wallet.private_key),
        Credentials(
            wallet.address, wallet.api_key, Secret(wallet.api_secret), Secret(wallet.passphrase)
        ),
        Purse.deposit(demo.deposit, demo.relayer_api_key),
        http,
        store,
        world=exchange.world.name,
        speed=config.paper.speed,
    )


@contextmanager
def scratch_journal() -> Iterator[Store]:
    """A journal that nobody needs afterwards."""
    with tempfile.TemporaryDirectory() as folder:
        store = Store.open(Path(folder) / "journal", "drill")
        try:
            yield store
        finally:
            store.close()


def _tap_exchange(exchange: Exchange, taps: Taps) -> None:
    clob, chain = exchange.clob, exchange.chain
    clob.service_rest = _tapped(clob.service_rest, taps.around)
    chain.service_relayer = _tapped(chain.service_relayer, taps.relaying)


def _tapped(
    service: Service, around: Callable[[Request, Handler], Awaitable[Response]] | None
) -> Service:
    handle = service.http
    if around is None or handle is None:
        return service

    async def tapped(request: Request) -> Response:
        return await around(request, handle)

    return attrs.evolve(service, http=tapped)


def _tap_client(http: httpx.AsyncClient, taps: Taps) -> None:
    async def answered(response: httpx.Response) -> None:
        await taps.answered(response.request)

    http.event_hooks = {"request": [taps.sending], "response": [answered]}


async def until(true: Callable[[], bool], *, every_s: float, within_s: float) -> float:
    """Look again and again until it is true; the time at which it was. Raises TooSlowError."""
    with trio.fail_after(within_s):
        while not true():  # noqa: ASYNC110 - a drill looks from outside, nobody tells it
            await trio.sleep(every_s)
    return trio.current_time()


def places(request: httpx.Request) -> bool:
    """Whether a request of the bot places orders."""
    return request.method == "POST" and request.url.path in PLACING


@attrs.define(eq=False)
class Sniper:
    """Somebody who takes the bot's bids on sight: fills at the worst moments, and many of them.

    Takes `share` of its orders, each within `within_s` of its placement.
    """

    exchange: Exchange
    hand: Hand
    rng: random.Random
    share: float
    within_s: float
    address: str

    @classmethod
    def on(
        cls, exchange: Exchange, rng: random.Random, *, share: float, within_s: float,
        address: str | None = None,
    ) -> Sniper:  # fmt: skip
        """`address` None: the deposit wallet's."""
        address = address or exchange.demo_wallets.deposit
        return cls(exchange, Hand.make(exchange.engine, "sniper"), rng, share, within_s, address)

    async def run(self) -> None:
        """Lie in wait for every order of the bot's wallet, until cancelled."""
        address = self.address
        async with trio.open_nursery() as shots:

            def hear(event: Event) -> None:
                if not isinstance(event, OrderEvent) or event.order.account != address:
                    return
                if event.kind == "PLACEMENT" and self.rng.random() < self.share:
                    shots.start_soon(self._aim, event.order, self.rng.uniform(0, self.within_s))

            self.exchange.engine.listeners.append(hear)
            try:
                await trio.sleep_forever()
            finally:
                self.exchange.engine.listeners.remove(hear)

    async def _aim(self, order: Order, after_s: float) -> None:
        await trio.sleep(after_s)
        self.shoot(order)

    def shoot(self, order: Order) -> None:
        """Sell into every bid down to this order's price, if it still rests."""
        exchange, market = self.exchange, order.market
        now_ms = exchange.clock.now_ms()
        exchange.advance(now_ms)
        if order.remaining == 0:
            return
        if not exchange.engine.accounts.shares(self.hand.account, order.token):
            self.hand.stock_up(market, now_ms)
        bids, _ = exchange.engine.levels(order.token)
        shares = sum(size for price, size in bids if price >= order.price)
        if shares:
            self.hand.take(market, order.token, SELL, order.price, shares, now_ms, seen=order.price)
