"""`python -m polybot lab paper-twin PATH`: a backtest beside paper on the same recorded windows.

Paper is the whole production bot with its sockets, on the virtual clock and the network in memory
of the simulation, before the served exchange; the backtest is the core alone. Both have the same
seed, queue model and constant latency. What they are filled with is compared: a backtest that
trades otherwise than the bot is worth nothing.

They cannot be the same to the millisecond everywhere. The served exchange tells what has happened
every twentieth of a second's part (`PUMP_S`), and so its news are up to twenty milliseconds later;
a request carries bytes both ways over one wire; the bot's tasks begin when discovery has found
their market. Where such differences meet a moving price, a quote may be another.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from urllib.parse import urlsplit

import attrs
import httpx
import trio
from loguru import logger
from trio.testing import MockClock

from polybot.app import Bot
from polybot.clock import Clock
from polybot.config import Config, load
from polybot.exchange.model import BUY, UP, Event, Order, Traded
from polybot.exchange.queue_models import queue_model
from polybot.exchange.recording import RecordedWorld
from polybot.exchange.recording_model import Recording
from polybot.exchange.server import PUMP_S, Exchange, Urls
from polybot.journal.store import Store
from polybot.lab.backtest_input import find
from polybot.lab.backtest_run import Models, Play
from polybot.lab.latency_models import Constant, latencies
from polybot.lab.lockstep import Lockstep, lockstep_only
from polybot.lab.memory_net import OWNER, Network, memory_network
from polybot.lab.seeded import seeded_scheduler
from polybot.launch import build, demo_site
from polybot.options import BotOptions
from polybot.purse import Purse
from polybot.venue.relayer import SdkWay
from polybot.venue.secret import Credentials, Secret

SPEED = 100.0  # anything but 1: no part may wait for the wall
NEAR_MS = 1_000  # fills of one order's likeness so near each other are the same fill, told apart


@attrs.frozen(order=True)
class Filled:
    """A fill as both tell it: price 10⁻⁴ in its own token, shares 10⁻⁶."""

    at_ms: int
    outcome: str
    side: str
    price: int
    shares: int
    maker: bool


def in_backtest(recording: Recording, config: Config, models: Models) -> list[Filled]:
    """With news as late as the served exchange tells them."""
    pump_ms = round(PUMP_S * 1000)
    play = Play(recording, config, attrs.evolve(models, told_every_ms=pump_ms))
    play.run()
    return sorted(
        Filled(
            one.at_ms, one.outcome.value, "BUY" if one.shares > 0 else "SELL", one.price,
            abs(one.shares), one.maker,
        )
        for fills in play.fills.values()
        for one in fills
    )  # fmt: skip


def on_paper(recording: Recording, config: Config, models: Models) -> list[Filled]:
    """Every latency must be the same constant. Runs Trio; call it outside."""
    with seeded_scheduler(models.seed), lockstep_only():
        return trio.run(_paper, recording, config, models, clock=MockClock(autojump_threshold=0))


async def _paper(recording: Recording, config: Config, models: Models) -> list[Filled]:
    wire = models.latencies.order
    assert isinstance(wire, Constant), "a wire in memory has one delay"
    series = tuple(dict.fromkeys(tape.series.key for tape in recording.tapes))
    config = attrs.evolve(
        config,
        bot=attrs.evolve(config.bot, series=series),
        paper=attrs.evolve(config.paper, seed=models.seed, speed=SPEED),
        journal=attrs.evolve(config.journal, calibration=""),
    )
    with memory_network() as network, tempfile.TemporaryDirectory() as folder:
        return await _Twin(recording, config, models, network, wire.ms / 1000).run(Path(folder))


@attrs.define(eq=False)
class _Twin:
    recording: Recording
    config: Config
    models: Models
    network: Network
    delay_s: float
    fills: list[Filled] = attrs.field(factory=list)

    async def run(self, folder: Path) -> list[Filled]:
        world = RecordedWorld(self.recording, self.models.queue, seed=self.models.seed)
        clock = Clock.starting_at(world.start_ms)
        exchange = Exchange(world, clock, self.models.seed)
        exchange.engine.listeners.append(lambda event: self._hear(event, exchange.wallet.api_key))
        last_ms = max(tape.end_ms for tape in self.recording.tapes)
        async with trio.open_nursery() as nursery:
            urls: Urls = await nursery.start(exchange.run)
            for name in ("clob", "market_ws", "user_ws", "prices_ws", "binance_ws"):
                port = urlsplit(getattr(urls, name)).port
                assert port is not None, "every service has a port of its own"
                self.network.delays[port] = self.delay_s
            OWNER.set("bot")
            store = Store.open(folder / "journal", "a twin")
            try:
                async with _client() as http:
                    bot = _bot(exchange, urls, self.config, store, http)
                    nursery.start_soon(bot.run)
                    await clock.sleep_until(last_ms + 10_000)
                    bot.stop("the twin has seen enough")
                    await clock.sleep_until(last_ms + 60_000)
                    nursery.cancel_scope.cancel()
            finally:
                store.close()
        return sorted(self.fills)

    def _hear(self, event: Event, key: str) -> None:
        if not isinstance(event, Traded):
            return
        trade = event.trade
        parts = [(fill.order, fill.price, fill.shares, True) for fill in trade.makers]
        if trade.taker.owner == key:
            parts.append((trade.taker, trade.price, trade.shares, False))
        self.fills += [
            Filled(event.at_ms, _outcome(order), "BUY" if order.side == BUY else "SELL", price,
                   shares, maker)
            for order, price, shares, maker in parts
            if order.owner == key
        ]  # fmt: skip


def _outcome(order: Order) -> str:
    return "Up" if order.market.outcome_of(order.token) == UP else "Down"


def _client() -> httpx.AsyncClient:
    """As the bot's own, but no connection expires by the wall's clock."""
    limits = httpx.Limits(max_connections=40, max_keepalive_connections=40)
    limits.keepalive_expiry = None
    return httpx.AsyncClient(limits=limits, timeout=None, trust_env=False)  # noqa: S113 - virtual


def _bot(
    exchange: Exchange, urls: Urls, config: Config, store: Store, http: httpx.AsyncClient
) -> Bot:
    wallet, demo = exchange.wallet, exchange.demo_wallets
    secret, phrase = Secret(wallet.api_secret), Secret(wallet.passphrase)
    bot = build(
        config, BotOptions(Path("config.toml")), exchange.clock, demo_site(urls),
        Secret(wallet.private_key), Credentials(wallet.address, wallet.api_key, secret, phrase),
        Purse.deposit(demo.deposit, demo.relayer_api_key), http, store, world="twin", speed=SPEED,
    )  # fmt: skip
    way = bot.inventory.way
    assert isinstance(way, SdkWay)
    way.run_sync = Lockstep(http).run_sync
    return bot


# --- the comparison --------------------------------------------------------------------------


@attrs.frozen
class Comparison:
    """Fills that are the same in all, those that are but for their time, and those of one alone."""

    same: int
    near: int
    backtest_only: tuple[Filled, ...]
    paper_only: tuple[Filled, ...]

    @property
    def agree(self) -> bool:
        return not (self.near or self.backtest_only or self.paper_only)


def compare(backtest: Sequence[Filled], paper: Sequence[Filled]) -> Comparison:
    """Pair the fills of both, each once."""
    common = Counter(backtest) & Counter(paper)
    left = sorted((Counter(backtest) - common).elements())
    right = sorted((Counter(paper) - common).elements())
    near = 0
    for one in list(left):
        twin = next((other for other in right if _alike(one, other)), None)
        if twin is not None:
            left.remove(one)
            right.remove(twin)
            near += 1
    return Comparison(common.total(), near, tuple(left), tuple(right))


def _alike(one: Filled, other: Filled) -> bool:
    moved = abs(one.at_ms - other.at_ms)
    return moved <= NEAR_MS and attrs.evolve(one, at_ms=other.at_ms) == other


def table(found: Comparison) -> Iterator[str]:
    yield f"{found.same} fills the same, {found.near} the same but for up to {NEAR_MS} ms"
    for name, fills in (("backtest", found.backtest_only), ("paper", found.paper_only)):
        for one in fills:
            yield (
                f"{name} alone: {one.at_ms} {one.side} {one.outcome} {one.shares / 1e6:g} "
                f"at {one.price / 1e4:g}{'' if one.maker else ', taken'}"
            )


def main(argv: Sequence[str]) -> int:
    """The command: 0 when every fill is the same, 1 when not."""
    parser = argparse.ArgumentParser(
        prog="polybot lab paper-twin", allow_abbrev=False,
        description="A backtest beside paper on the same recorded windows.",
    )  # fmt: skip
    parser.add_argument("path", type=Path)
    parser.add_argument("--config", type=Path, default=Path("config.toml"), metavar="FILE")
    parser.add_argument("--queue", default="pessimistic", metavar="MODEL")
    parser.add_argument("--latency", type=int, default=25, metavar="MS")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--windows", type=int, default=1, help="so many of the first (1)")
    said = parser.parse_args(argv)
    logger.disable("polybot")  # what the bot says of itself is not what was asked
    found = find([said.path], said.windows)
    if not found.chunks:
        parser.error("; ".join(found.faults) or "nothing to play")
    models = Models(queue_model(said.queue), latencies(str(said.latency)), said.seed)
    recording, config = found.chunks[0].read(), load(said.config, os.environ)
    result = compare(in_backtest(recording, config, models), on_paper(recording, config, models))
    sys.stdout.write("\n".join(table(result)) + "\n")
    return 0 if result.agree else 1
