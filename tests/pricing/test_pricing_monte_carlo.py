"""The closed forms of strategy.md 2.2 against simulated paths, to a thousandth.

The simulation knows nothing of the formulas: a path is drawn step by step, value and integral of
each step jointly and exactly, and the integral over the averaging minute makes the average. What a
path ends at is linear in its first draw, so the chance over that one draw is taken exactly, and
every other draw also with its sign turned: less noise, no bias.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from statistics import NormalDist

import pytest

from polybot.pricing import fair as models
from polybot.pricing.fair import Fair, NoFair
from polybot.pricing.tails import Tails
from polybot.pricing.volatility import per_root_second

SIGMA = per_root_second(0.45)
K, W = 100_000.0, 60.0
PATHS = 20_000
Normals = tuple[float, ...]


def chance(ends: Callable[[Normals], float], count: int, seed: int) -> float:
    """The probability that `ends` of `count` standard normals is not below zero."""
    rng, cdf = random.Random(seed), NormalDist().cdf
    slope = ends((1.0, *(0.0,) * (count - 1))) - ends((0.0,) * count)
    total = 0.0
    for _ in range(PATHS // 2):
        rest = [rng.gauss(0, 1) for _ in range(count - 1)]
        total += cdf(ends((0.0, *rest)) / slope)
        total += cdf(ends((0.0, *(-x for x in rest))) / slope)
    return total / PATHS


def integral(x: float, seconds: float, normals: Normals) -> tuple[float, float]:
    """A Brownian motion from `x`, in units of σ: its end and its integral over `seconds`."""
    steps = len(normals) // 2
    length, total = seconds / steps, 0.0
    for step in range(steps):
        one, two = normals[2 * step], normals[2 * step + 1]
        move = one * math.sqrt(length)
        total += x * length + move * length / 2 + two * math.sqrt(length**3 / 12)
        x += move
    return x, total


def probability(found: Fair | NoFair) -> float:
    assert isinstance(found, Fair), found
    return found.q


@pytest.mark.parametrize(("spot", "tau_s"), [(100_100.0, 300.0), (99_950.0, 120.0)])
def test_before_the_window(spot: float, tau_s: float) -> None:
    """Average against a known strike, the averaging still to come."""
    distance = math.log(spot / K) / SIGMA

    def ends(normals: Normals) -> float:
        start = distance + normals[0] * math.sqrt(tau_s - W)
        return integral(start, W, normals[1:])[1]

    expected = probability(models.twap_before_window(spot, K, SIGMA, tau_s, W))
    assert chance(ends, 9, seed=1) == pytest.approx(expected, abs=1e-3)


@pytest.mark.parametrize(
    ("spot", "tau_s", "realised"),
    [(100_010.0, 30.0, 100_020.0), (100_010.0, 10.0, 99_995.0), (99_985.0, 45.0, 100_030.0)],
)
def test_inside_the_window(spot: float, tau_s: float, realised: float) -> None:
    """Part of the average is fixed, the rest is simulated."""

    def ends(normals: Normals) -> float:
        ahead = spot * (tau_s + SIGMA * integral(0.0, tau_s, normals)[1])
        return (realised * (W - tau_s) + ahead) / W - K

    mean = (1 - tau_s / W) * realised + tau_s / W * spot
    expected = probability(models.twap_inside_window(mean, spot, K, SIGMA, tau_s, W))
    assert chance(ends, 8, seed=2) == pytest.approx(expected, abs=1e-3)


@pytest.mark.parametrize("until_s", [45.0, 20.0, 5.0])
def test_before_the_open(until_s: float) -> None:
    """The strike's own average is still forming, and shares the path with the final one."""
    spot, realised, length_s = 100_030.0, 100_000.0, 300.0
    level = math.log(realised / spot) / SIGMA

    def ends(normals: Normals) -> float:
        now, opening = integral(0.0, until_s, normals[1:7])
        now += normals[0] * math.sqrt(length_s - W)
        return integral(now, W, normals[7:])[1] - (W - until_s) * level - opening

    mean = (1 - until_s / W) * realised + until_s / W * spot
    found = probability(models.before_open(spot, mean, SIGMA, until_s, length_s, W))
    assert chance(ends, 13, seed=3) == pytest.approx(found, abs=1e-3)


def test_candle() -> None:
    """The logarithm of a price whose drift keeps its mean."""
    spot, tau_s = 100_100.0, 1800.0

    def ends(normals: Normals) -> float:
        moved = SIGMA * math.sqrt(tau_s / 2) * (normals[0] + normals[1])
        return math.log(spot / K) + moved - SIGMA**2 * tau_s / 2

    expected = probability(models.candle(spot, K, SIGMA, tau_s))
    assert chance(ends, 2, seed=4) == pytest.approx(expected, abs=1e-3)


def test_jumps() -> None:
    """Jumps drawn one by one at their times, against the sum over their number."""
    spot, tau_s, rate, size = 100_050.0, 300.0, 20 / 3600, 5e-4
    rng, cdf, total = random.Random(5), NormalDist().cdf, 0.0
    effective = tau_s - 2 * W / 3
    for _ in range(PATHS):
        jumps, at = 0.0, rng.expovariate(rate)
        while at < effective:
            jumps += size * rng.gauss(0, 1)
            at += rng.expovariate(rate)
        for sign in (1, -1):
            total += cdf((math.log(spot / K) + sign * jumps) / SIGMA / math.sqrt(effective)) / 2

    tails = Tails(0.0, rate, size)
    expected = probability(models.twap_before_window(spot, K, SIGMA, tau_s, W, tails))
    assert total / PATHS == pytest.approx(expected, abs=1e-3)
