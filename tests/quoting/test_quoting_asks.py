"""Held shares in the place of a bid for their twin (strategy.md 6, 14, 15)."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given, strategies as st
from msgspec.structs import replace
from test_quoting_decide import inputs

from polybot.domain.market import Outcome, Side
from polybot.domain.orders import as_bid
from polybot.domain.units import LOT, ONE, SHARE, USD, notional
from polybot.quoting.asks import MERGE_MS, SPARE, TOO_LATE, too_late, with_asks
from polybot.quoting.decide import decide
from polybot.quoting.model import Decision, Quote, Stock
from polybot.quoting.params import SELL_HELD, QuoteParams
from polybot.quoting.reasons import Reason, Why
from polybot.quoting.tally import WhyTally
from polybot.risk.checks import Standing
from polybot.risk.exposure import Exposure
from polybot.risk.limits import RiskParams
from polybot.risk.timetable import Timetable

UP, DOWN = Outcome.UP, Outcome.DOWN
SELL = Side.SELL
MIN = 5 * SHARE
LIMITS = RiskParams()
BIDS = (
    Quote(UP, 4700, 10 * SHARE, 0),
    Quote(UP, 4600, 10 * SHARE, 1),
    Quote(DOWN, 5000, 10 * SHARE, 0),
    Quote(DOWN, 4900, 10 * SHARE, 1),
)
COST = sum(notional(bid.price, bid.size) for bid in BIDS)  # 19.20


def stock(
    up: int = 0,
    down: int = 0,
    *,
    cash: int = 1_000 * USD,
    more: int = 0,
    unmergeable: str | None = None,
    asking: bool = False,
    limits: RiskParams = LIMITS,
) -> Stock:
    """So many shares of each at hand, and `more` of each that are not confirmed."""
    held = Exposure(up * USD // 2, down * USD // 2, (up + more) * SHARE, (down + more) * SHARE)
    stands = Standing(cash, 1_000 * USD, held, sellable_up=up * SHARE, sellable_down=down * SHARE)
    return Stock(held.up, held.down, stands, limits, unmergeable, asking)


def made(of: Stock | None, way: str = "when short") -> tuple[tuple[Quote, ...], list[Reason]]:
    return with_asks(BIDS, of, MIN, way)


def sells(quotes: Sequence[Quote]) -> list[tuple[Outcome, int, int]]:
    return [(q.outcome, q.price, q.size // SHARE) for q in quotes if q.side is Side.SELL]


def test_with_money_enough_nothing_is_sold() -> None:
    """Bids need no reason; exactly the cash that all of them cost is enough."""
    for of in (None, stock(), stock(50, 50), stock(50, 50, cash=COST)):
        assert made(of) == (BIDS, [])


def test_short_of_cash_what_is_held_is_offered_at_the_same_place() -> None:
    """Long Up: the bids for Down at 0.50 and 0.49 become asks on Up at 0.50 and 0.51, the bids for
    Up stay, and the reason tells what was short.
    """
    quotes, reasons = made(stock(50, cash=COST - 1))

    assert sells(quotes) == [(UP, 5000, 10), (UP, 5100, 10)]
    assert [q for q in quotes if q.side is Side.BUY] == list(BIDS[:2])
    told = (("shares", "20"), ("because", "not enough free cash"))
    assert reasons == [Reason(Why.SELLS, DOWN, told)]


def test_without_a_book_nothing_is_sold() -> None:
    """Up has no book that is believed: its shares stay, and the bids for Down are as they were."""
    of = stock(20, 20, cash=0)
    quotes, reasons = with_asks(BIDS, of, MIN, "when short", [UP])

    assert sells(quotes) == [(DOWN, 5300, 10), (DOWN, 5400, 10)]
    assert [q for q in quotes if q.side is Side.BUY] == list(BIDS[2:])
    assert (reasons[1].why, reasons[1].outcome) == (Why.UNSOLD, DOWN)


def test_shares_of_a_pair_sell_on_both_sides() -> None:
    """For more than a dollar together: 0.50 and 0.53."""
    quotes, reasons = made(stock(20, 20, cash=0))

    assert sells(quotes) == [
        (DOWN, 5300, 10), (DOWN, 5400, 10), (UP, 5000, 10), (UP, 5100, 10),
    ]  # fmt: skip
    assert {reason.outcome for reason in reasons} == {UP, DOWN}


@pytest.mark.parametrize(
    ("limits", "because"),
    [
        (RiskParams(max_position_usd_per_token=34), "token limit"),
        (RiskParams(max_position_usd_per_market=40, max_order_usd=40), "market limit"),
    ],
)
def test_a_limit_on_dollars_is_a_shortage(limits: RiskParams, because: str) -> None:
    """What the firewall would refuse of the bids: 25 dollars are in the Up shares, bids for 9.30 of
    Up and 9.90 of Down are wanted.
    """
    quotes, reasons = made(stock(50, limits=limits))

    assert sells(quotes)
    assert dict(reasons[-1].figures)["because"] == because


def test_a_token_is_short_for_its_own_bids_alone() -> None:
    """25 dollars are in one outcome: more than its limit for the bids that would add to it."""
    limits = RiskParams(max_position_usd_per_token=34)
    full = with_asks(BIDS[2:], stock(10, 50, limits=limits), MIN, "when short")
    assert sells(full[0]) == [(UP, 5000, 10)]

    limits = RiskParams(max_position_usd_per_token=20)
    assert with_asks(BIDS[2:], stock(50, limits=limits), MIN, "when short") == (BIDS[2:], [])


def test_losses_never_decide() -> None:
    """An ask loses what the bid in its place loses: no limit on losses makes one better."""
    tight = RiskParams(max_market_loss_percent=1, max_cluster_loss_percent=1)

    assert made(stock(50, limits=tight))[0] == BIDS


def test_for_want_of_money_a_part_is_sold() -> None:
    """Thirteen at hand: ten, and then nothing, for three are below the minimum; with sixteen the
    second ask is six. Best prices first.
    """
    assert sells(made(stock(13, cash=0))[0]) == [(UP, 5000, 10)]
    assert sells(made(stock(16, cash=0))[0]) == [(UP, 5000, 10), (UP, 5100, 6)]


def test_where_a_bid_could_stand_only_the_whole_of_it_is_sold() -> None:
    """A smaller quote is no gain when there is money for the whole bid."""
    quotes, _ = made(stock(16, unmergeable="no way"))

    assert sells(quotes) == [(UP, 5000, 10)]
    assert quotes[-1] == BIDS[-1]


def test_what_cannot_be_merged_in_time_is_sold() -> None:
    """A pair that stays a pair ties up a dollar; the reason is the inventory's own word."""
    quotes, reasons = made(stock(20, unmergeable="0.001 POL left for gas"))

    assert len(sells(quotes)) == 2
    assert dict(reasons[0].figures)["because"] == "0.001 POL left for gas"


def test_near_the_cutoff_no_merge_is_in_time() -> None:
    """Confirmation and mining take their time (onchain.md 7.5)."""
    table = Timetable(0, 0, 180_000, 240_000, 240_000, 300_000)

    assert too_late(table, 240_000 - MERGE_MS) is None
    assert too_late(table, 240_000 - MERGE_MS + 1) == TOO_LATE


def test_an_ask_quotes_the_side_of_its_bid() -> None:
    """Long Up and short of cash, Down is quoted by asks on Up: it is not called withheld."""
    quotes, reasons = made(stock(50, cash=0))
    tally = WhyTally()
    tally.add(1_000, Decision(quotes, tuple(reasons)), {UP, DOWN}, {})

    assert {quote.toward for quote in quotes} == {UP, DOWN}
    assert [tally.top(side, 9) for side in Outcome] == [[], []]


def test_always_and_never() -> None:
    """The operator's word: wherever there are shares, or nowhere."""
    assert len(sells(made(stock(50, 50), "always")[0])) == 4
    assert made(stock(50, 50, cash=0, unmergeable="no way"), "never") == (BIDS, [])
    assert SELL_HELD == ("when short", "always", "never")
    with pytest.raises(ValueError, match="sell_held"):
        QuoteParams(sell_held="sometimes")


def test_what_is_held_and_not_at_hand_is_told() -> None:
    """Provisional, claimed by a merge, or bound: the bid stays, with the figures."""
    quotes, reasons = made(stock(2, more=18, cash=0))

    assert quotes == BIDS
    told = (("held", "20"), ("at_hand", "2"), ("because", "not enough free cash"))
    assert reasons[-1] == Reason(Why.UNSOLD, DOWN, told)


def test_asks_stay_until_there_is_money_for_a_fifth_more() -> None:
    """What changes over loses its place in the queue."""
    more, less = SPARE
    enough = -(-COST * more // less)
    for asking, cash, selling in (
        (False, COST, False), (True, COST, True), (True, enough - 1, True), (True, enough, False),
    ):  # fmt: skip
        quotes, _ = made(stock(50, cash=cash, asking=asking))
        assert bool(sells(quotes)) is selling, (asking, cash)


# --- properties -----------------------------------------------------------------------------------

PRICES = st.integers(1, 99).map(lambda cents: 100 * cents)


@st.composite
def ladders(draw: st.DrawFn) -> list[Quote]:
    """Two falling ladders whose dearest pair stays below a dollar."""
    top = draw(PRICES)
    other = draw(st.integers(1, max(1, 99 - top // 100)).map(lambda cents: 100 * cents))
    sizes = st.integers(500, 3000).map(lambda lots: lots * LOT)
    return [
        Quote(outcome, price - 100 * level, draw(sizes), level)
        for outcome, price in ((UP, top), (DOWN, other))
        for level in range(draw(st.integers(0, 3)))
        if price - 100 * level > 0 and top + other < ONE
    ]


stocks = st.builds(
    stock,
    st.integers(0, 60),
    st.integers(0, 60),
    cash=st.integers(0, 40 * USD),
    more=st.integers(0, 30),
    unmergeable=st.sampled_from((None, "paused")),
    asking=st.booleans(),
)


@given(ladders(), stocks, st.sampled_from(SELL_HELD))
def test_a_ladder_with_asks_is_the_same_ladder(bids: list[Quote], of: Stock, way: str) -> None:
    """Whatever is held: every quote keeps its place in the book and its level, none grows, none is
    below the minimum; no more is offered than is at hand; a bid and an ask of ours on one token
    never meet; and exposure to losses is what the bids' would be, or less.
    """
    quotes, reasons = with_asks(bids, of, MIN, way)

    assert len(quotes) == len(bids)
    for bid, quote in zip(sorted(bids, key=place), sorted(quotes, key=place), strict=True):
        assert place(bid) == place(quote)
        assert MIN <= quote.size <= bid.size
        assert quote.size % LOT == 0
        assert quote.price % 100 == 0
    for outcome in Outcome:
        mine = [quote for quote in quotes if quote.outcome is outcome]
        asks = [quote for quote in mine if quote.side is Side.SELL]
        assert sum(quote.size for quote in asks) <= of.sellable(outcome)
        best = max((quote.price for quote in mine if quote.side is Side.BUY), default=0)
        assert all(quote.price > best for quote in asks)
    assert loss(quotes, of) <= loss(bids, of)
    assert all(reason.why in (Why.SELLS, Why.UNSOLD) for reason in reasons)


def place(quote: Quote) -> tuple[int, int, int]:
    outcome, price = as_bid(quote.outcome, quote.side, quote.price)
    return list(Outcome).index(outcome), price, quote.level


def loss(quotes: Sequence[Quote], of: Stock) -> int:
    exposure = of.standing.held
    for quote in quotes:
        dollars = notional(quote.price, quote.size)
        if quote.side is Side.SELL:
            exposure = exposure.with_ask(quote.outcome, quote.size - dollars)
        else:
            exposure = exposure.with_bid(quote.outcome, dollars)
    return exposure.worst_loss


def test_a_decision_tells_what_it_sells() -> None:
    """The quoter's own ladder, in a wallet without cash and with Up at hand: the side that would
    buy Down sells Up, at prices that its cap for Down allows.
    """
    poor = replace(inputs(held_up=40 * SHARE), stock=stock(40, cash=0), net_confirmed=40 * SHARE)
    usual = decide(replace(poor, stock=None), QuoteParams())
    found = decide(poor, QuoteParams())

    downs = [quote for quote in usual.quotes if quote.outcome is DOWN]
    assert downs
    assert sells(found.quotes) == [(UP, ONE - q.price, q.size // SHARE) for q in downs]
    assert all(ONE - q.price <= (found.cap_down or 0) for q in found.quotes if q.side is SELL)
    assert Why.SELLS in [reason.why for reason in found.reasons]
    assert decide(poor, QuoteParams(sell_held="never")).quotes == usual.quotes


def test_a_decision_sells_nothing_without_its_book() -> None:
    """The same wallet, and Up's book is not believed: bids for Down are bids (seed 812)."""
    poor = replace(inputs(held_up=40 * SHARE), stock=stock(40, cash=0), net_confirmed=40 * SHARE)
    found = decide(replace(poor, up=None), QuoteParams())

    assert found.quotes
    assert not sells(found.quotes)
    assert {Why.NO_BOOK, Why.UNSOLD} <= {reason.why for reason in found.reasons}
