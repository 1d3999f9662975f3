"""What can be lost: the worst outcome of one market with every open order, and of all together.

An open order is anything that may still match: resting, on its way, delayed, asked to be cancelled,
unknown. A bid binds dollars; an ask binds shares, and gives away what they would have paid beyond
its price. So an ask loses exactly what the bid for the twin at the same place in the book loses,
and it lowers no risk before its fill is confirmed: until then the shares may stay, or come back.
Dollars and shares in 10⁻⁶.
"""

from __future__ import annotations

from collections.abc import Iterable

import attrs

from polybot.domain.market import UP, Outcome


@attrs.frozen
class OpenBids:
    """What one market's open orders may still spend on each outcome, and how many they are;
    `sold_*` is what asks on it give away should it win: a dollar a share, less their price.

    Raises ValueError for a negative figure.
    """

    up: int = 0
    down: int = 0
    orders: int = 0
    sold_up: int = 0
    sold_down: int = 0

    def __attrs_post_init__(self) -> None:
        if min(self.up, self.down, self.orders, self.sold_up, self.sold_down) < 0:
            raise ValueError(f"expected no negative figure, was {self}")

    @property
    def total(self) -> int:
        return self.up + self.down

    def of(self, outcome: Outcome) -> int:
        return self.up if outcome is UP else self.down

    def with_bid(self, outcome: Outcome, dollars: int) -> OpenBids:
        if outcome is UP:
            return attrs.evolve(self, up=self.up + dollars, orders=self.orders + 1)
        return attrs.evolve(self, down=self.down + dollars, orders=self.orders + 1)

    def with_ask(self, outcome: Outcome, given: int) -> OpenBids:
        """One ask more, which gives so many dollars away if `outcome` wins."""
        if outcome is UP:
            return attrs.evolve(self, sold_up=self.sold_up + given, orders=self.orders + 1)
        return attrs.evolve(self, sold_down=self.sold_down + given, orders=self.orders + 1)


@attrs.frozen
class Exposure:
    """One market: what its holdings cost, how many shares of each outcome, and its open orders.
    `loose` was spent on shares that the ledger does not have yet, of whichever outcome; `back_*` is
    what shares cost whose sale is matched and not confirmed: should it fail they are back.

    Raises ValueError for a negative figure: a sale that is not booked is not an exposure.
    """

    cost_up: int = 0
    cost_down: int = 0
    up: int = 0
    down: int = 0
    bids: OpenBids = OpenBids()
    loose: int = 0
    back_up: int = 0
    back_down: int = 0

    def __attrs_post_init__(self) -> None:
        holdings = (self.cost_up, self.cost_down, self.up, self.down)
        if min(*holdings, self.loose, self.back_up, self.back_down) < 0:
            raise ValueError(f"expected no negative figure, was {self}")

    @property
    def cost(self) -> int:
        return self.cost_up + self.cost_down + self.loose

    @property
    def net(self) -> int:
        """Shares Up less shares Down."""
        return self.up - self.down

    @property
    def worst_loss(self) -> int:
        """The most that can be lost: one outcome wins and only the other's bids fill and its own
        asks, or none do (strategy.md 14). Sales of the loser that fail are worse than those that
        hold; of the winner's it is the other way round.
        """
        if_up = self.cost + self.back_down + self.bids.down + self.bids.sold_up - self.up
        if_down = self.cost + self.back_up + self.bids.up + self.bids.sold_down - self.down
        return max(0, if_up, if_down)

    @property
    def at_risk(self) -> int:
        """Dollars spent or promised, whatever they may bring."""
        return self.cost + self.back_up + self.back_down + self.bids.total

    def of(self, outcome: Outcome) -> int:
        """Dollars at risk in one outcome."""
        up = outcome is UP
        cost = self.cost_up + self.back_up if up else self.cost_down + self.back_down
        return cost + self.loose + self.bids.of(outcome)

    def with_bids(self, bids: OpenBids) -> Exposure:
        """The same holdings with these open orders. Asked for on every decision, and `evolve`
        takes as long as all the rest of the answer.
        """
        return Exposure(
            self.cost_up, self.cost_down, self.up, self.down, bids,
            self.loose, self.back_up, self.back_down,
        )  # fmt: skip

    def with_bid(self, outcome: Outcome, dollars: int) -> Exposure:
        return self.with_bids(self.bids.with_bid(outcome, dollars))

    def with_ask(self, outcome: Outcome, given: int) -> Exposure:
        return self.with_bids(self.bids.with_ask(outcome, given))


@attrs.frozen
class Elsewhere:
    """All other markets of the wallet together, and those of one cluster among them.

    `at_risk` and the losses in 10⁻⁶ dollars; `orders` that may still match.
    """

    at_risk: int = 0
    cluster_loss: int = 0
    total_loss: int = 0
    orders: int = 0


def cluster_of(series: str) -> str:
    """What a market's result hangs on: the asset. Overlapping windows of one asset are almost
    perfectly dependent near a jump (strategy.md 14).
    """
    return series.partition("-")[0]


def elsewhere(
    others: Iterable[tuple[str, Exposure]], cluster: str, unexplained: int = 0
) -> Elsewhere:
    """Add up other markets, given as (cluster, exposure). `unexplained` dollars are promised by
    orders of which no market is known: they may be lost whole, in this cluster too.
    """
    at_risk = cluster_loss = total_loss = unexplained
    orders = 0
    for theirs, exposure in others:
        loss = exposure.worst_loss
        at_risk += exposure.at_risk
        total_loss += loss
        cluster_loss += loss if theirs == cluster else 0
        orders += exposure.bids.orders
    return Elsewhere(at_risk, cluster_loss, total_loss, orders)


def inventory_room(outcome: Outcome, net: int, limit: int, open_same: int = 0) -> int:
    """Shares (10⁻⁶) of `outcome` that may still be bought if every open bid on it fills.

    `net` is shares Up less shares Down. Bids on the other outcome do not make room: they may not
    fill. Negative when the limit is passed already. Quoter and firewall both ask here, the quoter
    for what it holds and the firewall with what rests as well.
    """
    toward = net if outcome is UP else -net
    return limit - toward - open_same
