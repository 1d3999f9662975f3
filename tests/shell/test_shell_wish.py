"""From a decision to orders: rounded to the safe side, with a backstop while GTD reaches."""

from __future__ import annotations

import attrs
import pytest
from desk_kit import MARKET, START
from msgspec.structs import replace

from polybot.domain.market import Candle, Market, Outcome, Side
from polybot.domain.orders import TimeInForce
from polybot.domain.units import SHARE
from polybot.execution.wish import Desired
from polybot.market_times import cutoff_ms
from polybot.pricing.fair import Caution, WhyNoFair
from polybot.quoter import wish as wish_until
from polybot.quoting.completion import Held
from polybot.quoting.model import Decision, Quote
from polybot.quoting.orders import OrderMaker
from polybot.quoting.params import QuoteParams
from polybot.quoting.reasons import Reason, Why

PARAMS = QuoteParams()
UP, DOWN = Outcome.UP, Outcome.DOWN
HOUR = attrs.evolve(MARKET, rule=Candle("BTCUSDT", "1h"), end_ms=START + 3_600_000)


def wish(
    market: Market,
    decision: Decision,
    params: QuoteParams,
    now_ms: int,
    percent: int = 0,
    maker: OrderMaker | None = None,
) -> Desired:
    """A wish of a window with the cutoff of these parameters."""
    last_ms = market.end_ms - cutoff_ms(market, params)
    return wish_until(market, decision, last_ms, now_ms, percent, maker)


def decided(price: int = 4800, fair: float | None = 0.5) -> Decision:
    quotes = (Quote(UP, price, 10 * SHARE, 0), Quote(DOWN, price - 100, 12 * SHARE, 1))
    return Decision(quotes, (), fair, 0.5, 0.01, 4900, 4900, 9900)


def test_quotes_become_post_only_bids() -> None:
    """Outcome, price, size and level are the quote's; every order is a post-only BUY."""
    made = wish(MARKET, decided(), PARAMS, START)

    assert [(o.outcome, o.price, o.size, o.level) for o in made.orders] == [
        (UP, 4800, 10 * SHARE, 0),
        (DOWN, 4700, 12 * SHARE, 1),
    ]
    assert all(o.side is Side.BUY and o.post_only and o.market is MARKET for o in made.orders)
    assert (made.cap_up, made.cap_down) == (4900, 4900)
    assert (made.pair_cap, made.fair_up) == (9900, 5000)


def test_an_ask_becomes_a_post_only_sale() -> None:
    """Of its own token at its own price, with the same death at the cutoff (clob.md 3.9)."""
    quote = Quote(UP, 5300, 10 * SHARE, 1, Side.SELL)
    (made,) = wish(MARKET, replace(decided(), quotes=(quote,)), PARAMS, START).orders
    bid = wish(MARKET, decided(), PARAMS, START).orders[0]

    assert (made.outcome, made.side, made.price, made.size) == (UP, Side.SELL, 5300, 10 * SHARE)
    assert made.post_only
    assert (made.tif, made.expires_s) == (bid.tif, bid.expires_s)


def test_caps_belong_to_their_outcome() -> None:
    """Up's cap never stands in for Down's."""
    made = wish(MARKET, replace(decided(), cap_up=6100, cap_down=3700), PARAMS, START)

    assert (made.cap(UP), made.cap(DOWN)) == (6100, 3700)


@pytest.mark.parametrize(
    ("tick", "percent", "hold"), [(100, 30, 0), (10, 30, 30), (10, 100, 100), (10, 0, 0)]
)
def test_part_of_the_edge_is_not_worth_a_queue_place(tick: int, percent: int, hold: int) -> None:
    """0.3 of an edge of one cent is three ticks of a tenth, and less than one of a cent
    (strategy.md 6.2, 6).
    """
    market = attrs.evolve(MARKET, tick=tick)

    assert wish(market, decided(), PARAMS, START, percent).hold == hold


@pytest.mark.parametrize("decision", [Decision((), ()), decided(fair=None)])
def test_nothing_decided_is_nothing_wanted(decision: Decision) -> None:
    """Without quotes, or without a fair price to hold them against, nothing rests."""
    assert wish(MARKET, decision, PARAMS, START) == Desired(cause="no quote")


@pytest.mark.parametrize("why", [Why.CUTOFF, WhyNoFair.ORACLE_STALE])
def test_the_first_reason_is_the_cause(why: Why | WhyNoFair) -> None:
    """What withdraws the orders is told with its reason."""
    reasons = (Reason(why), Reason(Why.NO_BOOK, UP))

    assert wish(MARKET, Decision((), reasons), PARAMS, START) == Desired(cause=why.value)


@pytest.mark.parametrize("said", [Caution.JUMP, Why.UNSURE, Why.UNPROVEN, Held.PATIENT])
def test_what_withholds_nothing_is_no_cause(said: Why | Caution | Held) -> None:
    """Cancels were counted as if the price's jump had withdrawn them, where nothing was left to
    pair: what makes a quote smaller comes first in the chain.
    """
    reasons = (Reason(said), Reason(Why.BALANCED, UP), Reason(Why.BALANCED, DOWN))
    assert wish(MARKET, Decision((), reasons, 0.5), PARAMS, START).cause == Why.BALANCED.value
    assert wish(MARKET, Decision((), reasons[:1], 0.5), PARAMS, START).cause == said.value


def test_the_same_decision_is_the_same_wish() -> None:
    """Equal wishes compare equal, so that an unchanged quote is not sent again."""
    assert wish(MARKET, decided(), PARAMS, START) == wish(MARKET, decided(), PARAMS, START + 99)


def test_orders_wanted_still_are_the_same_objects() -> None:
    """What has not changed is not made anew; what has, in whatever part, is."""
    maker = OrderMaker()
    first = wish(MARKET, decided(), PARAMS, START, 0, maker)
    again = wish(MARKET, decided(), PARAMS, START + 99, 0, maker)
    assert [new is old for new, old in zip(again.orders, first.orders, strict=True)] == [True, True]

    late = MARKET.end_ms - 150_000
    fine = attrs.evolve(MARKET, tick=10)
    for market, decision, now_ms in (
        (MARKET, decided(), late),
        (fine, decided(), START),
        (MARKET, decided(4700), START),
        (MARKET, replace(decided(), quotes=decided().quotes[::-1]), START),
        (MARKET, replace(decided(), quotes=(Quote(UP, 4800, 11 * SHARE, 0),)), START),
    ):
        changed = wish(market, decision, PARAMS, now_ms, 0, maker)
        assert changed == wish(market, decision, PARAMS, now_ms)


def test_the_cutoff_depends_on_the_rule() -> None:
    """Candle markets may be quoted longer (strategy.md 6.3)."""
    assert cutoff_ms(MARKET, PARAMS) == 60_000
    assert cutoff_ms(HOUR, PARAMS) == 15_000


@pytest.mark.parametrize("market", [MARKET, HOUR])
def test_early_orders_die_at_the_cutoff_by_themselves(market: Market) -> None:
    """GTD, stated 60 s beyond the cutoff because the venue ends it that early (clob.md 3.8)."""
    last_s = (market.end_ms - cutoff_ms(market, PARAMS)) // 1000
    for made in wish(market, decided(), PARAMS, START).orders:
        assert made.tif is TimeInForce.GTD
        assert made.expires_s == last_s + 60


@pytest.mark.parametrize(
    ("left_s", "tif"), [(186, TimeInForce.GTD), (185, TimeInForce.GTD), (184, TimeInForce.GTC)]
)
def test_late_orders_rest_until_cancelled(left_s: int, tif: TimeInForce) -> None:
    """Closer than the venue's 180 s, and five for the way, an expiration would be refused."""
    expires_s = MARKET.end_ms // 1000  # cutoff 60 s before the end, and 60 s beyond it
    made = wish(MARKET, decided(), PARAMS, (expires_s - left_s) * 1000).orders[0]

    assert made.tif is tif
    assert made.expires_s == (expires_s if tif is TimeInForce.GTD else 0)
