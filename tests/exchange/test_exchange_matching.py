"""Matching: the three kinds, priority, prices, dollars, fees; all at the maker's price."""

from __future__ import annotations

import pytest
from engine_kit import Kit

from polybot.exchange.fees import taker_fee
from polybot.exchange.model import BUY, DOWN, SELL, UP, Accepted, Kind, Refused, Status
from polybot.exchange.money import UNIT
from polybot.exchange.rules import FAK_KILLED, FOK_KILLED

FEE_100_AT_50 = 1_750_000

# maker (side, outcome, cents), taker (side, outcome, limit in cents), then for 100 shares:
# taker's cash before the fee, maker's cash, taker's Up and Down, maker's Up and Down (in shares)
KINDS = {
    "complementary, taker buys": ((SELL, UP, 50), (BUY, UP, 50), -50, 50, (100, 0), (-100, 0)),
    "complementary, taker sells": ((BUY, UP, 50), (SELL, UP, 50), 50, -50, (-100, 0), (100, 0)),
    "complementary on Down": ((SELL, DOWN, 30), (BUY, DOWN, 30), -30, 30, (0, 100), (0, -100)),
    "mint": ((BUY, DOWN, 36), (BUY, UP, 64), -64, -36, (100, 0), (0, 100)),
    "mint, improved": ((BUY, DOWN, 36), (BUY, UP, 70), -64, -36, (100, 0), (0, 100)),
    "mint, taker buys Down": ((BUY, UP, 64), (BUY, DOWN, 36), -36, -64, (0, 100), (100, 0)),
    "merge": ((SELL, DOWN, 36), (SELL, UP, 64), 64, 36, (-100, 0), (0, -100)),
    "merge, improved": ((SELL, DOWN, 36), (SELL, UP, 60), 64, 36, (-100, 0), (0, -100)),
    "buy, improved": ((SELL, UP, 52), (BUY, UP, 55), -52, 52, (100, 0), (-100, 0)),
    "sell, improved": ((BUY, UP, 52), (SELL, UP, 50), 52, -52, (-100, 0), (100, 0)),
}


@pytest.mark.conforms("clob-6.1-fee", "clob-6.1-fee-in-pusd")
@pytest.mark.parametrize("name", KINDS)
def test_each_kind_of_match_moves_exactly_this(name: str) -> None:
    """Both sides' cash and shares change by the maker's price; the taker alone pays a fee."""
    maker, taker, taker_cash, maker_cash, taker_shares, maker_shares = KINDS[name]
    kit = Kit()
    kit.place("ann", *maker, 100)
    order = kit.place("bob", *taker, 100)

    price = abs(taker_cash) * 100
    fee = taker_fee(kit.market, 100 * UNIT, price)
    assert kit.cash_change("bob") == taker_cash * UNIT - fee
    assert kit.cash_change("ann") == maker_cash * UNIT
    assert (kit.share_change("bob", UP), kit.share_change("bob", DOWN)) == tuple(
        n * UNIT for n in taker_shares
    )
    assert (kit.share_change("ann", UP), kit.share_change("ann", DOWN)) == tuple(
        n * UNIT for n in maker_shares
    )
    assert kit.engine.accounts.fees == fee
    assert order.status is Status.MATCHED
    assert kit.market.last_trade_price == price


def test_one_book_seen_from_two_tokens() -> None:
    """Each token's book holds all four kinds of orders, mirrored, best last."""
    kit = Kit()
    kit.place("ann", BUY, UP, 40, 10)
    kit.place("ann", SELL, DOWN, 58, 20)
    kit.place("ann", SELL, UP, 60, 30)
    kit.place("ann", BUY, DOWN, 41, 40)

    up, down = kit.market.tokens
    assert kit.engine.levels(up) == (
        [(4000, 10 * UNIT), (4200, 20 * UNIT)],
        [(6000, 30 * UNIT), (5900, 40 * UNIT)],
    )
    assert kit.engine.levels(down) == (
        [(4000, 30 * UNIT), (4100, 40 * UNIT)],
        [(6000, 10 * UNIT), (5800, 20 * UNIT)],
    )
    assert kit.engine.best(up) == (4200, 5900)
    assert kit.engine.best(down) == (4100, 5800)


@pytest.mark.conforms("clob-3.6-improvement")
def test_price_first_then_time_across_tokens() -> None:
    """The best price trades first; at one price the oldest order, whichever token it names."""
    kit = Kit()
    worse = kit.place("ann", SELL, UP, 53, 10)
    first = kit.place("ann", BUY, DOWN, 48, 10)
    second = kit.place("bob", SELL, UP, 52, 10)
    kit.place("cy", BUY, UP, 53, 15)

    assert (first.matched, second.matched, worse.matched) == (10 * UNIT, 5 * UNIT, 0)
    kit.place("cy", BUY, UP, 53, 10)
    assert (second.matched, worse.matched) == (10 * UNIT, 5 * UNIT)


def test_a_partly_filled_maker_keeps_its_place() -> None:
    """A fill does not cost a maker its time priority."""
    kit = Kit()
    first = kit.place("ann", SELL, UP, 52, 10)
    kit.place("cy", BUY, UP, 52, 5)
    second = kit.place("bob", SELL, UP, 52, 10)
    kit.place("cy", BUY, UP, 52, 5)

    assert (first.matched, second.matched) == (10 * UNIT, 0)


def test_a_sweep_is_one_settlement_with_all_its_makers() -> None:
    """One trade whatever the number of levels, at the last one's price (feeds.md 2.3, 4.3)."""
    kit = Kit()
    kit.place("ann", SELL, UP, 52, 10)
    kit.place("bob", SELL, UP, 52, 10)
    kit.place("bob", SELL, UP, 53, 10)
    reply = kit.send(kit.order("cy", BUY, UP, 55, 40))

    assert isinstance(reply, Accepted)
    (trade,) = (kit.engine.trades[trade_id] for trade_id in reply.trades)
    assert (trade.price, trade.shares) == (5300, 30 * UNIT)
    assert [fill.price for fill in trade.makers] == [5200, 5200, 5300]
    assert (reply.status, reply.making, reply.taking) == ("matched", 15_700_000, 30 * UNIT)
    assert kit.up_book() == ([(55, 10)], [])  # the rest of a GTC order rests at its own limit


def test_the_fee_of_a_sweep_is_that_of_its_levels() -> None:
    """Each level pays at its own price, not at the trade's (feeds.md 4.7)."""
    kit = Kit()
    kit.place("ann", SELL, UP, 50, 100)
    kit.place("ann", SELL, UP, 90, 100)
    kit.place("cy", BUY, UP, 90, 200)
    assert kit.engine.accounts.fees == FEE_100_AT_50 + 630_000  # 100 · 0.07 · 0.9 · 0.1


def test_a_seller_is_told_shares_given_and_cash_got() -> None:
    """Amounts of a reply are in the taker's units: a SELL makes shares and takes pUSD."""
    kit = Kit()
    kit.place("ann", BUY, UP, 52, 10)
    reply = kit.send(kit.order("cy", SELL, UP, 50, 10))

    assert isinstance(reply, Accepted)
    assert (reply.making, reply.taking) == (10 * UNIT, 5_200_000)


def test_own_orders_match_each_other() -> None:
    """The reference knows no self-match prevention: the account trades with itself, for a fee."""
    kit = Kit()
    kit.place("ann", SELL, UP, 50, 100)
    kit.place("ann", BUY, UP, 50, 100)

    assert kit.cash_change("ann") == -FEE_100_AT_50
    assert kit.share_change("ann", UP) == 0


@pytest.mark.conforms("clob-3.8-fok", "clob-3.6-fok-killed")
def test_fok_is_all_or_nothing() -> None:
    """A FOK that cannot be filled whole changes no balance and no book, and says so."""
    kit = Kit()
    kit.place("ann", SELL, UP, 50, 10)
    kit.told()
    text = kit.refused("bob", BUY, UP, 50, 11, kind=Kind.FOK)

    assert text == FOK_KILLED
    assert kit.told() == [f"0x02 CANCELLATION CANCELED_{FOK_KILLED} 0"]
    assert kit.up_book() == ([], [(50, 10)])
    assert kit.place("bob", BUY, UP, 50, 10, kind=Kind.FOK).status is Status.MATCHED


@pytest.mark.conforms("clob-3.8-fak", "clob-3.6-fak-killed")
def test_fak_takes_what_is_there_and_never_rests() -> None:
    """A FAK's remainder is cancelled; with nothing to take it is refused."""
    kit = Kit()
    kit.place("ann", SELL, UP, 50, 10)
    order = kit.place("bob", BUY, UP, 50, 30, kind=Kind.FAK)

    assert (order.matched, order.status) == (10 * UNIT, Status.CANCELED)
    assert kit.up_book() == ([], [])
    assert kit.refused("bob", BUY, UP, 50, 30, kind=Kind.FAK) == FAK_KILLED


@pytest.mark.conforms("clob-3.6-market-buy-more")
def test_dollars_buy_more_shares_at_better_prices() -> None:
    """A market BUY spends its dollars at the makers' prices (clob.md 3.6)."""
    kit = Kit()
    kit.place("ann", SELL, UP, 40, 100)
    order = kit.spend("bob", UP, 52, 10)
    reply = kit.send(order)

    assert isinstance(reply, Accepted)
    assert (order.size, order.matched) == (19_230_700, 25 * UNIT)
    assert (reply.making, reply.taking) == (10 * UNIT, 25 * UNIT)
    assert order.status is Status.MATCHED


def test_dollars_are_never_overspent_and_leave_only_dust() -> None:
    """Shares are rounded down to what the dollars pay; less than a lot's worth stays unspent."""
    kit = Kit()
    kit.place("ann", BUY, DOWN, 93, 10)  # an ask at 0.07, by mint: the taker pays the dust
    kit.place("ann", SELL, UP, 7, 100)
    order = kit.spend("bob", UP, 7, 1, kind=Kind.FOK)
    reply = kit.send(order)

    assert isinstance(reply, Accepted)
    assert 999_990 <= reply.making <= UNIT
    assert reply.taking == pytest.approx(UNIT / 0.07, abs=20)


def test_a_fok_of_dollars_needs_all_of_them() -> None:
    """Dollars that would have bought a lot more at the limit make a FOK fail."""
    kit = Kit()
    kit.place("ann", SELL, UP, 50, 10)

    reply = kit.send(kit.spend("bob", UP, 50, 5.02, kind=Kind.FOK))
    assert isinstance(reply, Refused)
    reply = kit.send(kit.spend("bob", UP, 50, 5, kind=Kind.FOK))
    assert isinstance(reply, Accepted)


@pytest.mark.conforms("clob-6.1-fee", "clob-6.1-fee-rounding")
@pytest.mark.parametrize(
    ("shares", "cents", "fee"),
    [
        (100, 50, 1_750_000),
        (100, 10, 630_000),
        (25, 64, 403_200),
        (0.01, 1, 10),  # 0.00000693 rounds up to the smallest fee
        (0.007, 1, 0),  # 0.00000485 is below half of it
        (0, 50, 0),
    ],
)
def test_fee_is_the_published_curve(shares: float, cents: int, fee: int) -> None:
    """0.07 · p(1-p) a share, half-up to five decimals, as in clob.md 6.1 and feeds.md 4.7."""
    assert taker_fee(Kit().market, round(shares * UNIT), cents * 100) == fee


def test_fee_exponent_and_free_markets() -> None:
    """The curve's exponent and rate are the market's own."""
    squared = Kit(fee_rate_ppm=250_000, fee_exponent=2).market
    assert taker_fee(squared, 100 * UNIT, 5000) == 1_562_500  # 100 · 0.25 · 0.0625
    assert taker_fee(Kit(fee_rate_ppm=0).market, 100 * UNIT, 5000) == 0


def test_dust_never_makes_money() -> None:
    """Odd remainders left by dollar orders trade away without creating a micro-unit."""
    kit = Kit(tick=10)
    kit.place("ann", BUY, DOWN, 66.7, 10)
    kit.place("bob", SELL, UP, 33.3, 7)
    kit.send(kit.spend("cy", UP, 33.3, 3.01))
    kit.place("cy", BUY, UP, 33.3, 30)
    kit.send(kit.order("ann", SELL, UP, 33.3, 20, kind=Kind.FAK))
    kit.send(kit.order("ann", SELL, DOWN, 1, 20, kind=Kind.FAK))  # nothing asks for it
    kit.advance(60_000)
    assert kit.engine.accounts.fees > 0
