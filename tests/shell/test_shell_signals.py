"""Signals, and terminals that are no more, on the program in a process of its own."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import attrs
import orjson
import pytest
import trio

CONFIG = """
[bot]
series = ["btc-5m"]
[quote]
stop_twap_s = 20.0
stop_move = 0.5
cutoff_twap_s = 10.0
[pricing]
vol_prior_annual = 0.45
[paper]
intensity = 0.02
"""
PATIENCE_S = 120.0  # no hang, only a limit for a machine that is busy
ROOT = Path(__file__).resolve().parents[2]


@attrs.frozen(eq=False)
class Program:
    """`python -m polybot` in a process of its own, with a pipe for a terminal."""

    process: trio.Process
    summary: Path

    async def says(self, words: bytes) -> None:
        stream, seen = self.process.stderr, b""
        assert stream is not None
        with trio.fail_after(PATIENCE_S):
            while words not in seen:
                some = await stream.receive_some()
                assert some, f"it ended before it said {words!r}: {seen[-2000:]!r}"
                seen += some

    async def ends(self) -> int:
        with trio.fail_after(PATIENCE_S):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._drain)
                code = await self.process.wait()
                nursery.cancel_scope.cancel()
        return code

    async def _drain(self) -> None:
        assert self.process.stderr is not None
        async for _ in self.process.stderr:
            pass


@asynccontextmanager
async def program(
    folder: Path, config: str = CONFIG, *, begin: Sequence[str] = (), terminal: int | None = None
) -> AsyncGenerator[Program]:
    """`begin` is what is put before its command line."""
    file, summary = folder / "config.toml", folder / "summary.json"
    file.write_text(config)
    args = ["--config", str(file), "--speed", "20", "--summary", str(summary)]
    process = await trio.lowlevel.open_process(
        [*begin, sys.executable, "-m", "polybot", *args],
        stdin=terminal,
        stderr=subprocess.PIPE if terminal is None else terminal,
        stdout=subprocess.DEVNULL if terminal is None else terminal,
        cwd=ROOT,
    )
    try:
        yield Program(process, summary)
    finally:
        if process.returncode is None:
            process.kill()
        with trio.move_on_after(PATIENCE_S, shield=True):
            await process.wait()
        if process.stderr is not None:
            await process.stderr.aclose()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_a_signal_stops_the_program(number: signal.Signals, tmp_path: Path) -> None:
    """The first signal ends the program with code 0, nothing rests, and the summary says which
    signal it was.
    """
    async with program(tmp_path) as polybot:
        await polybot.says(b"quoting")
        polybot.process.send_signal(number)
        code = await polybot.ends()

    said = orjson.loads(polybot.summary.read_bytes())
    assert code == 0
    assert said["exit_reason"] == number.name
    assert said["live_orders_at_exit"] == 0
    assert said["equity_bot"] == said["equity_exchange"]


# A program becomes the first on its terminal as under `login`: in a session of its own, and with
# nothing ignored, also where these tests run under `nohup`.
ON_TERMINAL = """
import fcntl, os, signal, sys, termios
signal.signal(signal.SIGHUP, signal.SIG_DFL)
os.setsid()
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execv(sys.argv[1], sys.argv[1:])
"""


async def shows(screen: int, words: bytes) -> None:
    seen = b""
    with trio.fail_after(PATIENCE_S):
        while words not in seen:
            await trio.lowlevel.wait_readable(screen)
            seen += os.read(screen, 1 << 16)


async def test_a_terminal_that_is_lost(tmp_path: Path) -> None:
    """Closed, or its connection gone: the kernel hangs up, once or twice, nothing can be written
    any more, and the program ends as at Ctrl-C.
    """
    ours, theirs = pty.openpty()
    begin = [sys.executable, "-c", ON_TERMINAL]
    async with program(tmp_path, begin=begin, terminal=theirs) as polybot:
        os.close(theirs)
        await shows(ours, b"quoting")
        os.close(ours)
        with trio.fail_after(PATIENCE_S):
            code = await polybot.process.wait()

    said = orjson.loads(polybot.summary.read_bytes())
    assert (code, said["exit_reason"]) == (0, "SIGHUP")
    assert said["live_orders_at_exit"] == 0


async def test_a_pipe_that_nobody_reads_any_more(tmp_path: Path) -> None:
    """Its lines go nowhere; the bot goes on, and its end is told by code and summary."""
    async with program(tmp_path) as polybot:
        await polybot.says(b"quoting")
        assert polybot.process.stderr is not None
        await polybot.process.stderr.aclose()
        polybot.process.send_signal(signal.SIGTERM)
        with trio.fail_after(PATIENCE_S):
            code = await polybot.process.wait()

    assert code == 0
    assert orjson.loads(polybot.summary.read_bytes())["exit_reason"] == "SIGTERM"


def stuff(pipe: int) -> None:
    """Fill it, by a file of our own: what is opened so does not make the other's writes fail."""
    end = os.open(f"/proc/self/fd/{pipe}", os.O_WRONLY | os.O_NONBLOCK)
    with suppress(BlockingIOError):
        while True:
            os.write(end, b" ")
    os.close(end)


async def test_a_reader_that_stands_still(tmp_path: Path) -> None:
    """A pager, a log service that is restarted: what the log says must not hold up the bot."""
    ours, theirs = os.pipe()
    async with program(tmp_path, terminal=theirs) as polybot:
        await shows(ours, b"quoting")
        stuff(theirs)
        polybot.process.send_signal(signal.SIGTERM)
        with trio.fail_after(PATIENCE_S):
            code = await polybot.process.wait()
    os.close(ours)
    os.close(theirs)

    said = orjson.loads(polybot.summary.read_bytes())
    assert (code, said["exit_reason"]) == (0, "SIGTERM")
    assert said["live_orders_at_exit"] == 0


async def test_a_program_that_is_not_to_hang_up(tmp_path: Path) -> None:
    """Under `nohup` the signal is ignored from the beginning, and stays so."""
    begin = ["nohup"]
    async with program(tmp_path, begin=begin) as polybot:
        await polybot.says(b"quoting")
        polybot.process.send_signal(signal.SIGHUP)
        polybot.process.send_signal(signal.SIGTERM)
        code = await polybot.ends()

    assert code == 0
    assert orjson.loads(polybot.summary.read_bytes())["exit_reason"] == "SIGTERM"


async def test_two_signals_at_once(tmp_path: Path) -> None:
    """The second signal ends the program where it stands, with the shell's code for it."""
    async with program(tmp_path) as polybot:
        await polybot.says(b"quoting")
        polybot.process.send_signal(signal.SIGSTOP)
        polybot.process.send_signal(signal.SIGTERM)
        polybot.process.send_signal(signal.SIGINT)
        polybot.process.send_signal(signal.SIGCONT)
        code = await polybot.ends()

    assert code in (128 + signal.SIGINT, 128 + signal.SIGTERM)


async def test_a_bad_configuration(tmp_path: Path) -> None:
    """A configuration with faults ends the program with code 2 before anything is started."""
    async with program(tmp_path, "[quote]\nlevls = 2\n") as polybot:
        await polybot.says(b"levls")
        code = await polybot.ends()

    assert code == 2
    assert not polybot.summary.exists()
