"""A policy's match with the crowd: what it sees and is told, and that profit is its wallet's."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence

import attrs
import pytest
from hypothesis import given, settings, strategies as st

from polybot.exchange.crowd_hand import FUNDS, Hand
from polybot.exchange.invariants import check
from polybot.exchange.model import BUY, DOWN, SELL, UP, Market
from polybot.exchange.money import ONE, UNIT
from polybot.exchange.oracle import PriceTick
from polybot.exchange.synthetic import REGIMES
from polybot.lab.crowd_venue import TODAY, CrowdVenue
from polybot.lab.maker_account import Account, Fill, Quote, Settled
from polybot.lab.maker_match import (
    LATENCY_MS,
    Arena,
    Match,
    Policy,
    Result,
    Sight,
    play,
)
from polybot.lab.maker_policies import HALF_CENTS, Careful, Naive


@attrs.define(eq=False)
class Script:
    """Answers as it is told and writes everything down."""

    answer: Callable[[Sight], Sequence[Quote]]
    sights: list[Sight] = attrs.field(factory=list)
    ticks: list[PriceTick] = attrs.field(factory=list)
    fills: list[Fill] = attrs.field(factory=list)
    settled: list[Settled] = attrs.field(factory=list)

    def on_open(self, market: Market) -> None: ...

    def on_price(self, tick: PriceTick) -> None:
        self.ticks.append(tick)

    def quotes(self, sight: Sight) -> Sequence[Quote]:
        self.sights.append(sight)
        return self.answer(sight)

    def on_fill(self, fill: Fill) -> None:
        self.fills.append(fill)

    def on_settled(self, settled: Settled) -> None:
        self.settled.append(settled)


def match_of(policy: Policy, seed: int = 2, intensity: float = 0.02) -> Match:
    return Match(lambda _: policy, CrowdVenue(seed, intensity, TODAY), seed)


class Stand:
    """An account in one market that the crowd has left, and somebody to trade with."""

    def __init__(self) -> None:
        self.venue = CrowdVenue(1, 0.02, TODAY)
        self.market = next(self.venue.windows(1))
        for hand in self.venue.crowd.hands:
            hand.leave(self.market, self.venue.now_ms)
        self.other = Hand.make(self.venue.engine, "other")
        self.other.stock_up(self.market, self.venue.now_ms)
        self.fills: list[Fill] = []
        self.settled: list[Settled] = []
        hand = Hand.make(self.venue.engine, "policy")
        self.account = Account(hand, self.fills.append, self.settled.append, LATENCY_MS)
        self.account.enter(self.market)
        self.now_ms = self.venue.now_ms

    def wait(self, ms: int) -> None:
        self.now_ms += ms
        self.venue.engine.advance(self.now_ms)
        self.account.advance(self.now_ms)

    def want(self, *quotes: Quote) -> None:
        self.account.want(quotes, self.now_ms)

    def hit(self, price: int, shares: int) -> None:
        """Somebody sells Up down to that price; the hold of the taker delay ends."""
        token = self.market.tokens[UP]
        self.other.take(self.market, token, SELL, price, shares, self.now_ms, seen=price)
        self.wait(self.market.taker_delay_ms)

    def rests(self) -> list[tuple[str, int, int]]:
        orders = self.venue.engine.live_orders(self.account.hand.owner)
        return [(order.side, order.price, order.remaining) for order in orders]


# --- orders ---------------------------------------------------------------------------------------


def test_orders_arrive_one_latency_after_the_decision() -> None:
    """What is wanted at once rests 150 ms later, and is believed in from the start."""
    stand = Stand()
    quote = Quote(UP, 4900, 15 * UNIT)
    stand.want(quote)
    stand.wait(LATENCY_MS - 1)
    assert stand.rests() == []
    assert list(stand.account.live) == [quote]

    stand.wait(1)

    assert stand.rests() == [(BUY, 4900, 15 * UNIT)]


def test_a_wanted_order_keeps_its_place() -> None:
    """The same wish again sends nothing; another price cancels and places."""
    stand = Stand()
    stand.want(Quote(UP, 4900, 15 * UNIT))
    stand.wait(LATENCY_MS)
    (first,) = stand.venue.engine.live_orders(stand.account.hand.owner)
    stand.want(Quote(UP, 4900, 20 * UNIT))
    stand.wait(LATENCY_MS)
    assert stand.venue.engine.live_orders(stand.account.hand.owner) == [first]

    stand.want(Quote(UP, 4800, 15 * UNIT))
    stand.wait(LATENCY_MS)

    assert stand.rests() == [(BUY, 4800, 15 * UNIT)]


def test_what_has_been_filled_is_not_sent_again_before_the_news_of_it() -> None:
    """Between the match and its report the order is still believed in: no second one behind it."""
    stand = Stand()
    quote = Quote(UP, 4900, 15 * UNIT)
    stand.want(quote)
    stand.wait(LATENCY_MS)
    stand.hit(4900, 15 * UNIT)
    assert (stand.rests(), stand.fills, stand.account.held) == ([], [], (0, 0))

    stand.want(quote)
    stand.wait(LATENCY_MS)
    assert stand.rests() == []
    assert stand.account.held == (15 * UNIT, 0)
    (fill,) = stand.fills
    assert (fill.outcome, fill.shares, fill.cash, fill.maker) == (UP, 15 * UNIT, -7_350_000, True)

    stand.want(quote)
    stand.wait(LATENCY_MS)
    assert stand.rests() == [(BUY, 4900, 15 * UNIT)]


def test_a_refused_order_is_forgotten_one_latency_later() -> None:
    """A post-only bid that would cross is refused; then the maker may try again."""
    stand = Stand()
    stand.other.rest(stand.market, SELL, 5000, 50 * UNIT, stand.now_ms)
    stand.want(Quote(UP, 5000, 15 * UNIT))
    stand.wait(LATENCY_MS)
    assert stand.rests() == []
    assert len(stand.account.live) == 1

    stand.wait(LATENCY_MS)

    assert not stand.account.live


def test_a_taker_pays_the_fee_and_held_shares_can_be_sold() -> None:
    """Not post-only it takes after the hold, fee in the cash; the shares then rest as a SELL."""
    stand = Stand()
    stand.other.rest(stand.market, SELL, 5000, 10 * UNIT, stand.now_ms)
    stand.want(Quote(UP, 5000, 10 * UNIT, post_only=False))
    stand.wait(LATENCY_MS)
    stand.wait(stand.market.taker_delay_ms)
    stand.wait(LATENCY_MS)
    (fill,) = stand.fills
    assert not fill.maker
    assert fill.fee == 175_000  # 10 shares · 7 % · ¼ (clob.md 6.1)
    assert fill.cash == -5_175_000
    assert not stand.account.live

    stand.want(Quote(UP, 5200, 10 * UNIT, SELL))
    stand.wait(LATENCY_MS)

    assert stand.rests() == [(SELL, 5200, 10 * UNIT)]


def test_prices_are_rounded_away_from_the_other_side() -> None:
    """Onto the tick; what would leave the scale is left out."""
    stand = Stand()
    stand.want(Quote(UP, 4999, 15 * UNIT), Quote(DOWN, 99, 15 * UNIT), Quote(UP, ONE, 15 * UNIT))

    assert [quote.price for quote in stand.account.live] == [4900]


def test_orders_of_a_window_that_is_over_do_not_arrive() -> None:
    """What was on its way at the end reaches neither that window nor the next."""
    stand = Stand()
    stand.want(Quote(UP, 4900, 15 * UNIT))
    stand.account.leave(stand.market, stand.now_ms)
    assert not stand.account.live
    stand.account.enter(attrs.evolve(stand.market, condition_id="next"))
    stand.wait(LATENCY_MS)

    assert stand.rests() == []


# --- what is seen and told ------------------------------------------------------------------------


def test_the_book_is_seen_without_ones_own_orders() -> None:
    """A bid of one's own inside the spread is no touch to one's own eyes."""
    script = Script(lambda sight: [Quote(UP, sight.bids[0][0], 500 * UNIT)] if sight.bids else [])
    match = match_of(script, intensity=0.1)
    market = next(match.venue.windows(1))
    engine = match.venue.engine

    def look(sight: Sight) -> Sequence[Quote]:
        bids, _ = engine.levels(market.tokens[UP])
        own = match.account.resting()[BUY]
        assert dict(sight.bids) == {
            price: total - own.get(price, 0)
            for price, total in reversed(bids)
            if total > own.get(price, 0) and price >= sight.bids[-1][0]
        }
        return [Quote(UP, sight.bids[0][0], 500 * UNIT)]

    script.answer = look
    match.window(market)

    assert sum(bool(sight.live) for sight in script.sights) > 100
    check(engine)


def test_prices_and_the_strike_come_when_they_are_published() -> None:
    """No tick from the future; the official strike after a minute (feeds.md 10.2)."""
    script = Script(lambda _: ())
    match = match_of(script)
    market = next(match.venue.windows(1))
    match.window(market)
    unknown = [sight for sight in script.sights if sight.strike is None]

    assert {tick.feed for tick in script.ticks} == {"binance", "chainlink", "twap60"}
    assert [tick.at_ms for tick in script.ticks] == sorted(tick.at_ms for tick in script.ticks)
    assert script.ticks[-1].at_ms < market.end_ms
    assert 53_000 <= len(unknown) * LATENCY_MS <= 163_000
    assert script.sights[-1].strike == pytest.approx(match.venue.value(market.start_ms))


def test_profit_is_what_the_wallet_shows() -> None:
    """Everything redeemed, cash has changed by the profits without the rebates, to the unit."""
    policy = Naive(Arena(CrowdVenue(2, 0.02).source, 2))
    match = match_of(policy)
    for market in match.venue.windows(2):
        match.window(market)
        check(match.venue.engine)
    venue, account = match.venue, match.account.hand.account
    for market in venue.engine.markets.values():
        if market.winner is not None:
            venue.engine.redeem(account, market, venue.now_ms)
    settled = match.account.settled
    earned = venue.engine.accounts.cash(account) - FUNDS

    assert sum(one.shares for one in settled) > 0
    assert earned == sum(one.profit - one.rebate for one in settled)
    assert all(one.rebate > 0 for one in settled if one.shares)


def test_every_fill_and_every_end_is_told_late() -> None:
    """The news add up to the window's profit, each at least one latency after the match."""
    script = Script(Naive(Arena(CrowdVenue(2, 0.02).source, 2)).quotes)
    match = match_of(script, intensity=0.05)
    for market in match.venue.windows(3):
        match.window(market)
    first = match.account.settled[0]
    told = [fill for fill in script.fills if fill.matched_ms < script.sights[0].market.end_ms]

    assert [one.slug for one in script.settled] == [
        one.slug for one in match.account.settled[: len(script.settled)]
    ]
    won = sum(f.shares * (f.outcome == first.winner) for f in told)
    assert first.profit == won + sum(fill.cash + fill.rebate for fill in told)


@given(st.integers(0, 10_000))
@settings(max_examples=3, deadline=None)
def test_no_policy_changes_an_outcome(seed: int) -> None:
    """One seed, one world: whoever trades in it, its windows end as its prices say."""
    winners = [
        [one.winner for one in play(policy, seed, 2, 0.01).settled] for policy in (Naive, Careful)
    ]

    assert winners[0] == winners[1]


@functools.cache
def usual() -> Result:
    """A match in the regime that is the default."""
    return play(Naive, 4, 3, 0.02)


def test_a_match_is_a_function_of_its_seed() -> None:
    """The same policy twice comes to the same, window by window."""
    assert play(Naive, 4, 3, 0.02) == usual()


def test_regime_is_another_world() -> None:
    """The same seed in another regime is not the same match."""
    calm, wild = (play(Naive, 4, 3, 0.02, regime=REGIMES[one]) for one in ("measured", "wild"))

    assert calm == usual()
    assert calm != wild


def test_naive_quotes_are_a_cent_from_the_mid() -> None:
    """A bid on either token, a cent from the mid and rounded away from it."""
    match = match_of(Script(lambda _: ()))
    market = next(match.venue.windows(1))
    sight = match._sight(market, market.start_ms)
    sight = attrs.evolve(sight, bids=((5000, UNIT),), asks=((5100, UNIT),))
    quotes = Naive(Arena(match.venue.source, 2)).quotes(sight)

    assert [(quote.outcome, quote.price) for quote in quotes] == [
        (UP, 5050 - HALF_CENTS),
        (DOWN, ONE - 5050 - HALF_CENTS),
    ]
    assert Naive(Arena(match.venue.source, 2)).quotes(attrs.evolve(sight, bids=())) == ()
