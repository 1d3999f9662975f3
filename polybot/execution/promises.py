"""What one market's orders may still spend and sell, for all who must leave room for it."""

from __future__ import annotations

import attrs

from polybot.domain.market import DOWN, UP, Outcome
from polybot.execution.firewall import open_bids
from polybot.execution.table import OrderTable
from polybot.risk.exposure import OpenBids


@attrs.frozen(eq=False)
class Promised:
    """`reserved`: dollars (10⁻⁶) that orders may spend, or have spent without the ledger yet;
    `bids`: the part that may still match, by outcome, and what asks give away; `pledged_*`: shares
    (10⁻⁶) that asks may sell, or may have sold without the ledger yet. Read from a table with
    `mark`.
    """

    mark: tuple[int, int, int, int]
    reserved: int
    bids: OpenBids
    pledged_up: int
    pledged_down: int

    @classmethod
    def of(cls, table: OrderTable) -> Promised:
        bids = open_bids(table.possible(), table.unbooked_sales())
        reserved = bids.total + table.unbooked
        return cls(table.mark, reserved, bids, table.bound(UP), table.bound(DOWN))

    def pledged(self, outcome: Outcome) -> int:
        return self.pledged_up if outcome is UP else self.pledged_down
