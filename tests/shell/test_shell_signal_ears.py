"""How a market's signals hear of prints, fills and decisions."""

from __future__ import annotations

import attrs
import pytest
from desk_kit import MARKET, START
from msgspec.structs import replace

from polybot.domain.market import Outcome, Side
from polybot.domain.orders import FillLeg, NewOrder, OrderSeen, SignedOrder, TradeSeen, TradeStatus
from polybot.domain.units import SHARE
from polybot.execution.table import OrderTable
from polybot.pricing.fair import Fair, NoFair, WhyNoFair
from polybot.quoting.model import BookView, Decision
from polybot.signal.advice import NEUTRAL, Veto
from polybot.signal.board import SignalMemory
from polybot.signal.inputs import Filled
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
    heard.look(FAIR, None, None, {}, START)

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


def test_no_signal_is_judged_by_a_price_that_it_has_moved() -> None:
    """Takers go on buying Up, and the others' price stands still: that the flow moves our own price
    by what it says was a call come true, and let it act on.
    """
    params = SignalParams(acting=("flow",), earn_calls=0.0)
    heard = SignalEars(MARKET, SignalMemory(params).board(MARKET, 0.15))
    moved = set[float]()
    for second in range(40):
        at_ms = START + second * 1000
        heard.printed(last_trade(MARKET.up_token, Side.BUY), at_ms)
        shift = heard.look(FAIR, None, None, {}, at_ms).shift
        heard.decided(Decision((), (), fair=0.5 + shift, edge=0.01), at_ms)
        moved.add(shift)

    score = heard.board.scores.by_name["flow"]
    assert max(moved) > 0
    assert score.calls > 0
    assert score.hits == 0
    assert score.gain == pytest.approx(0.0)


def test_looking_takes_our_own_orders_out() -> None:
    """A book that is only ours is no book of others."""
    heard = ears()
    mine = BookView(((4900, 10 * SHARE),), ((5000, 10 * SHARE),))
    own = {(UP, 4900): 10 * SHARE, (DOWN, 5000): 10 * SHARE}

    assert heard.look(FAIR, mine, None, own, START) is NEUTRAL

    liquidity = heard.board.readings.liquidity
    assert liquidity is not None
    assert liquidity.spread is None


def test_without_a_price_signals_go_on() -> None:
    """No fair price, no books: readings without figures, and nothing raised."""
    heard = ears()
    blind = NoFair(WhyNoFair.SPOT_STALE)

    assert heard.look(blind, None, None, {}, START) is NEUTRAL
    heard.decided(Decision((), ()), START)
    assert heard.board.readings.flow is None


VIEW = BookView(((4900, 500 * SHARE),), ((5000, 500 * SHARE),))
THIN = BookView(((4800, SHARE),), ((5700, SHARE),))


def ears_acting(*acting: str) -> SignalEars:
    return SignalEars(
        MARKET, SignalMemory(SignalParams(acting=acting, earn_calls=0.0)).board(MARKET, 0.15)
    )


@pytest.mark.parametrize(
    ("acting", "seen_ms"),
    [((), [0, 100, 250]), (("toxicity",), [0, 100, 250]), (("regime",), [0, 50, 100, 150, 250])],
)
def test_books_are_looked_at_on_the_signals_own_cadence(
    acting: tuple[str, ...], seen_ms: list[int]
) -> None:
    """Ten times a second in shadow; where a signal that reads them acts, at every decision."""
    heard, looked = ears_acting(*acting), []
    for at_ms in (0, 50, 100, 150, 250):
        before = heard.board.readings.liquidity
        heard.look(FAIR, VIEW, None, {}, START + at_ms)
        if heard.board.readings.liquidity is not before:
            looked.append(at_ms)

    assert looked == seen_ms


def test_a_clock_set_back_is_looked_at_anew() -> None:
    """No time that has not come yet keeps the books unseen."""
    heard = ears_acting()
    heard.look(FAIR, VIEW, None, {}, START + 60_000)
    heard.look(FAIR, THIN, None, {}, START)

    assert heard.board.readings.liquidity is not None
    assert heard.board.readings.liquidity.spread == pytest.approx(0.09)


def test_prices_are_taken_between_two_looks() -> None:
    """A fast move is seen at the next look though its prices came between two of them."""
    heard = ears_acting()
    for at_ms, spot in ((0, 100_000.0), (50, 100_400.0), (110, 100_400.0)):
        heard.look(replace(FAIR, spot=spot), VIEW, None, {}, START + at_ms)

    assert heard.board.readings.move.fast


def test_what_fills_teach_acts_between_two_looks() -> None:
    """Toxicity waits for no look at the books."""
    heard, step_ms = ears_acting("toxicity"), 1_000
    heard.look(FAIR, VIEW, None, {}, START)
    for n in range(40):
        key = (f"t{n}", "o")
        fill = Filled(key, UP, 5000 + n % 2 * 100, 10 * SHARE, 0, half_spread=0.01)
        heard.board.filled(fill, START + step_ms * n)
    assert heard.look(FAIR, VIEW, None, {}, START + 59_990).veto is None
    for second in range(1, 60):
        heard.board.decided(0.45, 0.01, START + step_ms * second)

    assert not heard.board.due(START + 60_000), "no look is due"
    assert heard.look(FAIR, VIEW, None, {}, START + 60_000).veto is Veto.TOXIC
