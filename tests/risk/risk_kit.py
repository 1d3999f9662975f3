"""Two markets and their timetables, for the tests of risk."""

from __future__ import annotations

import attrs
from market_kit import BTC_5M

from polybot.domain.market import Candle, UnknownRule
from polybot.risk.timetable import Times, Timetable

START = BTC_5M.start_ms
FIVE = BTC_5M
HOUR = attrs.evolve(FIVE, series="btc-1h", rule=Candle("BTCUSDT", "1h"), end_ms=START + 3_600_000)
STRANGE = attrs.evolve(FIVE, rule=UnknownRule("a coin toss"))
TIMES = Times(stop_ms=120_000, cutoff_ms=60_000)
TABLE = Timetable.of(FIVE, TIMES)
