"""Value: inventory shift, edge and caps (strategy.md 5.1, 6.1)."""

from __future__ import annotations

import math

import attrs

from polybot.pricing.blend import logit, sigmoid
from polybot.pricing.fair import Fair
from polybot.quoting.params import QuoteParams


def reservation_up(q: float, gamma_per_share: float, net_shares: float) -> float:
    """What one more Up share is worth to us: exact for a binary held to the end (strategy.md 5.1).

    Down is worth one minus this: long Up lowers the one and raises the other.
    """
    return sigmoid(logit(q) - gamma_per_share * net_shares)


def edge(fair: Fair, params: QuoteParams) -> float:
    """Dollars per share below the reservation price that a bid must keep (strategy.md 6.1).

    While oracle and exchange drift apart (F60), what that is worth in probability is kept, too.
    """
    latency = params.kappa * fair.v * math.sqrt(params.latency_s)
    model = fair.phi_d * abs(fair.d) * params.sigma_error
    apart = fair.v / fair.sigma * fair.quality.apart
    return latency + model + apart + params.base_edge


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
