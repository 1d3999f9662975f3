"""Value: blend with the market, inventory shift, edge and caps (strategy.md 4, 5.1, 6.1)."""

from __future__ import annotations

import math

import attrs

from polybot.domain.market import Outcome
from polybot.pricing.fair import Fair
from polybot.quoting.params import QuoteParams


def logit(q: float) -> float:
    return math.log(q / (1 - q))


def sigmoid(x: float) -> float:
    """The inverse of `logit`; safe for any finite x."""
    return 1 / (1 + math.exp(-x)) if x >= 0 else 1 - 1 / (1 + math.exp(x))


@attrs.frozen
class MarketMid:
    """The market's own view of Up: mid and half its spread, both as probabilities."""

    q: float
    half_spread: float


@attrs.frozen
class Blend:
    """Fair after looking at the market. `gap` is model minus market, in log-odds.

    `disputed` is the outcome that only the model finds cheap, when the two are too far apart.
    """

    q: float
    weight: float
    gap: float
    disputed: Outcome | None


def model_error(fair: Fair, sigma_error: float) -> float:
    """Standard error of the model in log-odds: volatility, basis and staleness (strategy.md 4)."""
    volatility = fair.phi_d * abs(fair.d) * sigma_error
    basis = fair.v * fair.basis_error / fair.sigma
    stale = fair.v * math.sqrt(fair.age_s)
    return math.sqrt(volatility**2 + basis**2 + stale**2) / (fair.q * (1 - fair.q))


def model_weight(model_error: float, market_error: float, most: float) -> float:
    """Weight of the model by inverse variance, at most `most` (strategy.md 4)."""
    return min(most, market_error**2 / (model_error**2 + market_error**2))


def blend(fair: Fair, mid: MarketMid, params: QuoteParams) -> Blend:
    """Mix model and market in log-odds; a wide market counts less, a disputed model half."""
    model, market = logit(fair.q), logit(mid.q)
    market_error = params.market_error + mid.half_spread / (mid.q * (1 - mid.q))
    error = model_error(fair, params.sigma_error)
    weight = model_weight(error, market_error, params.model_weight_max)
    gap = model - market
    disputed = None
    if abs(gap) > params.disagree_log_odds:
        disputed = Outcome.UP if gap > 0 else Outcome.DOWN
        weight /= 2
    return Blend(sigmoid(market + weight * gap), weight, gap, disputed)


def reservation_up(q: float, gamma_per_share: float, net_shares: float) -> float:
    """What one more Up share is worth to us: exact for a binary held to the end (strategy.md 5.1).

    Down is worth one minus this: long Up lowers the one and raises the other.
    """
    return sigmoid(logit(q) - gamma_per_share * net_shares)


def edge(fair: Fair, params: QuoteParams) -> float:
    """Dollars per share below the reservation price that a bid must keep (strategy.md 6.1)."""
    latency = params.kappa * fair.v * math.sqrt(params.latency_s)
    model = fair.phi_d * abs(fair.d) * params.sigma_error
    return latency + model + params.base_edge


@attrs.frozen
class Value:
    """What each outcome may cost us, in probability units."""

    q: float
    reservation_up: float
    edge: float
    cap_up: float
    cap_down: float


def value(q: float, net_shares: float, edge: float, tick: float, params: QuoteParams) -> Value:
    """Caps from the reservation prices, under the skew guard (strategy.md 5.2, 6.1).

    The guard keeps the light side half a tick below fair: without it a toy opponent was paid for
    unwinding us.
    """
    r_up = reservation_up(q, params.gamma_per_share, net_shares)
    cap_up = min(r_up - edge, q - tick / 2)
    cap_down = min(1 - r_up - edge, 1 - q - tick / 2)
    return Value(q, r_up, edge, cap_up, cap_down)
