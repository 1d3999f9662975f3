"""Prices and amounts: exact in, exact out, and everything else refused."""

from __future__ import annotations

from decimal import ROUND_FLOOR, Decimal

import pytest
from hypothesis import given, strategies as st

from polybot.domain.units import (
    LOT,
    ONE,
    SHARE,
    amount_text,
    bought,
    floor_to,
    notional,
    on_grid,
    parse_amount,
    parse_price,
    price_text,
)

MOST = 10**18
VENUE_TICKS = (1000, 100, 50, 25, 10, 1)  # clob.md 3.4

prices = st.integers(0, ONE)
amounts = st.integers(0, MOST)

NO_NUMBERS = (
    "",
    ".",
    " ",
    "-1",
    "-0",
    "+1",
    "NaN",
    "nan",
    "Infinity",
    "1e5",
    "1E-2",
    "0x10",
    "1_000",
    "1,5",
    " 0.5",
    "0.5 ",
    "0.5\n",
    "0.5.5",
    "0..5",
    "٠.٥",  # Arabic-Indic digits
    "०.५",  # Devanagari digits
    "0.5²",
    "½",
    "\uff10.\uff15",  # full-width digits
    "9" * 31,
    "0." + "0" * 40,
)


@given(prices)
def test_a_price_survives_its_text(price: int) -> None:
    """Writing and reading a price gives the same integer, and the text is that decimal."""
    assert parse_price(price_text(price)) == price
    assert Decimal(price_text(price)) == Decimal(price) / ONE


@given(amounts)
def test_an_amount_survives_its_text(amount: int) -> None:
    """Writing and reading an amount gives the same integer, and the text is that decimal."""
    assert parse_amount(amount_text(amount)) == amount
    assert Decimal(amount_text(amount)) == Decimal(amount) / SHARE


@given(st.integers(1, MOST))
def test_a_debt_is_written_with_its_sign(amount: int) -> None:
    """A negative amount is the positive text with a minus, also below one dollar."""
    assert amount_text(-amount) == "-" + amount_text(amount)


@pytest.mark.parametrize("text", NO_NUMBERS)
def test_what_is_no_plain_decimal_is_refused(text: str) -> None:
    """Nothing that another reader could read differently becomes money."""
    with pytest.raises(ValueError):
        parse_price(text)
    with pytest.raises(ValueError):
        parse_amount(text)


@pytest.mark.parametrize("text", ["0.00005", "0.53001", "1.0001", "2", "0.99999"])
def test_a_price_off_the_unit_or_above_one_is_refused(text: str) -> None:
    """A price is never rounded into range or onto the grid."""
    with pytest.raises(ValueError):
        parse_price(text)


@pytest.mark.parametrize("text", ["0.0000001", "1.2345678", "1000000000000.000001"])
def test_an_amount_off_the_unit_or_absurd_is_refused(text: str) -> None:
    """An amount is never rounded, and more than a trillion is a broken message."""
    with pytest.raises(ValueError):
        parse_amount(text)


@pytest.mark.parametrize(
    ("text", "price"),
    [("0", 0), ("1", 10_000), ("1.0000", 10_000), (".53", 5300), ("0.5300000", 5300), ("0.", 0)],
)
def test_the_venues_spellings_of_a_price(text: str, price: int) -> None:
    """Trailing zeros beyond the unit and a missing zero before the point change nothing."""
    assert parse_price(text) == price


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        (0, "0"),
        (1, "0.000001"),
        (21_370_000, "21.37"),
        (10**18, "1000000000000"),
        (-5, "-0.000005"),
    ],
)
def test_amounts_are_written_short(amount: int, text: str) -> None:
    """No exponent, no trailing zero, no lonely point."""
    assert amount_text(amount) == text


def test_a_refusal_does_not_quote_a_whole_message() -> None:
    """The text of an error stays short, whatever the venue sent."""
    with pytest.raises(ValueError, match="expected") as refusal:
        parse_amount("7" * 10_000)

    assert len(str(refusal.value)) < 100


@given(prices, st.integers(0, 10**9))
def test_whole_lots_cost_an_exact_amount(price: int, lots: int) -> None:
    """Price times whole lots needs no rounding at all (clob.md 3.4)."""
    exact = Decimal(price) / ONE * Decimal(lots * LOT) / SHARE

    assert Decimal(notional(price, lots * LOT)) / SHARE == exact


@given(prices, amounts)
def test_any_other_size_is_rounded_down(price: int, shares: int) -> None:
    """A notional is never more than the exact product, and less by under one unit."""
    exact = (Decimal(price) * Decimal(shares) / ONE).to_integral_value(ROUND_FLOOR)

    assert notional(price, shares) == exact


@pytest.mark.parametrize("tick", VENUE_TICKS)
def test_the_grid_is_the_venues(tick: int) -> None:
    """A price is on the grid when it is a multiple of the tick, one tick or more from 0 and 1."""
    valid = [n * tick for n in range(1, ONE // tick)]

    assert [price for price in range(ONE + 1) if on_grid(price, tick)] == valid


@given(st.integers(0, MOST), st.integers(1, 10**6))
def test_floor_is_the_nearest_multiple_below(value: int, step: int) -> None:
    """`floor_to` gives a multiple, not above the value, and the next one is."""
    floor = floor_to(value, step)

    assert floor % step == 0
    assert floor <= value < floor + step


@given(price=st.integers(1, 99).map(lambda cents: cents * 100), lots=st.integers(100, 10_000))
def test_on_whole_cents_the_minimum_is_never_undercut(price: int, lots: int) -> None:
    """On the coarse tick five shares cost whole cents: rounding leaves five of anything above."""
    shares = lots * LOT
    asked = bought(price, shares)

    assert asked <= shares
    assert (asked >= 5 * SHARE) == (shares >= 5 * SHARE)


def test_on_a_fine_tick_five_shares_may_be_less() -> None:
    """5 at 0.585 are 2.925 dollars, of which a taker's buy spends 2.92 (clob.md 3.4)."""
    assert bought(5850, 5 * SHARE) == 4_991_452
    assert bought(5860, 5 * SHARE) == 5 * SHARE
