"""Whether the user stream is to be believed: it must be up, and tell what others say has happened.

A subscription may be dead while its connection answers every PING (F01), and it would be trusted
for ever if that were all that is asked of it. What it says can be held against REST: of an order
that the venue has taken and of a trade that was read there it owes us word. A stream that tells
nothing of them hides our fills, and is as good as none.

Rejected: silence as a sign. While nothing of ours moves there is nothing to tell.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import attrs
import trio

from polybot.domain.orders import Acked, PostResult, PrivateEvent, TradeSeen

# The slowest word is that of a fill, up to 0.6 s behind its match (feeds.md 4.5, 4.6); a look that
# reads a trade before the stream has told it, or a link that stumbles, is to be no trouble.
TOLD_WITHIN_S = 3.0
# For so long the word may come before what it is owed for: a POST's answer takes less.
KEPT_S = 30.0


@attrs.define(eq=False)
class StreamTrust:
    """`sessions` counts how often the stream was opened: each begins without debts, for it cannot
    know what has happened before.
    """

    open: bool = False
    sessions: int = 0
    _opened_at: float = math.inf  # Trio's, as all times here
    _told: dict[str, float] = attrs.field(factory=dict)  # ids of orders and trades, oldest first
    _owed: dict[str, float] = attrs.field(factory=dict)  # the same, and by when each is due

    def opens(self) -> None:
        self.open, self._opened_at = True, trio.current_time()
        self.sessions += 1

    def ends(self) -> None:
        self.open, self._opened_at = False, math.inf
        self._told.clear()
        self._owed.clear()

    def told(self, event: PrivateEvent) -> None:
        """The stream has told of an order or a trade."""
        if isinstance(event, TradeSeen):
            ids = {event.trade_id, *(leg.order_id for leg in event.legs)}
        else:
            ids = {event.order_id}
        now = trio.current_time()
        for one in ids:
            self._owed.pop(one, None)
            self._told.pop(one, None)  # it goes to the end
            self._told[one] = now
        for one in [one for one, at in self._told.items() if now > at + KEPT_S]:
            del self._told[one]

    def accepted(self, results: Iterable[PostResult], sent_at: float) -> None:
        """Orders that were sent at that time have their answers. Of one that was sent before the
        stream was there its word may have come before it, too.
        """
        for result in results:
            if isinstance(result, Acked) and result.status == "live" and sent_at > self._opened_at:
                self._owe(result.order_id)

    def read(self, trade: TradeSeen, now_ms: int) -> None:
        """REST has told of a trade of ours that nobody here knew. Its time is in whole seconds, and
        by the venue's clock.
        """
        open_s = trio.current_time() - self._opened_at
        if now_ms - trade.at_ms < (open_s - 2) * 1000:
            self._owe(trade.trade_id)

    def _owe(self, one: str) -> None:
        if one not in self._told:
            self._owed.setdefault(one, trio.current_time() + TOLD_WITHIN_S)

    @property
    def untold(self) -> str | None:
        """What the stream should have told by now, if there is anything."""
        oldest = next(iter(self._owed), None)
        return oldest if oldest is not None and trio.current_time() > self._owed[oldest] else None
