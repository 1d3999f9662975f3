"""Settlement: pairs merged, results read, winners redeemed, books closed.

One task for the wallet. It asks for one operation at a time; an operation without a definite answer
is settled by reading balances, never by asking again. Only confirmed shares are merged.
"""

from __future__ import annotations

import attrs
import trio
from loguru import logger

from polybot.context import Context
from polybot.domain.ledger import Holdings
from polybot.domain.market import Market, Outcome
from polybot.domain.orders import Failure
from polybot.domain.units import SHARE, amount_text
from polybot.venue.gamma import MarketMeta, market_by_slug
from polybot.venue.operations import Operations

MERGE_AT = 20 * SHARE  # strategy.md 15
ROUND_S = 2.0
RESULT_POLL_S = 5.0  # how often Gamma is asked about an ended market
QUIET_AFTER_END_S = 10.0  # late trades of the last second are told by then


@attrs.frozen
class Operation:
    """A merge or redemption that was asked for. `shares` is None for a redemption: it takes all."""

    shares: int | None


@attrs.define(eq=False)
class Settlement:
    ctx: Context
    operations: Operations | None  # None where the site has none: shares stay, with the reason told
    watched: dict[str, Market] = attrs.field(factory=dict)
    # Operations without a definite answer, one a market: balances decide, and nothing more is asked
    # of that market until they have.
    in_doubt: dict[str, Operation] = attrs.field(factory=dict)
    _asked_at: dict[str, float] = attrs.field(factory=dict)
    _one_round: trio.Lock = attrs.field(factory=trio.Lock)

    def watch(self, market: Market) -> None:
        self.watched.setdefault(market.condition_id, market)

    async def run(self) -> None:
        while True:
            await self.round()
            await trio.sleep(ROUND_S)

    async def round(self, *, final: bool = False) -> None:
        """Do what is due for every watched market; `final` asks for
        results without waiting for the poll.
        """
        async with self._one_round:
            for market in list(self.watched.values()):
                now_ms = self.ctx.clock.now_ms()
                if market.condition_id in self.in_doubt:
                    await self._resolve_doubt(market)
                    continue
                await self._merge(market, ended=now_ms >= market.end_ms)
                if now_ms >= market.end_ms + QUIET_AFTER_END_S * 1000:
                    await self._settle(market, final=final)

    # --- operations ----------------------------------------------------------------------

    async def _merge(self, market: Market, *, ended: bool) -> None:
        shares = self._held(market).mergeable
        if self.operations is None or shares < (SHARE if ended else MERGE_AT):
            return
        answer = await self.operations.merge(market.condition_id, shares)
        if isinstance(answer, Failure):
            self._doubt(market, Operation(shares), answer)
        else:
            self._booked(market, Operation(shares), answer)

    async def _redeem(self, market: Market) -> bool:
        """Redeem what is held; True when nothing is left to redeem."""
        held = self._held(market)
        if held.up == held.down == 0:
            return True
        if self.operations is None:
            return False
        if held.up != held.up_confirmed or held.down != held.down_confirmed:
            return False  # a fill is still on its way to the chain: its shares cannot be redeemed
        answer = await self.operations.redeem(market.condition_id)
        if isinstance(answer, Failure):
            self._doubt(market, Operation(None), answer)
            return False
        self._booked(market, Operation(None), answer)
        return True

    def _held(self, market: Market) -> Holdings:
        return self.ctx.account.ledger.books[market.condition_id].holdings()

    def _doubt(self, market: Market, operation: Operation, answer: Failure) -> None:
        logger.warning("{}: an operation has no answer: {}", market.slug, answer.what)
        self.in_doubt[market.condition_id] = operation

    def _booked(self, market: Market, operation: Operation, moved: int | None) -> None:
        """Enter a done operation in the ledger. A sum that is not ours stops trading for good."""
        ledger, now_ms = self.ctx.account.ledger, self.ctx.clock.now_ms()
        evidence = "balances" if moved is None else "operation"
        if operation.shares is None:
            expected, what = ledger.redeem(market.condition_id, evidence, now_ms), "redeemed"
        else:
            ledger.merge(market.condition_id, operation.shares, evidence, now_ms)
            expected, what = operation.shares, "merged"
        self.ctx.tell(f"{market.slug}: {what} {amount_text(expected)}")
        if moved is not None and moved != expected:
            drift = f"{market.slug} {what} {amount_text(moved)}, expected {amount_text(expected)}"
            self.ctx.health.bad("ledger drift", drift)

    async def _resolve_doubt(self, market: Market) -> None:
        """Compare balances with the ledger until they say whether the operation happened.

        They fit one of the two, or a fill is on its way and they fit neither: then look again.
        """
        operation = self.in_doubt[market.condition_id]
        held = self._held(market)
        shares = operation.shares
        after = (0, 0) if shares is None else (held.up - shares, held.down - shares)
        tokens = (market.up_token, market.down_token)
        there = tuple([await self.ctx.client.balance(token) for token in tokens])
        if held != self._held(market):
            return
        if there == after:
            del self.in_doubt[market.condition_id]
            self._booked(market, operation, None)
        elif there == (held.up, held.down):
            del self.in_doubt[market.condition_id]

    # --- results -------------------------------------------------------------------------

    async def _settle(self, market: Market, *, final: bool) -> None:
        record = self.ctx.records.of(market)
        if record.outcome is None:
            record.outcome = await self._outcome(market, final=final)
            if record.outcome is None:
                return
            payout = SHARE if record.outcome is Outcome.UP else 0
            self.ctx.account.ledger.resolve(market.condition_id, payout)
            self.ctx.tell(f"{market.slug}: resolved {record.outcome.value}")
        books = self.ctx.account.ledger.books[market.condition_id]
        if await self._redeem(market) and not books.unsettled():
            self._close(market)
        elif self.operations is None:
            self.ctx.account.release(market.condition_id)  # nothing more is heard of its orders

    async def _outcome(self, market: Market, *, final: bool) -> Outcome | None:
        now = trio.current_time()
        if not final and now < self._asked_at.get(market.slug, 0) + RESULT_POLL_S:
            return None
        self._asked_at[market.slug] = now
        meta = await market_by_slug(self.ctx.gamma, market.series, market.slug)
        return meta.outcome if isinstance(meta, MarketMeta) else None

    def _close(self, market: Market) -> None:
        """Freeze the interval's figures and forget the market."""
        account, record = self.ctx.account, self.ctx.records.of(market)
        record.final = record.interval(account.ledger.books[market.condition_id])
        account.ledger.close(market.condition_id)
        account.release(market.condition_id)
        del self.watched[market.condition_id]
        self._asked_at.pop(market.slug, None)
