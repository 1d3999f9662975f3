"""What the venue's trading modes do to everybody else in the market (clob.md 7.3)."""

from __future__ import annotations

import random

import pytest
from engine_kit import T0, make_market
from trio.testing import MockClock

from polybot.clock import Clock
from polybot.exchange.crowd import SyntheticWorld
from polybot.exchange.crowd_hand import Hand
from polybot.exchange.engine import Engine
from polybot.exchange.invariants import check
from polybot.exchange.model import BUY, SELL, UP, Event, LevelChanged, Refused, Traded
from polybot.exchange.modes import Mode
from polybot.exchange.money import UNIT
from polybot.exchange.server import Exchange
from polybot.exchange.world import make_world

START = 1_795_201_200_000
HOLD_MS = 150  # a taker held when the engine goes down still gets his answer


def hands() -> tuple[Engine, Hand, Hand]:
    engine = Engine(rng=random.Random(1), auto_tick=False)
    market = make_market()
    engine.list_market(market, T0)
    engine.open_market(market, T0)
    maker, taker = Hand.make(engine, "maker"), Hand.make(engine, "taker")
    maker.stock_up(market, T0)
    return engine, maker, taker


@pytest.mark.parametrize(
    ("mode", "rests", "takes", "pulls"),
    [
        (Mode.NORMAL, True, True, True),
        (Mode.RESTARTING, False, False, False),
        (Mode.POST_ONLY, True, False, True),
        (Mode.CANCEL_ONLY, False, False, True),
        (Mode.DISABLED, False, False, False),
    ],
)
def test_the_crowd_is_no_exception(mode: Mode, rests: bool, takes: bool, pulls: bool) -> None:
    """A market that trades on while its clients are told to wait would be a lie (clob.md 7.3)."""
    engine, maker, taker = hands()
    (market,) = engine.markets.values()
    first = maker.rest(market, SELL, 5_200, 100 * UNIT, T0)
    assert first is not None
    engine.modes.switch(mode, T0)
    resting = maker.rest(market, SELL, 5_300, 100 * UNIT, T0)
    assert (resting is not None) == rests
    taken = taker.take(market, market.tokens[UP], BUY, 5_400, 10 * UNIT, T0, seen=5_200)
    assert isinstance(taken, Refused) != takes
    assert maker.pull(first, T0) == pulls
    maker.leave(market, T0)
    assert (engine.live_orders(maker.owner) == []) == pulls
    check(engine)


@pytest.mark.parametrize("mode", [Mode.RESTARTING, Mode.CANCEL_ONLY, Mode.DISABLED])
async def test_nobody_hammers_a_venue_that_takes_nothing(
    mode: Mode, autojump_clock: MockClock
) -> None:
    """Makers see the mode and wait; when it is over, all of their ladders are there again."""
    world = make_world("synthetic", seed=3, start_ms=START, series=["btc-5m"], intensity=0.3)
    exchange = Exchange(world, Clock.starting_at(START), 3)
    assert isinstance(world, SyntheticWorld)
    assert world.crowd is not None
    makers, now_ms = world.crowd.makers.values(), START + 30_000
    exchange.advance(now_ms)

    def depth() -> int:
        return sum(len(exchange.engine.live_orders(maker.owner)) for maker in makers)

    before = depth()
    exchange.clob.modes.switch(mode, now_ms)
    exchange.engine.clear_books(now_ms)
    refused = sum(maker.refused for maker in makers)
    exchange.advance(now_ms + 60_000)
    assert sum(maker.refused for maker in makers) == refused
    assert depth() == 0
    exchange.clob.modes.resume(now_ms + 60_000)
    exchange.advance(now_ms + 90_000)
    assert depth() > before * 0.7


async def test_nothing_moves_while_the_engine_restarts(autojump_clock: MockClock) -> None:
    """No trade and no change of a book for ninety seconds, no taker for two minutes more, then
    the market lives again (clob.md 7.3).
    """
    world = make_world("synthetic", seed=3, start_ms=START, series=["btc-5m"], intensity=0.3)
    exchange = Exchange(world, Clock.starting_at(START), 3)
    events: list[Event] = []
    exchange.engine.listeners.append(events.append)

    def moves(until_ms: int) -> tuple[int, int]:
        """(changes of books, trades) until then."""
        events.clear()
        exchange.advance(until_ms)
        changes = sum(isinstance(event, LevelChanged) for event in events)
        return changes, sum(isinstance(event, Traded) for event in events)

    changes, trades = moves(START + 30_000)
    assert changes > 100
    assert trades > 0
    exchange.clob.modes.restart(START + 30_000, for_s=90)
    moves(START + 30_000 + HOLD_MS)
    assert moves(START + 119_999) == (0, 0)
    changes, trades = moves(START + 239_999)
    assert changes > 100
    assert trades == 0
    changes, trades = moves(START + 290_000)
    assert trades > 0
    check(exchange.engine)
