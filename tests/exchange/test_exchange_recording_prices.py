"""What a recording knows of the underlying, and what it only holds meanwhile."""

from __future__ import annotations

import pytest

from polybot.exchange.recording_prices import Point, RecordedPrices

T0 = 1_795_132_800_000


def points(*seconds: float) -> list[Point]:
    return [(T0 + round(second * 1000), 90_000.0 + second) for second in seconds]


@pytest.mark.parametrize(
    ("at_s", "known"),
    [(-0.001, False), (0, True), (5, True), (5.001, False), (29.9, False), (30, True), (36, False)],
)
def test_what_is_older_than_five_seconds_is_held_and_not_known(at_s: float, known: bool) -> None:
    """Before the first value, in a hole, and after the last; the source itself always answers."""
    prices = RecordedPrices({"btc": (points(0, 30), [])})

    for feed in ("chainlink", "twap60", "binance"):
        assert prices.knows(feed, "btc", T0 + round(at_s * 1000)) is known
    assert prices.chainlink("btc", T0 + round(at_s * 1000)) in (90_000.0, 90_030.0)


def test_each_feed_is_known_by_itself() -> None:
    """Binance's hole is none of the oracle's; an average is of the oracle's own prices."""
    prices = RecordedPrices({"btc": (points(0, 10), points(0, 4, 8))})

    known = [
        feed for feed in ("chainlink", "twap60", "binance") if prices.knows(feed, "btc", T0 + 9000)
    ]
    assert known == ["binance"]


@pytest.mark.parametrize(("at_s", "known"), [(-1, False), (0, True), (150, True), (301, False)])
def test_between_two_values_of_a_line_all_is_known(at_s: int, known: bool) -> None:
    """Strikes of five minutes alone: what lies between them is drawn, and said to be."""
    prices = RecordedPrices({"btc": (points(0, 300), [])}, straight=True)

    assert prices.knows("binance", "btc", T0 + at_s * 1000) is known
