"""Whether each dollar from outside is booked as what it was (L2).

That both books have the same cash does not say so. A start books what it cannot explain as brought
in, or taken out: so what was paid and booked twice is gone again after the next start, and what
was redeemed by hand may be a deposit and a loss. Loss limits and reports go by capital, and not by
cash alone.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from itertools import combinations, product

import attrs

from polybot.app import Bot
from polybot.domain.accounts import PAID, Kind
from polybot.domain.ledger import Ledger
from polybot.domain.units import amount_text
from polybot.exchange.model import Event, Move, Moved, Paid
from polybot.exchange.server import Exchange
from polybot.lab.simulation_money import Came, unread

BOOKED = {"MAKER_REBATE": Kind.REBATES, "REWARD": Kind.REWARDS}
KINDS = (Kind.CAPITAL, *PAID)
DOUBTED = 6  # payments of which any may have been in the first balance
WORDS = {Kind.CAPITAL: "brought in", Kind.REBATES: "paid as rebates", Kind.REWARDS: "as rewards"}

Sums = dict[Kind, int]  # 10⁻⁶ dollars


@attrs.define(eq=False)
class Brought:
    """What came into one wallet. `_base` is what a journal began with; None until one has, or where
    the bot that began it was never ready: nothing is judged by that journal (seed 9102). Of what
    was paid from the venue's second `_doubt_s` to `_since_s` the bot cannot know whether it was in
    that balance, and finds out: from `_open_s` on it has not yet. So it is of what was paid just
    before a later start that found less than its books (`_doubted`).
    """

    exchange: Exchange
    address: str
    now_s: Callable[[], float]
    came: list[Came] = attrs.field(factory=list)
    _base: Sums | None = None
    _since_s: int = 0  # the venue's second in which the first balance was read
    _doubt_s: int = 0
    _open_s: int = 0
    _doubted: range = range(0)

    hears = (Paid, Moved)

    def hear(self, event: Event) -> None:
        """An event of the exchange's engine, in its own step."""
        if isinstance(event, Paid) and event.account == self.address:
            self._note(BOOKED[event.kind], event.amount)
        elif isinstance(event, Moved) and event.account == self.address:
            self._note(Kind.CAPITAL, event.cash if event.move is Move.DEPOSIT else 0)

    def taken_out(self, amount: int) -> None:
        """By an operator's hand, of which the venue has no event."""
        self._note(Kind.CAPITAL, -amount)

    def _note(self, kind: Kind, amount: int) -> None:
        if amount:
            stamp_s = self.exchange.clock.now_ms() // 1000
            self.came.append(Came(self.now_s(), kind, amount, stamp_s))

    def lost(self) -> None:
        """The journal, and all that was known by it."""
        self._base = None

    def look(self, bot: Bot) -> None:
        """To be called a few times a second with a bot that is ready: what its journal begins with
        nobody else says.
        """
        payments = bot.ctx.reconciler.payments
        settled_s = payments.since_s + 1
        self._open_s = payments.doubt_s or settled_s
        until_s = payments.until_s + 1 if payments.doubt_s > payments.since_s else 0
        self._doubted = range(payments.doubt_s, until_s)
        if self._base is None and bot.ctx.recovered.since_s is None:
            capital = bot.ctx.account.ledger.capital
            self._since_s, self._doubt_s = payments.since_s, self._open_s
            if payments.known:  # what came since the balance is booked already
                capital -= _sum(self._since(), Kind.CAPITAL)
            self._base = {Kind.CAPITAL: capital, **dict.fromkeys(PAID, 0)}

    def _since(self) -> list[Came]:
        """What came after the second in which the journal began."""
        return [one for one in self.came if one.stamp_s > self._since_s]

    def unread(self, *, patient: bool) -> list[int]:
        """What the payments may come to that the bot need not have booked yet, 10⁻⁶ dollars: none,
        unless one is patient.
        """
        doubted = list(self._any_from(self._open_s)) if patient else [[]]
        return sorted(
            {
                sum(one.amount for one in (*late, *some))
                for late in self._late(patient=patient)
                for some in doubted
            }
        )

    def _late(self, *, patient: bool) -> Iterator[list[Came]]:
        if not patient:
            yield []
            return
        for late in unread(self._since(), self.now_s()):
            for some in _any(one for one in self._since() if one.stamp_s in self._doubted):
                yield late + [one for one in some if one not in late]

    def _any_from(self, first_s: int) -> Iterator[list[Came]]:
        """Any of what was paid from a second on that is in doubt."""
        between = range(first_s, self._since_s + 1)
        yield from _any(one for one in self.came if one.stamp_s in between)

    def _perhaps_booked(self) -> Iterator[list[Came]]:
        """The same of all that was ever in doubt: as what it was or, where a start compared cash
        before the bot had found out, as brought in (brief seed 8659).
        """
        for those in self._any_from(self._doubt_s):
            found = ((one, attrs.evolve(one, kind=Kind.CAPITAL)) for one in those)
            yield from map(list, product(*found))

    def unlike(self, ledger: Ledger, unknown: Collection[int], *, patient: bool) -> Iterator[str]:
        """What is booked otherwise than it came. A start takes for brought in what it does not
        know of: what comes to one of `unknown` (10⁻⁶ dollars), and what it has not read yet (brief
        seed 10933), or some of it (12732).
        """
        if self._base is None:
            return
        base, here = self._base, _booked(ledger)
        came = self._since()
        there = {kind: base[kind] + _sum(came, kind) for kind in KINDS}
        off = {kind: here[kind] - there[kind] for kind in KINDS}
        late_ones = [(late, found) for late in self._late(patient=patient) for found in _any(late)]
        every = product(late_ones, self._perhaps_booked(), unknown)
        for (late, found), booked, dollars in every:
            expected = {kind: _sum(booked, kind) - _sum(late, kind) for kind in KINDS}
            expected[Kind.CAPITAL] += dollars + sum(one.amount for one in found)
            if off == expected:
                return
        for kind in KINDS:
            if here[kind] != there[kind]:
                figures = f"{amount_text(here[kind])} here, {amount_text(there[kind])} there"
                yield f"{WORDS[kind]}: {figures}"


def _any(came: Iterable[Came]) -> Iterator[list[Came]]:
    those = [one for one in came if one.amount > 0][-DOUBTED:]
    for count in range(len(those) + 1):
        yield from map(list, combinations(those, count))


def _sum(those: list[Came], kind: Kind) -> int:
    return sum(one.amount for one in those if one.kind is kind)


def _booked(ledger: Ledger) -> Sums:
    return {Kind.CAPITAL: ledger.capital, **{kind: ledger.received(kind) for kind in PAID}}
