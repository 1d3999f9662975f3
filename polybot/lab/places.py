"""Where a command is told to write, checked before its work: hours later is too late to hear it."""

from __future__ import annotations

import argparse
import os
from pathlib import Path


def file_place(text: str) -> Path:
    """An argparse type: a file that can be written. Its folder must be there."""
    path = Path(text)
    if path.is_dir():
        raise argparse.ArgumentTypeError(f"{path} is a folder: name a file in it")
    if not path.parent.is_dir():
        raise argparse.ArgumentTypeError(f"there is no folder {path.parent}: make it first")
    if not os.access(path if path.exists() else path.parent, os.W_OK):
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
