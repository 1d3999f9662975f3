"""A full disk under a command of the laboratory: a line, a code, and no traceback."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from polybot.lab.commands import UNWRITTEN, to_its_reader
from polybot.launch import EXIT_STORAGE

ROOT = Path(__file__).resolve().parents[2]


def test_the_code_is_the_programs() -> None:
    """One table of codes in README.md is for all commands."""
    assert UNWRITTEN == EXIT_STORAGE


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS])
def test_a_full_disk_is_no_bug_of_ours(number: int, capsys: pytest.CaptureFixture[str]) -> None:
    """It is told with what to do; any other call of the system that fails is raised, to be seen."""

    def full(_words: Sequence[str]) -> int:
        raise OSError(number, os.strerror(number))

    def bug(_words: Sequence[str]) -> int:
        raise OSError(errno.EBADF, "Bad file descriptor")

    assert to_its_reader(full, ()) == UNWRITTEN
    told = capsys.readouterr().err
    assert f"could not be written: {os.strerror(number)}" in told
    assert "Make room" in told
    with pytest.raises(OSError, match="Bad file descriptor"):
        to_its_reader(bug, ())


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device of Linux")
def test_a_report_that_finds_no_room() -> None:
    """What a command has to say is a file as well, where its output is led into one."""
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "polybot", "lab", "config-docs"],
            cwd=ROOT, stdout=full, stderr=subprocess.PIPE, text=True, check=False, timeout=120,
        )  # fmt: skip

    assert "No space left on device" in done.stderr
    assert "Traceback" not in done.stderr
    assert done.returncode == UNWRITTEN
