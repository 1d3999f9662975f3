"""Queue models: what of a decrease was ahead of us (strategy.md 17)."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from polybot.exchange.queue_marks import Mark, QueueMarks
from polybot.exchange.queue_models import (
    AHEAD_FIRST,
    PESSIMISTIC,
    PROPORTIONAL,
    TOUCH,
    TRADE_THROUGH,
    probabilistic,
    queue_model,
)

KEY = ("BUY", 5000)
SIZES = st.integers(0, 10**12)


@pytest.mark.parametrize(
    ("model", "gone"),
    [(AHEAD_FIRST, 30), (PESSIMISTIC, 0), (PROPORTIONAL, 18), (probabilistic(1), 18)],
)
def test_who_leaves(model: object, gone: int) -> None:
    """60 ahead, 40 behind, 30 leave: the models' answers (strategy.md 17)."""
    assert getattr(model, "advance")(60, 40, 30) == gone  # noqa: B009


def test_a_high_exponent_blames_the_larger_side() -> None:
    """xⁿ with large n takes nearly all from whichever side is larger (strategy.md 17)."""
    assert probabilistic(3).advance(60, 40, 30) > probabilistic(1).advance(60, 40, 30)
    assert probabilistic(3).advance(40, 60, 30) < probabilistic(1).advance(40, 60, 30)


@given(SIZES, SIZES, SIZES, st.floats(0.1, 20))
def test_a_share_is_never_more_than_the_decrease(
    ahead: int, behind: int, decrease: int, exponent: float
) -> None:
    """Whatever the model, between nothing and the whole of a decrease was ahead."""
    decrease = min(decrease, ahead + behind)
    for model in (AHEAD_FIRST, PESSIMISTIC, PROPORTIONAL, probabilistic(exponent)):
        assert 0 <= model.advance(ahead, behind, decrease) <= decrease


def test_models_by_name() -> None:
    """Every model has a name; the exponent is part of one; a wrong one lists the choices."""
    for model in (AHEAD_FIRST, PESSIMISTIC, PROPORTIONAL, TRADE_THROUGH, TOUCH):
        assert queue_model(model.name) is model
    assert queue_model("probabilistic:2.5").name == "probabilistic:2.5"
    for text in ("probabilistic", "probabilistic:x", "probabilistic:0", "hopeful"):
        with pytest.raises(ValueError, match="probabilistic"):
            queue_model(text)


def test_a_print_finds_the_decrease_of_its_size() -> None:
    """Cancels of other sizes come between a trade and its print (feeds.md 3)."""
    marks = QueueMarks(1000)
    marks.decreased(KEY, 0, 50, {})
    marks.decreased(KEY, 10, 20, {"a": Mark(10, 10)})

    [(found, part)] = marks.explained(KEY, 90, 20)

    assert (found.at_ms, part) == (10, 20)
    assert found.explain(part) == [("a", 0, 10)]


def test_a_print_of_no_known_size_takes_the_oldest() -> None:
    """Without an exact match the decreases explain it in turn; what is used up is gone."""
    marks = QueueMarks(1000)
    marks.decreased(KEY, 0, 50, {})
    marks.decreased(KEY, 10, 20, {})
    for decrease, part in marks.explained(KEY, 90, 60):
        decrease.explain(part)
    assert [(d.amount, part) for d, part in marks.explained(KEY, 95, 60)] == [(10, 10)]


def test_patience_ends() -> None:
    """An old decrease explains nothing, an old print pays for nothing."""
    marks = QueueMarks(1000)
    marks.decreased(KEY, 0, 50, {})
    marks.pay(KEY, 0, 50)
    assert marks.explained(KEY, 1001, 50) == []
    assert marks.redeem(KEY, 1001, 50) == 0


def test_a_print_pays_once() -> None:
    """A print before its decrease covers its own size, in parts, and two prints add up."""
    marks = QueueMarks(1000)
    marks.pay(KEY, 0, 30)
    marks.pay(KEY, 10, 20)
    assert [marks.redeem(KEY, 20, 40), marks.redeem(KEY, 30, 40), marks.redeem(KEY, 40, 9)] == [
        40, 10, 0,
    ]  # fmt: skip


def test_marks_are_bounded() -> None:
    """A level that only ever shrinks keeps a bounded past."""
    marks = QueueMarks(10**9)
    for number in range(1000):
        marks.decreased(KEY, number, 1, {})
    assert len(marks.explained(KEY, 1000, 10**6)) == 256


def test_the_logarithm_is_milder_than_a_proportion() -> None:
    """f = ln(1 + x): the larger part loses less than its share, equal parts the same
    (strategy.md 17).
    """
    million = 1_000_000
    model = queue_model("probabilistic:log")

    assert model.advance(90 * million, 10 * million, million) < 900_000
    assert model.advance(50 * million, 50 * million, million) == million // 2
    assert model.advance(0, 0, 0) == 0
