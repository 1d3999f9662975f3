"""The crowd's windows as recordings: what is on record, and that a stopped run goes on."""

from __future__ import annotations

from pathlib import Path

import pytest
from backtest_kit import SLUGS, files

from polybot.exchange import recording_formats
from polybot.exchange.mirror_messages import Changes, NewTick, Print, Snapshot
from polybot.exchange.model import BUY, SELL, UP, LevelChanged, Traded
from polybot.lab import synthetic_day
from polybot.lab.crowd_venue import FIRST_MS, CrowdVenue
from polybot.lab.synthetic_day import Task, left, perform

START_MS = FIRST_MS


def test_a_window_is_what_the_crowd_did() -> None:
    """Its beats begin with the book, run in order of time, and tell every print; strike, final and
    winner are the venue's.
    """
    (tape,) = recording_formats.read(files()[0]).tapes
    beats = list(tape.beats())
    times = [beat.at_ms for beat in beats]
    venue = CrowdVenue(1, 0.1)
    prints: list[int] = []

    def hear(event: object) -> None:
        if isinstance(event, Traded) and event.trade.market.slug == SLUGS[0]:
            prints.append(event.trade.shares)

    venue.engine.listeners.append(hear)
    for market in venue.windows(1):
        prints.clear()
        venue.until(market.end_ms - 1)
        strike, final = venue.value(market.start_ms), venue.value(market.end_ms)
        told = list(prints)

    assert isinstance(beats[0], Snapshot)
    assert times == sorted(times)
    assert START_MS <= times[0] <= times[-1] < START_MS + 300_000
    assert [beat.shares for beat in beats if isinstance(beat, Print)] == told
    assert (tape.slug, tape.strike, tape.final) == (SLUGS[0], strike, final)
    assert (tape.winner == UP) == (final >= strike)


def test_the_book_on_record_is_the_crowds() -> None:
    """Played to its end, what was put together is the book that the crowd left."""
    (tape,) = recording_formats.read(files()[0]).tapes
    book: dict[tuple[str, int], int] = {}
    for beat in tape.beats():
        if isinstance(beat, Snapshot):
            book = {(BUY, p): n for p, n in beat.bids.items()} | {
                (SELL, p): n for p, n in beat.asks.items()
            }
        elif isinstance(beat, Changes):
            book.update({(side, price): total for side, price, total in beat.changes})
    venue = CrowdVenue(1, 0.1)
    for market in venue.windows(1):
        venue.until(market.end_ms - 1)
        bids, asks = venue.engine.desk.resting.books[market.condition_id].levels(UP)
        there = {(BUY, p): n for p, n in bids} | {(SELL, p): n for p, n in asks}

    assert {key: total for key, total in book.items() if total} == there


def test_changes_are_never_told_before_their_time(tmp_path: Path) -> None:
    """Put together to half a second: each total is what the crowd last had by its stamp."""
    perform(Task(tmp_path, 0, 1, 1, 0.05, 500))
    (tape,) = recording_formats.read(tmp_path).tapes
    venue, totals = CrowdVenue(1, 0.05), dict[tuple[str, int], list[tuple[int, int]]]()

    def hear(event: object) -> None:
        if isinstance(event, LevelChanged) and event.market.slug == SLUGS[0]:
            for _, side, price, total in event.changes:
                totals.setdefault((side, price), []).append((event.at_ms, total))

    venue.engine.listeners.append(hear)
    for market in venue.windows(1):
        totals.clear()
        venue.until(market.end_ms - 1)
    for beat in tape.beats():
        if isinstance(beat, Changes):
            for side, price, total in beat.changes:
                known = totals[side, price]
                now = [n for at_ms, n in known if at_ms == beat.at_ms]  # what of them came first
                assert total in now + [n for at_ms, n in known if at_ms < beat.at_ms][-1:]


def test_a_stopped_run_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Chunks whose windows are there are not made again; a missing one is."""
    for path in files():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    made: list[Task] = []
    monkeypatch.setattr(synthetic_day, "CHUNK", 1)

    def made_one(task: Task) -> int:
        made.append(task)
        return task.count

    monkeypatch.setattr(synthetic_day, "perform", made_one)

    words = [str(tmp_path), "--windows", "3", "--processes", "1", "--intensity", "0.1"]
    assert synthetic_day.main(words) == 0
    assert [task.first for task in made] == [2]
    assert left(made[0])
    assert "3 of 3 windows" in capsys.readouterr().err


@pytest.mark.parametrize("other", [["--seed", "2"], ["--intensity", "0.2"], ["--every", "30"]])
def test_another_days_windows_are_not_taken_for_this_one(
    tmp_path: Path, other: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """They were counted as made: the folder held seed 1, and the command for seed 2 was content."""
    for path in files():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    words = [str(tmp_path), "--windows", "2", "--intensity", "0.1"]
    assert synthetic_day.main(words) == 0

    assert synthetic_day.main([*words, *other]) == 2
    assert "is of another day" in capsys.readouterr().err


def test_a_window_that_cannot_be_read_is_not_taken_for_made(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A file without its head is named, and nothing is made beside it."""
    (tmp_path / files()[0].name).write_bytes(b"")

    assert synthetic_day.main([str(tmp_path), "--windows", "1"]) == 2
    assert files()[0].name in capsys.readouterr().err


def test_the_tick_is_on_record() -> None:
    """Where the crowd's price runs to an edge the tick turns fine, and back: as it happened."""
    beats = [b for path in files() for t in recording_formats.read(path).tapes for b in t.beats()]

    assert {beat.tick for beat in beats if isinstance(beat, NewTick)} <= {10, 100}


def test_as_many_processes_as_were_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`--processes 2` of a machine with more took all of them."""
    asked: list[int] = []

    def each_of(_do: object, _tasks: object, processes: int = 99, **_: object) -> list[int]:
        asked.append(processes)
        return []

    monkeypatch.setattr(synthetic_day, "each_of", each_of)
    assert synthetic_day.main([str(tmp_path), "--windows", "1", "--processes", "2"]) == 0
    assert asked == [2]


def test_a_place_that_is_no_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """2 and a line; it was a traceback."""
    (tmp_path / "file").touch()

    with pytest.raises(SystemExit) as ended:
        synthetic_day.main([str(tmp_path / "file"), "--windows", "1"])
    assert ended.value.code == 2
    assert "is no folder" in capsys.readouterr().err


@pytest.mark.parametrize("words", [["--windows", "0"], ["--intensity", "0"], ["--every", "-1"]])
def test_bad_words(tmp_path: Path, words: list[str]) -> None:
    """Numbers that mean nothing are refused before anything is made."""
    with pytest.raises(SystemExit) as ended:
        synthetic_day.main([str(tmp_path / "day"), *words])

    assert ended.value.code == 2
    assert not (tmp_path / "day").exists()
