"""Words on their way out of the process, which never wait for their reader.

A write to a pipe that nobody empties – a pager that stands still, a log service that is restarted,
a container's frozen runtime – blocks for as long as it likes, and on the event loop that is the
end: no heartbeat leaves while orders rest, no fill is heard, no signal obeyed. So a thread writes,
and whoever has something to say hands it over. What piles up beyond `MOST` texts is left out, and
the reader told how many. Rejected: loguru's `enqueue`, which pickles each record into a pipe of its
own (55 µs against 13 for the write itself), and `O_NONBLOCK`, which everybody who has the same
terminal would have as well.
"""

from __future__ import annotations

import contextlib
import errno
import os
import queue
import sys
import threading
from typing import Protocol

import attrs

MOST = 10_000  # texts: a bound on memory, for a reader may be gone all night


class Sink(Protocol):
    """Where texts go: a stream, or a file with a bound."""

    def write(self, text: str, /) -> int: ...

    def flush(self) -> None: ...

    def fileno(self) -> int: ...

    def close(self) -> None: ...


@attrs.define(eq=False)
class Outlet:
    """One stream's texts, written in the order in which they were said. Its thread begins with the
    first of them, and ends with the process.
    """

    stream: Sink
    most: int = MOST
    _texts: queue.Queue[str] = attrs.field(init=False)
    _thread: threading.Thread | None = None
    _left_out: int = 0

    def __attrs_post_init__(self) -> None:
        self._texts = queue.Queue(self.most)

    def write(self, text: str) -> None:
        """Say it, without waiting."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="outlet", daemon=True)
            self._thread.start()
        try:
            if self._left_out:
                self._texts.put_nowait(f"({self._left_out} texts before this one had no reader)\n")
                self._left_out = 0
            self._texts.put_nowait(text)
        except queue.Full:
            self._left_out += 1

    def flush(self) -> None:
        """Nothing is kept back: each text is on its way."""

    def drain(self, within_s: float) -> bool:
        """Wait until all that was said is written; False: the reader does not take it. Blocks."""
        with self._texts.all_tasks_done:
            return self._texts.all_tasks_done.wait_for(self._written, within_s)

    def _written(self) -> bool:
        return not self._texts.unfinished_tasks

    def _run(self) -> None:
        while True:
            text = self._texts.get()
            put(self.stream, text)
            self._texts.task_done()


def put(stream: Sink, text: str) -> None:
    """Write it at once, or lose it: a disk may have room again later. A terminal that is lost and a
    pipe whose reader has gone are given up, for Python, which could not flush them at its end,
    would end with a code of its own.
    """
    try:
        stream.write(text)
        stream.flush()
    except ValueError:
        return  # it is closed
    except OSError as error:
        if error.errno in (errno.EIO, errno.EPIPE):
            with contextlib.suppress(OSError):  # no file may be free: with the next text, then
                _give_up(stream)


def stand_in() -> None:
    """Put nowhere in the place of each standard stream that whoever started us has closed. Python
    has none at all for it then, and the first word would end us, `stop --now` before anything is
    cancelled; and the next file, a journal or a connection, would bear its number, and get what is
    meant for a screen.
    """
    for number, (name, mode) in enumerate((("stdin", "r"), ("stdout", "w"), ("stderr", "w"))):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # it gets the lowest number that is free
        if getattr(sys, name) is None:
            setattr(sys, name, open(number, mode, encoding="utf-8", closefd=False))  # noqa: SIM115


def _give_up(stream: Sink) -> None:
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, stream.fileno())
    finally:
        os.close(nowhere)
