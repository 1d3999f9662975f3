"""Reference prices as the streams tell them: what was seen, from whom, with whose stamp.

Floats, because these are observations that models read; they never become money.
"""

from __future__ import annotations

import enum

import attrs


class Feed(enum.Enum):
    """Where a price comes from, and so what it may be used for."""

    CHAINLINK = "chainlink"  # oracle spot: anchors the basis of a faster proxy
    TWAP60 = "twap60"  # oracle 60 s average: strike and settlement of TWAP markets
    BINANCE = "binance"  # exchange spot: the fast proxy, and the only source of volatility
    CANDLE_OPEN = "candle_open"  # open of an exchange candle: the strike of candle markets


class Source(enum.Enum):
    """Which connection told it. Two may carry the same feed: the first to tell a stamp counts."""

    POLYBOLT = "polybolt"
    RTDS = "rtds"
    BINANCE = "binance"


@attrs.frozen
class PriceUpdate:
    """One observation of one symbol.

    `symbol` is as the market's rule names it: "btcusd" for CHAINLINK and TWAP60, "BTCUSDT" for
    BINANCE and CANDLE_OPEN. `stamp_ms` is the source's own stamp (for CANDLE_OPEN: the candle's
    open time); `snapshot` marks history replayed on subscribing, which is no sign of freshness.
    """

    feed: Feed
    symbol: str
    value: float
    stamp_ms: int
    snapshot: bool = False
