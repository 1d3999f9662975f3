"""Which polybot made a tape, or broke at a seed."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from unittest import mock

import pytest

from polybot.version import UNKNOWN, commit, version


@pytest.fixture(autouse=True)
def forgotten() -> Iterator[None]:
    """Git is asked once for a process."""
    commit.cache_clear()
    yield
    commit.cache_clear()


def test_a_checkout_tells_its_commit() -> None:
    """The program is not installed where it is developed: the commit tells more than a number."""
    with mock.patch("subprocess.run") as run:
        run.return_value.stdout = "abc1234\n"
        assert commit() == "abc1234"
        assert version() == "checkout abc1234"
    run.assert_called_once()


def test_an_installed_program_tells_its_version() -> None:
    """There is no checkout, and git is not asked."""
    with mock.patch("importlib.metadata.version", return_value="0.1.0"):
        assert version() == "0.1.0"


@pytest.mark.parametrize(
    "trouble",
    [
        mock.patch.object(shutil, "which", return_value=None),
        mock.patch.object(subprocess, "run", side_effect=OSError("no")),
        mock.patch.object(subprocess, "run", side_effect=subprocess.TimeoutExpired("git", 2)),
    ],
)
def test_nothing_is_known_without_git(trouble: mock._patch[object]) -> None:
    """No git, or one that hangs: the run begins all the same."""
    with mock.patch.object(shutil, "which", return_value="git"), trouble:
        assert commit() == UNKNOWN
