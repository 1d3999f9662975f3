"""The synthetic crowd: everyone else on the venue, for every market of the chosen series.

A heap of members' acts, each at its own due time. Random numbers come from sub-streams named after
seed, member and market, and prices from the source's own: what our bot does can change the crowd's
orders, never a price path or an outcome.
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Iterator, Sequence
from typing import Protocol

import attrs

from polybot.exchange.crowd_farmer import Farmer
from polybot.exchange.crowd_hand import Hand
from polybot.exchange.crowd_informed import RACERS, SHOTS_PER_S, Informed, Parity
from polybot.exchange.crowd_makers import CHANGES_PER_S, PERSONAS, Desk
from polybot.exchange.crowd_odds import MarketOdds
from polybot.exchange.crowd_takers import TRADES_PER_S, WHALES_PER_S, Noise, Whale
from polybot.exchange.engine import Engine
from polybot.exchange.lifecycle import Lifecycle
from polybot.exchange.model import Event, Market, MarketListed, MarketResolved, Phase, Series
from polybot.exchange.oracle import Oracle, PriceSource
from polybot.exchange.synthetic import MEASURED, PriceRegime, SyntheticSource

EARLY_MS = 90_000  # the crowd comes to a market this long before its window
RETRY_MS = 1_000
THINNEST = 0.1
# Before the end: so long somebody sells what is nearly won to have the money now. No book of the
# sample is one-sided before 120 s, of those beyond 0.95 a quarter at 90 s, nearly all at 20 s.
CASHED_TILL_S = (18.0, 115.0)
CASHED_THROUGH = 0.15  # of markets: to the end (a fifth of time beyond 0.95 is two-sided then)
REDEEM_MS = 5_000  # after the resolution
START_PRICES = {
    "btc": 90_000.0, "eth": 3_000.0, "sol": 140.0, "xrp": 2.2, "doge": 0.16, "bnb": 890.0,
    "hype": 34.0, "zec": 520.0,
}  # fmt: skip
# Activity against a BTC 5m window. Not measured: only that other series are quieter.
LENGTH_ACTIVITY = {"5m": 1.0, "15m": 0.5, "1h": 0.4}
OTHER_ASSETS = 0.5


class Member(Protocol):
    """Whoever acts, at its due time, and says when it will again; None for never."""

    def act(self, now_ms: int) -> int | None: ...


def activity(series: Series) -> float:
    """Rates of this series relative to BTC 5m."""
    length = LENGTH_ACTIVITY.get(series.name, min(LENGTH_ACTIVITY.values()))
    return length * (1.0 if series.asset == "btc" else OTHER_ASSETS)


def cashed_for(rng: random.Random) -> int:
    """How long before the close the last sale of what is nearly won is offered, in ms."""
    till_s, through = rng.uniform(*CASHED_TILL_S), rng.random() < CASHED_THROUGH
    return 0 if through else round(till_s * 1000)


class Crowd:
    """All members and their acts. `intensity` scales how often they act, not how."""

    def __init__(
        self, engine: Engine, source: PriceSource, *, seed: int, start_ms: int, intensity: float,
        series: Sequence[Series],
    ) -> None:  # fmt: skip
        self.engine = engine
        self._source, self._seed, self._intensity = source, seed, intensity
        # A quiet market is a thin one: the time a queue takes to be eaten stays what it is.
        self._thickness = min(1.0, max(THINNEST, intensity))
        self._series = frozenset(series)
        self._now_ms = start_ms
        self._due: list[tuple[int, int, Member]] = []
        self._order = 0
        self._entered: list[Market] = []  # those that may share their end with a later one
        self.makers = {one.name: Hand.make(engine, one.name) for one in PERSONAS}
        self.farmer = Hand.make(engine, "farmer")
        self.noise, self.whale = Hand.make(engine, "noise"), Hand.make(engine, "whale")
        self.informed = {one.name: Hand.make(engine, one.name) for one in RACERS}
        self.parity = Hand.make(engine, "parity")
        for market in list(engine.markets.values()):
            self._expect(market, start_ms)
        engine.listen(self._hear, MarketListed, MarketResolved)

    @property
    def hands(self) -> tuple[Hand, ...]:
        """Every member's account."""
        makers, takers = self.resting, self.informed.values()
        return (*makers, self.noise, self.whale, *takers, self.parity)

    @property
    def resting(self) -> tuple[Hand, ...]:
        """The accounts of those who only ever rest."""
        return (*self.makers.values(), self.farmer)

    def advance(self, now_ms: int) -> None:
        """Every act due by now, in order, each at its own due time."""
        due = self._due
        while due and due[0][0] <= now_ms:
            at_ms, _, member = heapq.heappop(due)
            self._now_ms = at_ms
            following = member.act(at_ms)
            if following is not None:
                self._schedule(following, member)

    def next_due_ms(self) -> int | None:
        return self._due[0][0] if self._due else None

    def enter(self, market: Market, now_ms: int) -> None:
        """Send every member into a market that has just become interesting."""
        rate = self._intensity * activity(market.series)
        odds = MarketOdds(market, self._source)
        for hand in (*self.resting, self.noise, self.whale):
            hand.stock_up(market, now_ms)
        members = [*self._makers(market, odds, rate), *self._takers(market, odds, rate)]
        for place, member in enumerate(members):
            self._schedule(now_ms + 1 + place, member)
        self._entered.append(market)

    def _makers(self, market: Market, odds: MarketOdds, rate: float) -> Iterator[Member]:
        till_ms = market.end_ms - cashed_for(self._stream("cash", market))
        for persona in PERSONAS:
            hand, changes = self.makers[persona.name], rate * CHANGES_PER_S * persona.share
            rng = self._stream(persona.name, market)
            yield Desk(persona, hand, market, odds, rng, changes, self._thickness, till_ms)
        yield Farmer(self.farmer, market, self._stream("farmer", market), self._thickness)

    def _takers(self, market: Market, odds: MarketOdds, rate: float) -> Iterator[Member]:
        rng = self._stream("noise", market)
        yield Noise(self.noise, market, odds, rng, rate * TRADES_PER_S)
        rng = self._stream("whale", market)
        yield Whale(self.whale, market, rng, rate * WHALES_PER_S, self._thickness)
        for racer in RACERS:
            hand, rng = self.informed[racer.name], self._stream(racer.name, market)
            yield Informed(hand, market, odds, rng, rate * SHOTS_PER_S, racer)
        self._entered = [one for one in self._entered if one.end_ms >= market.end_ms]
        for other in self._entered:
            same = other.series.asset, other.series.rule, other.end_ms
            if same == (market.series.asset, market.series.rule, market.end_ms):
                yield Parity(self.parity, other, market)

    def _stream(self, member: str, market: Market) -> random.Random:
        return random.Random(f"{self._seed}/{member}/{market.slug}")

    def _schedule(self, due_ms: int, member: Member) -> None:
        self._order += 1
        heapq.heappush(self._due, (due_ms, self._order, member))

    def _hear(self, event: Event) -> None:
        if isinstance(event, MarketListed):
            self._expect(event.market, event.at_ms)
        elif isinstance(event, MarketResolved) and event.market.series in self._series:
            self._schedule(event.at_ms + REDEEM_MS, _Redemption(self, event.market))

    def _expect(self, market: Market, now_ms: int) -> None:
        if market.series in self._series and market.end_ms > now_ms:
            self._schedule(max(now_ms, market.start_ms - EARLY_MS), _Arrival(self, market))


@attrs.frozen
class _Arrival:
    """Waits for a market's book to be open, then sends the crowd in."""

    crowd: Crowd
    market: Market

    def act(self, now_ms: int) -> int | None:
        if now_ms >= self.market.end_ms:
            return None
        if self.market.phase is not Phase.OPEN:
            return now_ms + RETRY_MS
        self.crowd.enter(self.market, now_ms)
        return None


@attrs.frozen
class _Redemption:
    """Turns the crowd's shares of a resolved market into pUSD, so that nothing piles up."""

    crowd: Crowd
    market: Market

    def act(self, now_ms: int) -> int | None:
        for hand in self.crowd.hands:
            self.crowd.engine.redeem(hand.account, self.market, now_ms)
        return None


class SyntheticWorld:
    """Invented prices and the crowd that trades on them."""

    name = "synthetic"
    end_ms: int | None = None

    def __init__(
        self, seed: int, start_ms: int, series: Sequence[Series], intensity: float,
        regime: PriceRegime = MEASURED,
    ) -> None:  # fmt: skip
        """`intensity` 1.0 is a busy BTC 5m market as measured. ValueError unless above 0."""
        if not intensity > 0:
            raise ValueError(f"intensity {intensity}: give a number above 0 (1.0 is a busy market)")
        self.start_ms, self.series = start_ms, tuple(series)
        self.source: PriceSource = SyntheticSource(seed, start_ms, START_PRICES, regime)
        self._seed, self._intensity = seed, intensity
        self.crowd: Crowd | None = None

    def attach(self, engine: Engine, oracle: Oracle, lifecycle: Lifecycle) -> None:
        """Fund the crowd and let it follow the engine's markets. Call once."""
        self.crowd = Crowd(
            engine, self.source, seed=self._seed, start_ms=self.start_ms,
            intensity=self._intensity, series=self.series,
        )  # fmt: skip

    def advance(self, now_ms: int) -> None:
        if self.crowd is not None:
            self.crowd.advance(now_ms)

    def next_due_ms(self) -> int | None:
        return self.crowd.next_due_ms() if self.crowd is not None else None

    def settlement(self, market: Market) -> tuple[float, float] | None:
        """None: strike and final are what the oracle reads."""
        return None
