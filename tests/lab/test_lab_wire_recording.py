"""A log of raw frames becomes a recording that the exchange's recording world reads."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from polybot.exchange import recording_formats
from polybot.exchange.mirror_messages import Changes, Print, Snapshot
from polybot.lab.wire_recording import main

UP, DOWN = "71", "52"
START_MS = 1_793_000_400_000  # ten minutes into a quarter of an hour
EARLIER_MS = 600_000


def frame(kind: str, ms: int, **fields: object) -> dict[str, object]:
    return {"event_type": kind, "market": "0x1", "timestamp": str(ms), **fields}


def log_of(path: Path) -> Path:
    books = [
        frame(
            "book",
            START_MS,
            asset_id=token,
            hash="",
            bids=[{"price": bid, "size": "10"}],
            asks=[{"price": ask, "size": "20"}],
            tick_size="0.01",
        )
        for token, bid, ask in ((UP, "0.49", "0.51"), (DOWN, "0.49", "0.51"))
    ]
    change = {"asset_id": UP, "price": "0.5", "size": "7", "side": "BUY", "hash": ""}
    rows = [
        (START_MS, "M", books),
        (START_MS + 5, "R", {"topic": "crypto_prices"}),
        (START_MS + 9, "M", frame("price_change", START_MS + 7, price_changes=[change])),
        (
            START_MS + 20,
            "M",
            frame(
                "last_trade_price", START_MS + 15, asset_id=UP, price="0.5", size="2", side="SELL"
            ),
        ),
    ]
    lines = [f"{ms * 1_000_000} {stream} {json.dumps(value)}\n" for ms, stream, value in rows]
    path.write_text("".join(lines))
    return path


def test_a_log_becomes_a_recording(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Its window, its tokens and every message, moved back to the window's beginning."""
    assert main([str(log_of(tmp_path / "busy.log")), str(tmp_path / "out")]) == 0

    assert "4 messages" in capsys.readouterr().out
    recording = recording_formats.read(tmp_path / "out")
    (tape,) = recording.tapes
    assert tape.slug == f"btc-updown-15m-{(START_MS - EARLIER_MS) // 1000}"
    beats = list(tape.beats())
    assert {type(beat) for beat in beats} == {Snapshot, Changes, Print}
    (change,) = [beat for beat in beats if isinstance(beat, Changes)]
    assert change.at_ms == START_MS - EARLIER_MS + 7


NO_LINE = "line 1 is not `<recv_ns> <stream> <frame>`"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "it needs two of stream M"),
        ("no log\n", NO_LINE),
        ("1 M nonsense\n", NO_LINE),
        ("1 M [5]\n", NO_LINE),
        ("1 M {}\n", "a frame lacks 'timestamp'"),
    ],
)
def test_what_is_no_log_is_told(
    tmp_path: Path, text: str, why: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line on stderr that says where and what is missing, and 2; no folder is made."""
    (tmp_path / "bad.log").write_text(text)

    assert main([str(tmp_path / "bad.log"), str(tmp_path / "out")]) == 2

    assert f"is no log of one market's frames: {why}\n" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_half_of_a_recording_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stopped in the middle: no folder that looks like a recording, and none of another name."""

    def stopped(_recv_ns: object, **_: object) -> bytes:
        raise KeyboardInterrupt

    log = log_of(tmp_path / "busy.log")
    monkeypatch.setattr("polybot.lab.wire_recording.orjson.dumps", stopped)
    with pytest.raises(KeyboardInterrupt):
        main([str(log), str(tmp_path / "out")])

    assert list(tmp_path.iterdir()) == [log]


def test_what_a_killed_one_left_is_no_hindrance(tmp_path: Path) -> None:
    """A process that is killed cannot clean up: the next one begins anew."""
    log = log_of(tmp_path / "busy.log")
    (tmp_path / "out.part").mkdir()
    (tmp_path / "out.part" / "half").touch()

    assert main([str(log), str(tmp_path / "out")]) == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["busy.log", "out"]
    assert not (tmp_path / "out" / "half").exists()
