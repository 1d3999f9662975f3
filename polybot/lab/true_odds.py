"""The true probability of Up in the invented world, which nobody in it knows.

The crowd takes returns for normal with a σ that stays. The world's have bursts, a σ that wanders,
and jumps, all independent of the price's direction: over the time to go they are normal given what
the square of σ comes to (about lognormal, `vol_path.unevenness`) and given how many jumps there
are (Poisson). So the probability is the mean of the crowd's formula over both. Favourites win more
often than the crowd says, by four in a hundred at 0.75; those beyond 0.98 a little less.

Held against invented windows in docs/strategy.md. It knows of no pull towards the strike (the
regime "pinned").
"""

from __future__ import annotations

import math
from statistics import NormalDist

import attrs

from polybot.exchange import vol_path
from polybot.exchange.synthetic import MEASURED, PriceRegime

_CHANCES = [NormalDist().inv_cdf((n + 0.5) / 9) for n in range(9)]
_RARE = 1e-4  # so improbable numbers of jumps are left out


@attrs.frozen
class TrueOdds:
    """Of a world of this regime, for windows that settle by an average of `average_s` seconds."""

    regime: PriceRegime = MEASURED
    average_s: float = 0.0

    def up(self, distance: float, sigma: float, left_s: float) -> float:
        """The probability at a log `distance` to the strike per root second (`crowd_odds.View`).

        `sigma` per √s is the root of the mean square of what is to come, jumps included, as
        `PriceSource.sigma` tells it for `left_s` seconds ahead.
        """
        left_s = max(left_s, 1.0)
        smooth, jump = sigma**2 - self.regime.jump_variance, self.regime.jump**2 / left_s
        squares = [smooth * factor for factor in _factors(evened_s(left_s, self.average_s))]
        expected = self.regime.jumps_per_hour / 3600 * left_s
        up, seen, number, chance = 0.0, 0.0, 0, math.exp(-expected)
        while seen < 1 - _RARE:
            shares = [_normal(distance / math.sqrt(one + number * jump)) for one in squares]
            up += chance * math.fsum(shares) / len(shares)
            seen += chance
            number += 1
            chance *= expected / number
        return up / seen


def evened_s(left_s: float, average_s: float) -> float:
    """Over how many equal seconds the square is as even as it is under an average's weights: the
    square of the sum of their squares over the sum of their fourth powers. A return's weight is 1
    before the average begins, and falls to 0 until it ends.
    """
    flat, ramp = max(0.0, left_s - average_s), min(left_s, average_s)
    falls = ramp / average_s if average_s else 0.0
    return (flat + falls**2 * ramp / 3) ** 2 / (flat + falls**4 * ramp / 5)


def _factors(evened_s: float) -> list[float]:
    """What the square may come to, relative to its mean: equally likely ones, their mean 1."""
    deviation = math.sqrt(vol_path.unevenness(max(evened_s, 1.0)))
    raw = [math.exp(deviation * chance) for chance in _CHANCES]
    mean = math.fsum(raw) / len(raw)
    return [one / mean for one in raw]


def _normal(d: float) -> float:
    return 0.5 * math.erfc(-d / math.sqrt(2))
