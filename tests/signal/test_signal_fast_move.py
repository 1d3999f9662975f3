"""Fast moves of the spot."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, strategies as st
from signal_kit import START

from polybot.signal.fast_move import FastMove, Move
from polybot.signal.inputs import Refusal

SIGMA = 8.01326e-5  # per √s, the reference case of strategy.md
THREE = 3 * SIGMA * math.sqrt(5)


def watch(*prices: tuple[int, float]) -> FastMove:
    fast = FastMove(5.0, 3.0, 5.0)
    for at_ms, price in prices:
        assert fast.spot(price, SIGMA, START + at_ms) is None
    return fast


@pytest.mark.parametrize("sign", [1, -1])
def test_three_sigmas_in_five_seconds(sign: int) -> None:
    """|Δ| > 3σ√5 in 5 s is fast, a hair less is not (strategy.md 11)."""
    inside = watch((0, 100_000.0), (4_000, 100_000.0 * math.exp(sign * THREE * 0.999)))
    beyond = watch((0, 100_000.0), (4_000, 100_000.0 * math.exp(sign * THREE * 1.001)))

    assert not inside.read(START + 4_000).fast
    move = beyond.read(START + 4_000)
    assert move.fast
    assert move.sigmas == pytest.approx(sign * 3.003)
    assert beyond.begun == 1


def test_the_same_move_slowly_is_none() -> None:
    """Over ten seconds it is what volatility makes."""
    slow = watch((0, 100_000.0), (5_001, 100_000.0), (10_500, 100_000.0 * math.exp(THREE * 1.2)))

    assert slow.read(START + 10_500).fast is False


def test_a_jump_and_its_return_is_fast() -> None:
    """Both ends of the span being equal does not make it calm."""
    spike = watch((0, 100_000.0), (1_000, 100_000.0 * math.exp(THREE * 1.1)), (2_000, 100_000.0))

    assert spike.read(START + 2_000).fast


def test_it_is_held_for_a_while() -> None:
    """Five seconds after the last sight of it the move is over."""
    fast = watch((0, 100_000.0), (100, 100_100.0))

    assert fast.read(START + 5_100).fast
    assert not fast.read(START + 5_101).fast


@given(st.lists(st.tuples(st.integers(0, 1_500), st.floats(90_000, 110_000)), min_size=1))
def test_it_is_the_range_of_the_span(steps: list[tuple[int, float]]) -> None:
    """The figure is the range of log prices of the last five seconds in units of σ√5."""
    fast, now, seen = FastMove(5.0, 3.0, 0.0), START, []
    for wait_ms, price in steps:
        now += wait_ms
        fast.spot(price, SIGMA, now)
        seen.append((now, math.log(price)))
    logs = [log for at, log in seen if now - at <= 5_000]

    read = fast.read(now)

    assert abs(read.sigmas) == pytest.approx((max(logs) - min(logs)) / (SIGMA * math.sqrt(5)))
    assert read.fast is (abs(read.sigmas) > 3.0)


@pytest.mark.parametrize(
    ("price", "sigma", "refusal"),
    [
        (math.nan, SIGMA, Refusal.NOT_FINITE),
        (math.inf, SIGMA, Refusal.NOT_FINITE),
        (100.0, math.nan, Refusal.NOT_FINITE),
        (0.0, SIGMA, Refusal.NOT_A_PRICE),
        (-1.0, SIGMA, Refusal.NOT_A_PRICE),
        (100.0, 0.0, Refusal.NOT_A_PRICE),
    ],
)
def test_what_is_no_price_is_refused(price: float, sigma: float, refusal: Refusal) -> None:
    """NaN, infinity, zero and below: refused by name, and nothing moves."""
    fast = watch((0, 100_000.0))

    assert fast.spot(price, sigma, START + 1) is refusal
    assert fast.spot(100_000.0, SIGMA, START - 1) is Refusal.TIME_BACKWARDS
    assert fast.read(START + 1).sigmas == 0.0


def test_a_clock_that_was_ahead_blinds_nobody() -> None:
    """Prices were refused until the time came round again, and a fast move lasted for so long."""
    ahead = 3_600_000
    fast = watch((ahead, 100_000.0), (ahead + 1, 101_000.0))
    assert fast.read(START + ahead + 1).fast

    assert fast.spot(101_000.0, SIGMA, START) is None
    assert fast.read(START) == Move(0.0, fast=False)
    assert fast.spot(102_000.0, SIGMA, START + 1) is None
    assert fast.read(START + 1).fast
