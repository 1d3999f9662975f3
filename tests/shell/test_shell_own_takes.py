"""What we take ourselves says nothing of those who trade with us."""

from __future__ import annotations

import attrs
from desk_kit import MARKET, START

from polybot.domain.market import Side
from polybot.domain.orders import FillLeg, TradeSeen, TradeStatus
from polybot.domain.units import SHARE
from polybot.execution.table import OrderTable
from polybot.quoting.model import Decision
from polybot.signal.board import SignalMemory
from polybot.signal.params import SignalParams
from polybot.signal.toxicity import Standing
from polybot.signal_ears import SignalEars

LEG = FillLeg("0x1", MARKET.up_token, Side.BUY, 4900, 10 * SHARE, maker=True)
TRADE = TradeSeen("t1", MARKET.condition_id, TradeStatus.MATCHED, (LEG,), START)


def test_completions_are_no_toxic_fills() -> None:
    """Thirty of our bids are filled a cent below a fair price that stands still: each earns its
    cent. Twenty takes of ours pay three cents above it, as `relief_pay` allows. Nobody has picked
    us off, and yet the series was stopped, with the next window left alone where that acts.
    """
    memory = SignalMemory(SignalParams(acting=("toxicity",), earn_calls=0.0))
    heard = SignalEars(MARKET, memory.board(MARKET, 0.15))
    now_ms = START
    for n in range(50):
        now_ms = START + 1_000 * n
        heard.decided(Decision((), (), fair=0.5, edge=0.01), now_ms)
        leg = LEG
        if n >= 30:
            leg = attrs.evolve(LEG, price=5300, shares=20 * SHARE, maker=False)
        told = attrs.evolve(TRADE, trade_id=f"t{n}", legs=(leg,), at_ms=now_ms)
        heard.told(told, OrderTable(), now_ms)
    for second in range(50, 130):
        heard.decided(Decision((), (), fair=0.5, edge=0.01), START + 1_000 * second)

    series = memory.of_series(MARKET.series)
    assert series.reading.standing is Standing.CLEAN, series.reading
    assert series.tallies.by_horizon["1% of the window"].mean > 0.009
