"""Ctrl-C at the laboratory: whatever it was about, it ends at once, says so, and leaves nothing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from polybot.lab.commands import STOPPED, to_its_reader
from polybot.lab.sweep import STOPPED_EARLY

ROOT = Path(__file__).resolve().parents[2]
AT_ONCE_S = 10  # a busy machine takes its time; what would wait for its tape waits for ever


@pytest.fixture
def tape(tmp_path: Path) -> Path:
    """A tape of which nothing comes: whoever reads it is at its reading until he is stopped."""
    path = tmp_path / "run-1-0000.tape"
    os.mkfifo(path)
    return path


def interrupted(words: list[str], tape: Path, tmp_path: Path) -> subprocess.CompletedProcess[str]:
    """The command stopped while it reads, as a terminal does it: the signal goes to all of it."""
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    with subprocess.Popen(  # noqa: S603 - our own program
        [sys.executable, "-m", "polybot", *words], cwd=tmp_path, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True,
        env=os.environ | {"PYTHONPATH": str(ROOT), "TMPDIR": str(temporary)},
    ) as process:  # fmt: skip
        try:
            writing = os.open(tape, os.O_WRONLY)  # returns when the tape is opened for reading
            os.killpg(process.pid, signal.SIGINT)
            out, err = process.communicate(timeout=AT_ONCE_S)
            os.close(writing)
        finally:
            process.kill()
    assert not list(temporary.iterdir()), "what was brought in so far is gone"
    return subprocess.CompletedProcess(words, process.returncode, out, err)


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        ("lab queue-fit TAPE --out model.json", STOPPED, "stopped by Ctrl-C before its end\n"),
        ("lab latency-fit TAPE --out model.json", STOPPED, "stopped by Ctrl-C before its end\n"),
        ("lab divergence TAPE TAPE", STOPPED, "stopped by Ctrl-C before its end\n"),
        ("replay TAPE", STOPPED, "stopped by Ctrl-C before its end\n"),
        ("tape export TAPE events.csv", STOPPED, "stopped by Ctrl-C before its end\n"),
        ("backtest TAPE --json model.json", 1, "stopped: nothing is reported of a part\n"),
        ("sweep TAPE --out results", 1, STOPPED_EARLY),
    ],
)
def test_a_command_that_reads_a_tape(
    words: str, code: int, told: str, tape: Path, tmp_path: Path
) -> None:
    """A line and a code, no traceback, no half of a file; what was there before stays."""
    (tmp_path / "config.toml").write_text("")
    (tmp_path / "model.json").write_text("an older one")
    done = interrupted([tape.name if word == "TAPE" else word for word in words.split()],
                       tape, tmp_path)  # fmt: skip

    assert (done.stderr, done.returncode, done.stdout) == (told, code, "")
    left = {path.name for path in tmp_path.iterdir() if not path.is_dir()}
    assert left == {tape.name, "config.toml", "model.json"}
    assert (tmp_path / "model.json").read_text() == "an older one"


def test_a_command_with_an_answer_of_its_own() -> None:
    """The program is gone at once at a Ctrl-C before a bot has begun. A soak that is stopped has
    something to tell instead, and its own code.
    """
    gone: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, _: gone.append(number))

    def command(_words: Sequence[str]) -> int:
        try:
            signal.raise_signal(signal.SIGINT)
        except KeyboardInterrupt:
            return 7
        return 0

    try:
        assert to_its_reader(command, ()) == 7
        signal.raise_signal(signal.SIGINT)
        assert gone == [signal.SIGINT], "afterwards it is the program's again"
    finally:
        signal.signal(signal.SIGINT, before)
