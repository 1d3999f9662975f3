"""Settlement: pairs merged, results read, winners redeemed, books closed.

One task for the wallet. It asks for one operation at a time; an operation without a definite answer
is settled by reading balances, never by asking again. Only confirmed shares are merged.
"""

from __future__ import annotations

import attrs
import trio
from loguru import logger

from polybot.context import Context
from polybot.domain.halts import Halt
from polybot.domain.ledger import Holdings
from polybot.domain.market import Market, Outcome
from polybot.domain.orders import Failure
from polybot.domain.units import SHARE, amount_text
from polybot.journal.entries import Closed, Moved, Resolved
from polybot.journal.store import JournalFailed
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
    # Operations without a definite answer, one a market: balances decide, and nothing more is asked
    # of that market until they have.
    in_doubt: dict[str, Moved] = attrs.field(factory=dict)
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
        asked = await self._asking(market, "merge", shares)
        if asked is not None:
            answer = await self.operations.merge(market.condition_id, shares)
            await self._answered(market, asked, answer)

    async def _redeem(self, market: Market) -> bool:
        """Redeem what is held; True when nothing is left to redeem."""
        held = self._held(market)
        if held.up == held.down == 0:
            return True
        if self.operations is None:
            return False
        if held.up != held.up_confirmed or held.down != held.down_confirmed:
            return False  # a fill is still on its way to the chain: its shares cannot be redeemed
        asked = await self._asking(market, "redeem", held.up + held.down)
        if asked is None:
            return False
        answer = await self.operations.redeem(market.condition_id)
        return await self._answered(market, asked, answer)

    async def _asking(self, market: Market, kind: str, shares: int) -> Moved | None:
        """Write down what we are about to ask for; None, and nothing is asked, when that fails."""
        operation_id = f"{kind}-{market.slug}-{self.ctx.clock.now_ms()}"
        asked = Moved(market.condition_id, kind, "asked", operation_id, shares)
        try:
            await self.ctx.account.journal.append(asked)
        except JournalFailed:
            return None
        self.ctx.account.moving.add(market.condition_id)
        return asked

    async def _answered(self, market: Market, asked: Moved, answer: int | Failure) -> bool:
        """Book a definite answer; anything else is a doubt that balances will decide."""
        if isinstance(answer, Failure):
            logger.warning("{}: an operation has no answer: {}", market.slug, answer.what)
            self.in_doubt[market.condition_id] = asked
            return False
        await self._booked(market, asked, answer)
        return True

    def _held(self, market: Market) -> Holdings:
        return self.ctx.account.ledger.books[market.condition_id].holdings()

    async def _booked(self, market: Market, asked: Moved, moved: int | None) -> None:
        """Enter a done operation in the ledger. A sum that is not ours stops trading for good."""
        books = self.ctx.account.ledger.books[market.condition_id]
        expected = books.worst_value if asked.kind == "redeem" else asked.shares
        evidence = "balances" if moved is None else "operation"
        done = attrs.evolve(asked, step="done", paid=expected, evidence=evidence)
        await self.ctx.account.learn(done)
        self.ctx.account.moving.discard(market.condition_id)
        self.ctx.tell(f"{market.slug}: {asked.kind}d {amount_text(expected)}")
        if moved is not None and moved != expected:
            said = f"{asked.kind}d {amount_text(moved)}, expected {amount_text(expected)}"
            self.ctx.health.halt(Halt.LEDGER_DRIFT, f"{market.slug} {said}")

    async def _resolve_doubt(self, market: Market) -> None:
        """Compare balances with the ledger until they say whether the operation happened.

        They fit one of the two, or a fill is on its way and they fit neither: then look again.
        """
        asked = self.in_doubt[market.condition_id]
        held, shares = self._held(market), asked.shares
        after = (0, 0) if asked.kind == "redeem" else (held.up - shares, held.down - shares)
        tokens = (market.up_token, market.down_token)
        there = tuple([await self.ctx.client.balance(token) for token in tokens])
        if held != self._held(market):
            return
        if there == after:
            del self.in_doubt[market.condition_id]
            await self._booked(market, asked, None)
        elif there == (held.up, held.down):
            del self.in_doubt[market.condition_id]
            self.ctx.account.moving.discard(market.condition_id)
            self.ctx.account.journal.note(attrs.evolve(asked, step="failed", evidence="balances"))

    # --- results -------------------------------------------------------------------------

    async def _settle(self, market: Market, *, final: bool) -> None:
        record = self.ctx.records.of(market)
        if record.outcome is None:
            record.outcome = await self._outcome(market, final=final)
            if record.outcome is None:
                return
            payout = SHARE if record.outcome is Outcome.UP else 0
            await self.ctx.account.learn(Resolved(market.condition_id, payout, "Gamma"))
            self.ctx.tell(f"{market.slug}: resolved {record.outcome.value}")
        books = self.ctx.account.ledger.books[market.condition_id]
        if await self._redeem(market) and not books.unsettled():
            await self._close(market)
        elif self.operations is None:
            self.ctx.account.release(market.condition_id)  # nothing more is heard of its orders

    async def _outcome(self, market: Market, *, final: bool) -> Outcome | None:
        now = trio.current_time()
        if not final and now < self._asked_at.get(market.slug, 0) + RESULT_POLL_S:
            return None
        self._asked_at[market.slug] = now
        meta = await market_by_slug(self.ctx.gamma, market.series, market.slug)
        return meta.outcome if isinstance(meta, MarketMeta) else None

    async def _close(self, market: Market) -> None:
        """Freeze the interval's figures and forget the market."""
        account, record = self.ctx.account, self.ctx.records.of(market)
        books = account.ledger.books[market.condition_id]
        final = record.final = record.interval(books)
        await account.learn(
            Closed(market.condition_id, books.realised, final.fees, final.rebate_estimate)
        )
        account.release(market.condition_id)
        del self.watched[market.condition_id]
        self._asked_at.pop(market.slug, None)
