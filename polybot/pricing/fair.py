"""Fair probability of Up, by settlement rule, with the greeks that quoting needs (strategy.md 2).

Drift is zero throughout: an estimated drift moves d by more than a standard deviation of pure noise
(strategy.md 2.1). Prices in dollars, time in seconds, volatility per √s.
"""

from __future__ import annotations

import enum
import math

import attrs

D_MAX = 4.0
Q_MIN_FAR = 0.005  # more than NEAR_S before the fixing
Q_MIN_NEAR = 0.02  # later: the discrete average makes near-certainty false (strategy.md 2.2, 3.4)
NEAR_S = 60.0

_LEAST, _MOST = (
    1e-9,
    1e9,
)  # nothing we price lies outside; inside, nothing over- or underflows
_CLOCK_S = 0.001  # less time than the clock can tell apart is none

_ROOT_2 = math.sqrt(2)
_ROOT_2PI = math.sqrt(2 * math.pi)


class WhyNoFair(enum.Enum):
    """Why there is no fair probability."""

    RULE_UNKNOWN = "settlement rule not understood"
    ENDED = "window is over"
    BAD_INPUT = "a price, volatility or time is not usable"
    STRIKE_UNKNOWN = "strike not known"
    ORACLE_STALE = "oracle average stale"
    SPOT_STALE = "no fresh spot price"
    FROZEN = "a price stands still while another moves"
    VOLATILITY_UNKNOWN = "volatility still warming up"
    HISTORY_SHORT = "price history too short for the average"


@attrs.frozen
class NoFair:
    """A refusal to price, with the figures that led to it."""

    why: WhyNoFair
    figures: tuple[tuple[str, str], ...] = ()


@attrs.frozen
class Fair:
    """Probability of Up and how fast and how far it may be wrong.

    `q` is clipped to what the tails can bear, `d` to ±4; `v` is the probability's own volatility
    per √s (strategy.md 2.3), `sigma` that of the underlying. `age_s` and `basis_error` (relative)
    say how good `spot` is; `strike` is None before the open.
    """

    q: float
    d: float
    v: float
    phi_d: float
    sigma: float
    tau_s: float
    spot: float
    strike: float | None = None
    age_s: float = 0.0
    basis_error: float = 0.0
    provisional_strike: bool = False

    @property
    def delta(self) -> float:
        """Change of `q` per dollar of the underlying."""
        return self.v / (self.spot * self.sigma)


def candle(spot: float, strike: float, sigma: float, tau_s: float) -> Fair | NoFair:
    """Candle that closes at or above its open: a digital on the spot (strategy.md 2.1)."""
    bad = _refuse(tau_s, spot=spot, strike=strike, sigma=sigma)
    if bad is not None:
        return bad
    root = math.sqrt(tau_s)
    d = math.log(spot / strike) / (sigma * root) - sigma * root / 2
    return _fair(d, 1 / root, spot, strike, sigma, tau_s)


def twap_before_window(
    spot: float, strike: float, sigma: float, tau_s: float, lookback_s: float
) -> Fair | NoFair:
    """Average against average, before the last `lookback_s` begin (strategy.md 2.2)."""
    bad = _refuse(tau_s, spot=spot, strike=strike, sigma=sigma, lookback_s=lookback_s)
    if bad is not None:
        return bad
    if tau_s < lookback_s:
        return _bad("tau_s", tau_s)
    root = math.sqrt(tau_s - 2 * lookback_s / 3)
    d = math.log(spot / strike) / (sigma * root)
    return _fair(d, 1 / root, spot, strike, sigma, tau_s)


def twap_inside_window(
    expected: float,
    spot: float,
    strike: float,
    sigma: float,
    tau_s: float,
    lookback_s: float,
) -> Fair | NoFair:
    """While the final average forms: `expected` is its mean as known now (strategy.md 2.2)."""
    bad = _refuse(
        tau_s,
        expected=expected,
        spot=spot,
        strike=strike,
        sigma=sigma,
        lookback_s=lookback_s,
    )
    if bad is not None:
        return bad
    if tau_s > lookback_s:
        return _bad("tau_s", tau_s)
    deviation = spot * sigma * tau_s**1.5 / (lookback_s * math.sqrt(3))
    d = (expected - strike) / deviation
    return _fair(d, math.sqrt(3 / tau_s), spot, strike, sigma, tau_s)


def before_open(
    spot: float,
    expected_strike: float,
    sigma: float,
    until_open_s: float,
    length_s: float,
    lookback_s: float,
) -> Fair | NoFair:
    """Before the strike is fixed; `lookback_s` 0 for a candle (strategy.md 2.2, "before the open").

    `expected_strike` is the mean of the opening average as known now; it is not looked at while
    that average has not begun to form, when the odds are even.
    """
    inputs = {"spot": spot, "expected_strike": expected_strike, "sigma": sigma}
    bad = _refuse(length_s, **inputs)
    if bad is not None:
        return bad
    if not (math.isfinite(until_open_s) and until_open_s >= 0):
        return _bad("until_open_s", until_open_s)
    if not (math.isfinite(lookback_s) and 0 <= lookback_s <= length_s):
        return _bad("lookback_s", lookback_s)
    tau_s = until_open_s + length_s
    if until_open_s >= lookback_s:
        return _fair(0.0, 0.0, spot, None, sigma, tau_s)
    pending = until_open_s / lookback_s
    seconds = lookback_s / 3 * (1 - (1 - pending) ** 3) + length_s - 2 * lookback_s / 3
    root = math.sqrt(seconds)
    d = math.log(spot / expected_strike) / (sigma * root)
    # A move of the spot also moves the part of the strike that is still open.
    return _fair(d, (1 - pending) / root, spot, None, sigma, tau_s)


def roll_forward(
    average: float, entering: float, leaving: float, tau_s: float, lookback_s: float
) -> float:
    """Expected average `tau_s` ahead, from the official one now (strategy.md 2.2).

    `entering` is the mean price expected over the next `tau_s`, `leaving` the mean over the seconds
    that drop out meanwhile. Only their difference counts, so a proxy's constant basis cancels.
    """
    return average + tau_s / lookback_s * (entering - leaving)


def _fair(
    d: float,
    steepness: float,
    spot: float,
    strike: float | None,
    sigma: float,
    tau_s: float,
) -> Fair | NoFair:
    """`steepness` is ∂d/∂ln S · σ: the fair-price volatility per unit of φ(d)."""
    if not math.isfinite(d):
        return _bad("d", d)
    d = min(max(d, -D_MAX), D_MAX)
    phi = math.exp(-d * d / 2) / _ROOT_2PI
    q_min = Q_MIN_FAR if tau_s > NEAR_S else Q_MIN_NEAR
    q = min(max(math.erfc(-d / _ROOT_2) / 2, q_min), 1 - q_min)
    return Fair(q, d, phi * steepness, phi, sigma, tau_s, spot, strike)


def _refuse(tau_s: float, **positive: float) -> NoFair | None:
    for name, value in positive.items():
        if not _LEAST <= value <= _MOST:
            return _bad(name, value)
    if not math.isfinite(tau_s):
        return _bad("tau_s", tau_s)
    if tau_s < _CLOCK_S:
        return NoFair(WhyNoFair.ENDED, (("tau_s", f"{tau_s:g}"),))
    return None


def _bad(name: str, value: float) -> NoFair:
    return NoFair(WhyNoFair.BAD_INPUT, ((name, f"{value:g}"),))
