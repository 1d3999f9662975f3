"""Value: inventory shift, edge and caps (strategy.md 5.1, 6.1)."""

from __future__ import annotations

import math

from msgspec import Struct

from polybot.domain.market import FeeSchedule
from polybot.pricing.blend import logit, sigmoid
from polybot.pricing.fair import Fair
from polybot.quoting.params import QuoteParams


def reservation_up(q: float, gamma_per_share: float, net_shares: float) -> float:
    """What one more Up share is worth to us: exact for a binary held to the end (strategy.md 5.1).

    Down is worth one minus this: long Up lowers the one and raises the other.
    """
    return sigmoid(math.log(q / (1 - q)) - gamma_per_share * net_shares)


def block_value(q: float, gamma_per_share: float, net: float, shares: float) -> float:
    """What each of so many more shares is worth to us on average, when an outcome of probability
    `q` is held `net` ahead of the other: [CE(I + n) − CE(I)] / n (strategy.md 5.1).
    """
    if gamma_per_share * shares < 1e-9:
        return sigmoid(logit(q) - gamma_per_share * net)

    def held(x: float) -> float:  # ln(1 − q + q·e^(−x)), without overflow
        if x < 0:
            return -x + math.log(q + (1 - q) * math.exp(x))
        return math.log(1 - q + q * math.exp(-x))

    before, after = gamma_per_share * net, gamma_per_share * (net + shares)
    return (held(before) - held(after)) / (gamma_per_share * shares)


def edge(fair: Fair, params: QuoteParams) -> float:
    """Dollars per share below the reservation price that a bid must keep (strategy.md 6.1).

    While oracle and exchange drift apart (F60), what that is worth in probability is kept, too.
    """
    latency = params.late * fair.v
    model = fair.phi_d * abs(fair.d) * params.sigma_error
    apart = fair.v / fair.sigma * fair.quality.apart
    return latency + model + apart + params.base_edge


class Value(Struct, frozen=True, gc=False):
    """What each outcome may cost us, in probability units. `edge` is what bids keep before any
    credit for rebates and rewards.
    """

    q: float
    reservation_up: float
    edge: float
    cap_up: float
    cap_down: float


def value(
    q: float,
    net_shares: float,
    edge: float,
    tick: float,
    params: QuoteParams,
    fees: FeeSchedule | None = None,
    credit: float = 0.0,
) -> Value:
    """Caps from the reservation prices, under the skew guard (strategy.md 5.2, 6.1).

    With `fees` the part of the rebate that counts raises them; so does `credit`, what rewards are
    to bring per share. The guard keeps the light side half a tick below fair: without it a toy
    opponent was paid for unwinding us.
    """
    r_up = reservation_up(q, params.gamma_per_share, net_shares)
    up, down = r_up - edge, 1 - r_up - edge
    if fees is not None:
        pays = params.rebate_counts * fees.rate_ppm * fees.rebate_ppm / 1e12
        up, down = _rebated(up, pays, fees.exponent), _rebated(down, pays, fees.exponent)
    up, down, half = up + credit, down + credit, tick / 2
    guard_up, guard_down = q - half, 1 - q - half
    cap_up = up if up < guard_up else guard_up
    cap_down = down if down < guard_down else guard_down
    return Value(q, r_up, edge, cap_up, cap_down)


def _rebated(cap: float, pays: float, exponent: int) -> float:
    """A cap with the part of its rebate that counts, `pays` · (p(1−p))^e and at most half of it:
    what a bid loses without the rebate is then never more than half of what the rebate brings *at
    that bid's price* (strategy.md 8.2). Rebates are concave in the price, so the lesser of both
    ends holds in between.
    """
    if not 0 < cap < 1:
        return cap
    low = cap * (1 - cap)
    if exponent != 1:
        low *= low
    most = cap + pays * low
    high = most * (1 - most)
    if exponent != 1:
        high *= high
    return cap + pays * (low if low < high else high)
