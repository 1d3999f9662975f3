"""What the chain's balances prove of merges, splits and redemptions, whatever anybody says of them.

A relayer that retries blindly does a merge twice (F33): nobody tells, only the balances show it.
The pairs are dollars then, which is no loss, but books that do not say so halt trading. Where both
of a market's tokens are short by exactly what one of its merges took, whichever of the trades on
their way have come by then, that merge was done again, and is booked again. It need not be the last
one: another may have been asked for, and done, before the repetition came or anybody compared.
"""

from __future__ import annotations

import attrs
import trio

from polybot.account import Account
from polybot.domain.accounts import Kind
from polybot.domain.orders import Failure
from polybot.domain.settling import Settling
from polybot.journal.entries import Moved
from polybot.venue.chain import Chain

MERGES_KEPT = 32  # of each market

Pair = tuple[int, int]  # shares (10⁻⁶) of Up and of Down


@attrs.define(eq=False)
class MoveProof:
    account: Account
    chain: Chain
    _merged: dict[str, list[Moved]] = attrs.field(factory=dict)  # by market, oldest first
    _looking: trio.Lock = attrs.field(factory=trio.Lock)

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

    def merged(self, done: Moved) -> None:
        """A merge has been booked."""
        merges = self._merged.setdefault(done.condition_id, [])
        merges.append(done)
        del merges[:-MERGES_KEPT]

    def forget(self, condition_id: str) -> None:
        self._merged.pop(condition_id, None)

    async def merged_again(self, only: str | None = None) -> bool:
        """Look whether one of the merges of any market, or of one `only`, was done again, and book
        it; whether one was. Who asks while another looks waits for what that one books. A market
        with an operation under way is left to who follows that: the chain may have it already.
        """
        found, moving = False, self.account.moving
        async with self._looking:
            wanted = [key for key in self._merged if key not in moving] if only is None else [only]
            for condition_id in wanted:
                if (one := await self._again(condition_id)) is not None:
                    found = True
                    await self._book(one)
        return found

    async def _book(self, one: Moved) -> None:
        self._merged[one.condition_id].remove(one)
        name = f"{one.operation_id} again"
        done = attrs.evolve(one, operation_id=name, evidence="shares on the chain")
        self.merged(done)
        await self.account.learn(done)

    async def _again(self, condition_id: str) -> Moved | None:
        """The merge that explains what the books cannot; None where several of different sizes
        would, as trades on their way may have it.
        """
        if condition_id not in self.account.ledger.books:
            return None
        known = self._settling(condition_id)
        there = await self.there(condition_id)
        if there is None or known != self._settling(condition_id) or _explained(known, there, 0):
            return None
        most = self.account.ledger.books[condition_id].holdings().mergeable
        fit = {
            one.shares: one  # of one size the newest
            for one in self._merged.get(condition_id, [])
            if one.shares <= most and _explained(known, there, one.shares)
        }
        return next(iter(fit.values())) if len(fit) == 1 else None

    def _settling(self, condition_id: str) -> tuple[Settling, Settling]:
        ledger = self.account.ledger
        market = ledger.books[condition_id].market
        up, down = market.up_token, market.down_token
        return (
            ledger.settling(Kind.SHARES, condition_id, up),
            ledger.settling(Kind.SHARES, condition_id, down),
        )


def _explained(known: tuple[Settling, Settling], there: Pair, taken: int) -> bool:
    """Whether both figures are what the books may show, less what was taken of both."""
    return all(one.may_be(shares + taken) for one, shares in zip(known, there, strict=True))
