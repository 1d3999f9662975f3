"""A slow, obvious matching model to hold the fast one against: a list of orders and a sort."""

from __future__ import annotations

import attrs

from polybot.exchange.model import BUY
from polybot.exchange.money import ONE


@attrs.define
class Resting:
    """One order in the model: `bid` and `price` in Up's terms, `own_price` in its own token's."""

    id: str
    down: bool
    bid: bool
    price: int
    own_price: int
    left: int


@attrs.define
class SlowBook:
    """Every order of one market, oldest first."""

    resting: list[Resting] = attrs.field(factory=list)

    def queue(self, *, bids: bool) -> list[Resting]:
        """One side in priority; `sorted` keeps the older of equals first."""
        side = [order for order in self.resting if order.bid == bids]
        return sorted(side, key=lambda o: -o.price if bids else o.price)

    def match(
        self, *, down: bool, bid: bool, price: int, shares: int | None, dollars: int | None
    ) -> list[tuple[str, int]]:
        """Fill what crosses, and say who gave how much. `price` is in Up's terms."""
        fills: list[tuple[str, int]] = []
        left = shares if dollars is None else dollars
        assert left is not None
        for maker in self.queue(bids=not bid):
            if (maker.price > price) if bid else (maker.price < price):
                break
            taker_price = ONE - maker.price if down else maker.price
            wanted = left if dollars is None else left * ONE // taker_price
            part = min(wanted, maker.left)
            if part == 0:
                break
            paid = maker.own_price * part // ONE
            if maker.down != down:
                paid = part - paid
            left -= part if dollars is None else paid
            maker.left -= part
            fills.append((maker.id, part))
            if maker.left:
                break
            self.resting.remove(maker)
        return fills

    def levels(self, *, bids: bool) -> list[tuple[int, int]]:
        """One side's totals, best last."""
        totals: dict[int, int] = {}
        for order in self.queue(bids=bids):
            totals[order.price] = totals.get(order.price, 0) + order.left
        return list(totals.items())[::-1]


def in_up_terms(side: str, price: int, *, down: bool) -> tuple[bool, int]:
    """(is a bid on Up, price on Up) of an order on either token."""
    return ((side == BUY) != down, ONE - price if down else price)
