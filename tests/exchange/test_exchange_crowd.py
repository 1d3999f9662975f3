"""The synthetic crowd as a whole: repeatable, alive, law-abiding, and gone at the end."""

from __future__ import annotations

import functools
import hashlib
import json
import random
from collections import Counter
from typing import Any

import pytest
from world_kit import DATA, START_MS, WINDOW_MS, Stage, crowd_of, synthetic

from polybot.exchange.calendar import SERIES, market_for
from polybot.exchange.crowd import (
    CASHED_THROUGH,
    CASHED_TILL_S,
    SyntheticWorld,
    activity,
    cashed_for,
)
from polybot.exchange.crowd_hand import Hand
from polybot.exchange.engine import Engine
from polybot.exchange.invariants import check
from polybot.exchange.model import BUY, UP, LevelChanged, Market, MarketResolved, Traded
from polybot.exchange.money import UNIT

OPEN_MS = START_MS + 60_000  # the first whole window begins
END_MS = OPEN_MS + WINDOW_MS


@functools.cache
def fingerprint(seed: int, run: int = 0, *, meddle: bool = False) -> tuple[str, Any]:
    """A digest of everything that happened, and (strike, final, winner) of the first window."""
    world = synthetic(seed, intensity=0.03)
    stage = Stage(world)
    stage.run(OPEN_MS + 30_000)
    market = stage.market(OPEN_MS)
    if meddle:
        hand = Hand.make(stage.engine, "meddler")
        hand.take(market, market.tokens[UP], BUY, 9900, 5000 * UNIT, stage.now_ms, seen=5000)
    stage.run(END_MS + 170_000)
    lines = []
    for event in stage.events:
        if isinstance(event, LevelChanged):
            lines.append(f"{event.at_ms} {event.market.slug} {event.changes}")
        elif isinstance(event, Traded):
            lines.append(f"{event.at_ms} {event.trade.price} {event.trade.shares}")
    digest = hashlib.sha256("\n".join(lines).encode()).hexdigest()
    return digest, (market.strike, market.final, market.winner)


def test_the_same_seed_gives_the_same_world() -> None:
    """Every level and trade repeats; another seed gives another world."""
    assert fingerprint(5) == fingerprint(5, run=1)
    assert fingerprint(5) != fingerprint(6)


def test_nothing_we_do_changes_an_outcome() -> None:
    """A huge order of ours changes the book's history but neither strike, final nor winner."""
    quiet, outcome = fingerprint(5)
    disturbed, same = fingerprint(5, meddle=True)

    assert quiet != disturbed
    assert outcome == same
    assert None not in outcome


def test_the_venues_books_stay_sound() -> None:
    """After a window of crowd trading every invariant of the engine holds."""
    stage = Stage(synthetic(intensity=0.05))
    stage.run(END_MS - 20_000)
    check(stage.engine)
    stage.run(END_MS + 1000)
    check(stage.engine)


def test_makers_never_trade_with_makers() -> None:
    """Makers only rest, so no trade has a maker as its taker; and nobody trades with himself."""
    world = synthetic()
    stage = Stage(world)
    makers = {hand.account for hand in crowd_of(world).resting}
    stage.run(END_MS)

    trades = [event.trade for event in stage.heard(Traded)]

    assert len(trades) > 100
    for trade in trades:
        assert trade.taker.account not in makers
        assert all(fill.order.account in makers for fill in trade.makers)


def test_at_the_end_nothing_of_the_crowd_rests() -> None:
    """At the window's last millisecond the crowd is there, some seconds after its end it has gone:
    the book stays open until the resolution (clob.md 8).
    """
    world = synthetic(intensity=0.02)
    stage = Stage(world)
    stage.run(END_MS - 1)
    market = stage.market(OPEN_MS)
    assert stage.engine.best(market.tokens[UP]) != (None, None)

    stage.run(END_MS + 12_000)

    assert stage.engine.levels(market.tokens[UP]) == ([], [])
    assert all(
        order.market is not market
        for hand in crowd_of(world).hands
        for order in stage.engine.live_orders(hand.owner)
    )


def test_in_some_markets_what_is_nearly_won_is_sold_to_the_end() -> None:
    """In the others nobody does in the last seconds (calibration.json, spread_by_ttc)."""
    times = [cashed_for(random.Random(seed)) for seed in range(2000)]
    low, high = (1000 * bound for bound in CASHED_TILL_S)

    assert times.count(0) / len(times) == pytest.approx(CASHED_THROUGH, abs=0.03)
    assert all(low <= time <= high for time in times if time)


def test_winnings_are_redeemed() -> None:
    """Some seconds after a resolution the crowd holds no share of that market any more."""
    world = synthetic(intensity=0.02)
    stage = Stage(world)
    stage.run(END_MS + 170_000)
    resolved = [event.market for event in stage.heard(MarketResolved)]
    assert stage.market(OPEN_MS) in resolved

    for market in resolved:
        for hand in crowd_of(world).hands:
            shares = [stage.engine.accounts.shares(hand.account, token) for token in market.tokens]
            assert shares == [0, 0]


def test_the_crowd_comes_90_seconds_early_and_waits_for_the_book() -> None:
    """No order before the last 90 seconds, none in a market that is not open yet."""
    source_world = synthetic()
    engine = Engine(rng=random.Random(1))
    market = market_for(SERIES["btc-5m"], OPEN_MS + WINDOW_MS, 1)
    engine.list_market(market, START_MS)
    crowd = _crowd_on(source_world, engine)

    crowd.advance(market.start_ms - 90_001)
    assert crowd.next_due_ms() == market.start_ms - 90_000
    crowd.advance(market.start_ms - 80_000)
    assert engine.levels(market.tokens[UP]) == ([], [])
    engine.open_market(market, market.start_ms - 80_000)
    crowd.advance(market.start_ms - 70_000)
    assert engine.levels(market.tokens[UP]) != ([], [])


def _crowd_on(world: SyntheticWorld, engine: Engine) -> Any:
    stage = Stage(synthetic())
    world.attach(engine, stage.oracle, stage.lifecycle)
    return crowd_of(world)


def test_other_series_are_quieter() -> None:
    """BTC 5m is the busiest; nothing is silent."""
    busiest = activity(SERIES["btc-5m"])
    assert busiest == 1.0
    assert all(0 < activity(series) <= busiest for series in SERIES.values())


def test_somebody_at_the_touch_gets_fills() -> None:
    """A joiner of the best bids on both sides is filled; by noise most of all, over some windows.

    Not in each: where the price runs away it is the informed who come.
    """
    by = Counter(name for seed in (7, 8, 9) for name in takers_of_a_joiner(seed))

    assert by.total() >= 15
    assert by.most_common(1)[0][0] == "noise"


def takers_of_a_joiner(seed: int) -> list[str]:
    """Who has taken from a hand that joins the touch, over one window."""
    world = synthetic(seed=seed, intensity=0.2)
    stage = Stage(world)
    stage.run(OPEN_MS + 5000)
    market, engine = stage.market(OPEN_MS), stage.engine
    joiner = Hand.make(engine, "joiner")
    price: dict[str, int | None] = {}

    def join(now_ms: int) -> None:
        for side, best in zip(("BUY", "SELL"), engine.best(market.tokens[UP]), strict=True):
            if best is not None and price.get(side) != best:
                for order in engine.live_orders(joiner.owner):
                    if (order.token == market.tokens[UP]) == (side == "BUY"):
                        joiner.pull(order, now_ms)
                joiner.rest(market, side, best, 20 * UNIT, now_ms)
                price[side] = best

    stage.run(END_MS - 30_000, every_ms=500, sample=join)

    names = {hand.account: hand.name for hand in crowd_of(world).hands}
    return [
        names[event.trade.taker.account]
        for event in stage.heard(Traded)
        if any(fill.order.account == joiner.account for fill in event.trade.makers)
    ]


@pytest.mark.parametrize("intensity", [0.0, -1.0, float("nan")])
def test_an_intensity_that_makes_no_sense_is_refused(intensity: float) -> None:
    """Zero, negative or undefined activity is a mistake in the configuration."""
    with pytest.raises(ValueError, match="intensity"):
        synthetic(intensity=intensity)


# --- against what was measured --------------------------------------------------------------------


@pytest.fixture(scope="module")
def calibration() -> Any:
    file = DATA / "calibration.json"
    if not file.is_file():
        pytest.skip("calibration.json is not there")
    return json.loads(file.read_text())


@pytest.fixture(scope="module")
def measured() -> tuple[Stage, list[tuple[int, int | None, int | None]]]:
    """Three windows at a tenth of the calibrated activity, the touch sampled every 200 ms."""
    stage = Stage(synthetic(seed=7, start_ms=OPEN_MS))
    touches: list[tuple[int, int | None, int | None]] = []

    def look(now_ms: int) -> None:
        market = stage.market(now_ms // WINDOW_MS * WINDOW_MS)
        touches.append((market.end_ms - now_ms, *stage.engine.best(market.tokens[UP])))

    stage.run(OPEN_MS + 3 * WINDOW_MS - 1, every_ms=200, sample=look)
    return stage, touches


def running(event: LevelChanged | Traded, market: Market) -> bool:
    return market.start_ms <= event.at_ms < market.end_ms


def test_rates_follow_the_calibration(calibration: Any, measured: Any) -> None:
    """At intensity 0.1 level changes and trades come at about a tenth of the measured rates."""
    stage, seconds = measured[0], 3 * WINDOW_MS / 1000
    full = calibration["full_rate_btc5m"]
    changes = sum(
        len(event.changes) for event in stage.heard(LevelChanged) if running(event, event.market)
    )
    trades = sum(running(event, event.trade.market) for event in stage.heard(Traded))

    measured_rate = full["per_second_price_change"]["mean"]
    assert 0.6 < changes / seconds / (0.1 * measured_rate) < 1.6
    assert 0.6 < trades / seconds / (0.1 * full["trades"]["per_second"]) < 2.2


def test_spreads_follow_the_calibration(calibration: Any, measured: Any) -> None:
    """One cent for about nine tenths of two-sided time while the window is young."""
    spreads = Counter(
        ask - bid if bid is not None and ask is not None else None
        for left_ms, bid, ask in measured[1]
        if left_ms > 120_000
    )
    young = calibration["spread_by_ttc"]["240-180s"]
    two_sided = sum(spreads.values()) - spreads[None]
    share = sum(n for spread, n in spreads.items() if spread is not None and spread <= 100)

    one_tick = young["two_sided_time_share_by_spread"]["0.010"]
    assert share / two_sided == pytest.approx(one_tick, abs=0.09)
    assert spreads[None] / (two_sided + spreads[None]) < 0.05


def test_most_changes_resize_a_level(measured: Any) -> None:
    """Few changes open or close a level."""
    stage = measured[0]
    size: dict[tuple[str, str, int], int] = {}
    kinds: Counter[str] = Counter()
    for event in stage.heard(LevelChanged):
        for token, side, price, total in event.changes:
            before = size.get((token, side, price), 0)
            size[token, side, price] = total
            if running(event, event.market):
                kinds["resized" if before and total else "opened or closed"] += 1

    assert kinds["resized"] > 4 * kinds["opened or closed"]


def test_trade_sizes_follow_the_calibration(calibration: Any, measured: Any) -> None:
    """Half of the trades are small: the median is near the measured one."""
    sizes = sorted(event.trade.shares / UNIT for event in measured[0].heard(Traded))
    median = calibration["full_rate_btc5m"]["trades"]["size_shares"]["p50"]

    assert 0.5 * median < sizes[len(sizes) // 2] < 2 * median
