"""The synthetic price path and the oracle that publishes it."""

from __future__ import annotations

import math
import random
import statistics
from itertools import pairwise

import attrs
import pytest

from polybot.exchange.oracle import HISTORY_MS, Oracle, PriceTick
from polybot.exchange.synthetic import SyntheticSource

START = 1_795_200_000_000 + 1_234_567  # some minutes into an hour
PRICES = {"btc": 90_000.0, "xrp": 2.2}


@attrs.define
class Ramp:
    """A source whose prices can be worked out by hand: one dollar more every second."""

    origin_ms: int = START // 1000 * 1000

    def chainlink(self, asset: str, at_ms: int) -> float:
        return 1000.0 + (at_ms - self.origin_ms) / 1000

    def binance(self, asset: str, at_ms: int) -> float:
        return self.chainlink(asset, at_ms)

    def sigma(self, asset: str, at_ms: int, ahead_s: float = 0.0) -> float:
        return 1e-4


def synthetic(seed: int = 1) -> SyntheticSource:
    return SyntheticSource(seed, START, PRICES)


def published(oracle: Oracle, seconds: int) -> list[PriceTick]:
    """What the oracle publishes in the next seconds."""
    ticks: list[PriceTick] = []
    oracle.listeners.append(ticks.append)
    oracle.advance(START + seconds * 1000)
    return ticks


def test_the_same_seed_gives_the_same_path_however_it_is_asked() -> None:
    """A path depends on the seed alone, not on the order or the pattern of questions."""
    one, other = synthetic(), synthetic()
    late = one.binance("btc", START + 3_000_000)
    walked = [other.binance("btc", at) for at in range(START, START + 3_000_001, 1000)]
    assert walked[-1] == late
    assert one.chainlink("xrp", START) == other.chainlink("xrp", START)
    assert synthetic(2).binance("btc", START) != one.binance("btc", START)


def test_a_world_that_runs_on_leaves_the_past_of_the_next_one_alone() -> None:
    """Worlds of one seed begin with one past, which none of them extends, draws on or forgets."""
    hour = range(START - 3_600_000, START, 60_000)
    ahead = range(START, START + 600_000, 60_000)
    first, second = synthetic(), synthetic()
    past = [first.binance("btc", at) for at in hour]
    told = [(first.chainlink("btc", at), first.sigma("btc", at)) for at in ahead]
    second.binance("btc", START + 36_000_000)
    third = synthetic()

    assert [third.binance("btc", at) for at in hour] == past
    assert [(third.chainlink("btc", at), third.sigma("btc", at)) for at in ahead] == told


def test_volatility_stays_in_its_bounds_and_the_path_shows_it() -> None:
    """σ is 10–150 % a year (jumps come on top), and realised volatility agrees with it."""
    source, year_s = synthetic(), 365.25 * 86_400
    seconds = range(START, START + 5_400_000, 1000)
    sigmas = [source.sigma("btc", at) for at in seconds]
    assert 0.10 <= min(sigmas) * math.sqrt(year_s) <= max(sigmas) * math.sqrt(year_s) < 1.51
    logs = [math.log(source.binance("btc", at)) for at in seconds]
    realised = math.sqrt(statistics.fmean((b - a) ** 2 for a, b in pairwise(logs)))
    assert realised == pytest.approx(math.sqrt(statistics.fmean(s * s for s in sigmas)), rel=0.2)


def test_chainlink_is_the_mean_of_two_seconds_and_a_little_below() -> None:
    """The basis is 3–8 bp under the mean of Binance's last two seconds (feeds.md 7)."""
    source = synthetic()
    for at in range(START, START + 7_000_000, 500_000):
        recent = [source.binance("btc", at - 100 * k) for k in range(20)]
        basis = 1 - source.chainlink("btc", at) / statistics.fmean(recent)
        assert 2.99e-4 < basis < 8.01e-4


def test_the_path_has_an_hour_of_past_and_forgets_what_is_old() -> None:
    """A minute before the start is known, and after many hours memory is still two and a bit."""
    source = synthetic()
    assert source.binance("btc", START - 60_000) != source.binance("btc", START)
    for at in range(START, START + 20_000_000, 60_000):
        source.binance("btc", at)
    assert len(source._paths["btc"].prices) <= (source.KEEP_MS + 660_000) // 100
    assert source.sigma("btc", START + 20_000_000) > 0


def test_the_twap_is_the_mean_of_sixty_whole_seconds() -> None:
    """On a ramp of a dollar a second, the mean of the last 60 values lies 29.5 s back."""
    oracle = Oracle(Ramp(), ["btc"], START, random.Random(1))
    stamp = Ramp().origin_ms + 100_000
    assert oracle.twap("btc", stamp) == pytest.approx(1000 + 100 - 29.5)
    assert oracle.twap("btc", stamp, lag_s=3) == pytest.approx(1000 + 97 - 29.5)


def test_what_nobody_recorded_is_not_published() -> None:
    """Neither on a stream nor in its snapshot; but what settles a window is known by itself."""
    oracle = Oracle(Ramp(), ["btc"], START, random.Random(1))
    second = START // 1000 * 1000
    begins = {"binance": START + 20_000, "chainlink": START - 60_000, "twap60": START + 50_000}
    oracle.knows = lambda feed, _, stamp_ms: stamp_ms >= begins[feed]
    oracle.fixings["btc", second + 30_000] = 1000.0

    past = {feed: oracle.history(feed, "btc", 0) for feed in ("binance", "chainlink", "twap60")}
    assert {feed: bool(ticks) for feed, ticks in past.items()} == {
        "binance": False, "chainlink": True, "twap60": False
    }  # fmt: skip
    assert past["chainlink"][0].stamp_ms >= START - 60_000

    first: dict[str, list[int]] = {}
    for tick in published(oracle, 100):
        first.setdefault(tick.feed, []).append(tick.stamp_ms)
    assert START + 20_000 <= first["binance"][0] < START + 20_400
    assert first["chainlink"][0] < START
    assert first["twap60"][:2] == [second + 30_000, second + 51_000]


def test_published_averages_equal_the_mean_of_spot_values() -> None:
    """Sixty whole seconds of Chainlink make each average, those that were left out included."""
    source = synthetic()
    ticks = published(Oracle(source, ["btc"], START, random.Random(1)), 100)
    spot = {t.stamp_ms: t.value for t in ticks if t.feed == "chainlink"}
    assert all(value == source.chainlink("btc", stamp) for stamp, value in spot.items())
    averages = [t for t in ticks if t.feed == "twap60"]
    assert len(averages) > 90
    for tick in averages:
        window = [source.chainlink("btc", tick.stamp_ms - 1000 * k) for k in range(60)]
        assert tick.value == math.fsum(window) / 60


def test_feeds_keep_their_cadence_and_come_in_order_of_publication() -> None:
    """Values and averages on whole seconds, the latter without a gap, Binance every 100–400 ms."""
    ticks = published(Oracle(synthetic(), ["btc"], START, random.Random(1)), 200)
    assert [t.at_ms for t in ticks] == sorted(t.at_ms for t in ticks)
    for feed, least, most in (("chainlink", 700, 4000), ("twap60", 1000, 1000)):
        stamps = [t.stamp_ms for t in ticks if t.feed == feed]
        steps = {after - before for before, after in pairwise(stamps)}
        assert steps == ({1000, 2000} if feed == "chainlink" else {1000})
        assert all(s % 1000 == 0 for s in stamps)
        assert all(least <= t.at_ms - t.stamp_ms <= most for t in ticks if t.feed == feed)
    prints = [t for t in ticks if t.feed == "binance"]
    gaps = [b.stamp_ms - a.stamp_ms for a, b in pairwise(prints)]
    assert min(gaps) >= 100
    assert max(gaps) <= 400
    assert [t.trade_id for t in prints] == list(
        range(prints[0].trade_id, prints[0].trade_id + len(prints))
    )


def test_chainlink_is_as_late_as_measured() -> None:
    """1.6 s from stamp to arrival, 2.2 s at the 95th percentile, one stamp in 24 left out."""
    oracle = Oracle(synthetic(), ["btc"], START, random.Random(1))
    ticks = [t for t in published(oracle, 1200) if t.feed == "chainlink"]
    delays = sorted(t.at_ms - t.stamp_ms for t in ticks)
    assert delays[len(delays) // 2] == pytest.approx(1631, rel=0.05)
    assert delays[len(delays) * 95 // 100] == pytest.approx(2217, rel=0.08)
    assert 1 - len(ticks) / 1200 == pytest.approx(0.042, abs=0.02)


def test_history_covers_two_minutes_from_the_start_on_and_no_more() -> None:
    """A subscriber at the very start gets a full past, and a later one still only two minutes."""
    oracle = Oracle(synthetic(), ["btc"], START, random.Random(1))
    for feed in ("chainlink", "twap60", "binance"):
        assert len(oracle.history(feed, "btc", START - HISTORY_MS)) >= 118
    oracle.advance(START + 600_000)
    for feed in ("chainlink", "twap60"):
        stamps = [t.stamp_ms for t in oracle.history(feed, "btc", 0)]
        assert stamps[-1] - stamps[0] == HISTORY_MS
    since = START + 590_000
    assert all(t.stamp_ms >= since for t in oracle.history("binance", "btc", since))


def test_a_candle_is_made_of_the_prints_inside_it() -> None:
    """Open and close are the first and last print of the minute; volume and count add up."""
    oracle = Oracle(synthetic(), ["btc"], START, random.Random(1))
    prints = [t for t in published(oracle, 200) if t.feed == "binance"]
    open_ms = START // 60_000 * 60_000 + 60_000
    inside = [t for t in prints if open_ms <= t.stamp_ms < open_ms + 60_000]
    candle = oracle.candle("btc", 60, open_ms + 31_000)
    assert (candle.open_ms, candle.close_ms, candle.closed) == (open_ms, open_ms + 59_999, True)
    assert (candle.open, candle.close) == (inside[0].value, inside[-1].value)
    assert candle.high == max(t.value for t in inside)
    assert candle.low == min(t.value for t in inside)
    assert (candle.trades, candle.first_trade_id) == (len(inside), inside[0].trade_id)
    assert candle.volume == pytest.approx(sum(t.quantity for t in inside))


def test_the_hour_under_way_at_the_start_has_its_real_open() -> None:
    """The first candle begins with the hour, not with the exchange, and is open until its end."""
    source = synthetic()
    oracle = Oracle(source, ["btc"], START, random.Random(1))
    hour = START // 3_600_000 * 3_600_000
    candle = oracle.candle("btc", 3600, START)
    assert candle.open_ms == hour
    assert candle.open == source.binance("btc", hour)
    assert not candle.closed
    oracle.advance(hour + 3_600_000)
    assert oracle.candle("btc", 3600, hour).closed
    with pytest.raises(LookupError):
        oracle.candle("btc", 3600, hour + 7_200_000)


def test_the_same_seeds_publish_the_same_ticks() -> None:
    """Two oracles with equal sources and generators publish equal ticks."""
    one, other = (
        published(Oracle(synthetic(), ["btc", "xrp"], START, random.Random(7)), 30)
        for _ in range(2)
    )
    assert one == other
    assert {t.asset for t in one} == {"btc", "xrp"}


def test_candles_are_bounded() -> None:
    """Minutes and seconds of long ago are forgotten, hours stay for two days."""
    oracle = Oracle(Ramp(), ["btc"], START, random.Random(1))
    oracle.advance(START + 3_600_000)
    assert len(oracle.candles("btc", 1, 0)) == 180
    assert len(oracle.candles("btc", 60, 0)) <= 180
    assert len(oracle.candles("btc", 3600, 0)) == 2


def test_an_hour_whose_open_was_not_seen_is_not_shown() -> None:
    """Starting just after the hour, the last minutes of the hour before make no candle."""
    start = START // 3_600_000 * 3_600_000 + 30_000  # half a minute in
    oracle = Oracle(Ramp(), ["btc"], start, random.Random(1))
    assert [c.open_ms for c in oracle.candles("btc", 3600, 0)] == [start - 30_000]
    assert oracle.candles("btc", 60, 0)[0].open_ms == start - 90_000
    on_the_hour = Oracle(Ramp(), ["btc"], start - 30_000, random.Random(1))
    assert on_the_hour.candles("btc", 3600, 0) == []
