"""Samples at fixed times, scores against the market, reliability (strategy.md 3.5)."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given, strategies as st

from polybot.pricing.calibration import (
    LATE_S,
    TIMES_S,
    Row,
    Sample,
    Sampler,
    brier,
    log_loss,
    reliability,
    scores,
)
from polybot.pricing.fair import Fair

FAIR = Fair(0.6, 0.25, 0.02, 0.39, 8e-5, 280.0, 100_000.0, 100_000.0)


def row(
    q: float, up: int, *, slug: str = "a", left_s: float = 90.0, market: float | None = None
) -> Row:
    return Row(slug, Sample(left_s, q, 0.0, 8e-5, market), up)


def test_each_time_is_sampled_once() -> None:
    """However often it is offered, a window gives one sample per listed time."""
    sampler = Sampler()
    for tenth in range(3000, 0, -1):
        sampler.take(tenth / 10, FAIR, 0.58, 0.59)

    listed = [time for time in TIMES_S if time < 300]
    assert [sample.left_s for sample in sampler.samples] == listed
    assert sampler.samples[0] == Sample(285.0, 0.6, 0.25, 8e-5, 0.58, 0.59)


def test_a_missed_moment_is_missed() -> None:
    """A bot that was blind at 120 s does not tell its 110 s opinion as that of 120 s."""
    sampler = Sampler()
    sampler.take(121.0, FAIR)
    sampler.take(120.0 - LATE_S - 0.1, FAIR)
    sampler.take(89.0, FAIR)

    assert [sample.left_s for sample in sampler.samples] == [89.0]


def test_due_only_when_its_time_has_come() -> None:
    """Whoever asks need not work out a market price in vain."""
    sampler = Sampler()
    for _ in TIMES_S:
        sampler.take(20_000.0, FAIR)
    assert not sampler.due(12_601.0)
    assert sampler.due(12_600.0)

    sampler.take(1.0, FAIR)
    assert not sampler.due(0.5)


def test_scores_of_a_coin() -> None:
    """Even odds cost a quarter and ln 2, whatever happens."""
    pairs = [(0.5, 1), (0.5, 0)]

    assert brier(pairs) == 0.25
    assert log_loss(pairs) == pytest.approx(math.log(2))


@given(st.lists(st.tuples(st.floats(0, 1), st.integers(0, 1)), min_size=1))
def test_scores_are_finite(pairs: list[tuple[float, int]]) -> None:
    """Certainty that was wrong is punished, not divided by."""
    assert 0 <= brier(pairs) <= 1
    assert 0 <= log_loss(pairs) < 20


def test_the_truth_scores_best() -> None:
    """Both scores are proper: shading the true chance either way costs (in the mean)."""
    rng = random.Random(3)
    truths = [(chance := rng.random(), int(rng.random() < chance)) for _ in range(20_000)]

    for score in (brier, log_loss):
        honest = score(truths)
        assert honest < score([(q**1.5 / (q**1.5 + (1 - q) ** 1.5), up) for q, up in truths])
        assert honest < score([(0.5 + (q - 0.5) * 0.7, up) for q, up in truths])


def test_buckets_and_the_markets_share() -> None:
    """By time to close; the market is compared on the samples that have one, and no others."""
    rows = [
        row(0.9, 1, left_s=10.0, market=0.8),
        row(0.9, 1, left_s=10.0),
        row(0.2, 1, slug="b", left_s=200.0),
    ]

    near, far = scores(rows)

    assert (near.up_to_s, near.samples, near.markets, near.both) == (15.0, 2, 1, 1)
    assert near.brier == pytest.approx(0.01)
    assert near.ours_brier == pytest.approx(0.01)
    assert near.market_brier == pytest.approx(0.04)
    assert near.market_log_loss == pytest.approx(-math.log(0.8))
    assert (far.up_to_s, far.both, far.market_brier) == (300.0, 0, None)
    assert scores([]) == []


def test_reliability_counts_markets_not_samples() -> None:
    """A hundred samples of one market are one result, and the error says so."""
    many = [row(0.75, 1, slug="one") for _ in range(100)]
    spread = [row(0.75, int(k % 4 != 0), slug=str(k)) for k in range(100)]

    (one,), (hundred,) = reliability(many), reliability(spread)

    assert one.error == pytest.approx(math.sqrt(0.75 * 0.25))
    assert hundred.error == pytest.approx(one.error / 10)
    assert hundred.share_up == pytest.approx(0.75)
    assert reliability([row(1.0, 1)])[0].mean_q == 1.0
