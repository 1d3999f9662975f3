"""The decision: worked cases, phases, refusals, and what must hold for any input."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from typing import Any

import attrs
import pytest
from hypothesis import assume, given, strategies as st
from market_kit import BTC_5M
from msgspec.structs import replace

from polybot.domain.market import Market, Outcome
from polybot.domain.market_states import MarketState
from polybot.pricing.fair import Caution, Fair, NoFair, Quality, WhyNoFair
from polybot.quoting.books import Touch, market_now, market_view, touch
from polybot.quoting.decide import decide
from polybot.quoting.ladder import grid_floor
from polybot.quoting.model import BookView, Decision, Quote, QuoteInputs
from polybot.quoting.params import QuoteParams
from polybot.quoting.reasons import Reason, Why
from polybot.risk.timetable import Known, MarketMachine, Times, Timetable
from polybot.signal.advice import Advice, Veto

SHARES = 1_000_000
LOT = 10_000
UP, DOWN = Outcome.UP, Outcome.DOWN

START = BTC_5M.start_ms
TWAP = attrs.evolve(BTC_5M, up_token="1", down_token="2")

WIDE = BookView(bids=((4000, 100 * SHARES),), asks=((6000, 100 * SHARES),))


def fair(q: float = 0.55, *, d: float = 0.0, v: float = 0.0) -> Fair:
    return Fair(q, d, v, 0.4, 8e-5, 280.0, 100_000.0, 100_000.0)


def book(bid: int, ask: int, size: int = 100 * SHARES) -> BookView:
    return BookView(bids=((bid, size),), asks=((ask, size),))


def mirrored(of: BookView) -> BookView:
    return BookView(
        bids=tuple((10_000 - price, size) for price, size in of.asks),
        asks=tuple((10_000 - price, size) for price, size in of.bids),
    )


def inputs(
    up: BookView | None = None,
    *,
    at_s: float = 20.0,
    of: Market = TWAP,
    q: Fair | NoFair | None = None,
    held_up: int = 0,
    held_down: int = 0,
    own: Mapping[tuple[Outcome, int], int] | None = None,
    tick: int = 100,
    limit: int = 100 * SHARES,
    preopen_s: int = 0,
) -> QuoteInputs:
    now_ms = START + int(at_s * 1000)
    table = Timetable.of(of, Times(120_000, 60_000, preopen_s * 1000))
    machine = MarketMachine(of, table, known=Known(book=True, strike=True))
    up = book(5400, 5600) if up is None else up
    return QuoteInputs(
        of,
        now_ms,
        fair() if q is None else q,
        up,
        mirrored(up),
        tick,
        held_up,
        held_down,
        own or {},
        limit,
        machine.at(now_ms),
        table,
    )


def whys(decision: Decision) -> list[object]:
    return [reason.why for reason in decision.reasons]


def first(decision: Decision, outcome: Outcome) -> Quote | None:
    return next((q for q in decision.quotes if q.outcome is outcome and q.level == 0), None)


MODEL_ONLY = QuoteParams(
    levels=1, gamma_per_share=0.001, base_edge=0.015, target_total_max=0.99, kappa=0.0
)


def test_worked_case_of_the_reference() -> None:
    """6.2: q = 0.55, γ = 0.001, 100 Up held, edge 1.5 c: Up 0.51, Down 0.45.

    The reference leaves out its own skew guard (5.2), which keeps Down half a tick below fair.
    """
    found = decide(inputs(book(5400, 5600), held_up=100 * SHARES, limit=500 * SHARES), MODEL_ONLY)

    assert found.fair == pytest.approx(0.55)
    assert found.reservation_up == pytest.approx(0.5251, abs=1e-4)
    assert [(quote.outcome, quote.price) for quote in found.quotes] == [(UP, 5100), (DOWN, 4400)]
    assert found.reservation_up is not None
    assert grid_floor(1 - found.reservation_up - 0.015, 100) == 4500


def test_joins_the_others_below_the_cap() -> None:
    """A flat bot joins the best bid of others when its cap lies above."""
    found = decide(inputs(book(5000, 6000), q=fair(0.55)), QuoteParams(levels=1))

    assert [(quote.outcome, quote.price) for quote in found.quotes] == [(UP, 5000), (DOWN, 4000)]
    assert found.reasons == ()


def test_the_light_side_improves() -> None:
    """With Up to spare, the Down bid goes one tick ahead of the others, the Up bid joins."""
    found = decide(inputs(book(5000, 6000), held_up=20 * SHARES), QuoteParams(levels=1))

    assert [(quote.outcome, quote.price) for quote in found.quotes] == [(UP, 5000), (DOWN, 4100)]


def test_never_crosses() -> None:
    """A cap above the best ask still bids one tick below it: post-only."""
    params = QuoteParams(levels=1, base_edge=0.0, kappa=0.0, model_weight_max=1.0)
    sure = fair(0.60)

    found = decide(inputs(book(5500, 5600), q=sure, held_down=50 * SHARES), params)

    quote = first(found, UP)
    assert quote is not None
    assert quote.price == 5500


def test_our_own_orders_are_not_chased() -> None:
    """Alone at the best price we see the next one, in both books."""
    up = BookView(
        bids=((5400, 10 * SHARES), (5200, 50 * SHARES)),
        asks=((5600, 10 * SHARES), (5900, 50 * SHARES)),
    )
    own = {(UP, 5400): 10 * SHARES, (DOWN, 4400): 10 * SHARES}

    assert touch(inputs(up, own=own), UP) == Touch(5200, 5900, 50 * SHARES, 50 * SHARES)
    assert touch(inputs(up, own=own), DOWN) == Touch(4100, 4800, 50 * SHARES, 50 * SHARES)
    assert touch(inputs(up), UP) == Touch(5400, 5600, 10 * SHARES, 10 * SHARES)
    left = Touch(5400, 5600, 1 * SHARES, 10 * SHARES)
    assert touch(inputs(up, own={(UP, 5400): 9 * SHARES}), UP) == left


def test_the_same_decision_again_once_our_orders_rest() -> None:
    """Quoting what was decided must not change the decision: no chase, no flicker."""
    params = QuoteParams(levels=2)
    before = inputs(book(5000, 6000), held_up=20 * SHARES)
    decided = decide(before, params)
    own = {(quote.outcome, quote.price): quote.size for quote in decided.quotes}
    after = replace(
        before, up=with_own(before.up, own, UP), down=with_own(before.down, own, DOWN), own=own
    )

    assert decide(after, params) == decided


def with_own(
    view: BookView | None, own: Mapping[tuple[Outcome, int], int], outcome: Outcome
) -> BookView:
    assert view is not None
    bids, asks = dict(view.bids), dict(view.asks)
    for (side, price), size in own.items():
        if side is outcome:
            bids[price] = bids.get(price, 0) + size
        else:
            asks[10_000 - price] = asks.get(10_000 - price, 0) + size
    return BookView(tuple(sorted(bids.items(), reverse=True)), tuple(sorted(asks.items())))


def test_the_market_is_read_from_either_book() -> None:
    """One book with two sides is enough to know the market's view, and the mirror says the same."""
    missing = Reason(Why.NO_BOOK, UP)

    up = market_view(Touch(5400, 5600, 100 * SHARES, 300 * SHARES), missing, 1000.0, 2.0)
    down = market_view(missing, Touch(4400, 4600, 300 * SHARES, 100 * SHARES), 1000.0, 2.0)

    assert up is not None
    assert down is not None
    assert up.q == down.q == pytest.approx(0.545)
    assert up.half_spread == down.half_spread == pytest.approx(0.01)
    assert (up.depth, up.age_s) == (down.depth, down.age_s) == (100.0, 2.0)
    assert market_view(missing, missing, 1000.0) is None


def test_the_market_is_read_without_our_own_orders() -> None:
    """Our own bid is not the market's opinion (strategy.md 4)."""
    alone = inputs(book(5400, 5600), own={(UP, 5400): 100 * SHARES})
    among = inputs(book(5400, 5600))

    assert market_now(alone, 100.0) is None
    view = market_now(among, 100.0)
    assert view is not None
    assert view.q == pytest.approx(0.55)


def test_no_fair_no_quotes() -> None:
    """What pricing refuses is not quoted, and its reason is passed on whole."""
    refusal = NoFair(WhyNoFair.SPOT_STALE, (("age_s", "9"),))

    found = decide(inputs(q=refusal), QuoteParams())

    assert found == Decision((), (Reason(WhyNoFair.SPOT_STALE, None, (("age_s", "9"),)),))


def test_missing_books() -> None:
    """No book at all is two reasons; one book missing leaves the other side quoted."""
    none = replace(inputs(), up=None, down=None)
    assert decide(none, QuoteParams()).quotes == ()
    assert whys(decide(none, QuoteParams())) == [Why.NO_BOOK, Why.NO_BOOK]

    half = decide(replace(inputs(), down=None), QuoteParams(levels=1))

    assert {quote.outcome for quote in half.quotes} == {UP}
    assert whys(half) == [Why.NO_BOOK]


@pytest.mark.parametrize(
    ("view", "why"),
    [
        (BookView((), ((5600, SHARES),)), Why.ONE_SIDED),
        (BookView(((5400, SHARES),), ()), Why.ONE_SIDED),
        (BookView((), ()), Why.ONE_SIDED),
        (book(5600, 5600), Why.CROSSED),
        (book(5700, 5600), Why.CROSSED),
    ],
)
def test_books_not_to_be_trusted(view: BookView, why: Why) -> None:
    """A one-sided or crossed book is quoted on neither side."""
    found = decide(inputs(view), QuoteParams())

    assert found.quotes == ()
    assert whys(found) == [why, why]


def test_preopen_quoting_is_a_choice() -> None:
    """Before the open nothing is quoted unless the operator allows it."""
    assert whys(decide(inputs(at_s=-5), QuoteParams())) == [Why.NOT_OPEN]
    assert decide(inputs(at_s=-5, preopen_s=10), QuoteParams()).quotes


def test_without_a_strike_nothing() -> None:
    """A market that awaits its strike is not quoted, even if somebody had a price (13)."""
    waiting = replace(inputs(), state=MarketState.AWAIT_STRIKE)

    assert whys(decide(waiting, QuoteParams())) == [WhyNoFair.STRIKE_UNKNOWN]


def test_past_the_cutoff_nothing() -> None:
    """In the averaging window nothing rests, even with a pair to complete."""
    found = decide(inputs(at_s=250, held_up=50 * SHARES), QuoteParams())

    assert found.quotes == ()
    assert whys(found) == [Why.CUTOFF]


def test_past_the_stop_only_the_light_side() -> None:
    """Only what completes pairs is bid for, and not a share more."""
    found = decide(inputs(at_s=200, held_up=17 * SHARES), QuoteParams(levels=3))

    assert {quote.outcome for quote in found.quotes} == {DOWN}
    assert sum(quote.size for quote in found.quotes) == 17 * SHARES
    assert Why.REDUCE_ONLY in whys(found)


def test_past_the_stop_a_balanced_bot_is_done() -> None:
    """With nothing to pair there is nothing to bid for."""
    found = decide(inputs(at_s=200, held_up=5 * SHARES, held_down=5 * SHARES), QuoteParams())

    assert found.quotes == ()
    assert whys(found) == [Why.BALANCED, Why.BALANCED]


def test_deeper_bids_keep_twice_the_edge() -> None:
    """They are filled by jumps (strategy.md 6.2, 5): an edge of four cents below the cap, where a
    step is one.
    """
    params = QuoteParams(levels=3, base_edge=0.04, kappa=0.0, gamma_per_share=0.0)
    found = decide(inputs(book(5400, 5600), q=fair(0.55)), params)
    prices = [quote.price for quote in found.quotes if quote.outcome is UP]

    assert found.cap_up is not None
    assert found.edge == pytest.approx(0.04)
    deepest = found.cap_up - 400
    assert prices == [found.cap_up, deepest, deepest - 100]
    assert prices[0] - 100 > deepest, "a step alone would leave it above"


@pytest.mark.parametrize("held", [0, 20, -20])
def test_a_book_of_the_finer_tick_gives_bids_on_the_new_one(held: int) -> None:
    """After the tick has grown others' orders stay where they were: we join below them."""
    seen = inputs(book(5015, 5985), held_up=max(held, 0) * SHARES, held_down=max(-held, 0) * SHARES)
    found = decide(seen, QuoteParams(levels=1))

    assert len(found.quotes) == 2
    assert all(quote.price % 100 == 0 for quote in found.quotes)
    assert [quote.price for quote in found.quotes] == [
        5100 if held < 0 else 5000,
        4100 if held > 0 else 4000,
    ]


def test_the_heavy_side_stops_at_the_limit() -> None:
    """At the inventory limit only the other outcome is bought."""
    found = decide(inputs(held_down=100 * SHARES), QuoteParams())

    assert {quote.outcome for quote in found.quotes} == {UP}
    assert Why.INVENTORY in whys(found)


def test_disagreement_withholds_what_only_the_model_finds_cheap() -> None:
    """When we alone find Up cheap for five seconds, we do not bid for Up, say how far apart we are,
    and bid half for Down (strategy.md 4).
    """
    for model, mid, cheap in ((0.75, 0.50, UP), (0.25, 0.50, DOWN)):
        view = book(int(mid * 10_000) - 100, int(mid * 10_000) + 100)
        before = inputs(view, q=fair(model), at_s=20.0)
        first = decide(before, QuoteParams())
        assert first.apart_since_ms == before.now_ms
        assert {quote.outcome for quote in first.quotes} == {UP, DOWN}

        later = inputs(view, q=fair(model), at_s=25.0)
        found = decide(replace(later, apart_since_ms=first.apart_since_ms), QuoteParams())

        assert found.apart_since_ms == before.now_ms
        assert {quote.outcome for quote in found.quotes} == {cheap.other}
        assert {quote.size for quote in found.quotes} == {5 * SHARES}
        said = next(reason for reason in found.reasons if reason.why is Why.DISAGREE)
        assert said.outcome is cheap
        apart = math.copysign(1.0986, model - mid)
        assert dict(said.figures) == pytest.approx({"log_odds_apart": apart, "weight": 0.4}, 1e-3)
        assert Reason(Why.DOUBTED, None, (("factor", 0.5),)) in found.reasons


APART = replace(inputs(book(4900, 5100), q=fair(0.75)), apart_since_ms=START + 1_000)


@pytest.mark.parametrize(
    "blind",
    [
        {"up": None, "down": None},
        {"fair": NoFair(WhyNoFair.SPOT_STALE)},
        {"advice": Advice(veto=Veto.CRISIS)},
    ],
    ids=["no book", "no price", "a veto"],
)
def test_a_turn_that_sees_no_market_ends_no_disagreement(blind: dict[str, Any]) -> None:
    """A book that is read anew every few seconds would otherwise never let five of them pass."""
    assert decide(replace(APART, **blind), QuoteParams()).apart_since_ms == START + 1_000


@pytest.mark.parametrize("why", [WhyNoFair.STRIKE_CORRECTED, WhyNoFair.STRIKE_UNKNOWN])
def test_another_strike_ends_a_disagreement(why: WhyNoFair) -> None:
    """What the model thought it had thought of another contract."""
    assert decide(replace(APART, fair=NoFair(why)), QuoteParams()).apart_since_ms is None


def test_a_cautious_price_quotes_less_and_says_why() -> None:
    """A stale exchange halves the size; sources that drift apart widen the edge (F60)."""
    stale = (Caution.EXCHANGE_STALE, (("size", "0.5"),))
    halved = replace(fair(v=0.02), quality=Quality(size=0.5, cautions=(stale,)))
    apart = replace(fair(v=0.02), quality=Quality(apart=4e-4))

    usual = decide(inputs(q=fair(v=0.02)), QuoteParams())
    less = decide(inputs(q=halved), QuoteParams())
    wider = decide(inputs(q=apart), QuoteParams())

    assert [quote.size * 2 for quote in less.quotes] == [quote.size for quote in usual.quotes]
    assert Reason(*stale[:1], None, stale[1]) in less.reasons
    assert wider.edge is not None
    assert usual.edge is not None
    assert wider.edge - usual.edge == pytest.approx(0.02 * 4e-4 / 8e-5)


def test_worth_less_than_a_tick_is_not_bid_for() -> None:
    """A cap below the lowest price is a reason, not a bid at the lowest price."""
    view = book(100, 300)

    found = decide(inputs(view, q=fair(0.02)), QuoteParams(base_edge=0.015))

    assert UP not in {quote.outcome for quote in found.quotes}
    assert Why.CAP_BELOW_TICK in whys(found)


def test_combined_cap_is_said() -> None:
    """A bid lowered for the sake of the pair carries the reason and both prices."""
    params = QuoteParams(levels=1, base_edge=0.005, kappa=0.0, target_total_max=0.95)

    found = decide(inputs(book(5400, 5600), held_down=10 * SHARES), params)

    reason = next(reason for reason in found.reasons if reason.why is Why.COMBINED_CAP)
    assert reason.outcome is DOWN
    assert dict(reason.figures).keys() == {"was", "now"}
    assert sum(quote.price for quote in found.quotes) <= 9500


@pytest.mark.parametrize("tick", [0, -100, 33])
def test_a_broken_tick_is_a_bug(tick: int) -> None:
    """A tick that does not divide one dollar cannot come from metadata that was checked."""
    with pytest.raises(ValueError, match="tick"):
        decide(inputs(tick=tick), QuoteParams())


# --- for any input ------------------------------------------------------------------------

PARAMS = st.builds(
    QuoteParams,
    levels=st.integers(1, 3),
    size_shares=st.floats(1, 200),
    size_growth=st.floats(1, 1.5),
    step_ticks=st.integers(1, 5),
    gamma_per_share=st.floats(0, 0.05),
    base_edge=st.floats(0, 0.05),
    kappa=st.floats(0, 2),
    sigma_error=st.floats(0, 0.5),
    model_weight_max=st.floats(0, 1),
    target_total_max=st.floats(0.9, 0.999),
)
FAIRS = st.builds(
    Fair,
    q=st.floats(0.005, 0.995),
    d=st.floats(-4, 4),
    v=st.floats(0, 0.3),
    phi_d=st.floats(1e-4, 0.4),
    sigma=st.floats(1e-5, 1e-3),
    tau_s=st.floats(60, 3600),
    spot=st.just(100_000.0),
    age_s=st.floats(0, 5),
    quality=st.builds(Quality, st.floats(0, 1e-3), st.floats(0, 1e-3), st.floats(0.1, 1.0)),
)
HELD = st.integers(0, 500).map(lambda shares: shares * SHARES)


@st.composite
def any_inputs(draw: st.DrawFn) -> QuoteInputs:
    tick = draw(st.sampled_from([1000, 100, 10]))
    top = 10_000 // tick
    bid = draw(st.integers(1, top - 2)) * tick
    ask = draw(st.integers(bid // tick + 1, top - 1)) * tick
    return inputs(
        book(bid, ask),
        at_s=draw(st.floats(0, 239)),
        q=draw(FAIRS),
        held_up=draw(HELD),
        held_down=draw(HELD),
        tick=tick,
        limit=draw(st.integers(1, 500 * SHARES)),
    )


@given(any_inputs(), PARAMS)
def test_every_bid_is_lawful(given_inputs: QuoteInputs, params: QuoteParams) -> None:
    """On the grid, below its cap, below every ask, whole lots of at least the minimum."""
    found = decide(given_inputs, params)

    for quote in found.quotes:
        cap = found.cap_up if quote.outcome is UP else found.cap_down
        view = given_inputs.book(quote.outcome)
        assert cap is not None
        assert view is not None
        assert quote.price % given_inputs.tick == 0
        assert given_inputs.tick <= quote.price <= 10_000 - given_inputs.tick
        assert quote.price <= cap
        assert quote.price < view.asks[0][0]
        assert quote.size % LOT == 0
        assert quote.size >= TWAP.min_size


@given(any_inputs(), PARAMS)
def test_every_pair_costs_less_than_the_target(
    given_inputs: QuoteInputs, params: QuoteParams
) -> None:
    """Any Up bid with any Down bid, at whatever level, stays below the combined cap."""
    found = decide(given_inputs, params)
    ups = [quote.price for quote in found.quotes if quote.outcome is UP]
    downs = [quote.price for quote in found.quotes if quote.outcome is DOWN]

    for up, down in itertools.product(ups, downs):
        assert up + down <= params.target_total_max * 10_000 + 1e-6


@given(any_inputs(), PARAMS)
def test_no_combination_of_fills_breaks_the_limit(
    given_inputs: QuoteInputs, params: QuoteParams
) -> None:
    """If every bid of one outcome filled, net inventory would not pass the limit on that side."""
    found = decide(given_inputs, params)
    net = given_inputs.held_up - given_inputs.held_down
    bought = {side: sum(q.size for q in found.quotes if q.outcome is side) for side in Outcome}
    limit = given_inputs.net_limit

    assert not bought[UP] or net + bought[UP] <= limit
    assert not bought[DOWN] or bought[DOWN] - net <= limit


@given(any_inputs(), PARAMS)
def test_what_is_missing_has_a_reason(given_inputs: QuoteInputs, params: QuoteParams) -> None:
    """A side with fewer bids than levels is never silent."""
    found = decide(given_inputs, params)

    for side in Outcome:
        if sum(quote.outcome is side for quote in found.quotes) < params.levels:
            assert any(reason.outcome is side for reason in found.reasons)


@given(any_inputs(), PARAMS, st.integers(0, 400))
def test_longer_up_bids_less_for_up_and_no_less_for_down(
    given_inputs: QuoteInputs, params: QuoteParams, more: int
) -> None:
    """Caps move with inventory in the safe direction only."""
    found = decide(given_inputs, params)
    held = given_inputs.held_up + more * SHARES

    longer = decide(replace(given_inputs, held_up=held), params)

    assert found.cap_up is not None
    assert found.cap_down is not None
    assert longer.cap_up is not None
    assert longer.cap_down is not None
    assert longer.cap_up <= found.cap_up
    assert longer.cap_down >= found.cap_down


@given(any_inputs(), PARAMS, st.integers(1, 400))
def test_heavy_side_price_never_rises(
    given_inputs: QuoteInputs, params: QuoteParams, more: int
) -> None:
    """Holding more Up than before never raises the Up bid nor lowers the Down bid."""
    flat = replace(given_inputs, held_up=0, held_down=0, now_ms=START + 20_000)
    long = replace(flat, held_up=more * SHARES)

    up, up_long = first(decide(flat, params), UP), first(decide(long, params), UP)
    down, down_long = first(decide(flat, params), DOWN), first(decide(long, params), DOWN)

    if up is not None and up_long is not None:
        assert up_long.price <= up.price
    if down is not None and down_long is not None:
        assert down_long.price >= down.price


@given(any_inputs(), PARAMS, st.floats(0.001, 0.4))
def test_a_higher_fair_never_lowers_the_up_cap(
    given_inputs: QuoteInputs, params: QuoteParams, more: float
) -> None:
    """With all risks equal and no dispute, a higher probability is worth more."""
    calm = attrs.evolve(params, disagree_log_odds=5.0, sigma_error=0.0, model_weight_max=0.5)
    assert isinstance(given_inputs.fair, Fair)
    low = replace(given_inputs.fair, v=0.0, q=min(max(given_inputs.fair.q, 0.05), 0.59))
    high = replace(low, q=low.q + more)

    decisions = [decide(replace(given_inputs, fair=each), calm) for each in (low, high)]
    # Even the widest threshold allowed is passed by a market at its very edge.
    assume(all(reason.why is not Why.DISAGREE for each in decisions for reason in each.reasons))

    below, above = (each.cap_up for each in decisions)
    assert below is not None
    assert above is not None
    assert below <= above


@pytest.mark.parametrize(
    "wrong",
    [
        {"levels": 0},
        {"levels": 4},
        {"size_shares": math.nan},
        {"base_edge": -0.01},
        {"size_growth": 2.0},
        {"target_total_max": 1.0},
        {"stop_twap_s": 30.0},
        {"cutoff_candle_s": 90.0},
        {"preopen_s": 15.1},
    ],
)
def test_wrong_settings_are_refused(wrong: dict[str, float]) -> None:
    """Settings outside their range, or a stop later than its cutoff, are refused when read."""
    with pytest.raises(ValueError):
        QuoteParams(**wrong)  # type: ignore[arg-type]
