"""The terminal view: the one task that writes to the operator's screen, and cannot hold up the bot.

Writing happens in a thread: a terminal stopped by Ctrl-S blocks whoever writes to it, and that must
not be the task loop with the heartbeat in it.
"""

from __future__ import annotations

import io
import shutil
from typing import Protocol, TextIO

import trio

from polybot.console.snapshot import Snapshot
from polybot.console.view import HIDE_CURSOR, SHOW_CURSOR, clock_text, plain, plain_line, render

_CLEAR_SCREEN = "\x1b[2J"
_FRAME_S = 0.25  # of the wall: a person reads this
_LINE_EVERY_MS = 15_000  # of venue time
_RESTORE_S = 0.5  # of the wall


class Published(Protocol):
    """The newest snapshot, and a way to wait for one newer than the version seen."""

    async def newer(self, seen: int) -> tuple[int, Snapshot]: ...


async def show(published: Published, *, stream: TextIO, clock_speed: float) -> None:
    """Show snapshots until cancelled: a screen on a terminal, else lines.

    `clock_speed` is how many of Trio's seconds pass in one of the wall's. When the stream breaks
    the view ends and the bot goes on. The cursor is restored on every way out.
    """
    if isinstance(stream, io.TextIOWrapper):
        stream.reconfigure(errors="replace")  # a terminal that cannot spell × gets a question mark
    writer = _Writer(stream)
    try:
        if stream.isatty():
            await _screen(published, writer, clock_speed)
        else:
            await _lines(published, writer)
    except OSError:
        return  # nobody is reading any more: a closed pipe or terminal is not the bot's fault


class _Writer:
    """Writes in a thread, one text at a time; a cancelled write is left behind, not waited for."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._one = trio.CapacityLimiter(1)

    async def write(self, text: str) -> None:
        await trio.to_thread.run_sync(
            self._blocking, text, limiter=self._one, abandon_on_cancel=True
        )

    def _blocking(self, text: str) -> None:
        self._stream.write(text)
        self._stream.flush()


async def _screen(published: Published, writer: _Writer, clock_speed: float) -> None:
    seen = -1
    try:
        await writer.write(HIDE_CURSOR + _CLEAR_SCREEN)
        while True:
            seen, snapshot = await published.newer(seen)
            width, height = shutil.get_terminal_size()
            await writer.write(render(snapshot, width, height))
            await trio.sleep(_FRAME_S * clock_speed)
    finally:
        # Bounded: a terminal stopped by Ctrl-S would not take the cursor back either.
        with trio.move_on_after(_RESTORE_S * clock_speed, shield=True):
            await writer.write(f"{SHOW_CURSOR}\r\n")


async def _lines(published: Published, writer: _Writer) -> None:
    seen, told, next_ms = -1, 0, 0
    while True:
        seen, snapshot = await published.newer(seen)
        lines = [
            f"{clock_text(event.at_ms)} {plain(event.text)}"
            for event in snapshot.events
            if event.number > told
        ]
        told = max([told, *(event.number for event in snapshot.events)])
        if snapshot.now_ms >= next_ms:
            lines.append(plain_line(snapshot))
            next_ms = snapshot.now_ms + _LINE_EVERY_MS
        if lines:
            await writer.write("\n".join(lines) + "\n")
