"""What a market's POSTs came to, where it was not to rest: told once for each reason, and passed on
to whom it concerns. That an order gets no answer is the desk's to look into; here it is only told.
"""

from __future__ import annotations

from collections.abc import Sequence

import attrs
from loguru import logger

from polybot.account import Account
from polybot.domain.orders import PostResult, Reject, Rejected, Unknown
from polybot.execution.table import OrderTable

# Refusals that no other order will escape.
FATAL = frozenset({Reject.NOT_AUTHORISED, Reject.GEOBLOCKED})


@attrs.define(eq=False)
class Refusals:
    account: Account
    table: OrderTable
    _told: set[Reject] = attrs.field(factory=set)

    def hear(self, results: Sequence[PostResult]) -> None:
        """Take what each order of a POST came to."""
        for result in results:
            if isinstance(result, Unknown):
                logger.warning("order {} has no answer: {}", result.order_id[:10], result.why)
            elif isinstance(result, Rejected):
                self._refused(result)

    def _refused(self, result: Rejected) -> None:
        if result.reason not in self._told:
            logger.info("refused: {} ({})", result.reason.value, result.text)
        self._told.add(result.reason)
        if result.reason is Reject.NOT_ENOUGH_BALANCE and result.order_id in self.table:
            self.account.approvals.refused(self.table[result.order_id].order)
        if result.reason in FATAL:
            self.account.refused(f"{result.reason.value}: {result.text}"[:200])
