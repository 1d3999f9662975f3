"""Quotes as orders: made once, and made anew when anything about them is new."""

from __future__ import annotations

import attrs
from hypothesis import given, strategies as st
from market_kit import BTC_5M

from polybot.domain.market import DOWN, UP, Market, Side
from polybot.domain.orders import NewOrder, TimeInForce
from polybot.domain.units import ONE, SHARE
from polybot.quoting.model import Quote
from polybot.quoting.orders import KEPT, OrderMaker

GTC, GTD = TimeInForce.GTC, TimeInForce.GTD
LADDER = (Quote(UP, 4800, 10 * SHARE, 0), Quote(DOWN, 4700, 10 * SHARE, 0))
ASK = Quote(UP, 5300, 10 * SHARE, 1, Side.SELL)

quotes = st.builds(
    Quote,
    st.sampled_from((UP, DOWN)),
    st.integers(1, 99).map(lambda cents: cents * 100),
    st.integers(5, 40).map(lambda shares: shares * SHARE),
    st.integers(0, 2),
    st.sampled_from(Side),
)
terms = st.sampled_from(((GTC, 0), (GTD, 1_790_000_340), (GTD, 1_790_000_400)))
markets = st.sampled_from((BTC_5M, attrs.evolve(BTC_5M, tick=10)))


@given(st.lists(st.tuples(st.lists(quotes, max_size=6), terms, markets), max_size=12))
def test_an_order_is_its_quote_whatever_was_made_before(
    asked: list[tuple[list[Quote], tuple[TimeInForce, int], Market]],
) -> None:
    """One maker, asked again and again for other ladders, terms and ticks, never gives an old order
    for a new quote.
    """
    maker = OrderMaker()
    for ladder, (tif, expires_s), market in asked:
        made = maker.orders(market, tuple(ladder), tif, expires_s)

        assert made == tuple(
            NewOrder(market, o, side, price, size, tif, expires_s=expires_s, level=level)
            for o, price, size, level, side in ladder
        )


def test_what_is_wanted_again_is_the_same_object() -> None:
    """The whole ladder while it stands, and each of its orders when it comes back."""
    maker = OrderMaker()
    first = maker.orders(BTC_5M, LADDER, GTC, 0)
    assert maker.orders(BTC_5M, tuple(LADDER), GTC, 0) is first

    moved = maker.orders(BTC_5M, (ASK, LADDER[1]), GTC, 0)
    assert moved[1] is first[1]
    assert maker.orders(BTC_5M, LADDER, GTC, 0)[0] is first[0]


def test_a_new_tick_or_end_makes_new_orders() -> None:
    """Orders carry their market and their end: of another one none is given again."""
    maker = OrderMaker()
    first = maker.orders(BTC_5M, LADDER, GTD, 1_790_000_340)
    fine = attrs.evolve(BTC_5M, tick=10)

    assert maker.orders(fine, LADDER, GTD, 1_790_000_340)[0].market is fine
    assert maker.orders(fine, LADDER, GTC, 0)[0].tif is GTC
    assert first[0].market is BTC_5M


def test_memory_is_bounded() -> None:
    """Sizes that fade make new quotes at every decision of a window."""
    maker = OrderMaker()
    for n in range(3 * KEPT):
        maker.orders(BTC_5M, (Quote(UP, ONE // 2, 10 * SHARE + n, 0),), GTC, 0)

    assert len(maker._made) <= KEPT + 1
