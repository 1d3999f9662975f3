"""The grid: combined cap, levels and sizes (strategy.md 6.2, 9)."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from polybot.domain.market import Outcome
from polybot.domain.units import ONE
from polybot.quoting.ladder import (
    Sizing,
    combine,
    grid_floor,
    level_prices,
    side,
    sized,
)
from polybot.quoting.model import Quote
from polybot.quoting.params import QuoteParams
from polybot.quoting.reasons import Reason, Why

SHARES = 1_000_000
TICKS = st.sampled_from([1000, 100, 50, 10, 1])
TENS = QuoteParams(levels=3, size_shares=10)


def by(first: int = 0, most: int = 0) -> Sizing:
    """A market of at least five shares."""
    return 5 * SHARES, first * SHARES, most * SHARES


def sizes_of(
    prices: list[int], room: int, params: QuoteParams = TENS, of: Sizing = by(), part: float = 1.0
) -> tuple[list[Quote], list[Reason]]:
    """`room` in shares."""
    return sized(Outcome.UP, prices, room * SHARES, part, of, params.rungs)


@pytest.mark.parametrize(
    ("up", "down", "net", "expected"),
    [
        (5300, 4600, 100, (5100, 4600)),
        (5300, 4600, -100, (5300, 4400)),
        (5000, 4900, 0, (4800, 4900)),
        (4900, 5000, 0, (4900, 4800)),
        (4900, 4900, 0, (4800, 4900)),
        (4800, 4900, 100, (4800, 4900)),
    ],
)
def test_combined_cap(up: int, down: int, net: float, expected: tuple[int, int]) -> None:
    """Vectors of 6.2 with tick 0.01, target 0.975 and equal slack."""
    tops = (up, up / 10_000 + 0.001), (down, down / 10_000 + 0.001)

    assert combine(*tops, net, 9750, 100) == expected


def test_when_flat_the_tighter_side_gives_way() -> None:
    """With less slack to its cap a bid is the one we want less."""
    assert combine((5000, 0.52), (4900, 0.491), 0, 9750, 100) == (5000, 4700)
    assert combine((5000, 0.501), (4900, 0.52), 0, 9750, 100) == (4800, 4900)


@given(st.integers(1, 99), st.integers(1, 99), st.floats(-5, 5), st.integers(9000, 9990), TICKS)
def test_combined_bids_never_exceed_the_target(
    up: int, down: int, net: float, target: int, tick: int
) -> None:
    """Whatever is held, the two first bids fit, on the grid, and neither is raised."""
    high = (10_000 // tick - 1) * tick
    tops = (up * high // 99 // tick * tick, 0.6), (down * high // 99 // tick * tick, 0.6)

    found_up, found_down = combine(*tops, net, target, tick)

    assert found_up + found_down <= target
    assert found_up <= tops[0][0]
    assert found_down <= tops[1][0]
    assert found_up % tick == 0 == found_down % tick


@pytest.mark.parametrize(
    ("probability", "tick", "price"),
    [
        (0.53, 100, 5300),
        (0.5399999, 100, 5300),
        (0.5351, 10, 5350),
        (0.0099, 100, 0),
        (-1, 100, -10_000),
    ],
)
def test_grid_floor(probability: float, tick: int, price: int) -> None:
    """Bids round down, and binary noise does not cost a tick."""
    assert grid_floor(probability, tick) == price


@given(st.floats(-0.1, 1.1), TICKS)
def test_grid_floor_never_rounds_up(cap: float, tick: int) -> None:
    """A cap on the grid is at most the cap itself, and less by under one tick."""
    found = grid_floor(cap, tick)

    assert found % tick == 0
    assert cap * ONE - tick - 1e-6 < found <= cap * ONE + 1e-6


@given(st.integers(1, 9999), TICKS)
def test_grid_floor_is_exact_on_the_grid(units: int, tick: int) -> None:
    """A price already on the grid stays where it is, however its float is written."""
    price = units // tick * tick

    assert grid_floor(price / 10_000, tick) == price


@pytest.mark.parametrize(
    ("base_edge", "most", "total"),
    [(0.005, 0.99, 9900), (0.0, 0.99, 9900), (0.0125, 0.99, 9750), (0.2, 0.99, 9000)],
)
def test_target_total(base_edge: float, most: float, total: int) -> None:
    """Twice the base edge below one dollar, between 0.90 and the limit set."""
    assert QuoteParams(base_edge=base_edge, target_total_max=most).target_total == total


def test_levels_widen() -> None:
    """The third bid is twice as far from the first as the second."""
    assert level_prices(5000, grid_floor(0.49, 100), 100, QuoteParams(levels=3).rungs) == [
        5000,
        4900,
        4800,
    ]
    assert level_prices(
        5000, grid_floor(0.49, 10), 10, QuoteParams(levels=3, step_ticks=2).rungs
    ) == [5000, 4900, 4890]


def test_deeper_levels_keep_twice_the_edge() -> None:
    """A deep bid is filled by jumps and stays below its own, lower cap."""
    assert level_prices(5000, grid_floor(0.455, 100), 100, QuoteParams(levels=3).rungs) == [
        5000,
        4500,
        4400,
    ]


def test_levels_end_at_the_grid() -> None:
    """Nothing is bid below one tick."""
    assert level_prices(200, grid_floor(0.5, 100), 100, QuoteParams(levels=3).rungs) == [200, 100]
    assert level_prices(0, grid_floor(0.5, 100), 100, QuoteParams(levels=3).rungs) == []
    assert level_prices(200, grid_floor(-0.3, 100), 100, QuoteParams(levels=3).rungs) == [200]


@given(st.integers(-20, 99), st.floats(-1, 1), TICKS, st.integers(1, 3), st.integers(1, 20))
def test_levels_fall_strictly_on_the_grid(
    top: int, deep: float, tick: int, levels: int, step: int
) -> None:
    """Any ladder is strictly falling, on the grid, at least a tick, and as short as asked."""
    rungs = QuoteParams(levels=levels, step_ticks=step).rungs
    prices = level_prices(top * tick, grid_floor(deep, tick), tick, rungs)

    assert len(prices) <= levels
    assert prices == sorted(set(prices), reverse=True)
    assert all(price >= tick and price % tick == 0 for price in prices)
    assert all(price <= deep * 10_000 + 1e-6 for price in prices[1:])


def test_sizes_grow_in_whole_lots() -> None:
    """Deeper bids are larger, rounded down to hundredths of a share."""
    params = QuoteParams(levels=3, size_shares=10, size_growth=1.333)

    quotes, reasons = sizes_of([5000, 4900, 4800], 1000, params)

    assert [quote.size for quote in quotes] == [10_000_000, 13_330_000, 17_760_000]
    assert [quote.level for quote in quotes] == [0, 1, 2]
    assert reasons == []


def test_room_is_shared_by_all_levels() -> None:
    """If every bid filled, the inventory limit would still hold."""
    quotes, reasons = sizes_of([5000, 4900, 4800], 16)

    assert [quote.size for quote in quotes] == [10 * SHARES, 6 * SHARES]
    assert [reason.why for reason in reasons] == [Why.INVENTORY]


def test_too_small_is_nothing() -> None:
    """Below the market's minimum a bid is left out, never rounded up."""
    short, reasons = sizes_of([5000, 4900], 14)
    assert [quote.size for quote in short] == [10 * SHARES]
    assert reasons[0].figures == (("level", "1"), ("wanted", "10"), ("left", "4"))

    none, reasons = sizes_of([5000], 100, QuoteParams(size_shares=4))
    assert none == []
    assert reasons[0].why is Why.BELOW_MINIMUM


def test_no_room_is_nothing() -> None:
    """A heavy side at its limit, or past it, stops."""
    for room in (0, -50):
        quotes, reasons = sizes_of([5000], room)
        assert quotes == []
        assert reasons[0].why is Why.INVENTORY


def test_a_first_bid_of_a_least_size_and_none_above_a_most() -> None:
    """A pool's least size raises the first bid alone; probation caps every one; room caps all."""
    prices = [5000, 4900, 4800]

    asked = ((200, by(50), 1.0), (200, by(50), 0.5), (200, by(most=5), 1.0), (55, by(50), 1.0))
    sizes = [
        [quote.size // SHARES for quote in sizes_of(prices, room, of=of, part=part)[0]]
        for room, of, part in asked
    ]
    assert sizes == [[50, 10, 10], [50, 5, 5], [5, 5, 5], [50, 5]]


@given(
    st.integers(-2, 99), st.integers(-20, 99), TICKS, st.integers(-5, 300), st.floats(0, 1),
    st.integers(1, 3),
)  # fmt: skip
def test_a_remembered_side_is_the_same_as_a_new_one(
    top: int, deepest: int, tick: int, room: int, part: float, levels: int
) -> None:
    """Asked twice, worked out once, and what is missing has a reason; nothing else is remembered
    with it.
    """
    rungs = QuoteParams(levels=levels).rungs
    asked = (Outcome.UP, top * tick, deepest * tick, tick, room * SHARES, part, by(), rungs)

    quotes, reasons = side(*asked)
    assert side(*asked) is side(*asked)
    assert side.__wrapped__(*asked) == (quotes, reasons)
    assert len(quotes) == levels or reasons
