"""How a market's signals hear what the shell knows: prints, fills, and what decisions see.

Only translation: the venue's records and our orders become the signals' own words. Everything is a
plain call in the task that had the fact anyway.
"""

from __future__ import annotations

from collections.abc import Mapping

import attrs
from msgspec import Struct

from polybot.domain.market import DOWN, UP, Market, Outcome
from polybot.domain.orders import PrivateEvent, TradeSeen, TradeStatus, as_bid
from polybot.domain.units import ONE
from polybot.execution.lifecycle import OPEN
from polybot.execution.table import OrderTable
from polybot.execution.tracked import Tracked
from polybot.pricing.fair import Fair, NoFair
from polybot.quoting.model import BookView, Decision
from polybot.signal.advice import Advice
from polybot.signal.board import Look, SignalBoard
from polybot.signal.inputs import Depth, Filled, Priced, Print, of_others
from polybot.venue.market_messages import LastTrade

PRINTED_MS = 500  # a print comes on another stream than the end of the order that took


class _Seen(Struct, frozen=True, gc=False):
    """Both books and our own bids, and what comes of them: while they are the same objects, so is
    that.
    """

    up: BookView | None
    down: BookView | None
    own: Mapping[tuple[Outcome, int], int]
    others_up: Depth | None
    others_down: Depth | None
    our_best: dict[Outcome, int]

    @classmethod
    def of(
        cls,
        up: BookView | None,
        down: BookView | None,
        own: Mapping[tuple[Outcome, int], int],
    ) -> _Seen:
        best: dict[Outcome, int] = {}
        for side, price in own:
            best[side] = max(price, best.get(side, 0))
        return cls(up, down, own, _others(UP, up, own), _others(DOWN, down, own), best)


@attrs.define(eq=False)
class SignalEars:
    market: Market
    board: SignalBoard
    _seen: _Seen | None = None

    def printed(self, trade: LastTrade, now_ms: int, table: OrderTable | None = None) -> None:
        """A print of either token; another market's is none of ours. Nor are those of what we take
        ourselves, as far as the table tells: the flow would be told to go where we have gone, and
        our next bid with it.
        """
        if table is not None and any(_took(tracked, trade, now_ms) for tracked in table):
            return
        if trade.asset in (self.market.up_token, self.market.down_token):
            outcome = self.market.outcome_of(trade.asset)
            self.board.printed(Print(outcome, trade.side, trade.price, trade.size), now_ms)

    def told(self, event: PrivateEvent, table: OrderTable, now_ms: int) -> None:
        """A fill of ours, at the match: what comes later of the same trade changes no markout. A
        sale is told as the bid that it stands for.
        """
        if not isinstance(event, TradeSeen) or event.status is TradeStatus.FAILED:
            return
        for leg in event.legs:
            # What we take ourselves says nothing of those who trade with us: it pays by choice.
            if not leg.maker or leg.token not in (self.market.up_token, self.market.down_token):
                continue
            outcome, price = as_bid(self.market.outcome_of(leg.token), leg.side, leg.price)
            fill = Filled(
                key=(event.trade_id, leg.order_id),
                outcome=outcome,
                price=price,
                size=leg.shares,
                level=table[leg.order_id].order.level if leg.order_id in table else 0,
                half_spread=self.board.earns(outcome, price),
                rebate=_rebate(self.market, leg.price),
            )
            self.board.filled(fill, now_ms)

    def look(
        self,
        fair: Fair | NoFair,
        up: BookView | None,
        down: BookView | None,
        own: Mapping[tuple[Outcome, int], int],
        now_ms: int,
    ) -> Advice:
        """Before a decision: what it is about to see. Returns what the acting signals ask for."""
        priced = None
        if isinstance(fair, Fair):
            priced = Priced(fair.q, fair.v, fair.spot, fair.sigma)
        if not self.board.due(now_ms):
            return self.board.between(priced, now_ms)
        seen = self._seen
        if seen is None or seen.up is not up or seen.down is not down or seen.own is not own:
            self._seen = seen = _Seen.of(up, down, own)
        return self.board.look(
            Look(now_ms, priced, seen.others_up, seen.others_down, seen.our_best)
        )

    def decided(self, decision: Decision, now_ms: int) -> None:
        """After it: the blended fair price and the edge, if there was a decision to speak of. What
        signals have moved that price by is taken off: none is judged by what it does itself.
        """
        if decision.fair is not None and decision.edge is not None:
            fair = decision.fair - self.board.advice.shift
            self.board.decided(fair, decision.edge, now_ms)


def _others(
    outcome: Outcome, view: BookView | None, own: Mapping[tuple[Outcome, int], int]
) -> Depth | None:
    return of_others(outcome, view.bids, view.asks, own) if view is not None else None


def _took(tracked: Tracked, trade: LastTrade, now_ms: int) -> bool:
    """Whether a print may be of this order, which takes: it buys, and the tape is of takers."""
    order = tracked.order
    if not order.taking or order.token != trade.asset or trade.side is not order.side:
        return False
    recent = tracked.state in OPEN or now_ms - tracked.changed_ms <= PRINTED_MS
    return recent and trade.price <= order.price


def _rebate(market: Market, price: int) -> float:
    """What the venue pays a maker for one share if the taker pays its fee, in dollars: the rebate
    share of rate·p(1-p) (strategy.md 8.2).
    """
    p = price / ONE
    fee = market.fees.rate_ppm / 1e6 * (p * (1 - p)) ** market.fees.exponent
    return fee * market.fees.rebate_ppm / 1e6
