"""Why not? – which reason took how much of which side's time."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st
from test_quoting_decide import DOWN, PARAMS, UP, any_inputs

from polybot.domain.market import Outcome
from polybot.pricing.fair import Caution, WhyNoFair
from polybot.quoting.completion import Held
from polybot.quoting.decide import decide
from polybot.quoting.model import Decision, Quote, QuoteInputs
from polybot.quoting.params import QuoteParams
from polybot.quoting.reasons import NoReward, Reason, Why
from polybot.quoting.tally import NOBODY, ON_ITS_WAY, Lost, WhyTally

BOTH = {UP, DOWN}


def decided(*reasons: Reason, sides: set[Outcome] = BOTH) -> Decision:
    return Decision(tuple(Quote(side, 5000, 10, 0) for side in Outcome if side in sides), reasons)


def told(
    decision: Decision, resting: set[Outcome], refused: dict[Outcome, str] | None = None
) -> dict[str, dict[str, tuple[int, int]]]:
    """A hundred milliseconds of it, by side and reason: (withheld, reduced)."""
    tally = WhyTally()
    tally.add(100, decision, resting, refused or {})
    return {
        side.value: {text: (one.withheld_ms, one.reduced_ms) for text, one in lost.items()}
        for side, lost in tally.by_side.items()
        if lost
    }


def test_a_full_quote_has_nothing_to_explain() -> None:
    """Wanted, resting, no reasons: no entry."""
    assert told(decided(), BOTH) == {}


def test_a_side_that_is_not_wanted_is_withheld_by_its_reasons() -> None:
    """Its own and those of both; the other side's are the other side's."""
    reasons = (Reason(Why.DISAGREE, UP), Reason(WhyNoFair.SPOT_STALE), Reason(Why.HEAVY, DOWN))

    assert told(decided(*reasons, sides={DOWN}), {DOWN}) == {
        "Up": {Why.DISAGREE.value: (100, 0), WhyNoFair.SPOT_STALE.value: (100, 0)},
        "Down": {WhyNoFair.SPOT_STALE.value: (0, 100), Why.HEAVY.value: (0, 100)},
    }


def test_what_only_shrinks_withholds_nothing_by_itself() -> None:
    """A factor is to blame for an absent quote only where too little was left for one."""
    smaller = Reason(Why.NEAR_STOP)
    chain = (smaller, Reason(Why.DISAGREE, UP), Reason(NoReward.WITHHELD))
    assert told(decided(*chain, sides=set()), set())["Up"] == {Why.DISAGREE.value: (100, 0)}

    short = told(decided(smaller, Reason(Why.BELOW_MINIMUM, UP), sides={DOWN}), {DOWN})
    assert short["Up"] == {Why.NEAR_STOP.value: (100, 0), Why.BELOW_MINIMUM.value: (100, 0)}


@pytest.mark.parametrize(
    ("refused", "text"), [({UP: "market limit"}, "market limit"), ({}, ON_ITS_WAY)]
)
def test_what_is_wanted_and_does_not_rest_is_the_desk_s(
    refused: dict[Outcome, str], text: str
) -> None:
    """The firewall's or the budget's word, else the way to the venue; not the quoter's reasons."""
    assert told(decided(Reason(Why.HEAVY, UP)), {DOWN}, refused) == {"Up": {text: (100, 0)}}


def test_a_level_that_was_refused_reduces() -> None:
    """A side rests, but not all of it."""
    assert told(decided(), BOTH, {DOWN: "market limit"}) == {"Down": {"market limit": (0, 100)}}


def test_what_rests_unwanted_is_on_its_way_out() -> None:
    """Its quote is still there: that time is quoted."""
    assert told(decided(Reason(Why.DISAGREE, UP), sides={DOWN}), BOTH) == {}


def test_taking_is_no_quote() -> None:
    """Why nothing is taken says nothing about what rests."""
    assert told(decided(Reason(Held.PATIENT, UP)), BOTH) == {}


def test_time_with_nobody_there_is_told() -> None:
    """A scope that was gone withholds both sides; no time is no entry."""
    tally = WhyTally()
    tally.nobody(0)
    tally.nobody(-5)
    assert tally.top(UP, 3) == []
    tally.nobody(70)

    assert tally.top(UP, 3) == tally.top(DOWN, 3) == [(NOBODY, Lost(70, 0))]


def test_the_gravest_come_first() -> None:
    """By all the time a reason took, withheld before reduced; so many and no more."""
    tally, other = WhyTally(), WhyTally()
    tally.add(10, decided(Reason(Why.CROSSED), sides=set()), set(), {})
    tally.add(30, decided(Reason(Why.HEAVY, UP)), BOTH, {})
    other.add(10, decided(Reason(Caution.JUMP)), BOTH, {})
    tally.include(other)

    assert tally.top(UP, 2) == [(Why.HEAVY.value, Lost(0, 30)), (Why.CROSSED.value, Lost(10, 0))]
    assert tally.top(DOWN, 9) == [
        (Why.CROSSED.value, Lost(10, 0)),
        (Caution.JUMP.value, Lost(0, 10)),
    ]


@given(any_inputs(), PARAMS, st.sets(st.sampled_from(Outcome)))
def test_no_side_is_without_a_quote_and_without_a_reason(
    seen: QuoteInputs, params: QuoteParams, resting: set[Outcome]
) -> None:
    """Whatever is decided and rests: a side without a bid has lost its time to something (issue D
    10: nothing is silently off).
    """
    found = decide(seen, params)
    tally = WhyTally()
    tally.add(50, found, resting, {})

    for side in Outcome:
        if side not in resting:
            assert any(lost.withheld_ms == 50 for lost in tally.by_side[side].values())


def test_reasons_as_people_read_them() -> None:
    """Side, words, figures; numbers to three digits, texts as they are."""
    assert Reason(Why.HEAVY, DOWN, (("factor", 0.83456),)).text() == (
        "Down: smaller: more of what we hold factor=0.835"
    )
    assert Reason(Why.NOT_OPEN, None, (("opens_in_s", "12.5"),)).text() == (
        "window not open yet opens_in_s=12.5"
    )
