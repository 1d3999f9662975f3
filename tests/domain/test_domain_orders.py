"""An order as the bid that has its place in the book."""

from __future__ import annotations

import attrs
from hypothesis import given, strategies as st
from ledger_kit import DOWN, MARKET, SELL, UP

from polybot.domain.market import Outcome, Side
from polybot.domain.orders import FillLeg, NewOrder, as_bid
from polybot.domain.units import ONE, SHARE

PRICES = st.integers(1, 99).map(lambda cents: 100 * cents)


def test_selling_up_is_bidding_for_down() -> None:
    """At one minus its price: the venue shows both in the same place (feeds.md 2.3)."""
    ask = NewOrder(MARKET, UP, SELL, 5200, 10 * SHARE)

    assert (ask.toward, ask.bid_price) == (DOWN, 4800)
    assert ask.selling
    assert ask.token == MARKET.up_token, "what it binds is what it sells"


@given(PRICES, st.sampled_from(Outcome), st.sampled_from(Side))
def test_an_order_and_its_twin_have_one_place(price: int, outcome: Outcome, side: Side) -> None:
    """Whatever it is written as, and as a bid it is itself (feeds.md 2.3)."""
    order = NewOrder(MARKET, outcome, side, price, 10 * SHARE)

    assert as_bid(outcome, side, price) == (order.toward, order.bid_price)
    other = Side.SELL if side is Side.BUY else Side.BUY
    twin = attrs.evolve(order, outcome=outcome.other, side=other, price=ONE - price)
    assert (twin.toward, twin.bid_price) == (order.toward, order.bid_price)


def test_dust_is_spent_with_the_shares() -> None:
    """What a taker's makers leave of a whole dollar a pair it pays on top of price times shares, or
    keeps (clob.md 3.2).
    """
    for dust in (-1, 0, 1):
        leg = FillLeg("0x1", MARKET.up_token, Side.BUY, 5_000, 10 * SHARE, maker=False, dust=dust)
        assert leg.dollars == 5 * SHARE + dust
