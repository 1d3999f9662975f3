"""A call is judged by what comes after it, not by what it was made of."""

from __future__ import annotations

import math

import pytest
from msgspec.structs import replace
from signal_kit import MARKET, START, UP, depth, mirrored, printed

from polybot.domain.market import Side
from polybot.signal.board import Look, SignalBoard, SignalMemory
from polybot.signal.inputs import Priced
from polybot.signal.params import SignalParams

SIGMA = 8e-5
CALM = Priced(0.50, 0.0247, 100_000.0, SIGMA)
JUMPED = Priced(0.65, 0.0230, 100_150.0, SIGMA)  # 15 bp: more than 3 sigma over five seconds
BOOK = depth()


def turn(made: SignalBoard, priced: Priced, at_ms: int) -> None:
    made.look(Look(START + at_ms, priced, BOOK, mirrored(BOOK), {}))
    made.decided(priced.q, 0.01, START + at_ms)


def test_an_alarm_is_not_credited_with_the_move_that_raised_it() -> None:
    """The spot jumps once and stands still ever after: the alarm said that more would come, and it
    was wrong.
    """
    memory = SignalMemory(SignalParams())
    made = memory.board(MARKET, 0.15)
    for at_ms in range(0, 5_000, 100):
        turn(made, CALM, at_ms)
    for at_ms in range(5_000, 22_000, 100):
        turn(made, JUMPED, at_ms)

    score = memory.summary()["fast_move"]

    assert score.calls == 1
    assert (score.hits, score.gain < 0) == (0, True), score


def test_a_flow_is_not_credited_with_the_move_that_came_with_it() -> None:
    """Takers buy as the price rises, and then nothing moves any more: the flow foretold nothing."""
    memory = SignalMemory(SignalParams())
    made = memory.board(MARKET, 0.15)
    turn(made, CALM, 4_900)
    for n in range(50):
        made.printed(printed(UP, Side.BUY), START + 4_950 + n)
    for at_ms in range(5_000, 22_000, 100):
        turn(made, replace(JUMPED, spot=100_000.0), at_ms)

    score = memory.summary()["flow"]

    assert score.calls == 1
    assert score.gain == pytest.approx(0.0), score


def test_a_price_of_before_a_darkness_is_no_price_to_call_against() -> None:
    """No fair price for a minute; then there is one again, and it stays. Nothing moves after it."""
    memory = SignalMemory(SignalParams())
    made = memory.board(MARKET, 0.15)
    turn(made, CALM, 0)
    for at_ms in range(1_000, 60_000, 1_000):
        made.look(Look(START + at_ms, None, BOOK, mirrored(BOOK), {}))
    for n in range(50):
        made.printed(printed(UP, Side.BUY), START + 59_000 + n)
    for at_ms in range(60_000, 80_000, 100):
        turn(made, replace(JUMPED, spot=100_000.0), at_ms)

    score = memory.summary()["flow"]

    assert score.gain == pytest.approx(0.0), score
    assert math.isfinite(score.gain)
