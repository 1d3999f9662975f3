"""What a desk leaves alone for a while after a refusal, and when the engine is away. Pure.

The venue's words are about one side of one outcome, so only that one rests; but an engine that is
away is away for all of them (F39). A brake on many refusals is elsewhere (`risk/breakers.py`).
"""

from __future__ import annotations

import itertools

import attrs

from polybot.domain.market import Outcome, Side
from polybot.domain.orders import NewOrder, Reject

QUIET_MS = {
    Reject.POST_ONLY_CROSSES: 200,
    Reject.NO_MATCH: 0,  # how a take ends that finds nothing (F28): the next one is paced by itself
    Reject.NOT_ENOUGH_BALANCE: 3000,
    Reject.RATE_LIMITED: 2000,
    Reject.RESTARTING: 5000,
    Reject.CANCEL_ONLY: 5000,
    Reject.POST_ONLY_MODE: 2000,
    Reject.UNREACHABLE: 2000,
}
QUIET_OTHER_MS = 10_000  # a refusal we do not understand: do not drum on the venue
POST_ONLY_MS = 120_000  # after a restart of the engine nobody takes (clob.md 7.3)
_RESTARTED = (Reject.RESTARTING, Reject.POST_ONLY_MODE)


@attrs.define(eq=False)
class Pauses:
    """The sides that rest, and whether the engine takes resting orders only. A clock that is set
    back makes no pause longer than it was to be from then on.
    """

    _until_ms: dict[tuple[Outcome, Side], int] = attrs.field(factory=dict)
    _lasts_ms: dict[tuple[Outcome, Side], int] = attrs.field(factory=dict)  # as it was begun
    _post_only_until_ms: int = 0

    def refused(self, order: NewOrder, reason: Reject, now_ms: int) -> None:
        """The venue has refused this order, or cannot be asked."""
        self._rest((order.outcome, order.side), QUIET_MS.get(reason, QUIET_OTHER_MS), now_ms)
        if reason in _RESTARTED:
            self._post_only_until_ms = now_ms + POST_ONLY_MS

    def engine_left(self, now_ms: int) -> None:
        """The venue has answered a cancel that its engine restarts."""
        for side in itertools.product(Outcome, Side):
            self._rest(side, QUIET_MS[Reject.RESTARTING], now_ms)
        self._post_only_until_ms = now_ms + POST_ONLY_MS

    def _rest(self, side: tuple[Outcome, Side], lasts_ms: int, now_ms: int) -> None:
        """No word shortens a pause that another began."""
        if now_ms + lasts_ms > self._until(side, now_ms):
            self._until_ms[side], self._lasts_ms[side] = now_ms + lasts_ms, lasts_ms

    def _until(self, side: tuple[Outcome, Side], now_ms: int) -> int:
        until_ms = self._until_ms.get(side, 0)
        if until_ms > now_ms:
            until_ms = self._until_ms[side] = min(until_ms, now_ms + self._lasts_ms[side])
        return until_ms

    def holds(self, order: NewOrder, now_ms: int) -> bool:
        """Whether this order's side rests."""
        return now_ms < self._until((order.outcome, order.side), now_ms)

    def post_only(self, now_ms: int) -> bool:
        """Whether the venue has said of late that it takes resting orders only."""
        self._post_only_until_ms = min(self._post_only_until_ms, now_ms + POST_ONLY_MS)
        return now_ms < self._post_only_until_ms
