"""The memory drill: many intervals on a fast clock, and what the bot's process has grown by.

The exchange runs in a process of its own, so that the figure is the bot's alone. The process is
measured by what it really occupies, after a collection; tracing allocations would slow the bot
down into time-outs that no operator ever sees.
"""

from __future__ import annotations

import gc
import os
import subprocess
import sys
from collections.abc import AsyncGenerator
from contextlib import ExitStack, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import attrs
import httpx
import orjson
import trio

from polybot.app import Bot
from polybot.clock import Clock
from polybot.composition import build
from polybot.host import Host, ask_exchange, clock_of
from polybot.journal.store import Store
from polybot.lab.stage import SERIES, lab_config, scratch_journal, until
from polybot.launch import PAPER_START_MS
from polybot.options import BotOptions
from polybot.purse import Purse
from polybot.venue.rest import http_client

INTENSITY = 0.1
READY_S = 2_000.0  # venue time; a process takes a second to start
INTERVAL_PATIENCE_S = 900.0
LOOK_EVERY_S = 10.0


@attrs.frozen
class Memory:
    """Sizes in bytes, of the bot's process and of the exchange's."""

    warm_up: int  # intervals settled before the first measurement
    intervals: int  # settled between the two
    before: int
    after: int
    exchange_before: int
    exchange_after: int
    halts: int
    fills: int
    live_orders: int
    equity_bot: int | None
    equity_exchange: int

    @property
    def growth(self) -> int:
        return self.after - self.before


async def memory_drill(*, warm_up: int, intervals: int, speed: float, seed: int) -> Memory:
    """Trade until so many intervals have settled; call under a clock that runs at `speed`."""
    journal = ExitStack()
    async with _exchange(speed, seed) as (process, line), http_client() as http:
        host = Host.of_line(line)
        clock = await clock_of(http, host)
        store = journal.enter_context(scratch_journal())
        bot = _bot(http, store, clock, host, speed, seed)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(bot.run)
            await _settled(bot, warm_up)
            before, exchange_before = resident(os.getpid()), resident(process.pid)
            await _settled(bot, warm_up + intervals)
            after, exchange_after = resident(os.getpid()), resident(process.pid)
            bot.stop("drill")
        state = await ask_exchange(http, host.admin, host.deposit)
        journal.close()
        assert state is not None, "the exchange answers to the end"
        return Memory(
            warm_up=warm_up,
            intervals=intervals,
            before=before,
            after=after,
            exchange_before=exchange_before,
            exchange_after=exchange_after,
            halts=sum(bot.summary().halts.values()),
            fills=bot.summary().totals.fills,
            live_orders=state["live_orders"],
            equity_bot=bot.summary().equity_bot,
            equity_exchange=state["equity"],
        )


def resident(pid: int) -> int:
    """Bytes of real memory a process occupies; our own after a collection."""
    if pid == os.getpid():
        gc.collect()
    pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


@asynccontextmanager
async def _exchange(speed: float, seed: int) -> AsyncGenerator[tuple[trio.Process, dict[str, Any]]]:
    """The exchange alone in a process, and the line it says where it is with."""
    world = ["--series", SERIES, "--seed", str(seed), "--intensity", str(INTENSITY)]
    time = ["--speed", str(speed), "--start", str(PAPER_START_MS // 1000)]
    command = [sys.executable, "-m", "polybot", "exchange", *world, *time]
    process = await trio.lowlevel.open_process(command, stdout=subprocess.PIPE)
    try:
        said = b""
        with trio.fail_after(READY_S):
            while not said.endswith(b"\n"):
                assert process.stdout is not None
                said += await process.stdout.receive_some()
        yield process, orjson.loads(said)
    finally:
        process.terminate()
        with trio.CancelScope(shield=True):
            await process.wait()


def _bot(
    http: httpx.AsyncClient, store: Store, clock: Clock, host: Host, speed: float, seed: int
) -> Bot:
    return build(
        lab_config(seed, speed),
        BotOptions(Path("config.toml")),
        clock,
        host.site,
        host.private_key,
        host.credentials,
        Purse.deposit(host.deposit, host.relayer_key.reveal()),
        http,
        store,
        world="synthetic",
        speed=speed,
    )


async def _settled(bot: Bot, intervals: int) -> None:
    """Wait until so many intervals have settled. Raises TooSlowError when one takes too long."""
    while bot.snapshot().intervals_settled < intervals:
        await until(
            partial(_more, bot, bot.snapshot().intervals_settled),
            every_s=LOOK_EVERY_S,
            within_s=INTERVAL_PATIENCE_S,
        )


def _more(bot: Bot, than: int) -> bool:
    return bot.snapshot().intervals_settled > than
