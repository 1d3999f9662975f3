"""One seed, lived through: the production bot and its exchange in virtual time, with faults.

Everything is what `make paper` runs – root nursery, scopes, clients, sockets, SDK, signals, tape –
on Trio's mock clock, a network in memory and a seeded scheduler; one seed is one sequence of bytes,
and its hash says so. The bot lives several lives: it is stopped or killed at drawn moments, or ends
itself when its disk fails, and is started again on the journal as it lay on the disk. The venue's
own books are the judge.
"""

from __future__ import annotations

import math
import os
import random
import shutil
import signal
import tempfile
from collections import Counter
from contextlib import suppress
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import attrs
import trio
from loguru import logger
from trio.testing import MockClock

from polybot.app import Bot
from polybot.clock import Clock
from polybot.config import BotParams, Config
from polybot.domain.halts import Halt
from polybot.exchange import invariants
from polybot.exchange.server import Exchange, Urls
from polybot.exchange.world import make_world
from polybot.execution.inventory import InventoryParams
from polybot.execution.params import OrderParams
from polybot.journal.tape import Event
from polybot.lab.agreement import differences
from polybot.lab.lockstep import lockstep_only
from polybot.lab.memory_net import OWNER, Network, memory_network
from polybot.lab.seeded import seeded_scheduler
from polybot.lab.simulation_case import Case, End, Life
from polybot.lab.simulation_clock import WrongClock
from polybot.lab.simulation_disk import intents_in, rearm
from polybot.lab.simulation_life import Process, put_together
from polybot.lab.simulation_rules import Rules
from polybot.lab.simulation_trace import Trace
from polybot.lab.simulation_troubles import Troubles
from polybot.lab.simulation_watch import CLOCK_RIGHT_MS, Violation, Watch
from polybot.lab.stage import MID_WINDOW_MS, Sniper, lab_config, until
from polybot.launch import EXIT_ORDERS_LIVE, EXIT_STORAGE, run_watched
from polybot.taping import taping

SPEED = 100.0  # anything but 1: no part may wait for the wall
INTENSITY = 0.02
SETTLED_S = 30.0  # after the last fault: from then on liveness is judged
STREAMS = ("user_ws", "prices_ws", "binance_ws", "market_ws")
CHECK_EVERY_S = 5.0
AGREE_S = 90.0  # reconciler, reconnection, and the chain's own time
DEAD_MAN_S = 18.0  # G11: no live order fifteen seconds after a kill; the sweep of the venue's own
STOP_S = 200.0  # an engine restart is waited for
# The second signal is another one: of two alike that are pending the kernel keeps one.
OTHER = {signal.SIGINT: signal.SIGTERM, signal.SIGTERM: signal.SIGINT}
LOOKED_S = 15.0  # an operator looks at a halt
AGAIN_S = 30.0  # until somebody starts a bot again that has ended itself
# Quick enough to meet every race, slow enough that a simulated hour is half a minute.
ORDERS = OrderParams(
    requote_min_ms=250, requote_max_ms=500, routine_every_ms=1000, hysteresis_ticks=2
)
INVENTORY = InventoryParams(merge_shares=10, merge_equity_percent=0)


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


def simulate(case: Case, tapes: Tapes | None = None) -> Outcome:
    """Live through a case, in this process and at once. `tapes` gets what each life of the bot
    heard and decided.
    """
    with seeded_scheduler(case.seed), lockstep_only():
        return trio.run(_simulate, case, tapes, clock=MockClock(autojump_threshold=0))


async def _simulate(case: Case, tapes: Tapes | None) -> Outcome:
    with memory_network() as network, tempfile.TemporaryDirectory() as folder:
        return await Simulation(case, network, Path(folder), tapes).run()


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
    rules: Rules = attrs.field(init=False)
    confirmed: dict[str, int] = attrs.field(factory=dict)  # as `WitnessedStore` has it
    _begun: float = 0.0
    _owner: str = "bot 0"
    _halt: trio.Event = attrs.field(factory=trio.Event)  # that nobody has re-armed yet
    _started: int = 0
    _withdrawals: int = 0  # cancel-alls on the wire since the last stop
    _deaf_since: float = math.inf
    _bot_now: Bot | None = None  # the one that is alive
    _clock_now: WrongClock | None = None  # of the last one that was
    _astray_since: float = math.inf

    async def run(self) -> Outcome:
        case = self.case
        self.config = attrs.evolve(
            lab_config(case.seed, SPEED), bot=BotParams(series=case.series),
            inventory=INVENTORY, orders=ORDERS,
        )  # fmt: skip
        world = make_world(
            "synthetic", seed=case.seed, start_ms=MID_WINDOW_MS, series=case.series,
            intensity=INTENSITY,
        )  # fmt: skip
        clock = Clock.starting_at(world.start_ms)
        self.exchange = Exchange(world, clock, case.seed, faults=case.faults)
        self._begun = trio.current_time()
        self.watch = Watch(
            self.exchange, self.config, lambda: self._deaf_since, self.now_s, self._known,
            self.confirmed, self.ahead_ms, lambda: self._astray_since,
        )  # fmt: skip
        self.exchange.engine.listeners.append(self.watch.hear)
        self.trace.on_sent = self.watch.sent
        self.network.on_send = self._on_wire
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

    async def _run(self) -> None:
        async with trio.open_nursery() as nursery:
            self.urls = await nursery.start(self.exchange.run)
            self._judge()
            for name, delay_s in self.case.delays:
                self.network.delays[self._port(name)] = delay_s
            nursery.start_soon(self._check)
            nursery.start_soon(self._troubles().run)
            nursery.start_soon(self._listen_in)
            rng = random.Random(f"sniper {self.case.seed}")
            sniper = Sniper.on(self.exchange, rng, share=self.case.sniped, within_s=5.0)
            nursery.start_soon(sniper.run)
            await self._lives(nursery)
            nursery.cancel_scope.cancel()

    def _on_wire(self, _port: int, data: bytes) -> None:
        self._withdrawals += bytes(data[:18]) == b"DELETE /cancel-all"

    def _troubles(self) -> Troubles:
        return Troubles(
            self.case, self.network, self._port, lambda: self._clock_now, self.now_s, self.counts
        )

    def _judge(self) -> None:
        ports = {name: self._port(name) for name in STREAMS}
        self.rules = Rules(
            self.exchange, self.network, ports, self._alive, self.watch.break_, self.now_s
        )
        self.trace.on_decided, self.trace.on_kept = self.rules.decided, self.rules.heard_by
        self.watch.on_placed, self.watch.on_sent = self.rules.placed, self.rules.sent

    def _alive(self) -> tuple[str, Bot] | None:
        return None if self._bot_now is None else (self._owner, self._bot_now)

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
            journal = await self._live(processes, life, journal, last=last)
            await trio.sleep(life.down_s)

    async def _live(
        self, processes: trio.Nursery, life: Life, journal: Path, *, last: bool
    ) -> Path:
        """One life, from its start to its end; returns the journal that the next one begins with.

        The tasks of a killed one still run to their ends, as nobody's: they reach nothing.
        """
        process = await self._keep_up(processes, journal, trio.current_time() + life.lasts_s)
        if last:
            self.exchange.faults.clear()
            with trio.move_on_after(self.case.quiet_s):
                await trio.sleep(SETTLED_S)
                self.rules.calm = True
                await process.ended.wait()
            await self._agree(process.bot)
        if life.end is End.STOP:
            await self._stop(process, life)
        else:
            self.counts["kill"] += 1
            self._kill(process)
        if process.killed:
            await self._dead_man()
        return process.heir

    async def _keep_up(self, processes: trio.Nursery, journal: Path, until_at: float) -> Process:
        """Start the bot, and again whenever it ends itself, until that time; the one that is up."""
        while True:
            process = await self._start(processes, journal)
            with trio.move_on_at(until_at):
                await first_of(process.ended, self._halt)
            if process.ended.is_set():
                self._ended_itself(process)
                await trio.sleep(AGAIN_S)
            elif self._halt.is_set():
                await self._over_the_halt(processes, process)
            else:
                return process

    async def _over_the_halt(self, processes: trio.Nursery, process: Process) -> None:
        """A halt stands until the operator has looked, also over a restart (S12): then trading is
        re-armed.
        """
        for last in (False, True):
            await trio.sleep(LOOKED_S)
            await self._stop(process, Life(0.0, End.STOP, 0.0))
            await trio.sleep(LOOKED_S)
            if not last:
                process = await self._start(processes, process.journal)
        rearm(process.journal, process.clock.now_ms())
        self._halt, self.rules.halted_at = trio.Event(), math.inf

    async def _start(self, processes: trio.Nursery, journal: Path) -> Process:
        self._owner = f"bot {self._started}"
        self._started += 1
        self.trace.note(f"{self._owner} starts")
        OWNER.set(self._owner)
        process = put_together(self, self._owner, journal)
        self._bot_now, self._clock_now = process.bot, process.clock
        processes.start_soon(self._run_process, process)
        return process

    async def _run_process(self, process: Process) -> None:
        leave = partial(self._left, process)
        try:
            with process.scope:
                async with process.http, taping(process.tape):
                    process.code = await run_watched(process.bot, screen=False, leave=leave)
        finally:
            process.store.close()
            process.ended.set()

    def _ended_itself(self, process: Process) -> None:
        """Only a disk that failed may end a bot: its exit code says so, and nothing rests."""
        bot, live = process.bot, self.watch.live()
        if bot.ctx.account.journal.failed is None:
            self.watch.break_("S19", f"ended itself: {bot.exit_reason}"[:500])
        elif process.code not in (EXIT_STORAGE, EXIT_ORDERS_LIVE):
            self.watch.break_("S15", f"exit code {process.code} after the journal failed")
        if live and bot.empty:
            self.watch.break_("S15", f"{len(live)} orders rest after an end that says none does")
        self.counts["ended by its disk"] += 1
        self._kept(process)

    async def _stop(self, process: Process, life: Life) -> None:
        """The operator's signals, as the kernel delivers them."""
        bot, ended = process.bot, process.ended
        self.counts["stop"] += 1
        self._withdrawals = 0
        _signal(life.signal)
        if life.again_s is not None:
            with trio.move_on_after(life.again_s):
                await ended.wait()
            self.counts["double signal"] += _signal(OTHER[life.signal])
        with trio.move_on_after(STOP_S) as patience:
            await ended.wait()
        if process.killed:
            return
        if patience.cancelled_caught:
            self.watch.break_("L4", "a stop that does not end")
        live = self.watch.live()
        if live and bot.empty:
            self.watch.break_("S15", f"{len(live)} orders rest after an end that says none does")
        elif live and not self.exchange.faults.struck:
            self.watch.break_("L4", f"{len(live)} orders rest after a stop without any fault")
        self._kept(process)

    def _left(self, process: Process, code: int) -> None:
        """The second signal: the process leaves where it stands, and withdrew everything before."""
        self.trace.note(f"{process.owner} leaves with {code}")
        if not self._withdrawals:
            self.watch.break_("G9", "left at a second signal before any cancel-all was sent")
        self._kill(process)

    def _kill(self, process: Process) -> None:
        """The process is no more: its connections end, and its files are as they lie."""
        self._bot_now = None
        process.killed = True
        self.network.kill(process.owner)
        self.trace.note(f"{process.owner} is killed")
        journal = process.journal
        process.heir = journal.with_name(f"journal-{self._started}")
        for tail in ("", "-wal"):
            part = journal.with_name(journal.name + tail)
            if part.exists():
                shutil.copyfile(part, process.heir.with_name(process.heir.name + tail))
        self._kept(process)
        process.scope.cancel()

    def _kept(self, process: Process) -> None:
        """Nothing that a file has confirmed is missing from it."""
        if lost := self.confirmed.keys() - intents_in(process.heir):
            self.watch.break_("S16", f"{len(lost)} confirmed intents are not in the journal")
        self.counts["tape ended by its disk"] += process.tape.failed is not None
        for what in process.tape_faults():
            self.watch.break_("tape", what)

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

    # --- what a bot says -------------------------------------------------------------------------

    def halted(self, name: str, why: str) -> None:
        """Nothing is lost here, so every halt is a false one but that for a foreign order."""
        if name != Halt.FOREIGN_ORDERS.value or not self.exchange.faults.struck["foreign_order"]:
            self.watch.break_("G25", f"halted: {name}: {why}")
        self.rules.halted_at = self.now_s()
        self._halt.set()

    def _complained(self, message: object) -> None:
        """A log line of a living bot with an exception in it is a bug of ours (S19)."""
        record = getattr(message, "record", {})
        error = record.get("exception")
        if error is not None and OWNER.get() not in self.network.dead:
            self.watch.break_("S19", repr(error.value)[:500])

    async def _agree(self, bot: Bot) -> None:
        """L2: in quiet times both books say the same."""
        with suppress(trio.TooSlowError):
            await until(lambda: not differences(bot, self.exchange), every_s=0.25, within_s=AGREE_S)
        for text in differences(bot, self.exchange):
            self.watch.break_("L2", text)
        for text in self.watch.legs_unlike(bot.ctx.account.ledger):
            self.watch.break_("S5", text)

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
            self._look_at_clock()
            self.watch.look()
            self.rules.look()
            await trio.sleep(0.25)

    def ahead_ms(self) -> float:
        """How far the bot's clock is ahead of the venue's."""
        clock = self._clock_now
        return clock.ahead_ms(self.exchange.clock) if clock is not None else 0.0

    def _look_at_clock(self) -> None:
        wrong = abs(self.ahead_ms()) > CLOCK_RIGHT_MS
        self._astray_since = min(self._astray_since, self.now_s()) if wrong else math.inf


async def first_of(*events: trio.Event) -> None:
    """Wait for any of them."""
    async with trio.open_nursery() as nursery:

        async def wait(event: trio.Event) -> None:
            await event.wait()
            nursery.cancel_scope.cancel()

        for event in events:
            nursery.start_soon(wait, event)


def _signal(number: signal.Signals) -> bool:
    """Send it to this process, where the bot listens to it: at its very end it does no more, and
    the process with all its bots would go.
    """
    heard = signal.getsignal(signal.SIGTERM) not in (signal.SIG_DFL, signal.SIG_IGN)
    if heard:
        os.kill(os.getpid(), number)
    return heard
