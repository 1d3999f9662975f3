"""The lives of a simulated bot, one after the other: started, stopped by signals, killed, ended by
its disk or by a halt, and started again on what it has left.
"""

from __future__ import annotations

import shutil
import signal
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import attrs
import trio

from polybot.app import Bot
from polybot.exchange.model import Order
from polybot.exchange.modes import ANSWERS, Call, Mode
from polybot.journal.spare import SPARE
from polybot.lab.memory_net import OWNER
from polybot.lab.simulation_case import End, Life, Where
from polybot.lab.simulation_clock import WrongClock
from polybot.lab.simulation_disk import intents_in, rearm
from polybot.lab.simulation_life import Process, put_together
from polybot.lab.simulation_limits import SUBMITTING
from polybot.lab.simulation_money import redeem_by_hand, send, take_out
from polybot.lab.simulation_reach import (
    EDITED,
    EMPTIED,
    JOURNAL_LOST,
    SENT,
    TWICE,
    UNTRIED,
    WRITTEN,
)
from polybot.lab.simulation_stop_now import OPERATOR, empty, signalled
from polybot.lab.simulation_watch import name
from polybot.lab.stage import until
from polybot.lab.standstill import PROCESS
from polybot.launch import EXIT_ORDERS_LIVE, EXIT_STORAGE, run_watched
from polybot.restart import UNSETTLED
from polybot.signals import LEAVE_S
from polybot.taping import taping

if TYPE_CHECKING:
    from polybot.lab.simulation import Simulation

COULD_NOT = ("could not be tried", "takes no heartbeat", "no window to try")  # the switch, in words
DID_NOT = "did not cancel an order"
LAPSE_IGNORED = "heartbeat_lapse_ignored"  # the fault of a venue whose switch does nothing
RESTARTED = "engine_restarted"  # an engine that is away when a lapse comes has missed it
SETTLED_S = 30.0  # after the last fault: from then on liveness is judged
DEAD_MAN_S = 18.0  # G11: no live order fifteen seconds after a kill; the sweep of the venue's own
LAST_TRY_S = 0.2  # the longest pause between two within the patience of a second signal
STOP_S = 200.0  # an engine restart is waited for
LOOKED_S = 15.0  # an operator looks at a halt
GRANTED_S = 600.0  # an approval that is missing is given back by then
AIMED_S = 30.0  # how long a death waits for its moment
# The second signal is another one: of two alike that are pending the kernel keeps one.
OTHER = {signal.SIGINT: signal.SIGTERM, signal.SIGTERM: signal.SIGINT}
AGAIN_S = 30.0  # until somebody starts a bot again that has ended itself


@attrs.define(eq=False)
class Lives:
    """`bot` is the one that is alive, `owner` and `clock` are of the last one that was; `halt` is
    set by one that nobody has re-armed yet.
    """

    sim: Simulation
    owner: str = "bot 0"
    bot: Bot | None = None
    clock: WrongClock | None = None
    halt: trio.Event = attrs.field(factory=trio.Event)
    _started: int = 0
    _withdrawals: int = 0  # cancel-alls on the wire since the last stop
    _doomed: Process | None = None  # to be killed with the next order that it sends
    _newest: Process | None = None
    _emptied: bool = False  # an operator has been told that nothing rests, nor can come
    # When the last bot started: how often the switch had done nothing, the engine been away.
    _ignored: int = 0
    _away: int = 0

    def alive(self) -> tuple[str, Bot] | None:
        return None if self.bot is None else (self.owner, self.bot)

    def on_wire(self, data: bytes) -> None:
        """What is about to be put on a wire, and will arrive whatever becomes of us."""
        ours = OWNER.get() != OPERATOR
        self._withdrawals += ours and data[:18] == b"DELETE /cancel-all"
        if data.startswith(SUBMITTING):
            self.sim.rules.limits.submitted()
        if self._doomed is not None and b'"salt"' in data:
            self._die(self._doomed, SENT)

    def placed(self, order: Order) -> None:
        """S15: nothing of ours comes to rest after an end that says that nothing does."""
        last = self._newest
        ended = last is not None and last.ended.is_set() and last.bot.empty and not last.killed
        if ended or self._emptied:
            what = f"{name(order)} came after an end that says none rests"
            self.sim.watch.break_("S15", what)

    async def run(self, processes: trio.Nursery) -> None:
        processes.start_soon(send, self.sim)
        journal = self.sim.folder / "journal-0"
        for number, life in enumerate(self.sim.case.lives):
            last = number == len(self.sim.case.lives) - 1
            if life.edited is not None:
                self.sim.counts[EDITED] += 1
                self.sim.edit(life.edited)
            journal = await self._live(processes, life, journal, last=last)
            if life.lost:
                journal = self._lose(journal)
            await trio.sleep(life.down_s if life.soon_s is None else life.soon_s)
            if life.by_hand:
                redeem_by_hand(self.sim)
                take_out(self.sim, life.taken)

    def _lose(self, journal: Path) -> Path:
        """The next one begins with what the venue shows; what it finds strange it leaves alone. A
        halt was in the journal, and is gone with it.
        """
        self.sim.forgotten |= self.sim.confirmed.keys()  # of which some may be on their way yet
        self.sim.brought.lost()
        if self._newest is not None:
            self.sim.halts.forgotten.lose(self._newest.bot)
        self.halt = trio.Event()
        self.sim.rules.rearmed()
        self.sim.rules.strange = self.sim.watch.forget()
        self.sim.counts[JOURNAL_LOST] += 1
        return journal.with_name(f"{journal.name}-lost")

    async def _live(
        self, processes: trio.Nursery, life: Life, journal: Path, *, last: bool
    ) -> Path:
        """One life, from its start to its end; returns the journal that the next one begins with.

        The tasks of a killed one still run to their ends, as nobody's: they reach nothing.
        """
        process = await self._keep_up(processes, journal, trio.current_time() + life.ends_s)
        if last:
            self.sim.exchange.faults.clear()
            with trio.move_on_after(self.sim.case.quiet_s):
                await trio.sleep(SETTLED_S)
                self.sim.rules.calm = True
                await process.ended.wait()
            await self.sim.agree(process)
        if self.sim.watch.over.is_set():
            await trio.sleep_forever()  # nothing more is wanted, no signal either
        if process.ended.is_set():
            self._ended_itself(process)
        elif life.end is End.KILL:
            await self._end(process, life.where if life.haste_s is None else Where.ANYWHERE)
        elif not life.emptied:
            await self._stop(process, life)
        if life.emptied:
            await self._empty(process)
        if process.killed and life.soon_s is None:
            await self._dead_man()
        return process.heir

    async def _keep_up(self, processes: trio.Nursery, journal: Path, until_at: float) -> Process:
        """Start the bot, and again whenever it ends itself, until that time; the one that is up."""
        while True:
            process = await self._start(processes, journal)
            with trio.move_on_at(until_at):
                await first_of(process.ended, self.halt)
            if process.ended.is_set():
                self._ended_itself(process)
                await trio.sleep(AGAIN_S)
            elif self.halt.is_set():
                await self._over_the_halt(processes, process)
            else:
                return process

    async def _over_the_halt(self, processes: trio.Nursery, process: Process) -> None:
        """A halt stands until the operator has looked, also over a restart (S12): then, with the
        approvals in place, trading is re-armed.
        """
        for last in (False, True):
            await trio.sleep(LOOKED_S)
            await self._stop(process, Life(0.0, End.STOP, 0.0))
            await trio.sleep(LOOKED_S)
            if not last:
                process = await self._start(processes, process.journal)
        granted = lambda: not self.sim.rules.approvals.gone  # noqa: E731
        await until(granted, every_s=1.0, within_s=GRANTED_S)
        rearm(process.journal, process.clock.now_ms())
        self.halt = trio.Event()
        self.sim.rules.rearmed()

    async def _start(self, processes: trio.Nursery, journal: Path) -> Process:
        self.owner = f"bot {self._started}"
        self._started += 1
        self._emptied = False
        self.sim.trace.note(f"{self.owner} starts")
        OWNER.set(self.owner)
        process = put_together(self.sim, self.owner, journal)
        self.bot, self.clock, self._newest = process.bot, process.clock, process
        struck = self.sim.exchange.faults.struck
        self._ignored, self._away = struck[LAPSE_IGNORED], struck[RESTARTED]
        processes.start_soon(self._run_process, process)
        return process

    async def _run_process(self, process: Process) -> None:
        PROCESS.set(process.owner)
        leave = partial(self._left, process)
        try:
            with process.scope:
                async with process.http, taping(process.tape):
                    process.code = await run_watched(process.bot, screen=False, leave=leave)
        finally:
            process.store.close()
            process.ended.set()

    def _ended_itself(self, process: Process) -> None:
        """Only a disk that failed may end a bot: its exit code says so, and nothing rests; or what
        a lost journal has left, if it does not settle; or a switch that could not be tried.
        """
        bot, live = process.bot, self.sim.watch.live()
        if self.sim.rules.strange and UNSETTLED in bot.exit_reason:
            self.sim.counts["ended for what does not settle"] += 1
        elif self._untried(bot):
            self.sim.counts[UNTRIED] += 1
        elif bot.ctx.account.journal.failed is None:
            self.sim.watch.break_("S19", f"ended itself: {bot.exit_reason}"[:500])
        elif process.code not in (EXIT_STORAGE, EXIT_ORDERS_LIVE):
            self.sim.watch.break_("S15", f"exit code {process.code} after the journal failed")
        if live and bot.empty:
            self.sim.watch.break_(
                "S15", f"{len(live)} orders rest after an end that says none does"
            )
        self.sim.counts["ended by its disk"] += bot.ctx.account.journal.failed is not None
        self._kept(process)

    def _untried(self, bot: Bot) -> bool:
        """Whether it says that the venue's switch could not be tried; or that it did nothing, where
        a fault let it do nothing, or the engine was away when it should have.
        """
        said = any(words in bot.exit_reason for words in COULD_NOT)
        away = self.sim.exchange.faults.struck[RESTARTED] > self._away
        return said or ((self._lapse_ignored() or away) and DID_NOT in bot.exit_reason)

    def _lapse_ignored(self) -> bool:
        return self.sim.exchange.faults.struck[LAPSE_IGNORED] > self._ignored

    async def _stop(self, process: Process, life: Life) -> None:
        """The operator's signals, as the kernel delivers them."""
        bot, ended = process.bot, process.ended
        self.sim.still.end(process.owner)  # who is signalled hears it
        self.sim.counts["stop"] += 1
        itself = bot.ctx.stopping
        if not itself:  # one that ends itself has withdrawn everything before
            self._withdrawals = 0
        signalled(life.signal)
        if life.again_s is not None:
            with trio.move_on_after(life.again_s):
                await ended.wait()
            self.sim.counts[TWICE] += signalled(OTHER[life.signal])
        with trio.move_on_after(STOP_S) as patience:
            await ended.wait()
        if process.killed:
            return
        if patience.cancelled_caught:
            self.sim.watch.break_("L4", "a stop that does not end")
        elif itself:
            self._ended_itself(process)
            return
        live = self.sim.watch.live()
        if live and bot.empty:
            self.sim.watch.break_(
                "S15", f"{len(live)} orders rest after an end that says none does"
            )
        elif live and self.untroubled():
            self.sim.watch.break_("L4", f"{len(live)} orders rest after a stop without any fault")
        self._kept(process)

    async def _empty(self, process: Process) -> None:
        """`stop --now`: who lives is told to stop, and told again; the next start is halted."""
        self.sim.counts[EMPTIED] += 1
        self.sim.still.end(process.owner)
        if not process.bot.ctx.stopping:  # as in `_stop`
            self._withdrawals = 0
        self._emptied = await empty(self.sim, process)
        with trio.move_on_after(STOP_S) as patience:
            await process.ended.wait()
        if patience.cancelled_caught:
            self.sim.watch.break_("L4", "a stop that does not end")
        if not process.killed:
            self._kept(process)
        self.sim.rules.halted_at = self.sim.now_s()
        self.sim.rules.written = frozenset(self.sim.confirmed)
        self.halt.set()

    def untroubled(self) -> bool:
        """Whether nothing keeps a bot from withdrawing all: no fault has been, or they are long
        over, and the venue takes cancels. A mode that began with the last one outlasts it.
        """
        exchange = self.sim.exchange
        mode = exchange.clob.modes.at(exchange.clock.now_ms())
        takes = ANSWERS[mode][Call.CANCEL] is None
        return not exchange.faults.struck or (self.sim.rules.calm and takes)

    async def _end(self, process: Process, where: Where) -> None:
        """Kill it, at once or in the step that was drawn; where none comes, at once as well. One
        that has ended meanwhile did so by itself.
        """
        if where is Where.WRITTEN:
            process.store.on_intents = partial(self._die, process, WRITTEN)
        elif where is Where.SENT:
            self._doomed = process
        if where is not Where.ANYWHERE:
            with trio.move_on_after(AIMED_S):
                await process.ended.wait()
        process.store.on_intents, self._doomed = None, None
        if process.killed:
            return
        if process.ended.is_set():
            self._ended_itself(process)
        else:
            self._kill(process)

    def _die(self, process: Process, where: str) -> None:
        process.store.on_intents, self._doomed = None, None
        self.sim.counts[where] += 1
        self._kill(process)

    def _left(self, process: Process, code: int) -> None:
        """The second signal: the process leaves where it stands, and withdrew everything before,
        unless the venue took no connection when it last tried to (brief seed 7403), or it had none
        for that yet and one takes longer than it may wait (brief seed 25).
        """
        self.sim.trace.note(f"{process.owner} leaves with {code}")
        far = self.sim.connects_s("clob") >= LEAVE_S and not process.bot.ready
        if not (self._withdrawals or far or self.sim.refuses("clob", LAST_TRY_S)):
            self.sim.watch.break_("G9", "left at a second signal before any cancel-all was sent")
        self._kill(process)

    def abandon(self) -> None:
        """Nothing more is wanted of this run: whoever lives is no more, and proves nothing."""
        if self._newest is not None and not self._newest.killed:
            self._kill(self._newest)

    def _kill(self, process: Process) -> None:
        """The process is no more: its connections end, and its files are as they lie."""
        self.sim.still.end(process.owner)
        self.bot = None
        process.killed, process.trace.on = True, False
        self.sim.counts["kill"] += 1
        self.sim.network.kill(process.owner)
        self.sim.trace.note(f"{process.owner} is killed")
        journal = process.journal
        process.heir = journal.with_name(f"journal-{self._started}")
        for tail in ("", "-wal", SPARE):
            part = journal.with_name(journal.name + tail)
            if part.exists():
                shutil.copyfile(part, process.heir.with_name(process.heir.name + tail))
        self._kept(process)
        process.store.let_go()
        process.store.confirmed = {}  # what its tasks still write is not in the copy
        process.scope.cancel()

    def _kept(self, process: Process) -> None:
        """Nothing that a file has confirmed is missing from it, but what it may forget."""
        if lost := self.sim.confirmed.keys() - intents_in(process.heir) - self.sim.forgotten:
            self.sim.watch.break_("S16", f"{len(lost)} confirmed intents are not in the journal")
        self.sim.counts["tape ended by its disk"] += process.tape.failed is not None
        for what in process.tape_faults():
            self.sim.watch.break_("tape", what)

    async def _dead_man(self) -> None:
        """S15, G11: the venue's own switch has cancelled what a dead bot left, if it works: one
        that did nothing in its life may have done so just before its end. An engine that restarts
        cancels nothing, and does so when it is back: it is given as long from then on.
        """
        back_s = self.sim.now_s()
        with trio.fail_after(STOP_S):
            while self.sim.now_s() < back_s + DEAD_MAN_S:
                await trio.sleep(1)
                if self.restarting():
                    back_s = self.sim.now_s()
        if not self._lapse_ignored() and (live := self.sim.watch.live()):
            self.sim.watch.break_("G11", f"{len(live)} orders rest {DEAD_MAN_S:g} s after a kill")

    def restarting(self) -> bool:
        exchange = self.sim.exchange
        return exchange.clob.modes.at(exchange.clock.now_ms()) is Mode.RESTARTING


async def first_of(*events: trio.Event) -> None:
    """Wait for any of them."""
    async with trio.open_nursery() as nursery:

        async def wait(event: trio.Event) -> None:
            await event.wait()
            nursery.cancel_scope.cancel()

        for event in events:
            nursery.start_soon(wait, event)
