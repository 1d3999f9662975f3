"""Words that never wait for their reader."""

from __future__ import annotations

import errno
import io
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

import pytest

from polybot.console.outlet import Outlet, put

ROOT = Path(__file__).parents[2]
FULL = 65_536  # of a pipe
PATIENCE_S = 10.0


@pytest.fixture
def pipe() -> Iterator[tuple[int, TextIO]]:
    """Its end to read, and one to write."""
    reads, writes = os.pipe()
    stream = os.fdopen(writes, "w")
    yield reads, stream
    os.close(reads)
    stream.close()


def test_all_is_written_in_order(pipe: tuple[int, TextIO]) -> None:
    """One after the other, by a thread; and then there is nothing to wait for."""
    reads, stream = pipe
    outlet = Outlet(stream)
    for number in range(100):
        outlet.write(f"{number}\n")
    outlet.flush()

    assert outlet.drain(PATIENCE_S)
    assert os.read(reads, FULL).split() == [str(n).encode() for n in range(100)]


class Stalled(io.StringIO):
    """Takes nothing until it may go on."""

    def __init__(self) -> None:
        super().__init__()
        self.entered, self.goes_on = threading.Event(), threading.Event()

    def write(self, text: str) -> int:
        self.entered.set()
        assert self.goes_on.wait(PATIENCE_S)
        return super().write(text)


def test_a_reader_that_stands_still_holds_up_nobody() -> None:
    """Texts wait, up to so many; those beyond are left out, and he is told when he reads again."""
    stream = Stalled()
    outlet = Outlet(stream, most=2)
    outlet.write("under way\n")
    assert stream.entered.wait(PATIENCE_S)
    for text in ("waits\n", "waits too\n", "left out\n", "left out too\n"):
        outlet.write(text)
    assert not outlet.drain(0.0)

    stream.goes_on.set()
    assert outlet.drain(PATIENCE_S)
    outlet.write("and on\n")
    assert outlet.drain(PATIENCE_S)

    assert stream.getvalue().splitlines() == [
        "under way", "waits", "waits too", "(2 texts before this one had no reader)", "and on",
    ]  # fmt: skip


def test_nothing_was_said() -> None:
    """No thread is begun for it."""
    assert Outlet(sys.stderr).drain(0.0)


def test_a_reader_that_has_gone(pipe: tuple[int, TextIO]) -> None:
    """What is said goes nowhere, and the stream can be flushed at the end all the same."""
    reads, stream = pipe
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, reads)  # nobody reads the pipe any more
    os.close(null)
    put(stream, "nobody hears it\n")
    put(stream, "nor this\n")
    stream.flush()


def test_a_stream_that_was_closed() -> None:
    """Takes nothing any more, and nobody waits for it at the end."""
    stream = io.StringIO()
    outlet = Outlet(stream)
    stream.close()
    outlet.write("too late\n")

    assert outlet.drain(PATIENCE_S)


def test_a_disk_that_is_full_and_has_room_again() -> None:
    """What could not be written is lost; what comes later is not."""

    class Disk(io.StringIO):
        full = True

        def write(self, text: str) -> int:
            if self.full:
                raise OSError(errno.ENOSPC, "No space left on device")
            return super().write(text)

    disk = Disk()
    put(disk, "lost\n")
    disk.full = False
    put(disk, "kept\n")

    assert disk.getvalue() == "kept\n"


class Torn(io.StringIO):
    """Fails with the error of a lost terminal, or of a disk that cannot be read any more."""

    def __init__(self, place: int) -> None:
        super().__init__()
        self._place = place

    def fileno(self) -> int:
        return self._place

    def write(self, text: str) -> int:
        raise OSError(errno.EIO, "Input/output error")


def test_a_disk_that_fails_all_night_takes_no_file_descriptors(tmp_path: Path) -> None:
    """One was lost with each line of the log: a thousand of them, and no socket could be opened."""
    with (tmp_path / "log").open("w") as file:
        torn = Torn(file.fileno())
        put(torn, "once\n")
        before = len(list(Path("/proc/self/fd").iterdir()))
        for _ in range(5):
            put(torn, "lost\n")

        assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_a_stream_that_cannot_be_given_up_yet(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """No file could be opened in its place: the thread that writes goes on all the same, or nothing
    would be written for the rest of the night.
    """

    def none_left(*_: object) -> int:
        raise OSError(errno.EMFILE, "Too many open files")

    with (tmp_path / "log").open("w") as file:
        monkeypatch.setattr("polybot.console.outlet.os.open", none_left)
        outlet = Outlet(Torn(file.fileno()))
        outlet.write("lost\n")

        assert outlet.drain(PATIENCE_S)


CLOSED = 'exec "$@" {}'
# Which files have the numbers of the standard streams, for who reads the code.
HELD = """
import os, sys
from polybot.console.outlet import put, stand_in
stand_in()
put(sys.stdout, "nobody hears this"), put(sys.stderr, "nor this"), sys.stdin.read()
sys.exit([os.fstat(n).st_rdev for n in range(3)] != 3 * [os.stat(os.devnull).st_rdev])
"""


@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&- >&- 2>&-"])
@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["-m", "polybot", "stop", "--now", "--world", "exchange:nowhere"], 2),
        (["-m", "polybot", "--config", "nowhere.toml"], 2),
        (["-m", "polybot", "exchange", "--faults", "list"], 0),
    ],
)
def test_a_stream_that_is_closed_is_no_fault(
    closed: str, words: list[str], code: int, tmp_path: Path
) -> None:
    """As a hook, or a service of another kind, may start us: what is told goes nowhere."""
    command = ["sh", "-c", CLOSED.format(closed), "sh", sys.executable, *words]
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH", "")]))
    done = subprocess.run(  # noqa: S603 - our own words
        command, cwd=tmp_path, env={**os.environ, "PYTHONPATH": path}, check=False
    )

    assert done.returncode == code


def test_no_file_of_ours_takes_the_place_of_a_stream() -> None:
    """All three are there, and lead nowhere."""
    command = ["sh", "-c", CLOSED.format("<&- >&- 2>&-"), "sh", sys.executable, "-c", HELD]
    done = subprocess.run(command, cwd=ROOT, check=False)  # noqa: S603 - our own words

    assert done.returncode == 0
