"""How a market's signals hear of prints, fills and decisions."""

from __future__ import annotations

import attrs
import pytest
from desk_kit import MARKET, START

from polybot.domain.market import Outcome, Side
from polybot.domain.orders import FillLeg, NewOrder, OrderSeen, SignedOrder, TradeSeen, TradeStatus
from polybot.domain.units import SHARE
from polybot.execution.table import OrderTable
from polybot.pricing.fair import Fair, NoFair, WhyNoFair
from polybot.quoting.model import BookView, Decision
from polybot.signal.advice import NEUTRAL
from polybot.signal.board import SignalMemory
from polybot.signal.params import SignalParams
from polybot.signal_ears import SignalEars
from polybot.venue.market_messages import LastTrade

UP, DOWN = Outcome.UP, Outcome.DOWN
FAIR = Fair(0.5, 0.0, 0.02, 0.4, 8e-5, 280.0, 100_000.0, 100_000.0)
LEG = FillLeg("0x1", MARKET.up_token, Side.BUY, 4800, 10 * SHARE, maker=True)
TRADE = TradeSeen("t1", MARKET.condition_id, TradeStatus.MATCHED, (LEG,), START)


def ears() -> SignalEars:
    return SignalEars(MARKET, SignalMemory(SignalParams()).board(MARKET, 0.15))


def last_trade(asset: str, side: Side) -> LastTrade:
    return LastTrade("0xc", asset, 5000, 10 * SHARE, side, START, "0x")


def known(level: int) -> OrderTable:
    table = OrderTable()
    order = NewOrder(MARKET, UP, Side.BUY, 4800, 10 * SHARE, level=level)
    table.record(SignedOrder("0x1", order, b""), START)
    return table


def test_prints_of_both_tokens_and_no_others() -> None:
    """The taker's token decides what a side means; a strange token is none of ours."""
    heard = ears()
    heard.printed(last_trade(MARKET.up_token, Side.SELL), START)
    heard.printed(last_trade(MARKET.down_token, Side.BUY), START)
    heard.printed(last_trade("333", Side.BUY), START)
    heard.look(FAIR, {UP: None, DOWN: None}, {}, START)

    flow = heard.board.readings.flow

    assert flow is not None
    assert flow.imbalance == -1.0
    assert flow.n_eff == pytest.approx(2.0)


def test_a_fill_is_heard_once_with_its_level_and_target() -> None:
    """At the match; later statuses of the same trade add nothing, a failed one is no fill."""
    heard = ears()
    heard.decided(Decision((), (), fair=0.5, edge=0.01), START)
    for status in (TradeStatus.MATCHED, TradeStatus.MINED, TradeStatus.CONFIRMED):
        heard.told(attrs.evolve(TRADE, status=status), known(2), START)
    heard.told(attrs.evolve(TRADE, trade_id="t2", status=TradeStatus.FAILED), known(2), START)
    heard.told(OrderSeen("0x1", OrderSeen.Kind.LIVE, 0, "LIVE", START), known(2), START)

    heard.decided(Decision((), (), fair=0.47, edge=0.01), START + 3_000)

    tallies = heard.board.memory.of_series(MARKET.series).tallies
    ((_, bucket),) = tallies.by_bucket
    assert (bucket.level, bucket.outcome) == (2, UP)
    assert tallies.by_horizon["1% of the window"].mean == pytest.approx(-0.01)
    # Two cents below the fair price, and 20 % of a taker's fee of 0.07·p(1-p) (strategy.md 8.2).
    assert tallies.target.mean == pytest.approx(0.02 + 0.2 * 0.07 * 0.48 * 0.52)


def test_a_sale_is_heard_as_the_bid_in_its_place() -> None:
    """Ten Up sold at 0.52 with fair at 0.50: two cents won, as by a bid for Down at 0.48; and when
    fair rises three cents, three are lost.
    """
    heard = ears()
    heard.decided(Decision((), (), fair=0.5, edge=0.01), START)
    leg = attrs.evolve(TRADE.legs[0], token=MARKET.up_token, side=Side.SELL, price=5200)
    heard.told(attrs.evolve(TRADE, legs=(leg,)), known(0), START)
    heard.decided(Decision((), (), fair=0.53, edge=0.01), START + 3_000)

    tallies = heard.board.memory.of_series(MARKET.series).tallies
    ((_, bucket),) = tallies.by_bucket
    assert bucket.outcome is DOWN
    assert tallies.by_horizon["1% of the window"].mean == pytest.approx(-0.01)


def test_looking_takes_our_own_orders_out() -> None:
    """A book that is only ours is no book of others."""
    heard = ears()
    mine = BookView(((4900, 10 * SHARE),), ((5000, 10 * SHARE),))
    own = {(UP, 4900): 10 * SHARE, (DOWN, 5000): 10 * SHARE}

    assert heard.look(FAIR, {UP: mine, DOWN: None}, own, START) is NEUTRAL

    liquidity = heard.board.readings.liquidity
    assert liquidity is not None
    assert liquidity.spread is None


def test_without_a_price_signals_go_on() -> None:
    """No fair price, no books: readings without figures, and nothing raised."""
    heard = ears()
    blind = NoFair(WhyNoFair.SPOT_STALE)

    assert heard.look(blind, {UP: None, DOWN: None}, {}, START) is NEUTRAL
    heard.decided(Decision((), ()), START)
    assert heard.board.readings.flow is None
