"""Sizes: each factor with its reason and figure, the floor, and what switches them off."""

from __future__ import annotations

import attrs
import pytest
from hypothesis import given, strategies as st
from msgspec.structs import replace
from test_quoting_decide import DOWN, PARAMS, SHARES, UP, any_inputs, book, fair, inputs, whys

from polybot.domain.market import Outcome
from polybot.pricing.fair import Caution, Fair, Quality
from polybot.quoting.decide import decide
from polybot.quoting.model import Decision, QuoteInputs
from polybot.quoting.params import QuoteParams
from polybot.quoting.reasons import Why
from polybot.quoting.sizes import Cut, floored, part_of
from polybot.signal.advice import Advice

STOP_S, FADE_S = 180.0, 90.0  # of the window of the kit: its stop, and 0.3 of its length
HUNDRED = QuoteParams(levels=1, size_shares=100.0, size_floor=0.1)
ROOMY = inputs(book(5400, 5600), limit=1000 * SHARES)
STALE = Quality(size=0.5, cautions=((Caution.EXCHANGE_STALE, (("size", "0.5"),)),))


def sizes(found: Decision) -> dict[Outcome, float]:
    return {quote.outcome: quote.size / SHARES for quote in found.quotes}


def figure(found: Decision, why: Why) -> float:
    said = next(reason for reason in found.reasons if reason.why is why)
    return float(dict(said.figures)["factor"])


def asked(*shrinks: tuple[str, float]) -> QuoteInputs:
    return replace(ROOMY, advice=Advice(shrinks=shrinks))


def held(shares: int) -> QuoteInputs:
    return replace(ROOMY, held_up=shares * SHARES)


def test_without_doubts_the_usual_size() -> None:
    """All factors one: the base, and nothing to explain (strategy.md 9)."""
    found = decide(ROOMY, HUNDRED)

    assert sizes(found) == {UP: 100, DOWN: 100}
    assert found.reasons == ()


@pytest.mark.parametrize(("left_s", "part"), [(90.0, 1.0), (45.0, 0.5), (9.0, 0.1)])
def test_sizes_fade_before_the_stop(left_s: float, part: float) -> None:
    """f_time = (τ − τ_stop) / 0.3 L (strategy.md 9)."""
    found = decide(replace(ROOMY, now_ms=ROOMY.table.stop_ms - int(left_s * 1000)), HUNDRED)

    assert sizes(found) == pytest.approx({UP: 100 * part, DOWN: 100 * part})
    if part < 1:
        assert figure(found, Why.NEAR_STOP) == pytest.approx(part)


def test_time_shrinks_nothing_past_the_stop() -> None:
    """What is left then only pairs what is held: it should be quick, not small."""
    late = inputs(at_s=STOP_S + 20, held_up=40 * SHARES)

    assert sizes(decide(late, HUNDRED)) == {DOWN: 40}


@pytest.mark.parametrize(
    ("seen", "why", "part"),
    [
        (asked(("regime", 0.5)), Why.THIN_BOOK, 0.5),
        (asked(("toxicity", 0.25)), Why.TOXIC_FILLS, 0.25),
        (asked(("correlation", 0.8)), Why.CROWDED, 0.8),
    ],
)
def test_a_signal_says_why_it_shrinks(seen: QuoteInputs, why: Why, part: float) -> None:
    """f_regime and f_tox come from the acting signals alone, each under its own name."""
    found = decide(seen, HUNDRED)

    assert sizes(found) == {UP: 100 * part, DOWN: 100 * part}
    assert whys(found) == [why]
    assert figure(found, why) == part


def test_an_unsure_model_quotes_less() -> None:
    """f_conf: a model whose error is twice what counts as sure quotes half."""
    worried = replace(fair(v=0.02), age_s=25.0)  # 0.02·√25 / 0.2475 = 0.404 in log-odds
    params = attrs.evolve(HUNDRED, sure_log_odds=0.202, kappa=0.0)

    found = decide(replace(ROOMY, fair=worried), params)

    assert figure(found, Why.UNSURE) == pytest.approx(0.5, abs=0.01)
    assert sizes(found)[UP] == pytest.approx(50, abs=1)


def test_a_stale_exchange_is_told_once() -> None:
    """The price's own caution says it: no second reason for the same half."""
    found = decide(replace(ROOMY, fair=replace(fair(), quality=STALE)), HUNDRED)

    assert sizes(found) == {UP: 50, DOWN: 50}
    assert whys(found) == [Caution.EXCHANGE_STALE]


@pytest.mark.parametrize(
    ("shares", "part"), [(1, 0.899), (400, 0.5), (800, 0.1), (900, 0.0), (950, 0.0)]
)
def test_the_heavy_side_shrinks_with_what_a_fill_would_leave(shares: int, part: float) -> None:
    """f_inv = 1 − |I after| / I_max on the heavy side, 1 on the light one (strategy.md 9)."""
    found = decide(held(shares), HUNDRED)

    assert sizes(found).get(UP, 0) == pytest.approx(100 * part)
    assert sizes(found)[DOWN] == 100
    assert figure(found, Why.HEAVY) == pytest.approx(part)
    assert next(r.outcome for r in found.reasons if r.why is Why.HEAVY) is UP


def test_factors_multiply_down_to_the_floor() -> None:
    """Several mild doubts are not one strong one; a nought stays a nought."""
    assert part_of([Cut(Why.THIN_BOOK, 0.5), Cut(None, 0.5)]) == 0.25
    assert [floored(part, 0.3) for part in (1.0, 0.4, 0.25, 1e-9, 0.0)] == [1.0, 0.4, 0.3, 0.3, 0.0]
    doubts = asked(("regime", 0.5), ("toxicity", 0.5), ("correlation", 0.5))
    assert sizes(decide(doubts, attrs.evolve(HUNDRED, size_floor=0.3))) == {UP: 30, DOWN: 30}
    assert sizes(decide(doubts, attrs.evolve(HUNDRED, size_floor=0.0))) == {UP: 12.5, DOWN: 12.5}


@pytest.mark.parametrize(
    ("key", "off", "why"),
    [("size_floor", 1.0, Why.UNSURE), ("fade_fraction", 0.0, Why.NEAR_STOP)],
)
def test_what_is_switched_off_is_gone(key: str, off: float, why: Why) -> None:
    """`size_floor = 1` shrinks nothing, `fade_fraction = 0` fades nothing, and neither says so."""
    late = replace(ROOMY, now_ms=ROOMY.table.stop_ms - 20_000)
    late = replace(late, fair=replace(fair(v=0.02), age_s=400.0))
    on = attrs.evolve(HUNDRED, kappa=0.0)
    assert why in whys(decide(late, on))

    found = decide(late, QuoteParams(**{**attrs.asdict(on), key: off}))
    assert why not in whys(found)
    if key == "size_floor":
        assert sizes(found) == {UP: 100, DOWN: 100}


def test_a_factor_of_nought_holds_whatever_the_floor() -> None:
    """`size_floor = 1` takes doubts for certainty, and not a "nothing" for an "all"."""
    bold = attrs.evolve(HUNDRED, size_floor=1.0)
    off = asked(("regime", 0.5), ("toxicity", 0.0))
    never = replace(fair(), quality=Quality(size=0.0, cautions=STALE.cautions))

    found = decide(off, bold)
    assert found.quotes == ()
    assert Why.TOXIC_FILLS in whys(found)
    assert Why.THIN_BOOK not in whys(found), "half shrinks nothing, and is not told"
    assert decide(replace(ROOMY, fair=never), bold).quotes == ()
    assert sizes(decide(replace(ROOMY, fair=replace(fair(), quality=STALE)), bold)) == {
        UP: 100,
        DOWN: 100,
    }


@given(
    any_inputs(),
    PARAMS,
    st.floats(0, 1),
    st.lists(
        st.tuples(st.sampled_from(["regime", "toxicity", "correlation"]), st.floats(0, 1)),
        max_size=3,
    ),
)
def test_no_factor_enlarges_and_every_one_is_told(
    seen: QuoteInputs, params: QuoteParams, floor: float, shrinks: list[tuple[str, float]]
) -> None:
    """A size is between the floor and the usual one, whatever shrinks it; what is smaller than
    usual has a reason for its side or for both.
    """
    assert isinstance(seen.fair, Fair)
    quality = replace(seen.fair.quality, cautions=STALE.cautions)  # as pricing tells a size
    seen = replace(seen, fair=replace(seen.fair, quality=quality))
    params = attrs.evolve(params, size_floor=floor)
    found = decide(replace(seen, advice=Advice(shrinks=tuple(shrinks))), params)

    for quote in found.quotes:
        usual = params.rungs.sizes[quote.level]
        assert quote.size <= usual + 1
        if quote.size + 10_000 < usual:
            assert any(reason.outcome in (quote.outcome, None) for reason in found.reasons)
