"""The run's tape: where it lies, and what its header says of the run."""

from __future__ import annotations

import platform
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from importlib import metadata
from pathlib import Path

import trio
from loguru import logger

from polybot.clock import Clock, system_ms
from polybot.config import Config
from polybot.journal.disk import disk_at
from polybot.journal.recorder import Recorder
from polybot.journal.tape import Header
from polybot.venue.tap import NOBODY, Nobody
from polybot.version import version

PACKAGES = ("trio", "attrs", "orjson", "zstandard")


def tape_of(config: Config, clock: Clock, *, wallet: str, speed: float) -> Recorder | Nobody:
    """The tape of a run of this configuration, to be kept by `taping`. Whatever becomes of it, the
    bot trades on: the journal is what it cannot do without.
    """
    if not config.tape.folder:
        return NOBODY
    header = Header(
        run=f"{system_ms()}-{config.bot.mode}",
        part=0,
        started_ms=clock.now_ms(),
        config_hash=config.digest,
        versions={"polybot": version(), "python": platform.python_version()}
        | {name: metadata.version(name) for name in PACKAGES},
        facts={
            "mode": config.bot.mode,
            "series": ",".join(config.bot.series),
            "wallet": wallet,
            "world": config.paper.world if config.bot.mode == "paper" else "Polymarket",
            "seed": str(config.paper.seed) if config.bot.mode == "paper" else "",
            "speed": f"{speed:g}",
        },
    )
    folder = Path(config.journal.folder) / config.tape.folder
    return Recorder(clock, config.tape, folder, header, _failed, disk_at(speed))


@asynccontextmanager
async def taping(tape: Recorder | Nobody) -> AsyncGenerator[None]:
    """Keep the tape for as long as the body runs, and to its last event."""
    if isinstance(tape, Nobody):
        yield
        return
    async with trio.open_nursery() as nursery:
        nursery.start_soon(tape.run, name="tape")
        try:
            yield
        finally:
            nursery.cancel_scope.cancel()


def _failed(why: str) -> None:
    logger.error("the tape has ended: {}; trading goes on", why)
