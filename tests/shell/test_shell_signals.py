from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
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
PATIENCE_S = 60.0
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
async def program(folder: Path, config: str = CONFIG) -> AsyncGenerator[Program]:
    file, summary = folder / "config.toml", folder / "summary.json"
    file.write_text(config)
    args = ["--config", str(file), "--speed", "20", "--summary", str(summary)]
    process = await trio.lowlevel.open_process(
        [sys.executable, "-m", "polybot", *args],
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
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
