"""The book as others made it: our own orders taken out, so that we never chase ourselves."""

from __future__ import annotations

from collections.abc import Mapping

import attrs

from polybot.domain import units
from polybot.domain.market import Outcome
from polybot.quoting.model import BookView, QuoteInputs
from polybot.quoting.reasons import Reason, Why
from polybot.quoting.reservation import MarketMid


@attrs.frozen
class Touch:
    """Best bid and ask of others, 10⁻⁴."""

    bid: int
    ask: int


def touch(inputs: QuoteInputs, outcome: Outcome) -> Touch | Reason:
    """Best prices of others on one outcome, or why there are none to quote against.

    The two books are one book seen from two ends (feeds.md 2.3): our bid for Down at p is also
    displayed as an ask for Up at 1 - p, and both are taken out.
    """
    book = inputs.book(outcome)
    if book is None:
        return Reason(Why.NO_BOOK, outcome)
    bid = _best_bid(book, inputs.own, outcome)
    ask = _best_ask(book, inputs.own, outcome.other)
    if bid is None or ask is None:
        return Reason(Why.ONE_SIDED, outcome, _figures(bid, ask))
    if bid >= ask:
        return Reason(Why.CROSSED, outcome, _figures(bid, ask))
    return Touch(bid, ask)


def market_mid(up: Touch | Reason, down: Touch | Reason) -> MarketMid | None:
    """The market's probability of Up, from whichever book has two sides, Up's first."""
    if isinstance(up, Touch):
        return _mid(up.bid, up.ask)
    if isinstance(down, Touch):
        return _mid(units.ONE - down.ask, units.ONE - down.bid)
    return None


def _mid(bid: int, ask: int) -> MarketMid:
    return MarketMid((bid + ask) / 2 / units.ONE, (ask - bid) / 2 / units.ONE)


def _best_bid(
    book: BookView, own: Mapping[tuple[Outcome, int], int], outcome: Outcome
) -> int | None:
    for price, size in book.bids:
        if size > own.get((outcome, price), 0):
            return price
    return None


def _best_ask(book: BookView, own: Mapping[tuple[Outcome, int], int], other: Outcome) -> int | None:
    for price, size in book.asks:
        if size > own.get((other, units.ONE - price), 0):
            return price
    return None


def offers(inputs: QuoteInputs, outcome: Outcome) -> list[tuple[int, int]]:
    """What others ask for one outcome, best first: (price 10⁻⁴, size 10⁻⁶)."""
    book = inputs.book(outcome)
    if book is None:
        return []
    left = (
        (price, size - inputs.own.get((outcome.other, units.ONE - price), 0))
        for price, size in book.asks
    )
    return [(price, size) for price, size in left if size > 0]


def _figures(bid: int | None, ask: int | None) -> tuple[tuple[str, str], ...]:
    return (
        ("bid", "-" if bid is None else units.price_text(bid)),
        ("ask", "-" if ask is None else units.price_text(ask)),
    )
