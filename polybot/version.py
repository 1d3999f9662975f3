"""Which polybot this is: for tapes, and for whoever must repeat a failure."""

from __future__ import annotations

import functools
import shutil
import subprocess
from importlib import metadata
from pathlib import Path

PATIENCE_S = 2.0
UNKNOWN = "?"


def version() -> str:
    """The installed version; of a checkout, which has none, the commit."""
    try:
        return metadata.version("polybot")
    except metadata.PackageNotFoundError:
        return f"checkout {commit()}"


@functools.cache
def commit() -> str:
    """The commit of this checkout, `UNKNOWN` where there is none."""
    git = shutil.which("git")
    if git is None:
        return UNKNOWN
    try:
        done = subprocess.run(  # noqa: S603 - git itself
            [git, "rev-parse", "--short", "HEAD"],
            cwd=Path(__file__).parent, capture_output=True, text=True, check=False,
            timeout=PATIENCE_S,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return UNKNOWN
    return done.stdout.strip() or UNKNOWN
