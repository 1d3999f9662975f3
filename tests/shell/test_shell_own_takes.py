"""What we take ourselves says nothing of those who trade with us."""

from __future__ import annotations

import attrs
from desk_kit import MARKET, START, desk

from polybot.domain.market import Outcome, Side
from polybot.domain.orders import (
    Acked,
    FillLeg,
    NewOrder,
    SignedOrder,
    TimeInForce,
    TradeSeen,
    TradeStatus,
)
from polybot.domain.units import SHARE
from polybot.execution.table import OrderTable
from polybot.pricing.fair import Fair
from polybot.quoting.model import Decision
from polybot.signal.board import SignalMemory
from polybot.signal.params import SignalParams
from polybot.signal.toxicity import Standing
from polybot.signal_ears import SignalEars
from polybot.venue.market_messages import LastTrade

FAIR = Fair(0.5, 0.0, 0.02, 0.4, 8e-5, 280.0, 100_000.0, 100_000.0)
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


def last_trade(side: Side, shares: int = 10) -> LastTrade:
    """A print of Down at 0.50."""
    return LastTrade("0xc", MARKET.down_token, 5000, shares * SHARE, side, START, "0x")


def imbalance(heard: SignalEars) -> float:
    flow = heard.board.readings.flow
    assert flow is not None
    return flow.imbalance


def test_completions_are_no_flow() -> None:
    """Others trade evenly. Twenty takes of ours buy Down: the flow said that Down is wanted, and
    where that acts our next bid for it went up after us.
    """
    params = SignalParams(acting=("flow",), earn_calls=0.0)
    heard, made = SignalEars(MARKET, SignalMemory(params).board(MARKET, 0.15)), desk()
    now_ms = START
    for n in range(20):
        now_ms = START + 1_000 * n
        for side in (Side.BUY, Side.SELL):
            heard.printed(last_trade(side), now_ms, made.table)
        take = NewOrder(
            MARKET, Outcome.DOWN, Side.BUY, 5100, 50 * SHARE, TimeInForce.FAK, post_only=False
        )  # fmt: skip
        made.table.record(SignedOrder(f"0x{n}", take, b"{}"), now_ms)
        heard.printed(last_trade(Side.BUY, 50), now_ms + 100, made.table)
        made.posted([Acked(f"0x{n}", "matched", 25 * SHARE, 50 * SHARE, ())], now_ms + 150)
        heard.printed(last_trade(Side.BUY, 50), now_ms + 200, made.table)
    heard.look(FAIR, None, None, {}, now_ms + 300)
    assert abs(imbalance(heard)) < 0.1

    heard.printed(last_trade(Side.BUY, 200), now_ms + 700, made.table)
    heard.look(FAIR, None, None, {}, now_ms + 800)
    assert imbalance(heard) < -0.1, "by then it is somebody else's"
