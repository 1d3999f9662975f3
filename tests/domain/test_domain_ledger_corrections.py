"""Amounts on a trade that are corrected later: the last word counts, and nothing is left of the
first (F30).
"""

from __future__ import annotations

import random

import attrs
import pytest
from ledger_kit import BUY, DOWN, MARKET, SELL, UP, funded, leg, trade

from polybot.domain.booking import REST
from polybot.domain.ledger import Ledger
from polybot.domain.market_books import Holdings
from polybot.domain.orders import FillLeg, TradeSeen, TradeStatus
from polybot.domain.units import ONE, SHARE

KEY = MARKET.condition_id
MATCHED, RETRYING, MINED, CONFIRMED, FAILED = TradeStatus
LIVES = 2_000


def figures(ledger: Ledger) -> tuple[object, ...]:
    books = ledger.books[KEY]
    return (
        ledger.cash, ledger.realised, books.holdings(), books.fees, books.rebate_estimate,
        books.fills, books.volume, books.fills_sold, books.volume_sold,
    )  # fmt: skip


def life(*trades: TradeSeen) -> Ledger:
    ledger = funded(1_000 * SHARE)
    ledger.open(MARKET)
    for one in trades:
        ledger.book(one)
    return ledger


@pytest.mark.parametrize("status", [RETRYING, MINED, CONFIRMED])
@pytest.mark.parametrize(
    "right",
    [leg(shares=9), leg(shares=11), leg(price=4_900), attrs.evolve(leg(), shares=9_999_999)],
)
def test_a_later_rank_corrects(status: TradeStatus, right: FillLeg) -> None:
    """Told with 10 shares at the match and otherwise afterwards: as if it had been so told."""
    corrected = life(trade("t", leg()), trade("t", right, status=status))
    assert figures(corrected) == figures(life(trade("t", right, status=status)))


def test_rest_corrects_the_stream_and_not_the_other_way_round() -> None:
    """Of one rank the REST row counts, whichever comes first; a stream's repeat changes nothing."""
    stream = attrs.evolve(trade("t", leg(shares=10), status=CONFIRMED), source="user stream")
    rest = attrs.evolve(trade("t", leg(shares=9), status=CONFIRMED), source=REST)
    right = figures(life(rest))
    assert figures(life(stream, rest)) == right
    assert figures(life(rest, stream)) == right
    assert figures(life(stream, rest, stream, rest)) == right
    assert not life(stream).knows(rest)
    assert life(rest).knows(stream)


def test_what_is_known_of_a_trade_at_all() -> None:
    """Whichever of its orders; in a market without books nothing is, and nothing need be of a trade
    in which no order is ours.
    """
    both = trade("t", leg(order_id="0x1"), leg(DOWN, 3_000, order_id="0x2"))
    assert life(trade("t", leg(order_id="0x1"))).has(both)
    assert not life(trade("u", leg(order_id="0x1"))).has(both)
    assert not Ledger().has(both)
    assert not Ledger().knows(both)
    assert Ledger().knows(trade("t"))


def test_a_confirmation_by_the_stream_does_not_vouch_for_rest() -> None:
    """Told at the match by REST and confirmed by the stream with the same amounts, a trade that
    REST then confirms with others was held for known for ever, and the books for adrift.
    """
    first = attrs.evolve(trade("t", leg(shares=10), status=MATCHED), source=REST)
    stream = attrs.evolve(trade("t", leg(shares=10), status=CONFIRMED), source="user stream")
    rest = attrs.evolve(trade("t", leg(shares=9), status=CONFIRMED), source=REST)

    assert not life(first, stream).knows(rest)
    assert figures(life(first, stream, rest)) == figures(life(rest))
    assert figures(life(first, stream, rest, stream)) == figures(life(rest))


def test_a_correction_is_evidence_like_everything_else() -> None:
    """What was posted is not erased but reversed: the transactions tell both, and sum to one."""
    ledger = life(trade("t", leg(shares=10)), trade("t", leg(shares=9), status=CONFIRMED))
    told = [one.evidence for one in ledger.books[KEY].transactions]
    assert told == ["trade t MATCHED", *["trade t CONFIRMED"] * 3]
    assert not life(trade("t", leg(shares=10)), trade("t", leg(shares=10))).knows(
        trade("t", leg(shares=9), status=MINED)
    )


@pytest.mark.parametrize("source", ["user stream", REST])
def test_a_late_old_word_corrects_nothing(source: str) -> None:
    """A lower rank that comes late has nothing to say about amounts, whoever says it (F14)."""
    late = attrs.evolve(trade("t", leg(shares=10), status=MATCHED), source=source)
    right = trade("t", leg(shares=9), status=CONFIRMED)
    assert figures(life(right, late)) == figures(life(right))
    assert life(right).knows(late)


def test_a_failure_with_other_amounts_takes_back_what_was_booked() -> None:
    """FAILED reverses the postings, not the message's amounts (F31), and once, whoever tells it."""
    ledger = life(trade("t", leg(shares=10)), trade("t", leg(shares=9), status=FAILED))
    assert figures(ledger) == figures(life())
    ledger.book(attrs.evolve(trade("t", leg(shares=8), status=FAILED), source=REST))
    assert figures(ledger) == figures(life())


@pytest.mark.parametrize("held", [0, 10])
def test_a_sale_told_before_what_it_sold(held: int) -> None:
    """More is sold than is held as yet: it takes the cost there is, and the later buy its own."""
    bought = [trade("b", leg(shares=held), status=CONFIRMED)] if held else []
    ledger = life(*bought, trade("s", leg(price=6_000, shares=20, side=SELL), status=CONFIRMED))
    assert ledger.books[KEY].holdings().cost == 0
    ledger.book(trade("late", leg(shares=20 - held), status=CONFIRMED))

    assert ledger.books[KEY].holdings() == Holdings()
    assert ledger.realised == 2 * SHARE
    assert ledger.cash == 1_002 * SHARE


def test_one_order_s_correction_leaves_the_other_alone() -> None:
    """Two orders of ours in one trade: only the one told otherwise is booked anew (F26)."""
    one, two = leg(order_id="0x1"), leg(DOWN, 3_000, order_id="0x2")
    less = leg(DOWN, 3_000, 9, order_id="0x2")
    ledger = life(trade("t", one, two), trade("t", one, less, status=MINED))
    assert figures(ledger) == figures(life(trade("t", one, less, status=MINED)))
    assert len(ledger.books[KEY].transactions) == 4


def test_random_lives_end_as_if_told_right_at_once() -> None:
    """Wrong first words, right last ones, in any interleaving of trades: to the unit the books of a
    life that was told right.
    """
    corrected = 0
    for seed in range(LIVES):
        rng = random.Random(seed)
        messages: list[list[TradeSeen]] = []
        for number in range(rng.randint(1, 4)):
            right = _drawn(rng, number)
            wrong = attrs.evolve(
                right,
                legs=tuple(attrs.evolve(one, shares=one.shares + 1) for one in right.legs),
            )
            first = wrong if rng.random() < 0.6 else right
            corrected += first is wrong
            messages.append([first, attrs.evolve(right, status=rng.choice((MINED, CONFIRMED)))])
        told: list[TradeSeen] = []
        left = [list(stream) for stream in messages]
        while any(left):
            told.append(rng.choice([stream for stream in left if stream]).pop(0))
        once = life(*(stream[-1] for stream in messages))
        assert figures(life(*told)) == figures(once), f"seed {seed}"
    assert corrected > LIVES


def _drawn(rng: random.Random, number: int) -> TradeSeen:
    legs = tuple(
        FillLeg(
            f"0x{rng.randrange(3)}", MARKET.token(rng.choice((UP, DOWN))), BUY,
            rng.randrange(1, 100) * 100, rng.randrange(1, 50_000_000), rng.random() < 0.7,
        )
        for _ in range(rng.randint(1, 3))
    )  # fmt: skip
    return TradeSeen(f"t{number}", KEY, MATCHED, legs, number, "user stream")


def test_a_corrected_sale() -> None:
    """Shares sold and their cost come back before the right amount goes."""
    bought = trade("b", leg(price=4_000, shares=20), status=CONFIRMED)
    sold = trade("s", leg(shares=10, side=SELL))
    right = trade("s", leg(shares=5, side=SELL), status=CONFIRMED)
    assert figures(life(bought, sold, right)) == figures(life(bought, right))


@pytest.mark.parametrize("price", [3_900, 4_100])
def test_a_correction_of_shares_that_are_merged(price: int) -> None:
    """REST has another price of a fill than the stream, whose pair is dollars by then: the rest of
    its cost is result. It stayed on shares that were gone, the market's books could not be closed,
    and that ended the program, and every later start.
    """
    told = attrs.evolve(trade("u", leg(price=4_000), status=CONFIRMED), source="user stream")
    right = attrs.evolve(trade("u", leg(price=price), status=CONFIRMED), source=REST)
    ledger = life(told, trade("d", leg(DOWN, 5_000), status=CONFIRMED))
    ledger.merge(KEY, 10 * SHARE, "receipt")
    ledger.book(right)

    assert ledger.books[KEY].holdings().cost == 0
    assert ledger.realised == ledger.cash - 1_000 * SHARE == (ONE - price - 5_000) * 1_000
    ledger.close(KEY)
    assert ledger.realised == ledger.cash - 1_000 * SHARE


def test_books_close_whatever_was_corrected_when() -> None:
    """Wrong words of confirmed fills, merges and sales of what they told, and the right words, in
    any order: what is left is redeemed, and nothing stands in the way of the close.
    """
    late = 0
    for seed in range(LIVES):
        rng = random.Random(seed)
        ledger, corrections = life(), [_confirmed(rng, n) for n in range(rng.randint(1, 4))]
        books = ledger.books[KEY]
        while corrections:
            told = rng.choice(corrections)
            fresh = not ledger.has(told)
            ledger.book(attrs.evolve(told, legs=_mistold(rng, told)) if fresh else _by_rest(told))
            if not fresh:
                late += bool(books.merged or books.fills_sold)
                corrections.remove(told)
            pairs, up = books.holdings().mergeable, books.shares(UP, final=True)
            if rng.random() < 0.4 and pairs > 0:
                ledger.merge(KEY, pairs if rng.random() < 0.6 else 1, "receipt")
            elif rng.random() < 0.4 and 0 < up == books.shares(UP):
                sale = FillLeg("0x9", MARKET.up_token, SELL, rng.randrange(1, 10**4), up, True)
                ledger.book(TradeSeen(f"s{ledger.cash}", KEY, CONFIRMED, (sale,), 0))
            cost = books.holdings().cost
            assert ledger.realised - cost == ledger.cash - 1_000 * SHARE, f"seed {seed}"
        if not any((books.holdings().up, books.holdings().down)):
            ledger.close(KEY)
            continue
        ledger.resolve(KEY, rng.choice((0, SHARE)))
        ledger.redeem(KEY, "receipt")
        ledger.close(KEY)
        assert ledger.realised == ledger.cash - 1_000 * SHARE, f"seed {seed}"
    assert late > LIVES / 4


def _confirmed(rng: random.Random, number: int) -> TradeSeen:
    return attrs.evolve(_drawn(rng, number), status=CONFIRMED)


def _mistold(rng: random.Random, right: TradeSeen) -> tuple[FillLeg, ...]:
    """As many shares, at prices of the stream's own."""
    return tuple(attrs.evolve(one, price=rng.randrange(1, 100) * 100) for one in right.legs)


def _by_rest(right: TradeSeen) -> TradeSeen:
    return attrs.evolve(right, source=REST)
