"""What ended windows pay, and what has become of their shares without us.

Gamma says when to look for a result, the chain says what it is (F37). While the two differ the
books follow the chain and nothing is redeemed.

An operator of the venue's may redeem for us, unasked (onchain.md 10): the shares of an ended window
are gone then, all of them or those that pay, and dollars are there. Where the chain shows a payout
and not one share of ours that is paid for, with no trade on its way, nor such a wallet in the books
of a short while ago, which a node may still show, that is what has happened: it is booked as a
redemption, for a look at balances would take it for a drift, and a start for a deposit. Whoever
took them otherwise has left no dollars, and their want halts. Shares that have lost are worth as
much in our books as in the wallet, and are left there.
"""

from __future__ import annotations

from collections.abc import Iterable, Set as AbstractSet

import attrs
import trio
from loguru import logger

from polybot.context import Context
from polybot.domain.market import Market
from polybot.domain.market_books import MarketBooks
from polybot.domain.orders import Failure
from polybot.domain.units import SHARE, amount_text
from polybot.journal.entries import Moved, Resolved
from polybot.move_proof import MoveProof, Pair
from polybot.records import outcome_text
from polybot.venue.chain import Chain
from polybot.venue.gamma import MarketMeta, market_by_slug

RESULT_POLL_S = 5.0  # how often Gamma is asked about an ended market
GAMMA_LATE_S = 600.0  # after so long the chain is asked without it


@attrs.define(eq=False)
class Results:
    ctx: Context
    chain: Chain
    proof: MoveProof
    conflicts: dict[str, str] = attrs.field(factory=dict)  # markets whose result is disputed
    _asked_at: dict[str, float] = attrs.field(factory=dict)
    _unresolved: set[str] = attrs.field(factory=set)  # that have been told as such, by slug
    _unheard: bool = False  # it has been told that the chain cannot be read
    _looking: trio.Lock = attrs.field(factory=trio.Lock)

    def forget(self, market: Market) -> None:
        self._asked_at.pop(market.slug, None)
        self._unresolved.discard(market.slug)

    async def silence(self) -> str | None:
        """Why the chain cannot be read for minutes now: told once, and asked for again."""
        reads = self.chain.reads
        if reads.silence is not None:
            await self.chain.chain_id()
        why = reads.silence
        if why is not None and not self._unheard:
            self.ctx.records.faults["chain unread"] += 1
            logger.error("nothing is merged or redeemed: {}", why)
            self.ctx.tell(f"nothing is merged or redeemed: {why}")
        elif why is None and self._unheard:
            self.ctx.tell("the Polygon node answers again")
        self._unheard = why is not None
        return why

    # --- results -----------------------------------------------------------------------------

    def in_turn(self, markets: Iterable[Market]) -> list[Market]:
        """Those first that have been asked about longest ago, or never."""
        return sorted(markets, key=lambda market: self._asked_at.get(market.slug, 0))

    async def look(self, market: Market, *, final: bool) -> None:
        """Learn the result from the chain, once Gamma tells one, or has told nothing for long."""
        if not self._may_ask(market, final=final):
            return
        meta = await market_by_slug(self.ctx.gamma, market.series, market.slug)
        said = meta.up_payout if isinstance(meta, MarketMeta) else None
        if said is None and self.ctx.clock.now_ms() < market.end_ms + GAMMA_LATE_S * 1000:
            return
        payout = await self.chain.up_payout(market)
        if payout is None or isinstance(payout, Failure):
            self._tell_unresolved(market)
            return
        source = "chain" if said is None else "chain and Gamma"
        if said is not None and said != payout:
            self._disputed(market, said, payout)
            source = "chain, against Gamma"
        else:
            self.conflicts.pop(market.condition_id, None)
        await self._learn(market, payout, source)

    def _tell_unresolved(self, market: Market) -> None:
        """Money that waits for a result may wait for hours, or for ever (F36): told once."""
        late = self.ctx.clock.now_ms() >= market.end_ms + GAMMA_LATE_S * 1000
        holds = any(self.proof.held(market.condition_id))
        if late and holds and market.slug not in self._unresolved:
            self._unresolved.add(market.slug)
            why = f"no result for {GAMMA_LATE_S / 60:g} minutes; its shares wait for one"
            self.ctx.tell(f"{market.slug}: {why}")
            logger.warning("{}: {}", market.slug, why)

    def _may_ask(self, market: Market, *, final: bool) -> bool:
        now = trio.current_time()
        if not final and now < self._asked_at.get(market.slug, 0) + RESULT_POLL_S:
            return False
        self._asked_at[market.slug] = now
        return True

    async def _learn(self, market: Market, payout: int, source: str) -> None:
        if self.ctx.account.ledger.books[market.condition_id].up_payout is None:
            await self.ctx.account.learn(Resolved(market.condition_id, payout, source))
            self.ctx.settled(market.condition_id, payout)
            self.ctx.tell(f"{market.slug}: resolved {outcome_text(payout)}")

    def _disputed(self, market: Market, gamma: int, chain: int) -> None:
        """An alarm, and no redemption: one of the two will come round (F37)."""
        why = f"Gamma says {outcome_text(gamma)}, the chain {outcome_text(chain)}"
        if self.conflicts.get(market.condition_id) != why:
            self.conflicts[market.condition_id] = why
            self.ctx.records.faults["result disputed"] += 1
            self.ctx.tell(f"{market.slug}: not redeemed: {why}")
            logger.error("{}: {}", market.slug, why)

    # --- redeemed without us -----------------------------------------------------------------

    async def redeemed(self, markets: AbstractSet[str] | None = None) -> bool:
        """Look whether shares of these markets, or of any that has ended, were redeemed without
        us, and book it; whether any were.
        """
        found = False
        async with self._looking:
            for condition_id, books in list(self.ctx.account.ledger.books.items()):
                wanted = markets is None or condition_id in markets
                if wanted and self._may_be_redeemed(books):
                    found |= await self._redeemed_without_us(books)
        return found

    def _may_be_redeemed(self, books: MarketBooks) -> bool:
        key = books.market.condition_id
        if self.ctx.account.ledger.books.get(key) is not books:
            return False  # closed while another market was looked at
        ended = books.market.end_ms < self.ctx.clock.now_ms()
        idle = key not in self.ctx.account.moving and self.proof.still(key)
        return ended and idle and any(self.proof.held(key))

    async def _redeemed_without_us(self, books: MarketBooks) -> bool:
        market = books.market
        key = market.condition_id
        held, there = self.proof.held(key), await self.proof.there(key)
        if there is None or there == held or self.proof.behind(key, there):
            return False
        payout = await self.chain.up_payout(market)
        # While these answers were on their way trades may have been learnt, or another look booked.
        if not isinstance(payout, int) or not self._may_be_redeemed(books):
            return False
        if not _paid_out(held, there, payout):
            return False
        await self._learn(market, payout, "chain")
        return await self._book(books, held)

    async def _book(self, books: MarketBooks, held: Pair) -> bool:
        market = books.market

        def redeemed() -> tuple[Moved, ...]:
            if not self._may_be_redeemed(books) or self.proof.held(market.condition_id) != held:
                return ()
            key, name = market.condition_id, f"seen-{self.ctx.clock.now_ms()}.0"
            shares, how = sum(held), "shares on the chain"
            return (Moved(key, "redeem", "done", name, shares, books.worst_value, how),)

        booked = await self.ctx.account.learn_as(redeemed)
        for done in booked:
            logger.warning("{}: redeemed without us", market.slug)
            self.ctx.tell(f"{market.slug}: redeemed without us, {amount_text(done.paid)}")
            for token in (None, market.up_token, market.down_token):
                await self.ctx.client.refresh(token)
        return bool(booked)


def _paid_out(held: Pair, there: Pair, up_payout: int) -> bool:
    """Whether what is there lacks all that pays, and of the rest all or nothing."""
    each = zip(held, there, (up_payout, SHARE - up_payout), strict=True)
    left = all(now == 0 or (pays == 0 and now == before) for before, now, pays in each)
    return left and there != held
