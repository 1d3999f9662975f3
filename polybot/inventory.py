"""The inventory engine's shell: pairs merged, results read, winners redeemed, books closed.

One task for the wallet. `execution/inventory.py` says what is due; here it is written to the
journal, sent, and followed to its end (`under_way.py`). Nothing is ever asked for again while its
end is not known.
"""

from __future__ import annotations

from collections.abc import Iterable, Set as AbstractSet

import attrs
import trio
from loguru import logger

from polybot.context import Context
from polybot.domain.market import Market, Outcome
from polybot.domain.orders import Failure
from polybot.domain.units import USD
from polybot.execution.inventory import (
    Capital,
    InventoryParams,
    Operation,
    Place,
    Plan,
    SubmitBudget,
    plan,
)
from polybot.in_flight import SLOW_S, InFlight
from polybot.journal.entries import Closed, Moved
from polybot.journal.store import JournalFailed
from polybot.move_proof import MoveProof
from polybot.results import Results
from polybot.under_way import UnderWay
from polybot.venue import calls
from polybot.venue.calls import Call
from polybot.venue.chain import Chain
from polybot.venue.relayer import Way
from polybot.wallet_standing import SPLITS

ROUND_S = 2.0
# Of a round, for results: dozens of windows may wait for theirs, Gamma may answer none of them, and
# what is quoted now is to be merged all the same.
RESULTS_S = 5.0
QUIET_AFTER_END_S = 10.0  # late trades of the last second are told by then
PARKED_MS = 600_000  # L5: what has a result for so long and is not paid is told of
FAILED = "its last merge failed"
UNCLEAR = "the chain shows what may be a move done again"


@attrs.define(eq=False)
class Inventory:
    """`way` is None where the wallet has no way onto the chain: shares stay, with `why` told."""

    ctx: Context
    params: InventoryParams
    chain: Chain
    way: Way | None
    why: str = ""
    watched: dict[str, Market] = attrs.field(factory=dict)
    waits: dict[str, str] = attrs.field(factory=dict)  # why a market is not served, by id
    budget: SubmitBudget = attrs.field(init=False)
    proof: MoveProof = attrs.field(init=False)
    under_way: UnderWay = attrs.field(init=False)
    results: Results = attrs.field(init=False)
    # Since when markets with a result wait to be redeemed; None where it has been told.
    _parked: dict[str, int | None] = attrs.field(factory=dict)
    _one_round: trio.Lock = attrs.field(factory=trio.Lock)

    @budget.default
    def _whole_budget(self) -> SubmitBudget:
        return SubmitBudget(self.params.submits_per_minute, self.params.submits_per_day)

    @proof.default
    def _proof(self) -> MoveProof:
        return MoveProof(self.ctx.account, self.chain)

    @under_way.default
    def _under_way(self) -> UnderWay:
        return UnderWay(self.ctx, self.chain, self.proof, self.budget)

    @results.default
    def _results(self) -> Results:
        return Results(self.ctx, self.chain, self.proof)

    def watch(self, market: Market) -> None:
        """Serve this market until its books are closed. A result known from before is compared
        again: an earlier run may have booked it in dispute.
        """
        self.watched.setdefault(market.condition_id, market)
        books = self.ctx.account.ledger.books.get(market.condition_id)
        if books is not None and books.up_payout is not None:
            self.results.conflicts.setdefault(market.condition_id, "not compared since the start")

    def take_over(self, operations: list[Moved]) -> None:
        """Go on following what an earlier run has asked for, and counting what the day allows."""
        for at_ms in self.ctx.recovered.submissions_ms:
            self.budget.spend(at_ms)
        for done in self.ctx.recovered.moves:
            self.proof.moved(done)
        self.under_way.take_over(operations)
        self._claim(Plan())

    async def resolve(self) -> bool:
        """Look once what became of everything under way; True when the end of all is known."""
        async with self._one_round:
            await self.under_way.follow(self.way)
        return not self.under_way.flights

    async def run(self) -> None:
        while True:
            await self.round()
            await trio.sleep(ROUND_S)

    async def round(self, *, final: bool = False) -> None:
        """Follow what is under way, look for results, and ask for what is due; `final` asks for
        results without waiting for the poll, and for nothing else.
        """
        async with self._one_round:
            await self.under_way.follow(self.way)
            await self._refresh()
            until = trio.current_time() + RESULTS_S
            for market in self.results.in_turn(self.watched.values()):
                await self._settle(market, final=final)
                if trio.current_time() >= until:
                    break  # the next round begins with the others
            if not final:
                await self._act()

    async def _refresh(self) -> None:
        """Have the venue look at what we have moved. Where it does not answer that ends the round,
        and the next one begins with another: eleven tokens every two seconds, of five markets, are
        more than it takes (clob.md 7.1).
        """
        stale = self.under_way.stale
        for token in list(stale):
            answer = await self.ctx.client.refresh(token)
            del stale[token]
            if answer is not None:
                stale[token] = None
                return

    # --- what is due -------------------------------------------------------------------------

    async def _act(self) -> None:
        silence = await self.results.silence()
        if self.way is None:
            self._claim(Plan())  # what an earlier run has asked for may have ended since
            self._tell_unmergeable(self.why)
        elif not self.ctx.stopping:
            await self._ask_for(self.way, silence)
            self._tell_parked()

    def _tell_parked(self) -> None:
        """A redemption may wait for ever, for a trade that never settles (clob.md 5.1)."""
        now_ms, books = self.ctx.clock.now_ms(), self.ctx.account.ledger.books
        due = [key for key in self.waits if key in books and books[key].up_payout is not None]
        self._parked = {key: self._parked.get(key, now_ms) for key in due}
        for key, since_ms in self._parked.items():
            if since_ms is not None and now_ms >= since_ms + PARKED_MS:
                self._parked[key] = None
                why = f"not redeemed for {PARKED_MS // 60_000} minutes: {self.waits[key]}"
                self.ctx.tell(f"{books[key].market.slug}: {why}")
                logger.warning("{}: {}", books[key].market.slug, why)

    async def _ask_for(self, way: Way, silence: str | None) -> None:
        """Ask for what is due, once the chain has shown nothing that the books lack or may lack: a
        move beside one that was done again is not told from it. Whoever else has looked meanwhile
        may have booked it: only what is still called for is sent.
        """
        looked = await self._decide(way, silence)
        self.waits = dict(looked.waits)
        if not looked.operations or await self.explained(looked.operations):
            return
        now = self._planned(way, silence or self.budget.obstacle(self.ctx.clock.now_ms()))
        unclear = self.ctx.account.unclear
        clear = [one for one in looked.operations if one.condition_id not in unclear]
        self.waits |= {one.condition_id: UNCLEAR for one in looked.operations if one not in clear}
        left = tuple(one for one in clear if one in now.operations)
        if left:
            await self._send(way, left)

    async def explained(self, wanted: Iterable[Operation] | None = None) -> bool:
        """Whether the chain shows what our books do not: moves done again, or shares of ended
        markets, all or those whose redemption is `wanted`, that somebody else has redeemed.
        """
        again = await self.proof.moved_again()
        redeemed = {one.condition_id for one in wanted or () if one.kind == "redeem"}
        return await self.results.redeemed(None if wanted is None else redeemed) or again

    async def moved_again(self, first: AbstractSet[str] = frozenset()) -> bool:
        """Whether the chain shows what our books do not, of these markets before all others: who
        asks does not wait until a slow node has told of every one.
        """
        again = await self.proof.moved_again(markets=first)
        return await self.results.redeemed(first) or again or await self.explained()

    async def _decide(self, way: Way, silence: str | None) -> Plan:
        """What to ask for now, claimed before anything is awaited: no ask takes it any more."""
        paused = silence or self.budget.obstacle(self.ctx.clock.now_ms())
        found = self._planned(way, paused)
        if found.operations or found.claims:
            paused = await way.obstacle()
            if paused is not None:
                found = self._planned(way, paused)
        self._tell_unmergeable(paused)
        return found

    def _planned(self, way: Way, obstacle: str | None) -> Plan:
        """What the books call for at this moment, claimed."""
        account, now_ms = self.ctx.account, self.ctx.clock.now_ms()
        ledger, left = account.ledger, self.under_way.left
        # What a split was to take that has not been asked for is free: it may be called for again.
        spent = sum(dollars for who, dollars in account.reserved.items() if who != SPLITS)
        splits = sum(one.shares for one in left if one.kind == "split")
        free = ledger.cash - ledger.promised - spent - splits
        most = self.ctx.config.risk.max_total_usd * USD
        capital = Capital(ledger.equity, free, most - account.at_risk - splits)
        busy = frozenset(one.condition_id for one in left)
        places = [self._place(market, now_ms) for market in self.watched.values()]
        found = plan(
            self.params, places, capital, busy=busy, setbacks=self.under_way.setbacks,
            obstacle=obstacle, batches=way.batches, now_ms=now_ms, queue=self._queue(now_ms),
        )  # fmt: skip
        self._claim(found)
        return found

    def _claim(self, found: Plan) -> None:
        """No ask may sell what merges want, or have under way; no bid spend what splits take."""
        under_way = self.under_way.left
        merging = {one.condition_id: one.shares for one in under_way if one.kind == "merge"}
        self.ctx.account.claims = dict(found.claims) | merging
        asked: list[Moved | Operation] = [*under_way, *found.operations]
        taken = sum(one.shares for one in asked if one.kind == "split")
        self.ctx.account.answer_for(SPLITS, taken, {}, {})

    def _tell_unmergeable(self, why: str | None) -> None:
        """For the quotes: where a pair that is bought now would not be a dollar soon."""
        now_ms = self.ctx.clock.now_ms()
        failed = {key: FAILED for key in self.watched if self.under_way.setbacks.waits(key, now_ms)}
        everywhere = dict.fromkeys(self.watched, why) if why is not None else {}
        self.ctx.account.unmergeable = failed | everywhere

    def _queue(self, now_ms: int) -> str | None:
        """A wallet does one thing at a time; what is lost must not stop the others for ever."""
        young = [one for one in self.under_way.flights if now_ms < one.asked_ms + SLOW_S * 1000]
        return "another transaction is on its way" if young else None

    def _place(self, market: Market, now_ms: int) -> Place:
        account = self.ctx.account
        books = account.ledger.books[market.condition_id]
        up, down = (account.pledged(market.token(outcome)) for outcome in Outcome)
        return Place(
            market.condition_id,
            books.holdings(),
            None if market.condition_id in self.results.conflicts else books.up_payout,
            open=now_ms < market.end_ms,
            settled=not (books.unsettled() or up or down),
            fresh=not (books.transactions or self.ctx.health.halted),
            room=account.room_to_split(market.condition_id, self.ctx.config.risk),
            pledged_up=up,
            pledged_down=down,
        )

    # --- asking ------------------------------------------------------------------------------

    async def _send(self, way: Way, operations: tuple[Operation, ...]) -> None:
        """Write down what we are about to ask for, then ask. Nothing is asked unwritten."""
        now_ms = self.ctx.clock.now_ms()
        name = f"polybot-{now_ms}"
        asked = [
            Moved(one.condition_id, one.kind, "asked", f"{name}.{n}", one.shares)
            for n, one in enumerate(operations)
        ]
        try:
            await self.ctx.account.journal.append(*asked)
        except JournalFailed:
            return
        if self.ctx.stopping:  # meanwhile: what left now, only the next start could follow
            why = "stopped before it left"
            over = [attrs.evolve(one, step="failed", evidence=why) for one in asked]
            self.ctx.account.journal.note(*over)
            return
        flight = InFlight(name, now_ms, list(asked))
        self.under_way.begin(flight)
        self.budget.spend(now_ms)
        answer = await way.send(name, [call for one in asked for call in self._calls(one)])
        if isinstance(answer, Failure):
            flight.said = answer.what
            logger.warning("{}: no answer: {}", name, answer.what)
        else:
            await self.under_way.answered(flight, answer)

    def _calls(self, asked: Moved) -> list[Call]:
        market = self.watched[asked.condition_id]
        if asked.kind == "merge":
            return calls.merge(market, asked.shares)
        if asked.kind == "split":
            return calls.split(market, asked.shares)
        return calls.redeem(market, *self.proof.held(asked.condition_id))

    # --- results -----------------------------------------------------------------------------

    async def _settle(self, market: Market, *, final: bool) -> None:
        now_ms = self.ctx.clock.now_ms()
        if now_ms < market.end_ms + QUIET_AFTER_END_S * 1000:
            return
        books = self.ctx.account.ledger.books[market.condition_id]
        known = books.up_payout is not None and market.condition_id not in self.results.conflicts
        if not known:
            await self.results.look(market, final=final)
        if books.up_payout is None:
            return
        self.ctx.records.of(market).resolved(books.up_payout, now_ms)
        if self._may_be_filled(market.condition_id):
            return
        if books.done and market.condition_id not in self.ctx.account.moving:
            await self._close(market)
        elif self.way is None and market.condition_id not in self.waits:
            self.waits[market.condition_id] = self.why
            self.ctx.account.release(market.condition_id)  # nothing more is heard of its orders

    def _may_be_filled(self, condition_id: str) -> bool:
        """Whether an order there has no proven end: its scope asks the venue on, or it rests where
        no desk knows it. Forgotten it would be nobody's: no fill of it would be booked, and a look
        at the wallet call it empty, so that the venue's switch was held off over it.
        """
        asked = condition_id in self.ctx.account.routes
        return asked or self.ctx.reconciler.adrift.left_in(condition_id)

    async def _close(self, market: Market) -> None:
        """Freeze the interval's figures and forget the market."""
        account, key = self.ctx.account, market.condition_id
        books = account.ledger.books[key]

        def closed() -> tuple[Closed, ...]:
            if not books.done or self._may_be_filled(key):
                return ()  # something was told while the disk was waited for
            final = self.ctx.records.close(market, books, self.ctx.clock.now_ms())
            return (Closed(key, books.realised, final.fees, final.rebate_estimate),)

        if not await account.learn_as(closed):
            return
        account.release(market.condition_id)
        del self.watched[market.condition_id]
        self.proof.forget(market.condition_id)
        self.results.forget(market)
        self.under_way.forget(market)
