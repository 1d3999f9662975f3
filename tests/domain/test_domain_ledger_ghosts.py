"""Ghost fills: trades that fail leave the books as if they had never been (F31, F38, G15).

Many short random lives, each told twice: once with its ghosts and their failures, shuffled as the
venue shuffles, once without. Plain loops, because the number of sequences is the point.
"""

from __future__ import annotations

import random

import attrs
from ledger_kit import BUY, DOWN, MARKET, SELL, UP, funded

from polybot.domain.ledger import Ledger
from polybot.domain.orders import FillLeg, TradeSeen, TradeStatus
from polybot.domain.units import SHARE

SEQUENCES = 10_000
KEY = MARKET.condition_id
RISING = (TradeStatus.MATCHED, TradeStatus.RETRYING, TradeStatus.MINED, TradeStatus.CONFIRMED)


def drawn_trade(rng: random.Random, number: int) -> TradeSeen:
    """A buy of one to three legs: a maker's, a taker's, on either outcome."""
    legs = tuple(
        FillLeg(
            f"0x{rng.randrange(3)}",
            MARKET.token(rng.choice((UP, DOWN))),
            BUY,
            rng.randrange(1, 100) * 100,
            rng.randrange(1, 50_000_000),
            rng.random() < 0.7,
        )
        for _ in range(rng.randint(1, 3))
    )
    return TradeSeen(f"t{number}", KEY, TradeStatus.MATCHED, legs, number, "user stream")


def told(rng: random.Random, trade: TradeSeen, *, ghost: bool) -> list[TradeSeen]:
    """The trade's messages in their own order, some of them twice."""
    last = rng.randint(1, len(RISING))
    statuses = [*RISING[:last], TradeStatus.FAILED] if ghost else list(RISING)
    messages = [attrs.evolve(trade, status=status) for status in statuses]
    return messages + [m for m in messages if rng.random() < 0.2]


def interleaved(rng: random.Random, streams: list[list[TradeSeen]]) -> list[TradeSeen]:
    """All messages at random, each stream's own order kept in one life of two."""
    if rng.random() < 0.5:
        mixed = [message for stream in streams for message in stream]
        rng.shuffle(mixed)
        return mixed
    mixed, left = [], [list(stream) for stream in streams]
    while any(left):
        mixed.append(rng.choice([stream for stream in left if stream]).pop(0))
    return mixed


def figures(ledger: Ledger) -> tuple[object, ...]:
    books = ledger.books[KEY]
    return (
        ledger.cash, ledger.realised, books.holdings(), books.fees, books.rebate_estimate,
        books.fills, books.volume, ledger.unsettled(),
    )  # fmt: skip


def test_ghosts_leave_no_trace() -> None:
    """Cash, shares, cost, fees and results are those of a life without them, to the unit."""
    ghosts_seen = 0
    for seed in range(SEQUENCES):
        rng = random.Random(seed)
        trades = [drawn_trade(rng, n) for n in range(rng.randint(1, 4))]
        ghosts = [rng.random() < 0.5 for _ in trades]
        ghosts_seen += sum(ghosts)
        streams = [told(rng, t, ghost=g) for t, g in zip(trades, ghosts, strict=True)]
        haunted, clean = funded(1_000 * SHARE), funded(1_000 * SHARE)
        haunted.open(MARKET)
        clean.open(MARKET)
        for message in interleaved(rng, streams):
            haunted.book(message)
        for trade, ghost in zip(trades, ghosts, strict=True):
            if not ghost:
                clean.book(attrs.evolve(trade, status=TradeStatus.CONFIRMED))
        assert figures(haunted) == figures(clean), f"seed {seed}"
    assert ghosts_seen > SEQUENCES / 2


def test_a_ghost_sale_gives_its_shares_back() -> None:
    """A sale that fails returns shares and cost exactly, whatever was bought meanwhile."""
    for seed in range(1_000):
        rng = random.Random(seed)
        ledger = funded(1_000 * SHARE)
        books = ledger.open(MARKET)
        bought = FillLeg("0x1", MARKET.up_token, BUY, 4_000, rng.randrange(1, 10**8), maker=True)
        ledger.book(TradeSeen("b", KEY, TradeStatus.CONFIRMED, (bought,), 0))
        before = figures(ledger)
        part = rng.randrange(1, bought.shares + 1)
        sold = FillLeg("0x2", MARKET.up_token, SELL, rng.randrange(1, 10_000), part, maker=False)
        ledger.book(TradeSeen("s", KEY, TradeStatus.MATCHED, (sold,), 1))
        assert books.shares(UP) == bought.shares - part
        ledger.book(TradeSeen("s", KEY, TradeStatus.FAILED, (sold,), 2))
        assert figures(ledger) == before, f"seed {seed}"
