"""The Ctrl-C drill: `python -m polybot` as an operator runs it, on a terminal, at speed 1.

The terminal is a pseudo-terminal that we read; a figure is taken when its text arrives here, so it
holds the way of the signal to the process and of the line back to us as well.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import attrs
import orjson
import trio

from polybot.clock import wall_seconds
from polybot.console.log import LOG_FILE

# At its start the world is three and a half minutes into a window: quoting goes on for a minute.
CONFIG = """
[bot]
series = ["btc-5m"]
[quote]
stop_twap_s = 20.0
stop_move = 0.5
cutoff_twap_s = 10.0
[pricing]
vol_prior_annual = 0.45
"""
QUOTING_S = 60.0
ENDING_S = 20.0
LOOK_S = 0.001
ROOT = Path(__file__).resolve().parents[2]
_RESTING = re.compile(rb"orders [1-9]")
_CANCELLED = re.compile(rb"cancel-all answered (\d+) ms")


@attrs.frozen
class Graceful:
    """The first Ctrl-C. Times in wall seconds from the signal."""

    cancel_s: float  # until the venue's answer to the cancel-all was reported
    exit_s: float
    exit_code: int
    summary: dict[str, Any]


@attrs.frozen
class Immediate:
    """The second Ctrl-C, sent `after_s` after the first."""

    after_s: float
    exit_s: float
    exit_code: int


@attrs.define(eq=False)
class _Screen:
    """The program's terminal, read in a thread of Trio's."""

    stream: trio.lowlevel.FdStream
    seen: bytes = b""

    async def wait_for(self, what: re.Pattern[bytes]) -> float:
        """Read until it is there; the wall time at which it was. Raises EOFError at the end."""
        while what.search(self.seen) is None:
            self.seen += await self._some()
        return wall_seconds()

    async def drain(self) -> None:
        """Read and forget, so that the program never waits for its screen."""
        try:
            while True:
                await self._some()
        except EOFError:
            return

    async def _some(self) -> bytes:
        try:
            some = await self.stream.receive_some()
        except trio.BrokenResourceError:  # Linux says EIO when the last writer is gone
            some = b""
        if not some:
            raise EOFError(self.seen[-500:].decode("utf-8", "replace"))
        return some


@attrs.frozen(eq=False)
class _Running:
    process: trio.Process
    screen: _Screen
    summary: Path
    log: Path

    def interrupt(self) -> float:
        at = wall_seconds()
        self.process.send_signal(signal.SIGINT)
        return at

    async def first_interrupt(self) -> tuple[float, float]:
        """Interrupt it once it quotes: when that was, and when the cancel-all was answered."""
        with trio.fail_after(QUOTING_S):
            await self.screen.wait_for(_RESTING)
        begun = self.interrupt()
        with trio.fail_after(ENDING_S):
            # Another process writes it: there is no event to wait for.
            while _CANCELLED.search(self._log()) is None:  # noqa: ASYNC110
                await trio.sleep(LOOK_S)
        return begun, wall_seconds()

    def _log(self) -> bytes:
        """On a terminal the program logs to a file beside it."""
        return self.log.read_bytes() if self.log.exists() else b""

    async def ended(self) -> tuple[float, int]:
        """When the process ended, and its exit code."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.screen.drain)
            with trio.fail_after(ENDING_S):
                code = await self.process.wait()
            at = wall_seconds()
            nursery.cancel_scope.cancel()
        return at, code


@asynccontextmanager
async def _running() -> AsyncGenerator[_Running]:
    """Start the bot in a process of its own; whatever happens, it is gone after the block."""
    with tempfile.TemporaryDirectory() as folder:
        config, summary = Path(folder, "config.toml"), Path(folder, "summary.json")
        await trio.Path(config).write_text(CONFIG)
        terminal, slave = os.openpty()
        command = [sys.executable, "-m", "polybot", "--config", str(config), "--speed", "1"]
        process = await trio.lowlevel.open_process(
            [*command, "--summary", str(summary)],
            stderr=slave,
            stdout=subprocess.DEVNULL,
            cwd=folder,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        os.close(slave)
        try:
            async with trio.lowlevel.FdStream(terminal) as stream:
                yield _Running(process, _Screen(stream), summary, Path(folder, LOG_FILE))
        finally:
            if process.returncode is None:
                process.kill()
            with trio.move_on_after(ENDING_S, shield=True):
                await process.wait()


async def graceful() -> Graceful:
    """Let it quote, interrupt it once, and read what it says and leaves."""
    async with _running() as bot:
        begun, cancelled = await bot.first_interrupt()
        ended, code = await bot.ended()
        summary = orjson.loads(await trio.Path(bot.summary).read_bytes())
    return Graceful(cancelled - begun, ended - begun, code, summary)


async def immediate() -> Immediate:
    """Let it quote, interrupt it, and again as soon as the cancel-all is answered."""
    async with _running() as bot:
        first, _ = await bot.first_interrupt()
        second = bot.interrupt()
        ended, code = await bot.ended()
    return Immediate(second - first, ended - second, code)
