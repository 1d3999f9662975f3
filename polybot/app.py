"""The bot: one nursery for what outlives markets, one scope inside it for trading.

Order of an ordinary end, whatever caused it: the admission gate closes in the same step; a
cancel-all goes out at once; the trading scope is cancelled and every market scope flattens itself;
when all have ended, cancel-all is repeated until two reads show nothing; only then do the heartbeat
and the user stream stop. After a fault of ours the heartbeat stops no sooner: a lapse ends the
venue's watch (clob.md 4.2), and what comes to rest behind it, or rests when an engine that was away
is back, would outlive us. Where orders cannot be withdrawn `lapse.py` lets it fall silent all the
same.
"""

from __future__ import annotations

import gc
from pathlib import Path

import attrs
import trio
from loguru import logger

from polybot.calibration_log import CalibrationLog
from polybot.certify import certify
from polybot.clock import wall_seconds
from polybot.console.snapshot import Snapshot
from polybot.context import Context
from polybot.discovery import Discovery
from polybot.disk_watch import DiskWatch
from polybot.domain.accounts import Kind as AccountKind
from polybot.domain.halts import Halt
from polybot.domain.market_books import MarketBooks
from polybot.domain.orders import EDGE_S
from polybot.first_cancel import cancel_at_once
from polybot.flight import FlightRecorder
from polybot.health import leaves
from polybot.inventory import Inventory
from polybot.loop_watch import LoopWatch
from polybot.market_scope import Unflattened
from polybot.market_times import timetable
from polybot.outlasting import Outlasting
from polybot.price_task import PriceTask
from polybot.restart import Restart, StartFailed, end_of
from polybot.signal.board import SignalMemory
from polybot.summary import SignalScore, Summary, total
from polybot.supervisor import Supervisor
from polybot.user_task import UserTask

RESTART_S = 150.0  # to wait for an engine that restarts: about 90 s is usual
EMPTY_S = 12.0  # to prove the account empty; G8 in reliability.md
LAST_ACCOUNTS_S = 5.0  # to read the last results before the books are written
VIEW_EVERY_S = 0.25
FAILED = "error"  # nobody asked for this end
REQUIRED = ("user stream", "heartbeat", "reconciler")


@attrs.define(eq=False, slots=False)
class Bot:
    ctx: Context
    series: tuple[str, ...]
    run_ms: int | None
    inventory: Inventory
    speed: float
    world: str
    certify: bool = False  # try the dead-man switch before anything is quoted
    exit_reason: str = ""
    empty: bool = False  # the venue shows no order of ours
    ready: bool = False  # venue and journal have been made to agree
    stopped_at: float | None = None
    stopped_ms: int | None = None
    ended_at: float | None = None
    started_ms: int = 0
    started_wall: float = 0.0
    _services: trio.Nursery | None = None
    _hearts: Outlasting = attrs.field(factory=Outlasting)
    _withdrawn: trio.Event = attrs.field(factory=trio.Event)  # the last cancel-all was answered

    def __attrs_post_init__(self) -> None:
        self.discovery = Discovery(self.ctx, self.series)
        self.supervisor = Supervisor(self.ctx, self.discovery, self.inventory)
        self.ctx.reconciler.moved_again = self.inventory.moved_again
        self.ctx.reconciler.on_late = self.ctx.lapse.late
        self.ctx.reconciler.on_unlisted = self.ctx.lapse.unlisted
        self.ctx.account.journal.on_failure = self._journal_failed
        self.ctx.health.on_halt.append(self._halted)
        self.flight = FlightRecorder(self.ctx, self.summary)
        self.ctx.health.on_halt.append(self.flight.halted)
        self.ctx.tell_halts()
        named = self.ctx.config.journal.calibration
        self.loop = LoopWatch(self.ctx.health, self.ctx.account.doubt, self.speed)
        self.calibration = CalibrationLog(self.ctx.records, Path(named)) if named else None

    # --- running -----------------------------------------------------------------------------

    async def run(self) -> None:
        """Trade until stopped. Returns with `exit_reason` and `empty` set; a bug of ours is raised
        after everything has been cancelled.
        """
        self.started_ms, self.started_wall = self.ctx.clock.now_ms(), wall_seconds()
        for name in REQUIRED:
            self.ctx.health.require(name)
        # What ends the services must not end the journal: orders that are withdrawn after that are
        # found, and who finds one waits until it is written down.
        writing = Outlasting()
        try:
            async with trio.open_nursery() as keeping:
                writing.start(keeping, self.ctx.account.journal.run, "journal")
                with writing:
                    async with trio.open_nursery() as services:
                        self._services = services
                        services.start_soon(self._publish, name="view")  # a start may take long
                        with self._hearts:
                            await self._trade(services)
                        services.cancel_scope.cancel()
        except BaseException as error:
            if self.exit_reason == FAILED:
                self.exit_reason = f"{FAILED}: {_names(error)}"
            raise
        finally:
            if self.inventory.way is not None:
                self.inventory.way.close()

    async def _trade(self, services: trio.Nursery) -> None:
        try:
            with self.ctx.trading:
                await self._take_over()
                self.empty = False  # from now on orders may rest
                if self.certify and not self.ctx.health.halted:  # who may not place needs no switch
                    await certify(self.ctx, self.series)
                # What is there now stays: a collection that walks it all stops the loop for 60 ms.
                gc.collect()
                gc.freeze()
                self._start_services(services)
                await self.supervisor.run(self.series)
        except* Unflattened as group:
            # Not a bug: the venue did not answer in time. Below the whole wallet is asked, and
            # only that decides whether orders may live.
            for market in leaves(group):
                logger.warning("{}: could not prove itself empty at the end", market)
        finally:
            self.stop(FAILED)  # says nothing where somebody has stopped us already
            with trio.move_on_after(RESTART_S + EMPTY_S, shield=True):
                await self._empty_the_account()
            with trio.move_on_after(EDGE_S + EMPTY_S, shield=True):
                await self._outwait()
            self._note_end()
        with trio.move_on_after(LAST_ACCOUNTS_S):
            await self._last_accounts()

    async def _take_over(self) -> None:
        """Before anything else: no order of an earlier run may rest, and the books are right."""
        self.inventory.take_over(list(self.ctx.recovered.operations.values()))
        restart = Restart(self.ctx, self.inventory.resolve, way=self.inventory.way)
        try:
            await restart.run()
        finally:
            self.empty = restart.empty
        for _ in range(2):  # nothing has flickered yet: a loss while we were away counts at once
            self.ctx.losses.look()
        self.ready = True
        for market in self.ctx.recovered.markets.values():
            self.ctx.records.machine(market, timetable(market, self.ctx.config))
            self.inventory.watch(market)

    def _start_services(self, services: trio.Nursery) -> None:
        account, assets = self.ctx.account, sorted({one.split("-")[0] for one in self.series})
        services.start_soon(UserTask(self.ctx).run, name="user stream")
        services.start_soon(account.listen, name="private events")
        self._hearts.start(services, self.ctx.heartbeat.run, "heartbeat")
        self._hearts.start(services, self.ctx.lapse.run, "lapse")
        services.start_soon(self.loop.run, name="loop watch")
        services.start_soon(DiskWatch(self.ctx).run, name="disk watch")
        services.start_soon(self.ctx.reconciler.run, name="reconciler")
        services.start_soon(PriceTask(self.ctx, assets).run, name="prices")
        services.start_soon(self.discovery.run, name="discovery")
        services.start_soon(self.inventory.run, name="inventory")
        services.start_soon(self.ctx.losses.run, name="losses")
        services.start_soon(self.flight.run, name="flight recorder")
        if self.calibration is not None:
            services.start_soon(self.calibration.run, name="calibration")
        if self.run_ms is not None:
            services.start_soon(self._stop_at, self.started_ms + self.run_ms, name="timer")

    async def _stop_at(self, unix_ms: int) -> None:
        await self.ctx.clock.sleep_until(unix_ms)
        self.stop("time is up")

    def _journal_failed(self, why: str) -> None:
        """Without a journal nothing may be placed; cancels need none (F66)."""
        self.ctx.health.bad("journal", why)
        self.stop(f"the journal failed: {why}")

    # --- stopping ----------------------------------------------------------------------------

    def stop(self, reason: str) -> None:
        """Begin the graceful end. Plain call: when it returns no order can leave any more."""
        ctx = self.ctx
        ctx.admission.stop(reason)
        if ctx.stopping:
            return
        ctx.stopping = True
        self.empty = False  # until it is proven again
        self.exit_reason = reason
        self.stopped_at, self.stopped_ms = wall_seconds(), ctx.clock.now_ms()
        for scope in self.supervisor.scopes.values():
            scope.hurry()
        self._withdrawn = trio.Event()
        if self._services is not None:
            self._services.start_soon(
                self._cancel_now, self.stopped_at, "the stop", name="cancel-all"
            )
        ctx.trading.cancel(reason=reason)

    def _halted(self, _name: str, _why: str) -> None:
        """The kill switch of the risk limits: the gate is closed, now everything is withdrawn at
        once. The market scopes end themselves, too, and prove that nothing rests; one request that
        needs none of them to get its turn is sooner on the wire, and reaches orders of no scope.
        Those of somebody else are left alone (F27): where there are any, the scopes withdraw ours.
        """
        if Halt.FOREIGN_ORDERS.value in self.ctx.health.halted:  # this halt's, or of before
            return
        if self._services is not None and not self.ctx.stopping:
            self._services.start_soon(
                self._cancel_now, wall_seconds(), "the halt", name="cancel-all"
            )

    async def _cancel_now(self, since: float, what: str) -> None:
        withdrawn = self._withdrawn
        with trio.move_on_after(EMPTY_S, shield=True):
            await cancel_at_once(self.ctx.client, since, what, lambda: self.empty)
        withdrawn.set()

    async def until_withdrawn(self) -> None:
        """Wait for the answer to the stop's first cancel-all."""
        await self._withdrawn.wait()

    async def _empty_the_account(self) -> None:
        """Cancel all until the venue shows nothing. One that does not answer is given up soon: it
        clears the account itself when it hears no heartbeat. One whose engine restarts does not,
        and comes back within two minutes (clob.md 7.3): that is waited for.
        """
        patience, told = trio.current_time() + RESTART_S, False
        while not self.empty:
            with trio.move_on_after(EMPTY_S):
                self.empty = await self.ctx.reconciler.cancel_everything()
            away = self.ctx.reconciler.engine_away
            if away is None or trio.current_time() > patience:
                return
            if not (told or self.empty):
                told = True
                why = f"the venue cancels nothing now ({away})"
                self.ctx.tell(f"{why}: waiting for it; stop again to leave orders behind")

    async def _outwait(self) -> None:
        """An order whose request got no answer may come to rest yet (F18), and what came after us
        nobody would see: the venue's own switch has done its work by then. So it is waited for,
        beyond the eight seconds of G8; whoever cannot wait is told how to leave.
        """
        reconciler = self.ctx.reconciler
        left = reconciler.adrift.may_come
        if not (self.empty and left):
            return
        self.empty = False
        self.ctx.tell(
            f"{left} orders got no answer and may come to rest yet: waiting up to "
            f"{EDGE_S} s to withdraw them; stop again to leave them behind"
        )
        await reconciler.outwait()
        self.empty = await reconciler.cancel_everything()

    def _note_end(self) -> None:
        self.ctx.keep_earned()
        if self.empty:
            self.ctx.account.journal.note(end_of(self.ctx))
        else:
            logger.error("orders may still be live: the venue did not confirm that none rests")
        self.ended_at = wall_seconds()

    async def _last_accounts(self) -> None:
        """Late fills and results, for books that know by now from when on they count."""
        if self.ready:
            await self.ctx.reconciler.reconcile()
            await self.inventory.round(final=True)
        if self.calibration is not None:
            await self.calibration.write()

    # --- figures -----------------------------------------------------------------------------

    async def _publish(self) -> None:
        """What the screen shows; where nobody looks nothing is drawn up."""
        while True:
            if self.ctx.published.watched:
                self.ctx.published.set(self.snapshot())
            await trio.sleep(VIEW_EVERY_S * self.speed)

    def snapshot(self) -> Snapshot:
        ctx, now_ms = self.ctx, self.ctx.clock.now_ms()
        scopes = sorted(self.supervisor.scopes.values(), key=lambda s: s.market.end_ms)
        ledger, done = ctx.account.ledger, ctx.records.final()
        books = ledger.books | done  # what is frozen counts, while the disk writes that it is
        tables = [scope.orders.desk.table.open() for scope in scopes]
        return Snapshot(
            mode=ctx.config.bot.mode,
            world=self.world,
            now_ms=now_ms,
            speed=self.speed,
            uptime_s=(now_ms - (self.started_ms or now_ms)) / 1000,
            state=self._state(),
            markets=tuple(scope.snapshot() for scope in scopes),
            equity=ledger.equity,
            cash=ledger.cash,
            realised=ledger.realised,
            unrealised=ctx.marks.unrealised(),
            unrealised_worst=ctx.marks.unrealised_worst(),
            today=ctx.losses.today(),
            heartbeat_lag_s=ctx.heartbeat.lag_s if ctx.heartbeat.beating else None,
            fills=sum(one.fills for one in books.values()),
            open_orders=sum(map(len, tables)) + len(ctx.reconciler.adrift.orders),
            intervals_settled=len(done),
            events=tuple(ctx.events),
        )

    def _state(self) -> str:
        """A halt is what only an operator ends; whatever else is wrong passes by itself."""
        health, trouble = self.ctx.health, self.ctx.health.trouble
        if self.ctx.stopping:
            return "stopping"
        if health.halted:
            return f"halted: {trouble}"
        if not self.ready:
            return "starting"
        return f"waiting: {trouble}" if trouble else "running"

    def _ended_ms(self) -> int:
        return self.stopped_ms if self.stopped_ms is not None else self.ctx.clock.now_ms()

    def summary(self) -> Summary:
        """What the run came to so far; the exchange's own figures are
        added by whoever knows them.
        """
        ctx, now, ended_ms = self.ctx, wall_seconds(), self._ended_ms()
        books: dict[str, MarketBooks] = ctx.account.ledger.books
        intervals = tuple(
            record.interval(books.get(key)) for key, record in ctx.records.by_market.items()
        )
        shutdown = (self.ended_at or now) - self.stopped_at if self.stopped_at else None
        return Summary(
            mode=ctx.config.bot.mode,
            world=self.world,
            seed=ctx.config.paper.seed,
            config_hash=ctx.config.digest,
            exit_reason=self.exit_reason,
            latency_factor=self.speed,
            venue_seconds=round((ctx.clock.now_ms() - self.started_ms) / 1000, 3),
            wall_seconds=round(now - self.started_wall, 3),
            intervals=intervals,
            totals=total(intervals),
            rejects=dict(ctx.records.rejects),
            cancels=dict(ctx.records.cancels),
            halts=dict(ctx.health.halts),
            withheld=dict(ctx.records.withheld),
            faults=dict(ctx.records.faults),
            bad_input=dict(ctx.records.bad_input),
            signals=_scores(ctx.signals),
            quoted_share=ctx.records.share(lambda record: record.quoted_ms, ended_ms),
            two_sided_share=ctx.records.share(lambda record: record.two_sided_ms, ended_ms),
            reasons=ctx.records.reasons(ended_ms),
            differences=dict(ctx.records.differences),
            unknown_resolved=len(ctx.records.doubts_ms),
            unknown_p99_ms=ctx.records.doubt_ms(99),
            unknown_most_ms=ctx.records.doubt_ms(100),
            # Before our cash has been read there is no equity to tell.
            equity_bot=ctx.account.ledger.equity if self.ready else None,
            rebates_paid=ctx.account.ledger.received(AccountKind.REBATES),
            rewards_paid=ctx.account.ledger.received(AccountKind.REWARDS),
            unrealised_fair=ctx.marks.unrealised(),
            unrealised_worst=ctx.marks.unrealised_worst(),
            heartbeat_lag_most_ms=round(ctx.heartbeat.lag_most_s * 1000),
            loop_late=self.loop.late,
            loop_late_most_ms=round(self.loop.most_s * 1000),
            shutdown_ms=round(shutdown * 1000) if shutdown is not None else None,
        )


def _scores(signals: SignalMemory) -> dict[str, SignalScore]:
    return {
        name: SignalScore(
            calls=score.calls, hits=score.hits, mean_gain=round(score.gain / score.calls, 6)
        )
        for name, score in signals.summary().items()
        if score.calls
    }


def _names(error: BaseException) -> str:
    """The kinds of failure in a group, without the cancellations they caused."""
    if isinstance(error, BaseExceptionGroup):
        inner = [_names(one) for one in error.exceptions]
        return ", ".join(dict.fromkeys(name for name in inner if name))
    if isinstance(error, StartFailed):
        return str(error)
    return "" if isinstance(error, trio.Cancelled) else type(error).__name__
