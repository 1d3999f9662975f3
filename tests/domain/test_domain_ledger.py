"""The ledger: the worked example, every order of statuses, and exact reversals."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import attrs
import pytest
from ledger_kit import BUY, DOWN, MARKET, SELL, UP, funded, leg, market, trade

from polybot.domain.accounts import Kind, NotTheWriter
from polybot.domain.ledger import Ledger
from polybot.domain.market import Outcome, taker_fee
from polybot.domain.market_books import Holdings, MarketBooks, Sales
from polybot.domain.orders import TradeStatus
from polybot.domain.settling import Settling
from polybot.domain.units import SHARE

KEY = MARKET.condition_id
MATCHED, RETRYING, MINED, CONFIRMED, FAILED = TradeStatus


def opened(cash: int = 0) -> tuple[Ledger, MarketBooks]:
    ledger = funded(cash)
    return ledger, ledger.open(MARKET)


def figures(ledger: Ledger) -> tuple[object, ...]:
    """Everything a reversal must bring back."""
    books = ledger.books[KEY]
    return (
        ledger.cash,
        ledger.realised,
        books.holdings(),
        books.fills,
        books.volume,
        books.fills_sold,
        books.volume_sold,
        books.fees,
        books.rebate_estimate,
    )


def test_the_worked_ledger() -> None:
    """Every figure of strategy.md 15, to the micro-dollar."""
    ledger, books = opened()
    ledger.book(trade("a", leg(UP, 4800, 100), status=CONFIRMED))
    ledger.book(trade("b", leg(UP, 4600, 50), status=CONFIRMED))
    ledger.book(trade("c", leg(DOWN, 4900, 80), status=CONFIRMED))
    assert ledger.cash == -110_200_000
    assert books.cost(UP) == 71_000_000  # 150 at 0.473333

    ledger.book(trade("d", leg(DOWN, 5050, 40, maker=False), status=CONFIRMED))
    assert books.fees == 699_930
    assert ledger.cash == -131_099_930
    assert books.cost(DOWN) == 60_099_930  # 120 at 0.500833

    ledger.merge(KEY, 120 * SHARE, "receipt")
    assert ledger.realised == 3_100_070
    assert ledger.cash == -11_099_930

    ledger.resolve(KEY, SHARE)
    assert ledger.redeem(KEY, "receipt") == 30 * SHARE
    assert ledger.realised == ledger.cash == 18_900_070
    assert books.rebate_estimate == 803_208
    assert books.volume == 130_400_000


def ends() -> list[tuple[TradeStatus, ...]]:
    """Every order in which all five statuses, or some of them, may arrive."""
    return [order for n in range(1, 6) for order in itertools.permutations(tuple(TradeStatus), n)]


def test_every_order_of_statuses_ends_the_same() -> None:
    """Only the highest rank counts, however late or early lower ones come (F14, S23)."""
    for order in ends():
        ledger, books = opened()
        for status in order:
            ledger.book(trade("t", leg(UP, 4000, 10), status=status))
        shares = 0 if FAILED in order else 10 * SHARE
        confirmed = shares if CONFIRMED in order else 0

        assert books.holdings() == Holdings(shares, 0, confirmed, 0, shares * 4 // 10)
        assert ledger.cash == -shares * 4 // 10
        assert ledger.realised == 0


@pytest.mark.parametrize("status", list(TradeStatus))
def test_a_repeated_message_changes_nothing(status: TradeStatus) -> None:
    """The same trade at the same status is told often and counted once (F13, S5)."""
    ledger, _ = opened()
    told = trade("t", leg(UP), leg(DOWN, order_id="0x2"), status=status)
    ledger.book(told)
    once = figures(ledger)

    assert not any(ledger.book(told) for _ in range(4))
    assert figures(ledger) == once


def test_booking_says_whether_anything_changed() -> None:
    """A rise in rank is news; a repeat, a lower rank or a stranger is not."""
    ledger, _ = opened()

    assert ledger.book(trade("t", leg(), status=MATCHED))
    assert ledger.book(trade("t", leg(), status=MINED))
    assert not ledger.book(trade("t", leg(), status=RETRYING))
    assert not ledger.book(trade("u", leg(), status=FAILED))
    assert not ledger.book(trade("v", leg(of=market("0xd")), of=market("0xd")))


@pytest.mark.parametrize("confirmed_first", [False, True])
@pytest.mark.parametrize("side", [BUY, SELL])
@pytest.mark.parametrize("maker", [True, False])
def test_failed_takes_back_exactly_what_was_booked(
    confirmed_first: bool, side: object, maker: bool
) -> None:
    """Shares, cash, fees, rebate and result return to the unit, also after CONFIRMED (F31, F38)."""
    ledger, _ = opened(cash=100 * SHARE)
    ledger.book(trade("base", leg(UP, 3700, 33, maker=False), status=CONFIRMED))
    before = figures(ledger)
    legs = (leg(UP, 4100, 7, side=SELL if side is SELL else BUY, maker=maker),)
    ledger.book(trade("ghost", *legs))
    assert figures(ledger) != before
    if confirmed_first:
        ledger.book(trade("ghost", *legs, status=CONFIRMED))

    assert ledger.book(trade("ghost", *legs, status=FAILED))
    assert figures(ledger) == before
    assert not ledger.book(trade("ghost", *legs, status=FAILED))
    assert figures(ledger) == before


def test_legs_of_one_trade_are_each_booked_in_their_own_token() -> None:
    """Two of our orders in one trade, on both outcomes: each leg counts as itself (F26)."""
    ledger, books = opened()
    ledger.book(trade("t", leg(UP, 4000, 10), leg(DOWN, 3000, 20, order_id="0x2")))

    assert books.holdings() == Holdings(10 * SHARE, 20 * SHARE, 0, 0, 10 * SHARE)
    assert books.fills == 2


def test_a_trade_may_be_told_with_more_of_our_orders_later() -> None:
    """The key is (trade, order): what was booked stays, what is new is added (feeds.md 4.5)."""
    ledger, books = opened()
    first, second = leg(UP, 4000, 10), leg(DOWN, 3000, 20, order_id="0x2")
    assert ledger.book(trade("t", first))
    assert ledger.book(trade("t", first, second))
    assert not ledger.book(trade("t", second, first))

    assert books.holdings() == Holdings(10 * SHARE, 20 * SHARE, 0, 0, 10 * SHARE)


def test_a_trade_with_another_markets_token_is_not_believed() -> None:
    """One leg in a token that is not this market's, and nothing of the trade is booked (F12)."""
    ledger, books = opened()

    assert not ledger.book(trade("t", leg(UP), leg(of=market("0xd"), order_id="0x2")))
    assert books.holdings() == Holdings()
    assert ledger.cash == 0


def test_open_questions_are_known() -> None:
    """Trades neither confirmed nor failed say how far back to read: when each was told (F29)."""
    ledger, _ = opened()
    assert ledger.unsettled() == {}
    for n, status in enumerate((CONFIRMED, MINED, MATCHED, FAILED)):
        told = attrs.evolve(trade(f"t{n}", leg()), at_ms=100 + n)
        ledger.book(attrs.evolve(told, status=MATCHED))
        ledger.book(attrs.evolve(told, status=status, at_ms=900))

    assert ledger.unsettled() == {"t1": 101, "t2": 102}
    ledger.book(trade("t1", leg(), status=CONFIRMED))
    assert ledger.unsettled() == {"t2": 102}
    ledger.book(trade("t2", leg(), status=FAILED))
    assert ledger.unsettled() == {}


def test_a_maker_pays_no_fee_and_a_taker_no_rebate() -> None:
    """Fees belong to the taker's cost; rebates are an estimate and never cash."""
    ledger, books = opened()
    fee = taker_fee(MARKET.fees, 5000, 10 * SHARE)
    ledger.book(trade("maker", leg(UP, 5000, 10)))
    assert (books.fees, books.rebate_estimate) == (0, fee // 5)

    ledger.book(trade("taker", leg(UP, 5000, 10, maker=False)))
    assert (books.fees, books.rebate_estimate) == (fee, fee // 5)
    assert ledger.cash == -10 * SHARE - fee
    assert books.holdings().cost == 10 * SHARE + fee


def test_a_sale_realises_against_the_average_cost() -> None:
    """Half of what is held takes half of its cost, and can no longer be merged."""
    ledger, books = opened()
    ledger.book(trade("a", leg(UP, 4000, 10), status=CONFIRMED))
    ledger.book(trade("b", leg(UP, 6000, 10), status=CONFIRMED))
    ledger.book(trade("c", leg(UP, 7000, 10, side=SELL)))

    assert ledger.realised == 2 * SHARE
    assert books.holdings() == Holdings(10 * SHARE, 0, 10 * SHARE, 0, 5 * SHARE)


def test_provisional_shares_are_held_but_not_merged() -> None:
    """A match counts in holdings at once and in `mergeable` only when confirmed (S8, F32)."""
    ledger, books = opened()
    ledger.book(trade("a", leg(UP, 4000, 10), status=CONFIRMED))
    ledger.book(trade("b", leg(DOWN, 5000, 8), status=RETRYING))
    held = books.holdings()
    assert (held.pairs, held.mergeable, held.net) == (8 * SHARE, 0, 2 * SHARE)
    with pytest.raises(AssertionError):
        ledger.merge(KEY, SHARE, "receipt")

    ledger.book(trade("b", leg(DOWN, 5000, 8), status=CONFIRMED))
    assert books.holdings().mergeable == 8 * SHARE


def test_a_merge_takes_the_cost_of_confirmed_shares_only() -> None:
    """A fill that fails after a merge leaves no trace in result or cost (S8, F31)."""
    ledger, books = opened()
    ledger.book(trade("a", leg(UP, 1000, 200), status=CONFIRMED))
    ledger.book(trade("b", leg(DOWN, 5000, 100), status=CONFIRMED))
    ledger.book(trade("ghost", leg(UP, 9000, 100)))
    ledger.merge(KEY, 100 * SHARE, "receipt")
    assert ledger.realised == 40 * SHARE

    ledger.book(trade("ghost", leg(UP, 9000, 100), status=FAILED))
    assert ledger.realised == 40 * SHARE
    assert books.holdings() == Holdings(100 * SHARE, 0, 100 * SHARE, 0, 10 * SHARE)


def test_a_reversal_after_its_merge_still_sums_up() -> None:
    """When a confirmed fill fails late and nothing is left, no cost is left either (F38, S22)."""
    ledger, books = opened()
    ledger.book(trade("a", leg(UP, 1000, 100), status=CONFIRMED))
    ledger.book(trade("b", leg(UP, 9000, 100), status=CONFIRMED))
    ledger.book(trade("c", leg(DOWN, 3000, 100), status=CONFIRMED))
    ledger.merge(KEY, 100 * SHARE, "receipt")
    ledger.book(trade("b", leg(UP, 9000, 100), status=FAILED))

    assert books.holdings() == Holdings()
    ledger.close(KEY)
    assert ledger.realised == ledger.cash == 60 * SHARE


@pytest.mark.parametrize("by", ["a split", "a buy"])
def test_as_many_as_a_reversal_took_too_many_cost_nothing(by: str) -> None:
    """Ten pairs are bought, merged and then undone: ten of each are missing, at what they cost. As
    many come back at another price, and nothing is held: what that cost more is result. After a
    split it stayed a cost of nothing (S22).
    """
    ledger, books = opened()
    legs = leg(UP, 4500), leg(DOWN, 4800)
    ledger.book(trade("a", *legs, status=CONFIRMED))
    ledger.merge(KEY, 10 * SHARE, "receipt")
    ledger.book(trade("a", *legs, status=FAILED))
    assert (books.shares(UP), books.shares(DOWN)) == (-10 * SHARE, -10 * SHARE)

    if by == "a split":
        ledger.split(KEY, 10 * SHARE, "receipt")
    else:
        ledger.book(trade("b", leg(UP, 4900), leg(DOWN, 5000), status=CONFIRMED))

    assert books.holdings() == Holdings()
    assert [books.cost(one) for one in Outcome] == [0, 0]
    assert ledger.realised == ledger.cash


def test_redeeming_pays_the_winner_and_writes_off_the_loser() -> None:
    """The winner's shares pay one dollar each, the loser's cost is lost, nothing stays."""
    ledger, books = opened()
    ledger.book(trade("a", leg(UP, 4000, 10), status=CONFIRMED))
    ledger.book(trade("b", leg(DOWN, 3000, 20), status=CONFIRMED))
    with pytest.raises(AssertionError):
        ledger.redeem(KEY, "receipt")

    ledger.resolve(KEY, 0)
    assert ledger.redeem(KEY, "receipt") == 20 * SHARE
    assert books.holdings() == Holdings()
    assert ledger.realised == ledger.cash == 10 * SHARE
    assert books.redeemed == 20 * SHARE


@pytest.mark.parametrize(
    ("held", "payout", "marked", "lost"),
    [
        (DOWN, None, 6, ()),
        (UP, None, 4, ()),
        (DOWN, SHARE, 0, ()),
        (DOWN, 0, 10, (UP,)),
        (UP, SHARE, 10, (DOWN,)),
    ],
)
def test_what_holdings_are_worth_at_fair(
    held: Outcome, payout: int | None, marked: int, lost: tuple[Outcome, ...]
) -> None:
    """Ten of them at a fair 0.40 for Up, until the payout is known: then at that. An outcome that
    pays nothing, and of which nothing is held, has no balance that anybody would miss.
    """
    ledger, books = opened()
    ledger.book(trade("a", leg(held, 5000, 10)))
    books.up_payout = payout

    assert books.marked(4_000) == marked * SHARE
    assert tuple(outcome for outcome in Outcome if books.lost(outcome)) == lost


@pytest.mark.parametrize(
    ("payout", "worst"),
    [(None, 8 * SHARE), (SHARE, 10 * SHARE), (0, 8 * SHARE), (SHARE // 2, 9 * SHARE)],
)
def test_equity_counts_only_what_is_sure(payout: int | None, worst: int) -> None:
    """Before the result a pair is worth a dollar and the rest nothing; then the payout is."""
    ledger, books = opened(cash=50 * SHARE)
    ledger.book(trade("a", leg(UP, 4000, 10)))
    ledger.book(trade("b", leg(DOWN, 5000, 8)))
    books.up_payout = payout

    assert books.worst_value == worst
    assert ledger.equity == 50 * SHARE - 8 * SHARE + worst


def test_a_closed_market_leaves_its_result() -> None:
    """Closing forgets the books and keeps the profit; a late message for it changes nothing."""
    ledger, _ = opened()
    ledger.book(trade("a", leg(UP, 4000, 10), status=CONFIRMED))
    ledger.resolve(KEY, SHARE)
    ledger.redeem(KEY, "receipt")
    ledger.close(KEY)

    assert KEY not in ledger.books
    assert ledger.realised == 6 * SHARE
    assert not ledger.book(trade("a", leg(UP, 4000, 10), status=FAILED))
    assert ledger.cash == 6 * SHARE


def test_opening_twice_keeps_the_books() -> None:
    """A scope that starts again in the same window finds what it held."""
    ledger, books = opened()
    ledger.book(trade("a", leg(UP)))

    assert ledger.open(MARKET) is books
    assert books.holdings().up == 10 * SHARE


def test_what_a_balance_may_be_while_trades_settle() -> None:
    """What is confirmed, and what each trade under way moves of it: what a venue may show of cash
    and shares after a death; what has failed or is another token's is in neither (F31, F63).
    """
    ledger, _ = opened(100 * SHARE)
    ledger.book(trade("a", leg(UP, 5_000, 10), status=CONFIRMED))
    ledger.book(attrs.evolve(trade("c", leg(UP, 4_000, 10), status=MINED), at_ms=3))
    ledger.book(attrs.evolve(trade("b", leg(DOWN, 3_000, 10), status=MATCHED), at_ms=2))
    ledger.book(attrs.evolve(trade("d", leg(UP, 3_000, 10), status=MATCHED), at_ms=4))
    ledger.book(attrs.evolve(trade("d", leg(UP, 3_000, 10), status=FAILED), at_ms=5))

    cash = ledger.settling(Kind.CASH)
    up = ledger.settling(Kind.SHARES, KEY, MARKET.up_token)

    assert cash == Settling(95 * SHARE, (-4 * SHARE, -3 * SHARE))
    assert up == Settling(10 * SHARE, (10 * SHARE, 0))
    assert cash.total == ledger.cash
    assert up.total == ledger.books[KEY].shares(UP)


# --- sales under way ------------------------------------------------------------------------------


def selling() -> Ledger:
    """Twenty Up at 0.50, confirmed; eight of them sold at 0.60, matched."""
    ledger = funded(100 * SHARE)
    ledger.open(MARKET)
    ledger.book(trade("b", leg(UP, 5000, 20), status=CONFIRMED))
    ledger.book(attrs.evolve(trade("s", leg(UP, 6000, 8, side=SELL, order_id="0x2")), at_ms=1))
    return ledger


def test_a_sale_is_told_apart_until_it_is_certain() -> None:
    """What its shares cost and what it promises; nothing of it once it is confirmed, or failed."""
    for last in (CONFIRMED, FAILED):
        ledger = selling()
        books = ledger.books[KEY]
        assert books.sales() == Sales(cost_up=4 * SHARE, promised=4_800_000)
        assert ledger.promised == 4_800_000
        assert books.holdings().up_confirmed == 12 * SHARE, "nobody may sell or merge them again"

        ledger.book(trade("s", leg(UP, 6000, 8, side=SELL, order_id="0x2"), status=last))
        assert books.sales() == Sales()
        assert ledger.promised == 0
        counted = (2, 1, 14_800_000, 4_800_000) if last is CONFIRMED else (1, 0, 10_000_000, 0)
        sold = (books.fills_sold, books.volume, books.volume_sold)
        assert (books.fills, *sold) == counted, "sales are told among the fills"
        assert books.shares(UP, final=True) == (12 if last is CONFIRMED else 20) * SHARE


def test_a_takers_sale_promises_what_its_fee_leaves() -> None:
    """The fee is taken from the proceeds (clob.md 6.1): 10 at 0.50 are 5 less 0.175."""
    ledger = funded()
    ledger.open(MARKET)
    ledger.book(trade("b", leg(DOWN, 4000, 10), status=CONFIRMED))
    ledger.book(trade("s", leg(DOWN, 5000, 10, side=SELL, maker=False, order_id="0x2")))

    assert ledger.books[KEY].sales() == Sales(cost_down=4 * SHARE, promised=4_825_000)


def test_balances_of_a_sale_on_its_way() -> None:
    """The venue may have moved the shares at the match or move them later: both are right."""
    ledger = selling()
    up = ledger.settling(Kind.SHARES, KEY, MARKET.up_token)

    assert (up.most, up.least) == (20 * SHARE, 12 * SHARE)
    cash = ledger.settling(Kind.CASH)
    assert (cash.least, cash.most) == (90 * SHARE, 90 * SHARE + 4_800_000)


def test_what_comes_and_what_goes_may_come_apart() -> None:
    """A buy and a sale under way, whichever settles first: cash lies between either one alone."""
    ledger = selling()
    ledger.book(attrs.evolve(trade("d", leg(DOWN, 3000, 10, order_id="0x3")), at_ms=2))

    cash = ledger.settling(Kind.CASH)
    assert cash == Settling(90_000_000, (4_800_000, -3_000_000))
    assert (cash.least, cash.most) == (87_000_000, 94_800_000)


WRITES: dict[str, Callable[[Ledger], object]] = {
    "a deposit": lambda it: it.deposit(1, "a test"),
    "a payment": lambda it: it.receive(Kind.REBATES, 1, "a test"),
    "sums": lambda it: it.carry(1, 0, 0, "a test"),
    "a market": lambda it: it.open(market("0xf")),
    "a trade": lambda it: it.book(trade("z", leg(UP, 4800, 1))),
    "a split": lambda it: it.split(KEY, SHARE, "a test"),
    "a merge": lambda it: it.merge(KEY, SHARE, "a test"),
    "a result": lambda it: it.resolve(KEY, SHARE),
    "a redemption": lambda it: it.redeem(KEY, "a test"),
    "a close": lambda it: it.close(KEY),
}


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
def test_a_sealed_ledger_is_written_by_nobody(write: Callable[[Ledger], object]) -> None:
    """Each way to change it, one that changes nothing included; nothing of it is left behind
    (reliability.md 3, S18).
    """
    ledger, _ = opened(100 * SHARE)
    ledger.book(trade("a", leg(UP, 4800, 10), leg(DOWN, 4800, 10, order_id="o2"), status=CONFIRMED))
    ledger.resolve(KEY, SHARE)
    before, books = figures(ledger), set(ledger.books)
    ledger.accounts.sealed = True

    with pytest.raises(NotTheWriter):
        write(ledger)
    assert (figures(ledger), set(ledger.books)) == (before, books)
    assert ledger.books[KEY].up_payout == SHARE


def test_books_that_are_not_done_are_not_closed() -> None:
    """What says that a market may be closed says what the close demands: a fill that was redeemed
    before it was final leaves promised shares against final ones, and no sum shows them. The close
    was durable by the time at which it was refused, and refused again at every start.
    """
    ledger = funded(100 * SHARE)
    books = ledger.open(MARKET)
    ledger.resolve(MARKET.condition_id, SHARE)
    assert books.done
    ledger.book(trade("t", leg()))
    ledger.redeem(MARKET.condition_id, "receipt")
    assert not books.done
    ledger.book(trade("t", leg(), status=TradeStatus.CONFIRMED))
    assert (books.holdings().up, books.unsettled()) == (0, False)
    assert not books.done
    with pytest.raises(AssertionError, match="before it was settled"):
        ledger.close(MARKET.condition_id)
    assert MARKET.condition_id in ledger.books
