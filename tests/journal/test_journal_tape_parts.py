"""Runs of several files, some missing or broken: what is read, said, and counted as whole."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import attrs
import pytest
from tape_kit import END_SIZE, HEADER, events, read, rows, three_parts

from polybot.journal.tape import Event, Writer
from polybot.lab import backtest_tape, divergence, run_record
from polybot.lab.tape import Tapes, main, read_runs, tapes


def cut(path: Path) -> None:
    """Without its last block: what a copy that did not end leaves."""
    path.write_bytes(path.read_bytes()[: -3 - END_SIZE])


def change(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-END_SIZE - 3] ^= 1
    path.write_bytes(data)


def empty(path: Path) -> None:
    """As a kill leaves it between the making of a file and its first byte."""
    path.write_bytes(b"")


def foreign(path: Path) -> None:
    path.write_bytes(b"something else entirely")


# What is done to which part, how many of six events `cat` shows, how many the others are given, for
# which every event is the ground of the next, and what is said.
CASES = [
    (2, Path.unlink, 4, 4, "run-1-0001.tape: the run goes on in part 2, which is missing"),
    (1, Path.unlink, 2, 2, "part 2 follows part 0: what is between them is missing"),
    (0, Path.unlink, 4, 4, "run-1-0001.tape: the run's first 1 files are missing"),
    (2, empty, 4, 4, "run-1-0002.tape: not a tape"),
    (1, foreign, 2, 2, "run-1-0001.tape: not a tape"),
    (1, cut, 4, 2, "run-1-0001.tape: cut at byte"),
    (1, change, 4, 2, "run-1-0001.tape: damaged at byte"),
]


@pytest.mark.parametrize(("part", "spoil", "shown", "taken", "said"), CASES)
def test_what_is_not_whole_is_told(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    part: int,
    spoil: Callable[[Path], None],
    shown: int,
    taken: int,
    said: str,
) -> None:
    """Whichever file of a run is missing, cut, changed or none: the readable part is shown, with a
    line that says what is not, and code 1.
    """
    parts = three_parts(tmp_path)
    assert main(["info", str(tmp_path)]) == 0
    spoil(parts[part])
    capsys.readouterr()

    assert main(["info", str(tmp_path)]) == 1
    assert said in capsys.readouterr().err
    assert main(["cat", str(tmp_path)]) == 1
    told = capsys.readouterr()
    assert said in told.err
    assert len(told.out.splitlines()) == shown
    assert main(["export", str(tmp_path), str(tmp_path / "out.csv")]) == 1
    assert len((tmp_path / "out.csv").read_text().splitlines()) == 1 + shown

    found: list[Event] = []
    assert not read_runs([tmp_path], found.extend)
    assert said in capsys.readouterr().err
    assert len(found) == taken


@pytest.mark.parametrize(("part", "spoil", "shown", "taken", "said"), CASES)
def test_the_same_of_runs_that_are_compared_and_traded(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    part: int,
    spoil: Callable[[Path], None],
    shown: int,
    taken: int,
    said: str,
) -> None:
    """`lab divergence` and `backtest` go as far, and say the same."""
    parts = three_parts(tmp_path)
    spoil(parts[part])

    run, whole = run_record.read(tmp_path)
    assert not whole
    assert said in capsys.readouterr().err
    assert (run.to_ms - run.from_ms) == taken - 1
    assert divergence.main([str(tmp_path), str(tmp_path)]) == 1
    assert said in capsys.readouterr().err

    (tmp_path / "out").mkdir()
    brought = backtest_tape.with_tapes([tmp_path], tmp_path / "out")
    assert any(said in fault for fault in brought.faults)


@pytest.mark.parametrize("again", [0, 2])
def test_a_part_that_is_named_twice_is_refused(tmp_path: Path, again: int) -> None:
    """By its folder and by its name: a fit would take one order for two witnesses. The files of a
    folder are parts of one run, and a part of another beginning is of another run.
    """
    parts, found = three_parts(tmp_path), list[Event]()
    (tmp_path / "other").mkdir()
    other = tmp_path / "other" / "run-1-0000.tape"
    Writer(other, attrs.evolve(HEADER, started_ms=HEADER.started_ms + 1)).close()

    assert read_runs([tmp_path, other], found.extend)
    with pytest.raises(ValueError, match=f"part {again} of run run-1 was named before: name each"):
        read_runs([tmp_path, parts[again]], found.extend)


def test_what_follows_damage_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Who stops at it says where reading was given up: the last file is there, and is not read."""
    parts = three_parts(tmp_path)
    change(parts[1])

    assert not read_runs([tmp_path], list)
    assert (
        "run-1-0002.tape: what run-1-0001.tape lacks is missing before it; it and what follows are "
        "not read" in capsys.readouterr().err
    )


def test_tapes_of_before_are_whole(tmp_path: Path) -> None:
    """Ends of before say nothing of other files: what was whole with them still is."""
    for path in three_parts(tmp_path):
        data = path.read_bytes()
        path.write_bytes(data[:-4] + bytes(4))

    read_now = Tapes(sorted(tmp_path.glob("*.tape")))
    assert [event.body for event in read_now.events()] == [row[3] for row in events(6)]
    assert read_now.whole
    assert main(["info", str(tmp_path)]) == 0


def test_the_ten_thousandth_file(tmp_path: Path) -> None:
    """It has a digit more, and is still the last: by its letters it would be before the others."""
    for number in (9998, 9999, 10000):
        (tmp_path / f"run-1-{number:04d}.tape").touch()

    with tapes(tmp_path) as files:
        assert [file.stem for file in files] == ["run-1-9998", "run-1-9999", "run-1-10000"]


def test_an_end_that_goes_on_twice(tmp_path: Path) -> None:
    """A last block and its end that were copied twice are read once; the end says what it said."""
    path = tmp_path / "run-1-0000.tape"
    writer = Writer(path, HEADER)
    writer.write(events(2))
    writer.close(goes_on=True)
    data = path.read_bytes()
    path.write_bytes(data + data[-END_SIZE:])

    found, reader = read(path)
    assert rows(found) == events(2)
    assert reader.goes_on
    assert reader.damage is None
