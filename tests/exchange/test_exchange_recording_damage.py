"""Recorded files that hold something else than they promise: said and left out, never played."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest
import zstandard
from world_kit import WINDOW_MS, Stage, write_rows

from polybot.exchange import recording_alihakan, recording_beats, recording_files
from polybot.exchange.recording import RecordedWorld
from polybot.exchange.recording_beats import Window

OPEN_MS = 1_795_132_800_000
SLUG = f"btc-updown-5m-{OPEN_MS // 1000}"
NEXT = f"btc-updown-5m-{OPEN_MS // 1000 + 300}"
DAMAGED = "only the part before it is used"


def write_text(path: Path, text: str) -> Path:
    path.write_bytes(zstandard.ZstdCompressor().compress(text.encode()))
    return path


def prices(values: dict[int, str], stamp: Any = "{}") -> str:
    """Seven minutes of the vendor's ticks; `values` replaces some, `stamp` forms their times."""
    rows = [f"{stamp.format(OPEN_MS + n * 1000)},{values.get(n, 90_000 + n)}" for n in range(420)]
    return "\n".join(["feed_ts_ms,value", *rows])


def message(at_ms: int, price: str = "0.4", size: str = "7", asset: str = "u") -> dict[str, Any]:
    """A market-channel `book` with one bid and an ask at 0.6."""
    asks = [{"price": "0.6", "size": "5"}]
    return {
        "event_type": "book", "asset_id": asset, "timestamp": str(at_ms),
        "bids": [{"price": price, "size": size}], "asks": asks,
    }  # fmt: skip


def books(folder: Path, messages: list[dict[str, Any]], index: str = f"{SLUG},u,d,a") -> Path:
    """A folder of one market's books with its index."""
    (folder / "index.csv").write_text(f"slug,token_a,token_b,winner_token\n{index}\n")
    write_rows(folder / f"{SLUG}.jsonl.zst", [{"msg": one} for one in messages])
    return folder


def full_rate(folder: Path, messages: list[dict[str, Any]]) -> Path:
    """A folder of one market's full channel."""
    write_rows(folder / recording_alihakan.NAME, [{"msg": one} for one in messages])
    described = {"conditionId": "0x1", "slug": SLUG, "upTokenId": "u", "downTokenId": "d"}
    (folder / "markets.json").write_bytes(orjson.dumps({"current": described}))
    return folder


def second(number: int, *, bid: float = 0.4, price: Any = 90_000.5) -> list[dict[str, Any]]:
    """One second of the recording at 1 Hz."""
    up = {"bids": [[bid, 10]], "asks": [[0.6, 10]]}
    at_ms = OPEN_MS + number * 1000
    return [
        {"type": "orderbook_snapshot", "ts": at_ms, "up": up},
        {"type": "ticker", "ts": at_ms, "assetPrice": price, "binancePrice": price},
    ]


def played(path: Path) -> str:
    """What a world says of itself after its first window."""
    stage = Stage(RecordedWorld(path))
    stage.run(max(stage.now_ms, OPEN_MS + WINDOW_MS))
    return stage.world.name


# --- prices ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", ["nan", "inf", "0", "-5", "1e400"])
def test_what_is_no_price_ends_the_reading(tmp_path: Path, value: str) -> None:
    """One bad tick is said with its value; it poisoned every price and the volatility."""
    write_text(tmp_path / "BTCUSD-x.csv.zst", prices({200: value}))

    world = RecordedWorld(tmp_path)

    assert f"{value} is no price" in world.name
    assert world.source.chainlink("btc", OPEN_MS + 300_000) == 90_199.0
    assert 0 < world.source.sigma("btc", OPEN_MS) < 1


@pytest.mark.parametrize("stamp", ["{:.3e}", "{}000", "{}000000", "2026-11-20T00:00:00Z"])
def test_a_stamp_of_another_unit_is_refused(tmp_path: Path, stamp: str) -> None:
    """Microseconds, nanoseconds and texts are no Unix milliseconds: a fault named the calendar."""
    path = write_text(tmp_path / "BTCUSD-x.csv.zst", prices({}, stamp))

    with pytest.raises(ValueError, match=path.name):
        RecordedWorld(tmp_path)


def test_seconds_are_no_milliseconds(tmp_path: Path) -> None:
    """A world of January 1970 was played without a word."""
    rows = [f"{OPEN_MS // 1000 + n},{90_000 + n}" for n in range(420)]
    write_text(tmp_path / "BTCUSD-x.csv.zst", "\n".join(["feed_ts_ms,value", *rows]))

    with pytest.raises(ValueError, match="no Unix time in milliseconds"):
        RecordedWorld(tmp_path)


@pytest.mark.parametrize(
    ("at", "price", "said"),
    [(OPEN_MS * 1000, "90000.5", "milliseconds"), (OPEN_MS + 0.5, "90000.5", "promises"),
     (OPEN_MS, "NaN", "no price"), (OPEN_MS, "0", "no price")],
)  # fmt: skip
def test_trades_of_another_unit(tmp_path: Path, at: float, price: str, said: str) -> None:
    """Binance's stamps in microseconds and prices that are none are refused by name."""
    trade = {"stream": "btcusdt@trade", "data": {"T": at, "p": price}}
    write_text(tmp_path / "btcusdt_x.txt.zst", f"1 {orjson.dumps(trade).decode()}\n")

    with pytest.raises(ValueError, match=said):
        RecordedWorld(tmp_path)


@pytest.mark.parametrize(
    ("stamp", "price"), [(OPEN_MS // 1000, 9e4), (OPEN_MS, -1), (OPEN_MS, "NaN")]
)
@pytest.mark.parametrize("source", ["polybot", "binance", "polymarket_rtds_chainlink"])
def test_points_of_every_source_are_judged(
    tmp_path: Path, stamp: int, price: Any, source: str
) -> None:
    """Raw frames of two feeds, and windows in our own form: a bad point names its file."""
    if source == "polybot":
        bad = float(price) if stamp == OPEN_MS else 0.0
        window = Window(SLUG, "invented", chainlink=((OPEN_MS, bad),))
        path = recording_beats.write(tmp_path, window, [])
    else:
        frame = {
            "payload": {"symbol": "btc/usd", "timestamp": stamp, "value": price},
            "data": {"s": "BTCUSDT", "T": stamp, "p": price},
        }
        row = {"source": source, "payload": orjson.dumps(frame).decode()}
        path = write_rows(tmp_path / "s1.raw_messages.jsonl.zst", [row])
        market = {
            "slug": SLUG, "condition_id": "0x1",
            "outcomes": [{"token_id": "u", "outcome": "Up"}, {"token_id": "d", "outcome": "Down"}],
        }  # fmt: skip
        (tmp_path / "s1.markets.jsonl").write_bytes(orjson.dumps(market))

    with pytest.raises(ValueError, match=path.name):
        RecordedWorld(path)


OUTCOMES = "timestamp,outcome,btc_open,btc_close\n"


@pytest.mark.parametrize("rows", ["", f"{OPEN_MS // 1000},up,9", f"{OPEN_MS},up,90000,90001"])
def test_outcomes_without_one_good_row(tmp_path: Path, rows: str) -> None:
    """A head alone, a row cut short, milliseconds for seconds: the file is named."""
    path = write_text(tmp_path / "x_outcomes.csv.zst", OUTCOMES + rows)

    with pytest.raises(ValueError, match=path.name):
        RecordedWorld(tmp_path)


def test_an_outcome_told_twice(tmp_path: Path) -> None:
    """A repeated row says nothing, one that contradicts is told and left out."""
    row, other = (f"{OPEN_MS // 1000},{way},90000,90001\n" for way in ("up", "down"))
    path = write_text(tmp_path / "x_outcomes.csv.zst", OUTCOMES + row + row)
    assert "twice" not in RecordedWorld(path).name
    write_text(path, OUTCOMES + row + row + other)

    world = RecordedWorld(path)

    assert f"tells {SLUG} twice" in world.name
    assert world._recording.outcomes == {SLUG: (90_000.0, 90_001.0)}


def test_a_market_of_another_length_is_no_window(tmp_path: Path) -> None:
    """A quarter of an hour would have fixed the price of five minutes."""
    write_text(tmp_path / "BTCUSD-x.csv.zst", prices({}))
    row = {"slug": SLUG.replace("5m", "15m"), "strike_value": None, "outcome_prices": ["1", "0"]}
    write_rows(tmp_path / "BTC-5m-markets-x.jsonl.zst", [row])

    with pytest.raises(ValueError, match="no BTC 5m market"):
        RecordedWorld(tmp_path)


# --- files ----------------------------------------------------------------------------------------


def test_gzip_is_read_as_the_vendor_packs_it(tmp_path: Path) -> None:
    """Whole, and cut in the middle: what is there is used, the cut is said."""
    path = tmp_path / "BTCUSD-x.csv.gz"
    packed = gzip.compress(prices({}).encode())
    path.write_bytes(packed)
    whole = RecordedWorld(tmp_path)
    assert whole.source.chainlink("btc", OPEN_MS + 419_000) == 90_419.0
    assert "damaged" not in whole.name

    path.write_bytes(packed[:-300])
    part = RecordedWorld(tmp_path)

    assert "cut short" in part.name
    assert 90_000.0 < part.source.chainlink("btc", OPEN_MS + 419_000) < 90_419.0
    path.write_bytes(b"\x1f\x8b no gzip")
    with pytest.raises(ValueError, match="fetch it again"):
        RecordedWorld(tmp_path)


def test_a_frame_may_end_where_a_chunk_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a file of two frames the second was lost when the first filled a read exactly."""
    first = zstandard.ZstdCompressor().compress(b"one\n" * 1_000)
    path = tmp_path / "x.zst"
    path.write_bytes(first + zstandard.ZstdCompressor().compress(b"two\n"))
    monkeypatch.setattr(recording_files, "CHUNK", len(first))

    assert b"".join(recording_files.chunks(path)).endswith(b"one\ntwo\n")


@pytest.mark.parametrize(("row", "said"), [("1,2,3", "too long a row"), ("1,2\r3", "damaged")])
def test_a_row_of_other_columns(tmp_path: Path, row: str, said: str) -> None:
    """A row too long is none of the table; a stray line end broke the reader."""
    warnings = recording_files.Warnings()
    path = write_text(tmp_path / "x.csv.zst", f"a,b\n4,5\n{row}\n6,7\n")

    assert list(recording_files.table(path, warnings)) == [{"a": "4", "b": "5"}]
    assert said in warnings[0]
    assert DAMAGED in warnings[0]


# --- books ----------------------------------------------------------------------------------------

GOOD = [message(OPEN_MS + n * 1000) for n in range(1, 60)]
LATER = OPEN_MS + 60_000


@pytest.mark.parametrize("bad", [
    message(LATER * 1000), message(LATER // 1000), message(LATER + 86_400_000),
    message(LATER, "1.2"), message(LATER, "-0.1"), message(LATER, "0"), message(LATER, size="-5"),
])  # fmt: skip
def test_a_book_that_none_can_be(tmp_path: Path, bad: dict[str, Any]) -> None:
    """Other units, another day, prices outside the dollar: refused first, the end of it later."""
    for make in (books, full_rate):
        folder = tmp_path / make.__name__
        folder.mkdir()
        assert DAMAGED in played(make(folder, [*GOOD, bad]))
        with pytest.raises(ValueError, match="promises"):
            RecordedWorld(make(folder, [bad, *GOOD]))


def test_a_token_of_another_market(tmp_path: Path) -> None:
    """A foreign book was taken for Down's mirror; so was Up's, where the index named no token."""
    foreign = message(LATER, asset="z")
    assert DAMAGED in played(books(tmp_path, [*GOOD, foreign]))
    assert "damaged" not in played(books(tmp_path, [*GOOD, foreign], f"{SLUG},u,,a"))
    books(tmp_path, GOOD, f"{SLUG},,d,a")
    with pytest.raises(ValueError, match=r"index\.csv"):
        RecordedWorld(tmp_path)


def test_a_file_of_nothing_is_told_before_the_world_begins(tmp_path: Path) -> None:
    """The second of two markets ended the exchange when its time had come."""
    folder = books(tmp_path, GOOD, f"{SLUG},u,d,a\n{NEXT},x,y,b")
    path = write_text(folder / f"{NEXT}.jsonl.zst", "no JSON")

    with pytest.raises(ValueError, match=path.name):
        RecordedWorld(folder)


def test_books_out_of_order_are_said(tmp_path: Path) -> None:
    """What is told late is left out of books, and played in the file's order at full rate."""
    assert "not in order" in played(books(tmp_path, GOOD[30:] + GOOD[:30]))
    (tmp_path / "full").mkdir()
    assert "stamps go back" in played(full_rate(tmp_path / "full", GOOD[30:] + GOOD[:30]))


@pytest.mark.parametrize("bad", [
    {"event_type": "tick_size_change", "asset_id": "u", "new_tick_size": "0"},
    {"event_type": "last_trade_price", "asset_id": "u", "side": "sell", "price": "0.5",
     "size": "1"},
    {"event_type": "price_change",
     "price_changes": [{"asset_id": "u", "side": "BUY", "price": "1.5", "size": "1"}]},
])  # fmt: skip
def test_an_event_that_none_can_be(tmp_path: Path, bad: dict[str, Any]) -> None:
    """A tick of nought divided by it; all are damage, and known as soon as the file is read."""
    world = RecordedWorld(full_rate(tmp_path, [*GOOD, bad | {"timestamp": str(LATER)}]))

    assert DAMAGED in world.name


def test_a_capture_of_before_its_window(tmp_path: Path) -> None:
    """It has no market under way, and is played all the same."""
    early = [message(OPEN_MS - 60_000 + n * 1000) for n in range(50)]

    world = RecordedWorld(full_rate(tmp_path, early))

    assert world.end_ms is not None
    assert world.end_ms > OPEN_MS + WINDOW_MS


def test_another_coin_has_no_price_here(tmp_path: Path) -> None:
    """Sets whose prices are of BTC, or of nothing, are of no use for another coin's market."""
    slug = SLUG.replace("btc", "eth")
    books(tmp_path, GOOD, f"{slug},u,d,a")
    (tmp_path / f"{SLUG}.jsonl.zst").rename(tmp_path / f"{slug}.jsonl.zst")
    with pytest.raises(ValueError, match=slug):
        RecordedWorld(tmp_path)
    (tmp_path / "hz").mkdir()
    write_rows(tmp_path / "hz" / f"{slug}.orderbook.jsonl.zst", second(0))
    with pytest.raises(ValueError, match=slug):
        RecordedWorld(tmp_path / "hz")


def test_a_silence_is_told(tmp_path: Path) -> None:
    """At the beginning, in the middle, at the end; 29 seconds are none, nor is it before the window
    or after it.
    """
    seconds = [-300, 29, 58, 88, 110, 290, 400]
    name = played(books(tmp_path, [message(OPEN_MS + n * 1000) for n in seconds]))
    assert "silent from 58 to 88 s" in name
    assert "silent from 110 to 290 s" in name
    assert name.count("silent") == 2

    rows = [row for n in (40, 60) for row in second(n)]
    one = RecordedWorld(write_rows(tmp_path / f"{SLUG}.orderbook.jsonl.zst", rows))
    assert "silent from 0 to 40 s" in one.name
    assert "silent from 60 to 300 s" in one.name


# --- one market at 1 Hz ---------------------------------------------------------------------------


def test_seconds_out_of_order_are_put_in_order(tmp_path: Path) -> None:
    """All of them are in memory: the latest book was played first and then undone."""
    rows = [row for n in (2, 0, 1) for row in second(n)]
    [tape] = RecordedWorld(
        write_rows(tmp_path / f"{SLUG}.orderbook.jsonl.zst", rows)
    )._recording.tapes

    assert [beat.at_ms - OPEN_MS for beat in tape.beats()] == [0, 1_000, 2_000]


@pytest.mark.parametrize("bad", [second(5, bid=1.5), second(86_400), second(5, price="NaN")])
def test_a_second_that_none_can_be(tmp_path: Path, bad: list[dict[str, Any]]) -> None:
    """Prices outside the dollar, another day, a price that is none."""
    rows = [row for n in range(5) for row in second(n)]

    assert DAMAGED in played(write_rows(tmp_path / f"{SLUG}.orderbook.jsonl.zst", rows + bad))


def test_two_markets_in_one_file(tmp_path: Path) -> None:
    """The books of both were played as the second's."""
    slots = [{"type": "slot", "ts": OPEN_MS, "slug": slug} for slug in (SLUG, SLUG, NEXT)]
    path = write_rows(tmp_path / f"{SLUG}.orderbook.jsonl.zst", [*second(0), *slots])

    with pytest.raises(ValueError, match="one market a file"):
        RecordedWorld(path)


@pytest.mark.parametrize(
    ("bad", "said"), [("{", "at row 3"), ('{"msg": 7}', "at row 3"), ("[1]", "at row 3")]
)
def test_the_row_is_named(tmp_path: Path, bad: str, said: str) -> None:
    """A line that is none, or none of the format, ends the reading, and is told with its number."""
    folder = full_rate(tmp_path, [message(OPEN_MS), message(OPEN_MS + 1)])
    path = folder / recording_alihakan.NAME
    good = zstandard.ZstdDecompressor().stream_reader(path.read_bytes()).read().decode()
    write_text(path, f"{good.rstrip()}\n{bad}\n{good}")

    world = RecordedWorld(folder)

    assert said in world.name
    assert world.warnings.cut


def test_what_is_only_to_be_known_is_no_damage(tmp_path: Path) -> None:
    """A file that is silent, or not in order, is told, and has been read to its end."""
    folder = books(tmp_path, [message(OPEN_MS + n) for n in (5, 9, 7)])
    world = RecordedWorld(folder)
    stage = Stage(world)
    stage.run(OPEN_MS + WINDOW_MS)

    assert "not in order" in world.name
    assert not world.warnings.cut


@pytest.mark.parametrize("kind", [books, full_rate])
def test_a_silence_within_the_window_is_told(tmp_path: Path, kind: Callable[..., Path]) -> None:
    """A capture that began late, paused, or ended early: the full channel's was played without a
    word, and a market nobody heard passed for a quiet one.
    """
    at_s = (40, 50, 120, 200)
    folder = kind(tmp_path, [message(OPEN_MS + n * 1000, size=f"{n}") for n in at_s])
    name = next(path.name for path in folder.iterdir() if path.name.endswith(".jsonl.zst"))
    told = played(folder)

    for said in (
        f"{name} is silent from 0 to 40 s of {SLUG}: its book stands still",
        f"{name} is silent from 50 to 120 s of {SLUG}: its book stands still",
        f"{name} is silent from 200 to 300 s of {SLUG}, its end: no book then",
    ):
        assert said in told
    assert "from 40 to 50" not in told
