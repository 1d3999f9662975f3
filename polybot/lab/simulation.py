"""One seed, lived through: the production bot and its exchange in virtual time, with faults.

Everything is what `make paper` runs – root nursery, scopes, clients, sockets, SDK, signals, tape –
on Trio's mock clock, a network in memory and a seeded scheduler; one seed is one sequence of bytes,
and its hash says so. The bot lives several lives: it is stopped or killed at drawn moments, or ends
itself when its disk fails, and is started again on the journal as it lay on the disk. The venue's
own books are the judge.
"""

from __future__ import annotations

import gc
import itertools
import math
import random
import tempfile
from collections import Counter
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

import attrs
import trio
from loguru import logger

from polybot.app import Bot
from polybot.clock import Clock
from polybot.config import Config
from polybot.exchange import invariants
from polybot.exchange.calendar import SERIES
from polybot.exchange.crowd import SyntheticWorld
from polybot.exchange.model import Order
from polybot.exchange.server import Exchange, Urls
from polybot.journal.tape import Event
from polybot.lab.agreement import unexplained
from polybot.lab.alarms import light_sleep
from polybot.lab.light_loop import light_loop
from polybot.lab.lockstep import lockstep_only
from polybot.lab.memory_net import OWNER, Network, memory_network
from polybot.lab.seeded import no_collector, seeded_scheduler
from polybot.lab.simulation_bars import Bars
from polybot.lab.simulation_brought import Brought
from polybot.lab.simulation_case import Case, Edited
from polybot.lab.simulation_departures import CLOCK_RIGHT_MS, Departures
from polybot.lab.simulation_file import File
from polybot.lab.simulation_halts import Halts
from polybot.lab.simulation_life import Process
from polybot.lab.simulation_lives import Lives
from polybot.lab.simulation_reach import Reach
from polybot.lab.simulation_rules import Rules
from polybot.lab.simulation_settings import PATIENCE, usual_config, with_settings
from polybot.lab.simulation_stands import Stands
from polybot.lab.simulation_streams import LOOK_EVERY_S
from polybot.lab.simulation_strikes import mislead
from polybot.lab.simulation_terms import terms_of
from polybot.lab.simulation_trace import Trace
from polybot.lab.simulation_troubles import Troubles
from polybot.lab.simulation_watch import Violation, Watch
from polybot.lab.simulation_worth import Worth
from polybot.lab.stage import MID_WINDOW_MS, Sniper, until
from polybot.lab.standstill import Standstill
from polybot.lab.virtual_clock import virtual_clock

STREAMS = ("user_ws", "prices_ws", "binance_ws", "market_ws")
CHECK_EVERY_S = 5.0
OLDEST, LOOKS_A_SWEEP = 2, 48  # all generations of garbage every four minutes, the young each time
SIGNAL_S = 0.01
AGREE_S = 90.0  # reconciler, reconnection, and the chain's own time
NEWS_S = 10.0  # of a fill, for one that the wallet does not wait for


@attrs.frozen
class Outcome:
    """What became of a seed. `seen` counts what was reached; `hash` is of all that was heard.
    `quoted_s` is the time in which a market had an order of ours, summed over markets.
    """

    seed: int
    hash: str
    seconds: float
    violations: tuple[Violation, ...]
    seen: dict[str, int]
    struck: dict[str, int]
    last: tuple[str, ...] = ()
    quoted_s: float = 0.0


Tapes = list[list[Event]]


def simulate(case: Case, tapes: Tapes | None = None, *, until: str | None = None) -> Outcome:
    """Live through a case, in this process and at once. `tapes` gets what each life of the bot
    heard and decided. With `until` all ends where that rule is broken: who looks for it alone, as
    a test or the shrinking of a failure, need not live on.
    """
    clock = virtual_clock()
    with (
        seeded_scheduler(case.seed), lockstep_only(), light_sleep(), light_loop(clock),
        no_collector(),
    ):  # fmt: skip
        return trio.run(_simulate, case, tapes, until, clock=clock)


async def _simulate(case: Case, tapes: Tapes | None, until: str | None) -> Outcome:
    with memory_network() as network, tempfile.TemporaryDirectory() as folder:
        return await Simulation(case, network, Path(folder), tapes, until).run()


@attrs.define(eq=False)
class Simulation:
    case: Case
    network: Network
    folder: Path
    tapes: Tapes | None = None
    until: str | None = None
    trace: Trace = attrs.field(factory=Trace)
    counts: Counter[str] = attrs.field(factory=Counter)
    still: Standstill = attrs.field(init=False)
    exchange: Exchange = attrs.field(init=False)
    address: str = attrs.field(init=False)  # whose money the bot trades
    urls: Urls = attrs.field(init=False)
    config: Config = attrs.field(init=False)
    watch: Watch = attrs.field(init=False)
    departures: Departures = attrs.field(init=False)
    rules: Rules = attrs.field(init=False)
    file: File = attrs.field(init=False)
    bars: Bars = attrs.field(init=False)
    halts: Halts = attrs.field(init=False)
    worth: Worth = attrs.field(init=False)
    brought: Brought = attrs.field(init=False)
    confirmed: dict[str, int] = attrs.field(factory=dict)  # as `WitnessedStore` has it
    forgotten: set[str] = attrs.field(factory=set)  # as well
    _begun: float = 0.0
    lives: Lives = attrs.field(init=False)
    reach: Reach = attrs.field(init=False)
    _deaf_since: float = math.inf
    _astray: int = 0  # 1: the bot's clock is ahead by too much, -1: behind
    _astray_since: float = math.inf

    async def run(self) -> Outcome:
        case = self.case
        self.config = self._file(Edited(case.series, case.settings))
        start_ms = MID_WINDOW_MS + case.later_s * 1000 if case.date is None else case.date.begins_ms
        conditions, series = case.conditions, [SERIES[key] for key in case.series]
        world = SyntheticWorld(case.seed, start_ms, series, conditions.intensity, conditions.regime)
        clock = Clock.starting_at(world.start_ms)
        means = case.means
        self.exchange = Exchange(
            world, clock, case.seed, terms=terms_of(case.terms), faults=case.faults,
            funds=means.funds, kind=means.signature_type,
        )  # fmt: skip
        self.address = self.exchange.wallet_of_kind(means.signature_type)
        self._begun, self.still = trio.current_time(), Standstill(self.now_s)
        self.halts, self.worth = Halts(self), Worth(self.exchange, self.address)
        self.brought = Brought(self.exchange, self.address, self.now_s)
        self.watch = Watch(
            self.exchange, self.address, self.config, self.now_s, self._known, self.confirmed,
            self.until,
        )  # fmt: skip
        self.departures = Departures(
            self.exchange, self.watch.takes, lambda: self.config, self.now_s, self._blind_since,
            self.ahead_ms, lambda: self._astray_since, self.trying, self.watch.break_, self.still,
        )  # fmt: skip
        self.exchange.engine.listen(self.watch.hear, *self.watch.hears)
        self.exchange.engine.listen(self.brought.hear, *self.brought.hears)
        self.trace.on_sent = self.watch.sent
        self.lives = Lives(self)
        self.network.on_send = lambda _, data: self._on_wire(bytes(data))
        self.watch.on_first = self.trace.keep
        complaints = logger.add(self._complained, level="ERROR", filter="polybot")
        try:
            await self._run()
        finally:
            logger.remove(complaints)
        return Outcome(
            seed=case.seed,
            hash=self.trace.digest,
            seconds=self.now_s(),
            violations=tuple(self.watch.violations),
            seen=dict(self.counts + self.watch.seen),
            struck=dict(self.exchange.faults.struck),
            last=self.trace.kept,
            quoted_s=self.watch.quoted_s(),
        )

    def _file(self, edited: Edited) -> Config:
        usual = usual_config(self.case.seed, edited.series)
        patience = PATIENCE if self.case.far and self.case.patient else ()
        return with_settings(usual, (*patience, *edited.settings))

    def edit(self, edited: Edited) -> None:
        """Another file for the next start, and for those who judge by it."""
        self.config = self.watch.config = self._file(edited)
        self.watch.takes.grace_s = self.config.orders.unknown_grace_s

    async def _run(self) -> None:
        async with trio.open_nursery() as nursery:
            self.urls = await nursery.start(self.exchange.run)
            self._judge()
            for name, delay_s in self.case.delays:
                self.network.delays[self._port(name)] = delay_s
                self.network.connects[self._port(name)] = 2 * self.case.trips * delay_s
            if self.case.lag is not None:
                self.network.delays[self._port(self.case.lag[0])] = self.case.lag[1]
            nursery.start_soon(self._check)
            nursery.start_soon(self._troubles().run)
            nursery.start_soon(Stands(self).run)
            if self.case.strikes is not None:
                nursery.start_soon(mislead, self.exchange, self.case.strikes)
            nursery.start_soon(self._listen_in)
            nursery.start_soon(self._give_up, nursery.cancel_scope)
            rng = random.Random(f"sniper {self.case.seed}")
            sniper = Sniper.on(
                self.exchange, rng, share=self.case.sniped, within_s=5.0, address=self.address
            )
            nursery.start_soon(sniper.run)
            await self.lives.run(nursery)
            nursery.cancel_scope.cancel()

    async def _give_up(self, everything: trio.CancelScope) -> None:
        """The rule that is looked for has been broken. A signal on its way is heard first: nobody
        would be there to take it.
        """
        await self.watch.over.wait()
        await trio.sleep(SIGNAL_S)
        self.lives.abandon()
        everything.cancel()

    def _troubles(self) -> Troubles:
        return Troubles(
            self.case, self.network, self._port, lambda: self.lives.clock, self.now_s, self.counts
        )

    def _judge(self) -> None:
        ports, alive = {name: self._port(name) for name in STREAMS}, self.lives.alive
        watch = self.watch
        self.rules = Rules(
            self.exchange, self.address, self.network, ports, alive, watch.break_, self.now_s,
            watch.taken_back, self.still, usual=self.case.usual,
        )  # fmt: skip
        self.reach = Reach(self.exchange, self.address, alive, lambda: watch.unwanted, self.counts)
        refusals = self.rules.refusals
        self.exchange.engine.listen(refusals.hear, *refusals.hears)
        self.exchange.engine.listen(self.reach.hear, *self.reach.hears)
        self.trace.on_decided, self.trace.on_kept = self.rules.decided, self._kept
        self.watch.on_placed, self.watch.on_sent = self._placed, self._sent
        self.departures.leaving = self.rules.leaving
        self.file = File(lambda: self.config, self.rules.once)
        self.bars = Bars(self.now_s, self.ahead_ms, self.rules.once)

    def _placed(self, order: Order) -> None:
        self.rules.placed(order)
        self.file.placed(order)
        self.lives.placed(order)

    def _sent(self, stream: str, body: bytes) -> None:
        self.departures.sent(stream, body)
        self.rules.sent(stream, body)
        self.file.sent(stream, body)

    def _on_wire(self, data: bytes) -> None:
        self.lives.on_wire(data)
        self.departures.on_wire(data)

    def _kept(self, stream: str, body: bytes) -> None:
        self.rules.heard_by(stream, body)
        self.watch.takes.heard(stream, body)
        self.bars.heard(stream, body)
        self.reach.kept(stream, body)

    def now_s(self) -> float:
        return trio.current_time() - self._begun

    def _port(self, name: str) -> int:
        url: str = getattr(self.urls, name)
        port = urlsplit(url).port
        assert port is not None, "every service has a port of its own"
        return port

    def refuses(self, name: str, lately_s: float) -> bool:
        """Whether a service takes no connection now, or did not when lately asked for one."""
        return self.network.refuses(self._port(name), trio.current_time() - lately_s)

    def connects_s(self, name: str) -> float:
        """How long a connection to a service takes to come about."""
        return self.network.connects.get(self._port(name), 0.0)

    # --- what a bot says -------------------------------------------------------------------------

    def up(self) -> Bot | None:
        """The bot that is up, neither about to end nor at a standstill."""
        bot = None if self.still.whose else self.lives.bot
        return bot if bot is not None and bot.ready and not bot.ctx.stopping else None

    def _known(self) -> set[str] | None:
        """The orders that the living bot holds for possible. The one that tries the switch is at
        no desk, and rests until an engine that is away is back (brief seeds 4338, 4841).
        """
        if (bot := self.up()) is None:
            return None
        scopes = bot.supervisor.scopes.values()
        known = {tracked.id for scope in scopes for tracked in scope.orders.desk.table.open()}
        tries = self.trying() and self.lives.restarting()
        return known | bot.ctx.reconciler.adrift.doubtful if tries else known

    def _complained(self, message: object) -> None:
        """A log line of a living bot with an exception in it is a bug of ours (S19)."""
        record = getattr(message, "record", {})
        error = record.get("exception")
        if error is not None and OWNER.get() not in self.network.dead:
            self.watch.break_("S19", repr(error.value)[:500])

    async def agree(self, process: Process) -> None:
        """L2: in quiet times both books say the same, but for payments that nobody has asked for
        yet; not those of a bot that its disk has ended, or that waits for trades of a lost journal
        to begin its own, or for the engine.
        """
        bot, ended = process.bot, process.ended

        def off(*, patient: bool) -> list[str]:
            unknown = self.halts.unknown(patient=patient)
            found = unexplained(bot, self.exchange, self.address, unknown)
            lost = [one.cash for one in self.halts.forgotten.done()]
            ledger = bot.ctx.account.ledger
            return [*found, *self.brought.unlike(ledger, lost, patient=patient)]

        with suppress(trio.TooSlowError):
            agreed = lambda: ended.is_set() or not off(patient=False)  # noqa: E731
            await until(agreed, every_s=0.25, within_s=AGREE_S)
        waits = self.case.far or self.lives.restarting() or bool(self.rules.strange)
        if ended.is_set() or (waits and not bot.ready) or self.halts.filled_elsewhere(bot):
            return
        with suppress(trio.TooSlowError):  # a fill may be on its way just now (brief seed 11843)
            await until(lambda: not off(patient=True), every_s=0.25, within_s=NEWS_S)
        for text in off(patient=True):
            self.watch.break_("L2", text)
        for text in self.watch.legs_unlike(bot.ctx.account.ledger):
            self.watch.break_("S5", text)

    # --- beside it -------------------------------------------------------------------------------

    async def _check(self) -> None:
        """The exchange's own rules: a simulation on a broken ground proves nothing. And garbage,
        at moments that are the same in every run.
        """
        for number in itertools.count():
            invariants.check(self.exchange.engine)
            gc.collect(OLDEST if number % LOOKS_A_SWEEP == 0 else 1)
            await trio.sleep(CHECK_EVERY_S)

    async def _listen_in(self) -> None:
        """Since when our bot cannot hear its fills: no open, carrying wire to the user stream."""
        while True:
            self._deaf_since = self._blind_since()
            self._look_at_clock()
            self.worth.look()
            self.watch.look()
            self.rules.look()
            self._look_at_books()
            self.reach.look()
            await trio.sleep(LOOK_EVERY_S)

    def _look_at_books(self) -> None:
        if (bot := self.up()) is not None:
            self.file.look(bot)
            self.bars.look(bot)
            self.brought.look(bot)
            self.halts.forgotten.look(bot)

    def _blind_since(self) -> float:
        """By now: who hears again may send at once, however long ago the last look was."""
        wires = self.network.wires_to(self._port("user_ws"), self.lives.owner)
        hears = self._excused() or any(wire.mute_s <= LOOK_EVERY_S for wire in wires)
        return math.inf if hears else min(self._deaf_since, self.now_s())

    def trying(self) -> bool:
        """Whether our bot tries the venue's switch: it has asked for no stream yet, and wants
        nothing filled; and a live start has had its clock examined before (`preflight`).
        """
        dials = self.network.dials[self.lives.owner, self._port("user_ws")]
        return self.case.certify and not dials

    def _excused(self) -> bool:
        """Whether our bot need notice nothing now."""
        return self.trying() or bool(self.still.whose)

    def ahead_ms(self) -> float:
        """How far the bot's clock is ahead of the venue's."""
        clock = self.lives.clock
        return clock.ahead_ms(self.exchange.clock) if clock is not None else 0.0

    def _look_at_clock(self) -> None:
        """Since when the bot's clock has been ahead, or behind: one is noticed at once, the other
        when the venue is asked.
        """
        ahead_ms = self.ahead_ms()
        right = abs(ahead_ms) <= CLOCK_RIGHT_MS or self._excused()
        astray = 0 if right else 1 if ahead_ms > 0 else -1
        if astray != self._astray:
            self._astray, self._astray_since = astray, self.now_s() if astray else math.inf
