"""Two policies to send into the crowd: one who does not think, and one who does.

A market in which the first earns money is too sleepy to learn anything from; one in which the
second must lose is no market.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import attrs

from polybot.exchange.crowd_odds import MarketOdds
from polybot.exchange.model import DOWN, UP, Market
from polybot.exchange.money import ONE, UNIT
from polybot.lab.maker_account import Quote
from polybot.lab.maker_match import LATENCY_MS, Arena, Quiet, Sight

SHARES = 15 * UNIT
HALF_CENTS = 100  # the naive half-spread, 10⁻⁴
QUIET_MS = 5_000  # before the end: both stop quoting
CAREFUL_EDGE, CAREFUL_CAUTION = 0.008, 1.0  # of probability; of the fair price's σ in a latency
CAREFUL_MOST = 45 * UNIT  # unpaired shares: beyond it only the other side is quoted


def both_sides(bid: int | None, ask: int | None, size: int = SHARES) -> list[Quote]:
    """A bid on each token, from (bid, ask) in Up terms; each is left out where it is None."""
    quotes = []
    if bid is not None:
        quotes.append(Quote(UP, bid, size))
    if ask is not None:
        quotes.append(Quote(DOWN, ONE - ask, size))
    return quotes


class Naive(Quiet):
    """A fixed cent either side of the mid, whatever the price of Bitcoin does."""

    def __init__(self, _: Arena) -> None: ...

    def quotes(self, sight: Sight) -> Sequence[Quote]:
        if sight.left_ms <= QUIET_MS or not sight.bids or not sight.asks:
            return ()
        twice = sight.bids[0][0] + sight.asks[0][0]
        return both_sides(twice // 2 - HALF_CENTS, -(-twice // 2) + HALF_CENTS)


@attrs.define
class Careful(Quiet):
    """Prices the contract, asks for what a latency can cost, and stops adding to one side.

    It knows the settlement rule, the volatility and Binance's price of now: as much as a bot with
    a perfect model, not more.
    """

    arena: Arena
    _odds: MarketOdds | None = None

    def on_open(self, market: Market) -> None:
        self._odds = MarketOdds(market, self.arena.source)

    def quotes(self, sight: Sight) -> Sequence[Quote]:
        assert self._odds is not None, "a window has begun"
        if sight.left_ms <= QUIET_MS:
            return ()
        view, unpaired = self._odds.at(sight.now_ms), sight.up - sight.down
        edge = CAREFUL_EDGE + CAREFUL_CAUTION * view.speed * math.sqrt(2 * LATENCY_MS / 1000)
        return both_sides(
            None if unpaired >= CAREFUL_MOST else int((view.up - edge) * ONE),
            None if unpaired <= -CAREFUL_MOST else math.ceil((view.up + edge) * ONE),
        )
