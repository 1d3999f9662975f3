"""How a market settles, read from what its metadata says in three places (feeds.md 8.4, 10.1).
Pure.

The same slug has settled by three different rules within one year. So the source's URL, the
structured config and the description must agree with each other, with the series and with the rules
known for the window's date; whatever they say that we do not understand is an UnknownRule, which is
never quoted.
"""

from __future__ import annotations

import datetime as dt
import re

import attrs

from polybot.domain.market import Candle, Rule, TwapPair, UnknownRule
from polybot.venue import fields
from polybot.venue.fields import Json
from polybot.venue.slugs import split_series

_TWAP_SOURCE = re.compile(
    r"https://data\.chain\.link/streams/([a-z0-9]+)-usd-twap-(\d+)s(-streams)?/?"
)
_SPOT_SOURCE = re.compile(r"https://data\.chain\.link/streams/([a-z0-9]+)-usd/?")
_BINANCE_SOURCE = re.compile(r"https://www\.binance\.com/[a-z-]+/trade/([A-Z0-9]+)_USDT/?")
_ORACLE_LENGTHS = ("5m", "15m", "4h")


def _day_ms(text: str) -> int:
    return round(dt.datetime.fromisoformat(text + "T00:00:00+00:00").timestamp() * 1000)


@attrs.frozen
class Era:
    """When the oracle's readings over one look-back decided windows of these lengths.

    From `since_ms` on, and for windows that start before `until_ms` (None: to this day).
    """

    lookback_s: int
    lengths: tuple[str, ...]
    since_ms: int = 0
    until_ms: int | None = None

    def holds(self, lookback_s: int, length: str, start_ms: int) -> bool:
        if lookback_s != self.lookback_s or length not in self.lengths:
            return False
        return self.since_ms <= start_ms < (self.until_ms or start_ms + 1)


# feeds.md 10.1. The 30 s average of 5m windows ended on 14 or 17 August, by two sources: in the
# days between, whichever the metadata says is believed.
ERAS = (
    Era(0, _ORACLE_LENGTHS, until_ms=_day_ms("2026-08-07")),
    Era(30, ("5m",), _day_ms("2026-08-07"), _day_ms("2026-08-17")),
    Era(60, ("15m", "4h"), _day_ms("2026-08-07")),
    Era(60, ("5m",), _day_ms("2026-08-14")),
)


def read_rule(row: Json, series: str, start_ms: int) -> Rule:
    """The rule of a Gamma market object of `series`, for the window that starts at `start_ms`."""
    source = fields.optional_text(row, "resolutionSource").strip()
    said = fields.optional_text(row, "description").lower()
    if re.search(r"50\s*[-/]\s*50", said):
        return UnknownRule("a tie pays half")
    if twap := _TWAP_SOURCE.fullmatch(source):
        return _twap(row, series, twap[1], int(twap[2]), said, start_ms)
    if spot := _SPOT_SOURCE.fullmatch(source):
        return _spot(row, series, spot[1], said, start_ms)
    if binance := _BINANCE_SOURCE.fullmatch(source):
        return _candle(row, series, binance[1], said)
    return UnknownRule(f"unknown source {source[:80]!r}")


def _twap(row: Json, series: str, asset: str, lookback_s: int, said: str, start_ms: int) -> Rule:
    config = row.get("cryptoMarketConfig")
    if not fields.is_object(config) or config.get("twapEnabled") is not True:
        return UnknownRule("source says TWAP, cryptoMarketConfig does not")
    coin, seconds = fields.shown(config.get("asset")).lower(), config.get("twapLookbackSeconds")
    if (coin, seconds) != (asset, lookback_s):
        told = f"{coin} over {fields.shown(seconds)} s"
        return UnknownRule(f"source says {asset} over {lookback_s} s, config {told}")
    if not ("twap" in said or "time-weighted" in said) or "binance" in said:
        return UnknownRule("source says TWAP, the description does not")
    return _of_an_era(row, series, asset, lookback_s, start_ms)


def _spot(row: Json, series: str, asset: str, said: str, start_ms: int) -> Rule:
    config = row.get("cryptoMarketConfig")
    if fields.is_object(config) and config.get("twapEnabled") is True:
        return UnknownRule("source says spot, cryptoMarketConfig TWAP")
    if "chainlink" not in said or "twap" in said or "time-weighted" in said:
        return UnknownRule("source says the oracle's spot, the description does not")
    return _of_an_era(row, series, asset, 0, start_ms)


def _of_an_era(row: Json, series: str, asset: str, lookback_s: int, start_ms: int) -> Rule:
    """The oracle's rule, if windows of this asset, length and date have ever settled by it."""
    own, length = split_series(series)
    if asset != own or not any(era.holds(lookback_s, length, start_ms) for era in ERAS):
        return UnknownRule(f"{asset} over {lookback_s} s in series {series}, at this date")
    source = fields.optional_text(row, "resolutionSource").strip()
    return TwapPair(f"{asset}usd", lookback_s, source=source)


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
    source = fields.optional_text(row, "resolutionSource").strip()
    return Candle(f"{coin}USDT", length, source=source)
