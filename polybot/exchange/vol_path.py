"""How restless the invented price is from second to second: σ goes its own way about its median.

An Ornstein–Uhlenbeck process in the logarithm, bounded on both sides. What it will come to over a
while is known in the mean, whatever it is now: half an hour forgets. News comes in bursts besides:
a factor on each second's σ, its mean square 1, forgotten in four seconds.
"""

from __future__ import annotations

import functools
import math

_YEAR_S = 365.25 * 86_400
_MEDIAN = 0.27 / math.sqrt(_YEAR_S)  # per √s; the mean square is 0.40
_LEAST, _MOST = 0.10 / math.sqrt(_YEAR_S), 1.50 / math.sqrt(_YEAR_S)
_LOWEST, _HIGHEST = math.log(_LEAST / _MEDIAN), math.log(_MOST / _MEDIAN)
_FORGETS_S = 1800
_REVERSION = 1 / _FORGETS_S
_DEVIATION = 0.65  # of the logarithm, in the long run
_NEWS = _DEVIATION * math.sqrt(2 / _FORGETS_S)
_PARTS = 8  # of a while, each taken at its middle
_BURST, _BURST_MEMORY = 0.8, math.exp(-1 / 4)
_BURST_NEWS = math.sqrt(1 - _BURST_MEMORY**2)
_BURST_ENDS_S = 60  # after which nothing of one is left


def next_log(log_vol: float, chance: float) -> float:
    """The logarithm of σ over its median, a second later; `chance` is standard normal."""
    return log_vol + (-log_vol * _REVERSION + _NEWS * chance)


def bounded(log_vol: float) -> float:
    """σ per √s."""
    return min(max(_MEDIAN * math.exp(log_vol), _LEAST), _MOST)


def next_burst(burst: float, chance: float) -> float:
    """A second later; both standard normal."""
    return _BURST_MEMORY * burst + _BURST_NEWS * chance


def burst_factor(burst: float) -> float:
    """What σ is multiplied by while it lasts."""
    return math.exp(_BURST * burst - _BURST**2)


def ahead(sigma: float, seconds: float) -> float:
    """The root of the mean square of σ over so many seconds from one at which it is `sigma`."""
    log_vol = math.log(sigma / _MEDIAN)
    squares = 0.0
    for part in range(_PARTS):
        left = math.exp(-(part + 0.5) / _PARTS * seconds / _FORGETS_S)
        squares += _mean_square(log_vol * left, _DEVIATION * math.sqrt(1 - left * left))
    return _MEDIAN * math.sqrt(squares / _PARTS)


def unevenness(seconds: float) -> float:
    """The variance of the logarithm of what the square comes to over so many seconds, bursts
    included, where σ is known at their beginning: about lognormal. The bounds are left out.
    """
    forgotten = seconds / _FORGETS_S
    wander = 2 * forgotten - 3 + 4 * math.exp(-forgotten) - math.exp(-2 * forgotten)
    return 4 * (_DEVIATION / forgotten) ** 2 * wander + _bursts(math.ceil(seconds))


@functools.lru_cache(maxsize=4096)
def _bursts(seconds: int) -> float:
    """The part of the bursts: covariances of whole seconds, summed over all pairs of them."""
    alike = [
        (1 - lag / seconds) * math.expm1(4 * _BURST**2 * _BURST_MEMORY**lag)
        for lag in range(min(seconds, _BURST_ENDS_S))
    ]
    return math.log1p((2 * sum(alike) - alike[0]) / seconds)


def _mean_square(mean: float, deviation: float) -> float:
    """Of the exponential of a normal variable that is held between the bounds."""
    if deviation == 0:
        return math.exp(2 * mean)
    low, high = (_LOWEST - mean) / deviation, (_HIGHEST - mean) / deviation
    between = math.exp(2 * mean + 2 * deviation**2) * (
        _normal(high - 2 * deviation) - _normal(low - 2 * deviation)
    )
    below, above = math.exp(2 * _LOWEST) * _normal(low), math.exp(2 * _HIGHEST) * _normal(-high)
    return between + below + above


def _normal(d: float) -> float:
    return 0.5 * math.erfc(-d / math.sqrt(2))
