"""How a market settles, read from what its metadata says in three places (feeds.md 8.4, 10.1).
Pure.

The same slug has settled by three different rules within one year. So the source's URL, the
structured config and the description must agree with each other and with the series, and whatever
they say that we do not understand is an UnknownRule, which is never quoted.
"""

from __future__ import annotations

import re

from polybot.domain.market import Candle, Rule, TwapPair, UnknownRule
from polybot.venue import fields
from polybot.venue.fields import Json
from polybot.venue.slugs import split_series

_TWAP_SOURCE = re.compile(
    r"https://data\.chain\.link/streams/([a-z0-9]+)-usd-twap-(\d+)s(-streams)?/?"
)
_SPOT_SOURCE = re.compile(r"https://data\.chain\.link/streams/([a-z0-9]+)-usd/?")
_BINANCE_SOURCE = re.compile(r"https://www\.binance\.com/[a-z-]+/trade/([A-Z0-9]+)_USDT/?")
_TWAP_LENGTHS = ("5m", "15m", "4h")


def read_rule(row: Json, series: str) -> Rule:
    """The rule of a Gamma market object of `series`."""
    source = fields.optional_text(row, "resolutionSource").strip()
    said = fields.optional_text(row, "description").lower()
    if re.search(r"50\s*[-/]\s*50", said):
        return UnknownRule("a tie pays half")
    if twap := _TWAP_SOURCE.fullmatch(source):
        return _twap(row, series, twap[1], int(twap[2]), said)
    if binance := _BINANCE_SOURCE.fullmatch(source):
        return _candle(row, series, binance[1], said)
    if _SPOT_SOURCE.fullmatch(source):
        return UnknownRule("settles on the oracle's spot, a rule that ended in August 2026")
    return UnknownRule(f"unknown source {source[:80]!r}")


def _twap(row: Json, series: str, asset: str, lookback_s: int, said: str) -> Rule:
    own, length = split_series(series)
    config = row.get("cryptoMarketConfig")
    if not fields.is_object(config) or config.get("twapEnabled") is not True:
        return UnknownRule("source says TWAP, cryptoMarketConfig does not")
    stated = (str(config.get("asset")).lower(), config.get("twapLookbackSeconds"))
    if stated != (asset, lookback_s):
        return UnknownRule(f"source says {asset} over {lookback_s} s, config {stated}")
    if asset != own or length not in _TWAP_LENGTHS:
        return UnknownRule(f"{asset} TWAP in series {series}")
    if not ("twap" in said or "time-weighted" in said) or "binance" in said:
        return UnknownRule("source says TWAP, the description does not")
    return TwapPair(f"{asset}usd", lookback_s)


def _candle(row: Json, series: str, coin: str, said: str) -> Rule:
    own, length = split_series(series)
    config = row.get("cryptoMarketConfig")
    if fields.is_object(config) and config.get("twapEnabled") is True:
        return UnknownRule("source says Binance, cryptoMarketConfig TWAP")
    if coin.lower() != own or length != "1h":
        return UnknownRule(f"{coin} candle in series {series}")
    if "binance" not in said or "chainlink" in said:
        return UnknownRule("source says Binance, the description does not")
    if not re.search(r"\b1[ -]?h(our)?\b", said) or "candle" not in said:
        return UnknownRule("the description names no 1 hour candle")
    return Candle(f"{coin}USDT", length)
