"""What is held over a limit on losses is paired down to it: how much, at which price, when not."""

from __future__ import annotations

from typing import Any

import attrs
import pytest
from hypothesis import given, strategies as st
from msgspec.structs import replace
from test_quoting_completion import MARKET, SHARE, long_up
from test_quoting_decide import DOWN, SHARES, START, TWAP, UP, book, fair, inputs, whys

from polybot.domain.market import Outcome
from polybot.domain.market_states import MarketState
from polybot.domain.orders import TimeInForce
from polybot.domain.units import USD, notional
from polybot.pricing.fair import Fair
from polybot.quoting.completion import Held, Stage, Take, all_in, relieve
from polybot.quoting.decide import decide
from polybot.quoting.model import Decision, QuoteInputs
from polybot.quoting.params import CompletionParams, QuoteParams
from polybot.quoting.reasons import Reason, Why
from polybot.risk.checks import Limit, Over

PARAMS, ON = QuoteParams(levels=1), CompletionParams()
OVER = Over(Limit.CLUSTER_LOSS, 10 * USD)


def held(
    *, over: Over | None = OVER, q: Fair | None = None, offer: int = 5000, **changes: Any
) -> QuoteInputs:
    """A hundred Up held, all confirmed, a minute into the window, with Down at `offer`."""
    seen = book(10_000 - offer, 10_200 - offer, 400 * SHARES)
    made = inputs(seen, at_s=60.0, held_up=100 * SHARES, q=q or fair(0.51))
    return replace(made, **{"net_confirmed": 100 * SHARES, "over": over, **changes})


def decided(seen: QuoteInputs, completion: CompletionParams = ON) -> Decision:
    return decide(seen, PARAMS, completion)


# --- how much -------------------------------------------------------------------------------------


def test_so_many_are_taken_that_the_loss_falls_to_the_limit() -> None:
    """Each share of Down at 0.50 costs 0.5175 with its fee and saves 0.4825 should Down win: ten
    dollars are 20.73 shares (strategy.md 8.1, 14).
    """
    found = relieve(long_up(), 10 * USD, 0.03)

    assert found == Take(DOWN, TimeInForce.FAK, 5000, 20_720_000, Stage.RELIEF)
    assert notional(5000, found.size) + 10 * USD <= found.size + 200_000


def test_no_more_is_taken_than_is_unpaired() -> None:
    """However far over the limit: the position is paired, never turned around."""
    found = relieve(long_up(30), 1_000 * USD, 0.03)

    assert isinstance(found, Take)
    assert found.size == 30 * SHARE


def test_a_small_excess_takes_what_the_venue_takes_at_least() -> None:
    """Five shares for one dollar: a smaller order would be refused (clob.md 3.4)."""
    found = relieve(long_up(), USD, 0.03)

    assert isinstance(found, Take)
    assert found.size == MARKET.min_size


def test_only_what_is_near_its_fair_price_is_taken() -> None:
    """Offers at 0.50 and 0.52 while Down is worth 0.50: with three cents to spare only the first,
    fee included; with none, nothing.
    """
    most = relieve(long_up(), 1_000 * USD, 0.03)

    assert isinstance(most, Take)
    assert (most.price, most.size) == (5000, 60 * SHARE)
    assert relieve(long_up(), 1_000 * USD, 0.0) is Held.DEAR


def test_a_walk_through_levels_counts_what_each_of_them_saves() -> None:
    """Ten at 0.50 save 4.825 dollars, and 11.19 at 0.52 and its fee the other 5.175: $10.818 buy
    20.80 at the worst price. What is offered beyond that is left alone, as is what is not missing.
    """
    offers = ((5000, 10 * SHARE), (5200, 60 * SHARE), (5300, 60 * SHARE))
    found = relieve(long_up(offers=offers), 10 * USD, 0.06)
    assert found == Take(DOWN, TimeInForce.FAK, 5200, 20_800_000, Stage.RELIEF)

    all_of_it = relieve(long_up(30, offers=offers), 1_000 * USD, 0.06)
    assert isinstance(all_of_it, Take)
    assert (all_of_it.price, all_of_it.size) == (5200, 29_610_000)


@pytest.mark.parametrize(
    ("net", "offer", "found"),
    [(100, 2100, DOWN), (100, 2300, None), (-100, 8100, UP), (-100, 8300, None)],
)
def test_the_fair_price_is_that_of_the_missing_side(
    net: int, offer: int, found: Outcome | None
) -> None:
    """With Up at 0.80 Down is worth 0.20; three cents more may be paid, fee included."""
    offers = ((offer, 60 * SHARE),)
    taken = relieve(long_up(net, q=0.8, offers=offers), 10 * USD, 0.03)

    assert (taken.outcome if isinstance(taken, Take) else None) is found


def test_an_offer_at_a_dollar_saves_nothing() -> None:
    """A broken book; what is all but certain may cost nearly as much."""
    offers = ((10_000, 60 * SHARE),)

    assert relieve(long_up(-100, q=0.99, offers=offers), 10 * USD, 0.05) is Held.DEAR


@pytest.mark.parametrize(
    ("changes", "held"),
    [
        ({"post_only": True}, Held.POST_ONLY),
        ({"net_confirmed": 0}, Held.PROVISIONAL),
        ({"pending": True}, Held.PENDING),
        ({"offers": ()}, Held.NO_OFFER),
        ({"net_confirmed": 3 * SHARE}, Held.SMALL),
    ],
)
def test_when_nothing_can_be_taken_it_says_why(changes: dict[str, Any], held: Held) -> None:
    """Never while the venue takes resting orders only, never for shares that are not confirmed."""
    assert relieve(long_up(**changes), 10 * USD, 0.03) is held


@given(
    confirmed=st.integers(-200 * SHARE, 200 * SHARE),
    told=st.integers(-200 * SHARE, 200 * SHARE),
    dollars=st.integers(1, 200 * USD),
    offers=st.lists(st.tuples(st.integers(1, 99), st.integers(1, 300)), max_size=5),
    pay=st.floats(0, 0.5),
)
def test_no_plan_turns_the_position_or_overpays(
    confirmed: int, told: int, dollars: int, offers: list[tuple[int, int]], pay: float
) -> None:
    """Whatever is held and offered: confirmed shares alone, at the fair price and `pay` at most."""
    book = tuple(sorted((100 * price, size * SHARE) for price, size in offers))
    seen = attrs.evolve(long_up(), net_confirmed=confirmed, net_told=told, offers=book)
    found = relieve(seen, dollars, pay)
    if isinstance(found, Take):
        assert found.outcome is seen.missing
        assert MARKET.min_size <= found.size <= seen.shares
        assert all_in(found.price, MARKET.fees) <= 0.5 + pay + 1e-9


# --- in a decision --------------------------------------------------------------------------------


def test_over_a_limit_only_the_light_side_is_quoted_and_taken() -> None:
    """At any time of the window: what is too much is taken, its rest bid for, and nothing added."""
    found = decided(held())

    assert found.take is not None
    assert found.take.stage is Stage.RELIEF
    assert {quote.outcome for quote in found.quotes} == {DOWN}
    assert sum(quote.size for quote in found.quotes) <= 100 * SHARES - found.take.size
    told = (("limit", "cluster loss limit"), ("over", "10"))
    assert Reason(Why.OVER_LIMIT, UP, told) in found.reasons


def test_our_own_bids_for_the_missing_side_go_first() -> None:
    """The two together could turn the position around."""
    found = decided(held(own={(DOWN, 4800): 90 * SHARES}))

    assert found.take is None
    assert Why.YIELDING in whys(found)


def test_why_nothing_is_taken_is_told() -> None:
    """A venue that takes resting orders only: the light side is still bid for."""
    found = decided(held(post_only=True))

    assert found.take is None
    assert Held.POST_ONLY in whys(found)
    assert {quote.outcome for quote in found.quotes} == {DOWN}


def test_within_all_limits_nothing_is_taken_before_the_stop() -> None:
    """The same position, and a limit that holds."""
    found = decided(held(over=None))

    assert found.take is None
    assert Why.OVER_LIMIT not in whys(found)


@pytest.mark.parametrize("off", [CompletionParams(relieve=False), CompletionParams(enabled=False)])
def test_nothing_is_relieved_where_the_operator_wants_it_not(off: CompletionParams) -> None:
    """`[completion] relieve = false`, or no completion at all: the firewall alone keeps limits."""
    assert decided(held(), off) == decided(held(over=None), off)


@pytest.mark.parametrize("down", [5100, 5300])
def test_past_the_stop_a_limit_takes_nothing_away_from_completion(down: int) -> None:
    """In the last call, at even odds: what is ten dollars too much is twenty shares at 0.51, and
    nothing at 0.53 and a fee, which is dearer than relief pays. Within all limits more was taken,
    and it still is; a larger excess takes more than that.
    """
    late = replace(held(q=fair(0.5), over=None, offer=down), now_ms=START + 236_000)
    late = replace(late, state=MarketState.REDUCE)
    usual = decided(late).take
    assert usual is not None
    assert usual.stage is Stage.LAST

    assert decided(replace(late, over=OVER)).take == usual
    far = decided(replace(late, over=Over(Limit.CLUSTER_LOSS, 40 * USD))).take
    assert far is not None
    assert far.stage is (Stage.RELIEF if down == 5100 else Stage.LAST)
    before = replace(late, over=OVER, state=MarketState.QUOTING)
    found = decided(before).take
    assert found is None or found.stage is Stage.RELIEF, "only past the stop"


def test_nothing_is_taken_before_the_window_begins() -> None:
    """Quotes may be allowed so early, what takes is not (strategy.md 13)."""
    early = held(state=MarketState.PREOPEN, now_ms=TWAP.start_ms - 5_000)
    opened = replace(early, table=attrs.evolve(early.table, opens_ms=early.now_ms))

    assert decided(opened).take is None
    assert Why.OVER_LIMIT not in whys(decided(opened))
