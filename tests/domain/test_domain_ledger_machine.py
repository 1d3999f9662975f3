"""Random lives of the ledger beside a slow twin in exact fractions, compared after every step."""

from __future__ import annotations

from collections import Counter

import attrs
from hypothesis import settings, strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from ledger_kit import BUY, SELL, SlowBooks, funded, market

from polybot.domain.accounts import PAID, RESULTS, Kind
from polybot.domain.market import Market, Outcome, Side
from polybot.domain.market_books import MarketBooks
from polybot.domain.orders import FillLeg, TradeSeen, TradeStatus
from polybot.domain.units import SHARE

START = 1_000 * SHARE

which = st.integers(0, 1)
statuses = st.sampled_from(TradeStatus)
outcomes = st.sampled_from(Outcome)
prices = st.integers(1, 99).map(lambda cents: cents * 100)
sizes = st.integers(1, 50_000_000)
buys = st.lists(st.tuples(outcomes, prices, sizes, st.booleans()), min_size=1, max_size=3)


class Books(RuleBasedStateMachine):
    """Two markets of one wallet: trades, statuses in any order, merges, results, redemptions."""

    def __init__(self) -> None:
        super().__init__()
        self.ledger = funded(START)
        self.markets = [market("0xa"), market("0xb")]
        self.twins = [SlowBooks(each) for each in self.markets]
        self.told: list[tuple[int, TradeSeen]] = []
        self.steps = 0
        for each in self.markets:
            self.ledger.open(each)

    def _books(self, n: int) -> MarketBooks:
        return self.ledger.books[self.markets[n].condition_id]

    def _tell(self, n: int, trade: TradeSeen) -> None:
        self.told.append((n, trade))
        self.twins[n].hear(trade)
        self.ledger.book(trade)

    def _trade(self, n: int, legs: list[FillLeg], status: TradeStatus) -> None:
        key = self.markets[n].condition_id
        self._tell(n, TradeSeen(f"t{len(self.told)}", key, status, tuple(legs), 0))

    @rule(n=which, legs=buys, status=statuses)
    def buy(self, n: int, legs: list[tuple[Outcome, int, int, bool]], status: TradeStatus) -> None:
        made = [self._leg(self.markets[n], BUY, *each) for each in legs]
        self._trade(n, made, status)

    @rule(n=which, o=outcomes, price=prices, part=st.integers(1, 4), maker=st.booleans())
    def sell(self, n: int, o: Outcome, price: int, part: int, maker: bool) -> None:
        """Only what is confirmed is ever sold (S8)."""
        books = self._books(n)
        shares = min(books.shares(o), books.shares(o, final=True)) * part // 4
        if shares > 0:
            leg = self._leg(self.markets[n], SELL, o, price, shares, maker)
            self._trade(n, [leg], TradeStatus.MATCHED)

    @staticmethod
    def _leg(of: Market, side: Side, o: Outcome, price: int, shares: int, maker: bool) -> FillLeg:
        return FillLeg("0x1", of.token(o), side, price, shares, maker)

    @precondition(lambda self: self.told)
    @rule(pick=st.integers(0, 10**6), status=statuses)
    def tell_again(self, pick: int, status: TradeStatus) -> None:
        n, trade = self.told[pick % len(self.told)]
        self._tell(n, attrs.evolve(trade, status=status))

    @rule(n=which, part=st.integers(1, 3))
    def merge(self, n: int, part: int) -> None:
        shares = self._books(n).holdings().mergeable * part // 3
        if shares > 0:
            self.twins[n].merge(shares)
            self.ledger.merge(self.markets[n].condition_id, shares, "receipt")

    @rule(n=which, shares=sizes)
    def split(self, n: int, shares: int) -> None:
        self.twins[n].split(shares)
        self.ledger.split(self.markets[n].condition_id, shares, "receipt")

    @rule(n=which, payout=st.sampled_from((0, SHARE // 2, SHARE)))
    def resolve_and_redeem(self, n: int, payout: int) -> None:
        """Redeemed once everything held is final, as settlement does."""
        held = self._books(n).holdings()
        if held.up == held.up_confirmed >= 0 and held.down == held.down_confirmed >= 0:
            key = self.markets[n].condition_id
            self.ledger.resolve(key, payout)
            assert self.ledger.redeem(key, "receipt") == self.twins[n].redeem(payout)
            self._books(n).up_payout = None

    @invariant()
    def integers_are_exact(self) -> None:
        """Cash, shares and counts equal the twin's to the unit (S6)."""
        self.steps += 1
        assert self.ledger.cash == START + sum(twin.cash for twin in self.twins)
        for n, twin in enumerate(self.twins):
            books = self._books(n)
            assert (books.fees, books.fills) == (twin.fees, twin.fills)
            for outcome, held in twin.held.items():
                found = books.shares(outcome), books.shares(outcome, final=True)
                assert found == (held.shares, held.confirmed)

    @invariant()
    def result_and_cost_are_the_twins(self) -> None:
        """Averages may be rounded by less than a unit per step, and never more (S22)."""
        for n, twin in enumerate(self.twins):
            assert abs(self._books(n).realised - twin.realised) <= 4 * self.steps
            for outcome, held in twin.held.items():
                assert abs(self._books(n).cost(outcome) - held.cost) <= 4 * self.steps

    @invariant()
    def result_less_cost_is_the_change_of_cash(self) -> None:
        """Realised profit, less what holdings cost, is the change of cash, exactly (S22)."""
        cost = sum(books.holdings().cost for books in self.ledger.books.values())
        assert self.ledger.realised - cost == self.ledger.cash - START

    @invariant()
    def nothing_costs_nothing(self) -> None:
        """An empty position has no cost left, so closing it loses no result."""
        for books in self.ledger.books.values():
            for outcome in Outcome:
                if books.shares(outcome) == books.shares(outcome, final=True) == 0:
                    assert books.cost(outcome) == books.cost(outcome, final=True) == 0

    @invariant()
    def the_accounts_balance(self) -> None:
        """Cash and cost on one side, capital, results and payments on the other; shares alike."""
        total = self.ledger.accounts.total
        assert total(Kind.CASH, Kind.COST, Kind.CAPITAL, *RESULTS, *PAID) == 0
        assert total(Kind.FEES, Kind.REBATES_DUE, Kind.MEMO) == 0
        assert total(Kind.SHARES, Kind.OUTSIDE) == 0

    @invariant()
    def every_balance_is_the_sum_of_its_evidence(self) -> None:
        """Adding up what was booked gives the balances: nothing changes without a transaction."""
        posted: Counter[object] = Counter()
        booked = [self.ledger.transactions, *(b.transactions for b in self.ledger.books.values())]
        for transactions in booked:
            for transaction in transactions:
                assert transaction.evidence
                for account, amount in transaction.postings:
                    posted[account] += amount
        assert {a: n for a, n in posted.items() if n} == self.ledger.accounts._balances

    def teardown(self) -> None:
        """Once all is final and redeemed, the results of closed markets are the cash made."""
        for n, each in enumerate(self.markets):
            for trade in [told for m, told in self.told if m == n]:
                self.ledger.book(attrs.evolve(trade, status=TradeStatus.FAILED))
            self.ledger.resolve(each.condition_id, SHARE)
            self.ledger.redeem(each.condition_id, "receipt")
            self.ledger.close(each.condition_id)
        assert self.ledger.realised == self.ledger.cash - START == self.ledger.equity - START


TestBooks = Books.TestCase
TestBooks.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
