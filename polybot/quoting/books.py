"""The book as others made it: our own orders taken out, so that we never chase ourselves."""

from __future__ import annotations

from msgspec import Struct

from polybot.domain import units
from polybot.domain.market import DOWN, UP, Outcome
from polybot.domain.units import ONE, SHARE
from polybot.pricing.blend import MarketView, micro_price
from polybot.quoting.model import QuoteInputs
from polybot.quoting.reasons import Reason, Why


class Touch(Struct, frozen=True, gc=False):
    """Best bid and ask of others, 10⁻⁴, and their sizes, 10⁻⁶ shares."""

    bid: int
    ask: int
    bid_size: int
    ask_size: int


def touch(inputs: QuoteInputs, outcome: Outcome) -> Touch | Reason:
    """Best prices of others on one outcome, or why there are none to quote against.

    The two books are one book seen from two ends (feeds.md 2.3): our bid for Down at p is also
    displayed as an ask for Up at 1 - p, and both are taken out.
    """
    book, other = (inputs.up, DOWN) if outcome is UP else (inputs.down, UP)
    if book is None:
        return Reason(Why.NO_BOOK, outcome)
    own = inputs.own
    bid: int | None = None
    ask: int | None = None
    bid_size = ask_size = 0
    for price, size in book.bids:
        bid_size = size - own.get((outcome, price), 0)
        if bid_size > 0:
            bid = price
            break
    for price, size in book.asks:
        ask_size = size - own.get((other, ONE - price), 0)
        if ask_size > 0:
            ask = price
            break
    if bid is None or ask is None:
        return Reason(Why.ONE_SIDED, outcome, _figures(bid, ask))
    if bid >= ask:
        return Reason(Why.CROSSED, outcome, _figures(bid, ask))
    return Touch(bid, ask, bid_size, ask_size)


def market_now(inputs: QuoteInputs, most_shares: float) -> MarketView | None:
    """What others think of Up at this moment, None where neither book has two sides."""
    up, down = touch(inputs, UP), touch(inputs, DOWN)
    return market_view(up, down, most_shares, inputs.book_age_s)


def market_view(
    up: Touch | Reason, down: Touch | Reason, most_shares: float, age_s: float = 0.0
) -> MarketView | None:
    """The market's probability of Up, from whichever book has two sides, Up's first.

    A micro-price, each side's weight capped at `most_shares` (strategy.md 12).
    """
    if isinstance(up, Touch):
        best = up
    elif isinstance(down, Touch):
        best = Touch(ONE - down.ask, ONE - down.bid, down.ask_size, down.bid_size)
    else:
        return None
    bid, bid_size = best.bid / ONE, best.bid_size / SHARE
    ask, ask_size = best.ask / ONE, best.ask_size / SHARE
    q = micro_price(bid, bid_size, ask, ask_size, most_shares)
    return MarketView(q, (ask - bid) / 2, bid_size if bid_size < ask_size else ask_size, age_s)


def offers(inputs: QuoteInputs, outcome: Outcome) -> list[tuple[int, int]]:
    """What others ask for one outcome, best first: (price 10⁻⁴, size 10⁻⁶)."""
    book = inputs.book(outcome)
    if book is None:
        return []
    left = (
        (price, size - inputs.own.get((outcome.other, ONE - price), 0)) for price, size in book.asks
    )
    return [(price, size) for price, size in left if size > 0]


def _figures(bid: int | None, ask: int | None) -> tuple[tuple[str, str], ...]:
    return (
        ("bid", "-" if bid is None else units.price_text(bid)),
        ("ask", "-" if ask is None else units.price_text(ask)),
    )
