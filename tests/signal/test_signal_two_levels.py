"""One asset's windows may be priced on two levels: the oracle's and the exchange's (feeds.md 7)."""

from __future__ import annotations

import math
import random

import attrs
import pytest
from signal_kit import MARKET, START

from polybot.domain.market import Candle, Market, TwapPair
from polybot.signal.board import SignalMemory
from polybot.signal.inputs import Priced
from polybot.signal.params import SignalParams


def market(asset: str, length: str) -> Market:
    rule = Candle(f"{asset.upper()}USDT", "1h") if length == "1h" else TwapPair(f"{asset}usd", 60)
    series = f"{asset}-{length}"
    return attrs.evolve(MARKET, series=series, condition_id=series, rule=rule)


@pytest.mark.parametrize("basis_bp", [0.0, 5.0])
def test_the_distance_of_oracle_and_exchange_is_no_move(basis_bp: float) -> None:
    """Two assets that move together, each with a window of five minutes and one of an hour. Which
    of the two tells its price last is chance: the quote tasks are woken by the same bell.
    """
    rng, memory = random.Random(7), SignalMemory(SignalParams())
    boards = [
        (asset, length, memory.board(market(asset, length), 0.15))
        for asset in ("btc", "eth")
        for length in ("5m", "1h")
    ]
    logs = {"btc": math.log(100_000.0), "eth": math.log(3_000.0)}
    for second in range(3_000):
        move = rng.gauss(0, 8e-5)
        for asset in logs:
            logs[asset] += move
        rng.shuffle(boards)
        for asset, length, board in boards:
            level = basis_bp / 1e4 if length == "1h" else 0.0
            priced = Priced(0.5, 0.01, math.exp(logs[asset] + level), 8e-5)
            board.between(priced, START + 1_000 * second)

    assert memory.correlations.of("btc", "eth") > 0.95
