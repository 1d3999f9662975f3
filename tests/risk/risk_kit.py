"""Two markets and their timetables, for the tests of risk."""

from __future__ import annotations

import attrs

from polybot.domain.market import Candle, FeeSchedule, Market, TwapPair, UnknownRule
from polybot.domain.units import SHARE
from polybot.risk.timetable import Times, Timetable

START = 1_790_000_100_000
FIVE = Market(
    series="btc-5m",
    slug="btc-updown-5m",
    condition_id="0xc",
    up_token="111",
    down_token="222",
    start_ms=START,
    end_ms=START + 300_000,
    rule=TwapPair("btcusd", 60),
    tick=100,
    min_size=5 * SHARE,
    fees=FeeSchedule(70_000, 1, 200_000),
)
HOUR = attrs.evolve(FIVE, series="btc-1h", rule=Candle("BTCUSDT", "1h"), end_ms=START + 3_600_000)
STRANGE = attrs.evolve(FIVE, rule=UnknownRule("a coin toss"))
TIMES = Times(stop_ms=120_000, cutoff_ms=60_000)
TABLE = Timetable.of(FIVE, TIMES)
