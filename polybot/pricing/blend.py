"""Model and market, mixed in log-odds by their errors, and when they disagree (strategy.md 4).

The market's view comes from the books without our own orders. Where the two are far apart for long
we are probably the one who is wrong: then only the side that both find cheap is worth quoting.
"""

from __future__ import annotations

import math

import attrs
from msgspec import Struct

from polybot.domain.market import DOWN, UP, Outcome
from polybot.pricing.fair import NEAR_S, Q_MIN_FAR, Q_MIN_NEAR, Fair

EDGE = 1e-4  # a market's probability this near to certainty has no usable log-odds
MOST = 1 - EDGE


@attrs.frozen
class BlendParams:
    """How model and market are weighed (the operator sets these in `[quote]`).

    `vol_error` relative; `market_error` and `disagree_log_odds` in log-odds; `disagree_s` seconds.
    """

    model_weight_max: float = 0.8
    vol_error: float = 0.1
    market_error: float = 0.1
    depth_shares: float = 100.0
    disagree_log_odds: float = 0.8
    disagree_s: float = 5.0


def logit(q: float) -> float:
    return math.log(q / (1 - q))


def sigmoid(x: float) -> float:
    """The inverse of `logit`; safe for any finite x."""
    return 1 / (1 + math.exp(-x)) if x >= 0 else 1 - 1 / (1 + math.exp(x))


class MarketView(Struct, frozen=True, gc=False):
    """What others think Up is worth, as probabilities.

    `q` is the micro-price, `half_spread` half the distance of its two sides, `depth` the smaller
    side's shares at the touch, `age_s` how long ago the book last changed.
    """

    q: float
    half_spread: float
    depth: float = math.inf
    age_s: float = 0.0


def micro_price(bid: float, bid_size: float, ask: float, ask_size: float, most: float) -> float:
    """Best prices weighed by the size on the other side (strategy.md 12).

    Each side's weight is capped at `most`: one large order must not tell the price alone.
    """
    bid_weight = bid_size if bid_size < most else most
    ask_weight = ask_size if ask_size < most else most
    total = bid_weight + ask_weight
    if total <= 0:
        return (bid + ask) / 2
    return (bid * ask_weight + ask * bid_weight) / total


class Blend(Struct, frozen=True, gc=False):
    """Fair after looking at the market. `gap` is model minus market, `error` the model's standard
    error, both in log-odds.

    `apart_since_ms` is when the gap became too large, None while it is not: give it back to the
    next blend. `disputed` is the outcome that only the model finds cheap, once that has lasted.
    """

    q: float
    weight: float
    gap: float
    apart_since_ms: int | None = None
    disputed: Outcome | None = None
    error: float = 0.0


def model_error(fair: Fair, vol_error: float) -> float:
    """Standard error of the model in log-odds: volatility, level and staleness (strategy.md 4)."""
    q, v, age_s, quality = fair.q, fair.v, fair.age_s, fair.quality
    volatility = fair.phi_d * fair.d * vol_error
    level = v / fair.sigma
    basis, apart = level * quality.basis_error, level * quality.apart
    stale = v * v * age_s if age_s > 0 else 0.0
    summed = volatility * volatility + basis * basis + apart * apart + stale
    return math.sqrt(summed) / (q * (1 - q))


def market_error(view: MarketView, fair: Fair, params: BlendParams) -> float:
    """Standard error of the market in log-odds: grows with spread and age, falls with depth."""
    q, depth, age_s, thin = view.q, view.depth, view.age_s, 1.0
    if not EDGE <= q <= MOST:
        q = EDGE if q < EDGE else MOST
    if depth < params.depth_shares:
        thin = math.sqrt(params.depth_shares / max(depth, 1.0))
    stale = fair.v * math.sqrt(age_s) if age_s > 0 else 0.0
    spread = math.hypot(view.half_spread * thin, stale)
    return params.market_error * thin + spread / (q * (1 - q))


def model_weight(model_error: float, market_error: float, most: float) -> float:
    """Weight of the model by inverse variance, at most `most` (strategy.md 4)."""
    market, model = market_error * market_error, model_error * model_error
    weight = market / (model + market)
    return weight if weight < most else most


def _cut_short(fair: Fair, seen: float) -> bool:
    """Whether the model says all it may, and the market is surer still: it does not contradict."""
    least = Q_MIN_FAR if fair.tau_s > NEAR_S else Q_MIN_NEAR
    return seen < fair.q <= least or seen > fair.q >= 1 - least


def blend(
    fair: Fair,
    view: MarketView,
    params: BlendParams,
    now_ms: int = 0,
    apart_since_ms: int | None = None,
) -> Blend:
    """Mix model and market in log-odds; a disputed model counts half, and one whose strike is only
    provisional not at all (strategy.md 4).
    """
    seen, q = view.q, fair.q
    if not EDGE <= seen <= MOST:
        seen = EDGE if seen < EDGE else MOST
    market = math.log(seen / (1 - seen))
    gap = math.log(q / (1 - q)) - market
    error = model_error(fair, params.vol_error)
    weight = model_weight(error, market_error(view, fair, params), params.model_weight_max)
    if fair.provisional_strike:
        weight = 0.0  # against a strike that nobody has confirmed a model knows nothing
    since_ms = disputed = None
    if abs(gap) > params.disagree_log_odds and not _cut_short(fair, seen):
        since_ms = now_ms if apart_since_ms is None else min(apart_since_ms, now_ms)
        if now_ms - since_ms >= params.disagree_s * 1000:
            disputed = UP if gap > 0 else DOWN
            weight /= 2
    return Blend(sigmoid(market + weight * gap), weight, gap, since_ms, disputed, error)
