"""Whether what is over stays over (S23): no order of the bot comes back from an end that the venue
knows of, and no trade falls behind a status that it has had.
"""

from __future__ import annotations

from collections.abc import Callable

import attrs

from polybot.app import Bot
from polybot.domain.orders import TradeStatus
from polybot.exchange.model import Status
from polybot.exchange.server import Exchange
from polybot.execution.lifecycle import OPEN, State
from polybot.execution.tracked import Tracked

OVER = (State.FILLED, State.CANCELLED, State.REJECTED)  # by the venue's word; ABSENT is inferred
RESTING = (Status.LIVE, Status.DELAYED)
STALE = "stale_reply"  # the fault of a venue that shows as resting what has ended


@attrs.define(eq=False)
class Ranks:
    """`once` tells of a breach by rule, key and text."""

    exchange: Exchange
    once: Callable[[str, str, str], None]
    _ended: dict[str, int] = attrs.field(factory=dict)  # and how many stale answers there were then
    _trades: dict[tuple[str, str], TradeStatus] = attrs.field(factory=dict)

    def forget(self) -> None:
        """Another bot begins with what it has read."""
        self._ended.clear()
        self._trades.clear()

    def look(self, bot: Bot) -> None:
        """To be called a few times a second."""
        before, self._ended = self._ended, {}
        for scope in bot.supervisor.scopes.values():
            for tracked in scope.orders.desk.table:
                self._order(tracked, before)
        for books in bot.ctx.account.ledger.books.values():
            for key, booked in books.trades.items():
                known = self._trades.get(key, booked.status)
                if booked.status < known:
                    what = f"trade {key[0][:8]} was {known.name} and is {booked.status.name}"
                    self.once("S23", key[0], what)
                self._trades[key] = booked.status

    def _order(self, tracked: Tracked, before: dict[str, int]) -> None:
        """Ended for both, it may be in doubt again, by a list that shows it; never open."""
        stale, since = self.exchange.faults.struck[STALE], before.get(tracked.id)
        if since is None:
            order = self.exchange.engine.orders.get(tracked.id)
            over = order is not None and order.status not in RESTING
            since = stale if over and tracked.state in OVER else None
        if since is not None:
            self._ended[tracked.id] = since
            if tracked.state in OPEN and tracked.state is not State.UNKNOWN and since == stale:
                what = f"order {tracked.id[:10]} had ended and is {tracked.state.value}"
                self.once("S23", tracked.id, what)
