"""The candles of a mirrored venue are those of Binance's own trades (feeds.md 7)."""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest

from polybot.exchange.calendar import SERIES
from polybot.exchange.engine import Engine
from polybot.exchange.mirror_feed import Thinned
from polybot.exchange.mirror_live import LiveWorld
from polybot.exchange.mirror_site import MirrorSite
from polybot.exchange.mirror_world import Price
from polybot.exchange.oracle import Oracle

HOUR = 1_795_132_800_000
START = HOUR - 5_000
TRADES = (  # milliseconds after the hour, price
    (-2_000, 90_000.00), (-150, 90_001.00), (-40, 90_007.00), (10, 90_003.00), (120, 90_009.00),
    (900, 90_010.00), (2_000, 90_011.00),
)  # fmt: skip
OPEN_SITE = MirrorSite()
KEYED_SITE = MirrorSite(prices_key="k", prices_secret="s", prices_passphrase="p")


class Live:
    """A live world with an oracle, and no wire."""

    def __init__(self, site: MirrorSite) -> None:
        self.world = LiveWorld([SERIES["btc-1h"]], START, site, 1)
        self.world.hear(Price("binance", "btc", HOUR - 3_600_000, 89_990.0), 0)
        engine, assets = Engine(rng=random.Random(1)), ["btc"]
        source, relayed = self.world.source, self.world.relayed
        self.oracle = Oracle(source, assets, START, random.Random(2), relayed)
        life = self.world.make_life(engine, self.oracle, random.Random(3), START)
        self.world.attach(engine, self.oracle, life)

    def hear(self, trades: Sequence[tuple[int, float]], late_ms: int = 30) -> None:
        for after_ms, price in trades:
            at_ms = HOUR + after_ms + late_ms
            self.oracle.advance(at_ms)
            self.world.hear(Price("binance", "btc", HOUR + after_ms, price), at_ms)
            self.world.advance(at_ms)


@pytest.mark.parametrize("site", [OPEN_SITE, KEYED_SITE])
async def test_open_and_close_are_those_of_the_trades(site: MirrorSite) -> None:
    """The open of the hour is the first trade at or after hh:00:00.000, and the strike that is
    taken over from Gamma is that open to the cent (feeds.md 9): prints at times of our own had
    another.
    """
    live = Live(site)
    live.hear(TRADES)

    ended, begun = (live.oracle.candle("btc", 3600, at_ms) for at_ms in (HOUR - 1, HOUR))
    assert (ended.close, ended.high, ended.closed) == (90_007.00, 90_007.00, True)
    assert (begun.open, begun.close, begun.closed) == (90_003.00, 90_011.00, False)


async def test_a_clock_that_is_behind_theirs_does_not_keep_the_candle_open() -> None:
    """The final candle goes out with the trade that follows it, and is final by that trade's stamp:
    with `x` false nobody would learn the close (feeds.md 7).
    """
    live = Live(OPEN_SITE)
    live.hear(TRADES[:4], late_ms=-200)

    assert live.oracle.candle("btc", 3600, HOUR - 1).closed


@pytest.mark.parametrize(("site", "known"), [(OPEN_SITE, True), (KEYED_SITE, False)])
async def test_only_what_is_relayed_has_no_past(site: MirrorSite, known: bool) -> None:
    """Without credentials averages are computed, and whoever subscribes gets their last minutes
    (feeds.md 5); PolyBolt's own come with its first frame.
    """
    oracle = Live(site).oracle

    assert bool(oracle.history("twap60", "btc", 0)) is known
    assert bool(oracle.history("chainlink", "btc", 0)) is known


def test_of_each_second_the_first_and_the_last_trade_are_told() -> None:
    """Thinning drops what lies between: a candle that lacks its first or last trade has another
    open or close than the one that decides the market (feeds.md 7).
    """
    thinned, told = Thinned(), list[int]()
    for stamp_ms in (100, 150, 210, 250, 990, 1_000, 1_001, 1_050, 1_060, 2_500, 2_550, 2_700):
        told += [price.stamp_ms for price in thinned.take(Price("binance", "btc", stamp_ms, 1.0))]

    assert told == [100, 210, 990, 1_000, 1_060, 2_500, 2_700]


def test_each_coin_is_thinned_alone() -> None:
    """One coin's trades neither hide nor bring forth another's."""
    thinned = Thinned()
    first, second = Price("binance", "btc", 100, 1.0), Price("binance", "eth", 110, 2.0)

    assert thinned.take(first) == [first]
    assert thinned.take(second) == [second]
