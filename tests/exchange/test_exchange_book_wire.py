"""Level texts, hashes and messages, against captured frames and the official parser."""

from __future__ import annotations

import hashlib
import io
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import zstandard
from clob_kit import T0, make_market
from hypothesis import given, strategies as st
from polymarket.models.clob.market_events import parse_market_event

from polybot.exchange.book_wire import BookText, last_trade_text
from polybot.exchange.model import BUY, DOWN, SELL, UP, Market
from polybot.exchange.money import ONE, UNIT, decimal_text, to_units

DATA = Path(__file__).resolve().parents[2].parent / "shared" / "data"
needs_data = pytest.mark.skipif(not DATA.exists(), reason="the recorded frames are not here")

Level = tuple[int, int]


def sample(name: str) -> Any:
    return json.loads((DATA / "wire" / name).read_text())


def units(text: str, scale: int) -> int:
    value = to_units(text, scale)
    assert value is not None
    return value


def book_of(frame: dict[str, Any], last_trade: str) -> BookText:
    """The captured book as ours, its asset taken for Up."""
    levels = [
        [(units(level["price"], ONE), units(level["size"], UNIT)) for level in frame[side]]
        for side in ("bids", "asks")
    ]
    market = make_market(condition_id=frame["market"], tokens=(frame["asset_id"], "2"))
    market.last_trade_price = units(last_trade, ONE) if last_trade else None
    market.tick = units(frame.get("tick_size", "0.01"), ONE)
    return BookText(market, levels[0], levels[1], int(frame["timestamp"]))


@pytest.mark.conforms("feeds-12.1-hash", "clob-5.2-book-hash")
@needs_data
@pytest.mark.parametrize(
    ("name", "index", "last_trade"),
    [
        ("live_market_initial_2026-05-08.json", 0, "0.850"),
        ("live_market_initial_2025-12-23.json", 0, "0.500"),
        ("live_market_initial_2025-12-23.json", 1, "0.500"),
        ("live_market_book_after_trade_2025-12-23.json", None, "0.500"),
    ],
)
def test_captured_books_have_their_hash(name: str, index: int | None, last_trade: str) -> None:
    """The hash of a captured snapshot is ours (feeds.md 3)."""
    frame = sample(name) if index is None else sample(name)[index]
    assert book_of(frame, last_trade).hash(UP) == frame["hash"]


@pytest.mark.conforms("feeds-12.1-hash", "feeds-12.1-hash-last-trade")
@needs_data
@pytest.mark.parametrize(
    ("day", "index", "entry", "last_trade"),
    [("2026-05-08", 0, 1, "0.850"), ("2025-12-23", 0, 0, "0.490"), ("2025-12-23", 1, 1, "0.490")],
)
def test_captured_deltas_have_their_hash(day: str, index: int, entry: int, last_trade: str) -> None:
    """A delta's hash is that of the asset's book after it."""
    book = book_of(sample(f"live_market_initial_{day}.json")[index], last_trade)
    message = sample(f"live_market_price_change_{day}.json")
    row = message["price_changes"][entry]
    price, size = units(row["price"], ONE), units(row["size"], UNIT)
    changes = [(row["asset_id"], row["side"], price, size)]
    book.apply(changes, int(message["timestamp"]))
    assert book.hash(UP) == row["hash"]
    ours = json.loads(book.price_change(changes))["price_changes"][0]
    assert ours == row


@pytest.mark.conforms("clob-5.2-book-hash")
@needs_data
def test_captured_rest_books_are_ours_byte_for_byte() -> None:
    """Hundreds of real `/book` replies: same hash, same text."""
    folder, checked = DATA / "recordings" / "wire_multisource_jonah", 0
    for path in sorted(folder.glob("*.raw_messages.jsonl.zst")):
        reader = zstandard.ZstdDecompressor().stream_reader(io.BytesIO(path.read_bytes()))
        for line in io.TextIOWrapper(reader):
            record = json.loads(line)
            text = record["payload"]
            if record["source"] == "polymarket_clob" and '"min_order_size"' in text:
                frame = json.loads(text)
                assert book_of(frame, frame["last_trade_price"]).rest(UP) == text.strip()
                checked += 1
    assert checked > 100


@pytest.mark.conforms("feeds-12.1-later-spaced")
@needs_data
def test_later_frames_are_spaced_like_the_captured_ones() -> None:
    """A space after each comma, none after colons: the text itself, not only the JSON."""
    folder, checked = DATA / "recordings" / "wire_multisource_jonah", 0
    for path in sorted(folder.glob("*.raw_messages.jsonl.zst")):
        reader = zstandard.ZstdDecompressor().stream_reader(io.BytesIO(path.read_bytes()))
        for line in io.TextIOWrapper(reader):
            text = json.loads(line)["payload"]
            if '"event_type":"price_change"' in text:
                frame = json.loads(text)
                assert json.dumps(frame, separators=(", ", ":")) == text
                assert list(frame) == list(json.loads(simple_book().price_change([])))
                checked += 1
    assert checked > 10


def simple_book(**market: Any) -> BookText:
    return BookText(
        make_market(**market), [(4900, 10 * UNIT), (5000, 5 * UNIT)], [(5300, 7_500_000)], T0
    )


@pytest.mark.conforms("feeds-12.1-worst-first")
def test_the_two_tokens_are_mirrors() -> None:
    """Up's bids are Down's asks at one minus the price, both worst level first."""
    book = simple_book()
    up, down = json.loads(book.rest(UP)), json.loads(book.rest(DOWN))
    assert up["bids"] == [{"price": "0.49", "size": "10"}, {"price": "0.5", "size": "5"}]
    assert up["asks"] == [{"price": "0.53", "size": "7.5"}]
    assert down["bids"] == [{"price": "0.47", "size": "7.5"}]
    assert down["asks"] == [{"price": "0.51", "size": "10"}, {"price": "0.5", "size": "5"}]
    assert (book.best(UP), book.best(DOWN)) == ((5000, 5300), (4700, 5000))


@pytest.mark.conforms("feeds-12.1-mirrored", "feeds-12.1-delta-top", "feeds-12.1-delta-total")
def test_a_delta_has_two_entries_and_the_new_top() -> None:
    """One change: Up's entry, Down's mirrored one, each with its own hash and best prices."""
    book = simple_book()
    changes = [(book.market.tokens[UP], BUY, 5100, 2 * UNIT)]
    book.apply(changes, T0 + 1)
    message = json.loads(book.price_change(changes))
    up, down = message["price_changes"]
    assert (up["side"], up["price"], up["best_bid"], up["best_ask"]) == (
        BUY,
        "0.51",
        "0.51",
        "0.53",
    )
    assert (down["side"], down["price"], down["best_bid"]) == (SELL, "0.49", "0.47")
    assert (up["hash"], down["hash"]) == (book.hash(UP), book.hash(DOWN))
    assert message["timestamp"] == str(T0 + 1)


@pytest.mark.conforms("feeds-12.1-empty-sides")
def test_an_empty_side_reads_as_the_bound_or_as_nothing() -> None:
    """price_change says 0 and 1, best_bid_ask says nothing (feeds.md 2.3)."""
    book = BookText(make_market(), [], [], T0)
    changes = [(book.market.tokens[UP], BUY, 100, UNIT)]
    book.apply(changes, T0)
    entry = json.loads(book.price_change(changes))["price_changes"][0]
    assert (entry["best_bid"], entry["best_ask"]) == ("0.01", "1")
    best = json.loads(book.best_bid_ask(UP))
    assert (best["best_bid"], best["best_ask"], best["spread"]) == ("0.01", "", "")


@pytest.mark.conforms("feeds-12.1-dump-compact", "feeds-12.1-later-spaced")
def test_the_dump_is_compact_and_later_books_are_spaced() -> None:
    """Key orders and spacing of the two forms (feeds.md 2.2, 2.3)."""
    book = simple_book()
    dump, later = book.dump(UP), book.after_trade(UP)
    assert ", " not in dump
    assert list(json.loads(dump)) == [
        "market", "asset_id", "timestamp", "hash", "bids", "asks", "tick_size", "event_type",
        "last_trade_price",
    ]  # fmt: skip
    assert later.startswith('{"market":"0x')
    assert '"bids":[{"price":"0.49", "size":"10"}, {"price":"0.5", "size":"5"}], ' in later
    assert list(json.loads(later)) == [
        "market", "asset_id", "bids", "asks", "hash", "timestamp", "event_type",
    ]  # fmt: skip


def test_a_v2_market_says_so_in_its_rest_book_only() -> None:
    """The version key is outside the hash."""
    plain, second = simple_book(), simple_book(version="v2")
    assert json.loads(second.rest(UP))["version"] == "v2"
    assert second.hash(UP) == plain.hash(UP)


@pytest.mark.conforms("feeds-12.1-last-trade-text")
@pytest.mark.parametrize(
    ("price", "text"), [(None, ""), (8500, "0.850"), (5, "0.0005"), (9990, "0.999"), (85, "0.0085")]
)
def test_last_trade_texts(price: int | None, text: str) -> None:
    """Three decimals, four only when needed, nothing when there was no trade."""
    assert last_trade_text(price) == text


def slow_hash(market: Market, bids: list[Level], asks: list[Level], at_ms: int) -> str:
    """feeds.md 3, literally, with a JSON library."""

    def rows(levels: list[Level]) -> list[dict[str, str]]:
        return [
            {
                "price": f"{price / ONE:.4f}".rstrip("0"),
                "size": f"{size / UNIT:.6f}".rstrip("0").rstrip("."),
            }
            for price, size in levels
        ]

    summary = {
        "market": market.condition_id, "asset_id": market.tokens[UP], "timestamp": str(at_ms),
        "hash": "", "bids": rows(bids), "asks": rows(asks), "min_order_size": "5",
        "tick_size": "0.01", "neg_risk": False, "last_trade_price": "",
    }  # fmt: skip
    text = json.dumps(summary, separators=(",", ":"))
    return hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()


CHANGE = st.tuples(
    st.sampled_from([BUY, SELL]),
    st.integers(1, 9_999),
    st.integers(0, 3).map(lambda n: n * 123_456),
)


@given(st.lists(CHANGE, max_size=60))
def test_any_sequence_of_changes_gives_the_book_laid_out_afresh(
    changes: list[tuple[str, int, int]],
) -> None:
    """Applying deltas, or starting from the final levels: same texts, same hash."""
    book = BookText(make_market(), [], [], T0)
    sides: dict[str, dict[int, int]] = {BUY: {}, SELL: {}}
    for side, price, size in changes:
        book.apply([(book.market.tokens[UP], side, price, size)], T0)
        sides[side][price] = size
        book.rest(UP)  # what was read on the way must not be what is read at the end
    bids = sorted((p, s) for p, s in sides[BUY].items() if s)
    asks = sorted(((p, s) for p, s in sides[SELL].items() if s), reverse=True)
    fresh = BookText(make_market(), bids, asks, T0)
    assert [book.rest(outcome) for outcome in (UP, DOWN)] == [fresh.rest(o) for o in (UP, DOWN)]
    assert book.hash(UP) == slow_hash(book.market, bids, asks, T0)


def test_whatever_is_hashed_changes_the_hash() -> None:
    """Time, tick and last trade are part of a book's hash beside its levels (feeds.md 3)."""
    book = BookText(make_market(), [(4800, UNIT)], [(5200, UNIT)], T0)
    seen = [book.hash(DOWN)]
    book.market.last_trade_price = 5_000
    seen.append(book.hash(DOWN))
    book.tick = 10
    seen.append(book.hash(DOWN))
    book.changed_ms += 1
    seen.append(book.hash(DOWN))
    book.apply([(book.market.tokens[UP], BUY, 4800, 2 * UNIT)], book.changed_ms)
    seen.append(book.hash(DOWN))
    assert len(set(seen)) == len(seen) == 5
    assert book.hash(DOWN) == seen[-1], "and nothing else does"


@given(st.integers(0, 10**13), st.sampled_from([ONE, UNIT, 2 * ONE]))
def test_a_decimal_is_the_shortest_that_reads_back(value: int, scale: int) -> None:
    """Prices and sizes are plain decimals without trailing zeros (feeds.md 2.3)."""
    text = decimal_text(value, scale)
    assert Decimal(text) == Decimal(value) / scale
    assert "E" not in text
    assert text == "0" or not text.startswith("00")
    assert "." not in text or not text.endswith(("0", "."))


def test_the_official_sdk_reads_our_messages() -> None:
    """Books, deltas and best prices parse with polymarket-client."""
    book = simple_book()
    changes = [(book.market.tokens[UP], BUY, 5100, 2 * UNIT)]
    book.apply(changes, T0)
    for text in (
        book.dump(UP),
        book.after_trade(DOWN),
        book.price_change(changes),
        book.best_bid_ask(UP),
    ):
        parse_market_event(json.loads(text))
