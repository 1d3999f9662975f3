"""The log's file, which never outgrows its room.

An ordinary day writes a megabyte. A venue that fails all night may have a warning or two written in
every second, and a disk that the log has filled takes the journal with it, and so all trading. At
`FILE_BYTES` the file is put aside as `polybot.log.1`, the one before as `.2`, and so on, and of
those `KEPT` stay: months of ordinary days, and of the worst night its last hours.

Where somebody else puts it aside – `logrotate`, or a second bot in the same folder – the next line
goes to a new file of the old name. Rejected: loguru's own rotation, whose sink would write what no
redactor has seen, and write it on the event loop.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import TextIO

import attrs

FILE_BYTES = 16 * 1024 * 1024
KEPT = 3
MODE = 0o600  # as the journal: it tells what a wallet does


@attrs.define(eq=False)
class LogFile:
    """A file to be written by one thread. Raises OSError where none can be opened."""

    path: Path
    most: int = FILE_BYTES
    kept: int = KEPT
    _file: TextIO = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self._file = self._opened()

    def write(self, text: str) -> int:
        with contextlib.suppress(OSError):  # no room for another: this one goes on
            self._make_room(len(text))
        return self._file.write(text)

    def flush(self) -> None:
        self._file.flush()

    def fileno(self) -> int:
        return self._file.fileno()

    def close(self) -> None:
        self._file.close()

    def _opened(self) -> TextIO:
        def private(path: str, flags: int) -> int:
            return os.open(path, flags, MODE)

        return open(self.path, "a", encoding="utf-8", opener=private)

    def _make_room(self, more: int) -> None:
        """Begin a new file where ours would be too large, or is not the one of that name."""
        ours = os.fstat(self._file.fileno())
        try:
            moved = not os.path.samestat(ours, self.path.stat())
        except FileNotFoundError:
            moved = True
        if not moved:
            if not ours.st_size or ours.st_size + more <= self.most:
                return
            for number in range(self.kept, 1, -1):
                with contextlib.suppress(FileNotFoundError):
                    self._aside(number - 1).replace(self._aside(number))
            self.path.replace(self._aside(1))
        before, self._file = self._file, self._opened()
        before.close()

    def _aside(self, number: int) -> Path:
        return self.path.with_name(f"{self.path.name}.{number}")
