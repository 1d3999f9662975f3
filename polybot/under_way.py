"""Transactions of ours that are under way, each followed to its end by whatever can be had.

By its id, by its receipt, and where there is neither, by the shares the chain shows. An id that we
have not read is looked for in the relayer's list, by the name that went with the calls. Two
absences say that nothing happened, if the shares are unmoved, too: from that list, a while after
the last moment at which anything of ours can have left; or without a list from the chain after
GRACE_S, when no signature of ours can be mined any more (onchain.md 7.3: ten minutes).
"""

from __future__ import annotations

from collections.abc import Iterable

import attrs
from loguru import logger

from polybot.context import Context
from polybot.domain.halts import Halt
from polybot.domain.market import Market
from polybot.domain.orders import Failure
from polybot.domain.units import amount_text
from polybot.execution.inventory import Setbacks, SubmitBudget
from polybot.in_flight import SLOW_S, InFlight
from polybot.journal.entries import Moved
from polybot.move_proof import MoveProof
from polybot.venue.chain import Chain
from polybot.venue.relayer import Fate, Progress, Refused, Sent, Way

WEARY_AFTER = 3  # failures of a market's operations in a row


@attrs.define(eq=False)
class UnderWay:
    """`flights` are the submissions whose end is not known; `stale`: balances that the venue is to
    look at again, the next one first.
    """

    ctx: Context
    chain: Chain
    proof: MoveProof
    budget: SubmitBudget
    flights: list[InFlight] = attrs.field(factory=list)
    setbacks: Setbacks = attrs.field(factory=Setbacks)
    stale: dict[str | None, None] = attrs.field(factory=dict)

    @property
    def left(self) -> list[Moved]:
        """Every operation without an end."""
        return [one for flight in self.flights for one in flight.left]

    def take_over(self, operations: Iterable[Moved]) -> None:
        """Go on following what an earlier run has asked for."""
        now_ms = self.ctx.clock.now_ms()
        for asked in operations:
            name = asked.submission
            found = next((one for one in self.flights if one.name == name), None)
            if found is None:
                found = InFlight(name, now_ms, [], silent_ms=now_ms)
                self.flights.append(found)
            found.left.append(asked)
            self.ctx.account.moving.add(asked.condition_id)
            found.evidence = found.evidence or asked.evidence

    def begin(self, flight: InFlight) -> None:
        """Follow one that is about to be sent."""
        self.ctx.account.moving.update(one.condition_id for one in flight.left)
        self.flights.append(flight)

    def forget(self, market: Market) -> None:
        """Its books are closed, and nobody asks for its balances any more: a venue that never looks
        at them would be told to for ever, and at those of later markets ever more rarely.
        """
        self.setbacks.cleared(market.condition_id)
        for token in (market.up_token, market.down_token):
            self.stale.pop(token, None)

    async def follow(self, way: Way | None) -> None:
        """Look once what became of each."""
        for flight in list(self.flights):
            await self._follow(flight, way)

    async def _follow(self, flight: InFlight, way: Way | None) -> None:
        """Find out what became of a submission, by whatever can be had."""
        now_ms = self.ctx.clock.now_ms()
        if way is not None and not flight.evidence:
            answer = await self._by_name(way, flight, now_ms)
            if answer is not None:
                await self.answered(flight, answer)
                return
        progress = await self._progress(flight, way)
        if isinstance(progress, Progress) and progress.fate is Fate.DONE:
            await self._done(flight, progress.evidence)
            return
        if isinstance(progress, Progress) and progress.fate is Fate.FAILED:
            flight.over = progress.why or "failed"
        told = isinstance(progress, Progress) and not flight.over
        if not told or flight.late(now_ms):
            await self._by_shares(flight, now_ms)
        if flight.late(now_ms):
            overdue = {one.condition_id: self._brings(one) for one in flight.left}
            self.ctx.account.overdue.update(overdue)
        if flight.left and not flight.told and now_ms > flight.asked_ms + SLOW_S * 1000:
            flight.told = True
            what = ", ".join(one.kind for one in flight.left)
            self.ctx.tell(f"{what}: no answer for {SLOW_S:g} s; looking for it on the chain")

    async def answered(self, flight: InFlight, answer: Sent | Refused) -> None:
        """Note what a submission was answered with."""
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

    async def _progress(self, flight: InFlight, way: Way | None) -> Progress | Failure | None:
        """What the venue says. The relayer's CONFIRMED counts with a receipt that agrees."""
        if way is None or not flight.evidence:
            return None
        progress = await way.progress(flight.evidence)
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
        """Let the chain's balances decide, for each market once no trade is on its way in it; or
        where, long after anything of ours could come, none of the trades explains them but by its
        not having come: one may be on its way for ever (clob.md 5.1), and no start would end. Where
        they are neither what was nor what should be, somebody else has moved shares: when nothing
        of ours can be mined any more it ends here, and who compares balances halts trading.
        """
        for one in list(flight.left):
            there = await self.proof.there(one.condition_id)
            if there is None:
                continue
            if not self.proof.still(one.condition_id):
                in_vain = self.proof.unmoved(one, there) and flight.in_vain(now_ms)
                if in_vain and flight.late(now_ms):
                    self._failed(flight, one, flight.over or flight.never)
                continue
            if there == self.proof.after(one):
                if not self.proof.behind(one.condition_id, there):
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
            self.stale |= dict.fromkeys((None, market.up_token, market.down_token))

    def _bookable(self, one: Moved) -> bool:
        """Not where the chain merged what our books do not call confirmed. A fill on its way may be
        why, and is waited for; without one they are not the same books. Nor is anything burnt
        before it is final: what confirms it later would leave shares that no sum shows.
        """
        books = self.ctx.account.ledger.books[one.condition_id]
        if one.kind == "redeem":
            return not books.unsettled()
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
            self.flights.remove(flight)
