"""A market and its books, for the tests of signals."""

from __future__ import annotations

import attrs
from market_kit import BTC_5M

from polybot.domain.market import Outcome, Side
from polybot.domain.units import ONE, SHARE
from polybot.signal.inputs import Depth, Filled, Print

UP, DOWN = Outcome.UP, Outcome.DOWN
START = BTC_5M.start_ms
MARKET = BTC_5M


def depth(bid: int | None = 4900, ask: int | None = 5000, shares: int = 3_000) -> Depth:
    """One level a side; None leaves that side empty."""
    bids = ((bid, shares * SHARE),) if bid is not None else ()
    asks = ((ask, shares * SHARE),) if ask is not None else ()
    return Depth(bids, asks)


def mirrored(of: Depth) -> Depth:
    """The same book seen from the other outcome."""
    return Depth(
        tuple((ONE - price, size) for price, size in of.asks),
        tuple((ONE - price, size) for price, size in of.bids),
    )


def printed(
    outcome: Outcome = UP, side: Side = Side.BUY, price: int = 5000, shares: int = 10
) -> Print:
    return Print(outcome, side, price, shares * SHARE)


BASE = Filled(("t", "o"), UP, 5000, 10 * SHARE, 0)


def fill(n: int, outcome: Outcome = UP, price: int = 5000, shares: int = 10) -> Filled:
    """The n-th fill of ours, meant to earn one cent."""
    return attrs.evolve(
        BASE,
        key=(f"t{n}", "o"),
        outcome=outcome,
        price=price,
        size=shares * SHARE,
        half_spread=0.01,
    )
