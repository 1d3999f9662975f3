"""Where a command is told to write, checked before its work: hours later is too late to hear it.
What cannot be read is told in one form, too. And the writing: a command that is stopped leaves no
half of a file, and what was there before stays until the new one is whole.
"""

from __future__ import annotations

import argparse
import errno
import os
from pathlib import Path

NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS})  # nothing is written


def file_place(text: str) -> Path:
    """An argparse type: a file that can be written. Its folder must be there."""
    path = Path(text)
    if path.is_dir():
        raise argparse.ArgumentTypeError(f"{path} is a folder: name a file in it")
    if not path.parent.is_dir():
        raise argparse.ArgumentTypeError(f"there is no folder {path.parent}: make it first")
    written = [path] if path.exists() else []
    if path.is_file() or not written:
        written.append(path.resolve().parent)  # where it lies under another name at first
    if not all(os.access(one, os.W_OK) for one in written):
        raise argparse.ArgumentTypeError(f"{path} may not be written by this user")
    return path


def folder_place(text: str) -> Path:
    """An argparse type: a folder that is there, or can be made with all above it."""
    path = Path(text)
    there = next(one for one in (path, *path.absolute().parents) if one.exists())
    if not there.is_dir():
        raise argparse.ArgumentTypeError(f"{there} is no folder")
    if not os.access(there, os.W_OK):
        raise argparse.ArgumentTypeError(f"{there} may not be written by this user")
    return path


def reason(error: Exception) -> str:
    """An error as a line for who typed the name of a file: the file first, no number."""
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename}: {error.strerror}"
    return str(error)


def put(path: Path, data: bytes) -> None:
    """Write a file, under another name until it is whole; into what is no file (a pipe) directly.
    Raises OSError.
    """
    if path.exists() and not path.is_file():
        path.write_bytes(data)
        return
    place = path.resolve()  # a link stays one
    part = place.with_name(f"{place.name}.part")
    try:
        part.write_bytes(data)
        part.replace(place)
    finally:
        part.unlink(missing_ok=True)
