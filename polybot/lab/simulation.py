"""One seed, lived through: the production bot and its exchange in virtual time, with faults.

Everything is what `make paper` runs – root nursery, scopes, clients, sockets, SDK – on Trio's mock
clock, a network in memory and a seeded scheduler; one seed is one sequence of bytes, and its hash
says so. The bot lives several lives: it is stopped or killed at drawn moments, and started again on
the journal as it lay on the disk. The venue's own books are the judge.
"""

from __future__ import annotations

import hashlib
import math
import random
import shutil
import tempfile
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

import attrs
import httpx
import trio

from polybot.app import Bot
from polybot.clock import Clock
from polybot.config import Config
from polybot.exchange import invariants
from polybot.exchange.server import Exchange, Urls
from polybot.exchange.world import make_world
from polybot.execution.inventory import InventoryParams
from polybot.execution.params import OrderParams
from polybot.health import leaves
from polybot.journal.recorder import CORE
from polybot.journal.store import Store
from polybot.journal.tape import Event, Kind
from polybot.lab.agreement import differences
from polybot.lab.lockstep import Lockstep, lockstep_only
from polybot.lab.memory_net import OWNER, Network, memory_network
from polybot.lab.seeded import seeded_scheduler
from polybot.lab.simulation_case import QUIET_S, Case, End, Harm, Life, Trouble
from polybot.lab.simulation_watch import Violation, Watch
from polybot.lab.stage import MID_WINDOW_MS, SERIES, Sniper, lab_config, until
from polybot.lab.virtual_clock import virtual_clock
from polybot.launch import build, demo_site
from polybot.options import BotOptions
from polybot.purse import Purse
from polybot.venue.relayer import SdkWay
from polybot.venue.secret import Credentials, Secret

SPEED = 100.0  # anything but 1: no part may wait for the wall
INTENSITY = 0.02
CHECK_EVERY_S = 5.0
AGREE_S = 90.0  # reconciler, reconnection, and the chain's own time
DEAD_MAN_S = 18.0  # G11: no live order fifteen seconds after a kill; the sweep of the venue's own
STOP_S = 200.0  # an engine restart is waited for
# Quick enough to meet every race, slow enough that a simulated hour is half a minute.
ORDERS = OrderParams(
    requote_min_ms=250, requote_max_ms=500, routine_every_ms=1000, hysteresis_ticks=2
)
INVENTORY = InventoryParams(merge_shares=10, merge_equity_percent=0)
LAST_KEPT = 50


@attrs.define(eq=False)
class Trace:
    """The hash of a run: every byte heard, decided and sent, and when. The last events are kept."""

    events: int = 0
    last: deque[tuple[float, str, str, bytes]] = attrs.field(
        factory=lambda: deque(maxlen=LAST_KEPT)
    )
    kept: tuple[str, ...] = ()
    tape: list[Event] | None = None  # of the life that is on, where it is wanted
    on_sent: Callable[[str, bytes], None] = lambda *_: None
    _hash: hashlib._Hash = attrs.field(factory=hashlib.sha256)

    on = True

    def heard(self, stream: str, body: bytes, at_ns: int) -> None:
        self._add("heard", stream, body)
        self._keep(at_ns, Kind.HEARD, stream, body)

    def sent(self, stream: str, body: bytes) -> None:
        self._add("sent", stream, body)
        self.on_sent(stream, body)

    def fed(self, body: bytes, at_ns: int) -> None:
        self._hash.update(b"%d " % at_ns + body)
        self._keep(at_ns, Kind.FED, CORE, body)

    def decided(self, stream: str, body: bytes, at_ns: int) -> None:
        self._hash.update(b"%d %s " % (at_ns, stream.encode()) + body)
        self._keep(at_ns, Kind.DECIDED, stream, body)

    def _keep(self, at_ns: int, kind: Kind, stream: str, body: bytes) -> None:
        if self.tape is not None:
            self.tape.append(Event(at_ns, kind, stream, body))

    def _add(self, kind: str, stream: str, body: bytes) -> None:
        at_s = trio.current_time()
        self.events += 1
        self._hash.update(b"%.9f %s %s " % (at_s, kind.encode(), stream.encode()) + body)
        self.last.append((at_s, kind, stream, body))

    def note(self, text: str) -> None:
        self._add("told", "simulation", text.encode())

    def keep(self) -> None:
        """The last events as they are now: what led to what has just been found."""
        self.kept = tuple(
            f"{at_s:.3f} {kind} {stream}: {body[:160].decode('utf-8', 'replace')}"
            for at_s, kind, stream, body in self.last
        )

    @property
    def digest(self) -> str:
        return self._hash.hexdigest()


@attrs.frozen
class Outcome:
    """What became of a seed. `seen` counts what was reached; `hash` is of all that was heard."""

    seed: int
    hash: str
    seconds: float
    violations: tuple[Violation, ...]
    seen: dict[str, int]
    struck: dict[str, int]
    last: tuple[str, ...] = ()


Tapes = list[list[Event]]


def simulate(case: Case, tapes: Tapes | None = None) -> Outcome:
    """Live through a case, in this process and at once. `tapes` gets what each life of the bot
    heard and decided.
    """
    with seeded_scheduler(case.seed), lockstep_only():
        return trio.run(_simulate, case, tapes, clock=virtual_clock())


async def _simulate(case: Case, tapes: Tapes | None) -> Outcome:
    with memory_network() as network, tempfile.TemporaryDirectory() as folder:
        return await Simulation(case, network, Path(folder), tapes).run()


@attrs.define(eq=False)
class Process:
    """A life of the bot as its operating system has it."""

    owner: str
    scope: trio.CancelScope = attrs.field(factory=trio.CancelScope)
    ended: trio.Event = attrs.field(factory=trio.Event)


@attrs.define(eq=False)
class Simulation:
    case: Case
    network: Network
    folder: Path
    tapes: Tapes | None = None
    trace: Trace = attrs.field(factory=Trace)
    counts: Counter[str] = attrs.field(factory=Counter)
    exchange: Exchange = attrs.field(init=False)
    urls: Urls = attrs.field(init=False)
    config: Config = attrs.field(init=False)
    watch: Watch = attrs.field(init=False)
    _begun: float = 0.0
    _owner: str = "bot 0"
    _deaf_since: float = math.inf
    _bot_now: Bot | None = None  # the one that is alive and has taken its wallet over

    async def run(self) -> Outcome:
        case = self.case
        self.config = attrs.evolve(lab_config(case.seed, SPEED), inventory=INVENTORY, orders=ORDERS)
        world = make_world(
            "synthetic", seed=case.seed, start_ms=MID_WINDOW_MS, series=(SERIES,),
            intensity=INTENSITY,
        )  # fmt: skip
        clock = Clock.starting_at(world.start_ms)
        self.exchange = Exchange(world, clock, case.seed, faults=case.plan)
        self._begun = trio.current_time()
        self.watch = Watch(
            self.exchange, self.config, lambda: self._deaf_since, self.now_s, self._known
        )
        self.exchange.engine.listeners.append(self.watch.hear)
        self.trace.on_sent = self.watch.sent
        self.watch.on_first = self.trace.keep
        async with trio.open_nursery() as nursery:
            self.urls = await nursery.start(self.exchange.run)
            for name, delay_s in case.delays:
                self.network.delays[self._port(name)] = delay_s
            nursery.start_soon(self._check)
            nursery.start_soon(self._trouble)
            nursery.start_soon(self._listen_in)
            rng = random.Random(f"sniper {case.seed}")
            sniper = Sniper.on(self.exchange, rng, share=case.sniped, within_s=5.0)
            nursery.start_soon(sniper.run)
            await self._lives(nursery)
            nursery.cancel_scope.cancel()
        return Outcome(
            seed=case.seed,
            hash=self.trace.digest,
            seconds=self.now_s(),
            violations=tuple(self.watch.violations),
            seen=dict(self.counts + self.watch.seen),
            struck=dict(self.exchange.faults.struck),
            last=self.trace.kept,
        )

    def now_s(self) -> float:
        return trio.current_time() - self._begun

    def _port(self, name: str) -> int:
        url: str = getattr(self.urls, name)
        port = urlsplit(url).port
        assert port is not None, "every service has a port of its own"
        return port

    # --- lives -----------------------------------------------------------------------------------

    async def _lives(self, processes: trio.Nursery) -> None:
        journal = self.folder / "journal-0"
        for number, life in enumerate(self.case.lives):
            last = number == len(self.case.lives) - 1
            self._owner = f"bot {number}"
            journal = await self._live(processes, life, journal, last=last)
            await trio.sleep(life.down_s)

    async def _live(
        self, processes: trio.Nursery, life: Life, journal: Path, *, last: bool
    ) -> Path:
        """One life, from its start to its end; returns the journal that the next one begins with.

        The tasks of a killed one still run to their ends, as nobody's: they reach nothing.
        """
        self.trace.note(f"{self._owner} starts")
        OWNER.set(self._owner)
        process = Process(self._owner)
        bot: Bot = await processes.start(self._run, process, journal)
        self._bot_now = bot
        with trio.move_on_after(life.lasts_s):
            await process.ended.wait()
        if last:
            self.exchange.faults.clear()
            with trio.move_on_after(QUIET_S):
                await process.ended.wait()
            await self._agree(bot)
        if life.end is End.STOP:
            await self._stop(bot, process.ended)
        else:
            self._bot_now = None
            journal = self._kill(journal)
            process.scope.cancel()
            await self._dead_man()
        return journal

    async def _run(
        self, process: Process, journal: Path, task_status: trio.TaskStatus[Bot]
    ) -> None:
        store = Store.open(journal, "simulation")
        try:
            async with self._client() as http:
                bot = self._bot(store, http)
                task_status.started(bot)
                with process.scope:
                    await bot.run()
        except* Exception as group:  # noqa: BLE001 - whatever it is, it is the finding
            if process.owner not in self.network.dead:
                self.watch.break_("S19", ", ".join(map(repr, leaves(group)))[:500])
        finally:
            store.close()
            process.ended.set()

    async def _stop(self, bot: Bot, ended: trio.Event) -> None:
        self.counts["stop"] += 1
        bot.stop("the simulation says so")
        with trio.move_on_after(STOP_S) as patience:
            await ended.wait()
        if patience.cancelled_caught:
            self.watch.break_("L4", "a stop that does not end")
        live = self.watch.live()
        if live and bot.empty:
            self.watch.break_("S15", f"{len(live)} orders rest after an end that says none does")
        elif live and not self.exchange.faults.struck:
            self.watch.break_("L4", f"{len(live)} orders rest after a stop without any fault")

    def _kill(self, journal: Path) -> Path:
        """The process is no more: its connections end, and its files are as they lie."""
        self.counts["kill"] += 1
        self.network.kill(self._owner)
        self.trace.note(f"{self._owner} is killed")
        heir = journal.with_name(f"journal-{self.counts['kill']}")
        for tail in ("", "-wal"):
            part = journal.with_name(journal.name + tail)
            if part.exists():
                shutil.copyfile(part, heir.with_name(heir.name + tail))
        return heir

    async def _dead_man(self) -> None:
        """S15, G11: the venue's own switch has cancelled what a dead bot left."""
        await trio.sleep(DEAD_MAN_S)
        if live := self.watch.live():
            self.watch.break_("G11", f"{len(live)} orders rest {DEAD_MAN_S:g} s after a kill")

    def _known(self) -> set[str] | None:
        """The orders that the living bot holds for possible."""
        bot = self._bot_now
        if bot is None or not bot.ready or bot.ctx.stopping:
            return None
        scopes = bot.supervisor.scopes.values()
        return {tracked.id for scope in scopes for tracked in scope.orders.desk.table.open()}

    # --- the bot ---------------------------------------------------------------------------------

    @asynccontextmanager
    async def _client(self) -> AsyncIterator[httpx.AsyncClient]:
        """As `http_client`, but no connection expires by the wall's clock."""
        limits = httpx.Limits(max_connections=40, max_keepalive_connections=40)
        limits.keepalive_expiry = None
        async with httpx.AsyncClient(
            limits=limits,
            timeout=None,  # noqa: S113 - each call has a total of its own
            trust_env=False,
        ) as client:
            yield client

    def _bot(self, store: Store, http: httpx.AsyncClient) -> Bot:
        if self.tapes is not None:
            self.trace.tape = []
            self.tapes.append(self.trace.tape)
        wallet, demo = self.exchange.wallet, self.exchange.demo_wallets
        secret, phrase = Secret(wallet.api_secret), Secret(wallet.passphrase)
        bot = build(
            self.config,
            BotOptions(Path("config.toml")),
            self.exchange.clock,
            demo_site(self.urls),
            Secret(wallet.private_key),
            Credentials(wallet.address, wallet.api_key, secret, phrase),
            Purse.deposit(demo.deposit, demo.relayer_api_key),
            http,
            store,
            world="simulation",
            speed=SPEED,
            tape=self.trace,
        )
        way = bot.inventory.way
        assert isinstance(way, SdkWay)
        way.run_sync = Lockstep(http).run_sync
        bot.ctx.health.on_halt.append(self._halted)
        return bot

    def _halted(self, name: str, why: str) -> None:
        """Nobody else trades on this wallet, and nothing is lost: every halt is a false one."""
        self.watch.break_("G25", f"halted: {name}: {why}")

    async def _agree(self, bot: Bot) -> None:
        """L2: in quiet times both books say the same."""
        with suppress(trio.TooSlowError):
            await until(lambda: not differences(bot, self.exchange), every_s=0.25, within_s=AGREE_S)
        for text in differences(bot, self.exchange):
            self.watch.break_("L2", text)
        bot.stop("the simulation ends")

    # --- beside it -------------------------------------------------------------------------------

    async def _check(self) -> None:
        """The exchange's own rules: a simulation on a broken ground proves nothing."""
        while True:
            invariants.check(self.exchange.engine)
            await trio.sleep(CHECK_EVERY_S)

    async def _listen_in(self) -> None:
        """Since when our bot cannot hear its fills: no open, carrying wire to the user stream."""
        port = self._port("user_ws")
        while True:
            wires = self.network.wires_to(port, self._owner)
            hears = any(not wire.down.held for wire in wires)
            self._deaf_since = math.inf if hears else min(self._deaf_since, self.now_s())
            self.watch.look()
            await trio.sleep(0.25)

    async def _trouble(self) -> None:
        async with trio.open_nursery() as nursery:
            for trouble in self.case.troubles:
                await trio.sleep(max(0.0, trouble.at_s - self.now_s()))
                nursery.start_soon(self._harm, trouble)

    async def _harm(self, trouble: Trouble) -> None:
        self.counts[f"link {trouble.harm.value}"] += 1
        port = self._port(trouble.port)
        wires = self.network.wires_to(port)
        if trouble.harm is Harm.HELD:
            for wire in wires:
                wire.hold(held=True)
            await trio.sleep(trouble.for_s)
            for wire in wires:
                wire.hold(held=False)
            return
        for wire in wires:
            wire.cut()
        if trouble.harm is Harm.REFUSED:
            self.network.refused.add(port)
            await trio.sleep(trouble.for_s)
            self.network.refused.discard(port)
