"""The lag of the official average: found where prices move, not claimed where they do not."""

from __future__ import annotations

import random

import pytest

from polybot.pricing.lag import ENOUGH, Lag
from polybot.pricing.track import Track

T0 = 1_790_000_000


def stream(
    true_lag: int, *, seconds: int = 400, move: float = 8.0, basis: float = 0.0, late_s: int = 0
) -> Lag:
    """A lag fed by a minute's average of a walk that trails by `true_lag`, and the walk itself,
    moved by `basis` and told `late_s` after the average of its second.
    """
    rng, lag, track = random.Random(4), Lag(), Track()
    path = [100_000.0]
    for _ in range(seconds):
        path.append(path[-1] + move * rng.gauss(0, 1))
    for now in range(seconds + 1):
        told = now - late_s
        if told >= 0:
            stamp_ms = (T0 + told) * 1000
            track.take(path[told] + basis, stamp_ms, stamp_ms, snapshot=False)
        if now >= 70:
            last = now - true_lag
            average = sum(path[last - 59 : last + 1]) / 60
            lag.observe(T0 + now, average, track, 60)
    return lag


@pytest.mark.parametrize("true_lag", range(7))
def test_the_lag_is_found(true_lag: int) -> None:
    """Every lag from none to six seconds is told apart (strategy.md 1, "stream lag")."""
    assert stream(true_lag).seconds(otherwise=99.0) == true_lag


def test_a_basis_does_not_disturb() -> None:
    """An exchange 24 dollars off the oracle tells the same time."""
    assert stream(3, basis=24.0).seconds(99.0) == 3


def test_prices_may_arrive_after_the_average() -> None:
    """The average of a second may come before that second's own price: it waits for it."""
    assert stream(0, late_s=2).seconds(99.0) == 0
    assert stream(3, late_s=2).seconds(99.0) == 3


def test_a_still_market_tells_no_lag() -> None:
    """Where nothing moves every lag fits; what was configured stays."""
    assert stream(3, move=0.0).seconds(otherwise=1.5) == 1.5


def test_too_little_is_no_lag() -> None:
    """Less than a minute of averages claims nothing."""
    few = stream(3, seconds=70 + 66 + ENOUGH - 70 - 2)

    assert few.seen < ENOUGH
    assert few.seconds(0.0) == 0.0


def test_it_follows_a_change() -> None:
    """When the venue changes its average the old lag is forgotten within minutes."""
    lag, track, rng = Lag(), Track(), random.Random(9)
    path = [100_000.0]
    for _ in range(1500):
        path.append(path[-1] + 8 * rng.gauss(0, 1))
    for now, price in enumerate(path):
        track.take(price, (T0 + now) * 1000, 0, snapshot=False)
        if now >= 70:
            last = now - (0 if now < 600 else 4)
            lag.observe(T0 + now, sum(path[last - 59 : last + 1]) / 60, track, 60)

    assert lag.seconds(99.0) == 4


def test_two_lags_alike_are_none() -> None:
    """Where the best fits hardly better than the next the scatter decides nothing: an average that
    is 3 s late as often as 4 is told by neither.
    """
    lag, track, rng = Lag(), Track(), random.Random(4)
    path = [100_000.0]
    for _ in range(400):
        path.append(path[-1] + 8 * rng.gauss(0, 1))
    for now, price in enumerate(path):
        track.take(price, (T0 + now) * 1000, 0, snapshot=False)
        if now >= 70:
            last = now - 3 - now % 2
            lag.observe(T0 + now, sum(path[last - 59 : last + 1]) / 60, track, 60)

    assert lag.seconds(otherwise=99.0) == 99.0
