"""The supervisor: starts each window's market scope in time, restarts it after faults, moves on at
its end.

A window's scope opens a little before the window so that its feed is warm; the window before has
long passed its cutoff by then, so quotes of one series never overlap.
"""

from __future__ import annotations

import attrs
import trio

from polybot.context import Context
from polybot.discovery import Discovery
from polybot.domain.accounts import Kind
from polybot.domain.market import Market
from polybot.domain.orders import Failure
from polybot.domain.settling import NOTHING
from polybot.inventory import Inventory
from polybot.journal.entries import Known
from polybot.market_scope import Ended, MarketScope
from polybot.market_times import stop_ms
from polybot.quoting.params import WARM_UP_S
from polybot.venue import slugs

RESTART_FIRST_S, RESTART_MOST_S = 0.5, 15.0
SETTLED_S = 30.0  # a scope that has lived for so long forgives earlier faults
AGREE_S = 10.0  # for balances and books to meet
ASK_MOST_S = 4.0  # for each window that begins: the venue limits how often balances are read


@attrs.define(eq=False)
class Supervisor:
    ctx: Context
    discovery: Discovery
    inventory: Inventory
    scopes: dict[str, MarketScope] = attrs.field(factory=dict)  # by slug, running ones

    async def run(self, series: tuple[str, ...]) -> None:
        async with trio.open_nursery() as nursery:
            for one in series:
                nursery.start_soon(self._run_series, one, name=f"series {one}")

    async def _run_series(self, series: str) -> None:
        window = slugs.window_at(series, self.ctx.clock.now_ms())
        async with trio.open_nursery() as nursery:
            while True:
                await self.ctx.clock.sleep_until(window.start_ms - WARM_UP_S * 1000)
                now_ms = self.ctx.clock.now_ms()
                if now_ms < window.end_ms:  # else the machine has slept through it
                    nursery.start_soon(self._run_window, series, window)
                window = slugs.window_at(series, max(window.end_ms, now_ms))

    async def _run_window(self, series: str, window: slugs.Window) -> None:
        market, began_ms = None, self.ctx.clock.now_ms()
        # A window that nobody can describe, or whose balances cannot be read, is over at its end.
        with trio.move_on_at(self.ctx.clock.trio_time(window.end_ms)):
            known = await self.discovery.wait(series, window.start_ms)
            self._owe(known, began_ms)
            market = known if await self._is_empty(known) else None
        if market is not None:
            await self._keep(market)

    def _owe(self, market: Market, began_ms: int) -> None:
        """From now on its time counts as ours to quote, back to its start: one that is described
        late, or skipped, would else be no time at all.
        """
        record = self.ctx.records.of(market)
        record.quotable_from_ms = max(market.start_ms, began_ms)
        record.quotable_to_ms = market.end_ms - stop_ms(market, self.ctx.config.quote)

    async def _is_empty(self, market: Market) -> bool:
        """Whether we start this window with no more shares in it than our books explain: what
        others cost is not known here. Balances trail trades, and our books the venue's, after a
        restart above all: they are given time to meet before a window is given up.
        """
        patience, pause = trio.current_time() + AGREE_S, RESTART_FIRST_S
        while not (explained := await self._explained(market)):
            if explained is False and trio.current_time() > patience:
                self.ctx.tell(f"{market.slug}: skipped, the wallet already holds shares of it")
                return False
            await trio.sleep(pause)
            pause = min(2 * pause, ASK_MOST_S)
        return True

    async def _explained(self, market: Market) -> bool | None:
        """Whether each balance is what our books say, with any of the trades under way; None where
        one cannot be read.
        """
        ledger, key = self.ctx.account.ledger, market.condition_id
        for token in (market.up_token, market.down_token):
            there = await self.ctx.client.balance(token)
            if isinstance(there, Failure):
                return None
            known = NOTHING
            if key in ledger.books:
                known = ledger.settling(Kind.SHARES, key, token)
            if not known.may_be(there):
                return False
        return True

    async def _keep(self, market: Market) -> None:
        """Run scopes for one window until it closes, with growing pauses after faults."""
        pause = RESTART_FIRST_S
        if market.condition_id not in self.ctx.account.ledger.books:
            await self.ctx.account.learn(Known(market))
        self.inventory.watch(market)
        while self.ctx.clock.now_ms() < market.end_ms:
            with trio.move_on_at(self.ctx.clock.trio_time(market.end_ms)) as patience:
                await self.ctx.health.well()
            if patience.cancelled_caught:
                await trio.sleep(pause)  # it is over; or the clock was set back, and it goes on
                continue
            scope = self.scopes[market.slug] = MarketScope(self.ctx, market)
            began = trio.current_time()
            try:
                if await scope.run() is Ended.CLOSED:
                    return
            finally:
                del self.scopes[market.slug]
            if trio.current_time() - began >= SETTLED_S:
                pause = RESTART_FIRST_S
            await trio.sleep(pause)
            pause = min(2 * pause, RESTART_MOST_S)
