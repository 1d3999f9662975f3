"""When each of many orders is asked for again: after pauses that grow, for who has not been helped
by the first dozen requests will hardly be by the next, and a look is some ten requests more.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import attrs
import trio

FIRST_S, MOST_S = 1.0, 20.0  # between two times; nobody is ever given up


@attrs.define(eq=False)
class Asking:
    _next: dict[str, tuple[float, float]] = attrs.field(factory=dict)  # (Trio's time, pause) by id

    def due(self, ids: Iterable[str]) -> list[str]:
        """Whose time it is, who has waited longest first: there may not be time for all. Of all
        others than these what was known is forgotten.
        """
        self._next = {one: self._at(one) for one in ids}
        waiting = sorted(self._next, key=lambda one: self._next[one][0])
        return [one for one in waiting if self._next[one][0] <= trio.current_time()]

    def in_vain(self, order_id: str) -> None:
        """It is asked for again after twice the pause before."""
        pause_s = min(2 * self._at(order_id)[1], MOST_S)
        self._next[order_id] = (trio.current_time() + pause_s, pause_s)

    def soonest(self, ids: Iterable[str]) -> float:
        """Trio's time at which the first of these is due; never, without any."""
        return min((self._at(one)[0] for one in ids), default=math.inf)

    def _at(self, order_id: str) -> tuple[float, float]:
        return self._next.get(order_id, (-math.inf, FIRST_S / 2))
