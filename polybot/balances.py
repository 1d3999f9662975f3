"""Balances of the venue beside the ledger, for the wallet's cash and every market we traded.

Part of every reconciliation, after its trades have been learnt. What lasts is drift: somebody moved
our money, or we have missed or invented a fill. Either way nothing more may be placed until an
operator has looked (G14 in reliability.md).
"""

from __future__ import annotations

from collections.abc import Iterator, Set as AbstractSet

import attrs
from loguru import logger

from polybot.account import Account
from polybot.clock import Clock
from polybot.domain.accounts import Kind as AccountKind
from polybot.domain.halts import Halt
from polybot.domain.market import Outcome
from polybot.domain.orders import Failure
from polybot.domain.units import amount_text
from polybot.execution.reconcile import Belief, Difference, DriftWatch, Kind
from polybot.venue.clob import ClobClient

CASH = "cash"
DRIFT = Halt.LEDGER_DRIFT.value


@attrs.define(eq=False)
class Balances:
    client: ClobClient
    clock: Clock
    account: Account
    watch: DriftWatch = attrs.field(factory=DriftWatch)
    _told: set[str] = attrs.field(factory=set)

    @property
    def differing(self) -> bool:
        """Whether something differed at the last look, so that the next should come soon; once it
        has stopped trading there is nothing to hurry for.
        """
        return self.watch.differing and DRIFT not in self.account.health.halted

    @property
    def surplus(self) -> bool:
        """Whether there was more cash at the last look than we know of."""
        return self.watch.surplus(CASH)

    async def compare(self) -> list[Difference]:
        """Read every balance that may be judged; the drifts among them."""
        found: list[Difference] = []
        beliefs = list(self._beliefs())
        self.watch.keep((belief.subject for belief in beliefs), self.clock.now_ms())
        for asked in beliefs:
            there = await self.client.balance(None if asked.kind is Kind.CASH else asked.subject)
            # What was learnt or begun while the answer was on its way makes it no evidence.
            if isinstance(there, Failure) or asked not in self._beliefs():
                continue
            drift = self.watch.judge(asked, there, self.clock.now_ms())
            if drift is not None:
                found.append(drift)
        return found

    def remember(self, now_ms: int) -> None:
        """The books are about to change: what they say until now the venue may still show."""
        for belief in self._beliefs(moving=frozenset()):
            self.watch.remember(belief, now_ms)

    def halt(self, drift: Difference) -> bool:
        """Stop trading for good, with both figures; whether that is news. A halted bot goes on
        comparing, and would fill its log with one difference through the night.
        """
        if drift.subject in self._told:
            return False
        self._told.add(drift.subject)
        here, there = amount_text(drift.ours), amount_text(drift.theirs)
        what = drift.kind.value if drift.kind is Kind.CASH else f"shares of {drift.subject[:12]}"
        logger.error("drift of {}: {} here, {} there", what, here, there)
        self.account.health.halt(Halt.LEDGER_DRIFT, f"{what}: {here} here, the venue shows {there}")
        return True

    def _beliefs(self, moving: AbstractSet[str] | None = None) -> Iterator[Belief]:
        """What may be judged: nothing of a market with an operation under way, and no cash then."""
        ledger = self.account.ledger
        moving = self.account.moving if moving is None else moving
        if not moving:
            cash = ledger.settling(AccountKind.CASH)
            yield Belief(Kind.CASH, CASH, cash.least, cash.most, ledger.cash)
        for key, books in ledger.books.items():
            if key in moving or not books.trades:
                continue
            for outcome in Outcome:
                token = books.market.token(outcome)
                held = ledger.settling(AccountKind.SHARES, key, token)
                shares = books.shares(outcome)
                yield Belief(Kind.SHARES, token, held.least, held.most, shares, key)
