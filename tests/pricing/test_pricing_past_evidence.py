"""What is past is no evidence: of a level, or of a value that is frozen."""

from __future__ import annotations

import math

import pytest
from test_pricing_asset import Coin

from polybot.domain.prices import Feed
from polybot.pricing.asset import Spot


@pytest.mark.parametrize("away_s", [61, 75, 90, 110, 125])
def test_a_level_of_more_than_a_minute_ago_is_none(away_s: int) -> None:
    """The exchange comes back after more than a minute, on another level: the oracle prices until
    five common seconds have told it. Seconds of before the silence were looked at anew with each
    tick of the oracle, and the level they told was as young as that look.
    """
    coin = Coin()
    coin.run(120)
    coin.run(away_s, silent=frozenset({Feed.BINANCE}))
    coin.shift = 30.0

    now = coin.run(1)

    assert math.isclose(coin.spot(now).value, coin.price + 30.0, abs_tol=1.0)
    assert coin.spot(now).source is coin.asset.oracle


def test_a_witness_that_is_gone_itself_calls_nothing_frozen() -> None:
    """The oracle moves by 3 bp and goes silent. Half a minute later the exchange, which lives,
    trades at one price for 25 seconds: nobody has moved meanwhile. Hours are priced by the exchange
    alone, and need no oracle.
    """
    coin = Coin(sigma=0.0)
    coin.run(100)
    for _ in range(10):
        coin.price *= 1 + 3e-5
        coin.run(1)
    for _ in range(30):
        coin.price *= 1 + 1e-7
        now = coin.run(1, silent=frozenset({Feed.CHAINLINK}))
    for _ in range(25):
        now = coin.run(1, silent=frozenset({Feed.CHAINLINK}))
        found = coin.asset.exchange_spot(now)
        assert isinstance(found, Spot), found
