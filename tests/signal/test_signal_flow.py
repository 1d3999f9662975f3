"""Flow imbalance, its evidence and its skew."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, strategies as st
from signal_kit import DOWN, START, UP, printed

from polybot.domain.market import Outcome, Side
from polybot.signal.flow import Flow, FlowImbalance
from polybot.signal.inputs import Print, Refusal


@pytest.mark.parametrize(
    ("outcome", "side", "sign"),
    [(UP, Side.BUY, 1), (UP, Side.SELL, -1), (DOWN, Side.BUY, -1), (DOWN, Side.SELL, 1)],
)
def test_both_tapes_are_one(outcome: Outcome, side: Side, sign: int) -> None:
    """A purchase of Down at p is a sale of Up at 1 - p (strategy.md 11)."""
    flow = FlowImbalance(30.0)
    flow.trade(printed(outcome, side), START)

    read = flow.read(START)

    assert read is not None
    assert read.imbalance == sign


def test_the_evidence_of_the_reference() -> None:
    """One trade every 1.5 s and θ = 30 s is an n_eff of 40 (strategy.md 11)."""
    flow = FlowImbalance(30.0)
    for n in range(400):
        flow.trade(printed(), START + 1_500 * n)

    read = flow.read(START + 1_500 * 399)

    assert read is not None
    assert read.n_eff == pytest.approx(40.0, abs=0.05)


def test_significance_is_two_standard_deviations() -> None:
    """|F| > 2/√n_eff (strategy.md 11): four trades on one side say nothing, five do."""
    assert not Flow(1.0, 4.0).significant
    assert Flow(1.0, 4.01).significant
    assert not Flow(0.3, 40.0).significant
    assert Flow(-0.32, 40.0).significant


def test_the_skew_is_capped_at_half_the_edge() -> None:
    """β·F·v·√θ, at most e/2, in the direction of the flow (strategy.md 11)."""
    flow = Flow(-0.5, 100.0)

    assert flow.shift(0.1, 0.0247, 30.0, 1.0) == pytest.approx(-0.05 * 0.0247 * math.sqrt(30))
    assert flow.shift(0.1, 0.0247, 30.0, 0.01) == -0.005
    assert flow.shift(0.1, 0.0247, 30.0, -0.01) == 0.0, "no edge, no skew"
    assert Flow(0.1, 100.0).shift(2.0, 0.3, 30.0, 1.0) == 0.0, "not significant"


TRADES = st.lists(
    st.tuples(
        st.integers(0, 20_000),
        st.builds(
            Print,
            st.sampled_from(Outcome),
            st.sampled_from(Side),
            st.integers(1, 9_999),
            st.integers(1, 10**12),
        ),
    ),
    min_size=1,
    max_size=40,
)


@given(TRADES)
def test_it_is_the_weighted_mean_of_the_definition(trades: list[tuple[int, Print]]) -> None:
    """F = Σ s n e^(-a/θ) / Σ n e^(-a/θ), in [-1, 1], and n_eff at most the number of trades
    (strategy.md 11).
    """
    flow, now = FlowImbalance(30.0), START
    seen: list[tuple[int, Print]] = []
    for wait_ms, trade in trades:
        now += wait_ms
        assert flow.trade(trade, now) is None
        seen.append((now, trade))

    read = flow.read(now)

    assert read is not None
    weights = [t.size * math.exp(-(now - at) / 30_000) for at, t in seen]
    signed = sum(w * t.toward_up for w, (_, t) in zip(weights, seen, strict=True))
    assert read.imbalance == pytest.approx(signed / sum(weights), abs=1e-9)
    assert -1 - 1e-9 <= read.imbalance <= 1 + 1e-9
    assert 0 < read.n_eff <= len(trades) + 1e-6


def test_silence_takes_the_evidence_not_the_imbalance() -> None:
    """Long after the last trade nothing is significant, and in the end nothing is left."""
    flow = FlowImbalance(30.0)
    for n in range(100):
        flow.trade(printed(), START + 100 * n)
    end = START + 10_000

    assert flow.read(end).significant  # type: ignore[union-attr]  # there were trades
    later = flow.read(end + 120_000)
    assert later is not None
    assert later.imbalance == 1.0
    assert not later.significant
    assert flow.read(end + 10_000_000) is None


def test_bad_prints_are_refused_by_name() -> None:
    """No size, no price, time running backwards: a typed refusal and nothing counted."""
    flow = FlowImbalance(30.0)

    assert flow.trade(printed(shares=0), START) is Refusal.NOT_A_SIZE
    assert flow.trade(printed(price=0), START) is Refusal.NOT_A_PRICE
    assert flow.trade(printed(price=10_000), START) is Refusal.NOT_A_PRICE
    assert flow.read(START) is None
    assert flow.trade(printed(), START) is None
    assert flow.trade(printed(), START - 1) is Refusal.TIME_BACKWARDS
