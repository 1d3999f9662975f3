"""`| head` has seen enough: a command of the laboratory ends without a traceback."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from polybot.lab.commands import UNSEEN

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("words", ["lab config-docs", "soak --seeds 1-1 --brief --once"])
def test_a_reader_that_leaves(words: str) -> None:
    """Nor is it a success: what was found was not seen."""
    reads, writes = os.pipe()
    os.close(reads)
    try:
        done = subprocess.run(  # noqa: S603 - our own program
            [sys.executable, "-m", "polybot", *words.split()],
            cwd=ROOT, stdout=writes, stderr=subprocess.PIPE, text=True, check=False, timeout=120,
        )  # fmt: skip
    finally:
        os.close(writes)

    assert "Traceback" not in done.stderr
    assert "BrokenPipe" not in done.stderr
    assert done.returncode == UNSEEN
