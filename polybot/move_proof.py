"""What the chain's balances prove of merges, splits and redemptions, whatever anybody says of them.

A relayer that retries blindly does a merge twice (F33): nobody tells, only the balances show it.
The pairs are dollars then, which is no loss, but books that do not say so halt trading. Where both
of a market's tokens are short by exactly what the last merge took, and no trade is on its way, that
merge was done again, and is booked again.
"""

from __future__ import annotations

import attrs

from polybot.account import Account
from polybot.domain.orders import Failure
from polybot.journal.entries import Moved
from polybot.venue.chain import Chain

Pair = tuple[int, int]  # shares (10⁻⁶) of Up and of Down


@attrs.define(eq=False)
class MoveProof:
    account: Account
    chain: Chain
    _merged: dict[str, Moved] = attrs.field(factory=dict)  # the last of each market, by id

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
        self._merged[done.condition_id] = done

    def forget(self, condition_id: str) -> None:
        self._merged.pop(condition_id, None)

    async def merged_again(self) -> bool:
        """Look whether any market's last merge was done again, and book it; whether one was."""
        again = [one for one in list(self._merged.values()) if await self._again(one)]
        for one in again:
            name = f"{one.operation_id} again"
            done = attrs.evolve(one, operation_id=name, evidence="shares on the chain")
            self._merged[one.condition_id] = done
            await self.account.learn(done)
        return bool(again)

    async def _again(self, one: Moved) -> bool:
        if one.condition_id not in self.account.ledger.books or not self.still(one.condition_id):
            return False
        held = self.held(one.condition_id)
        there = await self.there(one.condition_id)
        same = held == self.held(one.condition_id) and self.still(one.condition_id)
        return same and there is not None and there == self.after(one)
