"""Temporary files go to memory where there is room: a scene waits for every sync of its journal,
milliseconds on a disk, and no test here is about a disk.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
import tls_kit

MEMORY = Path("/dev/shm")  # noqa: S108 - only a place; names in it are drawn by tempfile
ROOM = 256 * 2**20

if MEMORY.is_dir() and os.access(MEMORY, os.W_OK) and shutil.disk_usage(MEMORY).free > ROOM:
    os.environ.setdefault("TMPDIR", str(MEMORY))


@pytest.fixture
def certificate(tmp_path: Path) -> tls_kit.Certificate:
    """A certificate for localhost that nobody has signed, and its key."""
    return tls_kit.made(tmp_path)
