"""Markets come, start, end, resolve and go on the lifecycle's schedule."""

from __future__ import annotations

import random
import statistics
from collections.abc import Callable

import pytest

from polybot.exchange.calendar import LISTED_AHEAD_MS, SERIES
from polybot.exchange.engine import GRACE_MS, Engine
from polybot.exchange.invariants import check
from polybot.exchange.lifecycle import PRINT_WAIT_MS, Lifecycle, Step
from polybot.exchange.model import (
    BUY,
    DOWN,
    SELL,
    UP,
    Accepted,
    Event,
    Kind,
    Market,
    MarketListed,
    MarketResolved,
    Order,
    Phase,
    Refused,
    Series,
    Status,
)
from polybot.exchange.oracle import Oracle
from polybot.exchange.resolution import Bend, delays
from polybot.exchange.synthetic import SyntheticSource
from polybot.exchange.terms import Terms

HOUR_START = 1_795_197_600_000  # 2026-11-20 18:00 UTC
START = HOUR_START + 130_000


class World:
    """An engine, an oracle and a lifecycle, advanced together as the exchange does it."""

    def __init__(
        self,
        *keys: str,
        start_ms: int = START,
        settlement: Callable[[Market], tuple[float, float] | None] | None = None,
        hydration_ms: int = 0,
        keep_ms: int = 172_800_000,
        terms: Terms = Terms(),
    ) -> None:
        series: list[Series] = [SERIES[key] for key in keys]
        self.engine = Engine(rng=random.Random(1))
        self.events: list[Event] = []
        self.engine.listeners.append(self.events.append)
        source = SyntheticSource(1, start_ms, {"btc": 90_000.0})
        self.oracle = Oracle(source, ["btc"], start_ms, random.Random(2))
        self.lifecycle = Lifecycle(
            self.engine, self.oracle, series, random.Random(3), start_ms,
            settlement=settlement, hydration_ms=hydration_ms, keep_ms=keep_ms, terms=terms,
        )  # fmt: skip

    def to(self, now_ms: int) -> None:
        """In steps of due times, so that oracle and lifecycle keep together."""
        while (due := min(self.oracle.next_due_ms(), self.lifecycle.next_due_ms())) <= now_ms:
            self.oracle.advance(due)
            self.lifecycle.advance(due)
        self.engine.advance(now_ms)

    def five(self, number: int) -> Market:
        """The n-th five-minute market of the hour."""
        return self.lifecycle.by_slug[f"btc-updown-5m-{HOUR_START // 1000 + 300 * number}"]


def test_at_the_start_a_day_of_windows_is_listed_and_open() -> None:
    """The window under way and all that start within 24 h are there, trading."""
    world = World("btc-5m", "btc-15m", "btc-1h")
    markets = world.lifecycle.by_slug.values()
    assert {m.phase for m in markets} == {Phase.OPEN}
    for key, count in (("btc-5m", 289), ("btc-15m", 97), ("btc-1h", 25)):
        starts = [m.start_ms for m in markets if m.series.key == key]
        assert len(starts) == count
        assert min(starts) == HOUR_START
        assert max(starts) <= START + LISTED_AHEAD_MS
    assert set(world.engine.markets) == set(world.lifecycle.by_condition)


@pytest.mark.conforms("feeds-12.6-early-listing", "clob-8-early-listing")
def test_a_new_window_is_listed_a_day_ahead() -> None:
    """When a window starts, the one a day later is listed, stamped with its own time."""
    world = World("btc-5m")
    world.events.clear()
    world.to(START + 700_000)
    listed = [(e.at_ms, e.market.start_ms) for e in world.events if isinstance(e, MarketListed)]
    assert listed == [
        (start, start + LISTED_AHEAD_MS) for start in (HOUR_START + 300_000, HOUR_START + 600_000)
    ]


@pytest.mark.conforms("feeds-12.6-hydration")
def test_a_listed_market_waits_for_its_book() -> None:
    """With a hydration delay a market is known before it can be traded."""
    world = World("btc-5m", hydration_ms=60_000)
    world.to(HOUR_START + 330_000)
    newest = max(world.lifecycle.by_slug.values(), key=lambda m: m.start_ms)
    phases = [newest.phase]
    world.to(HOUR_START + 360_000)
    assert [*phases, newest.phase] == [Phase.LISTED, Phase.OPEN]


def test_a_chainlink_market_settles_on_the_two_averages() -> None:
    """Strike and final are the 60 s averages at both ends; ties and more are Up."""
    world = World("btc-5m")
    market = world.five(1)
    world.to(market.start_ms - 1)
    assert market.strike is None
    world.to(market.start_ms)
    assert market.strike == world.oracle.twap("btc", market.start_ms)
    world.to(market.end_ms - 1)
    assert (market.phase, market.final) == (Phase.OPEN, None)
    world.to(market.end_ms)
    assert (market.phase, market.final) == (Phase.OPEN, world.oracle.twap("btc", market.end_ms))
    world.to(market.end_ms + 163_000)
    assert market.phase is Phase.RESOLVED
    assert market.strike is not None
    assert market.final is not None
    assert market.winner == (UP if market.final >= market.strike else DOWN)


def test_each_final_is_the_next_strike_and_they_are_published_together() -> None:
    """priceToBeat(N) = finalPrice(N−1), and appears when window N−1 resolves (feeds.md 9)."""
    world = World("btc-5m")
    world.to(HOUR_START + 2_400_000)
    for number in range(1, 7):
        one, following = world.five(number), world.five(number + 1)
        assert one.final == following.strike
        assert one.resolved_ms == following.strike_published_ms
        assert world.lifecycle.proposed_ms[one.condition_id] == one.resolved_ms


def test_the_market_under_way_at_the_start_has_its_strike() -> None:
    """What happened before the exchange began is as if it had been running."""
    world = World("btc-5m", "btc-1h")
    market = world.five(0)
    assert market.strike == world.oracle.twap("btc", HOUR_START)
    assert market.strike_published_ms == START  # 130 s into the window: about a minute late
    hour = world.lifecycle.by_slug["bitcoin-up-or-down-november-20-2026-1pm-et"]
    assert hour.strike == world.oracle.candle("btc", 3600, HOUR_START).open


@pytest.mark.conforms("feeds-12.6-resolution-hourly")
def test_an_hour_settles_on_the_candle_and_is_proposed_before_it_is_paid() -> None:
    """Open and close of the Binance hour; proposed within 90 s, resolved after 12–13 min."""
    world = World("btc-1h")
    hour = world.lifecycle.by_slug["bitcoin-up-or-down-november-20-2026-1pm-et"]
    end = hour.end_ms
    world.to(end + PRINT_WAIT_MS)
    candle = world.oracle.candle("btc", 3600, HOUR_START)
    assert candle.closed
    assert (hour.strike, hour.final) == (candle.open, candle.close)
    world.to(end + 90_000)
    assert hour.phase is Phase.OPEN
    assert 50_000 <= world.lifecycle.proposed_ms[hour.condition_id] - end <= 90_000
    world.to(end + 780_000)
    assert hour.resolved_ms is not None
    assert 720_000 <= hour.resolved_ms - end <= 780_000
    assert hour.winner == (UP if candle.close >= candle.open else DOWN)


@pytest.mark.conforms("feeds-12.6-resolution-short", "clob-8-resolution-delay")
def test_resolution_delays_are_the_measured_ones() -> None:
    """From 53 s on, median about 55 s, p90 about 87 s, at most 162 s (clob.md 8, feeds.md 10.2)."""
    drawn = sorted(
        delays(SERIES["btc-5m"], HOUR_START + 300_000 * n, 7).resolved_ms / 1000
        for n in range(2000)
    )
    assert 54 < statistics.median(drawn) < 56
    assert 80 < drawn[1800] < 94
    assert drawn[0] >= 53
    assert drawn[-1] <= 162


def test_a_recorded_market_keeps_its_own_outcome() -> None:
    """Where the settlement hook answers, strike, final and winner are its own; a tie is Up."""
    slug = f"btc-updown-5m-{HOUR_START // 1000 + 300}"
    world = World("btc-5m", settlement=lambda market: (5.0, 5.0) if market.slug == slug else None)
    world.to(HOUR_START + 1_100_000)
    tied, other = world.five(1), world.five(2)
    assert (tied.strike, tied.final, tied.winner) == (5.0, 5.0, UP)
    assert other.strike == world.oracle.twap("btc", other.start_ms)


def test_resolutions_are_told_once_with_their_own_times() -> None:
    """A late `advance` gives the same stamps as many small ones."""
    slow, quick = World("btc-5m"), World("btc-5m")
    slow.to(HOUR_START + 1_500_000)
    quick.oracle.advance(HOUR_START + 1_500_000)
    quick.lifecycle.advance(HOUR_START + 1_500_000)
    told = [
        [(e.at_ms, e.market.slug) for e in world.events if isinstance(e, MarketResolved)]
        for world in (slow, quick)
    ]
    assert told[0] == told[1]
    assert len(told[0]) >= 4


def test_old_markets_are_forgotten() -> None:
    """After its time a resolved market is gone here; the number known stays the same."""
    world = World("btc-5m", keep_ms=3_600_000)
    first, known = world.five(0), len(world.lifecycle.by_slug)
    order = Order("0x1", "key", "wallet", first, first.tokens[UP], BUY, 5_000, 5_000_000, Kind.GTC)
    world.engine.accounts.deposit("wallet", 100_000_000)
    world.engine.place(order, START, lambda _: None)
    world.to(first.end_ms + GRACE_MS)
    assert world.engine.orders["0x1"].status is Status.CANCELED_MARKET_RESOLVED
    world.to(first.end_ms + GRACE_MS + 163_000)
    assert "0x1" not in world.engine.orders
    world.to(first.end_ms + 3_600_000 + 163_000)
    assert first.slug not in world.lifecycle.by_slug
    assert first.condition_id not in world.lifecycle.proposed_ms
    world.to(START + 3 * 3_600_000)
    assert len(world.lifecycle.by_slug) <= known + 15
    assert len(world.lifecycle._steps) <= len(Step) * len(world.lifecycle.by_slug)


@pytest.mark.conforms("feeds-12.6-dst")
def test_the_series_steps_over_the_autumn_hole() -> None:
    """Listing goes on behind the two hours that do not exist."""
    start = 1_793_400_000_000  # 2026-10-30 22:40 UTC, so the hole is a day and a half away
    world = World("btc-1h", start_ms=start, settlement=lambda market: (1.0, 1.0))
    world.lifecycle.advance(start + 16 * 3_600_000)
    slugs = [m.slug for m in world.lifecycle.by_slug.values()]
    assert "bitcoin-up-or-down-november-1-2026-12am-et" in slugs
    assert "bitcoin-up-or-down-november-1-2026-2am-et" in slugs
    assert not any("november-1-2026-1am" in slug for slug in slugs)


def rest(world: World, market: Market, order_id: str = "0x1") -> Order:
    """An order of ann's that rests in a market."""
    world.engine.accounts.deposit("ann", 10_000_000)
    order = Order(
        order_id, "key", "ann", market, market.tokens[UP], BUY, 5000, 10_000_000, Kind.GTC
    )
    world.engine.place(order, world.engine.now_ms, lambda _: None)
    return order


def refusal(world: World, market: Market) -> str:
    """How a new order for a market is refused; empty when it rests."""
    replies: list[Accepted | Refused] = []
    order = Order("0xnew", "key", "ann", market, market.tokens[UP], BUY, 1000, 5_000_000, Kind.GTC)
    world.engine.accounts.deposit("ann", 5_000_000)
    world.engine.place(order, world.engine.now_ms, replies.append)
    return replies[0].error if isinstance(replies[0], Refused) else ""


@pytest.mark.conforms("clob-8-open-after-end")
def test_trading_goes_on_after_the_end_until_the_resolution() -> None:
    """Matching stops with the resolution, by default (clob.md 8)."""
    world = World("btc-5m")
    market = world.five(1)
    world.to(market.end_ms + 40_000)
    order = rest(world, market)
    seen = [order.status]
    world.to(market.end_ms + 163_000)
    assert [*seen, order.status] == [Status.LIVE, Status.CANCELED_MARKET_RESOLVED]
    assert refusal(world, market) == f"the orderbook {market.tokens[UP]} does not exist"


def test_trading_may_stop_at_the_end() -> None:
    """As a term: no new orders from `endDate` on, what rests stays (clob.md 8, UNSURE)."""
    world = World("btc-5m", terms=Terms(close_at_end=True, close_invalidates=True))
    market = world.five(1)
    world.to(market.end_ms - 1)
    order = rest(world, market)
    world.to(market.end_ms)
    assert (market.phase, order.status) == (Phase.CLOSED, Status.LIVE)
    assert "does not exist" in refusal(world, market)
    world.to(market.end_ms + 163_000)
    assert order.status is Status.INVALID


def test_a_market_can_close_early() -> None:
    """A fault: orders are refused before the end (reliability.md F51)."""
    world = World("btc-5m")
    market = world.five(1)
    world.lifecycle.bend(market, Bend(close_early_ms=60_000))
    world.to(market.end_ms - 60_001)
    assert refusal(world, market) == ""
    world.to(market.end_ms - 60_000)
    phases = [market.phase]
    world.to(market.end_ms + 163_000)
    assert [*phases, market.phase] == [Phase.CLOSED, Phase.RESOLVED]


@pytest.mark.conforms("onchain-6.1-void")
def test_a_void_pays_half_for_each_share() -> None:
    """Payouts (1, 1): nobody wins, both outcomes are worth half a dollar (F36, onchain.md 6.3)."""
    world = World("btc-5m")
    market = world.five(1)
    world.lifecycle.bend(market, Bend(void=True))
    world.engine.accounts.deposit("ann", 10_000_001)
    world.engine.split("ann", market, 10_000_001, world.engine.now_ms)
    world.to(market.end_ms + 163_000)
    assert (market.winner, market.payouts) == (None, (1, 1))
    assert world.engine.equity("ann") == 10_000_000  # each half is floored
    assert world.engine.redeem("ann", market, world.engine.now_ms) == 10_000_000
    check(world.engine)


def test_the_chain_may_pay_another_winner_than_is_told() -> None:
    """The services name one, the payout vector is the other's (F37)."""
    world = World("btc-5m", settlement=lambda market: (1.0, 2.0))
    market = world.five(1)
    world.lifecycle.bend(market, Bend(payouts=(0, 1)))
    world.engine.accounts.deposit("ann", 10_000_000)
    world.engine.split("ann", market, 10_000_000, world.engine.now_ms)
    world.engine.accounts.deposit("bob", 10_000_000)
    for who, side in (("bob", BUY), ("ann", SELL)):
        token = market.tokens[UP]
        order = Order(f"0x{who}", who, who, market, token, side, 5000, 10_000_000, Kind.GTC)
        world.engine.place(order, world.engine.now_ms, lambda _: None)
    world.to(market.end_ms + 163_000)
    assert market.winner == UP
    assert world.engine.redeem("bob", market, world.engine.now_ms) == 0
    assert world.engine.redeem("ann", market, world.engine.now_ms) == 10_000_000
    check(world.engine)


def test_a_resolution_can_be_late() -> None:
    """Hours, even when the fault is set after the end (F36)."""
    world = World("btc-5m")
    market = world.five(1)
    world.to(market.end_ms + 1_000)
    world.lifecycle.bend(market, Bend(resolve_late_ms=7_200_000))
    world.to(market.end_ms + 7_200_000)
    assert market.phase is Phase.OPEN
    world.to(market.end_ms + 7_363_000)
    assert market.resolved_ms is not None
    assert 7_253_000 <= market.resolved_ms - market.end_ms <= 7_362_000


def test_a_strike_can_be_absent_late_or_wrong_for_a_while() -> None:
    """What Gamma shows of it; the market settles on the true one all the same (F57)."""
    world = World("btc-5m")
    absent, late, wrong = (world.five(n) for n in (1, 2, 3))
    world.lifecycle.bend(absent, Bend(strike_absent=True))
    world.lifecycle.bend(late, Bend(strike_late_ms=200_000))
    world.lifecycle.bend(wrong, Bend(strike_error=0.001, corrected_ms=30_000))
    world.to(wrong.end_ms + 163_000)
    shown = world.lifecycle.shown_strike
    assert shown(absent, world.engine.now_ms) is None
    assert late.strike_published_ms is not None
    assert late.strike_published_ms - late.start_ms >= 253_000
    published, strike = wrong.strike_published_ms, wrong.strike
    assert published is not None
    assert strike is not None
    assert shown(wrong, published) == strike * 1.001
    assert shown(wrong, published + 30_000) == strike
    assert {absent.phase, late.phase, wrong.phase} == {Phase.RESOLVED}
