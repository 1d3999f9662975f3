"""Where a wallet stands, for every order's last check: a reading of books that others keep.

The account of a running bot and the wallet of a backtest are both read by it, so that the limits
bind in the one as they bind in the other.
"""

from __future__ import annotations

from typing import TypeVar

import attrs

from polybot.domain.ledger import Ledger
from polybot.domain.market import DOWN, UP, Outcome
from polybot.domain.market_books import MarketBooks
from polybot.domain.units import USD
from polybot.risk.checks import Standing
from polybot.risk.exposure import Exposure, OpenBids, cluster_of, elsewhere
from polybot.risk.limits import RiskParams

T = TypeVar("T")
NO_BIDS = OpenBids()
SPLITS = "splits under way"  # whom dollars are reserved for that will be pairs


@attrs.define
class Read:
    """All that a market's standing is read from, as it is: the ledger by its count of changes, and
    what others have written beside it. What the market's own orders bind is no part of it, and
    nearly all that changes.
    """

    changes: int
    payouts: list[int | None]
    day_loss: int
    reserved: dict[str, int]
    bids: dict[str, OpenBids]
    pledges: dict[str, dict[str, int]]
    coming: dict[str, dict[str, int]]
    claims: dict[str, int]

    def own(self) -> Read:
        """The same, whatever is written after it."""
        return Read(
            self.changes, self.payouts, self.day_loss, self.reserved, self.bids,
            {who: dict(shares) for who, shares in self.pledges.items()},
            {who: dict(shares) for who, shares in self.coming.items()},
            dict(self.claims),
        )  # fmt: skip


class WalletStanding:
    """The figures and their reading; whoever has them inherits it."""

    ledger: Ledger
    reserved: dict[str, int]  # dollars open orders may spend, by market
    bids: dict[str, OpenBids]  # the part of it known by outcome
    pledges: dict[str, dict[str, int]]  # shares that asks may sell, by who answers, then by token
    # What orders that no desk knows may bring toward an outcome, by who answers, then by its token.
    coming: dict[str, dict[str, int]]
    claims: dict[str, int]  # pairs that merges want or are under way
    unmergeable: dict[str, str]  # markets whose pairs cannot be merged, and why
    day_loss: int  # dollars: what today has cost so far, 0 or more

    def read_for(self, condition_id: str) -> Read:
        """What `standing` makes an answer of: equal ones, equal answers."""
        return Read(
            self.ledger.accounts.changes,
            [books.up_payout for books in self.ledger.books.values()],
            self.day_loss,
            _besides(condition_id, self.reserved),
            _besides(condition_id, self.bids),
            _besides(condition_id, self.pledges),
            self.coming,
            self.claims,
        )

    def standing(self, condition_id: str) -> Standing:
        """Where the wallet stands, seen from one market's desk. What is promised and not known by
        outcome – trades that lag, orders in doubt elsewhere – may be lost whole; what sales bring
        is no cash before it is confirmed; what a split is to take is none any more, but at risk.
        """
        books = self.ledger.books
        others = [
            (cluster_of(of.market.series), self._exposure(of, market))
            for market, of in books.items()
            if market != condition_id and of.up_payout is None
        ]
        reserved = sum(usd for market, usd in self.reserved.items() if market != condition_id)
        loose = reserved - sum(exposure.bids.total for _, exposure in others)
        loose -= self.reserved.get(SPLITS, 0)
        here = books.get(condition_id)
        cluster = cluster_of(here.market.series) if here else ""
        beside = elsewhere(others, cluster, max(0, loose))
        up, down = self.sellable(condition_id, UP), self.sellable(condition_id, DOWN)
        coming_up, coming_down = self._coming(here, UP), self._coming(here, DOWN)
        return Standing(
            free_cash=self.ledger.cash - self.ledger.promised - reserved,
            equity=self.ledger.equity,
            held=self._exposure(here) if here is not None else Exposure(),
            others=attrs.evolve(beside, at_risk=beside.at_risk + self.reserved.get(SPLITS, 0)),
            day_loss=self.day_loss,
            sellable_up=up,
            sellable_down=down,
            coming_up=coming_up,
            coming_down=coming_down,
        )

    @property
    def at_risk(self) -> int:
        """Dollars at risk over all markets; what splits are to take is not among them."""
        books = self.ledger.books.items()
        found = [self._exposure(of, market) for market, of in books if of.up_payout is None]
        reserved = sum(self.reserved.values()) - self.reserved.get(SPLITS, 0)
        loose = reserved - sum(exposure.bids.total for exposure in found)
        return sum(exposure.at_risk for exposure in found) + max(0, loose)

    def room_to_split(self, condition_id: str, limits: RiskParams) -> int:
        """What pairs of one market may cost under its own limits: half of it counts for each
        outcome.
        """
        here = self._exposure(self.ledger.books[condition_id], condition_id)
        most = limits.max_position_usd_per_token * USD
        each = min(most - here.of(outcome) for outcome in Outcome)
        return min(2 * each, limits.max_position_usd_per_market * USD - here.at_risk)

    def pledged(self, token: str, besides: str = "") -> int:
        """Shares of a token that asks may sell, those of one desk left out where it is named."""
        others = (shares for who, shares in self.pledges.items() if who != besides)
        return sum(shares.get(token, 0) for shares in others)

    def sellable(self, condition_id: str, outcome: Outcome) -> int:
        """Shares that one market's asks may offer, all of them together: confirmed, claimed by no
        merge, and bound by no order that its desk does not know (S8).
        """
        books = self.ledger.books.get(condition_id)
        if books is None or books.up_payout is not None:
            return 0
        claimed = self.claims.get(condition_id, 0)
        adrift = self.pledged(books.market.token(outcome), besides=condition_id)
        return max(0, books.shares(outcome, final=True) - claimed - adrift)

    def _coming(self, books: MarketBooks | None, outcome: Outcome) -> int:
        if books is None:
            return 0
        token = books.market.token(outcome)
        return sum(shares.get(token, 0) for shares in self.coming.values())

    def _exposure(self, books: MarketBooks, market: str = "") -> Exposure:
        """A market's holdings, with its open orders where it is named."""
        held, sales, up, down = books.holdings(), books.sales(), UP, DOWN
        return Exposure(
            max(0, books.cost(up)),
            max(0, books.cost(down)),
            max(0, held.up),
            max(0, held.down),
            self.bids.get(market, NO_BIDS),
            back_up=max(0, sales.cost_up),
            back_down=max(0, sales.cost_down),
        )


def _besides(market: str, bound: dict[str, T]) -> dict[str, T]:
    """What is bound by all others."""
    return {who: what for who, what in bound.items() if who != market}
