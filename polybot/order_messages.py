"""What reaches an orders task, in the order of its inbox: wishes, and what requests came to."""

from __future__ import annotations

import attrs

from polybot.domain.orders import (
    CancelResult,
    Failure,
    OrderRow,
    PostResult,
    PrivateEvent,
    Unknown,
)
from polybot.execution.actions import Post
from polybot.execution.doubts import LookUp, Survey, Surveyed

GIVEN_UP = "given up while ending"


@attrs.frozen
class Wish:
    """A new wish lies in the slot."""


@attrs.frozen
class Posted:
    results: tuple[PostResult, ...]


@attrs.frozen
class Unsent:
    ids: tuple[str, ...]


@attrs.frozen
class CancelAnswered:
    ids: tuple[str, ...]
    result: CancelResult


@attrs.frozen
class LookedUp:
    order_id: str
    answer: OrderRow | Failure | None


@attrs.frozen
class Missing:
    order_id: str
    begun_ms: int  # the list that lacks it


@attrs.frozen
class Resting:
    order_id: str
    begun_ms: int  # the list that shows it


Message = (
    Wish | Posted | Unsent | CancelAnswered | LookedUp | Surveyed | Missing | Resting | PrivateEvent
)


def given_up(action: object) -> Message | None:
    """What we know of a request that we stopped waiting for: nothing, said in its terms."""
    match action:
        case Post(orders):
            return Posted(tuple(Unknown(order.id, GIVEN_UP) for order in orders))
        case LookUp(order_id):
            return LookedUp(order_id, Failure(GIVEN_UP))
        case Survey():
            return Surveyed(0, Failure(GIVEN_UP), trades=False)
    return None
