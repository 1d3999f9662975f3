"""Temporary files go to memory where there is room: a scene waits for every sync of its journal,
milliseconds on a disk, and no test here is about a disk.
"""

from __future__ import annotations

import contextlib
import gc
import itertools
import os
import shutil
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
import tls_kit
from hypothesis import HealthCheck, settings
from loguru import logger

MEMORY = Path("/dev/shm")  # noqa: S108 - only a place; names in it are drawn by tempfile
ROOM = 256 * 2**20

if MEMORY.is_dir() and os.access(MEMORY, os.W_OK) and shutil.disk_usage(MEMORY).free > ROOM:
    os.environ.setdefault("TMPDIR", str(MEMORY))

# Hypothesis gives an example 200 ms of the wall: where a core is shared, a worker that was not let
# run for longer failed a test of which nothing else was wrong. How fast things are, the bench says.
settings.register_profile(
    "any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("any machine")

logger.remove()  # see `logged`

# A worker holds what every scene before has left: with the usual thresholds looking through all of
# it costs a tenth of a scene's work.
gc.set_threshold(20_000, 20, 20)

# A bot that starts freezes what is there (app.py), the remains of the bots before it included: a
# worker of this suite grew to 3.7 GB, and what a test had left open was told to another, minutes
# later. Collecting after every one of them would take a tenth of the suite's time.
BOTS_A_SWEEP = 20
_bots = itertools.count(1)
_freezes = Counter[str]()
_freeze = gc.freeze


def _counted() -> None:
    """As `gc.freeze`, and counted. To ask how much is frozen walks all of it: 70 ms of a worker
    that has read every test, twice for each one, which was a sixth of the suite's time.
    """
    _freezes["bot"] += 1
    _freeze()


gc.freeze = _counted


@pytest.fixture(autouse=True)
def logged() -> Iterator[None]:
    """A log as a program has it (console/log.py), also after a test that has ended it. By default a
    traceback tells the value of every name in it, which of a bot is its whole state: seconds for
    each exception that is logged.

    It goes to one stream, and not to where that is redirected meanwhile: what a command of a
    simulated life said was told with lines of a bot's log and the wall's time in them, and no such
    life was the same twice, unless a test before it had ended the log.
    """
    sink = logger.add(sys.stderr.write, level="INFO", diagnose=False, backtrace=False)
    yield
    with contextlib.suppress(ValueError):
        logger.remove(sink)


@pytest.fixture(autouse=True)
def swept() -> Iterator[None]:
    """What bots have left is collected every so often, and a complaint of it is near its cause."""
    before = _freezes["bot"]
    yield
    if _freezes["bot"] != before and next(_bots) % BOTS_A_SWEEP == 0:
        gc.unfreeze()
        gc.collect()
        _freeze()


@pytest.fixture
def certificate(tmp_path: Path) -> tls_kit.Certificate:
    """A certificate for localhost that nobody has signed, and its key."""
    return tls_kit.made(tmp_path)
