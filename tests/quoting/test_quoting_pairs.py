"""What a pair may cost together: the target of strategy.md 6.2, 4, and what lowers it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, strategies as st
from msgspec.structs import replace
from test_quoting_decide import DOWN, SHARES, UP, book, fair, inputs

from polybot.pricing.fair import Caution, NoFair, Quality, WhyNoFair
from polybot.quoter import wish
from polybot.quoting.decide import decide
from polybot.quoting.model import QuoteInputs
from polybot.quoting.pairs import target
from polybot.quoting.params import QuoteParams
from polybot.quoting.reasons import Why

PLAIN = QuoteParams()
ALL = QuoteParams(pair_jump=0.01, pair_apart=0.02, pair_unpaired=0.03, pair_late=0.04)


def seen(
    *, at_s: float = 20.0, held_up: int = 0, held_down: int = 0, **changes: Any
) -> QuoteInputs:
    made = inputs(book(4000, 6000), at_s=at_s, held_up=held_up * SHARES, q=fair(0.5))
    made = replace(made, held_down=held_down * SHARES)
    return replace(made, **changes)


def penalised(made: QuoteInputs, params: QuoteParams = ALL) -> dict[str, float]:
    return dict(target(made, params)[1])


def doubtful(*cautions: Caution) -> QuoteInputs:
    quality = Quality(cautions=tuple((one, ()) for one in cautions))
    return seen(fair=replace(fair(0.5), quality=quality))


def test_nothing_is_asked_for_by_default() -> None:
    """1 − 2·0.002 and at most 0.99: the target that there always was."""
    late = seen(at_s=239.0, held_up=90)

    assert target(late, PLAIN) == (PLAIN.target_total, ()) == (9900, ())


@pytest.mark.parametrize(
    ("caution", "name", "dollars"),
    [(Caution.JUMP, "jump", 0.01), (Caution.SOURCES_APART, "apart", 0.02)],
)
def test_what_the_prices_say_costs(caution: Caution, name: str, dollars: float) -> None:
    """A jumping price, and oracle and exchange apart: each its own, and others none."""
    assert penalised(doubtful(caution)) == {name: dollars}
    assert penalised(doubtful(Caution.EXCHANGE_STALE)) == {}


def test_what_is_unpaired_costs_less_the_more_was_paired() -> None:
    """Fifty unpaired of a limit of a hundred, of either outcome, with no history and with four
    hundred pairs.
    """
    alone = penalised(seen(held_up=50))
    paired = penalised(seen(held_up=50, paired=400 * SHARES))

    assert alone == penalised(seen(held_down=50)) == {"unpaired": pytest.approx(0.015)}
    assert paired == {"unpaired": pytest.approx(0.003)}


def test_time_costs_in_a_line_up_to_the_stop() -> None:
    """A window of 300 s with its stop at 180 s: the last 90 s before it."""
    found = [penalised(seen(at_s=at_s)).get("late", 0.0) for at_s in (60, 90, 135, 180, 239)]

    assert found == pytest.approx([0.0, 0.0, 0.02, 0.04, 0.04])


@given(
    st.integers(0, 100), st.integers(0, 500), st.floats(-60, 299),
    st.tuples(*[st.floats(0, 0.1)] * 4), st.sampled_from((1, 10, 100)),
)  # fmt: skip
def test_the_target_is_on_the_grid_and_within_its_bounds(
    net: int, paired: int, at_s: float, dollars: tuple[float, ...], tick: int
) -> None:
    """Between 0.90 and the plain target, whatever is asked for; without a price, too."""
    jump, apart, unpaired, late = dollars
    params = QuoteParams(
        pair_jump=jump, pair_apart=apart, pair_unpaired=unpaired, pair_late=late
    )  # fmt: skip
    made = seen(at_s=at_s, held_up=net, paired=paired * SHARES, tick=tick)
    for one in (made, replace(made, fair=NoFair(WhyNoFair.SPOT_STALE))):
        found, _ = target(one, params)

        assert 9000 <= found <= PLAIN.target_total
        assert found % tick == 0 or not params.has_pair_penalties


def test_a_penalty_lowers_the_pair_and_is_told() -> None:
    """Bids of 0.49 and 0.50 cost 0.99; with eight cents off, 0.91, and the reason says for what."""
    tight = replace(inputs(book(4900, 5000), q=fair(0.5, v=0.0001)), paired=0)
    params = QuoteParams(levels=1, pair_apart=0.09, base_edge=0.0)
    apart = Quality(cautions=((Caution.SOURCES_APART, ()),))
    made = replace(tight, fair=replace(fair(0.5, v=0.0001), quality=apart))
    plain, found = decide(tight, params), decide(made, params)

    assert sum(quote.price for quote in plain.quotes) > 9100
    assert sum(quote.price for quote in found.quotes) <= 9100
    (reason,) = [one for one in found.reasons if one.why is Why.COMBINED_CAP]
    assert ("apart", 0.09) in reason.figures
    cap, _ = target(made, params)
    last_ms = made.table.cutoff_ms
    assert wish(made.market, found, cap, last_ms, made.now_ms).pair_cap == 9100
    assert {UP, DOWN} == {quote.outcome for quote in found.quotes}
