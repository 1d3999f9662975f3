"""Money that the venue pays us, or somebody sends us: read, and booked with its evidence.

The venue pays rebates and rewards once a day, unannounced (clob.md 6.2, 6.3): cash is then above
what the books explain, and the Data API tells why. It is asked when that happens, now and then
without a reason, and at a start before cash is judged. A payment is known by its evidence; what was
booked within OVERLAP_S stays in the journal, so that no start books it twice.

The index may lag behind the wallet. A start that meets such cash books it as of unknown origin;
when the row appears, the dollars move to the account they belong to. So they do where the start has
found less, or nothing: what had been paid by then was in the cash that the books were made to be.
"""

from __future__ import annotations

from collections.abc import Callable

import attrs
import trio
from loguru import logger

from polybot.account import Account
from polybot.domain.orders import Failure
from polybot.domain.units import amount_text
from polybot.journal.entries import ORIGIN_KNOWN, Paid
from polybot.venue.data_reads import Payment, payments, without_transaction
from polybot.venue.rest import Rest

OVERLAP_S = 2 * 86_400  # how far back rows are read again: the index has been seen hours late
UNASKED_S = 600.0  # how often it is asked without a reason
SHOWN_S = 30  # a balance shows by then what was paid


@attrs.define(eq=False)
class Payments:
    """`since_s`: rows up to this Unix second are in the wallet's first balance. `unexplained`
    dollars of unknown origin were found at starts, at this or of earlier runs: the index may be
    later than the next start. `found_s`: when a start last compared the books with the wallet.
    """

    rest: Rest
    account: Account
    wallet: str
    known: dict[str, int] = attrs.field(factory=dict)  # evidence → the second it was paid
    since_s: int = 0
    unexplained: int = 0
    found_s: int = 0
    tell: Callable[[str], None] = lambda _: None
    _asked_at: float | None = None

    async def look(self, *, surplus: bool) -> None:
        """Read payments if there is a reason to, or if it is time."""
        now = trio.current_time()
        if surplus or self._asked_at is None or now >= self._asked_at + UNASKED_S:
            await self.read()

    async def read(self) -> bool:
        """Book every payment not booked yet; False when they could not be read, which decides
        nothing.
        """
        self._asked_at = trio.current_time()
        since_s = max(self.since_s + 1, self._now_s() - OVERLAP_S)
        found = await payments(self.rest, self.wallet, since_s)
        if isinstance(found, Failure):
            logger.warning("payments could not be read: {}", found.what)
            return False
        for one in found:
            if one.at_s >= since_s and not self._knows(one):
                await self._book(one)
        return True

    def recent(self) -> tuple[tuple[str, int], ...]:
        """What a later start must know to book nothing twice, whatever our clock says now: it may
        be ahead, and be set right by then.
        """
        oldest = min(self._now_s(), max(self.known.values(), default=0)) - OVERLAP_S
        return tuple((name, at_s) for name, at_s in self.known.items() if at_s >= oldest)

    def found(self, change: int, at_s: int) -> None:
        """A start has made the books what the wallet had then; `change` nobody explains yet."""
        self.unexplained += max(0, change)
        self.found_s = at_s

    def _knows(self, one: Payment) -> bool:
        """Whether it is booked. The row of a payment may be read before it tells its transaction
        and after, in whichever order, and is known by the name that tells more.
        """
        if one.evidence in self.known:
            return True
        untold = without_transaction(one.evidence, one.at_s)
        if one.evidence == untold:
            names = self.known.items()
            return any(without_transaction(name, at_s) == untold for name, at_s in names)
        if self.known.pop(untold, None) is None:
            return False
        self.known[one.evidence] = one.at_s
        return True

    async def _book(self, one: Payment) -> None:
        self.known[one.evidence] = one.at_s
        facts = [Paid(one.account, one.amount, one.evidence, one.at_s)]
        in_it = one.at_s <= self.found_s and one.amount <= self.unexplained
        if in_it or one.at_s < self.found_s - SHOWN_S:
            self.unexplained = max(0, self.unexplained - one.amount)
            facts.append(Paid("deposit", -one.amount, ORIGIN_KNOWN + one.evidence))
        await self.account.learn(*facts)
        self.tell(f"{one.account} of {amount_text(one.amount)} received")

    def _now_s(self) -> int:
        return self.rest.clock.now_ms() // 1000
