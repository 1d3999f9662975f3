"""From distance to probability: the table, uncertain volatility and jumps (strategy.md 3.4)."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, strategies as st

from polybot.pricing import fair as models
from polybot.pricing.fair import Fair
from polybot.pricing.tails import D_MAX, Tails
from polybot.pricing.volatility import per_root_second

SIGMA = per_root_second(0.45)
DS = st.floats(-D_MAX, D_MAX)
ERRORS = st.sampled_from([0.0, 0.1, 0.2, 0.35, 0.5])


def normal(d: float) -> float:
    return math.erfc(-d / math.sqrt(2)) / 2


@given(DS)
def test_without_errors_it_is_the_normal_curve(d: float) -> None:
    """The table is within a millionth of the exact probability, and its slope of the density."""
    q, slope = Tails().curve(d)

    assert q == pytest.approx(normal(d), abs=1e-6)
    assert slope == pytest.approx(math.exp(-d * d / 2) / math.sqrt(2 * math.pi), abs=2e-6)


@pytest.mark.parametrize(
    ("d", "error", "q"),
    [
        (2, 0.0, 0.9772),
        (2, 0.2, 0.9713),
        (2, 0.35, 0.9614),
        (3, 0.0, 0.9987),
        (3, 0.2, 0.9963),
        (3, 0.35, 0.9909),
    ],
)
def test_uncertain_volatility(d: float, error: float, q: float) -> None:
    """Golden vectors of strategy.md 3.4."""
    assert Tails(error).curve(d)[0] == pytest.approx(q, abs=1e-4)


@pytest.mark.parametrize("error", [0.1, 0.35, 0.5])
@pytest.mark.parametrize("d", [0.3, 1.0, 2.5])
def test_five_nodes_are_the_integral(d: float, error: float) -> None:
    """The mean over a log-normal volatility, against an integral of two thousand strips."""
    points = [-7 + 14 * (k + 0.5) / 2000 for k in range(2000)]
    weights = [math.exp(-z * z / 2) for z in points]
    pairs = zip(weights, points, strict=True)
    exact = math.fsum(w * normal(d * math.exp(-error * z)) for w, z in pairs) / math.fsum(weights)

    assert Tails(error).curve(d)[0] == pytest.approx(exact, abs=3e-4)


@given(DS, DS, ERRORS)
def test_the_curve_is_monotone_and_symmetric(one: float, other: float, error: float) -> None:
    """A probability rises with the distance, and Down's is what Up's leaves."""
    low, high = sorted((one, other))
    tails = Tails(error)

    assert 0 <= tails.curve(low)[0] <= tails.curve(high)[0] <= 1
    assert tails.curve(low)[0] + tails.curve(-low)[0] == pytest.approx(1.0, abs=1e-9)
    assert tails.curve(low)[1] > 0


@given(st.floats(0.01, D_MAX), st.floats(0.05, 0.5))
def test_uncertainty_shrinks_the_tails(d: float, error: float) -> None:
    """Doubt about volatility pulls the tails to the middle. In the middle it adds a little, for the
    volatility may also be lower: at most seven hundredths of the squared error (strategy.md 3.4).
    """
    doubtful, sure = Tails(error).curve(d)[0], normal(d)

    assert doubtful <= sure + 0.07 * error**2
    if d > 2:
        assert doubtful < sure


def test_jumps_of_the_reference() -> None:
    """Two jumps an hour of 10 bp take 0.7804 to 0.7733 (strategy.md 3.4)."""
    tails = Tails(jump_rate=2 / 3600, jump_size=1e-3)

    found = models.twap_before_window(100_100, 100_000, SIGMA, 300, 60, tails)

    assert isinstance(found, Fair)
    assert found.q == pytest.approx(0.7733, abs=1e-4)


@given(DS, st.floats(0, 0.1), st.floats(0, 0.01), ERRORS)
def test_jumps_keep_probabilities(d: float, rate: float, size: float, error: float) -> None:
    """However many and large, a probability stays one and keeps its side of even odds."""
    q, slope = Tails(error, rate, size).chance(d, SIGMA, 260.0)

    assert 0 <= q <= 1
    assert slope >= 0
    assert (q - 0.5) * d >= -1e-9


def test_jumps_without_size_change_nothing() -> None:
    """A jump of nothing is none."""
    plain, jumping = Tails(0.2), Tails(0.2, 0.01, 0.0)

    assert jumping.chance(1.2, SIGMA, 100.0)[0] == pytest.approx(plain.curve(1.2)[0], abs=1e-5)
