"""Connections compared: who is first and by how much, who lost what, who contradicts whom."""

from __future__ import annotations

import math
import random

from polybot.domain.prices import Feed, Source
from polybot.pricing.track import Track
from polybot.pricing.wires import REMEMBERED, Race, RaceLine, lead_s, report

T0 = 1_790_000_000


def test_the_first_to_tell_a_stamp_wins_it() -> None:
    """Nine seconds of ten by PolyBolt, a quarter of a second ahead."""
    race = Race()
    for second in range(40):
        stamp = (T0 + second) * 1000
        told = [(Source.POLYBOLT, 1100), (Source.RTDS, 1350)]
        if second % 10 == 0:
            told = [(Source.RTDS, 1000), (Source.POLYBOLT, 1100)]
        for source, late_ms in told:
            race.take(source, 100.0 + second, stamp, stamp + late_ms)

    polybolt, rtds = sorted(report(Feed.TWAP60, "btcusd", race), key=lambda line: line.source.value)

    assert polybolt == RaceLine(Feed.TWAP60, "btcusd", Source.POLYBOLT, 40, 1100, 0.9, 100, 0, 0)
    assert rtds == RaceLine(Feed.TWAP60, "btcusd", Source.RTDS, 40, 1350, 0.1, 250, 0, 0)


def test_a_contradiction_is_counted() -> None:
    """Two values for one second are told, and rounding is not called one."""
    race = Race()
    race.take(Source.POLYBOLT, 100.0, 1000, 1100)
    race.take(Source.RTDS, 100.0, 1000, 1200)
    race.take(Source.POLYBOLT, 100.0, 2000, 2100)
    race.take(Source.RTDS, 100.000001, 2000, 2200)
    race.take(Source.POLYBOLT, 100.0, 3000, 3100)
    race.take(Source.RTDS, 100.1, 3000, 3200)

    assert race.wire(Source.RTDS).conflicts == 1


def test_alone_there_is_no_race() -> None:
    """A single connection has a delay and no share."""
    race = Race()
    for second in range(10):
        race.take(Source.BINANCE, 1.0, second * 1000, second * 1000 + 80)

    (line,) = report(Feed.BINANCE, "BTCUSDT", race)

    assert (line.delay_ms, line.first_share, line.behind_ms) == (80, None, None)


def test_memory_of_a_race_is_bounded() -> None:
    """Stamps nobody else tells are forgotten."""
    race = Race()
    race.take(Source.RTDS, 1.0, 0, 0)
    for second in range(10 * REMEMBERED):
        race.take(Source.POLYBOLT, 1.0, second * 1000, second * 1000)

    assert len(race._first) == REMEMBERED


def walk(lead: int) -> tuple[Track, Track]:
    rng, fast, slow = random.Random(2), Track(), Track()
    path = [100_000.0]
    for _ in range(200):
        path.append(path[-1] * math.exp(8e-5 * rng.gauss(0, 1)))
    for second in range(10, 200):
        stamp = (T0 + second) * 1000
        fast.take(path[second], stamp, stamp, snapshot=False)
        slow.take(path[second - lead] - 24.0, stamp, stamp, snapshot=False)
    return fast, slow


def test_the_lead_of_one_stream_over_another() -> None:
    """Two seconds by stamps, whatever the basis (feeds.md 7: the exchange runs ahead)."""
    assert lead_s(*walk(2)) == 2
    assert lead_s(*walk(0)) == 0


def test_no_lead_without_movement_or_history() -> None:
    """A follower that stands still, or is not held long enough, tells nothing."""
    fast, slow = walk(1)
    still, young = Track(), Track()
    for second in range(190):
        still.take(5.0, (T0 + second) * 1000, 0, snapshot=False)
    young.take(5.0, (T0 + 199) * 1000, 0, snapshot=False)

    assert lead_s(fast, still) is None
    assert lead_s(fast, young) is None
    assert lead_s(Track(), slow) is None
