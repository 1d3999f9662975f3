"""An order that is not meant to trade: the smallest there is, at the lowest price there is.

It proves things about the venue that only a resting order can. On the outcome with the better bid
the lowest price is as far from the market as can be.
"""

from __future__ import annotations

from polybot.domain.market import Market, Outcome, Side
from polybot.domain.orders import Failure, NewOrder, OrderRow, OrderSeen, PostResult, Rejected
from polybot.domain.units import ONE
from polybot.venue.clob import ClobClient

FAR_TICKS = 3  # at least so many between us and the best bid
CAUSE = "far order"


async def far_order(client: ClobClient, market: Market) -> NewOrder | Failure:
    """The order, unsigned; Failure where neither outcome's book leaves room below its bids."""
    best: tuple[int, Outcome] | None = None
    for outcome in Outcome:
        book = await client.book(market.token(outcome))
        if isinstance(book, Failure):
            return book
        bid = max((level.price for level in book.bids), default=0)
        ask = min((level.price for level in book.asks), default=ONE)
        top = bid or ask - market.tick
        if best is None or top > best[0]:
            best = (top, outcome)
    assert best is not None, "a market has two outcomes"
    if best[0] < market.tick * (1 + FAR_TICKS):
        return Failure(f"{market.slug}: no price is far from the market")
    return NewOrder(
        market, best[1], Side.BUY, market.tick, market.min_size, post_only=True, cause=CAUSE
    )


def refusal(result: PostResult) -> str | None:
    """Why an order does not rest, as far as its answer tells; None where it may."""
    return f"{result.reason.value} ({result.text})" if isinstance(result, Rejected) else None


async def rests(client: ClobClient, order_id: str) -> bool | Failure:
    """Whether the venue shows it alive."""
    row = await client.order(order_id)
    if isinstance(row, Failure):
        return row
    return isinstance(row, OrderRow) and row.kind is OrderSeen.Kind.LIVE
