"""Money that the venue pays us, or somebody sends us: read, and booked with its evidence.

The venue pays rebates and rewards once a day, unannounced (clob.md 6.2, 6.3): cash is then above
what the books explain, and the Data API tells why. It is asked when that happens, now and then
without a reason, and at a start before cash is judged. A payment is known by its evidence; what was
booked within OVERLAP_S stays in the journal, so that no start books it twice. Each reading goes
back to the one before it, and by OVERLAP_S more: whoever was away for a week, and whose machine has
slept so long, was paid each day of it.

The index may lag behind the wallet. A start that meets such cash books it as of unknown origin;
when the row appears, the dollars move to the account they belong to. So they do where the start has
found less, or nothing: what had been paid by then was in the cash that the books were made to be.

A new journal begins with a balance, and stamps are whole seconds: of what is paid about the second
in which that was read no row tells whether it is in it. The wallet does: it has just as much more
than the books as came later. So such rows wait until both agree, or differ by just what the newest
of them come to. A start that has found another sum than its books is in the same doubt of the half
minute before it: dollars came or went, and what was paid then may be in it or come after it.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence

import attrs
import trio
from loguru import logger

from polybot.account import Account
from polybot.domain.orders import Failure
from polybot.domain.units import amount_text
from polybot.execution.reconcile import PAYMENT_MS
from polybot.journal.entries import ORIGIN_KNOWN, Paid
from polybot.venue.data_reads import Payment, payments, without_transaction
from polybot.venue.rest import Rest

OVERLAP_S = 2 * 86_400  # how far back rows are read again: the index has been seen hours late
UNASKED_S = 600.0  # how often it is asked without a reason …
AGAIN_S = 30.0  # … and where it has told nothing: a start books as brought in what it cannot tell
SHOWN_S = 30  # a balance shows by then what was paid
# Dollars wait no longer for their evidence; half of that for a row of surely later, which the index
# may list only then, and which may be of as much.
DOUBT_MOST_S = PAYMENT_MS / 1000
DOUBT_LEAST_S = DOUBT_MOST_S / 2
FEW = 8  # rows of which any may have come later: within a second nobody knows their order


@attrs.define(eq=False)
class Payments:
    """`since_s`: rows up to this Unix second are in the wallet's first balance. `unexplained`
    dollars of unknown origin were found at starts, at this or of earlier runs: the index may be
    later than the next start. `found_s`: when a start last compared the books with the wallet.
    `read_s`: rows of before were read as they were listed then, 0: not known. An earlier run's is
    that of its sums in the journal, which name what it had booked within OVERLAP_S.
    `doubt_s`: of this second and later, up to `until_s`, they may be in the balance that the last
    start compared, or not; 0: none.
    """

    rest: Rest
    account: Account
    wallet: str
    known: dict[str, int] = attrs.field(factory=dict)  # evidence → the second it was paid
    since_s: int = 0
    unexplained: int = 0
    found_s: int = 0
    read_s: int = 0
    doubt_s: int = 0
    until_s: int = 0
    tell: Callable[[str], None] = lambda _: None
    _due_at: float = -math.inf  # when it is asked without a reason
    _began_at: float = -math.inf  # Trio's time, of the doubt
    _differed: bool = False  # the last start found another sum than its books

    def begin(self, before_s: int, since_s: int) -> None:
        """A new journal begins with a balance that was read between these seconds of the venue."""
        self.since_s = since_s
        self._doubt(before_s, since_s)

    def _doubt(self, before_s: int, until_s: int) -> None:
        self.doubt_s, self.until_s = before_s - SHOWN_S, until_s
        self._began_at = trio.current_time()

    async def look(self, *, surplus: bool, more: int | None = None) -> None:
        """Read payments if there is a reason to, or if it is time. `more`: how much more the wallet
        has than the books, if that has just been seen.
        """
        now = trio.current_time()
        if surplus or (self.doubt_s and more) or now >= self._due_at:
            await self.read(more)
        if self.doubt_s:
            self._settle(now - self._began_at, agreed=more == 0)

    def _settle(self, after_s: float, *, agreed: bool) -> None:
        """Where wallet and books agree, what was paid half a minute before is in both."""
        if agreed:
            self.doubt_s = max(self.doubt_s, self.until_s + int(after_s) - SHOWN_S + 1)
        if self.doubt_s > self.until_s or after_s >= DOUBT_MOST_S:
            self.doubt_s = 0

    async def read(self, more: int | None = None) -> bool:
        """Book every payment not booked yet; False when they could not be read, which decides
        nothing.
        """
        now, now_s = trio.current_time(), self._now_s()
        self._due_at = now + AGAIN_S
        since_s = max(self.since_s + 1, min(now_s, self.read_s or now_s) - OVERLAP_S)
        found = await payments(self.rest, self.wallet, min(since_s, self.doubt_s or since_s))
        if isinstance(found, Failure):
            logger.warning("payments could not be read: {}", found.what)
            return False
        self.read_s = now_s
        self._due_at += UNASKED_S - AGAIN_S
        doubtful = self._doubtful()
        sure = [one for one in found if one.at_s >= since_s and one.at_s not in doubtful]
        new = [one for one in sure if not self._knows(one)]
        for one in new:
            await self._book(one)
        if self.doubt_s and more and now >= self._began_at + DOUBT_LEAST_S:
            await self._book_doubtful(found, more - sum(one.amount for one in new))
        return True

    async def _book_doubtful(self, found: list[Payment], more: int) -> None:
        """Of those about the second in which the balance was read some came after it: those that
        come to what more there is.
        """
        between = self._doubtful()
        those = [one for one in found if one.at_s in between and not self._knows(one)]
        for one in coming_to(those, more):
            await self._book(one, late=True)

    def _doubtful(self) -> range:
        return range(self.doubt_s, self.until_s + 1 if self.doubt_s else 0)

    def recent(self) -> tuple[tuple[str, int], ...]:
        """What a later start must know to book nothing twice, whatever our clock says now: it may
        be ahead, and be set right by then.
        """
        oldest = min(self._now_s(), max(self.known.values(), default=0)) - OVERLAP_S
        return tuple((name, at_s) for name, at_s in self.known.items() if at_s >= oldest)

    def found(self, change: int, at_s: int) -> None:
        """A start has made the books what the wallet had then; `change` nobody explains yet."""
        self.unexplained += max(0, change)
        self.found_s, self._differed = at_s, change != 0
        if self._differed:
            self._doubt(at_s, at_s)

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

    async def _book(self, one: Payment, *, late: bool = False) -> None:
        self.known[one.evidence] = one.at_s
        facts = [Paid(one.account, one.amount, one.evidence, one.at_s)]
        in_it = one.at_s <= self.found_s and (self._differed or one.amount <= self.unexplained)
        if not late and (in_it or one.at_s < self.found_s - SHOWN_S):
            self.unexplained = max(0, self.unexplained - one.amount)
            facts.append(Paid("deposit", -one.amount, ORIGIN_KNOWN + one.evidence))
        await self.account.learn(*facts)
        self.tell(f"{one.account} of {amount_text(one.amount)} received")

    def _now_s(self) -> int:
        return self.rest.clock.now_ms() // 1000


def coming_to(those: list[Payment], dollars: int) -> Sequence[Payment]:
    """Of payments, oldest first, some that come to so many dollars: the last ones, else any."""
    last = (those[-count:] for count in range(1, len(those) + 1))
    few = those if len(those) <= FEW else []
    any_ = (some for count in range(1, len(few)) for some in itertools.combinations(few, count))
    found = itertools.chain(last, any_)
    return next((some for some in found if sum(one.amount for one in some) == dollars), ())
