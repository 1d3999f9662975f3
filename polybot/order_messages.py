"""What reaches an orders task, in the order of its inbox: wishes, and what requests came to."""

from __future__ import annotations

import attrs

from polybot.domain.orders import CancelResult, Failure, OrderRow, PostResult, PrivateEvent
from polybot.execution.doubts import Surveyed


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
