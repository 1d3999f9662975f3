"""The tape among tasks: soon on the disk, bounded, and never in the way of trading."""

from __future__ import annotations

import errno
import os
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from unittest import mock

import attrs
import pytest
import trio
from journal_kit import T0
from tape_kit import HEADER, read
from trio.testing import MockClock, wait_all_tasks_blocked

from polybot.clock import Clock
from polybot.journal import recorder as module
from polybot.journal.disk import InLoop
from polybot.journal.recorder import FLUSH_EVENTS, FLUSH_S, Recorder, TapeParams, prune
from polybot.journal.tape import Kind, Writer
from polybot.taping import taping


@asynccontextmanager
async def tape(folder: Path, params: TapeParams = TapeParams()) -> AsyncGenerator[Recorder]:
    made = Recorder(Clock.starting_at(T0), params, folder, HEADER, disk=InLoop())
    async with taping(made):
        yield made


def tapes(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.tape"))


def on_disk(folder: Path) -> list[str]:
    return [event.body.decode() for file in tapes(folder) for event in read(file)[0]]


async def test_written_a_quarter_second_later(tmp_path: Path, autojump_clock: MockClock) -> None:
    """Few events wait for more, but not for long."""
    async with tape(tmp_path) as made:
        made.heard("a", b"1", 0)
        made.sent("b", b"2")
        await wait_all_tasks_blocked()
        assert on_disk(tmp_path) == []

        await trio.sleep(FLUSH_S + 0.01)
        assert on_disk(tmp_path) == ["1", "2"]
        assert made.written == 2


async def test_written_at_once_when_many(tmp_path: Path, autojump_clock: MockClock) -> None:
    """A thousand events do not wait."""
    async with tape(tmp_path) as made:
        for n in range(FLUSH_EVENTS):
            made.note(Kind.TOLD, "a", b"%d" % n, 0)
        await wait_all_tasks_blocked()
        assert len(on_disk(tmp_path)) == FLUSH_EVENTS
        assert trio.current_time() < FLUSH_S


async def test_the_last_events_are_written(tmp_path: Path, autojump_clock: MockClock) -> None:
    """What was noted when the run ended, also while it was cancelled, is on the tape."""
    with trio.CancelScope() as scope:
        async with tape(tmp_path) as made:
            made.sent("a", b"1")
            scope.cancel()
            made.sent("a", b"2")
            await trio.sleep_forever()

    assert on_disk(tmp_path) == ["1", "2"]


async def test_a_thread_writes_on_the_walls_clock(tmp_path: Path) -> None:
    """The same with a worker thread, as in a live run."""
    made = Recorder(Clock.starting_at(T0), TapeParams(), tmp_path, HEADER)
    async with taping(made):
        made.heard("a", b"1", 0)

    assert on_disk(tmp_path) == ["1"]


async def test_full_files_are_followed_by_new_ones(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    """Parts are numbered, each has the header, none is much larger than allowed, and each but the
    last says that the run goes on: of a run without its last files the rest passed for all of it.
    """
    async with tape(tmp_path, TapeParams(file_mb=1)) as made:
        for n in range(6):
            made.heard("a", os.urandom(400_000), 0)
            await trio.sleep(1)
            assert made.written == n + 1

    files = tapes(tmp_path)
    assert [file.name for file in files] == ["run-1-0000.tape", "run-1-0001.tape"]
    readers = [read(file)[1] for file in files]
    assert [reader.header.part for reader in readers] == [0, 1]
    assert [reader.goes_on for reader in readers] == [True, False]
    assert [reader.damage for reader in readers] == [None, None]
    assert all(file.stat().st_size < 1_400_000 for file in files)


async def test_the_folder_is_bounded(tmp_path: Path, autojump_clock: MockClock) -> None:
    """The oldest files of any run go when all together are too large; what is written stays."""
    for n in range(4):
        old = tmp_path / f"old-{n}.tape"
        old.write_bytes(b"x" * 900_000)
        os.utime(old, (n, n))
    other = tmp_path / "notes.txt"
    other.write_bytes(b"x" * 5_000_000)

    async with tape(tmp_path, TapeParams(file_mb=1, keep_mb=2)) as made:
        made.heard("a", b"1", 0)

    assert other.exists()
    assert [file.name for file in tapes(tmp_path)] == [
        "old-2.tape",
        "old-3.tape",
        "run-1-0000.tape",
    ]


def test_a_bound_below_one_file_is_refused() -> None:
    """It could not be kept: what is written stays, however large."""
    with pytest.raises(ValueError, match="'file_mb' must not be above 'keep_mb'"):
        TapeParams(file_mb=3, keep_mb=2)
    assert TapeParams(file_mb=2, keep_mb=2).keep_mb == 2


def test_a_file_that_is_written_is_never_removed(tmp_path: Path) -> None:
    """Even where it alone is too large."""
    mine = tmp_path / "a.tape"
    mine.write_bytes(b"x" * 100)

    assert prune(tmp_path, 10, mine) == []
    assert mine.exists()


async def test_two_runs_of_one_name_keep_apart(tmp_path: Path, autojump_clock: MockClock) -> None:
    """Nothing is written over: the second takes the next number."""
    async with tape(tmp_path) as one, tape(tmp_path) as two:
        one.heard("a", b"1", 0)
        two.heard("a", b"2", 0)

    assert sorted(on_disk(tmp_path)) == ["1", "2"]


async def test_a_failing_disk_ends_the_tape_only(tmp_path: Path, autojump_clock: MockClock) -> None:
    """It is told once, nothing more is kept, and the run goes on to its end."""
    blocked = tmp_path / "file"
    blocked.write_text("in the way")
    told: list[str] = []
    made = Recorder(
        Clock.starting_at(T0), TapeParams(), blocked / "tapes", HEADER, told.append, disk=InLoop()
    )
    async with taping(made):
        made.heard("a", b"1", 0)
        await trio.sleep(1)
        assert not made.on
        made.heard("a", b"2", 0)
        await trio.sleep(1)

    assert len(told) == 1
    assert "Not a directory" in told[0]
    assert made.written == 0


@pytest.mark.parametrize("fault", ["a header", "a time"])
async def test_a_fault_of_our_own_ends_the_tape_only(
    fault: str, tmp_path: Path, autojump_clock: MockClock
) -> None:
    """The name of a world that is no text, or a time that the format has no room for: the bot goes
    on, as with a disk that fails. It ended.
    """
    told: list[str] = []
    header = attrs.evolve(HEADER, facts={"world": "recording:\udcff" * (fault == "a header")})
    made = Recorder(Clock.starting_at(T0), TapeParams(), tmp_path, header, told.append, InLoop())
    async with taping(made):
        made.heard("a", b"1", 1 << 65 if fault == "a time" else 0)
        await trio.sleep(1)
        assert not made.on
        made.heard("a", b"2", 0)
        await trio.sleep(1)

    assert len(told) == 1
    assert "Error" in told[0]


def test_what_cannot_be_removed_stays(tmp_path: Path) -> None:
    """A folder that is called like a tape, or another user's file: the next one goes, and none of
    ours ends for it.
    """
    (tmp_path / "0.tape").mkdir()
    for number, name in enumerate(("1.tape", "2.tape"), start=1):
        (tmp_path / name).write_bytes(b"x" * 100)
        os.utime(tmp_path / name, (2_000_000_000 + number,) * 2)

    gone = prune(tmp_path, 1, tmp_path / "2.tape")

    assert [path.name for path in gone] == ["1.tape"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0.tape", "2.tape"]


async def test_what_is_dropped_is_said(
    tmp_path: Path, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Memory is bounded: what a stalled disk leaves no room for is counted, on the tape, too."""
    monkeypatch.setattr(module, "WAITING_MOST", 3)
    async with tape(tmp_path) as made:
        for n in range(5):
            made.heard("a", b"%d" % n, 0)
        await trio.sleep(1)
        made.heard("a", b"5", 0)

    assert on_disk(tmp_path) == ["0", "1", "2", "2 events dropped", "5"]
    assert made.dropped == 2


@attrs.define
class Slow:
    """A disk whose every turn takes a second; two at once would be two threads in one writer."""

    at_work: bool = False

    async def run(self, work: Callable[[], object]) -> None:
        assert not self.at_work
        self.at_work = True
        await trio.sleep(0.5)
        work()
        await trio.sleep(0.5)
        self.at_work = False


async def test_a_flight_record_waits_for_the_writer(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    """Two flushes are one after the other, and the first events come first."""
    made = Recorder(Clock.starting_at(T0), TapeParams(), tmp_path, HEADER, disk=Slow())
    async with taping(made):
        made.heard("a", b"1", 0)
        await trio.sleep(FLUSH_S + 0.1)
        made.heard("a", b"2", 0)
        await made.flush()

    assert on_disk(tmp_path) == ["1", "2"]


async def test_how_the_files_stand_in_the_middle_of_a_run(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    """As many bytes as hold whole blocks, and with the end that belongs there they are a whole
    tape; the file goes on, and has its own in the end.
    """
    async with tape(tmp_path) as made:
        assert await made.so_far() == []
        made.heard("a", b"1", 0)
        (flushed,) = await made.so_far()
        made.heard("a", b"2", 0)
        await made.flush()
        copy = tmp_path / "copy"
        copy.write_bytes(flushed.path.read_bytes()[: flushed.size] + flushed.end)

    found, reader = read(copy)
    assert ([event.body for event in found], reader.damage) == ([b"1"], None)
    found, reader = read(flushed.path)
    assert ([event.body for event in found], reader.damage) == ([b"1", b"2"], None)


async def test_a_disk_that_fails_leaves_a_tape_without_an_end(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    """Its last block may be torn: what follows would say that it was all."""
    async with tape(tmp_path) as made:
        made.heard("a", b"1", 0)
        await made.flush()
        made.disk = Full()
        made.heard("a", b"2", 0)
        await trio.sleep(1)
        assert not made.on

    found, reader = read(tapes(tmp_path)[0])
    assert [event.body for event in found] == [b"1"]
    assert reader.damage is not None


class Full:
    """A disk without room."""

    async def run(self, work: Callable[[], object]) -> None:
        await trio.lowlevel.checkpoint()
        raise OSError(errno.ENOSPC, "No space left on device")


async def test_an_end_that_cannot_be_written(
    tmp_path: Path, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is told like any failure of the tape, and the run ends as it was going to."""
    told: list[str] = []
    async with tape(tmp_path) as made:
        made.on_failure = told.append
        made.heard("a", b"1", 0)
        await made.flush()
        monkeypatch.setattr(Writer, "_put", mock.Mock(side_effect=OSError(errno.ENOSPC, "full")))

    assert told == [f"{tmp_path}: full"]
    assert on_disk(tmp_path) == ["1"]
