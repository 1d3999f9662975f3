"""Fair probability of Up, by settlement rule, with the greeks that quoting needs (strategy.md 2).

Every rule comes down to three figures: how far the expected final value lies from the strike (x, in
log price), over how many seconds of σ² it can still move (the effective horizon τ_e), and how much
of a move of the spot it takes along (the lean). Then d = x/(σ√τ_e), v = φ(d)·lean/√τ_e.

Drift is zero throughout: an estimated drift moves d by more than a standard deviation of pure noise
(strategy.md 2.1). Prices in dollars, time in seconds, volatility per √s.
"""

from __future__ import annotations

import enum
import math

from msgspec import Struct

from polybot.pricing.tails import D_MAX, Tails

Q_MIN_FAR = 0.005  # more than NEAR_S before the fixing
Q_MIN_NEAR = 0.02  # later: the discrete average makes near-certainty false (strategy.md 2.2, 3.4)
NEAR_S = 60.0

LEAST, MOST = 1e-9, 1e9  # nothing we price lies outside; inside, nothing over- or underflows
_CLOCK_S = 0.001  # less time than the clock can tell apart is none

NORMAL = Tails()


class WhyNoFair(enum.Enum):
    """Why there is no fair probability."""

    RULE_UNKNOWN = "settlement rule not understood"
    ENDED = "window is over"
    BAD_INPUT = "a price, volatility or time is not usable"
    STRIKE_UNKNOWN = "strike not known"
    STRIKE_CORRECTED = "strike corrected: quotes are being rebuilt"
    ORACLE_STALE = "oracle stale"
    SPOT_STALE = "no fresh spot price"
    UNCONFIRMED = "a price leaps, and no second print has told it yet"
    FROZEN = "a price stands still while another moves"
    SOURCES_APART = "oracle and exchange disagree"
    VOLATILITY_UNKNOWN = "volatility still warming up"
    HISTORY_SHORT = "price history too short for the average"
    TERMS_CHANGED = "the venue tells other terms than when the market was admitted"

    __hash__ = object.__hash__


class Caution(enum.Enum):
    """Why a fair probability is to be used with less confidence."""

    EXCHANGE_STALE = "exchange price stale: the slower oracle stands in, size reduced"
    SOURCES_APART = "oracle and exchange drift apart: edge widened"
    JUMP = "the price jumps"

    __hash__ = object.__hash__


class NoFair(Struct, frozen=True, gc=False, tag=True):
    """A refusal to price, with the figures that led to it."""

    why: WhyNoFair
    figures: tuple[tuple[str, str], ...] = ()


class Quality(Struct, frozen=True, gc=False):
    """How good the inputs of a probability are. One object serves many probabilities.

    `basis_error` and `apart` are relative to the price: how well the exchange price is brought to
    the oracle's level, and how far the two sources are from their usual distance. `size` is the
    part of the usual size to quote.
    """

    basis_error: float = 0.0
    apart: float = 0.0
    size: float = 1.0
    cautions: tuple[tuple[Caution, tuple[tuple[str, str], ...]], ...] = ()


GOOD = Quality()

# Of the inputs: age of the spot in seconds, its quality, whether the strike is provisional; and how
# much faster the spot moves now than over the time to go (σ now over σ ahead).
Origin = tuple[float, Quality, bool, float]
FRESH: Origin = (0.0, GOOD, False, 1.0)


class Fair(Struct, frozen=True, gc=False, tag=True):
    """Probability of Up and how fast and how far it may be wrong; Down is one minus it.

    `q` is clipped to what the tails can bear, `d` to ±4; `phi_d` is ∂q/∂d; `v` is the
    probability's own volatility per √s (strategy.md 2.3), `sigma` that of the underlying, both now;
    `decay` is the share of the effective horizon that a second takes. `age_s` is the age of `spot`;
    `strike` is None before the open.
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
    quality: Quality = GOOD
    provisional_strike: bool = False
    decay: float = 0.0

    @property
    def delta(self) -> float:
        """Change of `q` per dollar of the underlying."""
        return self.v / (self.spot * self.sigma)

    @property
    def gamma(self) -> float:
        """Change of `delta` per dollar (strategy.md 2.3)."""
        if self.phi_d == 0:
            return 0.0
        per_dollar = self.v / (self.phi_d * self.spot * self.sigma)
        return -self.d * self.phi_d * per_dollar * per_dollar

    @property
    def theta(self) -> float:
        """Change of `q` per second that passes while the price stands still (strategy.md 2.3)."""
        return self.d * self.phi_d * self.decay / 2

    @property
    def basis_error(self) -> float:
        return self.quality.basis_error


def candle(
    spot: float,
    strike: float,
    sigma: float,
    tau_s: float,
    tails: Tails = NORMAL,
    origin: Origin = FRESH,
) -> Fair | NoFair:
    """Candle that closes at or above its open: a digital on the spot (strategy.md 2.1)."""
    bad = _refuse(tau_s, spot, strike, sigma)
    if bad is not None:
        return bad
    root = math.sqrt(tau_s)
    d = math.log(spot / strike) / (sigma * root) - sigma * root / 2
    return _fair(d, tau_s, 1.0, 1 / tau_s, spot, strike, sigma, tau_s, tails, origin)


def twap_before_window(
    spot: float,
    strike: float,
    sigma: float,
    tau_s: float,
    lookback_s: float,
    tails: Tails = NORMAL,
    origin: Origin = FRESH,
) -> Fair | NoFair:
    """Average against average, before the last `lookback_s` begin (strategy.md 2.2).

    With a look-back of 0 both are the value itself, the rule until August 2026.
    """
    bad = _refuse(tau_s, spot, strike, sigma)
    if bad is not None:
        return bad
    if not 0 <= lookback_s <= MOST:
        return _bad("lookback_s", lookback_s)
    if tau_s < lookback_s:
        return _bad("tau_s", tau_s)
    seconds = tau_s - 2 * lookback_s / 3
    d = math.log(spot / strike) / (sigma * math.sqrt(seconds))
    return _fair(d, seconds, 1.0, 1 / seconds, spot, strike, sigma, tau_s, tails, origin)


def twap_inside_window(
    expected: float,
    spot: float,
    strike: float,
    sigma: float,
    tau_s: float,
    lookback_s: float,
    tails: Tails = NORMAL,
    origin: Origin = FRESH,
) -> Fair | NoFair:
    """While the final average forms: `expected` is its mean as known now (strategy.md 2.2)."""
    bad = _refuse(tau_s, spot, strike, sigma) or _unlikely(expected=expected, lookback_s=lookback_s)
    if bad is not None:
        return bad
    if tau_s > lookback_s:
        return _bad("tau_s", tau_s)
    seconds = tau_s**3 / (3 * lookback_s * lookback_s)
    d = (expected - strike) / (spot * sigma * math.sqrt(seconds))
    return _fair(
        d, seconds, tau_s / lookback_s, 3 / tau_s, spot, strike, sigma, tau_s, tails, origin
    )  # fmt: skip


def before_open(
    spot: float,
    expected_strike: float,
    sigma: float,
    until_open_s: float,
    length_s: float,
    lookback_s: float,
    tails: Tails = NORMAL,
    origin: Origin = FRESH,
) -> Fair | NoFair:
    """Before the strike is fixed; `lookback_s` 0 for a candle (strategy.md 2.2, "before the open").

    `expected_strike` is the mean of the opening average as known now; it is not looked at while
    that average has not begun to form, when the odds are even.
    """
    bad = _refuse(length_s, spot, expected_strike, sigma)
    if bad is not None:
        return bad
    if not 0 <= until_open_s <= MOST:
        return _bad("until_open_s", until_open_s)
    if not 0 <= lookback_s <= length_s:
        return _bad("lookback_s", lookback_s)
    tau_s = until_open_s + length_s
    if until_open_s >= lookback_s:
        seconds = length_s - lookback_s / 3
        return _fair(0.0, seconds, 0.0, 0.0, spot, None, sigma, tau_s, tails, origin)
    # A move of the spot also moves the part of the strike that is still open.
    pending = until_open_s / lookback_s
    lean = 1 - pending
    seconds = lookback_s / 3 * (1 - lean**3) + length_s - 2 * lookback_s / 3
    d = math.log(spot / expected_strike) / (sigma * math.sqrt(seconds))
    return _fair(d, seconds, lean, lean * lean / seconds, spot, None, sigma, tau_s, tails, origin)


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
    seconds: float,
    lean: float,
    decay: float,
    spot: float,
    strike: float | None,
    sigma: float,
    tau_s: float,
    tails: Tails,
    origin: Origin,
) -> Fair | NoFair:
    """`seconds` is the effective horizon, `lean` what a move of the spot moves of the outcome."""
    far = d  # a jump makes less of a distance: only what is left of it is cut off
    if not -D_MAX <= d <= D_MAX:
        if not math.isfinite(d):
            return _bad("d", d)
        d = math.copysign(D_MAX, d)
    q, slope = tails.chance(far, sigma, seconds) if tails.jump_rate > 0 else tails.curve(d)
    least = Q_MIN_FAR if tau_s > NEAR_S else Q_MIN_NEAR
    if not least <= q <= 1 - least:
        q = least if q < least else 1 - least
    age_s, quality, provisional, pace = origin
    v, sigma = slope * lean / math.sqrt(seconds) * pace, sigma * pace
    return Fair(q, d, v, slope, sigma, tau_s, spot, strike, age_s, quality, provisional, decay)


def _refuse(tau_s: float, spot: float, strike: float, sigma: float) -> NoFair | None:
    """What is wrong with what every formula takes."""
    if LEAST <= spot <= MOST and LEAST <= strike <= MOST and LEAST <= sigma <= MOST:
        if _CLOCK_S <= tau_s <= MOST:
            return None
        if math.isfinite(tau_s) and tau_s < _CLOCK_S:
            return NoFair(WhyNoFair.ENDED, (("tau_s", f"{tau_s:g}"),))
        return _bad("tau_s", tau_s)
    return _unlikely(spot=spot, strike=strike, sigma=sigma)


def _unlikely(**positive: float) -> NoFair | None:
    """The first of these that nothing we price can be."""
    for name, value in positive.items():
        if not LEAST <= value <= MOST:
            return _bad(name, value)
    return None


def _bad(name: str, value: float) -> NoFair:
    return NoFair(WhyNoFair.BAD_INPUT, ((name, f"{value:g}"),))
