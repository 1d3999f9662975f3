"""The brake for trades that come to nothing (F31).

A match that the chain does not carry out is reversed, and the books are right; but who gets such
matches is chosen by somebody else. A taker who can let a trade fail does so with those that went
against him, and leaves us the others: 12 of 34 failed in one maker's report, 21 of 24 in another.
Where more than a few of the last trades have failed nothing is quoted for a while.
"""

from __future__ import annotations

import attrs

from polybot.domain.orders import TradeStatus
from polybot.risk.breakers import Pause
from polybot.risk.limits import RiskParams

UNDONE = "settlement"  # the trouble's name
LAST = 20  # ended trades that are looked at (F31)


@attrs.define(eq=False)
class Undone:
    """The wallet's last trades that have ended, whatever their market: it is not the market that
    lets them fail. One that was confirmed may fail later (F38).
    """

    params: RiskParams
    _failed: dict[str, bool] = attrs.field(factory=dict)  # by trade id, oldest first
    _pause: Pause = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self._pause = Pause(self.params.undone_pause_s * 1000)

    def ended(self, trade_id: str, status: TradeStatus, now_ms: int) -> str | None:
        """Hear of a trade's end; why to stop, where this one was too much."""
        self._failed[trade_id] = status is TradeStatus.FAILED
        if len(self._failed) > LAST:
            del self._failed[next(iter(self._failed))]
        failed, most = sum(self._failed.values()), self.params.undone_most
        if not most or failed <= most:
            return None
        why = f"{failed} of the last {len(self._failed)} trades failed"
        self._failed.clear()  # judged: what comes after the pause is judged by what comes after it
        self._pause.begin(now_ms)
        return why

    def over(self, now_ms: int) -> bool:
        """Whether there is no pause, or it is over."""
        return not self._pause.active(now_ms)
