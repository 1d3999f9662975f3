"""What acting signals change about a decision, and that neutral advice changes nothing."""

from __future__ import annotations

import attrs
import pytest
from hypothesis import given, strategies as st
from msgspec.structs import replace
from test_quoting_decide import PARAMS, SHARES, any_inputs, book, fair, inputs, whys

from polybot.domain.market import Outcome
from polybot.quoting.decide import decide
from polybot.quoting.model import Decision, QuoteInputs
from polybot.quoting.params import QuoteParams
from polybot.quoting.reasons import NOTES, Why
from polybot.signal.advice import NEUTRAL, Advice, Veto
from polybot.signal.evidence import Unproven

UP, DOWN = Outcome.UP, Outcome.DOWN
WIDE = book(4000, 6000)
JOINING = inputs(WIDE, q=fair(0.5))
ONE_LEVEL = QuoteParams(levels=1)


def advised(advice: Advice, of: QuoteInputs = JOINING, params: QuoteParams = ONE_LEVEL) -> Decision:
    return decide(replace(of, advice=advice), params)


def shrunk(part: float) -> Advice:
    return Advice(shrinks=(("regime", part),))


def prices(decision: Decision) -> dict[Outcome, int]:
    return {quote.outcome: quote.price for quote in decision.quotes if quote.level == 0}


@pytest.mark.parametrize("veto", Veto)
def test_a_veto_is_a_reason(veto: Veto) -> None:
    """Nothing is quoted, and the chain says which signal and why (strategy.md 13, hard vetoes)."""
    found = advised(Advice(veto=veto, because=("regime",)))

    assert found.quotes == ()
    assert whys(found) == [Why.SIGNAL]
    assert found.reasons[0].figures == (("signal", "regime"), ("says", veto.value))


def test_a_wider_edge_lowers_the_caps() -> None:
    """The edge is multiplied, and both caps fall by what was added (strategy.md 11)."""
    plain, wide = advised(NEUTRAL), advised(Advice(widen=1.5))

    assert plain.edge is not None
    assert wide.edge == pytest.approx(plain.edge * 1.5)
    assert wide.cap_up is not None
    assert plain.cap_up is not None
    assert wide.cap_up <= plain.cap_up


def test_a_shift_moves_both_caps_apart() -> None:
    """Flow toward Up raises what Up is worth and lowers Down by the same (strategy.md 11)."""
    plain, up = advised(NEUTRAL), advised(Advice(shift=0.004))

    assert plain.fair is not None
    assert up.fair == pytest.approx(plain.fair + 0.004)


def test_sizes_shrink_and_never_round_up() -> None:
    """Half the size; below the minimum there is no order (strategy.md 9)."""
    params = attrs.evolve(ONE_LEVEL, size_shares=12.0, size_floor=0.0)

    assert {q.size for q in advised(shrunk(0.5), params=params).quotes} == {6 * SHARES}
    assert advised(shrunk(0.4), params=params).quotes == ()
    assert {q.size for q in advised(Advice(smallest=True), params=params).quotes} == {5 * SHARES}


def test_joining_instead_of_improving() -> None:
    """With Up to spare the Down bid would go a tick ahead; told to join, it does not."""
    spare = replace(JOINING, held_up=20 * SHARES)

    assert prices(advised(NEUTRAL, spare))[DOWN] == 4100
    assert prices(advised(Advice(improve=False), spare))[DOWN] == 4000


def test_one_level_deeper() -> None:
    """Beside two fast makers the first bid stands a tick below the touch (strategy.md 11)."""
    assert prices(advised(NEUTRAL)) == {UP: 4000, DOWN: 4000}
    assert prices(advised(Advice(deeper=1))) == {UP: 3900, DOWN: 3900}


@given(
    any_inputs(),
    PARAMS,
    st.builds(
        Advice,
        widen=st.floats(1, 3),
        shrinks=st.tuples(st.tuples(st.just("regime"), st.floats(0, 1))),
        adverse=st.floats(0, 0.05),
        shift=st.floats(-0.2, 0.2),
        improve=st.booleans(),
        deeper=st.integers(0, 2),
        smallest=st.booleans(),
    ),
)
def test_whatever_is_advised_every_bid_is_lawful(
    given_inputs: QuoteInputs, params: QuoteParams, advice: Advice
) -> None:
    """On the grid, below the best ask, within the room, at most what was wanted without advice."""
    found = advised(advice, given_inputs, params)

    for quote in found.quotes:
        view = given_inputs.book(quote.outcome)
        assert view is not None
        assert quote.price % given_inputs.tick == 0
        assert 0 < quote.price < view.asks[0][0]
        assert quote.size >= given_inputs.market.min_size
        assert quote.size <= params.size_shares * params.size_growth**quote.level * SHARES + 1


def test_an_unproven_signal_is_told_and_takes_no_quote() -> None:
    """Switched on and in shadow: the same quotes, and the reason with its figures (issue: nothing
    is silently off).
    """
    lone = Unproven("flow", 12.0, -0.004)
    plain, said = advised(NEUTRAL), advised(attrs.evolve(NEUTRAL, unproven=(lone,)))

    assert said.quotes == plain.quotes
    (reason,) = [one for one in said.reasons if one.why is Why.UNPROVEN]
    assert reason.text().endswith("signal=flow calls=12 worth_at_least=-0.004")
    assert Why.UNPROVEN in NOTES
