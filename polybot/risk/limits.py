"""The operator's limits, as `[risk]` in the configuration: what no order may exceed.

Whole shares and whole dollars, because a limit is a round number somebody chose; they are scaled
once, where they are checked. Every limit has an upper bound of its own, so that a slipped digit is
a fault at start and not a loss.
"""

from __future__ import annotations

import itertools

import attrs
from attrs.validators import and_, ge, gt, le


@attrs.frozen
class RiskParams:
    """Limits that every order is held against."""

    max_order_shares: int = attrs.field(default=200, validator=and_(ge(1), le(1_000_000)))
    """Largest size of one order, in shares."""

    max_order_usd: int = attrs.field(default=200, validator=and_(ge(1), le(1_000_000)))
    """Largest value of one order, price × size, in dollars."""

    max_open_orders_per_market: int = attrs.field(default=16, validator=and_(ge(1), le(200)))
    """Most orders resting or on their way in one market at once, both outcomes together."""

    max_open_orders: int = attrs.field(default=64, validator=and_(ge(1), le(1000)))
    """Most orders resting or on their way over all markets at once."""

    max_net_shares: int = attrs.field(default=100, validator=and_(ge(1), le(1_000_000)))
    """Net shares of one market that no combination of fills of our own bids may exceed."""

    max_position_usd_per_token: int = attrs.field(
        default=400, validator=and_(ge(1), le(10_000_000))
    )
    """Most dollars at risk in one outcome of a market: what its shares cost plus its open bids."""

    max_position_usd_per_market: int = attrs.field(
        default=500, validator=and_(ge(1), le(10_000_000))
    )
    """Most dollars at risk in one market: what its holdings cost plus its open orders."""

    max_total_usd: int = attrs.field(default=1500, validator=and_(ge(1), le(100_000_000)))
    """Most dollars at risk over all markets: what the holdings cost plus every open order."""

    max_market_loss_percent: int = attrs.field(default=3, validator=and_(ge(1), le(100)))
    """Most that one market's worst outcome may cost, open orders filled, in percent of equity."""

    max_cluster_loss_percent: int = attrs.field(default=12, validator=and_(ge(1), le(100)))
    """The same for all markets of one asset; a bot of one asset is bound by this one alone."""

    max_total_loss_percent: int = attrs.field(default=40, validator=and_(ge(1), le(100)))
    """The same for all markets together; without four assets `max_cluster_loss_percent` binds."""

    shrink_at_loss_percent: int = attrs.field(default=3, validator=and_(ge(1), le(100)))
    """Loss since the start of the day, in percent of equity, at which loss limits are smallest."""

    shrink_to_percent: int = attrs.field(default=25, validator=and_(ge(0), le(100)))
    """What is left of the loss limits then; 100 leaves them alone. No profit makes it more."""

    price_collar: float = attrs.field(default=0.10, validator=and_(gt(0.0), le(1.0)))
    """How far above the fair price a bid may be, as a price (0.10 = ten cents); 1 is no collar."""

    error_window_s: int = attrs.field(default=30, validator=and_(ge(1), le(3600)))
    """Seconds over which requests that failed are counted against all that were sent."""

    error_least_requests: int = attrs.field(default=20, validator=and_(ge(1), le(10_000)))
    """Requests within that time below which a share of failures says nothing."""

    error_most_percent: int = attrs.field(default=30, validator=and_(ge(1), le(100)))
    """Share of failed requests above which nothing is placed, until `error_pause_s` later; 100 is
    never.
    """

    error_pause_s: int = attrs.field(default=20, validator=and_(ge(1), le(3600)))
    """Seconds without placing after too many failures; doubled each time it happens again."""

    reject_most: int = attrs.field(default=10, validator=and_(ge(0), le(1000)))
    """Refusals of one market's orders within `reject_window_s` that are called a storm; 0 is never.
    """

    reject_window_s: int = attrs.field(default=10, validator=and_(ge(1), le(3600)))
    """Seconds over which a market's refusals are counted."""

    reject_pause_s: int = attrs.field(default=15, validator=and_(ge(1), le(3600)))
    """Seconds that a market is left alone after a storm; doubled each time it happens again."""

    repeat_most: int = attrs.field(default=60, validator=and_(ge(0), le(10_000)))
    """Fills of one outcome within `repeat_window_s`, none of the other between them, from which on
    that outcome is left alone for as long again: somebody knows what we do not, or we loop; 0 is
    never.
    """

    repeat_window_s: int = attrs.field(default=60, validator=and_(ge(1), le(3600)))
    """Seconds over which fills of one outcome are counted."""

    undone_most: int = attrs.field(default=2, validator=and_(ge(0), le(20)))
    """Failed trades among the last 20 that ended, in whatever market, above which nothing is quoted
    for `undone_pause_s`: somebody may choose which of our trades fail; 0 is never.
    """

    undone_pause_s: int = attrs.field(default=300, validator=and_(ge(1), le(86_400)))
    """Seconds without quotes after that; doubled each time it happens again soon after."""

    slow_answer_s: float = attrs.field(default=1.0, validator=and_(ge(0.0), le(30.0)))
    """Seconds for the answer to a cancel or a heartbeat: after three such of five nothing is quoted
    until two in a row were quicker; 0 is never.
    """

    max_daily_loss_percent: int = attrs.field(default=3, validator=and_(ge(1), le(100)))
    """Loss of equity since midnight UTC that halts for good, in percent; 100 where all is lost."""

    max_drawdown_percent: int = attrs.field(default=8, validator=and_(ge(1), le(100)))
    """Loss of equity from its highest that halts for good, in percent; 100 where all is lost."""

    def __attrs_post_init__(self) -> None:
        """Refuse limits that contradict each other; raises ValueError."""
        orders = ("max_order_usd", "max_position_usd_per_market", "max_total_usd")
        losses = ("max_market_loss_percent", "max_cluster_loss_percent", "max_total_loss_percent")
        for chain in (orders, losses):
            for lower, upper in itertools.pairwise(chain):
                if getattr(self, lower) > getattr(self, upper):
                    raise ValueError(f"{lower!r} must not be above {upper!r}")
