"""The brake for trades that come to nothing (F31).

A match that the chain does not carry out is reversed, and the books are right; but who gets such
matches is chosen by somebody else. A taker who can let a trade fail does so with those that went
against him, and leaves us the others: 12 of 34 failed in one maker's report, 21 of 24 in another.
Where more than a few of the last trades have failed nothing is quoted for a while.

What happened before a start counts as well, for a program that is started again is no other venue:
the journal has every end, and they are told over again. Rejected: an entry of the pause's own. It
would come a moment after the trade that it is about, and not tell of the failures that are not too
many yet: a bot that is started again after each second one would never stop.
"""

from __future__ import annotations

from collections.abc import Iterable

import attrs

from polybot.domain.market_books import SETTLED
from polybot.domain.orders import TradeSeen, TradeStatus
from polybot.risk.breakers import DOUBLINGS_MOST, Pause
from polybot.risk.limits import RiskParams

UNDONE = "settlement"  # the trouble's name
LAST = 20  # ended trades that are looked at (F31)
# What began longer ago than this many first pauses has ended, and makes no later one longer.
KEPT_PAUSES = (1 + 4) << DOUBLINGS_MOST


@attrs.define(eq=False)
class Undone:
    """The wallet's last trades that have ended, whatever their market: it is not the market that
    lets them fail. One that was confirmed may fail later (F38).
    """

    params: RiskParams
    why: str = ""  # it last stopped
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
        self.why = f"{failed} of the last {len(self._failed)} trades failed"
        self._failed.clear()  # judged: what comes after the pause is judged by what comes after it
        self._pause.begin(now_ms)
        return self.why

    def recall(self, told: Iterable[tuple[int, TradeSeen]]) -> None:
        """Hear once more what earlier runs have heard of trades, and when."""
        for at_ms, trade in told:
            if trade.status in SETTLED:
                self.ended(trade.trade_id, trade.status, at_ms)

    @property
    def kept_ms(self) -> int:
        """For how long a trade's end may still count, 0 for a brake that is switched off."""
        return KEPT_PAUSES * self._pause.first_ms if self.params.undone_most else 0

    def over(self, now_ms: int) -> bool:
        """Whether there is no pause, or it is over."""
        return not self._pause.active(now_ms)
