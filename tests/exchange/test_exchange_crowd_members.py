"""Each member of the crowd alone: hands, makers' ladders, noise, the informed trader."""

from __future__ import annotations

import random
from itertools import pairwise
from typing import Any, cast

import attrs
import pytest
from engine_kit import T0, Kit
from hypothesis import given, settings, strategies as st

from polybot.exchange import crowd_makers
from polybot.exchange.crowd import Member
from polybot.exchange.crowd_hand import LEAST, Hand, alive
from polybot.exchange.crowd_informed import RACERS, Informed
from polybot.exchange.crowd_makers import (
    LINGER_MS,
    OPS_PER_ACT,
    PERSONAS,
    Desk,
    Habit,
    Persona,
    levels_left,
)
from polybot.exchange.crowd_odds import MarketOdds, View
from polybot.exchange.crowd_takers import QUIET_BEFORE, Noise
from polybot.exchange.model import BUY, DOWN, SELL, UP, Accepted, Refused
from polybot.exchange.money import ONE, UNIT

MAKER = Persona("maker", Habit.JOINS, 300, 0.002, 0.0, 0.5, 1.0, 4, 50, 50)


@attrs.define
class Opinion:
    """Stands for MarketOdds: says what it is told, and remembers when it was asked about."""

    up: float
    speed: float = 0.02
    asked: list[int] = attrs.field(factory=list)
    later: float | None = None  # what it says in every other two seconds, if that is not the same

    def at(self, at_ms: int) -> View:
        self.asked.append(at_ms)
        flipped = self.later is not None and at_ms // 2_000 % 2
        return View(self.later if flipped and self.later is not None else self.up, self.speed)


class Scene:
    """One open market, a hand in it, and an opinion to trade on."""

    def __init__(self, up: float = 0.5, **market: Any) -> None:
        self.kit = Kit(**market)
        self.engine, self.market = self.kit.engine, self.kit.market
        self.hand = Hand.make(self.engine, "someone")
        self.hand.stock_up(self.market, T0)
        self.opinion = Opinion(up)
        self.odds = cast("MarketOdds", self.opinion)

    def desk(self, persona: Persona = MAKER, seed: int = 1) -> Desk:
        return Desk(persona, self.hand, self.market, self.odds, random.Random(seed), 20.0)

    def best(self) -> tuple[int | None, int | None]:
        return self.engine.best(self.market.tokens[UP])

    def quote(self, bid: int, ask: int, shares: int = 500) -> Hand:
        """Somebody else's quotes, to be hit."""
        other = Hand.make(self.engine, "other")
        other.rest(self.market, BUY, bid, shares * UNIT, T0)
        other.rest(self.market, SELL, ask, shares * UNIT, T0)
        return other


def run(member: Member, from_ms: int, acts: int) -> list[int]:
    """Let a member act some times; the times at which it did."""
    due: int | None = from_ms
    times: list[int] = []
    while due is not None and len(times) < acts:
        times.append(due)
        due = member.act(due)
    return times


# --- hands ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("side", "sell", "outcome", "own_side", "own_price"),
    [
        (BUY, False, UP, BUY, 4800),
        (BUY, True, DOWN, SELL, 5200),
        (SELL, False, DOWN, BUY, 5200),
        (SELL, True, UP, SELL, 4800),
    ],
)
def test_resting_uses_either_token(
    side: str, sell: bool, outcome: int, own_side: str, own_price: int
) -> None:
    """A bid or an ask in Up terms is the same level, whether bought or sold, on the right token."""
    scene = Scene()

    order = scene.hand.rest(scene.market, side, 4800, LEAST, T0, sell=sell)

    assert order is not None
    assert (order.token, order.side) == (scene.market.tokens[outcome], own_side)
    assert order.price == own_price
    assert scene.best() == ((4800, None) if side == BUY else (None, 4800))


def test_without_shares_a_sale_becomes_the_other_purchase() -> None:
    """When the stock is used up the level is still there, as a BUY of the other token."""
    scene = Scene()
    poor = Hand.make(scene.engine, "poor")

    order = poor.rest(scene.market, SELL, 5300, LEAST, T0, sell=True)

    assert order is not None
    assert (order.side, order.token) == (BUY, scene.market.tokens[DOWN])
    assert poor.refused == 1


def test_a_crossing_quote_is_refused_and_counted() -> None:
    """Resting is post-only: nothing is returned and nothing trades."""
    scene = Scene()
    scene.quote(4900, 5000)

    assert scene.hand.rest(scene.market, BUY, 5000, LEAST, T0) is None
    assert scene.hand.refused == 1
    assert not scene.engine.trades


@given(shares=st.integers(5, 150), ask=st.integers(2, 98), slip=st.integers(0, 1))
@settings(max_examples=60, deadline=None)
def test_takers_orders_are_always_valid(shares: int, ask: int, slip: int) -> None:
    """Whatever size and price a taker wants, the venue finds nothing wrong with the order."""
    scene = Scene()
    scene.quote(100, ask * 100, 2000)
    limit, token = (ask + slip) * 100, scene.market.tokens[UP]

    answer = scene.hand.take(scene.market, token, BUY, limit, shares * UNIT, T0, seen=ask * 100)

    assert isinstance(answer, Accepted), answer


def test_keys_and_addresses_look_real_and_repeat() -> None:
    """A member's key and address are shaped as the venue's and the same in every run."""
    one, two = Scene().hand, Scene().hand

    assert (one.owner, one.account) == (two.owner, two.account)
    assert len(one.account) == 42
    assert len(one.owner) == 36


# --- makers ---------------------------------------------------------------------------------------


def test_a_desk_reads_the_truth_late() -> None:
    """The view is that of one lag ago."""
    scene = Scene()

    run(scene.desk(), T0 + 10_000, 1)

    assert scene.opinion.asked == [T0 + 10_000 - MAKER.lag_ms]


def test_a_ladder_stands_around_the_view() -> None:
    """After building there are the persona's levels on both sides, a tick apart, around fair."""
    scene = Scene(up=0.503)
    desk = scene.desk()

    run(desk, T0 + 10_000, 3)

    assert len(desk.ladders[BUY]) == len(desk.ladders[SELL]) == MAKER.levels
    assert scene.best() in {(4900, 5100), (5000, 5100), (5000, 5200)}


@settings(max_examples=25, deadline=None)
@given(st.lists(st.floats(0.001, 0.999), min_size=2, max_size=12), st.integers(0, 10_000))
def test_a_desk_never_crosses_itself(opinions: list[float], seed: int) -> None:
    """However the view jumps, its own bids stay below its own asks and nothing trades."""
    scene = Scene()
    desk = scene.desk(seed=seed)
    now_ms = T0 + 10_000
    for up in opinions:
        scene.opinion.up = up
        for _ in range(3):
            now_ms = desk.act(now_ms) or now_ms
            bids = [p for p, orders in desk.ladders[BUY].items() if any(map(alive, orders))]
            asks = [p for p, orders in desk.ladders[SELL].items() if any(map(alive, orders))]
            if bids and asks:
                assert max(bids) < min(asks)
    assert not scene.engine.trades


@given(st.lists(st.floats(0.001, 0.999), min_size=1, max_size=8))
@settings(max_examples=25, deadline=None)
def test_a_desk_knows_all_its_orders(opinions: list[float]) -> None:
    """What lives under its key in the engine is exactly what its ladders hold: no orphan."""
    scene = Scene()
    desk, now_ms = scene.desk(), T0 + 10_000
    for up in opinions:
        scene.opinion.up = up
        now_ms = desk.act(now_ms) or now_ms

    held = {
        order.id
        for ladder in desk.ladders.values()
        for orders in ladder.values()
        for order in orders
        if alive(order)
    }
    assert held == {order.id for order in scene.engine.live_orders(scene.hand.owner)}


def test_one_act_places_no_more_than_its_budget() -> None:
    """Even the deep ladder of 92 levels is built in portions."""
    scene = Scene()
    deep = next(persona for persona in PERSONAS if persona.name == "deep")

    scene.desk(deep).act(T0 + 10_000)

    assert len(scene.engine.live_orders(scene.hand.owner)) == OPS_PER_ACT


@pytest.mark.parametrize(("closed", "stays_ms"), [(True, 0), (False, LINGER_MS)])
def test_a_desk_leaves_at_the_end(closed: bool, stays_ms: int) -> None:
    """It goes when the venue closes, or seconds later where trading goes on (feeds.md 10.2)."""
    scene = Scene()
    desk, end_ms = scene.desk(), scene.market.end_ms
    run(desk, T0 + 10_000, 5)
    if closed:
        scene.engine.close_market(scene.market, end_ms)
    else:
        assert desk.act(end_ms + stays_ms - 1) is not None

    assert desk.act(end_ms + stays_ms) is None
    assert scene.engine.live_orders(scene.hand.owner) == []


def test_what_is_nearly_won_is_sold_at_the_last_price_for_a_while(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Up as good as won: until then a maker asks for the last tick, afterwards for nothing."""
    monkeypatch.setattr(crowd_makers, "BIAS", 0.0)
    scene, fine = Scene(up=0.9999, auto_tick=False), attrs.evolve(MAKER, edge=0.001)
    till_ms = T0 + 60_000
    desk = Desk(fine, scene.hand, scene.market, scene.odds, random.Random(1), 20.0, 1.0, till_ms)
    run(desk, T0, 12)
    assert scene.best() == (9800, 9900)

    run(desk, till_ms, 12)

    assert scene.best() == (9900, None)


def test_a_filled_order_is_forgotten_at_once() -> None:
    """A ladder hears of a death by another's hand: the level is laid out anew in the next act."""
    scene = Scene()
    desk = scene.desk()
    due = run(desk, T0, 8)[-1]
    bid, _ = scene.best()
    assert bid is not None
    taker = Hand.make(scene.engine, "taker")
    taker.stock_up(scene.market, due)
    taker.take(scene.market, scene.market.tokens[UP], SELL, bid, 5000 * UNIT, due, seen=bid)
    scene.engine.advance(due + 200)
    assert bid not in desk.ladders[BUY]

    run(desk, due + 200, 2)

    assert all(alive(order) for order in desk.ladders[BUY][bid])


def test_ladders_thin_out_near_the_end() -> None:
    """Depth behind the touch vanishes in the last minute (calibration.json, depth_by_ttc)."""
    assert [levels_left(8, left) for left in (300, 60, 59, 29, 9)] == [8, 8, 4, 2, 2]
    assert [levels_left(3, left) for left in (300, 59, 29)] == [3, 1, 1]


def test_before_the_window_everybody_is_slower() -> None:
    """Activity before the start is a fraction of that after it."""
    early = Scene(start_ms=T0 + 250_000)
    late = Scene()
    counts = []
    for scene in (early, late):
        heard = 0
        for seed in range(8):
            noise = Noise(scene.hand, scene.market, scene.odds, random.Random(seed), 10.0)
            heard += sum(due < T0 + 200_000 for due in run(noise, T0, 3000))
        counts.append(heard)

    assert counts[0] == pytest.approx(QUIET_BEFORE * counts[1], rel=0.35)


# --- takers ---------------------------------------------------------------------------------------


def test_noise_comes_whatever_the_book() -> None:
    """Arrival times do not depend on what there is to take: runs can be compared."""
    empty, full = Scene(), Scene()
    full.quote(4900, 5000, 20_000)
    times = [
        run(Noise(scene.hand, scene.market, scene.odds, random.Random(3), 2.0), T0, 100)
        for scene in (empty, full)
    ]

    assert times[0] == times[1]
    assert not empty.engine.trades
    assert full.engine.trades


def test_noise_takes_both_outcomes_on_both_sides() -> None:
    """Buys and sales of Up and of Down all occur, buys more often."""
    scene = Scene()
    scene.quote(4900, 5000, 20_000)
    run(Noise(scene.hand, scene.market, scene.odds, random.Random(3), 5.0), T0, 200)

    takers = [trade.taker for trade in scene.engine.trades.values()]
    assert {(o.side, scene.market.outcome_of(o.token)) for o in takers} == {
        (side, outcome) for side in (BUY, SELL) for outcome in (UP, DOWN)
    }
    assert sum(o.side == BUY for o in takers) > len(takers) / 2


@pytest.mark.parametrize(
    ("bid", "ask", "up", "bought"),
    [
        (4900, 5000, 0.50, None),
        (4900, 5000, 0.52, None),  # inside the fee of 1.75 cents and the threshold
        (4900, 5000, 0.53, UP),
        (4900, 5000, 0.46, DOWN),
        (4900, 5000, 0.48, None),
        (9000, 9100, 0.925, UP),  # the fee is 0.57 cents here
        (9000, 9100, 0.918, None),
    ],
)
def test_the_informed_hit_only_stale_quotes(
    bid: int, ask: int, up: float, bought: int | None
) -> None:
    """A quote wrong by more than the fee and the threshold is lifted, any other left alone."""
    scene = Scene(up)
    scene.quote(bid, ask)
    informed = Informed(scene.hand, scene.market, scene.odds, random.Random(1), 1.0)

    informed.act(T0 + 5000)

    traded = [trade.taker for trade in scene.engine.trades.values()]
    expected = [] if bought is None else [scene.market.tokens[bought]]
    assert [order.token for order in traded] == expected
    lag_ms = T0 + 5000 - scene.opinion.asked[0]
    assert RACERS[1].lag_ms[0] <= lag_ms <= RACERS[1].lag_ms[1]


@given(up=st.floats(0.01, 0.99), ask=st.integers(2, 97), seed=st.integers(0, 100))
@settings(max_examples=60, deadline=None)
def test_the_informed_never_pay_more_than_it_is_worth(up: float, ask: int, seed: int) -> None:
    """Whatever the book, each share bought leaves a profit against the belief, fee paid."""
    scene = Scene(up)
    other = scene.quote((ask - 1) * 100, ask * 100, 20)
    other.rest(scene.market, SELL, (ask + 1) * 100, 2000 * UNIT, T0)
    informed = Informed(scene.hand, scene.market, scene.odds, random.Random(seed), 1.0)

    informed.act(T0 + 5000)

    for trade in scene.engine.trades.values():
        fair = up if trade.taker.token == scene.market.tokens[UP] else 1 - up
        assert fair * trade.shares * ONE > trade.price * trade.shares + trade.fee * ONE


def test_after_a_shot_the_informed_wait() -> None:
    """The next look comes after the taker delay: nothing is shot at twice for one reason."""
    scene = Scene(0.525, taker_delay_ms=150)
    scene.quote(4900, 5000)
    informed = Informed(scene.hand, scene.market, scene.odds, random.Random(1), 1e9)

    due = informed.act(T0 + 5000)

    assert due is not None
    assert due - (T0 + 5000) >= 400


def test_a_quote_that_is_far_off_is_shot_at_in_a_row() -> None:
    """For each cent of profit an order more, hundredths of a second apart; then they wait."""
    scene = Scene(0.55)
    scene.quote(4900, 5000, 5000)
    informed = Informed(scene.hand, scene.market, scene.odds, random.Random(1), 1e9)

    times = run(informed, T0 + 5000, 6)
    gaps = [after - before for before, after in pairwise(times)]

    assert informed.stale(5000, 0.55)
    assert [gap < 100 for gap in gaps] == [True, True, True, False, True]
    assert len(scene.engine.trades) == 6


def test_the_informed_go_on_after_the_close() -> None:
    """Who knows the outcome at once lifts what still rests at an old price (feeds.md 10.2)."""
    scene = Scene(0.99)
    scene.quote(4900, 5000)
    informed = Informed(scene.hand, scene.market, scene.odds, random.Random(1), 1.0)

    assert informed.act(scene.market.end_ms) is not None
    assert len(scene.engine.trades) == 1
    assert informed.act(scene.market.end_ms + 5_001) is None


def test_a_held_order_has_no_answer_yet() -> None:
    """Under a taker delay a crossing order is neither accepted nor refused at once."""
    scene = Scene(taker_delay_ms=150)
    scene.quote(4900, 5000)
    token = scene.market.tokens[UP]

    answer = scene.hand.take(scene.market, token, BUY, 5000, 10 * UNIT, T0, seen=5000)
    scene.engine.advance(T0 + 150)

    assert answer is None
    assert len(scene.engine.trades) == 1


def test_a_refusal_is_handed_back() -> None:
    """A closed market refuses, and the hand says so instead of raising."""
    scene = Scene()
    scene.engine.close_market(scene.market, T0)
    token = scene.market.tokens[UP]

    answer = scene.hand.take(scene.market, token, BUY, 5000, 10 * UNIT, T0, seen=5000)

    assert isinstance(answer, Refused)
