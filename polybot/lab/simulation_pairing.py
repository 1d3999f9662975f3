"""Whether a position without its other side is seen to before the cutoff, or said to be kept (L9).

From the stop to the cutoff a market is there to be paired: by bids that rest, by orders that take,
or not, where the missing side costs more than it is worth. That is the bot's to judge, and so it
has to say why.
"""

from __future__ import annotations

from collections.abc import Callable

import attrs

from polybot.app import Bot
from polybot.domain.market import DOWN, UP, Outcome
from polybot.exchange.model import BUY, Market, Order
from polybot.exchange.server import Exchange
from polybot.market_scope import MarketScope

SEEN_TO_S = 8.0  # a fill is told, confirmed and thought of; and what takes is tried each second
CLOCKS_S = 3.0  # before the cutoff: by the bot's clock it may have come


@attrs.define(eq=False)
class Pairing:
    """`once` tells of a breach by rule, key and text, `lasts` how long something has been so."""

    exchange: Exchange
    address: str
    once: Callable[[str, str, str], None]
    lasts: Callable[[str, bool], float]
    _net: dict[str, int] = attrs.field(factory=dict)  # by market, at the last look

    def look(self, bot: Bot, orders: list[Order]) -> None:
        """To be called a few times a second, with what rests of ours."""
        for slug, scope in bot.supervisor.scopes.items():
            market = self.exchange.engine.markets.get(scope.market.condition_id)
            alone = market is not None and self._alone(bot, scope, market, orders)
            if self.lasts(f"unpaired {slug}", alone) > SEEN_TO_S:
                net = self._net[slug] / 1e6
                what = f"{slug}: {net:+g} shares Up, nothing asked for, and nothing said"
                self.once("L9", slug, what)

    def _alone(self, bot: Bot, scope: MarketScope, market: Market, orders: list[Order]) -> bool:
        """Whether shares are held for which nobody does, or says, anything at all."""
        up, down = (self.exchange.engine.accounts.shares(self.address, t) for t in market.tokens)
        before, net = self._net.get(market.slug, 0), up - down
        self._net[market.slug] = net
        if abs(net) < market.min_size or abs(net) < abs(before) or not self._its_time(bot, market):
            return False
        pairs = any(_is_up(one) is (net < 0) for one in orders if one.market is market)
        return not (pairs or bot.ctx.health.troubles or _said_why(scope, DOWN if net > 0 else UP))

    def _its_time(self, bot: Bot, market: Market) -> bool:
        quote, twap = bot.ctx.config.quote, market.series.rule == "twap"
        stop_s = quote.stop_twap_s if twap else quote.stop_candle_s
        cutoff_s = quote.cutoff_twap_s if twap else quote.cutoff_candle_s
        left_s = (market.end_ms - self.exchange.clock.now_ms()) / 1000
        return cutoff_s + CLOCKS_S < left_s < stop_s


def _said_why(scope: MarketScope, missing: Outcome) -> bool:
    """Whether there is a reason why nothing of the missing side is bid for or taken."""
    reasons = scope.quote.quoter.decision.reasons
    told = any(reason.outcome in (None, missing) for reason in reasons)
    return told or missing in scope.orders.desk.refused


def _is_up(order: Order) -> bool:
    """Whether an order moves its owner toward Up."""
    return (order.token == order.market.tokens[0]) is (order.side == BUY)
