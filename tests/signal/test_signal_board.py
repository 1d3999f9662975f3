"""The board of one market: what is fed, what is read, and that shadow changes nothing."""

from __future__ import annotations

import math

import attrs
import pytest
from hypothesis import given, strategies as st
from msgspec.structs import replace
from signal_kit import DOWN, MARKET, START, UP, depth, fill, mirrored, printed

from polybot.domain.market import Outcome, Side
from polybot.domain.units import SHARE
from polybot.signal.advice import NEUTRAL, Veto
from polybot.signal.board import BOARDS_MOST, Look, SignalBoard, SignalMemory
from polybot.signal.inputs import Depth, Priced, Print, Refusal, of_others
from polybot.signal.params import NAMES, SignalParams
from polybot.signal.regime import Regime
from polybot.signal.toxicity import Standing

SIGMA = 8e-5
PRICED = Priced(0.5, 0.0247, 100_000.0, SIGMA)
BOOK = depth()


def board(*acting: str) -> SignalBoard:
    return SignalMemory(SignalParams(acting=acting, earn_calls=0.0)).board(MARKET, 0.15)


def look(at_ms: int, priced: Priced | None = PRICED, up: Depth | None = BOOK) -> Look:
    down = mirrored(up) if up is not None else None
    return Look(START + at_ms, priced, up, down, {})


def test_own_orders_are_taken_out_of_both_books() -> None:
    """Our bid for Down at p shows as an ask for Up at 1 - p (feeds.md 2.3)."""
    own = {(UP, 4900): 10 * SHARE, (DOWN, 5000): 4 * SHARE}
    bids, asks = ((4900, 10 * SHARE), (4800, 5 * SHARE)), ((5000, 10 * SHARE), (5100, SHARE))

    seen = of_others(UP, bids, asks, own)

    assert seen == Depth(((4800, 5 * SHARE),), ((5000, 6 * SHARE), (5100, SHARE)))
    assert (seen.bid, seen.ask) == (4800, 5000)
    assert of_others(UP, bids, asks, {}) == Depth(bids, asks)
    assert (Depth().bid, Depth().ask) == (None, None)


def test_prints_reach_flow_and_regime() -> None:
    """One print feeds the imbalance and the trades per minute."""
    made = board()
    for n in range(50):
        made.printed(printed(DOWN, Side.BUY), START + 100 * n)
    made.look(look(5_000))
    made.decided(0.5, 0.01, START + 5_000)

    read = made.readings

    assert read.flow is not None
    assert read.flow.imbalance == -1.0
    assert read.flow.significant
    assert read.liquidity is not None
    assert read.liquidity.trades == 50
    assert made.advice is NEUTRAL


def test_flow_is_scored_in_shadow() -> None:
    """A significant flow makes its call; fifteen seconds later it is judged by the fair price."""
    made = board()
    for n in range(50):
        made.printed(printed(), START + 100 * n)
    made.look(look(5_000))
    made.decided(0.50, 0.01, START + 5_000)
    made.look(look(5_050))
    made.decided(0.53, 0.01, START + 20_060)

    score = made.memory.summary()["flow"]

    assert (score.calls, score.hits) == (1, 1)
    assert score.gain == pytest.approx(0.03)


def test_fills_become_markouts_and_toxicity_of_the_series() -> None:
    """Fills marked far below zero stop the series; its next window inherits that (11)."""
    made = board("toxicity")
    made.decided(0.51, 0.01, START)
    for n in range(40):
        at = START + 1_000 * n
        made.filled(fill(n, price=5000 + n % 2 * 100), at)
    for second in range(1, 60):
        made.decided(0.45, 0.01, START + 1_000 * second)
    assert made.look(look(60_000)).veto is Veto.TOXIC
    made.ended()
    made.ended()

    following = attrs.evolve(MARKET, condition_id="0xd", start_ms=MARKET.end_ms)
    heir = made.memory.board(following, 0.15)

    assert heir.look(look(1)).veto is Veto.TOXIC
    assert made.memory.of_series("btc-5m").reading.standing is Standing.STOPPED
    assert made.memory.of_series("btc-1h").reading.standing is Standing.CLEAN


def test_toxicity_is_scored_by_what_it_said_at_the_fill() -> None:
    """Forty fills while it said nothing, then a fall, then one fill under its verdict and nothing
    more: one call has been judged, and the forty are no evidence that it was right.
    """
    made = board("toxicity")
    for n in range(40):
        made.filled(fill(n, price=5000), START + 100 * n)
    for second in range(3, 11):  # the horizon of 1 %; that of 5 % is still to come
        made.decided(0.45, 0.01, START + 1_000 * second)
    assert made.memory.of_series("btc-5m").reading.standing is not Standing.CLEAN
    late = fill(40, price=4500)
    made.filled(late, START + 10_500)
    made.filled(late, START + 10_600)  # told again
    for second in range(11, 45):
        made.decided(0.45, 0.01, START + 1_000 * second)
    made.ended()

    assert made.memory.summary()["toxicity"].calls <= 2, "its own two horizons"


def test_a_sweep_under_a_toxic_verdict_is_one_call() -> None:
    """Three of our levels went to one taker, and the price fell once: nine judged calls of three
    fills and three horizons had `toxicity` earn its right to act by a fourth of the evidence.
    """
    made = board("toxicity")
    for n in range(40):
        made.filled(fill(n, price=5000), START + 100 * n)
    for second in range(3, 11):
        made.decided(0.45, 0.01, START + 1_000 * second)
    for level in range(3):
        swept = attrs.evolve(fill(40, price=4900 - 100 * level), key=("sweep", f"0x{level}"))
        made.filled(swept, START + 10_500)
    for second in range(11, 90):
        made.decided(0.45, 0.01, START + 1_000 * second)
    made.ended()

    assert made.memory.summary()["toxicity"].calls == 1


def test_a_fast_move_is_a_crisis_at_once() -> None:
    """A jump of the spot reaches move, regime and, where they act, the quoter, in one step."""
    made = board("fast_move", "regime")
    assert made.look(look(0)).veto is None

    asked = made.look(look(100, replace(PRICED, spot=100_200.0)))

    assert asked.veto is Veto.CRISIS or asked.veto is Veto.FAST_MOVE
    assert made.readings.liquidity is not None
    assert made.readings.liquidity.regime is Regime.CRISIS


def test_a_stale_book_is_a_parity_gap() -> None:
    """Books that are not of one moment contradict each other, and are scored by whether they still
    do after our latency (strategy.md 12).
    """
    made = board("parity")
    cheap = Look(START, PRICED, depth(3900, 4000), depth(4600, 4700), {})
    assert made.look(cheap).veto is Veto.PARITY
    made.look(replace(cheap, now_ms=START + 100))
    assert "parity" not in made.memory.summary()

    made.look(replace(cheap, now_ms=START + 150))
    made.look(replace(cheap, now_ms=START + 900))

    assert made.memory.summary()["parity"].calls == 1
    assert made.memory.summary()["parity"].hits == 1
    assert made.look(look(1_000)).veto is None
    late = replace(cheap, now_ms=MARKET.end_ms - 119_000)
    assert made.look(late).veto is None, "not in the last two minutes"


def test_a_gap_that_closes_first_is_a_miss() -> None:
    """What is gone before we could take it was a stale snapshot."""
    made = board()
    made.look(Look(START, PRICED, depth(3900, 4000), depth(4600, 4700), {}))
    made.look(look(50))

    score = made.memory.summary()["parity"]

    assert (score.calls, score.hits) == (1, 0)


def test_markets_of_one_driver_crowd_each_other() -> None:
    """Two windows of one asset share its moves; an ended one does not count."""
    memory = SignalMemory(SignalParams(acting=("correlation",), earn_calls=0.0))
    one = memory.board(MARKET, 0.15)
    other = memory.board(attrs.evolve(MARKET, condition_id="0xd", series="btc-15m"), 0.15)
    one.look(look(0))

    asked = other.look(look(10))

    assert dict(asked.shrinks)["correlation"] == pytest.approx(0.5, abs=1e-3)
    one.ended()
    assert other.look(look(20)).shrinks == ()


def test_a_window_that_no_scope_has_closed_is_over_all_the_same() -> None:
    """A fault has ended its last scope, and its result never comes: sizes of its asset were halved
    for as long as the program ran, and no sister but this was asked. One under way goes on.
    """
    memory = SignalMemory(SignalParams(acting=("correlation",), earn_calls=0.0))
    memory.board(MARKET, 0.15).look(look(0))
    length_ms = MARKET.end_ms - MARKET.start_ms

    def window(number: int) -> SignalBoard:
        start_ms = MARKET.start_ms + number * length_ms
        later = attrs.evolve(MARKET, start_ms=start_ms, end_ms=start_ms + length_ms)
        return memory.board(attrs.evolve(later, condition_id=f"0x{number}"), 0.15)

    assert window(1).look(look(length_ms - 10)).shrinks
    memory.windows.pop("0x1")
    assert window(2).look(look(2 * length_ms)).shrinks == ()
    assert list(memory.windows) == ["0x2"]
    assert len(memory.boards) == 3


def test_correlation_is_scored_by_the_sister_market() -> None:
    """Right when both fair prices went the same way over the horizon."""
    memory = SignalMemory(SignalParams())
    one = memory.board(MARKET, 0.15)
    other = memory.board(attrs.evolve(MARKET, condition_id="0xd"), 0.15)
    for at_ms, q in ((0, 0.50), (100, 0.50), (15_200, 0.55), (15_400, 0.56)):
        moved = replace(PRICED, q=q)
        for each in (one, other):
            each.look(look(at_ms, moved))
            each.decided(q, 0.01, START + at_ms)

    score = memory.summary()["correlation"]

    assert score.calls == score.hits >= 1


def test_settlement_marks_what_was_filled_and_ends_the_board() -> None:
    """The result is the last markout; the board is gone, its scores are not."""
    made = board()
    made.filled(fill(1, UP, 5000), START)
    memory = made.memory

    memory.settled("0xc", 0)
    memory.settled("0xc", 0)

    tally = memory.of_series("btc-5m").tallies.by_horizon["settlement"]
    assert tally.mean == -0.5
    assert memory.boards == {}


def test_boards_are_bounded() -> None:
    """Windows whose result never comes do not pile up."""
    memory = SignalMemory(SignalParams())
    for n in range(BOARDS_MOST + 10):
        memory.board(attrs.evolve(MARKET, condition_id=f"0x{n}"), 0.15)

    assert len(memory.boards) == BOARDS_MOST
    kept = memory.boards[f"0x{BOARDS_MOST}"]
    assert memory.board(attrs.evolve(MARKET, condition_id=f"0x{BOARDS_MOST}"), 0.15) is kept


@pytest.mark.parametrize(
    "bad",
    [
        replace(PRICED, q=math.nan),
        replace(PRICED, q=1.0),
        replace(PRICED, v=math.inf),
        replace(PRICED, spot=0.0),
        replace(PRICED, sigma=-1.0),
    ],
)
def test_a_price_that_is_none_is_counted_and_left_out(bad: Priced) -> None:
    """Bad input is a typed refusal, never a reading."""
    made = board(*NAMES)

    made.look(look(0, bad))
    made.decided(math.nan, 0.01, START)
    made.decided(0.5, math.inf, START)

    assert sum(made.memory.refused.values()) == 3
    assert set(made.memory.refused) <= set(Refusal)
    assert made.readings.move.fast is False


PRICES = st.none() | st.integers(1, 9_999)
BOOKS = st.none() | st.builds(depth, PRICES, PRICES)
MODELS = st.builds(
    Priced, st.floats(0.01, 0.99), st.floats(0, 0.3), st.floats(9e4, 1.1e5), st.floats(1e-5, 1e-3)
)
PRINTS = st.builds(
    Print,
    st.sampled_from(Outcome),
    st.sampled_from(Side),
    st.integers(0, 10_000),
    st.integers(0, 10**9),
)
LOOKS = st.tuples(st.integers(-500, 3_000), st.none() | MODELS, BOOKS, BOOKS, st.none() | PRINTS)


@given(st.lists(LOOKS, max_size=20))
def test_any_stream_is_taken_and_shadow_asks_for_nothing(
    steps: list[tuple[int, Priced | None, Depth | None, Depth | None, Print | None]],
) -> None:
    """Missing books, one-sided and crossed ones, broken prints, a clock that steps back: nothing
    raises, every figure stays a figure, and without a name in `acting` the advice is neutral.
    """
    made, now = board(), START
    for wait_ms, priced, up, down, seen in steps:
        now += wait_ms
        if seen is not None:
            made.printed(seen, now)
        assert made.look(Look(now, priced, up, down, {})) is NEUTRAL
        if priced is not None:
            made.decided(priced.q, 0.01, now)
        read = made.readings
        assert math.isfinite(read.flow_shift)
        assert abs(read.flow_shift) <= 0.005
        assert math.isfinite(read.crowding)
        assert math.isfinite(read.move.sigmas)
