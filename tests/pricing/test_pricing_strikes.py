"""Strikes: what evidence makes one, what replaces it, and when a correction is reported."""

from __future__ import annotations

import pytest

from polybot.pricing.strikes import HOUR_MS, KEPT, Key, Strike, Strikes, Trust

START = 1_790_000_100_000 - 1_790_000_100_000 % 300_000
NOW = START + 60_000
KEY: Key = ("btcusd", 60, START)


def seen(strikes: Strikes, value: float, stamp_ms: int, before_ms: int | None = None) -> None:
    strikes.seen("btcusd", 60, value, stamp_ms, before_ms, stamp_ms + 1000)


def test_the_tick_at_the_start_is_the_strike() -> None:
    """A value stamped exactly at the start is trusted, before and after it are not (strategy.md
    1).
    """
    strikes = Strikes()
    seen(strikes, 99.0, START - 1000)
    assert strikes.of(KEY) is None

    seen(strikes, 100.0, START, START - 1000)
    seen(strikes, 101.0, START + 1000, START)

    assert strikes.of(KEY) == Strike(100.0, Trust.EXACT)


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
    """Half a second late is provisional, and only with an observation before the start
    (strategy.md 1).
    """
    strikes = Strikes()
    seen(strikes, 100.0, START + late_ms, before_ms)

    assert strikes.of(KEY) == (Strike(100.0, Trust.PROVISIONAL) if known else None)


def test_the_first_provisional_stays() -> None:
    """The nearest observation after the start is the best provisional one."""
    strikes = Strikes()
    seen(strikes, 100.0, START + 200, START - 100)
    seen(strikes, 101.0, START + 400, START - 100)

    assert strikes.of(KEY) == Strike(100.0, Trust.PROVISIONAL)


def test_look_backs_do_not_mix() -> None:
    """The spot at the start is not the strike of a market on the average, nor the reverse."""
    strikes = Strikes()
    strikes.seen("btcusd", 0, 99.0, START, None, NOW)

    assert strikes.of(KEY) is None
    assert strikes.of(("btcusd", 0, START)) == Strike(99.0, Trust.EXACT)


def test_better_evidence_wins_whatever_the_order() -> None:
    """Exact replaces provisional, official replaces both, and nothing replaces official."""
    strikes = Strikes()
    seen(strikes, 100.0, START + 200, START - 100)
    seen(strikes, 100.001, START, START - 100)
    assert strikes.of(KEY) == Strike(100.001, Trust.EXACT)

    strikes.official(KEY, 102.0, NOW)
    seen(strikes, 100.0, START, START - 100)

    assert strikes.of(KEY) == Strike(102.0, Trust.OFFICIAL, NOW)


def test_a_correction_is_reported_with_its_size() -> None:
    """More than half a basis point away is a correction; less, or nothing held, is not (F57)."""
    strikes, key = Strikes(), ("BTCUSDT", 0, START)
    assert strikes.official(("ethusd", 60, START), 4000.0, NOW) is None
    strikes.open_seen("BTCUSDT", 100_000.0, START, START + 500)
    assert strikes.official(key, 100_004.9, NOW) is None
    strikes.official(key, 100_000.0, NOW)
    assert strikes.official(key, 100_005.1, NOW) is not None
    strikes.official(key, 100_004.0, NOW)

    found = strikes.official(key, 100_104.0, NOW)

    assert found is not None
    assert found.basis_points == pytest.approx(10.0, rel=1e-3)
    assert strikes.of(key) == Strike(100_104.0, Trust.OFFICIAL, NOW)


def test_a_strike_confirmed_after_a_correction_keeps_its_moment() -> None:
    """The same official value told again neither corrects nor forgets when it was corrected."""
    strikes = Strikes()
    seen(strikes, 100.0, START)
    strikes.official(KEY, 101.0, NOW)

    assert strikes.official(KEY, 101.0, NOW + 15_000) is None
    assert strikes.of(KEY) == Strike(101.0, Trust.OFFICIAL, NOW)
    assert strikes.official(KEY, 100.0, NOW + 30_000) is not None


def test_an_exact_tick_may_correct_a_provisional_one() -> None:
    """A provisional strike that turns out wrong is a correction like any other."""
    strikes = Strikes()
    seen(strikes, 100.0, START + 200, START - 100)
    seen(strikes, 100.1, START, START - 100)

    assert strikes.of(KEY) == Strike(100.1, Trust.EXACT, START + 1000)


HOUR = START - START % HOUR_MS
CANDLE: Key = ("BTCUSDT", 0, HOUR)


def test_the_first_trade_of_an_hour_opens_its_candle() -> None:
    """Provisional until the candle itself tells, and only if the trade before it was seen
    (strategy.md 2.1).
    """
    strikes = Strikes()
    strikes.traded("BTCUSDT", 99.0, HOUR - 5, HOUR - 20)
    strikes.traded("BTCUSDT", 100.0, HOUR + 40, HOUR - 5)
    strikes.traded("BTCUSDT", 101.0, HOUR + 45, HOUR + 40)
    assert strikes.of(CANDLE) == Strike(100.0, Trust.PROVISIONAL)

    strikes.open_seen("BTCUSDT", 100.0, HOUR, HOUR + 2000)

    assert strikes.of(CANDLE) == Strike(100.0, Trust.EXACT)


def test_an_open_that_changes_is_no_strike_until_one_is_told_on() -> None:
    """Seed 751: six seconds into its hour the candle came with another open, four basis points
    off, and was quoted against. An open never changes.
    """
    strikes = Strikes()
    strikes.open_seen("BTCUSDT", 88_906.1, HOUR, HOUR + 100)
    strikes.open_seen("BTCUSDT", 88_870.5, HOUR, HOUR + 6_600)
    assert strikes.of(CANDLE) is None
    strikes.open_seen("BTCUSDT", 88_906.1, HOUR, HOUR + 8_600)
    assert strikes.of(CANDLE) == Strike(88_906.1, Trust.EXACT), "the lie is over"

    for n in range(15):  # now the other one is told on: that before it was the lie
        strikes.open_seen("BTCUSDT", 88_870.5, HOUR, HOUR + 20_000 + 2_000 * n)
        assert strikes.of(CANDLE) is None
    strikes.open_seen("BTCUSDT", 88_870.5, HOUR, HOUR + 50_000)
    assert strikes.of(CANDLE) == Strike(88_870.5, Trust.EXACT, HOUR + 50_000)


@pytest.mark.parametrize(
    ("before", "believed"), [(None, True), (99.991, True), (99.98, False), (100.02, False)]
)
def test_an_open_far_from_the_trade_before_it_is_none_until_it_is_told_on(
    before: float | None, believed: bool
) -> None:
    """Brief seed 8903: an hour's candle was told with the open of the last hour's."""
    strikes = Strikes()
    opened = Strike(100.0, Trust.EXACT)
    strikes.open_seen("BTCUSDT", 100.0, HOUR, HOUR + 100, before)
    assert strikes.of(CANDLE) == (opened if believed else None)

    strikes.open_seen("BTCUSDT", 100.0, HOUR, HOUR + 30_099, before)
    assert strikes.of(CANDLE) == (opened if believed else None)
    strikes.open_seen("BTCUSDT", 100.0, HOUR, HOUR + 30_100, before)
    assert strikes.of(CANDLE) == opened


def test_an_open_that_was_traded_first_is_believed_wherever_it_is() -> None:
    """An hour may begin with a leap; another open than its first trade's is held against both."""
    strikes = Strikes()
    strikes.traded("BTCUSDT", 100.0, HOUR + 40, HOUR - 5)
    strikes.open_seen("BTCUSDT", 99.5, HOUR, HOUR + 100, 99.0)
    assert strikes.of(CANDLE) is None

    strikes.open_seen("BTCUSDT", 100.0, HOUR, HOUR + 2_100, 99.0)
    assert strikes.of(CANDLE) == Strike(100.0, Trust.EXACT)


def test_what_the_venue_says_ends_the_contest_of_two_opens() -> None:
    """And no open that comes later begins it again."""
    strikes = Strikes()
    strikes.open_seen("BTCUSDT", 100.0, HOUR, HOUR + 100)
    strikes.open_seen("BTCUSDT", 101.0, HOUR, HOUR + 2_100)
    strikes.open_seen("BTCUSDT", 102.0, HOUR, HOUR + 40_000)
    assert strikes.of(CANDLE) is None, "a third one begins anew"

    strikes.official(CANDLE, 101.0, HOUR + 41_000)
    strikes.open_seen("BTCUSDT", 102.0, HOUR, HOUR + 42_000)

    assert strikes.of(CANDLE) == Strike(101.0, Trust.OFFICIAL, HOUR + 41_000)


@pytest.mark.parametrize(
    ("late_ms", "before_ms", "known"),
    [(40, None, False), (40, HOUR + 10, False), (500, HOUR - 1, True), (501, HOUR - 1, False)],
)
def test_a_trade_seen_too_late_opens_nothing(
    late_ms: int, before_ms: int | None, known: bool
) -> None:
    """Who connects within the hour cannot know that it saw the first trade, and who saw none for so
    long has missed some.
    """
    strikes = Strikes()
    strikes.traded("BTCUSDT", 100.0, HOUR + late_ms, before_ms)

    assert (strikes.of(CANDLE) is not None) is known


def test_a_daily_strike_outlives_its_day() -> None:
    """With every asset there is, each told at both look-backs: it was forgotten within five hours,
    and the window not quoted until somebody told it again.
    """
    strikes = Strikes()
    strikes.open_seen("BTCUSDT", 100.0, START, START)
    for window in range(1, 24 * 12 + 1):
        start_ms = START + window * 300_000
        for asset in range(8):
            strikes.seen(f"{asset}usd", 0, 1.0, start_ms, start_ms - 1000, start_ms)
            strikes.seen(f"{asset}usd", 60, 1.0, start_ms, start_ms - 1000, start_ms)

    assert strikes.of(("BTCUSDT", 0, START)) == Strike(100.0, Trust.EXACT)


def test_memory_is_bounded() -> None:
    """The oldest strikes go first."""
    strikes = Strikes()
    for window in range(KEPT + 10):
        seen(strikes, 100.0, START + window * 300_000)

    assert strikes.of(("btcusd", 60, START + 9 * 300_000)) is None
    assert strikes.of(("btcusd", 60, START + 10 * 300_000)) is not None
