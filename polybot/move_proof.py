"""What the chain's balances prove of merges, splits and redemptions, whatever anybody says of them.

A relayer that retries blindly does a merge or a split twice (F33): nobody tells, only the balances
show it. Pairs are dollars then, or dollars pairs, which is no loss; but books that do not say so
halt trading. Where both of a market's tokens are off by exactly what one of its moves made of them,
whichever of the trades on their way have come by then, that one was done again, and is booked
again. It need not be the last one: another may have been asked for, and done, before the repetition
came or anybody compared; then a split and a merge may both have been (seed 892).

A node may lag, and what it does not know of yet looks like something done again: a merge like a
split, and pairs that were bought like a merge. A figure that the books said within the last half a
minute is no evidence, nor is one with moves that they had not heard of then: a node shows a merge
that was mined, and not the fills which the books heard of before they heard of the merge.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Set as AbstractSet

import attrs
import trio

from polybot.account import Account
from polybot.domain.accounts import Kind
from polybot.domain.orders import Failure
from polybot.domain.settling import Settling
from polybot.execution.reconcile import STALE_MS
from polybot.journal.entries import Moved
from polybot.venue.chain import Chain

MOVES_KEPT = 32  # of each market

Pair = tuple[int, int]  # shares (10⁻⁶) of Up and of Down
Known = tuple[Settling, Settling]  # what the books say of them


@attrs.define
class _Said:
    """What the books of a market said until then, and what moves that were booked later take."""

    until_ms: int
    known: Known
    since: list[int] = attrs.field(factory=list)

    def explains(self, there: Pair) -> bool:
        taken = itertools.accumulate(self.since, initial=0)
        return any(_explained(self.known, there, so_far) for so_far in taken)


@attrs.define(eq=False)
class MoveProof:
    account: Account
    chain: Chain
    _moved: dict[str, list[Moved]] = attrs.field(factory=dict)  # by market, oldest first
    # What the books of each market have said, oldest first; of this run only.
    _said: dict[str, deque[_Said]] = attrs.field(factory=dict)
    _looking: trio.Lock = attrs.field(factory=trio.Lock)

    def __attrs_post_init__(self) -> None:
        self.account.before_booking.append(self.remember)

    def remember(self, now_ms: int) -> None:
        """The books are about to change: what they say until now a node may still show."""
        for condition_id in self.account.ledger.books:
            said, known = self._said.setdefault(condition_id, deque()), self._settling(condition_id)
            if said and said[-1].known == known and not said[-1].since:
                said.pop()
            said.append(_Said(now_ms, known))
            while said[0].until_ms < now_ms - STALE_MS:
                said.popleft()

    async def there(self, condition_id: str) -> Pair | None:
        """What the chain shows; None where it cannot be read."""
        shares = await self.chain.shares(self.account.ledger.books[condition_id].market)
        return None if isinstance(shares, Failure) else shares

    def held(self, condition_id: str) -> Pair:
        held = self.account.ledger.books[condition_id].holdings()
        return held.up, held.down

    def still(self, condition_id: str) -> bool:
        """Whether no trade is on its way, so that chain and books may be compared."""
        return not self.account.ledger.books[condition_id].unsettled()

    def after(self, one: Moved) -> Pair:
        """What an operation leaves of what is held now."""
        if one.kind == "redeem":
            return 0, 0
        change = one.shares if one.kind == "split" else -one.shares
        up, down = self.held(one.condition_id)
        return up + change, down + change

    def unmoved(self, one: Moved, there: Pair) -> bool:
        """Whether what is there shows that an operation has moved nothing; where trades on their
        way leave both open, it does not.
        """
        if one.kind == "redeem":
            return there == self.held(one.condition_id) and self.still(one.condition_id)
        known = self._settling(one.condition_id)
        return _explained(known, there, 0) and not _explained(known, there, _taken(one))

    def moved(self, done: Moved) -> None:
        """A merge or a split has been booked, by this run or an earlier one."""
        moves = self._moved.setdefault(done.condition_id, [])
        moves.append(done)
        del moves[:-MOVES_KEPT]
        for one in self._said.get(done.condition_id, ()):
            one.since.append(_taken(done))

    def forget(self, condition_id: str) -> None:
        self.account.unclear.pop(condition_id, None)
        self._moved.pop(condition_id, None)
        self._said.pop(condition_id, None)

    async def moved_again(
        self, under_way: Moved | None = None, markets: AbstractSet[str] | None = None
    ) -> bool:
        """Look whether moves of any market, of some `markets`, or of that of an operation
        `under_way`, were done again, and book them; whether any was. Who asks while another
        looks waits for what that one books. A market with an operation under way is left to who
        follows that: the chain may have it already, beside the repetition of an earlier one.
        """
        found, moving = False, self.account.moving
        async with self._looking:
            wanted = [key for key in self._moved if markets is None or key in markets]
            keys = [key for key in wanted if key not in moving]
            for condition_id in keys if under_way is None else [under_way.condition_id]:
                if condition_id not in self.account.ledger.books:
                    continue
                known = self._settling(condition_id)
                those = await self._again(condition_id, known, under_way)
                if those:
                    found |= await self._book(condition_id, known, those)
        return found

    async def _book(self, condition_id: str, known: Known, those: tuple[Moved, ...]) -> bool:
        """Enter moves that were done again, if the books are still those that they explain."""

        def again() -> tuple[Moved, ...]:
            if not self._known_still(condition_id, known):
                return ()
            for one in those:
                self._moved[condition_id].remove(one)
            done = tuple(one.done_again("shares on the chain") for one in those)
            for one in done:
                self.moved(one)
            return done

        booked = bool(await self.account.learn_as(again))
        if not booked:
            self._left_open(condition_id)
        return booked

    def _known_still(self, condition_id: str, known: Known) -> bool:
        """Whether a market's books say what they said, and have not been closed."""
        open_ = condition_id in self.account.ledger.books
        return open_ and self._settling(condition_id) == known

    async def _again(
        self, condition_id: str, known: Known, under_way: Moved | None
    ) -> tuple[Moved, ...]:
        """The moves that explain what the books cannot, alone or with the one under way."""
        there = await self.there(condition_id)
        if there is None or not self._known_still(condition_id, known):
            return ()
        taken = 0
        if under_way is None:
            if condition_id in self.account.moving:
                return ()  # what was asked for since may be in the answer
        elif under_way.kind != "redeem":
            taken = _taken(under_way)
            if _explained(known, there, taken):
                return ()  # it may have been mined since its follower looked
        found = self._explaining(condition_id, known, there)
        if found or found is None or not taken:
            return found or ()
        return self._explaining(condition_id, known, (there[0] + taken, there[1] + taken)) or ()

    def _explaining(self, condition_id: str, known: Known, there: Pair) -> tuple[Moved, ...] | None:
        """Nothing where no move explains what is there; None where none is needed, or where several
        would that come to other sizes, as trades on their way may have it.
        """
        needed = not _explained(known, there, 0)
        behind = needed and self.behind(condition_id, there)
        found = self._fitting(condition_id, known, there) if needed and not behind else None
        if needed and found is None:
            self._left_open(condition_id)
        else:
            self.account.unclear.pop(condition_id, None)
        return found

    def _left_open(self, condition_id: str) -> None:
        """For half a minute, for no node is further behind, or until trades on their way come."""
        self.account.unclear.setdefault(condition_id, self.account.clock.now_ms())

    def _fitting(self, condition_id: str, known: Known, there: Pair) -> tuple[Moved, ...] | None:
        done = self._moved.get(condition_id, [])
        for together in (1, 2):  # one of them, or else one of each kind
            fit = {
                taken: those  # of one size the newest
                for those in itertools.combinations(done, together)
                if len({one.kind for one in those}) == together
                and _explained(known, there, taken := sum(map(_taken, those)))
                and self._bookable(those)
            }
            if fit:
                return next(iter(fit.values())) if len(fit) == 1 else None
        return ()

    def behind(self, condition_id: str, there: Pair) -> bool:
        """Whether this is what was there a short while ago, so that a node may show it."""
        late = self.account.clock.now_ms() - STALE_MS
        said = self._said.get(condition_id, ())
        return any(one.until_ms >= late and one.explains(there) for one in said)

    def _bookable(self, those: tuple[Moved, ...]) -> bool:
        """Whether the ledger takes them one after the other: a merge wants confirmed pairs."""
        pairs = self.account.ledger.books[those[0].condition_id].holdings().mergeable
        for one in those:
            if one.kind == "merge" and one.shares > pairs:
                return False
            pairs -= _taken(one)
        return True

    def _settling(self, condition_id: str) -> Known:
        ledger = self.account.ledger
        market = ledger.books[condition_id].market
        up, down = market.up_token, market.down_token
        return (
            ledger.settling(Kind.SHARES, condition_id, up),
            ledger.settling(Kind.SHARES, condition_id, down),
        )


def _taken(one: Moved) -> int:
    """What it takes of both shares."""
    return one.shares if one.kind == "merge" else -one.shares


def _explained(known: Known, there: Pair, taken: int) -> bool:
    """Whether both figures are what the books may show, less what was taken of both."""
    return all(one.may_be(shares + taken) for one, shares in zip(known, there, strict=True))
