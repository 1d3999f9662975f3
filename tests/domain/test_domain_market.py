"""Markets: which token is which outcome, and what a taker pays."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal

import pytest
from hypothesis import given, strategies as st

from polybot.domain.market import FeeSchedule, Market, Outcome, TwapPair, taker_fee
from polybot.domain.units import ONE, SHARE

CRYPTO = FeeSchedule(rate_ppm=70_000, exponent=1, rebate_ppm=200_000)  # clob.md 6.1
MARKET = Market(
    series="btc-5m",
    slug="btc-updown-5m-1790000100",
    condition_id="0xc",
    up_token="111",
    down_token="222",
    start_ms=1_790_000_100_000,
    end_ms=1_790_000_400_000,
    rule=TwapPair("btcusd", 60),
    tick=100,
    min_size=5 * SHARE,
    fees=CRYPTO,
)

prices = st.integers(1, ONE - 1)
sizes = st.integers(0, 10**12)
schedules = st.builds(
    FeeSchedule, st.integers(0, 1_000_000), st.integers(0, 3), st.integers(0, 1_000_000)
)


def test_tokens_and_outcomes_are_one_map() -> None:
    """Each outcome's token leads back to it, and they are not the same."""
    assert MARKET.token(Outcome.UP) == "111"
    assert MARKET.token(Outcome.DOWN) == "222"
    assert [MARKET.outcome_of(MARKET.token(outcome)) for outcome in Outcome] == list(Outcome)


def test_another_markets_token_has_no_outcome_here() -> None:
    """A foreign token is an error, never a guess (F12)."""
    with pytest.raises(KeyError):
        MARKET.outcome_of("333")


def test_the_other_of_the_other_is_itself() -> None:
    """Up and Down are each other's other."""
    assert Outcome.UP.other is Outcome.DOWN
    assert all(outcome.other.other is outcome for outcome in Outcome)


def test_the_length_of_a_window_is_in_seconds() -> None:
    """A five-minute window is 300 s."""
    assert MARKET.length_s == 300


@pytest.mark.parametrize(
    ("price", "shares", "fee"),
    [
        (5000, 100, 1_750_000),  # clob.md 6.1
        (1000, 100, 630_000),  # clob.md 6.1
        (6400, 25, 403_200),  # feeds.md 4.7, checked on chain
        (5050, 40, 699_930),  # strategy.md 15: 0.699930
    ],
)
def test_the_published_fees(price: int, shares: int, fee: int) -> None:
    """The venue's own worked figures come out to the micro-dollar."""
    assert taker_fee(CRYPTO, price, shares * SHARE) == fee


@pytest.mark.parametrize(("shares", "fee"), [(285, 0), (286, 10), (0, 0)])
def test_the_smallest_fee_is_one_grid_step(shares: int, fee: int) -> None:
    """Below half of 10⁻⁵ dollars nothing is charged (clob.md 6.1)."""
    assert taker_fee(CRYPTO, 5000, shares) == fee


@given(schedules, prices, sizes)
def test_fees_are_the_formula_rounded_half_up(fees: FeeSchedule, price: int, shares: int) -> None:
    """fee = C · r · (p(1-p))^e on the grid of 10⁻⁵, ties up (clob.md 6.1)."""
    p, c = Decimal(price) / ONE, Decimal(shares) / SHARE
    exact = c * Decimal(fees.rate_ppm) / 10**6 * (p * (1 - p)) ** fees.exponent
    rounded = exact.quantize(Decimal("0.00001"), ROUND_HALF_UP)

    assert Decimal(taker_fee(fees, price, shares)) / SHARE == rounded


@given(prices, sizes)
def test_both_outcomes_pay_the_same_fee(price: int, shares: int) -> None:
    """The curve is symmetric: buying Up at p costs the fee of Down at 1 - p."""
    assert taker_fee(CRYPTO, price, shares) == taker_fee(CRYPTO, ONE - price, shares)
