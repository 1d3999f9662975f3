"""The account's books: what we hold, what it cost, what came of it, each change with its evidence.

Written by the account alone, which seals it against everybody else (`Accounts.sealed`, S18). A
match is provisional: it counts in holdings and equity at once (the venue moves balances at the
match, and risk must see it), but merging, selling and redeeming use confirmed shares only, and
FAILED posts exactly the opposite of what the trade had posted. The same trade is told many times
(every status, every reconnect, every REST read), now and then with more of our orders than before:
the key is (trade, order), and only a rise in status rank does anything. Amounts may be corrected on
the way (F30): the later rank counts, and of two with the same rank the REST row; what was posted
before is reversed as a failure would be.

Average cost per token, taker fees included (strategy.md 15). Results arise on merge, sale and
redemption only. Identity at every step: cash + cost of holdings = capital + results + rebates and
rewards paid.
"""

from __future__ import annotations

from collections import deque

import attrs

from polybot.domain.accounts import (
    PAID,
    RESULTS,
    Account,
    Accounts,
    Kind,
    Posting,
    Transaction,
    opposite,
)
from polybot.domain.booking import book, by_order, corrects, part_of, sweep
from polybot.domain.market import DOWN, UP, Market, Outcome
from polybot.domain.market_books import SETTLED, MarketBooks
from polybot.domain.orders import TradeSeen
from polybot.domain.settling import Settling

CASH = Account(Kind.CASH)


@attrs.define(eq=False)
class Ledger:
    """The wallet."""

    accounts: Accounts = attrs.field(factory=Accounts)
    books: dict[str, MarketBooks] = attrs.field(factory=dict)
    # Of the wallet as a whole, the latest; the journal has them all.
    transactions: deque[Transaction] = attrs.field(factory=lambda: deque(maxlen=1_000))

    def open(self, market: Market) -> MarketBooks:
        self.accounts.written()
        return self.books.setdefault(market.condition_id, MarketBooks(market, self.accounts))

    # --- money from and to outside ----------------------------------------------------------

    def deposit(self, amount: int, evidence: str, at_ms: int = 0) -> None:
        """Bring dollars in, or with a negative amount take them out."""
        self._post(at_ms, evidence, [(CASH, amount), (Account(Kind.CAPITAL), -amount)])

    def receive(self, kind: Kind, amount: int, evidence: str, at_ms: int = 0) -> None:
        """Book a rebate or a reward that the venue has paid (`Kind.REBATES` or `Kind.REWARDS`)."""
        if kind not in PAID:
            raise AssertionError(f"{kind} is not paid by the venue")
        self._post(at_ms, evidence, [(CASH, amount), (Account(kind), -amount)])

    def _post(self, at_ms: int, evidence: str, postings: list[Posting]) -> None:
        self.accounts.post(postings)
        self.transactions.append(Transaction(at_ms, evidence, tuple(postings)))

    def carry(self, realised: int, fees: int, rebates_due: int, evidence: str) -> None:
        """Take over the sums of markets that were closed before: their dollars are in the cash."""
        memo = Account(Kind.MEMO)
        self._post(
            0,
            evidence,
            [
                (CASH, realised), (Account(Kind.SOLD), -realised),
                (Account(Kind.FEES), fees), (memo, -fees),
                (Account(Kind.REBATES_DUE), rebates_due), (memo, -rebates_due),
            ],
        )  # fmt: skip

    # --- trades -------------------------------------------------------------------------------

    def book(self, trade: TradeSeen) -> bool:
        """Apply a trade message; True if it changed anything. Trades of unknown markets are the
        reconciler's business and change nothing here.
        """
        self.accounts.written()
        books = self.books.get(trade.condition_id)
        if books is None:
            return False
        tokens = (books.market.up_token, books.market.down_token)
        if any(leg.token not in tokens for leg in trade.legs):
            return False  # of another market: nothing of it may be believed
        changed = [book(books, trade, *part) for part in by_order(trade).items()]
        return any(changed)

    def has(self, trade: TradeSeen) -> bool:
        """Whether any of a trade is booked, in whatever state."""
        books = self.books.get(trade.condition_id)
        legs = ((trade.trade_id, leg.order_id) for leg in trade.legs)
        return books is not None and any(leg in books.trades for leg in legs)

    def knows(self, trade: TradeSeen) -> bool:
        """Whether a trade message says nothing that is not booked already."""
        books = self.books.get(trade.condition_id)
        if books is None:
            return not trade.legs
        for order_id, legs in by_order(trade).items():
            booked = books.trades.get((trade.trade_id, order_id))
            if booked is None or trade.status > booked.status or corrects(booked, trade, legs):
                return False
        return True

    def unsettled(self) -> dict[str, int]:
        """When each trade that is neither confirmed nor failed was told, by its id."""
        return {
            trade_id: booked.at_ms
            for books in self.books.values()
            for (trade_id, _), booked in books.trades.items()
            if booked.status not in SETTLED
        }

    def settling(self, kind: Kind, market: str = "", token: str = "") -> Settling:
        """What a balance may be while trades settle.

        A sale takes its shares from the confirmed ones at once, and yet the venue may move them
        only later: so what it has posted there is undone in what was before, too.
        """
        final = Account(kind, market, token)
        concerned = [self.books[market]] if market else self.books.values()
        moves = [
            (booked.moved(final), booked.moved(final._replace(final=False)))
            for books in concerned
            for booked in books.trades.values()
            if booked.status not in SETTLED
        ]
        before = self.accounts[final] - sum(at_once for at_once, _ in moves)
        return Settling(before, tuple(at_once + later for at_once, later in moves))

    # --- what we do with shares -----------------------------------------------------------------

    def split(self, condition_id: str, shares: int, evidence: str, at_ms: int = 0) -> None:
        """Turn cash into pairs; each outcome is taken to cost half a dollar."""
        books = self.books[condition_id]
        postings: list[Posting] = [(CASH, -shares)]
        for outcome, cost in ((UP, shares // 2), (DOWN, shares - shares // 2)):
            postings += _moved(books, outcome, shares, cost)
        books.post(at_ms, evidence, postings)
        sweep(books, at_ms, f"after {evidence}")

    def merge(self, condition_id: str, shares: int, evidence: str, at_ms: int = 0) -> None:
        """Turn `shares` confirmed pairs into cash at 1."""
        books = self.books[condition_id]
        if shares > books.holdings().mergeable:
            raise AssertionError(f"merge of {shares} exceeds confirmed pairs")
        postings: list[Posting] = [(CASH, shares)]
        result = shares
        for outcome in Outcome:
            cost = part_of(
                books.cost(outcome, final=True), shares, books.shares(outcome, final=True)
            )
            postings += _moved(books, outcome, -shares, -cost)
            result -= cost
        postings.append((books.account(Kind.MERGED), -result))
        books.post(at_ms, evidence, postings)
        books.merged += shares

    def resolve(self, condition_id: str, up_payout: int) -> None:
        """The chain's payout of one Up share, 10⁻⁶ dollars; Down pays the rest of the dollar."""
        self.accounts.written()
        self.books[condition_id].up_payout = up_payout

    def redeem(self, condition_id: str, evidence: str, at_ms: int = 0) -> int:
        """Burn everything held for its payout; returns the dollars received."""
        books = self.books[condition_id]
        if books.up_payout is None:
            raise AssertionError("redeem before resolution")
        paid, cost = books.worst_value, books.holdings().cost
        postings: list[Posting] = [(CASH, paid), (books.account(Kind.REDEEMED), cost - paid)]
        for account, balance in self.accounts.of_market(condition_id):
            if account.kind is Kind.COST:
                postings.append((account, -balance))
            elif account.kind is Kind.SHARES:
                outside = books.account(Kind.OUTSIDE, account.token)
                postings += [(account, -balance), (outside, balance)]
        books.post(at_ms, evidence, postings)
        books.redeemed += paid
        return paid

    def close(self, condition_id: str) -> None:
        """Forget a settled market; its results, fees and estimates go to the wallet's accounts."""
        self.accounts.written()
        books = self.books[condition_id]
        if not books.done:
            raise AssertionError(f"{books.market.slug} closed before it was settled")
        del self.books[condition_id]
        left = self.accounts.of_market(condition_id)
        postings = opposite(left) + [(account._replace(market=""), n) for account, n in left]
        self._post(0, f"closed {books.market.slug}", postings)

    # --- figures ----------------------------------------------------------------------------------

    @property
    def cash(self) -> int:
        """Dollars in the wallet (10⁻⁶), open orders not deducted."""
        return self.accounts.both(Kind.CASH)

    @property
    def promised(self) -> int:
        """Dollars in `cash` that sales have brought and no chain has confirmed yet."""
        return sum(books.sales().promised for books in self.books.values())

    @property
    def realised(self) -> int:
        return -self.accounts.total(*RESULTS)

    def received(self, *kinds: Kind) -> int:
        """Rebates or rewards that the venue has paid so far; both by default."""
        return -sum(self.accounts[Account(kind)] for kind in kinds or PAID)

    def closed(self, *kinds: Kind) -> int:
        """The wallet's own balance of these kinds: that of closed markets."""
        return sum(self.accounts[Account(kind)] for kind in kinds)

    @property
    def capital(self) -> int:
        return -self.accounts[Account(Kind.CAPITAL)]

    @property
    def equity(self) -> int:
        """Cash plus what holdings are surely worth: the figure the
        exchange's books must agree with.
        """
        return self.cash + sum(books.worst_value for books in self.books.values())


def _moved(books: MarketBooks, outcome: Outcome, shares: int, cost: int) -> list[Posting]:
    """Confirmed shares that come (or with negative amounts go) at a cost."""
    token = books.market.token(outcome)
    return [
        (books.account(Kind.COST, token), cost),
        (books.account(Kind.SHARES, token), shares),
        (books.account(Kind.OUTSIDE, token), -shares),
    ]
