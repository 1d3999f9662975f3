"""Balances of the venue beside the ledger, for the wallet's cash and every market we traded in
or split pairs of.

Part of every reconciliation, after its trades have been learnt. What lasts is drift: somebody moved
our money, or we have missed or invented a fill. Either way nothing more may be placed until an
operator has looked (G14 in reliability.md). But where the venue cannot be told to look at the
chain, its figure may be an old one: until it can, or for five minutes, trading only pauses. So it
does for a minute where a trade may have made the difference that is not listed yet.
"""

from __future__ import annotations

from collections.abc import Iterator, Set as AbstractSet

import attrs
import trio
from loguru import logger

from polybot.account import Account
from polybot.clock import Clock
from polybot.domain.accounts import Kind as AccountKind
from polybot.domain.halts import Halt
from polybot.domain.market import Outcome
from polybot.domain.market_books import MarketBooks
from polybot.domain.orders import Failure
from polybot.domain.units import amount_text
from polybot.execution.reconcile import STALE_MS, Belief, Difference, DriftWatch, Kind
from polybot.venue.clob import ClobClient

CASH = "cash"
# The venue may be told to look at the chain five times a second, and half of that is ours (G19).
REFRESH_EVERY_S = 0.5
# Of a window that is over nothing is offered or bought any more, and dozens may wait for their
# results: each look read two balances of every one, and the venue limits how many may be read.
OVER_EVERY_MS = 300_000
FAILING_S = 5.0  # of a look: dozens that nobody answers must not hold up all else that it does
DRIFT = Halt.LEDGER_DRIFT.value
UNSURE = "balances"  # the trouble's name
UNLISTED = "dollars and shares differ as by a trade that is not listed yet"
UNSURE_MOST_MS = 300_000
UNCLEAR_MOST_MS = 2 * STALE_MS  # what a node that is behind shows is clear after one


@attrs.define(eq=False)
class Balances:
    client: ClobClient
    clock: Clock
    account: Account
    watch: DriftWatch = attrs.field(factory=DriftWatch)
    refreshed: int = 0  # how often the last look has told the venue to look at the chain
    # How much more cash the last look has seen than we know of, where that is known to the last
    # part: with no trade under way, and by a venue that has looked at the chain.
    more: int | None = None
    _told: set[str] = attrs.field(factory=set)
    _left: list[str] = attrs.field(factory=list)  # not asked for in the last look, in their order
    _unsure: dict[str, int] = attrs.field(factory=dict)  # since when the venue takes no word of it

    @property
    def differing(self) -> bool:
        """Whether something differed at the last look, so that the next should come soon; once it
        has stopped trading there is nothing to hurry for.
        """
        if DRIFT in self.account.health.halted:
            return False
        return self.watch.differing or (UNSURE in self.account.health.troubles and self.watch.off)

    @property
    def soonest_s(self) -> float:
        """From one look to the next: many that differ are looked at as often as the venue likes."""
        return self.refreshed * REFRESH_EVERY_S

    @property
    def surplus(self) -> bool:
        """Whether there was more cash at the last look than we know of."""
        return self.watch.surplus(CASH)

    def found(self, books: MarketBooks, outcome: Outcome, there: int) -> None:
        """A start has read this. The first look after it read the same of every window that was
        over once more: with four and twenty that was half of what the venue takes in ten seconds.
        """
        self.watch.judge(self._shares(books, outcome), there, self.clock.now_ms())

    async def compare(self, *, doubt: bool = False) -> list[Difference]:
        """Read every balance that may be judged; the drifts among them. In `doubt` it counts that
        cash agrees, too, and the venue is told to look at the chain for that.
        """
        found: list[Difference] = []
        self.refreshed, self.more = 0, None
        beliefs = list(self._beliefs())
        asked_for = [belief.subject for belief in beliefs]
        every = [belief.subject for belief in self._beliefs(moving=frozenset())]
        self.watch.keep(asked_for, self.clock.now_ms(), paused=every)
        failing_s, waited, self._left = 0.0, {one: n for n, one in enumerate(self._left)}, []
        for asked in sorted(beliefs, key=lambda one: waited.get(one.subject, len(waited))):
            if self._at_rest(asked):
                continue
            if failing_s >= FAILING_S:
                self._left.append(asked.subject)
                continue
            began = trio.current_time()
            there = await self._read(asked, doubt=doubt and asked.kind is Kind.CASH)
            failing_s += (trio.current_time() - began) * isinstance(there, Failure)
            # What was learnt or begun while the answer was on its way makes it no evidence.
            if isinstance(there, Failure) or not self._holds(asked):
                continue
            if asked.subject == CASH and asked.least == asked.most and CASH not in self._unsure:
                self.more = there - asked.total
            drift = self.watch.judge(asked, there, self.clock.now_ms())
            if drift is not None:
                found.append(drift)
        # Not where nothing was found: what could not be read has not become right, nor what may be
        # an old figure.
        self._unsure = {key: at_ms for key, at_ms in self._unsure.items() if key in every}
        if self.watch.unlisted(self.clock.now_ms()):
            self.account.health.bad(UNSURE, UNLISTED)
        elif not (self._unsure or self.watch.differing or self.watch.off):
            self.account.health.good(UNSURE)
        return found

    async def _read(self, asked: Belief, *, doubt: bool = False) -> int | Failure:
        """The venue's figure. It may follow what the chain does only when it is told to look there
        (clob.md 5.1), and the one word of that may have got lost: it is told so before what differs
        is judged.
        """
        token = None if asked.kind is Kind.CASH else asked.subject
        there = await self.client.balance(token)
        if isinstance(there, Failure):
            return there
        agrees = not (asked.off(there) or doubt)
        self.refreshed += not agrees
        if agrees or await self.client.refresh(token) is None:
            self._unsure.pop(asked.subject, None)
        else:
            self._unsure.setdefault(asked.subject, self.clock.now_ms())
        return there if agrees else await self.client.balance(token)

    def remember(self, now_ms: int) -> None:
        """The books are about to change: what they say until now the venue may still show. So it
        may of a market in which nothing has happened yet, and whose pairs a split is about to make.
        """
        self.watch.remember(self._cash(), now_ms)
        for books in self.account.ledger.books.values():
            for outcome in Outcome:
                self.watch.remember(self._shares(books, outcome), now_ms)

    def halt(self, drift: Difference) -> bool:
        """Stop trading for good, with both figures; whether it does so now. A halted bot goes on
        comparing, and would fill its log with one difference through the night.
        """
        if drift.subject in self._told or self._left_open(drift) or self._by_now(drift):
            return False
        if drift.subject in self.watch.unlisted(self.clock.now_ms()):
            return False  # nothing is placed meanwhile
        since_ms = self._unsure.get(drift.subject)
        if since_ms is not None and self.clock.now_ms() < since_ms + UNSURE_MOST_MS:
            self.account.health.bad(UNSURE, "differ, and the venue does not look at the chain")
            return False
        self._told.add(drift.subject)
        here, there = amount_text(drift.ours), amount_text(drift.theirs)
        what = drift.kind.value if drift.kind is Kind.CASH else f"shares of {drift.subject[:12]}"
        logger.error("drift of {}: {} here, {} there", what, here, there)
        self.account.health.halt(Halt.LEDGER_DRIFT, f"{what}: {here} here, the venue shows {there}")
        return True

    def _by_now(self, drift: Difference) -> bool:
        """Whether the books say by now what was there. Seconds may have passed since it was read,
        of other balances and of the chain: a trade was told meanwhile, or what the chain has shown
        was being written down when the time for asking it was over.
        """
        if drift.kind is Kind.CASH:
            return not self._cash().off(drift.theirs)
        books = self.account.ledger.books.get(drift.condition_id)
        if books is None:
            return False
        shares = self._shares(books, books.market.outcome_of(drift.subject))
        return not shares.off(drift.theirs)

    def _left_open(self, drift: Difference) -> bool:
        """Whether it may be a move that was done again, or a node that is behind, and the chain is
        about to tell which: no longer than `UNCLEAR_MOST_MS`. The dollars are of any of the moves.
        """
        late, unclear = self.clock.now_ms() - UNCLEAR_MOST_MS, self.account.unclear
        asked = unclear if drift.kind is Kind.CASH else {drift.condition_id}
        return any(unclear.get(key, late) > late for key in asked)

    def _at_rest(self, asked: Belief) -> bool:
        """Whether it belongs to a window that is over, and has been seen to be so of late. Dollars
        that nobody knows of may be those of any window: a merge that was done again.
        """
        now_ms, books = self.clock.now_ms(), self.account.ledger.books.get(asked.condition_id)
        if books is None or books.market.end_ms >= now_ms or self.surplus:
            return False
        return self.watch.agreed(asked, now_ms - OVER_EVERY_MS)

    def _holds(self, asked: Belief) -> bool:
        """Whether it is still what we believe, with nothing under way that may change it."""
        ledger, moving = self.account.ledger, self.account.moving
        if asked.kind is Kind.CASH:
            return self._at_peace(moving) and asked == self._cash()
        books = ledger.books.get(asked.condition_id)
        if books is None or asked.condition_id in moving:
            return False
        return asked == self._shares(books, books.market.outcome_of(asked.subject))

    def _cash(self) -> Belief:
        """With what nobody knows whether the chain has done: it would hide every theft."""
        ledger, late = self.account.ledger, self.account.overdue.values()
        cash = ledger.settling(AccountKind.CASH)
        least = cash.least + sum(dollars for dollars in late if dollars < 0)
        most = cash.most + sum(dollars for dollars in late if dollars > 0)
        return Belief(Kind.CASH, CASH, least, most, ledger.cash)

    def _at_peace(self, moving: AbstractSet[str]) -> bool:
        """Whether nothing is under way whose dollars may come at any moment."""
        return moving <= self.account.overdue.keys()

    def _shares(self, books: MarketBooks, outcome: Outcome) -> Belief:
        key, token = books.market.condition_id, books.market.token(outcome)
        held = self.account.ledger.settling(AccountKind.SHARES, key, token)
        return Belief(Kind.SHARES, token, held.least, held.most, books.shares(outcome), key)

    def _beliefs(self, moving: AbstractSet[str] | None = None) -> Iterator[Belief]:
        """What may be judged: nothing of a market with an operation under way, and no cash then,
        but where that should have ended long ago. While dollars differ also what an order may have
        bought first of a market: without its shares a trade that is not listed yet would be a theft
        (brief seed 1425).
        """
        moving = self.account.moving if moving is None else moving
        if self._at_peace(moving):
            yield self._cash()
        off = self.watch.shown(CASH) != 0
        for key, books in self.account.ledger.books.items():
            touched = books.transactions or (off and self.account.placed_in(key))
            if key not in moving and touched:
                held = (one for one in Outcome if not books.lost(one))
                yield from (self._shares(books, outcome) for outcome in held)
