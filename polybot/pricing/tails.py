"""From a distance in standard deviations to a probability, with the tails that a normal curve of
known width leaves out: volatility we only estimate, and jumps (strategy.md 3.4).

Student's t is not offered: with its variance matched it makes the middle more confident, not less.
"""

from __future__ import annotations

import functools
import itertools
import math

import attrs

D_MAX = 4  # beyond it a distance says more about the model than about the price

_STEPS = 512  # of the table, per standard deviation
_ROOT_2PI = math.sqrt(2 * math.pi)
# Gauss–Hermite points and weights for the mean over a standard normal z: five suffice for 1e-4
# where the error of σ stays below one half.
_NODES = (0.0, 1.355626179974266, -1.355626179974266, 2.856970013872806, -2.856970013872806)
_WEIGHTS = (8 / 15, *(0.22207592200561263,) * 2, *(0.011257411327720691,) * 2)
_JUMPS_LEAST = 8  # jumps counted apart within one horizon, and eight deviations above the mean


def _slope(d: float, mix: list[tuple[float, float]]) -> float:
    densities = (weight * scale * math.exp(-((d * scale) ** 2) / 2) for weight, scale in mix)
    return math.fsum(densities) / _ROOT_2PI


@functools.lru_cache(maxsize=64)
def _table(vol_error: float) -> tuple[list[float], list[float]]:
    """Probabilities and slopes ∂q/∂d from -D_MAX to D_MAX.

    A table, because five pairs of exponentials cost more than all the rest of a probability. The
    probabilities are the integral of the slopes drawn as straight lines, so that what is read
    between two entries rises everywhere and has exactly the slope that is told; they lie within
    1e-6 of the true ones.
    """
    points = zip(_NODES, _WEIGHTS, strict=True)
    mix = [(weight, math.exp(-vol_error * node)) for node, weight in points]
    if vol_error == 0:
        mix = [(1.0, 1.0)]
    half = [_slope(step / _STEPS, mix) for step in range(D_MAX * _STEPS + 1)]
    rise, upper = 0.5, [0.5]
    for before, after in itertools.pairwise(half):
        rise += (before + after) / 2 / _STEPS
        upper.append(rise)
    lower = [1 - q for q in reversed(upper[1:])]
    # The last entry stands twice: d = D_MAX is read like any other.
    return lower + upper + upper[-1:], half[:0:-1] + half + half[-1:]


@attrs.frozen
class Tails:
    """What is uncertain beside the path: everything zero is the plain normal curve.

    `vol_error` is the standard deviation of ln σ̂; jumps come `jump_rate` times a second and have
    the standard deviation `jump_size` in log price. With jumps, σ must be the continuous part
    alone, or their variance is counted twice.
    """

    vol_error: float = 0.0
    jump_rate: float = 0.0
    jump_size: float = 0.0
    _q: list[float] = attrs.field(init=False, eq=False, repr=False)
    _slopes: list[float] = attrs.field(init=False, eq=False, repr=False)

    def __attrs_post_init__(self) -> None:
        q, slopes = _table(self.vol_error)
        object.__setattr__(self, "_q", q)
        object.__setattr__(self, "_slopes", slopes)

    def curve(self, d: float) -> tuple[float, float]:
        """Probability of a distance `d` within ±D_MAX, and its slope ∂q/∂d (0.4 at the middle)."""
        place = (d + D_MAX) * _STEPS
        step = int(place)
        part = place - step
        slope = self._slopes[step]
        bend = (self._slopes[step + 1] - slope) * part
        return self._q[step] + (slope + bend / 2) * part / _STEPS, slope + bend

    def chance(self, d: float, sigma: float, seconds: float) -> tuple[float, float]:
        """The same with jumps: q = Σ Pois(k; λτ)·Φ(x/√(σ²τ + k·s²)), x the distance in log price.

        `d` is x/(σ√τ) over the effective horizon τ = `seconds`, `sigma` per √s.
        """
        if self.jump_rate <= 0:
            return self.curve(d)
        expected = self.jump_rate * seconds
        variance = sigma * sigma * seconds
        weight, left, q, slope = math.exp(-expected), 1.0, 0.0, 0.0
        for jumps in range(_JUMPS_LEAST + int(expected + 8 * math.sqrt(expected))):
            shrink = math.sqrt(variance / (variance + jumps * self.jump_size**2))
            part, part_slope = self.curve(min(max(d * shrink, -D_MAX), D_MAX))
            q += weight * part
            slope += weight * part_slope * shrink
            left -= weight
            weight *= expected / (jumps + 1)
        return q + max(0.0, left) / 2, slope  # after more jumps than counted, the odds are even
