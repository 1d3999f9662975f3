"""Liquidity regimes and their hysteresis."""

from __future__ import annotations

import attrs
import pytest
from hypothesis import given, strategies as st
from signal_kit import START, depth

from polybot.domain.units import SHARE
from polybot.signal.inputs import Depth
from polybot.signal.params import SignalParams
from polybot.signal.regime import RESPONSE, LiquidityRegime, Regime, depth_within

PARAMS = SignalParams()
HOLD = 10_000


def settled(book: Depth | None, *, fast: bool = False) -> Regime:
    """The regime of a book that has lasted, kept alive by a flicker of its size."""
    regime = LiquidityRegime(PARAMS)
    regime.book(book, START, fast=fast)
    return regime.book(book, START + HOLD, fast=fast).regime


@pytest.mark.parametrize(
    ("book", "regime"),
    [
        (depth(4900, 5000, 2_000), Regime.HIGH),
        (depth(4900, 5000, 1_999), Regime.NORMAL),
        (depth(4900, 5100, 5_000), Regime.NORMAL),
        (depth(4800, 5200, 5_000), Regime.NORMAL),
        (depth(4800, 5201, 5_000), Regime.LOW),
        (depth(4900, 5000, 299), Regime.LOW),
        (depth(4900, 5000, 300), Regime.NORMAL),
        (depth(4500, 5500, 5_000), Regime.LOW),
        (depth(4500, 5501, 5_000), Regime.CRISIS),
        (depth(None, 5000), Regime.CRISIS),
        (depth(4900, None), Regime.CRISIS),
        (depth(5000, 5000), Regime.CRISIS),
        (depth(5100, 5000), Regime.CRISIS),
        (Depth(), Regime.CRISIS),
        (None, Regime.CRISIS),
    ],
)
def test_the_table_of_the_reference(book: Depth | None, regime: Regime) -> None:
    """Spread and depth, one-sided and crossed books (strategy.md 11)."""
    assert settled(book) is regime


def test_a_fast_move_is_a_crisis() -> None:
    """Whatever the book shows (strategy.md 11)."""
    assert settled(depth(), fast=True) is Regime.CRISIS


def test_depth_counts_three_cents_from_the_touch() -> None:
    """The thinner side counts, and nothing further than three cents."""
    bids = ((4900, 100 * SHARE), (4600, 50 * SHARE), (4599, 1_000 * SHARE))

    assert depth_within(bids) == 150.0
    assert depth_within(()) == 0.0


def test_a_crisis_is_believed_at_once_and_left_late() -> None:
    """In within one step, out only after ten seconds (strategy.md 11)."""
    regime = LiquidityRegime(PARAMS)
    regime.book(depth(), START, fast=False)
    assert regime.book(None, START + 1, fast=False).regime is Regime.CRISIS

    regime.book(depth(), START + 100, fast=False)
    assert regime.book(depth(), START + 100 + HOLD - 1, fast=False).regime is Regime.CRISIS
    assert regime.book(depth(), START + 100 + HOLD, fast=False).regime is Regime.HIGH


def test_a_flicker_changes_nothing() -> None:
    """A book that alternates every five seconds never leaves its regime (strategy.md 11)."""
    regime = LiquidityRegime(PARAMS)
    for n in range(30):
        book = depth() if n % 2 else depth(4700, 5300)
        assert regime.book(book, START + 5_000 * n, fast=False).regime is Regime.NORMAL


def test_a_book_that_stands_still_is_thin() -> None:
    """Half a minute without any change is no market, whatever it shows."""
    regime = LiquidityRegime(PARAMS)
    for second in range(45):
        found = regime.book(depth(), START + 1_000 * second, fast=False)

    assert found.regime is Regime.LOW
    assert found.age_s == 44.0


def test_prints_of_a_minute_are_counted() -> None:
    """Trades per minute, the old ones forgotten."""
    regime = LiquidityRegime(PARAMS)
    for second in range(100):
        regime.traded(START + 1_000 * second)

    assert regime.book(depth(), START + 99_000, fast=False).trades == 60


@given(
    st.lists(
        st.tuples(st.integers(0, 8_000), st.integers(1, 9_999), st.integers(1, 9_999)),
        max_size=30,
    )
)
def test_calmer_never_comes_early(steps: list[tuple[int, int, int]]) -> None:
    """Out of a crisis only after ten seconds without one."""
    regime, now, last_crisis = LiquidityRegime(PARAMS), START, -(10**12)
    for wait_ms, bid, ask in steps:
        now += wait_ms
        found = regime.book(depth(bid, ask), now, fast=False)
        if found.spread is None or found.spread > PARAMS.regime_crisis_spread:
            last_crisis = now
            assert found.regime is Regime.CRISIS
        elif now - last_crisis < HOLD:
            assert found.regime is Regime.CRISIS


def test_every_regime_has_its_response() -> None:
    """No regime without factors; a crisis quotes nothing (strategy.md 11)."""
    assert set(RESPONSE) == set(Regime)
    assert RESPONSE[Regime.LOW] == (1.5, 0.5)
    assert RESPONSE[Regime.CRISIS][1] == 0.0


def test_thresholds_in_the_wrong_order_are_refused() -> None:
    """A configuration whose regimes overlap is a fault at start."""
    with pytest.raises(ValueError, match="rise"):
        attrs.evolve(PARAMS, regime_high_spread=0.05)
    with pytest.raises(ValueError, match="depth"):
        attrs.evolve(PARAMS, regime_low_depth=5_000.0)
    with pytest.raises(ValueError, match="weather"):
        SignalParams(acting=("weather",))


def test_a_book_that_is_now_liquid_and_now_normal_is_no_crisis() -> None:
    """One moment without a price; then five minutes of a book of one cent, now and then of two: it
    was a crisis to the end, and nothing was quoted.
    """
    made = LiquidityRegime(SignalParams())
    made.book(None, START, fast=False)
    seen = [
        made.book(depth(4900 - second % 2 * 100, 5000), START + 1_000 * second, fast=False).regime
        for second in range(1, 300)
    ]

    assert seen[9] is Regime.CRISIS, "ten seconds are asked for"
    assert Regime.CRISIS not in seen[11:]


def test_a_thin_book_that_is_now_liquid_and_now_normal_is_thin_no_more() -> None:
    """The same one step further down."""
    made = LiquidityRegime(SignalParams())
    for second in range(12):
        made.book(depth(4400, 5000 + second % 2), START + 1_000 * second, fast=False)
    seen = [made.regime]
    for second in range(12, 60):
        made.book(depth(4900 - second % 2 * 100, 5000), START + 1_000 * second, fast=False)
    seen.append(made.regime)

    assert seen == [Regime.LOW, Regime.NORMAL]
