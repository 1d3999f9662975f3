"""The lock file beside a journal: one engine per wallet. Its content is the process that has it."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path


class Held(Exception):
    """Somebody has it; the text is the process, or `unknown`."""


def take(path: Path) -> int:
    """Hold the lock file for as long as the process lives; the kernel releases it at its death.
    Raises Held, or OSError.
    """
    lock = os.open(_beside(path), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        by = _content(lock) or "unknown"
        os.close(lock)
        raise Held(by) from None
    os.ftruncate(lock, 0)
    os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)
    return lock


def holder(path: Path) -> int | None:
    """The process that has this journal open; None when none has."""
    try:
        lock = os.open(_beside(path), os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        text = _content(lock)
        return int(text) if text.isdigit() else None
    else:
        return None
    finally:
        os.close(lock)


def _beside(path: Path) -> Path:
    return path.with_name(path.name + ".lock")


def _content(lock: int) -> str:
    return os.pread(lock, 32, 0).decode(errors="replace").strip()
