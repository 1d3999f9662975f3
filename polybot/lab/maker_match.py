"""One maker against the crowd, in this process and without sockets: N windows of a seed.

    result = play(lambda arena: MyPolicy(), seed=7, intervals=200, intensity=0.1)

One seed is one world: prices, outcomes and what the crowd wants are the same for every policy, so
two policies are compared window by window. A policy is told everything as a bot is: prices when
they are published, its fills `LATENCY_MS` after the match; its orders arrive as much later than it
decides. See `Policy` for what it sees and answers, `maker_policies` for two examples and
`maker_table` for the comparison.
"""

from __future__ import annotations

import math
import random
import statistics
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import attrs

from polybot.exchange.book import Ladder
from polybot.exchange.crowd_hand import Hand
from polybot.exchange.crowd_odds import SAMPLES, MarketOdds
from polybot.exchange.model import BUY, SELL, Market
from polybot.exchange.oracle import Oracle, PriceSource, PriceTick
from polybot.exchange.resolution import delays
from polybot.exchange.synthetic import MEASURED, PriceRegime
from polybot.lab.crowd_venue import TODAY, CrowdVenue, Rules
from polybot.lab.maker_account import Account, Fill, Quote, Settled
from polybot.lab.maker_sources import Truth
from polybot.lab.true_odds import TrueOdds

LATENCY_MS = 150  # from a decision to its orders' arrival, and from a match to the news of it
LOOK_MS = 150  # between two decisions
STEP_MS = 50  # of the world: what is due within one happens at its own time all the same
DEPTH = 10  # levels of each side that a policy sees
SURE, CONFIDENCE = 0.95, 1.96  # of an interval, and its standard errors where there are many

Levels = tuple[tuple[int, int], ...]


@attrs.frozen
class Sight:
    """What a policy decides on.

    Levels are of Up's book, best first, as (price 10⁻⁴, shares 10⁻⁶) without the policy's own
    orders. `up`, `down` are the shares it knows to hold of this window, `live` the orders it
    believes to rest or to be on their way. `strike` is the official one: None until it is
    published, about a minute into the window. `prices` holds the last tick of each feed, as
    "binance", "chainlink" or "twap60".
    """

    now_ms: int
    market: Market
    bids: Levels
    asks: Levels
    up: int
    down: int
    live: tuple[Quote, ...]
    strike: float | None
    prices: Mapping[str, PriceTick]

    @property
    def left_ms(self) -> int:
        return self.market.end_ms - self.now_ms


class Policy(Protocol):
    """A maker's mind. `Quiet` answers what one does not care about."""

    def on_open(self, market: Market) -> None:
        """A window begins; of the market only what a client could know is to be read."""
        ...

    def on_price(self, tick: PriceTick) -> None: ...

    def quotes(self, sight: Sight) -> Sequence[Quote]:
        """Everything that should rest from now on.

        An order at a wanted price is left where it is, and keeps its place, as long as no more of
        it remains than is wanted; others are cancelled. Prices are rounded to the tick, away from
        the other side; what lies outside the book's scale is left out.
        """
        ...

    def on_fill(self, fill: Fill) -> None: ...

    def on_settled(self, settled: Settled) -> None: ...


class Quiet:
    """A policy's ears, all deaf."""

    def on_open(self, market: Market) -> None: ...

    def on_price(self, tick: PriceTick) -> None: ...

    def on_fill(self, fill: Fill) -> None: ...

    def on_settled(self, settled: Settled) -> None: ...


@attrs.frozen
class Arena:
    """What a policy is made for. `source` is the truth: for yardsticks, not for candidates."""

    source: PriceSource
    seed: int


@attrs.frozen
class Result:
    """What a policy came to, window by window. Money in 10⁻⁶ dollars, shares in 10⁻⁶."""

    settled: tuple[Settled, ...]

    @property
    def profits(self) -> list[float]:
        """Dollars by window, rebates counted in."""
        return [one.profit / 1e6 for one in self.settled]

    @property
    def known(self) -> list[float]:
        """The same without what came of the shares that were held, ten seconds after each fill."""
        return [(one.profit - one.sources.held) / 1e6 for one in self.settled]

    @property
    def at_fill(self) -> list[float]:
        """The same, right after each fill: less of it is luck."""
        return [(one.profit - one.sources.held - one.sources.adverse) / 1e6 for one in self.settled]


@attrs.frozen
class Interval:
    """A mean of dollars a window, and the bounds of its 95 % interval; `deviation` of one window
    is 0 where windows were taken together.
    """

    windows: int
    mean: float
    low: float
    high: float
    groups: int = 0
    deviation: float = 0.0

    @classmethod
    def of(cls, values: Sequence[float]) -> Interval:
        """Of two values at least, each a witness of its own."""
        mean, deviation = statistics.fmean(values), statistics.stdev(values)
        error = CONFIDENCE * deviation / math.sqrt(len(values))
        return cls(len(values), mean, mean - error, mean + error, deviation=deviation)

    @classmethod
    def of_groups(cls, groups: Sequence[Sequence[float]]) -> Interval:
        """Of groups of equal size: each one's mean is a witness (Student's t). Of a single one
        nothing is known but its mean: from minus to plus infinity.
        """
        if len(groups) == 1:
            (group,) = groups
            return cls(len(group), statistics.fmean(group), -math.inf, math.inf, 1)
        means = [statistics.fmean(group) for group in groups]
        mean, count = statistics.fmean(means), len(means)
        error = student(count - 1) * statistics.stdev(means) / math.sqrt(count)
        return cls(sum(map(len, groups)), mean, mean - error, mean + error, count)


def student(freedom: int) -> float:
    """The two-sided 95 % quantile of Student's t: exact for one and two, where its distribution has
    a closed form, else by its expansion in 1/freedom, to a hundredth of itself.
    """
    if freedom == 1:
        return math.tan(SURE * math.pi / 2)
    if freedom == 2:
        return SURE * math.sqrt(2 / (1 - SURE**2))
    z, n = CONFIDENCE, freedom
    first = (z**3 + z) / 4
    second = (5 * z**5 + 16 * z**3 + 3 * z) / 96
    third = (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384
    return z + first / n + second / n**2 + third / n**3


def play(
    policy: Callable[[Arena], Policy], seed: int, intervals: int, intensity: float,
    *, rules: Rules = TODAY, regime: PriceRegime = MEASURED,
    progress: Callable[[int], None] = lambda _number: None,
) -> Result:  # fmt: skip
    """Let a policy trade so many windows of a seed's world. `progress` hears each number done."""
    match = Match(policy, CrowdVenue(seed, intensity, rules, regime=regime), seed, regime)
    for number, market in enumerate(match.venue.windows(intervals), 1):
        match.window(market)
        progress(number)
    return Result(tuple(match.account.settled))


class Match:
    """A policy, its account and its world."""

    def __init__(
        self, policy: Callable[[Arena], Policy], venue: CrowdVenue, seed: int,
        regime: PriceRegime = MEASURED,
    ) -> None:  # fmt: skip
        self.venue, self._seed = venue, seed
        self._true_odds = TrueOdds(regime, SAMPLES.get(venue.rules.rule, 0))
        self.policy = policy(Arena(venue.source, seed))
        self.account = Account(
            Hand.make(venue.engine, "policy"), self.policy.on_fill, self.policy.on_settled,
            LATENCY_MS,
        )  # fmt: skip
        rng = random.Random(f"{seed} oracle")
        self._oracle = Oracle(venue.source, ["btc"], venue.now_ms, rng)
        self._oracle.listeners.append(self._on_price)
        self._prices: dict[str, PriceTick] = {}
        self._strike: float | None = None  # of this window, once it is published

    def window(self, market: Market) -> None:
        """From the window's start, where the world stands, to its end."""
        self.account.enter(market)
        self.policy.on_open(market)
        self._strike = None
        odds, truth = MarketOdds(market, self.venue.source), Truth(market.start_ms, LOOK_MS)
        looks = LOOK_MS // STEP_MS
        for number, at_ms in enumerate(range(market.start_ms, market.end_ms, STEP_MS)):
            self.venue.until(at_ms)
            self._oracle.advance(at_ms)
            self.account.advance(at_ms)
            if number % looks == 0:
                truth.up.append(self._true_up(market, odds, at_ms))
                self.account.want(self.policy.quotes(self._sight(market, at_ms)), at_ms)
        self.account.leave(market, market.end_ms, truth)

    def _true_up(self, market: Market, odds: MarketOdds, now_ms: int) -> float:
        left_s = (market.end_ms - now_ms) / 1000
        sigma = self.venue.source.sigma("btc", now_ms, left_s)
        return self._true_odds.up(odds.at(now_ms).distance, sigma, left_s)

    def _on_price(self, tick: PriceTick) -> None:
        self._prices[tick.feed] = tick
        self.policy.on_price(tick)

    def _sight(self, market: Market, now_ms: int) -> Sight:
        book, own = (
            self.venue.engine.desk.resting.books[market.condition_id],
            self.account.resting(),
        )
        up, down = self.account.held
        if self._strike is None:
            published_ms = delays(market.series, market.start_ms, self._seed).published_ms
            if now_ms >= market.start_ms + published_ms:
                self._strike = self.venue.value(market.start_ms)
        return Sight(
            now_ms, market, others(book.side(BUY), own[BUY]), others(book.side(SELL), own[SELL]),
            up, down, self.account.live, self._strike, dict(self._prices),
        )  # fmt: skip


def others(ladder: Ladder, own: Mapping[int, int]) -> Levels:
    """The best levels of one side without what is one's own there."""
    levels: list[tuple[int, int]] = []
    for level in ladder.best_first():
        left = level.total - own.get(level.price, 0)
        if left > 0:
            levels.append((level.price, left))
            if len(levels) == DEPTH:
                break
    return tuple(levels)
