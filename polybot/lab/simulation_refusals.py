"""Which orders the venue may refuse without its sender having known better (S2, S8)."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable

import attrs

from polybot.exchange.model import SELL, Event, Moved, OrderEvent, TickChanged, TradeUpdated
from polybot.exchange.server import Exchange
from polybot.exchange.settlement import parties

# A request may be held up for half a minute, and a frame be lost. What leaves after the news of a
# tick is judged when it is sent; whoever has not heard of it by then should have asked.
TICK_KNOWN_S = 45.0
# The venue's balances follow the chain late, and so do those on the way; and a sale may be told
# after its order's end.
SHARES_KNOWN_S = 5.0
AGAIN_KNOWN_S = 45.0  # what a relayer did twice is looked for once it has confirmed, and lasts
NO_BALANCE, TICK_RULE = "balance is not enough", "minimum tick size"
NO_ALLOWANCE = "allowance is not enough"
LATE_RULES = ("invalid expiration", "does not exist")
UNTOLD = "Rate limit exceeded for tokenId"  # nobody knows the figure (clob.md 3.6)


@attrs.define(eq=False)
class Refusals:
    """`break_` is told of those that could have been known."""

    exchange: Exchange
    address: str
    break_: Callable[[str, str], None]
    now_s: Callable[[], float]
    unapproved: Callable[[], bool] = lambda: False  # whether approvals are gone: S12 says how long
    _ticked_s: float = -math.inf
    _astray_s: float = -math.inf  # until then the venue may have less of ours than anybody knows
    _moved: tuple[object, int] = (None, 0)  # our last merge, split or redemption, and when
    _refused: int = 0
    _stale: int = 0  # how often the venue has gone by old balances
    _texts: Counter[str] = attrs.field(factory=Counter)

    hears = (TickChanged, TradeUpdated, Moved, OrderEvent)

    def hear(self, event: Event) -> None:
        """An event of the exchange's engine."""
        if isinstance(event, OrderEvent):
            if event.kind == "CANCELLATION" and event.order.account == self.address:
                self._withdrawn(event)
        elif isinstance(event, TickChanged):
            self._ticked_s = self.now_s()
        elif isinstance(event, TradeUpdated):
            if event.trade.status == "FAILED" and self.address in parties(event.trade):
                self._for_a_while()
        elif isinstance(event, Moved) and event.account == self.address:
            (before, at_ms), what = self._moved, (event.move, event.market, event.shares)
            if what == before and event.at_ms - at_ms <= self.exchange.terms.block_ms:
                self._astray_s = self.now_s() + AGAIN_KNOWN_S  # no bot asks again so soon
            self._moved = (what, event.at_ms)

    def _withdrawn(self, event: OrderEvent) -> None:
        """Where matches are told late, what was left of an ask may be told to be all of it (seed
        1145).
        """
        if self.exchange.terms.fill_lag_ms and event.order.side == SELL and event.order.matched:
            self._for_a_while()

    def _for_a_while(self) -> None:
        self._astray_s = max(self._astray_s, self.now_s() + SHARES_KNOWN_S)

    def look(self) -> None:
        """S2, S8: no order that its sender could have known to be refused: off the grid, too small,
        or for shares that are not his yet. Ticks change under orders on their way, and time passes:
        expirations are judged when they are sent, cutoffs by S1. Nobody knows at once where a venue
        goes by old balances, a confirmed trade is undone, a merge is done twice, or an approval has
        been revoked.
        """
        counters = self.exchange.counters
        refused = counters.accounts[self.address].invalid
        texts = Counter({t: n for t, n in counters.totals.items() if t.startswith("refused: ")})
        new = "; ".join(texts - self._texts)
        raced = TICK_RULE in new and self.now_s() - self._ticked_s < TICK_KNOWN_S
        late = any(text in new for text in LATE_RULES)
        stale, self._stale = self._stale, self.exchange.balances.behind
        old = NO_BALANCE in new and (self.now_s() < self._astray_s or self._stale > stale)
        gone = NO_ALLOWANCE in new and self.unapproved()
        if refused > self._refused and not (raced or late or old or gone or UNTOLD in new):
            rule = "S8" if NO_BALANCE in new else "S2"
            self.break_(rule, f"{refused - self._refused} orders refused: {new}"[:300])
        self._refused, self._texts = refused, texts
