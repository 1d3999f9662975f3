"""The crowd's habits: runs, storms, whales, the rebate farmer, undercutting, the arbitrageur."""

from __future__ import annotations

import random
from itertools import pairwise

import attrs
import pytest
from engine_kit import T0, make_market
from hypothesis import given, settings, strategies as st
from test_exchange_crowd_members import Scene, run

from polybot.exchange import crowd_makers
from polybot.exchange.crowd_farmer import LEAVES_MS, Farmer
from polybot.exchange.crowd_hand import Hand
from polybot.exchange.crowd_informed import PARITY_REST_MS, Parity, fee
from polybot.exchange.crowd_makers import LINGER_MS, PERSONAS, Desk, Habit, Persona
from polybot.exchange.crowd_takers import Heat, Noise, Whale
from polybot.exchange.invariants import check
from polybot.exchange.model import BUY, DOWN, SELL, UP
from polybot.exchange.money import ONE, UNIT

# --- runs and storms ------------------------------------------------------------------------------


def test_small_orders_come_in_runs() -> None:
    """Half of the gaps are hundredths of a second while the mean is ten times that."""
    scene = Scene()
    noise = Noise(scene.hand, scene.market, scene.odds, random.Random(3), 9.0)
    times = run(noise, T0, 1500)
    gaps = sorted(after - before for before, after in pairwise(times))

    assert gaps[len(gaps) // 2] < 50
    assert sum(gaps) / len(gaps) > 70


def test_a_run_is_one_traders() -> None:
    """Orders hundredths of a second apart want the same token on the same side, nearly always."""
    scene = Scene()
    scene.quote(4900, 5000, 40_000)
    run(Noise(scene.hand, scene.market, scene.odds, random.Random(3), 5.0), T0, 300)
    takers = [trade.taker for trade in scene.engine.trades.values()]
    close = [
        (one.token, one.side) == (other.token, other.side)
        for one, other in pairwise(takers)
        if other.created_ms - one.created_ms < 30
    ]

    assert len(close) > 50
    assert sum(close) > 0.9 * len(close)


def test_heat_is_one_on_average_and_remembers_seconds() -> None:
    """Loud and quiet seconds: neighbours alike, minutes apart not, and no more orders in all."""
    heat = Heat(random.Random(1))
    values = [heat.at(T0 + 1000 * second) for second in range(40_000)]
    mean = sum(values) / len(values)

    assert mean == pytest.approx(1.0, rel=0.1)
    near = sum((a - mean) * (b - mean) for a, b in pairwise(values))
    far = sum((a - mean) * (b - mean) for a, b in zip(values, values[60:], strict=False))
    assert near > 10 * abs(far)


def test_small_orders_come_when_the_price_moves() -> None:
    """A fair price that has just moved by four cents brings several times the orders of rest."""
    counts = []
    for up_later in (0.5, 0.54):
        scene = Scene()
        scene.opinion.later = up_later
        noise = Noise(scene.hand, scene.market, scene.odds, random.Random(3), 5.0)
        counts.append(sum(due < T0 + 60_000 for due in run(noise, T0, 3000)))

    assert counts[1] > 2 * counts[0] > 0


# --- whales ---------------------------------------------------------------------------------------


def test_a_whale_sweeps_several_levels() -> None:
    """One order, one trade, makers at each level it takes."""
    scene = Scene()
    other = scene.quote(4900, 5000, 100)
    for price in (4700, 4800, 5100, 5200):
        other.rest(scene.market, BUY if price < 4900 else SELL, price, 100 * UNIT, T0)
    whale = Whale(scene.hand, scene.market, random.Random(2), 1.0)

    run(whale, T0, 2)

    trades = list(scene.engine.trades.values())
    assert len(trades) == 1
    assert len({fill.price for fill in trades[0].makers}) >= 2
    check(scene.engine)


def test_a_whale_does_not_strike_on_arrival() -> None:
    """The first act only draws a time: windows would otherwise all begin with a sweep."""
    scene = Scene()
    scene.quote(4900, 5000)

    due = Whale(scene.hand, scene.market, random.Random(2), 0.01).act(T0)

    assert not scene.engine.trades
    assert due is not None
    assert due > T0


# --- the rebate farmer ----------------------------------------------------------------------------


def test_the_farmer_joins_and_never_improves() -> None:
    """It stands at the best bid and the best ask of others, and follows them when they move."""
    scene = Scene()
    other = scene.quote(4900, 5200)
    farmer = Farmer(scene.hand, scene.market, random.Random(1))
    farmer.act(T0)
    assert scene.best() == (4900, 5200)
    assert len(scene.engine.live_orders(scene.hand.owner)) == 2

    other.rest(scene.market, BUY, 5000, 10 * UNIT, T0)
    farmer.act(T0 + 1000)

    prices = {order.price for order in scene.engine.live_orders(scene.hand.owner)}
    assert prices == {5000, ONE - 5200}


@given(st.lists(st.integers(1, 98), min_size=1, max_size=12), st.integers(0, 1000))
@settings(max_examples=25, deadline=None)
def test_the_farmer_has_at_most_one_order_a_side(bids: list[int], seed: int) -> None:
    """However the touch moves about it, nothing of it is left behind."""
    scene, now_ms = Scene(), T0
    farmer = Farmer(scene.hand, scene.market, random.Random(seed))
    other = Hand.make(scene.engine, "other")
    for bid in bids:
        other.leave(scene.market, now_ms)
        other.rest(scene.market, BUY, bid * 100, 50 * UNIT, now_ms)
        other.rest(scene.market, SELL, bid * 100 + 100, 50 * UNIT, now_ms)
        now_ms = farmer.act(now_ms) or now_ms
        assert len(scene.engine.live_orders(scene.hand.owner)) <= 2
        check(scene.engine)


def test_the_farmer_leaves_at_the_end() -> None:
    """Half a minute before the close it is gone: one late look would cost more than its rebates."""
    scene = Scene()
    scene.quote(4900, 5000)
    farmer = Farmer(scene.hand, scene.market, random.Random(1))

    times = run(farmer, T0, 10_000)

    assert times[-1] == scene.market.end_ms - LEAVES_MS
    assert scene.engine.live_orders(scene.hand.owner) == []


# --- makers and each other ------------------------------------------------------------------------


FAIR = 0.505  # with nothing between view and limit: bids to 0.50, asks from 0.51
PLAIN = Persona("maker", Habit.JOINS, 300, 0.0, 0.0, 0.5, 1.0, 4, 50, 50)


def settled(scene: Scene, habit: Habit, from_ms: int = T0) -> tuple[int, int]:
    """Own best bid and ask of a maker of this habit, after some acts, its error of judgement 0."""
    desk = Desk(
        attrs.evolve(PLAIN, habit=habit), scene.hand, scene.market, scene.odds,
        random.Random(1), 20.0,
    )  # fmt: skip
    run(desk, from_ms, 12)
    check(scene.engine)
    return max(desk.ladders[BUY]), min(desk.ladders[SELL])


@pytest.mark.parametrize(
    ("habit", "bid", "ask", "expected"),
    [
        # Others are far away: one steps a tick inside, one joins, one stays behind.
        (Habit.UNDERCUTS, 4500, 5600, (4600, 5500)),
        (Habit.JOINS, 4500, 5600, (4500, 5600)),
        (Habit.KEEPS, 4500, 5600, (4400, 5700)),
        # Others stand at the fair value's own limits: nobody goes beyond those.
        (Habit.UNDERCUTS, 5000, 5100, (5000, 5100)),
        (Habit.JOINS, 5000, 5100, (5000, 5100)),
        (Habit.KEEPS, 5000, 5100, (4900, 5200)),
        # Others pay more than it is worth: let them.
        (Habit.UNDERCUTS, 5300, 5400, (5000, 5400)),
        (Habit.JOINS, 4700, 4800, (4700, 5100)),
    ],
)
def test_a_makers_habit_decides_where_it_stands(
    monkeypatch: pytest.MonkeyPatch, habit: Habit, bid: int, ask: int, expected: tuple[int, int]
) -> None:
    """Inside, beside or behind the best of others, never beyond what its own view allows."""
    monkeypatch.setattr(crowd_makers, "BIAS", 0.0)
    scene = Scene(up=FAIR)
    scene.quote(bid, ask)

    assert settled(scene, habit) == expected


@pytest.mark.parametrize("habit", list(Habit))
def test_alone_every_maker_stands_at_its_limit(
    monkeypatch: pytest.MonkeyPatch, habit: Habit
) -> None:
    """There is nobody to undercut, to join or to hide behind."""
    monkeypatch.setattr(crowd_makers, "BIAS", 0.0)

    assert settled(Scene(up=FAIR), habit) == (5000, 5100)


def test_two_undercutters_bid_each_other_up_to_their_limits(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Tick by tick from far apart to one tick, and no further."""
    monkeypatch.setattr(crowd_makers, "BIAS", 0.0)
    scene = Scene(up=FAIR)
    scene.quote(4500, 5600)
    rival = Hand.make(scene.engine, "rival")
    persona = attrs.evolve(PLAIN, habit=Habit.UNDERCUTS)
    desks = [
        Desk(persona, hand, scene.market, scene.odds, random.Random(1), 20.0)
        for hand in (scene.hand, rival)
    ]
    seen = []
    for at_ms in range(T0, T0 + 2_000, 50):
        for desk in desks:
            desk.act(at_ms)
            seen.append(scene.best())
        check(scene.engine)

    bids = [bid or 0 for bid, _ in seen]
    assert seen[0] == (4600, 5500)
    assert all(after - before in (0, 100) for before, after in pairwise(bids))
    assert seen[-1] == (5000, 5100)


@pytest.mark.parametrize(
    ("habit", "stays"), [(Habit.UNDERCUTS, 5000), (Habit.JOINS, 5000), (Habit.KEEPS, 4400)]
)
def test_when_the_others_leave_only_a_keeper_follows(
    monkeypatch: pytest.MonkeyPatch, habit: Habit, stays: int
) -> None:
    """Who is left in front stays as long as its own view allows; who keeps its distance does not:
    the others may know something.
    """
    monkeypatch.setattr(crowd_makers, "BIAS", 0.0)
    scene = Scene(up=FAIR)
    others = scene.quote(5000, 5100)
    desk = Desk(
        attrs.evolve(PLAIN, habit=habit), scene.hand, scene.market, scene.odds,
        random.Random(1), 20.0,
    )  # fmt: skip
    due = run(desk, T0, 12)[-1]
    others.leave(scene.market, due)
    others.rest(scene.market, BUY, 4500, 500 * UNIT, due)

    run(desk, due + 1, 12)

    assert max(desk.ladders[BUY]) == stays
    check(scene.engine)


def test_the_crowd_has_makers_of_every_habit() -> None:
    """Those who undercut are two: one alone has nobody to beat. No two are equally late, but the
    two slowest.
    """
    habits = [persona.habit for persona in PERSONAS]

    assert habits.count(Habit.UNDERCUTS) == 2
    assert set(habits) == set(Habit)
    assert len({persona.lag_ms for persona in PERSONAS}) == len(PERSONAS) - 1


def test_a_thinned_ladder_leaves_little_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    """In the last minute a touch that was left stays as depth for one step, not for three."""
    monkeypatch.setattr(crowd_makers, "BIAS", 0.0)
    scene = Scene(up=FAIR)
    desk = scene.desk(PLAIN)
    last = run(desk, scene.market.end_ms - 70_000, 12)[-1]
    assert len(desk.ladders[BUY]) == len(desk.ladders[SELL]) == 4

    due = max(last, scene.market.end_ms - 25_000)
    for up in (0.525, 0.545):
        scene.opinion.up = up
        due = run(desk, due, 12)[-1]

    assert sorted(desk.ladders[BUY]) == [5200, 5300, 5400]
    assert sorted(desk.ladders[SELL]) == [5500, 5600]


@pytest.mark.parametrize("leaves_ms", [0, 10_000, 30_000])
def test_a_maker_leaves_at_its_time(leaves_ms: int) -> None:
    """Who is late leaves before the close, with everything it has; others stay beyond it."""
    scene = Scene()
    desk = scene.desk(attrs.evolve(PLAIN, leaves_ms=leaves_ms))

    times = run(desk, scene.market.end_ms - 40_000, 100_000)

    left_ms = scene.market.end_ms - times[-1]
    assert left_ms == leaves_ms if leaves_ms else left_ms <= -LINGER_MS
    assert scene.engine.live_orders(scene.hand.owner) == []
    check(scene.engine)


# --- the parity arbitrageur -----------------------------------------------------------------------


def pair(up_ask: int, down_ask: int) -> tuple[Scene, Parity]:
    """Two windows with one end: Up of the lower strike and Down of the higher are on offer."""
    scene = Scene()
    low, high = scene.market, make_market("long", start_ms=T0 - 600_000)
    scene.engine.list_market(high, T0)
    scene.engine.open_market(high, T0)
    low.strike, high.strike = 90_000.0, 90_050.0
    other = Hand.make(scene.engine, "other")
    other.rest(low, SELL, up_ask, 500 * UNIT, T0)
    other.rest(high, BUY, ONE - down_ask, 500 * UNIT, T0)
    return scene, Parity(scene.hand, high, low)


def test_a_pair_that_must_pay_a_dollar_is_bought_below_it() -> None:
    """Up of the lower strike and Down of the higher for 0.95 and fees: both are lifted."""
    scene, parity = pair(4600, 4900)

    due = parity.act(T0 + 1000)

    bought = [(trade.taker.market, trade.taker.token) for trade in scene.engine.trades.values()]
    low = scene.market
    assert bought[0] == (low, low.tokens[UP])
    assert bought[1][1] == bought[1][0].tokens[DOWN]
    assert due == T0 + 1000 + PARITY_REST_MS


def test_fees_eat_a_narrow_gap() -> None:
    """0.98 for the pair is more than a dollar with the fees (strategy.md 12): nobody moves."""
    scene, parity = pair(4900, 4900)

    parity.act(T0 + 1000)

    assert not scene.engine.trades
    assert 0.98 + 2 * fee(scene.market, 4900) > 1


def test_without_strikes_there_is_no_parity() -> None:
    """Before both strikes are known nobody can say which is the lower."""
    scene, parity = pair(1000, 1000)
    scene.market.strike = None

    parity.act(T0 + 1000)

    assert not scene.engine.trades
