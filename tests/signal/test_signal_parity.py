"""Parity on executable prices, with fees and leg risk."""

from __future__ import annotations

import math

import attrs
import pytest
from hypothesis import given, strategies as st
from msgspec.structs import replace
from signal_kit import DOWN, MARKET, UP, depth, mirrored

from polybot.domain.units import SHARE
from polybot.signal.inputs import Depth
from polybot.signal.parity import (
    Way,
    find_gap,
    leg_risk,
    pair_gain,
    view,
)

FEES = MARKET.fees
BUFFER = 2_000


def dearest_pair(up: int, down: int) -> float:
    """What a pair at these prices costs with both fees, in dollars."""
    return (SHARE - pair_gain(FEES, Way.BUY, up, down, SHARE)) / SHARE


def test_the_loss_of_the_reference() -> None:
    """0.48 + 0.49 costs 1.0050 with the fees of both legs (strategy.md 12)."""
    assert dearest_pair(4800, 4900) == pytest.approx(1.0050, abs=5e-5)


@pytest.mark.parametrize(("ratio", "total"), [(0.5, 0.9650), (0.3, 0.9703), (0.1, 0.9868)])
def test_the_sums_that_break_even(ratio: float, total: float) -> None:
    """Near 0.5 a pair breaks even at 0.9650, at 30/70 at 0.9703, at 10/90 at 0.9868 (strategy.md
    12): at that sum it costs a dollar, to what the grid of 10⁻⁴ allows.
    """
    up, down = round(ratio * total * 10_000), round((1 - ratio) * total * 10_000)

    assert dearest_pair(up, down) == pytest.approx(1.0, abs=1e-4)


def test_no_gap_between_mirrored_books() -> None:
    """The two books of one moment are one: there is never a gap (strategy.md 12)."""
    up = depth(4900, 5000)

    assert find_gap(MARKET, up, mirrored(up), 0) is None


def test_buying_both() -> None:
    """Asks whose sum with fees stays below one dollar, level by level until it does not."""
    up = Depth(asks=((4500, 10 * SHARE), (4700, 50 * SHARE), (5200, 500 * SHARE)))
    down = Depth(asks=((4600, 30 * SHARE), (5100, 500 * SHARE)))

    gap = find_gap(MARKET, up, down, BUFFER)

    assert gap is not None
    assert (gap.way, gap.first) == (Way.BUY, DOWN)
    assert gap.shares == 30 * SHARE, "ten at 0.45 and twenty at 0.47; the next Down is too dear"
    expected = pair_gain(FEES, Way.BUY, 4500, 4600, 10 * SHARE)
    expected += pair_gain(FEES, Way.BUY, 4700, 4600, 20 * SHARE)
    assert gap.gain == expected
    assert gap.per_pair > 0.002


def test_selling_both() -> None:
    """Bids that bring more than a dollar after fees, for pairs that are held or split."""
    gap = find_gap(MARKET, depth(5400, None, 40), depth(5200, None, 100), BUFFER)

    assert gap is not None
    assert (gap.way, gap.first, gap.shares) == (Way.SELL, UP, 40 * SHARE)
    assert gap.gain == pair_gain(FEES, Way.SELL, 5400, 5200, 40 * SHARE)


@given(
    st.lists(st.tuples(st.integers(1, 99), st.integers(1, 50)), max_size=4),
    st.lists(st.tuples(st.integers(1, 99), st.integers(1, 50)), max_size=4),
    st.integers(0, 20_000),
)
def test_a_gap_always_brings_its_buffer(
    ups: list[tuple[int, int]], downs: list[tuple[int, int]], buffer: int
) -> None:
    """Whatever the books, what is called a gap brings more than the buffer on every pair, within
    what the levels hold.
    """
    up = Depth(asks=tuple((cents * 100, n * SHARE) for cents, n in sorted(ups)))
    down = Depth(asks=tuple((cents * 100, n * SHARE) for cents, n in sorted(downs)))

    gap = find_gap(MARKET, up, down, buffer)

    if gap is None:
        if ups and downs:
            assert pair_gain(FEES, Way.BUY, up.asks[0][0], down.asks[0][0], SHARE) <= buffer
    else:
        assert 0 < gap.shares <= min(sum(n for _, n in ups), sum(n for _, n in downs)) * SHARE
        assert gap.gain * SHARE > buffer * gap.shares - SHARE * 100  # fees round to 10⁻⁵ dollars


def test_leg_risk_by_hand() -> None:
    """Pr(fails)·(v√L + spread + φ) (strategy.md 12)."""
    assert leg_risk(0.3, 0.0247, 0.25, 0.01, 0.0175) == pytest.approx(0.3 * (0.01235 + 0.0275))
    for bad in (math.nan, -0.1, math.inf):
        with pytest.raises(ValueError, match="finite"):
            leg_risk(0.3, bad, 0.25, 0.01, 0.0175)


def test_the_view_charges_the_second_leg() -> None:
    """A small gap is not worth a failed second leg; a wide one is; no second leg at all never."""
    up, down = depth(4300, 4500), depth(4600, 4700)
    usual = {"buffer": 0.002, "chance": 0.3, "v": 0.0247, "latency_s": 0.25}

    small, wide = view(MARKET, up, down, **usual), view(MARKET, depth(3900, 4000), down, **usual)

    assert small is not None
    assert wide is not None
    assert small.after_risk < small.gap.per_pair
    assert wide.worth_it
    lonely = view(MARKET, depth(None, 4000), replace(down, bids=()), **usual)
    assert lonely is not None
    assert not lonely.worth_it


def test_not_on_negative_risk_events() -> None:
    """Their pairs do not merge alone (strategy.md 12)."""
    event = attrs.evolve(MARKET, neg_risk=True)
    cheap = depth(3900, 4000)

    assert view(event, cheap, cheap, buffer=0.0, chance=0.0, v=0.0, latency_s=0.1) is None
