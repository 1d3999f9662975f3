"""A ladder as orders: each quote is made an order once, and is the same object when it is wanted
again. Most decisions want what the one before them wanted.
"""

from __future__ import annotations

import attrs

from polybot.domain.market import Market
from polybot.domain.orders import NewOrder, TimeInForce
from polybot.quoting.model import Quote

KEPT = 512  # quotes of one window; sizes that fade make new ones at every decision


@attrs.define(eq=False)
class OrderMaker:
    """Orders of one market, for as long as it and their end stay the same."""

    market: Market | None = None
    tif: TimeInForce = TimeInForce.GTC
    expires_s: int = 0
    _made: dict[Quote, NewOrder] = attrs.field(factory=dict)
    _quotes: tuple[Quote, ...] = ()
    _orders: tuple[NewOrder, ...] = ()

    def orders(
        self, market: Market, quotes: tuple[Quote, ...], tif: TimeInForce, expires_s: int
    ) -> tuple[NewOrder, ...]:
        """These quotes as post-only orders, in their order."""
        same = market is self.market and tif is self.tif and expires_s == self.expires_s
        if not same or len(self._made) > KEPT:
            self.market, self.tif, self.expires_s = market, tif, expires_s
            self._made.clear()
        elif quotes == self._quotes:
            return self._orders
        self._quotes, self._orders = quotes, tuple(self._order(market, quote) for quote in quotes)
        return self._orders

    def _order(self, market: Market, quote: Quote) -> NewOrder:
        found = self._made.get(quote)
        if found is None:
            outcome, price, size, level, side = quote
            found = self._made[quote] = NewOrder(
                market, outcome, side, price, size, self.tif, True, self.expires_s, level
            )
        return found
