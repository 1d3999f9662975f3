"""Our own tapes as recordings: what a run heard, brought into windows that can be played."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import attrs
import orjson
import pytest

from polybot.exchange import recording_formats
from polybot.exchange.mirror_messages import Beat, Changes, Print, Snapshot
from polybot.exchange.model import BUY, DOWN
from polybot.exchange.money import UNIT
from polybot.exchange.recording_model import Tape
from polybot.journal.tape import Header, Kind, Writer
from polybot.lab.backtest_tape import Brought, with_tapes

START_S = 1_795_132_800
START_MS = START_S * 1000
END_MS = START_MS + 300_000
SLUG = f"btc-updown-5m-{START_S}"
HEADER = Header("a test", 0, START_MS, "", {})
TOKENS = ("111", "222")
Row = tuple[int, int, str, bytes]


def when(at_s: int) -> str:
    return datetime.fromtimestamp(at_s, UTC).isoformat()


def gamma(slug: str = SLUG, start_s: int = START_S, **more: Any) -> dict[str, Any]:
    return {
        "id": "1", "conditionId": "0xabc", "questionID": "0xdef", "slug": slug, "question": "?",
        "outcomes": '["Up", "Down"]', "clobTokenIds": orjson.dumps(TOKENS).decode(),
        "outcomePrices": '["0.5", "0.5"]', "startDate": when(start_s - 86_400),
        "eventStartTime": when(start_s), "endDate": when(start_s + 300),
        "orderPriceMinTickSize": 0.01, "orderMinSize": 5,
    } | more  # fmt: skip


def answer(at_ms: int, body: object, status: int = 200, path: str = "/markets/slug/x") -> Row:
    text = f"{status} GET {path}\n".encode() + orjson.dumps(body)
    return at_ms * 1_000_000, Kind.HEARD, "rest gamma", text


def frame(at_ms: int, body: object, slug: str = SLUG) -> Row:
    return at_ms * 1_000_000, Kind.HEARD, f"market {slug}", orjson.dumps(body)


def book(at_ms: int, token: str = TOKENS[0]) -> dict[str, Any]:
    return {
        "event_type": "book", "asset_id": token, "market": "0xabc", "timestamp": str(at_ms),
        "bids": [{"price": "0.49", "size": "100"}], "asks": [{"price": "0.51", "size": "80"}],
    }  # fmt: skip


def change(at_ms: int) -> dict[str, Any]:
    one = {"asset_id": TOKENS[0], "side": "BUY", "price": "0.48", "size": "7"}
    return {"event_type": "price_change", "timestamp": str(at_ms), "price_changes": [one]}


def trade(at_ms: int) -> dict[str, Any]:
    return {
        "event_type": "last_trade_price", "asset_id": TOKENS[1], "side": "BUY", "price": "0.51",
        "size": "3", "timestamp": str(at_ms),
    }  # fmt: skip


def binance(at_ms: int, price: float) -> Row:
    data = {"e": "trade", "s": "BTCUSDT", "p": str(price), "q": "1", "T": at_ms, "t": 1}
    body = orjson.dumps({"stream": "btcusdt@trade", "data": data})
    return at_ms * 1_000_000, Kind.HEARD, "prices binance", body


def whole() -> list[Row]:
    """A window from before its start to its result."""
    told = [{"eventMetadata": {"priceToBeat": 90_000.0}}]
    ended = [{"eventMetadata": {"priceToBeat": 90_000.0, "finalPrice": 90_001.0}}]
    return [
        answer(START_MS - 60_000, gamma()),
        frame(START_MS - 10_000, [book(START_MS - 10_000), book(START_MS - 10_000, TOKENS[1])]),
        binance(START_MS + 500, 90_010.5),
        frame(START_MS + 1_000, change(START_MS + 980)),
        frame(START_MS + 1_080, trade(START_MS + 900)),
        answer(START_MS + 60_000, gamma(events=told)),
        frame(END_MS - 1_000, change(END_MS - 1_020)),
        answer(
            END_MS + 70_000, [gamma(closed=True, outcomePrices='["0", "1"]', events=ended)],
            path="/markets?slug=x",
        ),
    ]  # fmt: skip


HOUR_SLUG = "bitcoin-up-or-down-november-19-2026-7pm-et"
HOUR_END_MS = START_MS + 3_600_000


def hour() -> list[Row]:
    """The same for an hour, which is resolved thirteen minutes after its end (clob.md 8)."""
    told = [{"eventMetadata": {"priceToBeat": 90_000.0, "finalPrice": 89_990.0}}]
    row = gamma(HOUR_SLUG) | {"endDate": when(HOUR_END_MS // 1000)}
    paid = {"closed": True, "outcomePrices": '["0", "1"]', "events": told}
    return [
        answer(START_MS - 60_000, row),
        frame(START_MS - 10_000, [book(START_MS - 10_000)], HOUR_SLUG),
        binance(START_MS + 500, 90_000.0),
        frame(HOUR_END_MS - 1_000, change(HOUR_END_MS - 1_020), HOUR_SLUG),
        binance(HOUR_END_MS + 700_000, 89_000.0),
        answer(HOUR_END_MS + 780_000, row | paid),
        binance(HOUR_END_MS + 1_200_000, 88_000.0),
    ]


def taped(tmp_path: Path, rows: list[Row]) -> Path:
    path = tmp_path / "1-paper-0000.tape"
    writer = Writer(path, HEADER)
    for row in rows:
        writer.write([row])
    writer.close()
    return path


def brought(tmp_path: Path, path: Path) -> Brought:
    place = tmp_path / "out"
    place.mkdir()
    return with_tapes([path], place)


def only(found: Brought) -> Tape:
    (place,) = found.paths
    (tape,) = recording_formats.read(place).tapes
    return tape


def test_a_window_is_what_was_heard(tmp_path: Path) -> None:
    """Books, changes and prints in Up terms, in the order heard; strike, final and winner as Gamma
    told them; the price history beside it.
    """
    found = brought(tmp_path, taped(tmp_path, whole()))
    tape = only(found)
    beats: list[Beat] = list(tape.beats())
    prices = recording_formats.read(found.paths[0]).prices

    assert found.faults == found.notes == []
    assert (tape.slug, tape.strike, tape.winner) == (SLUG, 90_000.0, DOWN)
    assert tape.final is not None
    assert tape.final < 90_000.0, "the winner counts where figures deny it"
    assert beats[0] == Snapshot(START_MS - 10_000, {4900: 100 * UNIT}, {5100: 80 * UNIT})
    assert beats[2] == Changes(START_MS + 980, ((BUY, 4800, 7 * UNIT),))
    assert beats[3] == Print(START_MS + 980, DOWN, BUY, 5100, 3 * UNIT), "held back to what was"
    assert prices is not None
    assert prices.binance("btc", START_MS + 600) == 90_010.5


def test_a_tape_cut_by_a_kill(tmp_path: Path) -> None:
    """What was flushed is a window, and where the tape ends is said."""
    path = taped(tmp_path, whole())
    path.write_bytes(path.read_bytes()[:-20])
    found = brought(tmp_path, path)

    assert only(found).winner is None, "the result was in the part that is gone"
    assert "cut at byte" in found.faults[0]


def test_a_part_of_a_window_is_told(tmp_path: Path) -> None:
    """Windows that the run did not hear to their end are left out, those heard late are played."""
    other_s = START_S + 300
    other = f"btc-updown-5m-{other_s}"
    rows = [
        answer(START_MS, gamma()),
        answer(START_MS, gamma(other, other_s, clobTokenIds='["3", "4"]')),
        frame(START_MS + 45_000, book(START_MS + 45_000)),
        *whole()[-2:],
    ]
    found = brought(tmp_path, taped(tmp_path, rows))

    assert only(found).slug == SLUG
    assert found.faults == []
    assert found.notes == [
        f"{SLUG}: begins 45 s late",
        f"{other}: no book of it was heard: left out",
    ]


@pytest.mark.parametrize(
    ("silent_ms", "again", "notes"),
    [
        (4_000, {"tick_size": "0.01"}, []),
        (20_000, {"tick_size": "0.01"}, ["for 20 s: its book stands still there"]),
        (40_000, {"tick_size": "0.01"}, ["for 40 s: left out"]),
        (40_000, {}, []),
    ],
)  # fmt: skip
def test_a_silence_between_two_subscriptions_is_told(
    tmp_path: Path, silent_ms: int, again: dict[str, Any], notes: list[str]
) -> None:
    """A backtest traded against a book that stood still, and said nothing of it. A market that was
    only quiet has the same subscription after it.
    """
    rows = whole()
    later_ms = START_MS + 1_000 + silent_ms
    rows.insert(6, frame(later_ms, [book(later_ms) | again, book(later_ms, TOKENS[1]) | again]))
    rows[4] = frame(START_MS + 1_000, trade(START_MS + 1_000))

    found = brought(tmp_path, taped(tmp_path, rows))

    assert found.notes == [f"{SLUG}: nothing was heard of it {one}" for one in notes]
    assert len(found.paths) == ("left out" not in str(notes))


def test_other_series_are_left_out(tmp_path: Path) -> None:
    """An hourly market cannot be replayed: it is said, the rest is there."""
    rows = [answer(START_MS - 70_000, gamma("bitcoin-up-or-down-may-1-2pm-et")), *whole()]
    found = brought(tmp_path, taped(tmp_path, rows))

    assert only(found).slug == SLUG
    assert "bitcoin-up-or-down-may-1-2pm-et" in found.notes[0]


@pytest.mark.parametrize("body", [b"{no json", b"[1]"])
def test_frames_that_are_none(tmp_path: Path, body: bytes) -> None:
    """A frame that cannot be read is a fault, once, and the rest counts."""
    rows = whole()
    for at_ms in (START_MS + 3_000, START_MS + 2_000):
        rows.insert(5, (at_ms * 1_000_000, Kind.HEARD, f"market {SLUG}", body))
    found = brought(tmp_path, taped(tmp_path, rows))

    assert len(found.faults) == 1
    assert len(list(only(found).beats())) == 5


def test_refusals_and_foreign_tokens_are_nothing(tmp_path: Path) -> None:
    """Gamma's 404, a token of no window that is known, a stream that is not for us."""
    rows = [
        answer(START_MS - 80_000, {"error": "none"}, status=404),
        frame(START_MS - 75_000, book(START_MS, "999")),
        ((START_MS - 74_000) * 1_000_000, Kind.HEARD, "rest clob", b"200 GET /book\n{}"),
        ((START_MS - 73_000) * 1_000_000, Kind.SENT, f"market {SLUG}", b"{}"),
        *whole(),
    ]
    found = brought(tmp_path, taped(tmp_path, rows))

    assert found.faults == []
    assert len(list(only(found).beats())) == 5


def test_what_is_no_tape(tmp_path: Path) -> None:
    """A foreign file and one of a newer version are faults with their remedy, and no path."""
    for name, data, match in (("a", b"hello", "not a tape"), ("b", b"polytape\x63", "update it")):
        path = tmp_path / f"{name}.tape"
        path.write_bytes(data)
        place = tmp_path / name
        place.mkdir()
        found = with_tapes([path], place)
        assert found.paths == []
        assert match in found.faults[0]


def test_recordings_pass_through(tmp_path: Path) -> None:
    """What is no tape by its name stays as it is, for the recording world to read."""
    found = with_tapes([tmp_path / "x.beats.zst"], tmp_path)

    assert found == attrs.evolve(Brought(), paths=[tmp_path / "x.beats.zst"])


def test_recordings_beside_tapes_are_not_passed_over(tmp_path: Path) -> None:
    """A folder is of one kind: what of it is not played was left out without a word."""
    path = taped(tmp_path, whole())
    assert brought(tmp_path, tmp_path).faults == []

    (path.parent / "x.beats.zst").touch()
    (tmp_path / "again").mkdir()
    (fault,) = with_tapes([tmp_path], tmp_path / "again").faults
    assert "only the tapes are played; name the recordings one by one" in fault


def test_an_hour_is_kept_until_it_is_paid(tmp_path: Path) -> None:
    """The candle's markets have names of their own, and results that come late (feeds.md 8.2)."""
    found = brought(tmp_path, taped(tmp_path, hour()))
    tape = only(found)

    assert found.faults == found.notes == []
    assert (tape.slug, tape.series.key, tape.end_ms) == (HOUR_SLUG, "btc-1h", HOUR_END_MS)
    assert (tape.strike, tape.final, tape.winner) == (90_000.0, 89_990.0, DOWN)
