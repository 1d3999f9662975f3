"""The view task: draws, restores the cursor, and never holds the bot up."""

from __future__ import annotations

import io
import threading
from collections.abc import Callable
from typing import Any, TextIO

import attrs
import pytest
import trio
from trio.testing import MockClock

from polybot.channels import Published
from polybot.console import view
from polybot.console.show import show
from polybot.console.snapshot import Event, Snapshot

START = Snapshot("paper", "synthetic", 1_000_000, 20.0, 0.0, "running")


class Screen(io.StringIO):
    """A stream that tells the test when it has been written to; a terminal or a pipe."""

    def __init__(self, *, tty: bool) -> None:
        super().__init__()
        self._tty = tty
        self.blocked: trio.Event
        self.waiting: list[tuple[Callable[[str], bool], trio.Event]] = []

    def isatty(self) -> bool:
        return self._tty

    def flush(self) -> None:
        trio.from_thread.run_sync(self._tell)

    def _tell(self) -> None:
        for wanted, event in self.waiting:
            if wanted(self.getvalue()):
                event.set()

    async def until(self, wanted: Callable[[str], bool]) -> None:
        event = trio.Event()
        self.waiting.append((wanted, event))
        if not wanted(self.getvalue()):
            await event.wait()


async def test_a_terminal_gets_a_screen_and_its_cursor_back() -> None:
    """The cursor is hidden while drawing and shown again when the view is cancelled."""
    screen = Screen(tty=True)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(_shown, Published(START), screen)
        await screen.until(lambda text: "state running" in text)
        nursery.cancel_scope.cancel()

    text = screen.getvalue()
    assert text.startswith(view.HIDE_CURSOR)
    assert text.rstrip().endswith(view.SHOW_CURSOR)


async def test_the_cursor_comes_back_after_a_crash_too() -> None:
    """A bug in a snapshot's publisher leaves a usable terminal behind."""

    class Broken:
        async def newer(self, seen: int) -> tuple[int, Snapshot]:
            raise RuntimeError("bug")

    screen = Screen(tty=True)

    with pytest.raises(RuntimeError, match="bug"):
        await show(Broken(), stream=screen, clock_speed=1.0)

    assert screen.getvalue().rstrip().endswith(view.SHOW_CURSOR)


async def test_a_pipe_gets_each_event_once() -> None:
    """Every event is a line, though each snapshot repeats the last few."""
    screen, published = Screen(tty=False), Published(START)
    first, second = Event(1, 1_000_100, "first fill"), Event(2, 1_000_200, "second fill")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(_shown, published, screen)
        await screen.until(lambda text: "equity" in text)
        published.set(attrs.evolve(START, now_ms=1_000_150, events=(first,)))
        await screen.until(lambda text: "first fill" in text)
        published.set(attrs.evolve(START, now_ms=1_000_250, events=(first, second)))
        await screen.until(lambda text: "second fill" in text)
        nursery.cancel_scope.cancel()

    lines = screen.getvalue().splitlines()
    assert [line.split(" ", 1)[1] for line in lines[1:]] == ["first fill", "second fill"]
    assert "\x1b" not in screen.getvalue()


async def test_a_pipe_gets_a_line_every_fifteen_venue_seconds() -> None:
    """Snapshots in between, without events, say nothing."""
    screen, published = Screen(tty=False), Published(START)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(_shown, published, screen)
        await screen.until(lambda text: text.count("\n") == 1)
        for now_ms in (1_000_001, 1_014_999):
            published.set(attrs.evolve(START, now_ms=now_ms))
            await trio.testing.wait_all_tasks_blocked()
        published.set(attrs.evolve(START, now_ms=1_015_000))
        await screen.until(lambda text: text.count("\n") == 2)
        nursery.cancel_scope.cancel()

    assert screen.getvalue().count("equity") == 2


@pytest.mark.parametrize("tty", [True, False])
async def test_a_broken_stream_ends_the_view_and_not_the_bot(tty: bool) -> None:
    """`make paper | head` goes on trading after head has left."""

    class Gone(Screen):
        def write(self, text: str) -> int:
            raise BrokenPipeError

    with trio.fail_after(5):
        await show(Published(START), stream=Gone(tty=tty), clock_speed=1.0)


def test_a_stopped_terminal_does_not_stop_the_bot() -> None:
    """Ctrl-S blocks the writer; other tasks go on, and a cancelled view leaves in bounded time."""
    freed = threading.Event()

    class Stopped(Screen):
        def write(self, text: str) -> int:
            trio.from_thread.run_sync(self.blocked.set)
            freed.wait(60)
            return len(text)

        def flush(self) -> None:
            """Nobody is told: when this runs the tasks are gone."""

    async def main() -> bool:
        screen = Stopped(tty=True)
        screen.blocked = trio.Event()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_shown, Published(START), screen)
            await screen.blocked.wait()
            await trio.testing.wait_all_tasks_blocked()
            nursery.cancel_scope.cancel()
        return freed.is_set()

    try:
        # A fast clock, not an autojumping one, because that cannot see a thread at work.
        assert trio.run(main, clock=MockClock(rate=50)) is False
    finally:
        freed.set()


async def test_a_narrow_character_set_does_not_break_the_view() -> None:
    """A terminal that cannot spell × gets a question mark."""
    arrived = trio.Event()

    class Raw(io.BytesIO):
        def write(self, data: Any) -> int:
            written = super().write(data)
            if b"???" in self.getvalue():
                trio.from_thread.run_sync(arrived.set)
            return written

    raw = Raw()
    stream = io.TextIOWrapper(raw, encoding="ascii", write_through=True)
    published = Published(attrs.evolve(START, state="×–€"))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(_shown, published, stream)
        with trio.move_on_after(10):
            await arrived.wait()
        nursery.cancel_scope.cancel()

    assert arrived.is_set()


async def _shown(published: Published[Snapshot], stream: TextIO) -> None:
    await show(published, stream=stream, clock_speed=1.0)
