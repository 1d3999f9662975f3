"""The operator's limits, as `[risk]` in the configuration: what no order may exceed.

Whole shares and whole dollars, because a limit is a round number somebody chose; the firewall
scales them once. Every limit has an upper bound of its own, so that a slipped digit is a fault at
start and not a loss.
"""

from __future__ import annotations

import attrs
from attrs.validators import and_, ge, gt, le


@attrs.frozen
class RiskParams:
    """Limits the firewall holds every order against."""

    max_order_shares: int = attrs.field(default=200, validator=and_(ge(1), le(1_000_000)))
    """Largest size of one order, in shares."""

    max_order_usd: int = attrs.field(default=200, validator=and_(ge(1), le(1_000_000)))
    """Largest value of one order, price × size, in dollars."""

    max_open_orders_per_market: int = attrs.field(default=16, validator=and_(ge(1), le(200)))
    """Most orders resting or on their way in one market at once, both outcomes together."""

    max_position_usd_per_market: int = attrs.field(
        default=500, validator=and_(ge(1), le(10_000_000))
    )
    """Most dollars at risk in one market: what its holdings cost plus its open orders."""

    max_total_usd: int = attrs.field(default=1500, validator=and_(ge(1), le(100_000_000)))
    """Most dollars at risk over all markets: what the holdings cost plus every open order."""

    price_collar: float = attrs.field(default=0.10, validator=and_(gt(0.0), le(0.5)))
    """How far above the fair price a bid may be, as a price (0.10 = ten cents)."""

    max_daily_loss_percent: int = attrs.field(default=3, validator=and_(ge(1), le(100)))
    """Loss of equity since midnight UTC that halts trading for good, in percent; 100 is never."""

    max_drawdown_percent: int = attrs.field(default=8, validator=and_(ge(1), le(100)))
    """Loss of equity from its highest that halts trading for good, in percent; 100 is never."""

    def __attrs_post_init__(self) -> None:
        """Refuse limits that contradict each other; raises ValueError."""
        if self.max_order_usd > self.max_position_usd_per_market:
            raise ValueError("'max_order_usd' must not be above 'max_position_usd_per_market'")
        if self.max_position_usd_per_market > self.max_total_usd:
            raise ValueError("'max_position_usd_per_market' must not be above 'max_total_usd'")
