"""One market interval as a nursery: feed, quote and orders live and die together.

The scope ends when the window closes, when any required input fails, when a task of it fails, or
when the program stops. Whatever the reason, every task has ended before the flatten begins, so
nothing can place an order behind it; the flatten is shielded and bounded, and says so when it could
not prove the market empty.
"""

from __future__ import annotations

import enum
import math
import sys

import attrs
import trio
from loguru import logger

from polybot.channels import Bell
from polybot.console.snapshot import MarketSnapshot
from polybot.context import Context
from polybot.core_tape import ScopeBegan, ScopeEnded, WindowClosed
from polybot.domain.market import Market
from polybot.domain.orders import PrivateEvent
from polybot.execution.desk import Desk
from polybot.execution.firewall import Firewall
from polybot.execution.pauses import Pauses
from polybot.health import Fault, leaves
from polybot.journal.entries import Intent
from polybot.market_feed import MarketFeed
from polybot.market_times import timetable
from polybot.orders_task import OrdersTask
from polybot.quote_task import QuoteTask
from polybot.risk.breakers import MarketBrakes
from polybot.scoring_watch import ScoringWatch
from polybot.signal_ears import SignalEars
from polybot.venue.market_messages import LastTrade

# With the wallet's try (`lapse.py`) 15 s, L4 in reliability.md: by then the orders are gone, or the
# heartbeat is stopped and the operator knows.
FLATTEN_S = 10.0
LAST_FLATTEN_S = 5.0


class Ended(enum.Enum):
    CLOSED = "window closed"
    FAULT = "fault"


class Unflattened(Exception):
    """The program ends and orders may still rest in this market."""


def _cancelled() -> bool:
    """Whether the task that asks has been cancelled from outside."""
    return trio.current_effective_deadline() == -math.inf


def _is_bug(error: BaseException | None) -> bool:
    """Whether what is on its way out is more than a cancellation."""
    found = leaves(error) if isinstance(error, BaseExceptionGroup) else [error]
    return any(one is not None and not isinstance(one, trio.Cancelled) for one in found)


@attrs.define(eq=False)
class MarketScope:
    ctx: Context
    market: Market
    state: str = ""  # said only when it is not the market's own phase
    feed: MarketFeed = attrs.field(init=False)
    quote: QuoteTask = attrs.field(init=False)
    orders: OrdersTask = attrs.field(init=False)
    ears: SignalEars = attrs.field(init=False)
    scoring: ScoringWatch | None = None  # where the market has a pool of liquidity rewards
    _cleanup: trio.CancelScope = attrs.field(factory=trio.CancelScope)

    def __attrs_post_init__(self) -> None:
        ctx, market = self.ctx, self.market
        bell = Bell()
        ctx.account.changed[market.condition_id] = bell
        limits, machine = (
            ctx.config.risk,
            ctx.records.machine(market, timetable(market, ctx.config)),
        )
        record = ctx.records.of(market)
        brakes = record.brakes = record.brakes or MarketBrakes(limits, ctx.errors)
        pauses = record.pauses = record.pauses or Pauses()
        firewall = Firewall(market, limits, machine, ctx.admission, brakes)
        desk = Desk(market, ctx.config.orders, firewall, ctx.budget, ctx.sign, pauses=pauses)
        self.orders = OrdersTask(desk, ctx.client, ctx.account, ctx.clock, ctx.core)
        self.ears = SignalEars(market, ctx.signals.board(market, ctx.config.quote.latency_s))
        self.feed = MarketFeed(ctx, market, bell, self._printed)
        firewall.heard_tick = lambda: self.feed.book.tick
        if market.rewards is not None:
            every_s = ctx.config.rewards.check_s
            self.scoring = ScoringWatch(
                ctx.client, desk, market.rewards, every_s, ctx.core, bell.ring
            )
        self.quote = QuoteTask(ctx, self.feed, self.orders, bell, self.ears, self.scoring)

    async def run(self) -> Ended:
        """Run the interval to its end; raises Unflattened, or whatever bug a task of ours had."""
        account, key, core = self.ctx.account, self.market.condition_id, self.ctx.core
        core.fed(ScopeBegan(self.market, self.quote.quoter.machine.state))
        account.routes[key] = attrs.evolve(self.orders.route, hear=self._hear)
        ended = Ended.FAULT
        scope = trio.CancelScope(deadline=self.ctx.clock.trio_time(self.market.end_ms))
        try:
            with scope:
                async with trio.open_nursery() as tasks:
                    tasks.start_soon(self.ctx.health.watch, name=f"health {self.market.slug}")
                    tasks.start_soon(self.feed.run, name=f"feed {self.market.slug}")
                    tasks.start_soon(self.quote.run, name=f"quote {self.market.slug}")
                    tasks.start_soon(self.orders.run, name=f"orders {self.market.slug}")
                    if self.scoring is not None:
                        tasks.start_soon(self.scoring.run, name=f"scoring {self.market.slug}")
        except* (Fault, OSError) as group:
            self._note_faults(group)
        else:
            ended = Ended.CLOSED
            self.ended()
        finally:
            # Every task has ended, so nothing is placed after this begins. Cancelled from outside,
            # also while it asks, or broken, nobody would end the asking: then it is bounded as at a
            # stop.
            self.state, emptied = "flattening", False
            away_since = self._away_since()
            broken, bug = sys.exc_info()[0] is not None, _is_bug(sys.exc_info()[1])
            while not emptied:
                with trio.move_on_after(FLATTEN_S, shield=True) as self._cleanup:
                    await self.orders.flatten()
                emptied = not self._cleanup.cancelled_caught
                if broken or _cancelled() or not self._goes_on(away_since, emptied=emptied):
                    break
            self._close_books(emptied=emptied, bug=bug)
        return ended

    def _hear(self, event: PrivateEvent, now_ms: int) -> None:
        """Our signals learn of a fill before the desk acts on it."""
        self.ears.told(event, self.orders.desk.table, now_ms)
        self.orders.route.hear(event, now_ms)

    def _printed(self, trade: LastTrade, at_ms: int) -> None:
        self.ears.printed(trade, at_ms, self.orders.desk.table)

    def _away_since(self) -> float:
        """Since when, in Trio's time, an engine that is away has put off what should be gone; never
        where it has not.
        """
        now_ms, tracked = self.ctx.clock.now_ms(), self.orders.desk.table.open()
        waited_ms = max((one.put_off_ms(now_ms) for one in tracked), default=0)
        return trio.current_time() - waited_ms / 1000 if waited_ms else math.inf

    def _goes_on(self, away_since: float, *, emptied: bool) -> bool:
        """Whether to try again: while the venue does not do it, nothing is placed anywhere, its own
        switch is called for, and we keep asking, until the program is stopped; then the exit code
        must tell.
        """
        if emptied:
            self.ctx.lapse.proven(self.market.slug)
        else:
            self.ctx.lapse.unproven(self.market.slug, self.market.condition_id, away_since)
        return not self.ctx.stopping

    def hurry(self) -> None:
        """The program stops: a flatten that cannot prove itself gets little more time."""
        soon = trio.current_time() + LAST_FLATTEN_S
        self._cleanup.deadline = min(self._cleanup.deadline, soon)

    def _note_faults(self, group: BaseExceptionGroup[BaseException]) -> None:
        for fault in leaves(group):
            self.ctx.tell(f"{self.market.slug}: scope ended, {fault}")
            logger.warning("{}: {}", self.market.slug, fault)

    def ended(self) -> None:
        """The window has closed."""
        self.ctx.core.fed(WindowClosed(self.market.slug))
        self.ears.board.ended()

    def _close_books(self, *, emptied: bool, bug: bool) -> None:
        self.ctx.core.fed(ScopeEnded(self.market.slug))
        self.ctx.core.forget(self.market.slug)
        record = self.ctx.records.of(self.market)
        self.ctx.records.take(record, self.orders.desk)
        del self.ctx.account.routes[self.market.condition_id]
        adrift, table = self.ctx.reconciler.adrift, self.orders.desk.table
        adrift.look_after(map(Intent.of, table.unseen()))
        if not emptied and bug:
            # It goes on its way: in its place this would pass for a venue that did not answer.
            logger.warning("{}: could not prove itself empty at the end", self.market.slug)
            return
        if not emptied:
            raise Unflattened(self.market.slug)
        adrift.await_told(table.lagging())  # in the step in which the account has let go of them

    def snapshot(self) -> MarketSnapshot:
        return self.quote.snapshot(self.state)
