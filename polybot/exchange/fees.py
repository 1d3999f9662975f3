"""The taker's fee and the makers' share of it (clob.md 6.1). Makers pay nothing."""

from __future__ import annotations

from polybot.exchange.model import Market
from polybot.exchange.money import ONE, UNIT

# Taker rate in millionths and the makers' share of the fees in percent, by category (clob.md 6.1,
# 2026-09-30).
CATEGORIES: dict[str, tuple[int, int]] = {
    "crypto": (70_000, 20),
    "sports": (50_000, 15),
    "economics": (50_000, 25),
    "culture": (50_000, 25),
    "weather": (50_000, 25),
    "other": (50_000, 25),
    "finance": (40_000, 25),
    "politics": (40_000, 25),
    "tech": (40_000, 25),
    "mentions": (40_000, 25),
    "geopolitics": (0, 0),
}

USUAL_REBATE_PERCENT = CATEGORIES["crypto"][1]  # what is told of a market without one of its own

GRAIN = 10  # fees have five decimals: 0.00001 pUSD in units of 10⁻⁶


def told_rebate_percent(market: Market) -> int:
    """The makers' share of the market's fees as Gamma and the listings tell it."""
    return USUAL_REBATE_PERCENT if market.rebate_percent is None else market.rebate_percent


def taker_fee(market: Market, shares: int, price: int) -> int:
    """shares · rate · (p(1-p))^exponent in 10⁻⁶ pUSD, half-up to five decimals (clob.md 6.1).

    What rounds below the smallest fee, 0.00001, is free. The rounding is per trade, that is per
    taker and price level: the reference leaves open whether it is per maker leg.
    """
    curve: int = (price * (ONE - price)) ** market.fee_exponent
    numerator = shares * market.fee_rate_ppm * curve
    denominator: int = GRAIN * UNIT * (ONE * ONE) ** market.fee_exponent
    return (2 * numerator + denominator) // (2 * denominator) * GRAIN
