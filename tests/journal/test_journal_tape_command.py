"""`python -m polybot tape`: what it shows, writes and says of tapes that are not whole."""

from __future__ import annotations

import csv
import errno
import json
import zipfile
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from tape_kit import END_SIZE, HEADER, T0_NS, events, three_parts, written

from polybot.journal.tape import Kind, Writer
from polybot.lab import tape
from polybot.lab.commands import UNWRITTEN, to_its_reader
from polybot.lab.tape import main, tapes


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Frames of one market, and an order that was sent."""
    path = tmp_path / "run-1-0000.tape"
    writer = Writer(path, HEADER)
    writer.write(events(3))
    writer.write([(T0_NS + 9_000_000, Kind.SENT, "rest clob", b'POST /order\n{"a":1}')])
    writer.close()
    return path


def test_info(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The run, the size, and each stream with its count."""
    assert main(["info", str(path)]) == 0

    said = capsys.readouterr().out
    assert "run run-1, part 0" in said
    assert "2026-11-20T00:00:00.000000Z, 0.0 s long" in said
    assert "4 events in 3 blocks" in said
    assert [line.split()[:-2] for line in said.splitlines()[-2:]] == [
        ["heard", "market", "up", "3"],
        ["sent", "rest", "clob", "1"],
    ]


def test_cat(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A line each, in order; chosen by kind, stream and number from the end."""
    assert main(["cat", str(path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith('2026-11-20T00:00:00.000000Z heard   market up: {"n":0,')
    assert len(lines) == 5  # the order's body is on a line of its own

    assert main(["cat", str(path), "--kind", "heard", "--stream", "mark", "--last", "1"]) == 0
    (line,) = capsys.readouterr().out.splitlines()
    assert '{"n":2,' in line


def test_cat_finds_nothing(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A mistyped stream is not an empty tape: it is said, beside the output."""
    assert main(["cat", str(path), "--stream", "martket"]) == 0

    said = capsys.readouterr()
    assert said.out == ""
    assert "no such event: `tape info` names" in said.err

    assert main(["cat", str(path)]) == 0
    assert capsys.readouterr().err == ""


def test_cat_as_json(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """For programs: one object a line."""
    assert main(["cat", str(path), "--json", "--kind", "sent"]) == 0

    (line,) = capsys.readouterr().out.splitlines()
    assert json.loads(line) == {
        "at_ns": T0_NS + 9_000_000,
        "kind": "sent",
        "stream": "rest clob",
        "body": 'POST /order\n{"a":1}',
    }


def test_export(path: Path, tmp_path: Path) -> None:
    """Parquet keeps bytes, CSV has text; both have every event, and nothing is written over."""
    parquet, table = tmp_path / "out.parquet", tmp_path / "out.csv"
    assert main(["export", str(path), str(parquet)]) == 0
    assert main(["export", str(path), str(table), "--kind", "heard"]) == 0

    rows = pq.read_table(parquet).to_pylist()
    assert [row["at_ns"] for row in rows] == [event[0] for event in events(3)] + [T0_NS + 9_000_000]
    assert rows[3]["body"] == b'POST /order\n{"a":1}'
    with table.open(newline="") as file:
        assert [row["body"] for row in csv.DictReader(file)] == [
            event[3].decode() for event in events(3)
        ]
    assert main(["export", str(path), str(parquet)]) == 2


def test_a_folder_is_its_newest_run(tmp_path: Path) -> None:
    """All parts of it in order; other runs and other files are left out."""
    for name in ("100-paper-0000", "200-paper-0001", "200-paper-0000"):
        written(tmp_path / f"{name}.tape")
    (tmp_path / "notes.txt").write_text("no tape")

    with tapes(tmp_path) as files:
        assert [file.stem for file in files] == ["200-paper-0000", "200-paper-0001"]


def test_damage_is_said_and_ends_with_one(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The readable part is shown; where it ends, and how much was read, is on stderr."""
    data = path.read_bytes()
    path.write_bytes(data[: -3 - END_SIZE])

    assert main(["cat", str(path)]) == 1
    told = capsys.readouterr()
    assert len(told.out.splitlines()) == 3
    assert "cut at byte" in told.err
    assert "the 3 events before it were read" in told.err

    path.write_bytes(data[: -3 - END_SIZE] + b"xyz" + data[-END_SIZE:])
    assert main(["info", str(path)]) == 1
    assert "block 2 does not match its sum" in capsys.readouterr().err


def test_a_record_with_a_changed_byte_is_read_up_to_it(
    path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As its tape would be outside of it; the archive's own sum only says that something is wrong
    somewhere, and nothing of the evidence was shown.
    """
    record, data = tmp_path / "flight.zip", path.read_bytes()
    with zipfile.ZipFile(record, "w", zipfile.ZIP_STORED) as archive:
        archive.write(path, f"tapes/{path.name}")
    held = record.read_bytes()
    at = held.index(data) + len(data) - END_SIZE - 3
    record.write_bytes(held[:at] + bytes([held[at] ^ 1]) + held[at + 1 :])

    assert main(["cat", str(record)]) == 1
    told = capsys.readouterr()
    assert len(told.out.splitlines()) == 3
    assert "block 2 does not match its sum; the 3 events before it were read" in told.err


def test_no_room_is_not_what_a_tape_has(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A disk that is full has the program's own code for it, and half of a table is not left."""

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(tape, "_csv", full)
    words = ["export", str(path), str(tmp_path / "out.csv")]
    assert to_its_reader(main, words) == UNWRITTEN
    assert "could not be written: No space left on device" in capsys.readouterr().err
    assert not (tmp_path / "out.csv").exists()


def test_a_file_that_is_missing_is_a_hole(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What comes after it would be taken for what follows: it is not read, and the code says so."""
    parts = three_parts(tmp_path)
    assert main(["info", str(tmp_path)]) == 0
    parts[1].unlink()

    for verb in ("info", "cat"):
        assert main([verb, str(tmp_path)]) == 1
        said = capsys.readouterr()
        assert "part 2 follows part 0: what is between them is missing" in said.err
        assert '"n":4' not in said.out


def test_what_a_tape_says_of_itself_is_passed_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A tape that has left events out is not whole."""
    writer = Writer(tmp_path / "run-1-0000.tape", HEADER)
    writer.write([*events(2), (T0_NS, Kind.TOLD, "tape", b"7 events dropped")])
    writer.close()

    assert main(["info", str(tmp_path)]) == 1
    assert "says of itself: 7 events dropped" in capsys.readouterr().err
    assert main(["export", str(tmp_path), str(tmp_path / "out.csv")]) == 1


@pytest.mark.parametrize("words", [["info"], ["cat"], ["export"]])
def test_what_is_no_tape(
    tmp_path: Path, words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """One line that names the file, exit code 2, no traceback; the same for an empty folder."""
    text = tmp_path / "a.tape"
    text.write_text("something else")
    out = [str(tmp_path / "out.csv")] if words == ["export"] else []
    for path, why in (
        (text, "not a tape"),
        (tmp_path / "none.tape", "No such file"),
        (tmp_path / "empty", "no tape in this folder"),
    ):
        (tmp_path / "empty").mkdir(exist_ok=True)
        assert main([*words, str(path), *out]) == 2
        assert why in capsys.readouterr().err


def test_a_table_must_have_a_format(path: Path, tmp_path: Path) -> None:
    """A name that says none is refused before anything is written."""
    assert main(["export", str(path), str(tmp_path / "out.txt")]) == 2
    assert not (tmp_path / "out.txt").exists()
