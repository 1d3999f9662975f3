"""The open of an hour told by an exchange whose connection was made anew around the hour."""

from __future__ import annotations

import attrs
import pytest
from market_kit import BTC_5M

from polybot.domain.market import Candle
from polybot.domain.prices import Feed, Source
from polybot.pricing.board import PriceBoard
from polybot.pricing.strikes import Trust

HOUR_MS = 3_600_000
START = BTC_5M.start_ms - BTC_5M.start_ms % HOUR_MS
HOUR = attrs.evolve(
    BTC_5M, series="btc-1h", rule=Candle("BTCUSDT", "1h"), start_ms=START, end_ms=START + HOUR_MS
)


@pytest.mark.parametrize("anew", [False, True], ids=["one connection", "a new one"])
def test_an_open_is_proven_by_the_seconds_of_its_own_hour(anew: bool) -> None:
    """All that the exchange tells from the hour on is 50 bp off, its open as well. The oracle
    stands elsewhere, and that is known a few seconds later; what both said of each other before the
    hour proves nothing of it.
    """
    board, off = PriceBoard(), 0.0
    trusts = []
    for second in range(-120, 9):
        at_ms = START + 1_000 * second
        if second == 0:
            off = 500.0
        if anew and second == 1:
            board.on_loss(Source.BINANCE, Feed.BINANCE, "BTCUSDT", 0)
        wobble = second % 7
        if not (anew and -1 <= second < 2):  # the connection is away
            for ms in (0, 400):
                board.on_tick(Feed.BINANCE, "BTCUSDT", 1e5 + off + wobble, at_ms + ms, at_ms + ms)
        board.on_tick(Feed.CHAINLINK, "btcusd", 1e5 + wobble, at_ms - 1_000, at_ms + 300)
        if second >= 2 and second % 2 == 0:
            board.on_tick(Feed.CANDLE_OPEN, "BTCUSDT", 1e5 + 500.0, START, at_ms + 500)
        strike = board.strike(HOUR)
        trusts.append(None if strike is None else strike.trust)

    assert Trust.EXACT not in trusts, trusts[120:]


def test_an_exchange_whose_trades_stay_away_proves_no_open() -> None:
    """Its candles come, its trades do not: what both said before the hour proves nothing of it."""
    board, trusts = PriceBoard(), []
    for second in range(-120, 9):
        at_ms = START + 1_000 * second
        if second < -1:
            board.on_tick(Feed.BINANCE, "BTCUSDT", 1e5 + second % 7, at_ms, at_ms)
        board.on_tick(Feed.CHAINLINK, "btcusd", 1e5 + second % 7, at_ms - 1_000, at_ms + 300)
        if second >= 2 and second % 2 == 0:
            board.on_tick(Feed.CANDLE_OPEN, "BTCUSDT", 1e5 + 500.0, START, at_ms + 500)
        strike = board.strike(HOUR)
        trusts.append(None if strike is None else strike.trust)

    assert Trust.EXACT not in trusts, trusts[120:]
