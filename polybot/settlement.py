"""Settlement: pairs merged, results read, winners redeemed, books closed.

One task for the wallet. It asks for one operation at a time; an operation without a definite answer
is settled by reading balances, never by asking again. Only confirmed shares are merged.
"""

from __future__ import annotations

import attrs
import trio
from loguru import logger

from polybot.context import Context
from polybot.domain.market import Market, Outcome
from polybot.domain.orders import Failure
from polybot.domain.units import SHARE, amount_text
from polybot.venue.gamma import MarketMeta, market_by_slug
from polybot.venue.operations import Operations

MERGE_AT = 20 * SHARE  # strategy.md 15
ROUND_S = 2.0
RESULT_POLL_S = 5.0  # how often Gamma is asked about an ended market
QUIET_AFTER_END_S = 10.0  # late trades of the last second are told by then


@attrs.define(eq=False)
class Settlement:
    ctx: Context
    operations: Operations | None  # None where the site has none: shares stay, with the reason told
    watched: dict[str, Market] = attrs.field(factory=dict)
    _asked_at: dict[str, float] = attrs.field(factory=dict)
    # The last round may come while the task's own is under way: the same pairs are merged once.
    _one_round: trio.Lock = attrs.field(factory=trio.Lock)

    def watch(self, market: Market) -> None:
        self.watched.setdefault(market.condition_id, market)

    async def run(self) -> None:
        while True:
            await self.round()
            await trio.sleep(ROUND_S)

    async def round(self, *, final: bool = False) -> None:
        """Do what is due for every watched market; `final` asks for results without waiting for the
        poll.
        """
        async with self._one_round:
            for market in list(self.watched.values()):
                now_ms = self.ctx.clock.now_ms()
                await self._merge(market, ended=now_ms >= market.end_ms)
                if now_ms >= market.end_ms + QUIET_AFTER_END_S * 1000:
                    await self._settle(market, final=final)

    async def _merge(self, market: Market, *, ended: bool) -> None:
        ledger = self.ctx.account.ledger
        shares = ledger.books[market.condition_id].holdings().mergeable
        if self.operations is None or shares < (SHARE if ended else MERGE_AT):
            return
        before = await self._balances(market)
        answer = await self.operations.merge(market.condition_id, shares)
        if isinstance(answer, Failure) and not await self._left(market, before, shares):
            logger.warning("merge in {} did not happen: {}", market.slug, answer.what)
            return
        ledger.merge(market.condition_id, shares)
        self.ctx.tell(f"{market.slug}: merged {amount_text(shares)} pairs")

    async def _balances(self, market: Market) -> tuple[int, ...] | None:
        tokens = (market.up_token, market.down_token)
        read = [await self.ctx.client.balance(token) for token in tokens]
        return tuple(b for b in read if isinstance(b, int)) if len(read) == 2 else None

    async def _left(self, market: Market, before: tuple[int, ...] | None, shares: int) -> bool:
        """After an answerless merge: whether the shares are gone from both balances."""
        after = await self._balances(market)
        if before is None or after is None or len(before) != 2 or len(after) != 2:
            return False
        return all(was - now >= shares for was, now in zip(before, after, strict=True))

    async def _settle(self, market: Market, *, final: bool) -> None:
        record = self.ctx.records.of(market)
        if record.outcome is None:
            record.outcome = await self._outcome(market, final=final)
            if record.outcome is None:
                return
            self.ctx.account.ledger.resolve(market.condition_id, record.outcome)
            self.ctx.tell(f"{market.slug}: resolved {record.outcome.value}")
        if await self._redeem(market):
            self._close(market)

    async def _outcome(self, market: Market, *, final: bool) -> Outcome | None:
        now = trio.current_time()
        if not final and now < self._asked_at.get(market.slug, 0) + RESULT_POLL_S:
            return None
        self._asked_at[market.slug] = now
        meta = await market_by_slug(self.ctx.gamma, market.series, market.slug)
        return meta.outcome if isinstance(meta, MarketMeta) else None

    async def _redeem(self, market: Market) -> bool:
        """Redeem what is held; True when nothing is left to redeem."""
        ledger = self.ctx.account.ledger
        held = ledger.books[market.condition_id].holdings()
        if held.up == held.down == 0:
            return True
        if self.operations is None:
            return False
        if held.up != held.up_confirmed or held.down != held.down_confirmed:
            return (
                False  # a fill is still on its way to the chain: its shares cannot be redeemed yet
            )
        answer = await self.operations.redeem(market.condition_id)
        if isinstance(answer, Failure):
            balances = await self._balances(market)
            if balances != (0, 0):
                logger.warning("redeem in {} did not happen: {}", market.slug, answer.what)
                return False
        paid = ledger.redeem(market.condition_id)
        if isinstance(answer, int) and answer != paid:
            raise AssertionError(f"{market.slug}: redeemed {answer}, the ledger expected {paid}")
        self.ctx.tell(f"{market.slug}: redeemed {amount_text(paid)}")
        return True

    def _close(self, market: Market) -> None:
        """Freeze the interval's figures and forget the market."""
        account, record = self.ctx.account, self.ctx.records.of(market)
        record.final = record.interval(account.ledger.books[market.condition_id])
        account.ledger.close(market.condition_id)
        account.release(market.condition_id)
        del self.watched[market.condition_id]
        self._asked_at.pop(market.slug, None)
