"""A mirrored book does not go back in time (feeds.md 2.4).

The /book of a resync races with the stream: what it shows may be gone, and orders of ours must not
trade with it.
"""

from __future__ import annotations

import random

from polybot.exchange.calendar import SERIES, market_for
from polybot.exchange.engine import Engine
from polybot.exchange.mirror_messages import Changes, Snapshot
from polybot.exchange.mirror_world import Lost, MirrorWorld
from polybot.exchange.model import SELL, UP, Market
from polybot.exchange.money import UNIT
from polybot.exchange.oracle import Oracle
from polybot.exchange.synthetic import SyntheticSource

START = 1_795_132_800_000 + 30_000


class Mirrored:
    """One mirrored market, whose facts come ten milliseconds apart."""

    def __init__(self) -> None:
        self.engine, self.now = Engine(rng=random.Random(1)), START
        self.world = MirrorWorld([SERIES["btc-5m"]], START, "there")
        source = SyntheticSource(1, START, {"btc": 90_000.0})
        oracle = Oracle(source, ["btc"], START, random.Random(2))
        life = self.world.make_life(self.engine, oracle, random.Random(3), START)
        self.world.attach(self.engine, oracle, life)
        self.market: Market = market_for(SERIES["btc-5m"], START - 30_000, 1)
        self.hear(self.market)

    def hear(self, fact: Market | Snapshot | Changes | Lost) -> None:
        self.now += 10
        self.world.hear(fact, self.now)
        self.world.advance(self.now)

    def book(self, stamp_ms: int, ask: int) -> None:
        """A snapshot with this best ask and one at 55 cents."""
        bids, asks = {4_800: 100 * UNIT}, {ask: 50 * UNIT, 5_500: 50 * UNIT}
        self.hear(Snapshot(stamp_ms, bids, asks, market=self.market.condition_id))

    def gone(self, stamp_ms: int, ask: int) -> None:
        self.hear(Changes(stamp_ms, ((SELL, ask, 0),), market=self.market.condition_id))

    def best_ask(self) -> int | None:
        return self.engine.best(self.market.tokens[UP])[1]


def test_a_late_snapshot_brings_nothing_back() -> None:
    """What the stream has told after a snapshot's stamp holds against it: else one could buy from a
    level that is gone.
    """
    mirror = Mirrored()
    mirror.book(START, 5_000)
    mirror.gone(START + 500, 5_000)
    assert mirror.best_ask() == 5_500

    mirror.book(START + 400, 5_000)
    assert mirror.best_ask() == 5_500

    mirror.book(START + 500, 5_100)
    assert mirror.best_ask() == 5_100, "it has everything of its own time"


def test_a_snapshot_older_than_the_one_we_hold_is_dropped() -> None:
    """Two snapshots may overtake each other, and the newer one has told of no change: "drop a
    `book` older than what you hold" (feeds.md 2.4).
    """
    mirror = Mirrored()
    mirror.book(START + 500, 5_100)
    mirror.book(START + 400, 5_000)
    assert mirror.best_ask() == 5_100


def test_after_a_loss_any_snapshot_will_do() -> None:
    """Nothing is held then, and a quiet book is as old as its last change."""
    mirror = Mirrored()
    mirror.book(START + 500, 5_000)
    mirror.hear(Lost("cut"))
    assert mirror.best_ask() is None

    mirror.book(START + 400, 5_000)
    assert mirror.best_ask() == 5_000
