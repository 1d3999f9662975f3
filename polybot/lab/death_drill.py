"""What an operator counts on when the engine is dead: `kill -9`, and `stop --now`, with exchange,
engine and operator in processes of their own, at speed 1 (G10 and G11 in reliability.md).

The exchange's own count of resting orders is looked at from outside, ten times a second.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import attrs
import httpx
import orjson
import trio

from polybot.clock import wall_seconds
from polybot.host import Host, ask_exchange
from polybot.lab.ctrl_c_drill import CONFIG, ROOT
from polybot.lab.stage import MID_WINDOW_MS
from polybot.venue.rest import http_client

QUOTING_S = 60.0
GONE_S = 40.0
LOOK_S = 0.1
PYTHON = (sys.executable, "-m", "polybot")


@attrs.frozen
class Death:
    """Wall seconds. `alone_s`: from `kill -9` until nothing rested, by the venue's own hand.
    `stop_s`: from calling `stop --now`, the engine dead and its orders resting, until nothing
    rested; `stopped_s` until that command had ended.
    """

    resting: int  # orders that the killed engine left
    alone_s: float
    stop_s: float
    stopped_s: float
    stop_code: int


@attrs.define(eq=False)
class _Scene:
    folder: Path
    host: Host
    http: httpx.AsyncClient

    def words(self) -> list[str]:
        venue, config = self.folder / "venue.json", self.folder / "config.toml"
        return ["--config", str(config), "--world", f"exchange:{venue}"]

    async def resting(self) -> int:
        state = await ask_exchange(self.http, self.host.admin, self.host.deposit)
        assert state is not None, "the exchange answers"
        live: int = state["live_orders"]
        return live

    async def empty(self) -> float:
        """When nothing rests any more."""
        with trio.fail_after(GONE_S):
            while await self.resting():  # noqa: ASYNC110 - another process
                await trio.sleep(LOOK_S)
        return wall_seconds()

    async def killed(self) -> tuple[int, float]:
        """Start an engine, kill it once it quotes; how many orders it left, and when."""
        async with _process(*self.words(), cwd=self.folder) as engine:
            with trio.fail_after(QUOTING_S):
                while not await self.resting():  # noqa: ASYNC110 - another process
                    await trio.sleep(LOOK_S)
            await trio.sleep(1)
            engine.send_signal(signal.SIGKILL)
            at = wall_seconds()
            await engine.wait()
        return await self.resting(), at


async def death_drill() -> Death:
    """Kill an engine and wait; kill another and stop it by hand."""
    async with _scene() as scene:
        left, killed_at = await scene.killed()
        alone_s = await scene.empty() - killed_at
        await scene.killed()
        begun = wall_seconds()
        async with _process("stop", "--now", *scene.words(), cwd=scene.folder) as stop:
            stop_s = await scene.empty() - begun
            code = await stop.wait()
        return Death(left, alone_s, stop_s, wall_seconds() - begun, code)


@asynccontextmanager
async def _scene() -> AsyncGenerator[_Scene]:
    start = ("--start", str(MID_WINDOW_MS // 1000), "--series", "btc-5m", "--speed", "1")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        journal = f'{CONFIG}\n[journal]\nfolder = "{folder / "journal"}"\n'
        await trio.Path(folder / "config.toml").write_text(journal)
        async with _process("exchange", *start, cwd=folder, told=True) as exchange:
            line = await _first_line(exchange)
            await trio.Path(folder / "venue.json").write_bytes(line)
            host = Host.of_line(orjson.loads(line))
            async with http_client() as http:
                yield _Scene(folder, host, http)


async def _first_line(process: trio.Process) -> bytes:
    seen = b""
    assert process.stdout is not None
    with trio.fail_after(QUOTING_S):
        while b"\n" not in seen:
            seen += await process.stdout.receive_some()
    return seen.partition(b"\n")[0]


@asynccontextmanager
async def _process(*words: str, cwd: Path, told: bool = False) -> AsyncGenerator[trio.Process]:
    """One of polybot's commands; whatever happens, it is gone after the block."""
    options: dict[str, Any] = {"stdout": subprocess.PIPE if told else subprocess.DEVNULL}
    process = await trio.lowlevel.open_process(
        [*PYTHON, *words],
        stderr=subprocess.DEVNULL,
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        **options,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        with trio.move_on_after(GONE_S, shield=True):
            await process.wait()
