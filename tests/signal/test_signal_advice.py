"""What the acting signals come to together, and how each is scored."""

from __future__ import annotations

import math

import attrs
import pytest
from hypothesis import given, strategies as st
from signal_kit import MARKET, START, UP

from polybot.signal.advice import NEUTRAL, Advice, Readings, Veto, advise
from polybot.signal.competitors import Response, Rivals
from polybot.signal.fast_move import Move
from polybot.signal.markouts import SETTLEMENT
from polybot.signal.params import NAMES, SignalParams
from polybot.signal.parity import Gap, ParityView, Way
from polybot.signal.regime import Liquidity, Regime
from polybot.signal.scores import Scores
from polybot.signal.texts import words
from polybot.signal.toxicity import Standing, Toxicity

ALL = SignalParams(acting=NAMES)
LOUD = Readings(
    toxicity=Toxicity(Standing.STOPPED, "5% of the window", -0.03, -4.0, 40.0),
    rivals=Rivals(Response.DEEPER, 0.7, 20, 0.1, 2, 0.5),
    liquidity=Liquidity(Regime.CRISIS, None, None, 1.0, 5),
    move=Move(3.5, fast=True),
    parity=ParityView(Gap(Way.BUY, 10_000_000, 100_000, UP), 0.002),
    crowding=1.0,
    flow_shift=0.004,
)


def test_in_shadow_nothing_is_asked() -> None:
    """However loud the signals are, none acts that is not named (issue D, shadow first)."""
    assert advise(LOUD, SignalParams()) is NEUTRAL


@pytest.mark.parametrize(
    ("name", "seen", "expected"),
    [
        ("flow", LOUD, Advice(shift=0.004)),
        ("toxicity", LOUD, Advice(veto=Veto.TOXIC)),
        (
            "toxicity",
            Readings(toxicity=Toxicity(Standing.TOXIC, "15 s", -0.012, -3.0, 40)),
            Advice(1.5, 0.012, (("toxicity", 0.5),), improve=False),
        ),
        (
            "toxicity",
            Readings(toxicity=Toxicity(Standing.TOXIC, SETTLEMENT, -0.3, -3.0, 40)),
            Advice(1.5, shrinks=(("toxicity", 0.5),), improve=False),
        ),
        (
            "toxicity",
            Readings(toxicity=Toxicity(Standing.PROBATION)),
            Advice(smallest=True, improve=False),
        ),
        ("competitors", LOUD, Advice(improve=False, deeper=1)),
        (
            "competitors",
            Readings(rivals=Rivals(Response.JOIN, 0.7, 20, None, 0, None)),
            Advice(improve=False),
        ),
        ("regime", LOUD, Advice(1.5, shrinks=(("regime", 0.0),), veto=Veto.CRISIS)),
        (
            "regime",
            Readings(liquidity=Liquidity(Regime.LOW, 0.05, 100.0, 1.0, 5)),
            Advice(1.5, shrinks=(("regime", 0.5),)),
        ),
        ("fast_move", LOUD, Advice(veto=Veto.FAST_MOVE)),
        ("parity", LOUD, Advice(veto=Veto.PARITY)),
        ("correlation", LOUD, Advice(shrinks=(("correlation", 0.5),))),
    ],
)
def test_each_acts_in_its_own_way(name: str, seen: Readings, expected: Advice) -> None:
    """Named alone, a signal asks for exactly its row of the tables (strategy.md 11)."""
    asked = advise(seen, SignalParams(acting=(name,)))

    if name == "toxicity":
        expected = attrs.evolve(expected, improve=False)
    assert asked == attrs.evolve(expected, because=(name,))


@pytest.mark.parametrize("name", NAMES)
def test_a_quiet_signal_asks_for_nothing(name: str) -> None:
    """Nothing to say is the neutral advice, whoever acts."""
    calm = Readings(liquidity=Liquidity(Regime.NORMAL, 0.02, 500.0, 0.0, 30))

    assert advise(calm, SignalParams(acting=(name,))) is NEUTRAL


READINGS = st.builds(
    Readings,
    toxicity=st.builds(Toxicity, st.sampled_from(Standing), mean=st.floats(-0.1, 0.1)),
    rivals=st.builds(
        Rivals, st.sampled_from(Response), st.none(), st.just(0), st.none(), st.just(0), st.none()
    ),
    liquidity=st.none()
    | st.builds(Liquidity, st.sampled_from(Regime), st.none(), st.none(), st.just(0.0), st.just(0)),
    move=st.builds(Move, st.floats(-5, 5), fast=st.booleans()),
    crowding=st.floats(0, 5),
    flow_shift=st.floats(-0.01, 0.01),
)


@given(READINGS, st.sets(st.sampled_from(NAMES)))
def test_no_combination_loosens_a_quote(seen: Readings, acting: set[str]) -> None:
    """Edges never shrink and sizes never grow; a toxic series is stopped whatever else speaks, and
    is never skewed or improved by another signal (toxicity overrides everything).
    """
    asked = advise(seen, SignalParams(acting=tuple(sorted(acting))))

    assert asked.widen >= 1
    assert asked.adverse >= 0
    assert all(0 <= part <= 1 for _, part in asked.shrinks)
    assert set(asked.because) <= acting
    if "toxicity" in acting and seen.toxicity.standing is not Standing.CLEAN:
        assert asked.shift == 0.0
        assert not asked.improve
        if seen.toxicity.standing is Standing.STOPPED:
            assert asked.veto is Veto.TOXIC


def test_words_for_the_operator() -> None:
    """Everything loud is said, the gravest first; a calm board says its regime and no more."""
    said = words(LOUD)

    assert said[0].startswith("fills stopped (-3.00 c at 5% of the window")
    assert [text.split()[0] for text in said] == [
        "fills", "fast", "parity", "liquidity", "rivals:", "shares",
    ]  # fmt: skip
    assert words(Readings()) == ()


# --- scores ---------------------------------------------------------------------------------------


def test_a_directed_call_is_judged_by_its_sign() -> None:
    """Right when the fair price went where the signal said, by what it went."""
    scores = Scores(15.0)
    scores.call("flow", -1, 0.50, 0.02, START)
    scores.fair(0.60, START + 14_999)
    assert scores.by_name == {}

    scores.fair(0.47, START + 15_000)

    found = scores.by_name["flow"]
    assert (found.calls, found.hits, round(found.gain, 9)) == (1, 1, 0.03)


def test_an_alarm_is_judged_by_the_size_of_the_move() -> None:
    """Right when it moved further than v·√h·√(2/π): what volatility alone makes on average."""
    expected = math.sqrt(2 / math.pi) * 0.02 * math.sqrt(15)
    for move, hit in ((expected * 1.01, 1), (-expected * 1.01, 1), (expected * 0.99, 0)):
        scores = Scores(15.0)
        scores.call("fast_move", 0, 0.50, 0.02, START)
        scores.fair(0.50 + move, START + 15_000)
        assert scores.by_name["fast_move"].hits == hit


def test_calls_do_not_overlap() -> None:
    """A signal that goes on saying the same has one call per horizon."""
    scores = Scores(15.0)
    for second in range(61):
        scores.fair(0.5 + second / 1_000, START + 1_000 * second)
        scores.call("flow", 1, 0.5 + second / 1_000, 0.02, START + 1_000 * second)

    assert scores.by_name["flow"].calls == 4


def test_a_price_too_late_judges_nothing() -> None:
    """Half a horizon after it was due a call ends unjudged."""
    scores = Scores(15.0)
    scores.call("flow", 1, 0.5, 0.02, START)
    scores.fair(0.9, START + 15_000 + 7_501)

    assert scores.by_name == {}
    assert MARKET.length_s * 0.05 == 15.0, "the default horizon of five minutes"
