"""The market that most tests trade in: five minutes of bitcoin, a tick of one cent."""

from __future__ import annotations

from polybot.domain.market import FeeSchedule, Market, TwapPair
from polybot.domain.units import SHARE

START = 1_790_000_100_000
FEES = FeeSchedule(70_000, 1, 200_000)
BTC_5M = Market(
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
    fees=FEES,
)
