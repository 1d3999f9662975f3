"""The books of one market: its trades, and what they have made of shares and dollars. What may
change them, and when, the ledger says.
"""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from polybot.domain.accounts import (
    RESULTS,
    Account,
    Accounts,
    Kind,
    Posting,
    Transaction,
)
from polybot.domain.booking import Booked
from polybot.domain.market import DOWN, UP, Market, Outcome
from polybot.domain.orders import TradeStatus
from polybot.domain.units import ONE, SHARE, notional

SETTLED = (TradeStatus.CONFIRMED, TradeStatus.FAILED)
HELD = (Kind.SHARES, Kind.COST)


@attrs.frozen
class Holdings:
    """What we hold in one market, 10⁻⁶ shares; `*_confirmed` is the part final enough to merge."""

    up: int = 0
    down: int = 0
    up_confirmed: int = 0
    down_confirmed: int = 0
    cost: int = 0

    @property
    def pairs(self) -> int:
        return min(self.up, self.down)

    @property
    def mergeable(self) -> int:
        return min(self.up_confirmed, self.down_confirmed)

    @property
    def net(self) -> int:
        """Shares Up less shares Down: the only part that carries risk."""
        return self.up - self.down


@attrs.frozen
class Sales:
    """Sales of one market that are matched and neither confirmed nor failed, 10⁻⁶ dollars: what
    their shares cost, which are back should they fail, and what they have promised.
    """

    cost_up: int = 0
    cost_down: int = 0
    promised: int = 0


@attrs.define(eq=False)
class MarketBooks:
    """One market's part of the ledger. Money 10⁻⁶ dollars, sizes 10⁻⁶ shares. `fills_sold`
    and `volume_sold` are the part of `fills` and `volume` that sold held shares.
    """

    market: Market
    accounts: Accounts = attrs.field(factory=Accounts)
    transactions: list[Transaction] = attrs.field(factory=list)
    trades: dict[tuple[str, str], Booked] = attrs.field(factory=dict)  # (trade, order)
    fills: int = 0
    volume: int = 0
    fills_sold: int = 0
    volume_sold: int = 0
    merged: int = 0
    redeemed: int = 0
    up_payout: int | None = None  # what one Up share pays, 10⁻⁶ dollars; a void pays half
    _holdings: Holdings | None = None
    _sales: Sales | None = None

    def post(self, at_ms: int, evidence: str, postings: Sequence[Posting]) -> None:
        self.accounts.post(postings)
        self.transactions.append(Transaction(at_ms, evidence, tuple(postings)))
        self._holdings = self._sales = None

    def account(self, kind: Kind, token: str = "", *, final: bool = True) -> Account:
        return Account(kind, self.market.condition_id, token, final)

    def shares(self, outcome: Outcome, *, final: bool = False) -> int:
        """Shares held of one outcome, or only those that the chain has confirmed."""
        key, token = self.market.condition_id, self.market.token(outcome)
        if final:
            return self.accounts[Account(Kind.SHARES, key, token)]
        return self.accounts.both(Kind.SHARES, key, token)

    def cost(self, outcome: Outcome, *, final: bool = False) -> int:
        """What the shares held of one outcome cost, fees included."""
        key, token = self.market.condition_id, self.market.token(outcome)
        if final:
            return self.accounts[Account(Kind.COST, key, token)]
        return self.accounts.both(Kind.COST, key, token)

    def holdings(self) -> Holdings:
        """Computed once after each change: the quote task asks on every decision."""
        if self._holdings is None:
            up, down = UP, DOWN
            self._holdings = Holdings(
                self.shares(up), self.shares(down),
                self.shares(up, final=True), self.shares(down, final=True),
                self.cost(up) + self.cost(down),
            )  # fmt: skip
        return self._holdings

    def sales(self) -> Sales:
        """Computed once after each change, like `holdings`."""
        if self._sales is None:
            up = down = promised = 0
            for booked in self.trades.values():
                if booked.sold and booked.status not in SETTLED:
                    for account, amount in booked.postings:
                        if account.kind is Kind.COST:
                            up -= amount * (account.token == self.market.up_token)
                            down -= amount * (account.token == self.market.down_token)
                        promised += amount * (account.kind is Kind.CASH)
            self._sales = Sales(up, down, promised)
        return self._sales

    def of(self, *kinds: Kind) -> int:
        """The balance of this market's accounts of these kinds."""
        return self.accounts.total(*kinds, market=self.market.condition_id)

    @property
    def realised(self) -> int:
        return -self.of(*RESULTS)

    @property
    def fees(self) -> int:
        return self.of(Kind.FEES)

    @property
    def rebate_estimate(self) -> int:
        return self.of(Kind.REBATES_DUE)

    @property
    def worst_value(self) -> int:
        """What the holdings are surely worth: pairs at 1, or everything at its payout."""
        held = self.holdings()
        if self.up_payout is not None:
            return paid_for(held.up, self.up_payout) + paid_for(held.down, SHARE - self.up_payout)
        return held.pairs

    @property
    def worst_gain(self) -> int:
        """What the holdings have surely gained on their cost."""
        return self.worst_value - self.holdings().cost

    @property
    def unpaid(self) -> int:
        """What a known result adds to `realised` when it is paid; nought until it is known."""
        return 0 if self.up_payout is None else self.worst_gain

    def lost(self, outcome: Outcome) -> bool:
        """Whether shares of it pay nothing, and none is held: some may be in the wallet all the
        same, where somebody else has redeemed the others.
        """
        return self.up_payout == (0 if outcome is UP else SHARE) and not self.shares(outcome)

    def marked(self, fair_up: int) -> int:
        """What the holdings are worth with Up at `fair_up` (10⁻⁴): pairs at 1, the rest at fair."""
        held = self.holdings()
        if self.up_payout is not None:
            return self.worst_value
        fair = fair_up if held.net >= 0 else ONE - fair_up
        return held.pairs + notional(fair, abs(held.net))

    def unsettled(self) -> bool:
        """Whether a trade of this market may still confirm or fail."""
        return any(booked.status not in SETTLED for booked in self.trades.values())

    @property
    def done(self) -> bool:
        """Whether nothing is held, final or promised, and nothing that is known of may come: it may
        be closed.
        """
        left = self.accounts.of_market(self.market.condition_id)
        return not (self.unsettled() or any(account.kind in HELD for account, _ in left))


def paid_for(shares: int, payout: int) -> int:
    """Dollars for `shares` at a payout per share: the chain rounds down."""
    return shares * payout // SHARE
