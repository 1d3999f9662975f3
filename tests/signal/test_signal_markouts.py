"""Markouts at horizons of the window, their tallies, and toxicity over windows."""

from __future__ import annotations

import math
import random

import attrs
import pytest
from hypothesis import given, strategies as st
from signal_kit import DOWN, MARKET, START, UP, fill

from polybot.domain.units import SHARE
from polybot.signal.inputs import Refusal
from polybot.signal.markouts import (
    HORIZONS,
    SETTLEMENT,
    Bucket,
    Marked,
    Markouts,
    MarkoutTallies,
    horizon_name,
    markout,
)
from polybot.signal.params import SignalParams
from polybot.signal.tally import Tally
from polybot.signal.toxicity import SeriesToxicity, Standing

NEAR, MIDDLE, FAR = map(horizon_name, HORIZONS)


def market_markouts() -> tuple[Markouts, list[Marked]]:
    known: list[Marked] = []
    return Markouts(MARKET.start_ms, MARKET.end_ms, known.append), known


# --- tallies --------------------------------------------------------------------------------------


@given(st.lists(st.tuples(st.floats(-1, 1), st.floats(0.1, 10)), min_size=2, max_size=40))
def test_a_tally_is_its_definition(seen: list[tuple[float, float]]) -> None:
    """Weighted mean, and n_eff = (Σw)²/Σw², with weights that halve every ten observations."""
    tally = Tally(10.0)
    for value, weight in seen:
        tally.add(value, weight)
    weights = [w * 0.5 ** ((len(seen) - 1 - n) / 10) for n, (_, w) in enumerate(seen)]
    total = sum(weights)
    mean = sum(w * v for w, (v, _) in zip(weights, seen, strict=True)) / total
    n_eff = total**2 / sum(w * w for w in weights)
    variance = sum(w * (v - mean) ** 2 for w, (v, _) in zip(weights, seen, strict=True)) / total

    assert tally.mean == pytest.approx(mean, abs=1e-9)
    assert tally.n_eff == pytest.approx(n_eff, rel=1e-9)
    assert tally.deviation == pytest.approx(math.sqrt(variance * n_eff / (n_eff - 1)), abs=1e-6)


@pytest.mark.parametrize(("value", "weight"), [(math.nan, 1), (1, math.inf), (1, 0), (1, -1)])
def test_a_tally_takes_no_nonsense(value: float, weight: float) -> None:
    """What is not finite, or weighs nothing, is a bug of the caller."""
    with pytest.raises(ValueError, match="finite"):
        Tally(10.0).add(value, weight)


def test_a_tally_of_one_says_nothing() -> None:
    """One observation has no deviation and no statistic."""
    tally = Tally(10.0)
    assert (tally.n_eff, tally.t) == (0.0, 0.0)
    tally.add(-5.0)
    assert (tally.deviation, tally.t) == (0.0, 0.0)


# --- markouts -------------------------------------------------------------------------------------


def test_horizons_of_the_reference() -> None:
    """1, 5 and 20 % of five minutes are 3, 15 and 60 s (strategy.md 11)."""
    markouts, known = market_markouts()
    markouts.filled(fill(1, price=5000), START)
    for second in range(1, 70):
        markouts.fair(0.50 + second / 1_000, START + 1_000 * second)

    assert [(each.horizon, round(each.value, 3)) for each in known] == [
        (NEAR, 0.003), (MIDDLE, 0.015), (FAR, 0.060),
    ]  # fmt: skip


def test_down_is_mirrored() -> None:
    """A fill of Down is measured against one minus the fair price of Up (strategy.md 11)."""
    assert markout(fill(1, UP, 4800), 0.50) == pytest.approx(0.02)
    assert markout(fill(1, DOWN, 4800), 0.50) == pytest.approx(0.02)
    assert markout(fill(1, DOWN, 4800), 0.55) == pytest.approx(-0.03)


@given(st.integers(1, 9_999), st.floats(0.001, 0.999))
def test_the_two_sides_of_one_price_cancel(price: int, fair: float) -> None:
    """Buying Up at p and Down at 1 - p is a pair for a dollar: their markouts sum to zero."""
    both = markout(fill(1, UP, price), fair) + markout(fill(2, DOWN, 10_000 - price), fair)

    assert both == pytest.approx(0.0, abs=1e-12)


def test_settlement_is_the_last_horizon() -> None:
    """The result marks every fill, a void at what it pays (strategy.md 11)."""
    markouts, known = market_markouts()
    markouts.filled(fill(1, UP, 5200), START)
    markouts.filled(fill(2, DOWN, 4600), START)

    markouts.settled(SHARE)
    markouts.settled(SHARE)

    assert [(each.horizon, round(each.value, 2)) for each in known] == [
        (SETTLEMENT, 0.48), (SETTLEMENT, -0.46),
    ]  # fmt: skip
    void, paid = market_markouts()
    void.filled(fill(1, UP, 5200), START)
    void.settled(SHARE // 2)
    assert paid[0].value == pytest.approx(-0.02)


def test_a_fill_told_again_counts_once() -> None:
    """MATCHED, MINED and CONFIRMED are one fill (feeds.md 4.5)."""
    markouts, known = market_markouts()
    for _ in range(3):
        markouts.filled(fill(1), START)
    markouts.fair(0.5, START + 3_000)

    assert len(known) == 1


def test_a_price_that_comes_too_late_marks_nothing() -> None:
    """Half a horizon late is another horizon: counted as missed."""
    markouts, known = market_markouts()
    markouts.filled(fill(1), START)

    markouts.fair(0.5, START + 3_000 + 1_501)

    assert (known, markouts.missed) == ([], 1)


def test_horizons_end_with_the_window() -> None:
    """A fill ten seconds before the end has no markout at fifteen; its settlement remains."""
    markouts, known = market_markouts()
    markouts.filled(fill(1), MARKET.end_ms - 10_000)
    markouts.fair(0.5, MARKET.end_ms - 7_000)
    markouts.fair(0.5, MARKET.end_ms + 5_000)
    markouts.settled(0)

    assert [each.horizon for each in known] == [NEAR, SETTLEMENT]
    assert {each.bucket for each in known} == {Bucket(0, UP, 0)}


def test_bad_fills_and_prices_are_refused() -> None:
    """No size, no price, nothing that is not finite; a fair price that is none marks nothing."""
    markouts, known = market_markouts()
    assert markouts.filled(fill(1, shares=0), START) is Refusal.NOT_A_SIZE
    assert markouts.filled(fill(1, price=10_000), START) is Refusal.NOT_A_PRICE
    odd = attrs.evolve(fill(1), half_spread=math.nan)
    assert markouts.filled(odd, START) is Refusal.NOT_FINITE
    markouts.filled(fill(1), START)
    for bad in (math.nan, 0.0, 1.0, -1.0, math.inf):
        markouts.fair(bad, START + 3_000)

    assert known == []


def test_tallies_by_horizon_and_bucket() -> None:
    """Means are kept apart by time left, side and level (strategy.md 11)."""
    tallies = MarkoutTallies(100.0)
    for level, value in ((0, 0.01), (1, -0.03)):
        made = attrs.evolve(fill(1), level=level)
        tallies.add(Marked(made, Bucket(2, UP, level), NEAR, value))

    assert tallies.by_bucket[NEAR, Bucket(2, UP, 0)].mean == pytest.approx(0.01)
    assert tallies.by_bucket[NEAR, Bucket(2, UP, 1)].mean == pytest.approx(-0.03)
    assert tallies.target.mean == pytest.approx(0.01)


# --- toxicity -------------------------------------------------------------------------------------

PARAMS = SignalParams()


def learn(series: SeriesToxicity, mean: float, fills: int, *, sd: float = 0.02) -> None:
    """Middle-horizon markouts about a mean, evenly spread so that nothing hangs on a seed."""
    rng = random.Random(7)
    for n in range(fills):
        noise = sd * (1 if n % 2 else -1) * rng.uniform(0.9, 1.1)
        for horizon in (NEAR, MIDDLE):
            series.marked(Marked(fill(n), Bucket(1, UP, 0), horizon, mean + noise))


def standing(series: SeriesToxicity) -> Standing:
    return series.reading.standing


def test_good_fills_are_clean() -> None:
    """A mean above zero is nobody's toxicity, whatever its noise."""
    series = SeriesToxicity(PARAMS)
    learn(series, 0.005, 200)

    assert standing(series) is Standing.CLEAN


def test_few_fills_say_nothing() -> None:
    """Below the least number of effective fills no verdict is given (strategy.md 11)."""
    series = SeriesToxicity(PARAMS)
    learn(series, -0.5, 7)

    assert standing(series) is Standing.CLEAN


def test_beyond_doubt_below_zero_is_toxic() -> None:
    """t < -2 with n_eff ≥ 30, though less than the fill was meant to earn (strategy.md 11)."""
    series = SeriesToxicity(PARAMS)
    learn(series, -0.006, 120)
    read = series.reading

    assert read.standing is Standing.TOXIC
    assert read.t < -2
    assert read.n_eff >= 30
    assert -0.01 < read.mean < 0


def test_worse_than_half_spread_and_rebate_is_toxic() -> None:
    """mean < -(half-spread + rebate) is enough, with less evidence (strategy.md 11)."""
    series = SeriesToxicity(PARAMS)
    learn(series, -0.012, 12, sd=0.03)

    assert standing(series) is Standing.TOXIC


def test_twice_as_bad_stops_this_window_and_the_next() -> None:
    """Worse than twice that: stop here and in the next window of the kind, then two clean windows
    at the smallest size (strategy.md 11).
    """
    series = SeriesToxicity(PARAMS)
    learn(series, -0.05, 40)
    assert standing(series) is Standing.STOPPED

    series.window_over()
    assert standing(series) is Standing.STOPPED
    series.window_over()
    assert standing(series) is Standing.PROBATION
    series.window_over()  # no fills: nothing is proven
    for _ in range(2):
        assert standing(series) is Standing.PROBATION
        learn(series, 0.01, 5)
        series.window_over()
    assert standing(series) is Standing.CLEAN


def test_a_bad_window_on_probation_begins_it_anew() -> None:
    """Toxic fills on probation do not count as a clean window."""
    series = SeriesToxicity(PARAMS)
    learn(series, -0.05, 40)
    series.window_over()
    series.window_over()
    learn(series, 0.01, 5)
    series.window_over()
    learn(series, -0.013, 30, sd=0.001)
    series.window_over()
    learn(series, 0.10, 60)
    series.window_over()

    assert standing(series) is Standing.PROBATION


def test_toxic_passes_by_itself() -> None:
    """Good fills bring the mean back, and with it the standing."""
    series = SeriesToxicity(PARAMS)
    learn(series, -0.006, 60)
    assert standing(series) is Standing.TOXIC
    learn(series, 0.01, 300)

    assert standing(series) is Standing.CLEAN


@pytest.mark.parametrize(
    ("mean", "fills", "expected"),
    [(-0.5, 12, Standing.CLEAN), (-0.05, 60, Standing.CLEAN), (-0.5, 60, Standing.TOXIC)],
    ids=["a few", "by chance", "beyond doubt"],
)
def test_settlement_alone_does_not_stop(mean: float, fills: int, expected: Standing) -> None:
    """Its noise is half a dollar: a few lost bets are no verdict (strategy.md 11), nor are many
    that came to nothing; and none stops, however sure it is.
    """
    series = SeriesToxicity(PARAMS)
    for n in range(fills):
        value = mean + (0.4 if n % 2 else -0.4)
        series.marked(Marked(fill(n), Bucket(1, UP, 0), SETTLEMENT, value))
    assert standing(series) is Standing.CLEAN, "it starts nothing in the present window"
    series.marked(Marked(fill(fills), Bucket(1, UP, 0), NEAR, 0.01))

    assert standing(series) is expected


def test_a_sure_statistic_of_a_few_is_not_toxic() -> None:
    """t < -2, but fewer than thirty fills and less than they were meant to earn (strategy.md 11)"""
    series = SeriesToxicity(PARAMS)
    learn(series, -0.006, 20, sd=0.005)

    assert series.reading.t < -2
    assert standing(series) is Standing.CLEAN


@pytest.mark.parametrize(("at_part", "third"), [(0.0, 2), (0.3, 2), (0.5, 1), (0.7, 0), (1.0, 0)])
def test_a_fill_belongs_to_the_third_of_the_window_that_is_left(at_part: float, third: int) -> None:
    """Two with all of it to come, none at its end (strategy.md 11)."""
    markouts, known = market_markouts()
    markouts.filled(fill(1), START + int(at_part * (MARKET.end_ms - START)))
    markouts.settled(0)

    assert [each.bucket.third for each in known] == [third]
