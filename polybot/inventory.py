"""The inventory engine's shell: pairs merged, results read, winners redeemed, books closed.

One task for the wallet. `execution/inventory.py` says what is due; here it is written to the
journal, sent, and followed to its end. Nothing is ever asked for again while its end is not known:
a transaction is followed by its id, by its receipt, and where there is neither, by the shares the
chain shows. An id that we have not read is looked for in the relayer's list, by the name that went
with the calls. Two absences say that nothing happened, if the shares are unmoved, too: from that
list, a while after the last moment at which anything of ours can have left; or without a list from
the chain after GRACE_S, when no signature of ours can be mined any more (onchain.md 7.3: ten
minutes).
"""

from __future__ import annotations

from collections.abc import Iterable

import attrs
import trio
from loguru import logger

from polybot.context import Context
from polybot.domain.halts import Halt
from polybot.domain.market import Market, Outcome
from polybot.domain.orders import Failure
from polybot.domain.units import amount_text
from polybot.execution.inventory import (
    Capital,
    InventoryParams,
    Operation,
    Place,
    Plan,
    Setbacks,
    SubmitBudget,
    plan,
)
from polybot.in_flight import SLOW_S, InFlight
from polybot.journal.entries import Closed, Moved
from polybot.journal.store import JournalFailed
from polybot.move_proof import MoveProof
from polybot.results import Results
from polybot.venue import calls
from polybot.venue.calls import Call
from polybot.venue.chain import Chain
from polybot.venue.relayer import Fate, Progress, Refused, Sent, Way
from polybot.wallet_standing import SPLITS

ROUND_S = 2.0
QUIET_AFTER_END_S = 10.0  # late trades of the last second are told by then
FAILED = "its last merge failed"
WEARY_AFTER = 3  # failures of a market's operations in a row


@attrs.define(eq=False)
class Inventory:
    """`way` is None where the wallet has no way onto the chain: shares stay, with `why` told."""

    ctx: Context
    params: InventoryParams
    chain: Chain
    way: Way | None
    why: str = ""
    watched: dict[str, Market] = attrs.field(factory=dict)
    in_flight: list[InFlight] = attrs.field(factory=list)
    waits: dict[str, str] = attrs.field(factory=dict)  # why a market is not served, by id
    setbacks: Setbacks = attrs.field(factory=Setbacks)
    budget: SubmitBudget = attrs.field(init=False)
    proof: MoveProof = attrs.field(init=False)
    results: Results = attrs.field(init=False)
    _stale: set[str | None] = attrs.field(factory=set)  # what the venue is to look at again
    _one_round: trio.Lock = attrs.field(factory=trio.Lock)

    @budget.default
    def _whole_budget(self) -> SubmitBudget:
        return SubmitBudget(self.params.submits_per_minute, self.params.submits_per_day)

    @proof.default
    def _proof(self) -> MoveProof:
        return MoveProof(self.ctx.account, self.chain)

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
        now_ms = self.ctx.clock.now_ms()
        for at_ms in self.ctx.recovered.submissions_ms:
            self.budget.spend(at_ms)
        for done in self.ctx.recovered.moves:
            self.proof.known(done)
        for asked in operations:
            name = asked.submission
            found = next((one for one in self.in_flight if one.name == name), None)
            if found is None:
                found = InFlight(name, now_ms, [], silent_ms=now_ms)
                self.in_flight.append(found)
            found.left.append(asked)
            self.ctx.account.moving.add(asked.condition_id)
            found.evidence = found.evidence or asked.evidence
        self._claim(Plan())

    async def resolve(self) -> bool:
        """Look once what became of everything under way; True when the end of all is known."""
        async with self._one_round:
            for flight in list(self.in_flight):
                await self._follow(flight)
        return not self.in_flight

    async def run(self) -> None:
        while True:
            await self.round()
            await trio.sleep(ROUND_S)

    async def round(self, *, final: bool = False) -> None:
        """Follow what is under way, look for results, and ask for what is due; `final` asks for
        results without waiting for the poll, and for nothing else.
        """
        async with self._one_round:
            for flight in list(self.in_flight):
                await self._follow(flight)
            # In an order of their own: a set's is another in every process (S21).
            tokens = sorted(self._stale, key=lambda token: token or "")
            self._stale -= await self.ctx.client.refreshed(tokens)
            for market in list(self.watched.values()):
                await self._settle(market, final=final)
            if not final:
                await self._act()

    # --- what is due -------------------------------------------------------------------------

    async def _act(self) -> None:
        silence = await self.results.silence()
        if self.way is None:
            self._tell_unmergeable(self.why)
        elif not self.ctx.stopping:
            decided = await self._decide(self.way, silence)
            self.waits = dict(decided.waits)
            if decided.operations and not await self.explained(decided.operations):
                await self._send(self.way, decided.operations)

    async def explained(self, wanted: Iterable[Operation] | None = None) -> bool:
        """Whether the chain shows what our books do not: moves done again, or shares of ended
        markets, all or those whose redemption is `wanted`, that somebody else has redeemed.
        """
        again = await self.proof.moved_again()
        redeemed = {one.condition_id for one in wanted or () if one.kind == "redeem"}
        return await self.results.redeemed(None if wanted is None else redeemed) or again

    async def _decide(self, way: Way, silence: str | None) -> Plan:
        """What to ask for now, claimed before anything is awaited: no ask takes it any more."""
        account, now_ms = self.ctx.account, self.ctx.clock.now_ms()
        ledger = account.ledger
        free = ledger.cash - ledger.promised - sum(account.reserved.values())
        capital = Capital(ledger.equity, free)
        busy = frozenset(one.condition_id for flight in self.in_flight for one in flight.left)
        places = [self._place(market, now_ms) for market in self.watched.values()]

        def decided(obstacle: str | None) -> Plan:
            return plan(
                self.params, places, capital, busy=busy, setbacks=self.setbacks,
                obstacle=obstacle, batches=way.batches, now_ms=now_ms, queue=self._queue(now_ms),
            )  # fmt: skip

        paused = silence or self.budget.obstacle(now_ms)
        found = decided(paused)
        self._claim(found)
        if found.operations or found.claims:
            paused = await way.obstacle()
            if paused is not None:
                found = decided(paused)
                self._claim(found)
        self._tell_unmergeable(paused)
        return found

    def _claim(self, found: Plan) -> None:
        """No ask may sell what merges want, or have under way; no bid spend what splits take."""
        under_way = [one for flight in self.in_flight for one in flight.left]
        merging = {one.condition_id: one.shares for one in under_way if one.kind == "merge"}
        self.ctx.account.claims = dict(found.claims) | merging
        asked: list[Moved | Operation] = [*under_way, *found.operations]
        taken = sum(one.shares for one in asked if one.kind == "split")
        self.ctx.account.answer_for(SPLITS, taken, {})

    def _tell_unmergeable(self, why: str | None) -> None:
        """For the quotes: where a pair that is bought now would not be a dollar soon."""
        now_ms = self.ctx.clock.now_ms()
        failed = {key: FAILED for key in self.watched if self.setbacks.waits(key, now_ms)}
        everywhere = dict.fromkeys(self.watched, why) if why is not None else {}
        self.ctx.account.unmergeable = failed | everywhere

    def _queue(self, now_ms: int) -> str | None:
        """A wallet does one thing at a time; what is lost must not stop the others for ever."""
        young = [one for one in self.in_flight if now_ms < one.asked_ms + SLOW_S * 1000]
        return "another transaction is on its way" if young else None

    def _place(self, market: Market, now_ms: int) -> Place:
        books = self.ctx.account.ledger.books[market.condition_id]
        up, down = (self.ctx.account.pledged(market.token(outcome)) for outcome in Outcome)
        return Place(
            market.condition_id,
            books.holdings(),
            None if market.condition_id in self.results.conflicts else books.up_payout,
            open=now_ms < market.end_ms,
            settled=not (books.unsettled() or up or down),
            fresh=not books.transactions,
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
        self.ctx.account.moving.update(one.condition_id for one in asked)
        flight = InFlight(name, now_ms, list(asked))
        self.in_flight.append(flight)
        self.budget.spend(now_ms)
        answer = await way.send(name, [call for one in asked for call in self._calls(one)])
        if isinstance(answer, Failure):
            flight.said = answer.what
            logger.warning("{}: no answer: {}", name, answer.what)
        else:
            await self._answered(flight, answer)

    def _calls(self, asked: Moved) -> list[Call]:
        market = self.watched[asked.condition_id]
        if asked.kind == "merge":
            return calls.merge(market, asked.shares)
        if asked.kind == "split":
            return calls.split(market, asked.shares)
        return calls.redeem(market, *self.proof.held(asked.condition_id))

    async def _answered(self, flight: InFlight, answer: Sent | Refused) -> None:
        if isinstance(answer, Sent):
            flight.evidence = answer.evidence
            sent = [attrs.evolve(one, step="sent", evidence=answer.evidence) for one in flight.left]
            self.ctx.account.journal.note(*sent)
            return
        now_ms = self.ctx.clock.now_ms()
        if answer.again_s is not None:
            self.budget.pause(now_ms + round(answer.again_s * 1000), answer.why)
        for one in list(flight.left):
            self._failed(flight, one, answer.why)

    # --- following ---------------------------------------------------------------------------

    async def _follow(self, flight: InFlight) -> None:
        """Find out what became of a submission, by whatever can be had."""
        now_ms = self.ctx.clock.now_ms()
        if self.way is not None and not flight.evidence:
            answer = await self._by_name(self.way, flight, now_ms)
            if answer is not None:
                await self._answered(flight, answer)
                return
        progress = await self._progress(flight)
        if isinstance(progress, Progress) and progress.fate is Fate.DONE:
            await self._done(flight, progress.evidence)
            return
        if isinstance(progress, Progress) and progress.fate is Fate.FAILED:
            flight.over = progress.why or "failed"
        told = flight.evidence and not flight.over and not isinstance(progress, Failure)
        if not told or flight.late(now_ms):
            await self._by_shares(flight, now_ms)
        if flight.late(now_ms):
            overdue = {one.condition_id: self._brings(one) for one in flight.left}
            self.ctx.account.overdue.update(overdue)
        if flight.left and not flight.told and now_ms > flight.asked_ms + SLOW_S * 1000:
            flight.told = True
            what = ", ".join(one.kind for one in flight.left)
            self.ctx.tell(f"{what}: no answer for {SLOW_S:g} s; looking for it on the chain")

    async def _by_name(self, way: Way, flight: InFlight, now_ms: int) -> Sent | Refused | None:
        """The answer that we have not read: the thread's, or what the relayer's list shows."""
        late = way.late(flight.name)
        if isinstance(late, Sent | Refused):
            return late
        if late is None and flight.silent_ms is None:
            return None
        flight.silent_ms = flight.silent_ms or now_ms
        listed = await way.listed(flight.name)
        flight.unlisted = listed is None
        return listed if isinstance(listed, Sent) else None

    async def _progress(self, flight: InFlight) -> Progress | Failure | None:
        """What the venue says. The relayer's CONFIRMED counts with a receipt that agrees."""
        if self.way is None or not flight.evidence:
            return None
        progress = await self.way.progress(flight.evidence)
        if isinstance(progress, Failure) or progress.fate is not Fate.DONE:
            return progress
        if progress.evidence == flight.evidence:  # a receipt itself, or no hash is shown
            return progress
        succeeded = await self.chain.succeeded(progress.evidence)
        if succeeded is True:
            return progress
        if succeeded is False:
            return Progress(Fate.FAILED, progress.evidence, "its receipt says that it reverted")
        return Progress(Fate.UNDER_WAY, progress.evidence)

    async def _done(self, flight: InFlight, evidence: str) -> None:
        """Book what was done; where the shares are all still there, and stay, it was not: a
        wallet's call may succeed around one that failed.
        """
        for one in list(flight.left):
            there = await self.proof.there(one.condition_id)
            if there is None:
                continue
            if not self.proof.unmoved(one, there):
                await self._booked(flight, one, evidence)
            elif flight.in_vain(self.ctx.clock.now_ms()):
                self._failed(flight, one, f"{evidence} moved nothing")

    async def _by_shares(self, flight: InFlight, now_ms: int) -> None:
        """Let the chain's balances decide, for each market once no trade is on its way in it. Where
        they are neither what was nor what should be, somebody else has moved shares: when nothing
        of ours can be mined any more it ends here, and who compares balances halts trading.
        """
        for one in list(flight.left):
            there = await self.proof.there(one.condition_id)
            if there is None or not self.proof.still(one.condition_id):
                continue
            if there == self.proof.after(one):
                await self._booked(flight, one, "shares on the chain")
                continue
            if there == self.proof.held(one.condition_id) and (
                flight.over or flight.nowhere(now_ms)
            ):
                self._failed(flight, one, flight.over or flight.never)
            elif await self.proof.moved_again(one):
                continue  # the books are others now: the next look decides
            elif flight.late(now_ms):
                self._failed(flight, one, f"the chain shows {there}, which it cannot have made")

    async def _booked(self, flight: InFlight, one: Moved, evidence: str) -> None:
        """Enter a done operation in the ledger; the venue looks at the chain until it has."""
        market = self.ctx.account.ledger.books[one.condition_id].market

        def ended() -> tuple[Moved, ...]:
            if not self._bookable(one):
                return ()
            self._over(flight, one)
            return (attrs.evolve(one, step="done", paid=self._brings(one), evidence=evidence),)

        for done in await self.ctx.account.learn_as(ended):
            if one.kind != "redeem":
                self.proof.moved(done)
            self._at_rest(one)
            self.setbacks.cleared(one.condition_id)
            self.ctx.tell(f"{market.slug}: {one.kind} {amount_text(abs(done.paid))} done")
            self._stale |= {None, market.up_token, market.down_token}

    def _bookable(self, one: Moved) -> bool:
        """Not where the chain merged what our books do not call confirmed. A fill on its way may be
        why, and is waited for; without one they are not the same books.
        """
        books = self.ctx.account.ledger.books[one.condition_id]
        short = one.kind == "merge" and one.shares > books.holdings().mergeable
        if short and not books.unsettled():
            merged, held = amount_text(one.shares), books.holdings()
            why = f"{books.market.slug}: {merged} merged, {held} held"
            self.ctx.health.halt(Halt.LEDGER_DRIFT, why)
        return not short

    def _failed(self, flight: InFlight, one: Moved, why: str) -> None:
        self._over(flight, one)
        self._at_rest(one)
        self.ctx.account.claims.pop(one.condition_id, None)
        self.ctx.account.journal.note(attrs.evolve(one, step="failed", evidence=why))
        slug = self.ctx.account.ledger.books[one.condition_id].market.slug
        count = self.setbacks.failed(one.condition_id, self.ctx.clock.now_ms())
        logger.warning("{}: {} failed: {}", slug, one.kind, why)
        if count == WEARY_AFTER:
            self.ctx.tell(f"{slug}: {one.kind} has failed {count} times: {why}")

    def _brings(self, one: Moved) -> int:
        """What it brings in dollars when it is done; negative where it takes some."""
        worst_value = self.ctx.account.ledger.books[one.condition_id].worst_value
        return {"redeem": worst_value, "merge": one.shares}.get(one.kind, -one.shares)

    def _at_rest(self, one: Moved) -> None:
        """Its market's balances may be compared again."""
        self.ctx.account.moving.discard(one.condition_id)
        self.ctx.account.overdue.pop(one.condition_id, None)

    def _over(self, flight: InFlight, one: Moved) -> None:
        flight.left.remove(one)
        if not flight.left:
            self.in_flight.remove(flight)

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
        if books.done and market.condition_id not in self.ctx.account.moving:
            await self._close(market)
        elif self.way is None:
            self.waits[market.condition_id] = self.why
            self.ctx.account.release(market.condition_id)  # nothing more is heard of its orders

    async def _close(self, market: Market) -> None:
        """Freeze the interval's figures and forget the market."""
        account, key = self.ctx.account, market.condition_id
        books = account.ledger.books[key]

        def closed() -> tuple[Closed, ...]:
            if not books.done:
                return ()  # a trade was told while the disk was waited for
            final = self.ctx.records.of(market).closed(books, self.ctx.clock.now_ms())
            return (Closed(key, books.realised, final.fees, final.rebate_estimate),)

        if not await account.learn_as(closed):
            return
        account.release(market.condition_id)
        del self.watched[market.condition_id]
        self.proof.forget(market.condition_id)
        self.results.forget(market)
        self.setbacks.cleared(market.condition_id)
