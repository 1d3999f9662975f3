"""The market channel's frames: captured ones decode, any others do no harm."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, strategies as st
from venue_kit import DOWN, UP, recording, wire

from polybot.domain.market import Side
from polybot.venue.market_messages import (
    Bad,
    BestBidAsk,
    BookMessage,
    Change,
    LastTrade,
    MarketMessage,
    Noise,
    PriceChange,
    Resolved,
    TickSize,
    decode_market,
    decode_record,
    market_greeting,
)

CHANGE = {
    "asset_id": UP,
    "price": "0.85",
    "size": "503.32",
    "side": "BUY",
    "hash": "ab",
    "best_bid": "0.85",
    "best_ask": "",
}


def frame(**changes: object) -> str:
    row = {"event_type": "price_change", "market": "0x1", "timestamp": "1778204225252"}
    return json.dumps(row | changes)


@pytest.mark.parametrize(
    ("name", "kinds"),
    [
        ("live_market_initial_2025-12-23.json", [BookMessage, BookMessage]),
        ("live_market_initial_2026-05-08.json", [BookMessage]),
        ("live_market_book_after_trade_2025-12-23.json", [BookMessage]),
        ("live_market_price_change_2025-12-23.json", [PriceChange]),
        ("live_market_price_change_2026-05-08.json", [PriceChange]),
        ("live_market_new_market_btc5m_2026-10-02.json", [Noise]),
        ("nt_market_book_2024.json", [BookMessage]),
        ("nt_market_price_change_multi.json", [PriceChange]),
        ("nt_market_last_trade_price_2024.json", [LastTrade]),
        ("nt_market_tick_size_change_2025.json", [TickSize]),
        ("nt_market_best_bid_ask.json", [BestBidAsk]),
        ("nt_market_new_market_2025-12.json", [Noise]),
        ("nt_market_resolved_2025-12.json", [Resolved]),
    ],
)
def test_captured_frames_decode(name: str, kinds: list[type[MarketMessage]]) -> None:
    """Every real or documented frame is read as what it is."""
    assert [type(record) for record in decode_market(wire(name))] == kinds


@pytest.mark.parametrize(
    "name",
    [
        "btc5m_fullrate_alihakan/market-ws.sorted.jsonl.zst",
        "btc5m_books_cronos/btc-updown-5m-1776323400.jsonl.zst",
    ],
)
def test_recorded_frames_decode(name: str) -> None:
    """Not one record of the recordings is bad or unknown."""
    records = [decode_record(line["msg"]) for line in recording(name)]

    assert records
    assert not [record for record in records if isinstance(record, Bad | Noise)]


@pytest.mark.parametrize(
    "name",
    [
        "live_market_initial_2025-12-23.json",
        "live_market_initial_2026-05-08.json",
        "live_market_book_after_trade_2025-12-23.json",
        "live_market_price_change_2025-12-23.json",
        "live_market_price_change_2026-05-08.json",
        "nt_market_price_change_multi.json",
    ],
)
def test_both_ways_of_reading_agree(name: str) -> None:
    """The typed way and the tolerant one give the same records."""
    rows = json.loads(wire(name))
    rows = rows if isinstance(rows, list) else [rows]

    assert list(decode_market(wire(name))) == [decode_record(row) for row in rows]


def test_recorded_frames_are_read_alike() -> None:
    """Ten seconds at full rate: no record differs between the two ways."""
    for line in recording("btc5m_fullrate_alihakan/market-ws.sorted.jsonl.zst"):
        (record,) = decode_market(json.dumps(line["msg"]))
        assert record == decode_record(line["msg"])


def test_a_delta_keeps_numbers_and_texts() -> None:
    """The venue's texts to hash with, and the integers to decide with."""
    (record,) = decode_market(frame(price_changes=[CHANGE]))

    assert isinstance(record, PriceChange)
    assert record.timestamp_ms == 1778204225252
    (change,) = record.entries
    assert change == Change(
        "0.85", "503.32", asset=UP, side=Side.BUY, hash="ab", bid_text="0.85", ask_text=""
    )
    assert (change.price, change.size) == (8500, 503_320_000)


def test_one_bad_record_spoils_only_itself() -> None:
    """In an array each record stands for itself, in order."""
    good = json.loads(frame(price_changes=[CHANGE]))

    records = decode_market(json.dumps([good, 7, {"event_type": "book"}, good]))

    assert [type(record) for record in records] == [PriceChange, Bad, Bad, PriceChange]


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("PONG", Noise),
        ("NO NEW ASSETS", Noise),
        ("", Noise),
        ('{"cut', Bad),
        ("[1", Bad),
        ('{"event_type":"surprise"}', Noise),
        ('{"event_type":["book"]}', Noise),
        ("null", Bad),
        ('"text"', Bad),
    ],
)
def test_what_is_no_record(text: str, kind: type[MarketMessage]) -> None:
    """Keepalive and notices are noise, broken JSON is bad, and neither raises."""
    (record,) = decode_market(text)

    assert isinstance(record, kind)


def test_an_empty_array_is_nothing() -> None:
    """A subscription to an unknown token answers `[]`."""
    assert not decode_market("[]")


@pytest.mark.parametrize(
    "change",
    [{"price": 0.5}, {"side": "HOLD"}, {"side": ["BUY"]}, {"asset_id": None}, {"best_bid": []}],
)
def test_a_change_of_another_shape_is_bad(change: dict[str, object]) -> None:
    """A number where a text belongs, or a side that is none, makes the record bad. A text that is
    no number is found by the book (test_venue_market_book.py).
    """
    (record,) = decode_market(frame(price_changes=[CHANGE | change]))

    assert isinstance(record, Bad)


def test_an_odd_change_is_read_the_tolerant_way() -> None:
    """A best price written as a number is still one."""
    (record,) = decode_market(frame(price_changes=[CHANGE | {"best_bid": 0.85}]))

    assert isinstance(record, PriceChange)
    assert record.entries[0].bid_text == "0.85"


@pytest.mark.parametrize("tick", ["0", "0.003", "0.9", "x", "", None])
def test_a_tick_that_is_no_part_of_a_dollar_is_bad(tick: object) -> None:
    """Whoever rounds divides by the tick: one that does not divide a dollar never reaches them."""
    row = {"event_type": "tick_size_change", "asset_id": UP, "new_tick_size": tick}

    (record,) = decode_market(frame(**row))

    assert isinstance(record, Bad)


def test_the_greeting_asks_for_both_tokens_and_the_extra_events() -> None:
    """The first frame of feeds.md 2.1."""
    assert json.loads(market_greeting([UP, DOWN])) == {
        "type": "market",
        "assets_ids": [UP, DOWN],
        "custom_feature_enabled": True,
    }


scraps = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
scraps |= st.sampled_from(["0.5", "0.010", "12.5", "BUY", "SELL", UP, "1778204225252", "", "0"])
keys = st.sampled_from(
    [
        "market",
        "asset_id",
        "timestamp",
        "hash",
        "bids",
        "asks",
        "price",
        "size",
        "side",
        "price_changes",
        "best_bid",
        "best_ask",
        "tick_size",
        "new_tick_size",
        "last_trade_price",
    ]
)
values = st.recursive(
    scraps,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=8),
    max_leaves=15,
)
kinds_of_event = st.sampled_from(
    [
        "book",
        "price_change",
        "last_trade_price",
        "tick_size_change",
        "best_bid_ask",
        "market_resolved",
        "new_market",
        "",
    ]
)


@given(kinds_of_event, st.dictionaries(keys, values, max_size=10))
def test_no_record_raises(kind: str, row: dict[str, object]) -> None:
    """Any object under any event type gives exactly one record."""
    decode_record(row | {"event_type": kind})


@given(st.text() | st.binary())
def test_no_frame_raises(frame: str | bytes) -> None:
    """Any text and any bytes decode to something."""
    decode_market(frame)
