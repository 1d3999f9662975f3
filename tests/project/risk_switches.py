"""The switches of `[risk]`: what each limit refuses, and that a wide one lets it pass.

The cases are run by test_project_switches.py, with those of the other sections.
"""

from __future__ import annotations

import attrs
from switch_kit import (
    RICH,
    Switch,
    checked,
    failures,
    fills,
    halted,
    holding,
    refusals,
)

from polybot.config import Config
from polybot.domain.halts import Halt
from polybot.domain.units import USD
from polybot.risk.checks import Limit
from polybot.risk.exposure import Elsewhere, Exposure


def bad_day(config: Config) -> str:
    """A bid after the day has lost as much as makes the limits smallest."""
    standing = attrs.evolve(
        RICH, equity=1_000 * USD, day_loss=100 * USD, others=Elsewhere(cluster_loss=50 * USD)
    )
    return checked(config, standing=standing)


PASSES = "passes"
RISK = [
    Switch("risk.max_order_shares", "Largest size of one order", checked,
           {"9": Limit.ORDER_SHARES.value, "10": PASSES}),
    Switch("risk.max_order_usd", "Largest value of one order", checked,
           {"4": Limit.ORDER_USD.value, "5": PASSES}),
    Switch("risk.max_open_orders_per_market", "Most orders resting or on their way in one market",
           lambda c: checked(c, resting=2),
           {"2": Limit.MARKET_ORDERS.value, "3": PASSES}),
    Switch("risk.max_open_orders", "Most orders resting or on their way over all markets",
           lambda c: checked(c, standing=attrs.evolve(RICH, others=Elsewhere(orders=10))),
           {"10": Limit.ALL_ORDERS.value, "11": PASSES}),
    Switch("risk.max_net_shares", "no combination of fills of our own bids may exceed",
           lambda c: checked(c, standing=holding(10, 20)),
           {"29": Limit.NET.value, "30": PASSES}),
    Switch("risk.max_position_usd_per_token", "Most dollars at risk in one outcome",
           lambda c: checked(c, standing=holding(20)),
           {"24": Limit.OUTCOME.value, "25": PASSES}),
    Switch("risk.max_position_usd_per_market", "Most dollars at risk in one market",
           lambda c: checked(c, standing=attrs.evolve(RICH, held=Exposure(cost_down=200 * USD))),
           {"204": Limit.MARKET.value, "205": PASSES}),
    Switch("risk.max_total_usd", "Most dollars at risk over all markets",
           lambda c: checked(
               c, standing=attrs.evolve(RICH, others=Elsewhere(at_risk=1_000 * USD))),
           {"1004": Limit.TOTAL.value, "1005": PASSES}),
    Switch("risk.max_market_loss_percent", "Most that one market's worst outcome may cost",
           lambda c: checked(c, standing=attrs.evolve(RICH, equity=160 * USD)),
           {"2": Limit.MARKET_LOSS.value, "12": PASSES}),
    Switch("risk.max_cluster_loss_percent", "The same for all markets of one asset",
           lambda c: checked(
               c, standing=attrs.evolve(RICH, others=Elsewhere(cluster_loss=1_200 * USD))),
           {"12": Limit.CLUSTER_LOSS.value, "40": PASSES}),
    Switch("risk.max_total_loss_percent", "The same for all markets together",
           lambda c: checked(
               c, standing=attrs.evolve(RICH, others=Elsewhere(total_loss=4_000 * USD))),
           {"40": Limit.TOTAL_LOSS.value, "100": PASSES}),
    Switch("risk.shrink_to_percent", "100 leaves them alone", bad_day,
           {"25": Limit.CLUSTER_LOSS.value, "100": PASSES}),
    Switch("risk.price_collar", "1 is no collar",
           lambda c: checked(c, price=9_500, fair_up=2_000),
           {"0.1": Limit.COLLAR.value, "1.0": PASSES}),
    Switch("risk.error_most_percent", "100 is never", lambda c: checked(c, holds=failures),
           {"30": "too many requests fail", "100": PASSES}),
    Switch("risk.reject_most", "0 is never", lambda c: checked(c, holds=refusals),
           {"10": "storm of refusals", "0": PASSES}),
    Switch("risk.repeat_most", "0 is never", lambda c: checked(c, holds=fills),
           {"60": "too many fills on one side", "0": PASSES}),
    Switch("risk.max_daily_loss_percent", "100 where all is lost",
           lambda c: halted(c, day=1_000, peak=1_000, now=950),
           {"3": Halt.DAILY_LOSS.value, "100": "trades"}),
    Switch("risk.max_drawdown_percent", "100 where all is lost",
           lambda c: halted(c, day=900, peak=1_000, now=890),
           {"8": Halt.DRAWDOWN.value, "100": "trades"}),
]  # fmt: skip
