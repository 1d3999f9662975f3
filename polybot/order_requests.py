"""A request of an orders task that is under way, and what is known of it once nobody waits for it
any more.
"""

from __future__ import annotations

import attrs
import trio

from polybot.domain.orders import Failure, Unknown
from polybot.execution.actions import Action, Post
from polybot.execution.doubts import LookUp, Survey, Surveyed
from polybot.order_messages import LookedUp, Message, Posted, Unsent
from polybot.venue.leave import Leave

LAST_PATIENCE_S = 1.0  # how long a request may still tell its fate once the scope is ending
LAST_ANSWER_S = (
    2.5  # and a POST that has left, whose answer alone tells of orders that were refused
)
GIVEN_UP = "given up while ending"


@attrs.frozen
class CancelMarket:
    """The one action that is not the desk's: everything of this market, by the venue's own list."""


@attrs.define(eq=False)
class Request:
    """`leave`: whether a POST may still be written, and that it has not been."""

    action: Action | CancelMarket
    leave: Leave
    scope: trio.CancelScope = attrs.field(factory=trio.CancelScope)

    @property
    def posting(self) -> bool:
        return isinstance(self.action, Post)

    def wind_up(self) -> None:
        """The market ends: it is waited for a little longer. A POST that has not left will not."""
        limit = LAST_ANSWER_S if self.posting and not self.leave.unsent else LAST_PATIENCE_S
        self.scope.deadline = min(self.scope.deadline, trio.current_time() + limit)

    def given_up(self) -> Message | None:
        """What we know of it when we have stopped waiting, said in its terms: of a POST that never
        left everything, else nothing.
        """
        match self.action:
            case Post(orders) if self.leave.unsent:
                return Unsent(tuple(order.id for order in orders))
            case Post(orders):
                return Posted(tuple(Unknown(order.id, GIVEN_UP) for order in orders))
            case LookUp(order_id):
                return LookedUp(order_id, Failure(GIVEN_UP))
            case Survey():
                return Surveyed(0, Failure(GIVEN_UP), trades=False)
        return None
