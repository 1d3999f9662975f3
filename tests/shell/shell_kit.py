"""A scene: the production graph on one venue that can be bent, with real sockets on a fast clock.

The bot is put together by `composition.build` and run by `launch.run_watched`, as `make paper` does
it. Tests wait for conditions on the venue's clock, never for a time to have passed on the wall.
"""

from __future__ import annotations

import tempfile
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import attrs
import httpx
import trio
from venue_bent import Venue

from polybot.app import Bot
from polybot.clock import Clock
from polybot.composition import build
from polybot.config import BotParams, Config, JournalParams, LiveParams, PaperParams
from polybot.domain.orders import EDGE_S
from polybot.exchange.model import Market, Order
from polybot.exchange.server import Urls
from polybot.exchange.terms import Terms
from polybot.exchange.world import make_world
from polybot.execution.inventory import InventoryParams
from polybot.execution.lifecycle import State
from polybot.execution.params import OrderParams
from polybot.host import ask_exchange
from polybot.journal.recorder import Recorder
from polybot.journal.store import Store
from polybot.launch import PAPER_START_MS, demo_site, judged, run_watched
from polybot.options import BotOptions
from polybot.patient_clock import ROUNDED_S, PatientClock
from polybot.pricing.params import PricingParams
from polybot.purse import Purse
from polybot.quoting.params import QuoteParams
from polybot.risk.limits import RiskParams
from polybot.summary import Summary
from polybot.taping import tape_of, taping
from polybot.venue.rest import http_client
from polybot.venue.secret import Credentials, Secret
from polybot.venue.tap import NOBODY, Nobody

RATE = 100.0
OWNER = "scene"
SERIES = "btc-5m"
SEED = 1
INTENSITY = 0.02  # of the crowd: there, and no busier than a test needs
HOUR_MS = PAPER_START_MS + 90_000  # a window of the series begins here
LATE_MS = HOUR_MS + 180_000  # its end is near, and an average can be told for a minute before it
CUTOFF_S = 10.0
HIT_EVERY_MS = 500
QUIET_MS = 2_000
POLL_S = 0.1
WITHIN_S = 60.0  # of venue time, for anything a test waits for


def shell_config(series: str = SERIES, **quote: float) -> Config:
    """Defaults, but a volatility to quote with before any has been measured, and late cutoffs."""
    late = {"stop_twap_s": 20.0, "cutoff_twap_s": CUTOFF_S, "stop_move": 0.5}
    return Config(
        bot=BotParams(series=(series,)),
        quote=QuoteParams(**(late | quote)),  # type: ignore[arg-type]  # all are numbers
        pricing=PricingParams(vol_prior_annual=0.45),
        risk=RiskParams(max_daily_loss_percent=100, max_drawdown_percent=100),
        orders=OrderParams(),
        paper=PaperParams(seed=SEED, speed=RATE),
        live=LiveParams(),
        inventory=InventoryParams(merge_equity_percent=0),  # twenty pairs are enough
    )


class SceneClock(PatientClock):
    """It waits for threads as well: a live run's journal, which is written in one, would have been
    away for two seconds of the venue's with every twentieth of the machine's. Not for those that
    are left alone when their caller goes: they may themselves wait for the venue.
    """

    def __init__(self, rate: float) -> None:
        super().__init__(rate)
        self._working = 0

    def waiting(self, run_sync: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        async def run(*args: Any, **how: Any) -> Any:
            held = not how.get("abandon_on_cancel", False)
            self._working += held
            try:
                return await run_sync(*args, **how)
            finally:
                self._working -= held

        return run

    def deadline_to_sleep_time(self, deadline: float) -> float:
        if not self._working:
            return super().deadline_to_sleep_time(deadline)
        wait_s = (deadline - self.current_time()) / self.rate
        self._may_pass = 0.0
        return max(wait_s, ROUNDED_S)  # the thread's end wakes Trio


@attrs.define(eq=False)
class Scene:
    """One venue, one bot, and what became of them."""

    venue: Venue
    bot: Bot
    urls: Urls
    http: httpx.AsyncClient
    journal: Path
    code: int | None = None
    summary: Summary | None = None
    ended: trio.Event = attrs.field(factory=trio.Event)
    _again_ms: int = attrs.field(default=0, init=False)  # when our bids may be hit again

    async def run(self) -> None:
        """Run the bot to its end, then let the venue have its word."""
        self.code = await run_watched(self.bot)
        verdict = await ask_exchange(self.http, self.urls.admin, self.venue.account)
        self.summary = judged(self.bot.summary(), verdict)
        self.ended.set()

    async def until(
        self, condition: Callable[[], object], what: str, within_s: float = WITHIN_S
    ) -> None:
        """Look every tenth of a second of the venue until it holds; fail after `within_s`."""
        for _ in range(int(within_s / POLL_S)):
            if condition():
                return
            await trio.sleep(POLL_S)
        raise AssertionError(f"within {within_s:g} s: {what}; {self.state()}")

    async def end(self, reason: str = "test") -> Summary:
        """Stop the bot and wait until it has ended."""
        self.bot.stop(reason)
        return await self.ending()

    @property
    def waits_for_late(self) -> bool:
        """Whether it has told that orders without an answer may come to rest yet."""
        return any("may come to rest yet" in event.text for event in self.bot.ctx.events)

    async def ending(self, within_s: float = WITHIN_S) -> Summary:
        """The edge's time more where orders got no answer, for as long are they waited for: eleven
        tests were within a few seconds of the same sixty, on which side chance decided.
        """
        await self.until(
            lambda: self.ended.is_set() or self.waits_for_late, "the bot ends, or waits", within_s
        )
        await self.until(self.ended.is_set, "the bot ends", within_s + EDGE_S)
        assert self.summary is not None
        return self.summary

    def state(self) -> str:
        """For the message of a test that waited in vain."""
        ctx, scopes = self.bot.ctx, self.bot.supervisor.scopes
        reasons = [
            (slug, scope.quote.quoter.decision.reasons[:1]) for slug, scope in scopes.items()
        ]
        troubles = (ctx.health.troubles, dict(ctx.health.halts), dict(ctx.records.faults))
        return f"{troubles} {reasons} {[event.text for event in ctx.events]}"

    # --- what tests ask for again and again -------------------------------------------------------

    @property
    def gate(self) -> str | None:
        """Why no order may leave, None while the gate is open."""
        return self.bot.ctx.admission.closed_because

    async def quoting(self) -> None:
        """Wait until the bot has bids on both outcomes."""
        await self.until(lambda: len({o.token for o in self.venue.live}) == 2, "two-sided quotes")

    async def answered(self) -> None:
        """Wait until no order of the window under way is on its way, and some rest."""
        table = self.bot.supervisor.scopes[self.market.slug].orders.desk.table
        await self.until(
            lambda: {one.state for one in table.open()} == {State.LIVE}, "none on its way"
        )

    async def requoting(self, within_s: float = WITHIN_S) -> None:
        """Wait until the bot has placed something from now on, and the venue shows it."""
        after = len(self.venue.seen)
        await self.until(lambda: self.venue.placed(after=after), "a new order", within_s)

    async def withdrawn(self, within_s: float = WITHIN_S) -> None:
        """Wait until no quote of ours is left, and none has come for a while: between a cancel and
        its replacement there is none either.
        """

        def gone() -> bool:
            latest = max((event.at_ms for event in self.venue.placed()), default=0)
            return not self.venue.live and self.venue.clock.now_ms() > latest + QUIET_MS

        await self.until(gone, "no quote of ours left", within_s)

    async def idle(self) -> None:
        """Nobody trades from now on, the bot neither: for a test that waits for money or for time.
        Four fifths of what a second of a scene costs are quotes and the crowd.
        """
        self.venue.crowd.hushed = True
        self.bot.ctx.health.bad("test", "idle")
        await self.until(lambda: not self.bot.supervisor.scopes, "no window is quoted")

    def wake(self) -> None:
        """End the idling."""
        self.venue.crowd.hushed = False
        self.bot.ctx.health.good("test")

    async def filled(self, more: int = 1) -> None:
        """Let somebody hit our bids until they have filled so many times more."""
        wanted, again_ms = self.venue.fills + more, 0

        def hit() -> bool:
            # A taker is held a moment before it trades: who hits again at once hits two bids.
            nonlocal again_ms
            now_ms = self.venue.clock.now_ms()
            if self.venue.fills < wanted and now_ms >= again_ms:
                for order in self.venue.live[:1]:
                    self.venue.hit(order)
                    again_ms = now_ms + HIT_EVERY_MS
            return self.venue.fills >= wanted

        await self.until(hit, f"{more} fills")

    def hit(self) -> None:
        """Somebody hits all our bids; looked at more often, not every time (see `filled`)."""
        now_ms = self.venue.clock.now_ms()
        if now_ms >= self._again_ms:
            self._again_ms = now_ms + HIT_EVERY_MS
            for order in self.venue.live:
                self.venue.hit(order)

    @property
    def market(self) -> Market:
        """The window under way."""
        now_ms = self.venue.clock.now_ms()
        markets = self.venue.lifecycle.by_slug.values()
        return next(m for m in markets if m.start_ms <= now_ms < m.end_ms)

    @property
    def best(self) -> Order:
        return max(self.venue.live, key=lambda order: order.price)


@asynccontextmanager
async def scene(
    *,
    at_ms: int = HOUR_MS - 5_000,
    config: Config | None = None,
    run_ms: int | None = None,
    seed: int = SEED,
    terms: Terms = Terms(),
    kind: int = 3,
    taped: bool = False,
) -> AsyncGenerator[Scene]:
    """Serve a venue and put a bot before it that has not been started."""
    config = config or shell_config()
    world = make_world(
        "synthetic", seed=seed, start_ms=at_ms, series=config.bot.series, intensity=INTENSITY
    )
    clock = Clock.starting_at(at_ms)
    venue = Venue(world, clock, seed, terms=terms, kind=kind)
    async with trio.open_nursery() as nursery, http_client() as http:
        urls: Urls = await nursery.start(venue.run)
        with tempfile.TemporaryDirectory() as folder:
            journal = Path(folder) / "journal"
            store = Store.open(journal, OWNER)
            tape: Recorder | Nobody = NOBODY
            if taped:
                config = attrs.evolve(config, journal=JournalParams(folder))
                tape = tape_of(config, clock, wallet=venue.account, speed=RATE)
            async with taping(tape):
                bot = put_together(venue, urls, http, config, run_ms, store, tape)
                yield Scene(venue, bot, urls, http, journal)
            bot.ctx.account.journal.store.close()
            nursery.cancel_scope.cancel()
    assert not venue.errors, "the exchange itself stayed sound"


def put_together(
    venue: Venue,
    urls: Urls,
    http: httpx.AsyncClient,
    config: Config,
    run_ms: int | None,
    store: Store,
    tape: Recorder | Nobody = NOBODY,
) -> Bot:
    wallet = venue.wallet
    return build(
        config,
        BotOptions(Path("config.toml"), run_ms=run_ms),
        venue.clock,
        demo_site(urls),
        Secret(wallet.private_key),
        Credentials(
            wallet.address, wallet.api_key, Secret(wallet.api_secret), Secret(wallet.passphrase)
        ),
        purse_of(venue),
        http,
        store,
        world=venue.world.name,
        speed=RATE,
        tape=tape,
    )


def purse_of(venue: Venue) -> Purse:
    """Our wallet there; a plain one pays for its own transactions and needs no relayer."""
    if venue.kind == 0:
        return Purse()
    return Purse(venue.account, venue.kind, Secret(venue.demo_wallets.relayer_api_key))


@asynccontextmanager
async def playing(
    *,
    at_ms: int = HOUR_MS - 5_000,
    config: Config | None = None,
    run_ms: int | None = None,
    seed: int = SEED,
    terms: Terms = Terms(),
    kind: int = 3,
    taped: bool = False,
) -> AsyncGenerator[Scene]:
    """A scene whose bot runs and quotes; at the end of the block it is stopped if it still runs."""
    staged = scene(
        at_ms=at_ms, config=config, run_ms=run_ms, seed=seed, terms=terms, kind=kind, taped=taped
    )
    async with staged as it, trio.open_nursery() as nursery:
        nursery.start_soon(it.run)
        await it.quoting()
        yield it
        if not it.ended.is_set():
            await it.end()


def clean(summary: Summary) -> None:
    """Nothing rests, and both books agree to the micro-dollar."""
    assert summary.live_orders_at_exit == 0
    assert summary.equity_bot == summary.equity_exchange
