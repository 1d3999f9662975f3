"""Strikes: what evidence makes one, what replaces it, and when a correction is reported."""

from __future__ import annotations

import pytest

from polybot.pricing.strikes import KEPT, Strike, Strikes, Trust

START = 1_790_000_100_000 - 1_790_000_100_000 % 300_000


def test_the_tick_at_the_start_is_the_strike() -> None:
    """A value stamped exactly at the start is trusted, before and after it are not."""
    strikes = Strikes()
    strikes.average_seen("btcusd", 99.0, START - 1000, None)
    assert strikes.of("btcusd", START) is None

    strikes.average_seen("btcusd", 100.0, START, START - 1000)
    strikes.average_seen("btcusd", 101.0, START + 1000, START)

    assert strikes.of("btcusd", START) == Strike(100.0, Trust.EXACT)


@pytest.mark.parametrize(
    ("late_ms", "before_ms", "known"),
    [
        (500, START - 500, True),
        (501, START - 500, False),
        (1000, START - 1000, False),
        (300, None, False),
        (300, START + 100, False),
    ],
)
def test_provisional_strike(late_ms: int, before_ms: int | None, known: bool) -> None:
    """Half a second late is provisional, and only with an observation before the start."""
    strikes = Strikes()
    strikes.average_seen("btcusd", 100.0, START + late_ms, before_ms)

    expected = Strike(100.0, Trust.PROVISIONAL) if known else None
    assert strikes.of("btcusd", START) == expected


def test_the_first_provisional_stays() -> None:
    """The nearest observation after the start is the best provisional one."""
    strikes = Strikes()
    strikes.average_seen("btcusd", 100.0, START + 200, START - 100)
    strikes.average_seen("btcusd", 101.0, START + 400, START - 100)

    assert strikes.of("btcusd", START) == Strike(100.0, Trust.PROVISIONAL)


def test_better_evidence_wins_whatever_the_order() -> None:
    """Exact replaces provisional, official replaces both, and nothing replaces official."""
    strikes = Strikes()
    strikes.average_seen("btcusd", 100.0, START + 200, START - 100)
    strikes.average_seen("btcusd", 101.0, START, START - 100)
    assert strikes.of("btcusd", START) == Strike(101.0, Trust.EXACT)

    strikes.official("btcusd", START, 102.0, 0.5)
    strikes.average_seen("btcusd", 100.0, START, START - 100)

    assert strikes.of("btcusd", START) == Strike(102.0, Trust.OFFICIAL)


def test_a_correction_is_reported_with_its_size() -> None:
    """More than half a basis point away is a correction; less, or nothing held, is not."""
    strikes = Strikes()
    assert strikes.official("ethusd", START, 4000.0, 0.5) is None
    strikes.open_seen("BTCUSDT", 100_000.0, START)
    assert strikes.official("BTCUSDT", START, 100_004.0, 0.5) is None

    found = strikes.official("BTCUSDT", START, 100_104.0, 0.5)

    assert found is not None
    assert found.basis_points == pytest.approx(10.0, rel=1e-3)


def test_memory_is_bounded() -> None:
    """The oldest strikes go first."""
    strikes = Strikes()
    for window in range(KEPT + 10):
        strikes.average_seen("btcusd", 100.0, START + window * 300_000, None)

    assert strikes.of("btcusd", START + 9 * 300_000) is None
    assert strikes.of("btcusd", START + 10 * 300_000) is not None
    assert len(strikes._held) == KEPT
