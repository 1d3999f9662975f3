"""Book hashes: the captured vectors, and ten recorded seconds at full rate."""

from __future__ import annotations

import json

import pytest
from slow_venue import levels_of, wire_levels
from venue_kit import DATA, make_market, recording, wire

from polybot.venue.book_hash import HashedBook
from polybot.venue.market_book import MarketBook
from polybot.venue.market_messages import (
    BestBidAsk,
    BookMessage,
    LastTrade,
    MarketMessage,
    PriceChange,
    decode_market,
    decode_record,
)


def hashed(record: MarketMessage) -> HashedBook:
    assert isinstance(record, BookMessage)
    book = HashedBook(record.market, record.asset, "5", "0.01", neg_risk=False)
    book.replace(record.bids, record.asks)
    return book


@pytest.mark.parametrize(
    ("name", "index", "last_trade"),
    [
        ("live_market_initial_2026-05-08.json", 0, "0.850"),
        ("live_market_initial_2025-12-23.json", 0, "0.500"),
        ("live_market_initial_2025-12-23.json", 1, "0.500"),
        ("live_market_book_after_trade_2025-12-23.json", 0, "0.500"),
    ],
)
def test_captured_snapshots_hash_to_their_hash(name: str, index: int, last_trade: str) -> None:
    """The vectors of feeds.md 3 for snapshots."""
    record = decode_market(wire(name))[index]

    assert isinstance(record, BookMessage)
    assert hashed(record).hashes(record.timestamp)(last_trade) == record.hash


@pytest.mark.parametrize(
    ("book", "index", "delta", "entry", "last_trade"),
    [
        ("2026-05-08", 0, "2026-05-08", 1, "0.850"),
        ("2025-12-23", 0, "2025-12-23", 0, "0.490"),
        ("2025-12-23", 1, "2025-12-23", 1, "0.490"),
    ],
)
def test_captured_changes_hash_to_their_hash(
    book: str, index: int, delta: str, entry: int, last_trade: str
) -> None:
    """The vectors of feeds.md 3 for changes: the book after the message."""
    ours = hashed(decode_market(wire(f"live_market_initial_{book}.json"))[index])
    (change,) = decode_market(wire(f"live_market_price_change_{delta}.json"))
    assert isinstance(change, PriceChange)

    ours.apply(change.entries[entry])

    assert ours.hashes(change.timestamp)(last_trade) == change.entries[entry].hash


def test_a_trade_not_printed_yet_is_learned_from_the_level_it_shrank() -> None:
    """The captured change of December hashes a trade whose print is not in the capture."""
    dump = decode_market(wire("live_market_initial_2025-12-23.json"))
    (change,) = decode_market(wire("live_market_price_change_2025-12-23.json"))
    first, second = dump
    assert isinstance(first, BookMessage)
    assert isinstance(second, BookMessage)
    market = make_market(up=first.asset, down=second.asset, condition=first.market)
    book = MarketBook(market)
    for record in (*dump, change):
        book.apply(record)
        book.judge()

    assert book.valid
    assert (book.counts.verified, book.counts.learned, book.counts.mismatches) == (3, 1, 0)


def recorded_markets() -> dict[str, MarketBook]:
    path = DATA / "recordings" / "btc5m_fullrate_alihakan" / "markets.json"
    if not path.exists():
        pytest.skip("the recordings are not on this machine")
    rows = json.loads(path.read_text()).values()
    markets = [
        make_market(up=row["upTokenId"], down=row["downTokenId"], condition=row["conditionId"])
        for row in rows
    ]
    return {market.condition_id: MarketBook(market) for market in markets}


def test_ten_seconds_at_full_rate_give_every_later_snapshot() -> None:
    """Deltas rebuild all 140 later snapshots, and 95 % of the hashes match on the way.

    The recorder lost the order of messages with equal stamps (212 of the 244 that fail have one),
    so a change may be seen too early or too late. Each time the book must heal by itself.
    """
    books = recorded_markets()
    records = [
        decode_record(line["msg"])
        for line in recording("btc5m_fullrate_alihakan/market-ws.sorted.jsonl.zst")
    ]
    equal = later = failed = longest = 0
    for record in records:
        assert isinstance(record, BookMessage | PriceChange | LastTrade | BestBidAsk)
        book = books[record.market]
        if isinstance(record, BookMessage):
            outcome = book.market.outcome_of(record.asset)
            if book.stamp_ms(outcome):
                later += 1
                equal += levels_of(book, outcome) == wire_levels(record)
        before = book.counts.mismatches
        book.apply(record)
        book.judge()
        failed = failed + 1 if book.counts.mismatches > before else 0
        longest = max(longest, failed)

    assert (equal, later) == (140, 140)
    assert longest < 8
    assert all(book.valid for book in books.values())
    counts = books[max(books, key=lambda key: books[key].counts.deltas)].counts
    assert counts.deltas > 10_000
    assert counts.verified + counts.learned > 0.95 * counts.deltas
    assert counts.top_differs == 2  # README of the recordings: 10,360 of 10,362 are right
