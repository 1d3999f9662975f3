"""A signal that is switched on acts only while its scores carry it (strategy.md 11)."""

from __future__ import annotations

import math
from typing import Any

import attrs
import pytest
from hypothesis import given, strategies as st
from signal_kit import DOWN, MARKET, START, UP, depth

from polybot.domain.earned import Earned
from polybot.journal.entries import decode, encode
from polybot.signal.advice import NEUTRAL, Readings, advise
from polybot.signal.board import Look, SignalMemory
from polybot.signal.evidence import Evidence, Unproven
from polybot.signal.fast_move import Move
from polybot.signal.inputs import Priced
from polybot.signal.params import NAMES, SignalParams

PRICED = Priced(0.45, 0.01, 100_000.0, 5e-5)
FLOW = SignalParams(acting=("flow",), earn_calls=10.0)
SHAKEN = Readings(move=Move(5.0, fast=True), flow_shift=0.01)


def after(params: SignalParams, name: str, *gains: float) -> Evidence:
    made = Evidence(params)
    for gain in gains:
        made.judged(name, hit=gain > 0, gain=gain)
    return made


def test_a_signal_without_a_score_stays_in_shadow() -> None:
    """Switched on and never judged: nothing speaks for it yet, and it says so."""
    assert Evidence(FLOW).unproven == (Unproven("flow"),)


def test_enough_good_calls_let_it_act() -> None:
    """Ten calls that gained a cent, give or take a half: sure to be above nought."""
    gains = [0.01 + 0.005 * (-1) ** n for n in range(12)]

    assert after(FLOW, "flow", *gains[:9]).unproven[0].at_least > 0, "good, and too few to say so"
    assert after(FLOW, "flow", *gains).unproven == ()


def test_a_gain_that_may_be_chance_does_not() -> None:
    """A mean of half a cent among calls that swing by ten: its lower bound is below nought."""
    gains = [0.005 + 0.1 * (-1) ** n for n in range(100)]
    (found,) = after(FLOW, "flow", *gains).unproven

    assert found.at_least < 0 < found.calls


def test_what_is_right_too_seldom_may_gain_and_what_is_right_mostly_may_lose() -> None:
    """Worth decides, not the share of hits: one large gain in three, against two in three small."""
    seldom = after(FLOW, "flow", *[0.06 if n % 3 == 0 else -0.01 for n in range(60)])
    mostly = after(FLOW, "flow", *[-0.06 if n % 3 == 0 else 0.01 for n in range(60)])

    assert seldom.unproven == ()
    assert mostly.unproven


def test_a_signal_that_turns_bad_goes_back_into_shadow() -> None:
    """What it has earned fades with new calls."""
    params = attrs.evolve(FLOW, earn_half_life=20.0)
    made = after(params, "flow", *[0.01 + 0.001 * (n % 2) for n in range(40)])
    assert made.unproven == ()
    for n in range(60):
        made.judged("flow", hit=False, gain=-0.02 + 0.001 * (n % 2))

    assert made.unproven


@pytest.mark.parametrize("name", ["competitors", "correlation"])
def test_what_predicts_a_conduct_must_beat_a_coin(name: str) -> None:
    """Their calls have no gain in dollars: right more often than not is what they are worth."""
    params = SignalParams(acting=(name,), earn_calls=10.0)
    good, coin = Evidence(params), Evidence(params)
    for n in range(60):
        good.judged(name, hit=n % 4 > 0, gain=0.0)
        coin.judged(name, hit=n % 2 > 0, gain=0.0)

    assert good.unproven == ()
    assert coin.unproven


def test_nothing_need_be_earned_where_the_operator_says_so() -> None:
    """`earn_calls = 0`: at once, and whatever the scores say."""
    made = Evidence(SignalParams(acting=NAMES, earn_calls=0.0))
    made.judged("flow", hit=False, gain=-1.0)

    assert made.unproven == ()


def test_more_calls_than_ever_count_are_refused() -> None:
    """A threshold that nothing could reach is a slip of the operator."""
    with pytest.raises(ValueError, match="never be reached"):
        SignalParams(earn_calls=100.0, earn_half_life=30.0)


@given(st.lists(st.floats(-1, 1) | st.sampled_from((math.nan, math.inf)), max_size=40))
def test_a_figure_that_is_none_is_never_evidence(gains: list[float]) -> None:
    """Whatever a gain is, the figures stay figures, and the calls no more than were made."""
    for found in after(FLOW, "flow", *gains).unproven:
        assert math.isfinite(found.at_least)
        assert 0 <= found.calls <= len(gains) + 1e-9


def test_the_unproven_change_nothing_and_are_told() -> None:
    """Of two that are switched on only the one that has earned it acts."""
    params = SignalParams(acting=("flow", "fast_move"))
    lone = Unproven("fast_move", 3.0, -0.01)
    asked = advise(SHAKEN, params, (lone,))

    assert asked == attrs.evolve(NEUTRAL, shift=0.01, because=("flow",), unproven=(lone,))
    both = (Unproven("flow"), lone)
    assert advise(SHAKEN, params, both) == attrs.evolve(NEUTRAL, unproven=both)


def test_a_market_learns_at_once_what_the_wallet_has_judged() -> None:
    """One evidence for all markets: what is earned in one acts in the other at its next decision,
    with or without a look at the books.
    """
    memory = SignalMemory(SignalParams(acting=("toxicity",), earn_calls=5.0))
    made = memory.board(MARKET, 0.15)
    asked = made.look(Look(START, PRICED, depth(4400, 4500), depth(5400, 5500), {UP: 1, DOWN: 1}))
    assert [one.name for one in asked.unproven] == ["toxicity"]
    for _ in range(10):
        made.scores.judge("toxicity", hit=True, gain=0.02)

    assert made.between(PRICED, START + 50).unproven == ()


# --- over a restart -------------------------------------------------------------------------------

GOOD = tuple(0.01 + 0.005 * (-1) ** n for n in range(12))


def again(made: Evidence, **changes: Any) -> Evidence:
    """The next run, perhaps with other settings, on what this one has kept as text."""
    kept = made.news()
    assert kept is not None
    entry = decode(*encode(kept))
    assert isinstance(entry, Earned)
    return Evidence(attrs.evolve(made.params, **changes), entry)


def test_what_was_earned_stays_earned() -> None:
    """A restart takes nothing away, and the next call counts as it would have."""
    made = after(FLOW, "flow", *GOOD)
    heir = again(made)
    assert heir.unproven == () != Evidence(FLOW).unproven
    assert heir.news() is None, "there is nothing new in it"

    for one in (made, heir):
        one.judged("flow", hit=False, gain=-0.3)
    assert heir.unproven == made.unproven != ()
    assert heir.news() == made.news() is not None


@pytest.mark.parametrize(
    ("changes", "stays"),
    [
        ({"flow_memory": 0.2}, False),
        ({"score_horizon": 0.1}, False),
        ({"earn_half_life": 50.0}, True),
        ({"acting": ("flow", "toxicity")}, True),
        ({"shadow_every_s": 1.0}, True),
    ],
)
def test_other_settings_make_other_calls(changes: dict[str, Any], stays: bool) -> None:
    """What decides how a signal calls voids what its calls were worth; what decides who may act on
    which evidence does not.
    """
    unproven = {one.name for one in again(after(FLOW, "flow", *GOOD), **changes).unproven}

    assert ("flow" not in unproven) is stays


@pytest.mark.parametrize(
    "bent",
    [
        {"mean": math.nan}, {"weight": 0.0}, {"weight": -1.0}, {"squares": math.inf},
        {"spread": -1e-9}, {"squares": 0.0},
    ],
)  # fmt: skip
def test_sums_that_no_calls_make_are_begun_anew(bent: dict[str, float]) -> None:
    """A journal that somebody has edited never lets a signal act."""
    kept = after(FLOW, "flow", *GOOD).news()
    assert kept is not None
    changes: dict[str, Any] = dict(bent)
    held = attrs.evolve(kept, signals=(attrs.evolve(kept.signals[0], **changes),))

    assert Evidence(FLOW, held).unproven == (Unproven("flow"),)
