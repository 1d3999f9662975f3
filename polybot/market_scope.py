"""One market interval as a nursery: feed, quote and orders live and die together.

The scope ends when the window closes, when any required input fails, when a task of it fails, or
when the program stops. Whatever the reason, every task has ended before the flatten begins, so
nothing can place an order behind it; the flatten is shielded and bounded, and says so when it could
not prove the market empty.
"""

from __future__ import annotations

import enum

import attrs
import trio
from loguru import logger

from polybot.channels import Bell
from polybot.console.snapshot import MarketSnapshot
from polybot.context import Context
from polybot.domain.market import Market
from polybot.execution.desk import Desk
from polybot.execution.firewall import Firewall
from polybot.health import Fault
from polybot.market_feed import MarketFeed
from polybot.orders_task import OrdersTask
from polybot.quote_task import QuoteTask, cutoff_ms

FLATTEN_S = 15.0  # L4 in reliability.md: by then the orders are gone or the operator must know


class Ended(enum.Enum):
    CLOSED = "window closed"
    FAULT = "fault"


class Unflattened(Exception):
    """Orders may still rest in this market: nothing more may be placed by this process."""


@attrs.define(eq=False)
class MarketScope:
    ctx: Context
    market: Market
    state: str = ""  # said only when it is not the market's own phase
    feed: MarketFeed = attrs.field(init=False)
    quote: QuoteTask = attrs.field(init=False)
    orders: OrdersTask = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        ctx, market = self.ctx, self.market
        bell = Bell()
        ctx.account.ledger.open(market)
        ctx.account.changed[market.condition_id] = bell
        firewall = Firewall(
            market,
            ctx.config.risk,
            market.end_ms - cutoff_ms(market, ctx.config.quote),
            ctx.admission,
        )
        desk = Desk(market, ctx.config.orders, firewall, ctx.budget, ctx.sign)
        self.orders = OrdersTask(desk, ctx.client, ctx.account, ctx.clock, lambda: ctx.stopping)
        self.feed = MarketFeed(ctx, market, bell)
        self.quote = QuoteTask(ctx, self.feed, self.orders, bell)

    async def run(self) -> Ended:
        """Run the interval to its end; raises Unflattened, or whatever bug a task of ours had."""
        account, key = self.ctx.account, self.market.condition_id
        account.routes[key] = self.orders.route
        ended = Ended.FAULT
        scope = trio.CancelScope(deadline=self.ctx.clock.trio_time(self.market.end_ms))
        try:
            with scope:
                async with trio.open_nursery() as tasks:
                    tasks.start_soon(self.ctx.health.watch, name=f"health {self.market.slug}")
                    tasks.start_soon(self.feed.run, name=f"feed {self.market.slug}")
                    tasks.start_soon(self.quote.run, name=f"quote {self.market.slug}")
                    tasks.start_soon(self.orders.run, name=f"orders {self.market.slug}")
        except* (Fault, OSError) as group:
            self._note_faults(group)
        else:
            ended = Ended.CLOSED
        finally:
            # Every task has ended, so nothing is placed after this begins.
            self.state = "flattening"
            with trio.move_on_after(FLATTEN_S, shield=True) as cleanup:
                await self.orders.flatten()
            self._close_books(emptied=not cleanup.cancelled_caught)
        return ended

    def _note_faults(self, group: BaseExceptionGroup[BaseException]) -> None:
        for fault in _leaves(group):
            self.ctx.records.faults[str(fault)] += 1
            self.ctx.tell(f"{self.market.slug}: scope ended, {fault}")
            logger.warning("{}: {}", self.market.slug, fault)

    def _close_books(self, *, emptied: bool) -> None:
        record = self.ctx.records.of(self.market)
        self.ctx.records.take(record, self.orders.desk)
        del self.ctx.account.routes[self.market.condition_id]
        if not emptied:
            self.ctx.records.unflattened += 1
            self.ctx.admission.stop("a market could not be emptied")
            raise Unflattened(self.market.slug)

    def snapshot(self) -> MarketSnapshot:
        return self.quote.snapshot(self.state)


def _leaves(group: BaseExceptionGroup[BaseException]) -> list[BaseException]:
    found: list[BaseException] = []
    for error in group.exceptions:
        found += _leaves(error) if isinstance(error, BaseExceptionGroup) else [error]
    return found
