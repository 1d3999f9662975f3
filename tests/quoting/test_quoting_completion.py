"""Completion: golden values, stages, and what no plan may ever do."""

from __future__ import annotations

import math
from typing import Any

import attrs
import pytest
from hypothesis import given, strategies as st
from market_kit import BTC_5M, FEES

from polybot.domain.market import Outcome
from polybot.domain.orders import TimeInForce
from polybot.domain.units import CENT, bought, notional
from polybot.quoting.completion import (
    Held,
    Stage,
    Take,
    Unpaired,
    all_in,
    plan,
    relieve,
    stage_of,
    urgency,
    worth_taking,
)
from polybot.quoting.params import CompletionParams

SHARE = 1_000_000
START = BTC_5M.start_ms
MARKET = attrs.evolve(BTC_5M, up_token="1", down_token="2")
FINE = attrs.evolve(MARKET, tick=10)
PARAMS = CompletionParams()
GAMMA = 0.002


def long_up(shares: int = 100, *, left_s: float = 20.0, **changes: Any) -> Unpaired:
    """Long Up at even odds, with Down offered at 0.50 and 0.52, sixty shares each."""
    offers = ((5000, 60 * SHARE), (5200, 60 * SHARE))
    made = Unpaired(MARKET, shares * SHARE, shares * SHARE, 0.5, offers, left_s, 60.0)
    return attrs.evolve(made, **changes)


def planned(unpaired: Unpaired, params: CompletionParams = PARAMS) -> Take | Held:
    return plan(unpaired, GAMMA, params)


# --- formulas -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cost", "price"),
    [(0.40, 0.5830), (0.45, 0.5326), (0.48, 0.5025), (0.50, 0.4825), (0.55, 0.4328)],
)
def test_break_even_prices_are_those_of_the_table(cost: float, price: float) -> None:
    """P + fP(1−P) = 1 − c (strategy.md 7, no tolerated loss), to its four digits."""
    below, above = (all_in(round(10_000 * price) + step, FEES) for step in (-1, 1))

    assert below < 1 - cost < above


def test_the_optimal_holding_is_that_of_the_reference() -> None:
    """q = 0.56 at 0.52, γ = 0.001: 161 shares are held (strategy.md 5.1), the rest is paired."""
    assert 400 - worth_taking(0.56, 0.001, 400, 0.48) == pytest.approx(161, abs=0.5)
    assert 400 - worth_taking(0.44, 0.001, -400, 0.48) == pytest.approx(161, abs=0.5)


def certainty_equivalent(q: float, gamma: float, net: float) -> float:
    """Dollars that shares Up are worth for sure: strategy.md 5.1."""
    return -math.log1p(q * math.expm1(-gamma * net)) / gamma


@given(st.floats(0.05, 0.95), st.integers(-300, 300), st.floats(0.02, 0.98), st.floats(1e-3, 0.02))
def test_no_other_number_of_shares_is_worth_more(
    q: float, net: int, cost: float, gamma: float
) -> None:
    """Brute force over the certainty equivalent of what is left, and a dollar for each pair."""
    heavy, held = (q, net) if net > 0 else (1 - q, -net)

    def gain(shares: float) -> float:
        return shares * (1 - cost) + certainty_equivalent(heavy, gamma, held - shares)

    chosen = worth_taking(q, gamma, net, cost)
    assert 0 <= chosen <= held
    assert all(gain(chosen) >= gain(shares) - 1e-7 for shares in range(held + 1))


def test_without_risk_aversion_it_is_all_or_nothing() -> None:
    """Then a share is worth its fair price, however many there are."""
    assert worth_taking(0.6, 0.0, 100, 0.39) == 100
    assert worth_taking(0.6, 0.0, 100, 0.41) == 0
    assert worth_taking(0.4, 0.0, -100, 0.39) == 100
    assert worth_taking(0.6, 0.002, 100, 1.0) == 0


def test_an_offer_for_nothing_ends_nothing() -> None:
    """A book may show an ask at nought. Once waiting is worth nothing its cost had no log-odds,
    which ended the program with a position open. No order can have that price.
    """
    free, behind = (0, 10 * SHARE), (4500, 60 * SHARE)
    found = planned(long_up(left_s=4, offers=(free, behind)))

    assert isinstance(found, Take)
    assert found.price == 4500
    assert planned(long_up(left_s=4, offers=(free,))) is Held.DEAR
    assert worth_taking(0.5, 0.0, -100, 0.0) == 100


def test_urgency_grows_to_the_last_call() -> None:
    """Zero at the stop, one from the last call on, slowly first."""
    seen = [urgency(left, 60.0, PARAMS) for left in (60, 45, 30, 15, 5, 0)]

    assert seen[0] == urgency(75, 60.0, PARAMS) == 0
    assert urgency(32.5, 60.0, PARAMS) == pytest.approx(0.25)
    assert seen[-2:] == [1, 1]
    assert seen == sorted(seen)
    assert urgency(1.0, 3.0, PARAMS) == 1, "a window that is all last call"


def test_stages_follow_urgency() -> None:
    """A minute between stop and cutoff: patience, slices, all, last call."""
    at = {left: stage_of(urgency(left, 60.0, PARAMS), left, PARAMS) for left in (50, 25, 8, 5)}

    assert at == {50: Stage.LOW, 25: Stage.MEDIUM, 8: Stage.HIGH, 5: Stage.LAST}


# --- plans ----------------------------------------------------------------------------------------


def test_slices_first_then_all_then_a_last_call() -> None:
    """Long 100 Up: 25 shares, then what is worth it, then that or nothing."""
    assert planned(long_up(left_s=25)) == Take(
        Outcome.DOWN, TimeInForce.FAK, 5000, 25 * SHARE, Stage.MEDIUM
    )
    high = planned(long_up(left_s=8))
    assert isinstance(high, Take)
    assert (high.tif, high.stage, high.price) == (TimeInForce.FAK, Stage.HIGH, 5000)
    assert high.size == 60 * SHARE, "forty shares Up are not worth 0.52 and a fee to be rid of"
    last = planned(long_up(left_s=4))
    assert isinstance(last, Take)
    assert last.tif is TimeInForce.FOK
    assert last.size == 60 * SHARE, "never more than is offered: a FOK would be killed"


def test_a_slice_is_the_least_that_can_be_taken_and_no_more_than_is_confirmed() -> None:
    """A quarter of twelve is too little for the venue; of three confirmed ones five are too many.
    The rest of the position is far over its risk, so that all of it is worth its price.
    """
    offers = ((4000, 60 * SHARE),)
    slice_ = planned(long_up(12, left_s=25, net_told=400 * SHARE, offers=offers))
    assert isinstance(slice_, Take)
    assert (slice_.stage, slice_.size) == (Stage.MEDIUM, 5 * SHARE)

    few = long_up(400, left_s=25, net_confirmed=3 * SHARE, offers=offers)
    assert planned(few) is Held.SMALL


@pytest.mark.parametrize(
    ("confirmed", "told", "shares"),
    [(100, 60, 60), (60, 100, 60), (-100, -60, 60), (-60, -100, 60), (100, -60, 0), (0, 60, 0)],
)
def test_what_may_be_paired_is_confirmed_and_still_there(
    confirmed: int, told: int, shares: int
) -> None:
    """Fills that are not confirmed yet may be alone tomorrow, and those told may have paired it."""
    seen = long_up(net_confirmed=confirmed * SHARE, net_told=told * SHARE)

    assert seen.shares == shares * SHARE
    assert seen.missing is (Outcome.DOWN if told > 0 else Outcome.UP)


def test_only_as_much_as_is_worth_it() -> None:
    """At 0.50 and a fee of 1.75 c the last 35 shares are kept: their risk costs less."""
    found = planned(long_up(left_s=4, offers=((5000, 200 * SHARE),)))

    assert isinstance(found, Take)
    assert found.size / SHARE == pytest.approx(100 - 0.07004 / GAMMA, abs=0.05)


def test_the_value_of_waiting_is_taken_off() -> None:
    """W = (1 − urgency) · W₀ (strategy.md 7): a share at 0.48 whose fee makes it 0.4975 is worth
    taking at the last call, and earlier only while waiting is worth less than the difference.
    """
    patient = CompletionParams(wait_value=0.05)
    offers = ((4800, 200 * SHARE),)
    sizes = {}
    for left_s in (25, 8, 4):
        waiting = (1 - urgency(left_s, 60.0, patient)) * 0.05
        found = planned(
            long_up(left_s=left_s, offers=offers), attrs.evolve(patient, slice_fraction=1.0)
        )
        worth = worth_taking(0.5, GAMMA, 100, all_in(4800, FEES) + waiting)
        assert isinstance(found, Take)
        assert found.size / SHARE == pytest.approx(worth, abs=0.05)
        sizes[left_s] = found.size
    assert sizes[25] < sizes[8] < sizes[4] == 100 * SHARE


def test_a_walk_through_levels_spends_what_it_costs() -> None:
    """60 at 0.40 and 40 at 0.42 cost $40.80: 97.14 shares at the worst price, so that the venue,
    which fills a taker's buy by dollars, gives 100 and no more.
    """
    offers = ((4000, 60 * SHARE), (4200, 60 * SHARE))
    found = planned(long_up(left_s=8, offers=offers))

    assert isinstance(found, Take)
    assert (found.price, found.size) == (4200, 97_140_000)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"net_told": 0}, Held.PAIRED),
        ({"net_confirmed": 0}, Held.PROVISIONAL),
        ({"net_confirmed": -SHARE}, Held.PROVISIONAL),
        ({"pending": True}, Held.PENDING),
        ({"post_only": True}, Held.POST_ONLY),
        ({"to_cutoff_s": 50.0}, Held.PATIENT),
        ({"offers": ()}, Held.NO_OFFER),
        ({"q": 0.7}, Held.DEAR),
        ({"net_confirmed": 4 * SHARE}, Held.SMALL),
        ({"offers": ((5000, 3 * SHARE),)}, Held.SMALL),
        ({"q": 0.95, "offers": ((300, 10 * SHARE),)}, Held.SMALL),
    ],
)
def test_nothing_is_taken(changes: dict[str, Any], reason: Held) -> None:
    """Each reason by itself. The last: ten shares at three cents are below the venue's dollar."""
    assert planned(long_up(left_s=8, **({} | changes))) is reason


def test_the_last_five_shares_are_taken_on_fine_ticks_too() -> None:
    """Five at 0.415 cost 2.075 dollars, of which a taker's buy spends 2.07 for 4.99 shares, below
    the minimum (clob.md 3.4): at a limit of 0.416 it spends 2.08, and the offer is the same.
    """
    last: dict[str, Any] = {
        "net_confirmed": 5 * SHARE,
        "market": FINE,
        "offers": ((4150, 60 * SHARE),),
    }
    found = planned(long_up(left_s=8, **last))

    assert isinstance(found, Take)
    assert (found.price, found.size) == (4160, 5 * SHARE)


def test_an_offer_between_the_ticks_is_reached_by_the_next_price() -> None:
    """A tick that has grown leaves what rested on the finer one where it was: a limit of 0.5145
    would be refused until the cutoff. That of 0.52 spends what the offers cost, and takes only what
    is worth 0.52.
    """
    offers = ((5100, 5 * SHARE), (5145, 200 * SHARE))
    dear = worth_taking(0.5, GAMMA, 100, all_in(5200, FEES))
    found = planned(long_up(left_s=4, offers=offers))

    assert isinstance(found, Take)
    assert found.price == 5200
    spent = notional(5100, 5 * SHARE) + notional(5145, int(dear * SHARE) - 5 * SHARE)
    assert notional(5200, found.size) == pytest.approx(spent, abs=10_000)
    relief = relieve(long_up(offers=offers), 10 * 10**6, 0.03)
    assert isinstance(relief, Take)
    assert relief.price == 5100, "at 0.52 and a fee it is dearer than relief pays"
    paid = relieve(long_up(offers=offers), 10 * 10**6, 0.05)
    assert isinstance(paid, Take)
    assert paid.price == 5200
    assert planned(long_up(left_s=4, q=0.03, offers=((9950, 200 * SHARE),))) is Held.DEAR


@given(
    price=st.integers(1, 999).map(lambda n: 10 * n),
    shares=st.integers(5 * SHARE, 40 * SHARE).map(lambda n: n - n % 10_000),
)
def test_whole_cents_never_make_five_shares_too_few(price: int, shares: int) -> None:
    """On every price of a fine tick, and for at most a cent more than the offer costs."""
    offers = ((price, shares),)
    here: dict[str, Any] = {
        "market": FINE,
        "offers": offers,
        "net_confirmed": shares,
        "net_told": shares,
    }
    found = relieve(long_up(**{"q": 0.5, **here}), 10**12, 0.5)
    if isinstance(found, Take):
        spent = bought(found.price, found.size) * found.price // 10_000
        assert bought(found.price, found.size) >= MARKET.min_size
        assert spent <= notional(price, shares) + CENT
    else:
        assert notional(price, shares) < 1_010_000 or price > 9_000


def test_a_position_whose_twin_became_dear_is_held() -> None:
    """Fair moved against us: completing would lock in more than holding risks (strategy.md 7)."""
    assert planned(long_up(left_s=4, q=0.2, offers=((8300, 200 * SHARE),))) is Held.DEAR
    assert isinstance(planned(long_up(left_s=4, q=0.2, offers=((8000, 200 * SHARE),))), Take)


@given(
    net=st.integers(-300, 300),
    unconfirmed=st.integers(-50, 50),
    q=st.floats(0.03, 0.97),
    offers=st.lists(st.tuples(st.integers(1, 99), st.integers(1, 200)), max_size=4),
    left_s=st.floats(0, 60),
    tick=st.sampled_from([10, 100]),
)
def test_what_no_plan_may_do(
    net: int,
    unconfirmed: int,
    q: float,
    offers: list[tuple[int, int]],
    left_s: float,
    tick: int,
) -> None:
    """Flip the position, count provisional shares, pay more than the block is worth, or send what
    the venue refuses.
    """
    asks = tuple(sorted({price * 100: size * SHARE for price, size in offers}.items()))
    told = (net + unconfirmed) * SHARE
    unpaired = Unpaired(
        attrs.evolve(MARKET, tick=tick), net * SHARE, told, q, asks, left_s, 60.0
    )  # fmt: skip
    found = planned(unpaired)
    if isinstance(found, Held):
        return
    assert found.outcome is (Outcome.DOWN if told > 0 else Outcome.UP)
    assert 5 * SHARE <= found.size <= min(abs(net) * SHARE, abs(told))
    assert found.size % 10_000 == 0
    assert found.price in dict(asks)
    assert found.price * found.size // 10_000 >= SHARE
    reached = sum(size for price, size in asks if price <= found.price)
    assert found.size <= reached
    assert worth_taking(q, GAMMA, told / SHARE, all_in(found.price, FEES)) > 0


def test_parameters_that_contradict_each_other_are_refused() -> None:
    """Slices cannot begin after everything is taken at once."""
    with pytest.raises(ValueError, match="medium_from"):
        CompletionParams(medium_from=0.8, high_from=0.5)
