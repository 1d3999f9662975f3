"""The log's file: bounded, private, and found again where it has been moved away."""

from __future__ import annotations

import logging
import os
import stat
from pathlib import Path

import pytest
from loguru import logger

from polybot.console.log import set_up_logs
from polybot.console.log_file import FILE_BYTES, KEPT, LogFile
from polybot.console.outlet import Outlet, put
from polybot.venue.secret import Secret

LINE = "x" * 99 + "\n"
PATIENCE_S = 10.0
CANARY = "canary-4711-passphrase"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "polybot.log"


def sizes(path: Path) -> dict[str, int]:
    return {it.name: it.stat().st_size for it in path.parent.iterdir()}


def said(file: LogFile, *texts: str) -> None:
    for text in texts:
        put(file, text)


def test_its_room_is_bounded(path: Path) -> None:
    """Whatever is said, no file is larger than it may be, so many stay, and the newest is the one
    of the name; what is in them follows one on the other.
    """
    file = LogFile(path, most=1_000, kept=2)
    said(file, *(f"{number:9}\n" for number in range(1_000)))
    file.close()

    assert sizes(path) == {"polybot.log": 1_000, "polybot.log.1": 1_000, "polybot.log.2": 1_000}
    names = ("polybot.log.2", "polybot.log.1", "polybot.log")
    kept = "".join((path.parent / name).read_text() for name in names)
    assert kept.split() == [str(number) for number in range(700, 1_000)]


def test_a_night_fits_the_disk() -> None:
    """What a run may use altogether is what the manual says."""
    assert FILE_BYTES * (KEPT + 1) == 64 * 1024 * 1024


def test_a_run_goes_on_with_the_file_of_the_last(path: Path) -> None:
    """And counts what that has left in it."""
    path.write_text(LINE * 5)
    file = LogFile(path, most=600)
    said(file, LINE, LINE)
    file.close()

    assert sizes(path) == {"polybot.log": 100, "polybot.log.1": 600}


def test_one_text_larger_than_a_file(path: Path) -> None:
    """It is written whole, and in a file of its own, instead of putting empty ones aside."""
    file = LogFile(path, most=50)
    said(file, LINE, LINE)
    file.close()

    assert sizes(path) == {"polybot.log": 100, "polybot.log.1": 100}


def test_it_is_nobody_elses(path: Path) -> None:
    """Orders and positions are for who runs the bot, in each of its files."""
    before = os.umask(0)
    try:
        file = LogFile(path, most=100)
        said(file, LINE, LINE)
    finally:
        os.umask(before)
    file.close()

    assert {stat.S_IMODE(it.stat().st_mode) for it in path.parent.iterdir()} == {0o600}


@pytest.mark.parametrize("how", ["moved", "removed", "taken over"])
def test_somebody_has_moved_it_away(how: str, path: Path) -> None:
    """The next line is in a file of the old name, be it that a second bot has begun that one; and
    nobody's file is put aside who has only grown its own.
    """
    file = LogFile(path, most=1_000)
    said(file, LINE * 9)
    if how == "removed":
        path.unlink()
    else:
        path.rename(path.with_name("elsewhere"))
    if how == "taken over":
        path.write_text("theirs\n")
    said(file, "a\n", LINE)
    file.close()

    assert path.read_text() == {"taken over": "theirs\n"}.get(how, "") + "a\n" + LINE
    assert sizes(path).keys() == {"polybot.log"} | ({"elsewhere"} if how != "removed" else set())


def test_no_file_has_a_secret(path: Path) -> None:
    """Neither the newest nor any that was put aside: what is written has been cleaned before."""
    root = logging.getLogger()
    before = root.handlers[:], root.level
    outlet = Outlet(LogFile(path, most=2_000))
    set_up_logs(outlet, secrets=[Secret(CANARY)])
    try:
        for number in range(60):
            logger.info("line {} of {}", number, CANARY)
    finally:
        logger.remove()
        logging.captureWarnings(capture=False)
        root.handlers[:], root.level = before
    assert outlet.drain(PATIENCE_S)
    outlet.stream.close()

    texts = [it.read_text() for it in path.parent.iterdir()]
    assert len(texts) == KEPT + 1
    assert all("[redacted]" in text and CANARY not in text for text in texts)


def test_no_other_file_can_be_begun(path: Path) -> None:
    """A name that cannot be moved to stops neither the log nor whoever writes it."""
    path.with_name("polybot.log.1").mkdir()
    (path.parent / "polybot.log.1" / "full").touch()
    outlet = Outlet(LogFile(path, most=150, kept=1))
    for _ in range(3):
        outlet.write(LINE)
    assert outlet.drain(PATIENCE_S)
    outlet.stream.close()

    assert path.read_text() == LINE * 3


def test_a_disk_that_has_failed(path: Path) -> None:
    """What is written after the disk gave up goes to the file again, not to nowhere for good."""
    file = LogFile(path)
    said(file, "before\n")
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, file.fileno())  # as `put` does at EIO
    os.close(nowhere)
    said(file, "after\n")
    file.close()

    assert path.read_text() == "before\nafter\n"
