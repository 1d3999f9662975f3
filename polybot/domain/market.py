"""What a market is: identity, window, the rule it settles by, and the venue's terms for it."""

from __future__ import annotations

import enum
from typing import ClassVar

import attrs

from polybot.domain import units


class Outcome(enum.Enum):
    UP = "Up"
    DOWN = "Down"

    # There is one object of each, and every decision looks our bids up by outcome a dozen times:
    # the enum's own hash is a Python call.
    __hash__ = object.__hash__

    other: Outcome


# Under names of their own: to find a member by its class takes twice as long as a multiplication,
# and a decision would do it thirty times.
UP, DOWN = OUTCOMES = (Outcome.UP, Outcome.DOWN)
UP.other, DOWN.other = DOWN, UP


class Side(enum.Enum):
    BUY = "BUY"
    SELL = "SELL"

    __hash__ = object.__hash__  # as Outcome's


BUY, SELL = Side.BUY, Side.SELL  # as UP and DOWN


@attrs.frozen
class TwapPair:
    """Up if the oracle's time-weighted average at the end is at or above that at the start.

    `lookback_s` 0 is the value itself: how these markets settled until August 2026. Readings are
    compared in units of 10^-`decimals`; `tie` is what equal ones pay; `source` is the URL that the
    metadata named.
    """

    symbol: str  # "btcusd"
    lookback_s: int
    tie: Outcome = Outcome.UP
    decimals: int = 18
    source: str = attrs.field(default="", eq=False)


@attrs.frozen
class Candle:
    """Up if the exchange candle over the window closes at or above its open."""

    symbol: str  # "BTCUSDT"
    interval: str  # "1h"
    tie: Outcome = Outcome.UP
    decimals: int = 8
    source: str = attrs.field(default="", eq=False)
    lookback_s: ClassVar[int] = 0  # its open and its close are values themselves


@attrs.frozen
class UnknownRule:
    """Metadata we do not understand: never quoted."""

    why: str


Rule = TwapPair | Candle | UnknownRule


@attrs.frozen
class FeeSchedule:
    """Taker fee per share = rate · (p(1-p))^exponent; rates in millionths. Makers pay nothing."""

    rate_ppm: int
    exponent: int
    rebate_ppm: int  # share of a market's taker fees returned to its makers


@attrs.frozen
class RewardPool:
    """A market's daily liquidity rewards and what an order must be to share in them (clob.md 6.3):
    dollars and shares 10⁻⁶, the widest distance from the midpoint 10⁻⁴.
    """

    per_day: int
    min_size: int
    max_spread: int
    min_age_s: int = 0


@attrs.frozen
class Market:
    """One interval of one series, as its metadata describes it."""

    series: str  # "btc-5m"
    slug: str
    condition_id: str
    up_token: str
    down_token: str
    start_ms: int
    end_ms: int
    rule: Rule
    tick: int  # 10⁻⁴
    min_size: int  # 10⁻⁶ shares
    fees: FeeSchedule
    neg_risk: bool = False
    version: str = "v1"
    up_index: int = 0  # where Up stands among the outcomes, and in v1's payout vector
    rewards: RewardPool | None = None  # None: it has no pool today

    def token(self, outcome: Outcome) -> str:
        return self.up_token if outcome is UP else self.down_token

    def outcome_of(self, token: str) -> Outcome:
        """The outcome of one of this market's two tokens; KeyError for any other token."""
        return {self.up_token: Outcome.UP, self.down_token: Outcome.DOWN}[token]

    @property
    def length_s(self) -> int:
        return (self.end_ms - self.start_ms) // 1000


def most_spent(fees: FeeSchedule, dollars: int) -> int:
    """The most (10⁻⁶) that a taker's buy for `dollars` can cost with its fee, at whatever price.

    A fee per dollar is rate · p^(e−1) · (1−p)^e, so never above the rate.
    """
    return dollars + -(-dollars * fees.rate_ppm // 1_000_000)


def taker_fee(fees: FeeSchedule, price: int, shares: int) -> int:
    """Fee in 10⁻⁶ dollars, on the venue's grid of 10⁻⁵, rounded half up (clob.md 6.1)."""
    curve: int = (price * (units.ONE - price)) ** fees.exponent
    scale: int = units.ONE ** (2 * fees.exponent)
    numerator = shares * fees.rate_ppm * curve
    denominator = 1_000_000 * scale * 10
    return (2 * numerator + denominator) // (2 * denominator) * 10
