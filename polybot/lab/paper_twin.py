"""`python -m polybot lab paper-twin PATH`: a backtest beside paper on the same recorded windows.

Paper is the whole production bot with its sockets, on the virtual clock and the network in memory
of the simulation, before the served exchange; the backtest is the core alone. Both have the same
seed, queue model and constant latency. What they are filled with is compared: a backtest that
trades otherwise than the bot is worth nothing.

Things that fall into one millisecond, on a virtual clock the rule rather than the exception, have
an order here: whoever decides sees all that its moment brought (moments.py), as in the backtest.
What is left is what a backtest does not have: frames, and so an order of messages within a moment,
and hashes that fail until a trade is printed.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from unittest import mock
from urllib.parse import urlsplit

import attrs
import httpx
import trio
from loguru import logger
from trio.testing import MockClock

from polybot.app import Bot
from polybot.clock import NS, Clock
from polybot.composition import build
from polybot.config import Config, load
from polybot.config_read import ConfigError
from polybot.exchange import server
from polybot.exchange.latency_models import Constant, latencies
from polybot.exchange.model import BUY, UP, Event, Order, Traded
from polybot.exchange.queue_models import queue_model
from polybot.exchange.recording import RecordedWorld
from polybot.exchange.recording_model import Recording
from polybot.exchange.server import Exchange, Urls
from polybot.journal.store import Store
from polybot.lab import numbers
from polybot.lab.backtest_input import find
from polybot.lab.backtest_run import Models, Play
from polybot.lab.lockstep import Lockstep, lockstep_only
from polybot.lab.memory_net import OWNER, Network, memory_network
from polybot.lab.moments import decisions_last
from polybot.launch import demo_site
from polybot.options import BotOptions, Overrides
from polybot.price_task import BINANCE, POLYBOLT
from polybot.purse import Purse
from polybot.venue.lean_http import LeanClient
from polybot.venue.relayer import SdkWay
from polybot.venue.secret import Credentials, Secret
from polybot.venue.tap import Nobody, Tap

# The served exchange tells what has happened every twentieth of a second's part, and whenever it is
# asked something, as by requests that a backtest does not know of: here it tells it at once.
AT_ONCE_S = 0.001
SPEED = 100.0  # anything but 1: no part may wait for the wall
SNAPSHOT = b'"snapshot":true'
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


@attrs.define(eq=False)
class _Ear(Nobody):
    """When the bot was subscribed to the oracle's prices: a socket takes its time to be ready."""

    wire_ms: int
    start_ms: int
    _first_ms: dict[str, int] = attrs.field(factory=dict)

    def heard(self, stream: str, body: bytes, at_ns: int) -> None:
        if stream == BINANCE or (stream == POLYBOLT and SNAPSHOT in body):
            self._first_ms.setdefault(stream, at_ns // NS - self.wire_ms - self.start_ms)

    @property
    def joined_ms(self) -> tuple[int, int]:
        """After the start: to the oracle's stream, and to Binance's."""
        return self._first_ms[POLYBOLT], self._first_ms[BINANCE] - 1  # before its first print


def twins(
    recording: Recording, config: Config, models: Models
) -> tuple[list[Filled], list[Filled]]:
    """The fills of the backtest and of paper. The latency must be the same constant everywhere."""
    paper, joined_ms = on_paper(recording, config, models)
    return in_backtest(recording, config, attrs.evolve(models, joined_ms=joined_ms)), paper


def in_backtest(recording: Recording, config: Config, models: Models) -> list[Filled]:
    play = Play(recording, config, models)
    play.run()
    return sorted(
        Filled(
            one.at_ms, one.outcome.value, "BUY" if one.shares > 0 else "SELL", one.price,
            abs(one.shares), one.maker,
        )
        for fills in play.fills.values()
        for one in fills
    )  # fmt: skip


def on_paper(
    recording: Recording, config: Config, models: Models
) -> tuple[list[Filled], tuple[int, int]]:
    """The fills, and how long after the start prices were heard. Runs Trio; call it outside."""
    with (
        mock.patch.object(server, "PUMP_S", AT_ONCE_S),
        decisions_last("quote ", "orders "),
        lockstep_only(),
    ):
        return trio.run(_paper, recording, config, models, clock=MockClock(autojump_threshold=0))


async def _paper(
    recording: Recording, config: Config, models: Models
) -> tuple[list[Filled], tuple[int, int]]:
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
        return await _Twin(recording, config, models, network, wire.ms).run(Path(folder))


@attrs.define(eq=False)
class _Twin:
    recording: Recording
    config: Config
    models: Models
    network: Network
    wire_ms: int
    fills: list[Filled] = attrs.field(factory=list)

    async def run(self, folder: Path) -> tuple[list[Filled], tuple[int, int]]:
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
                self.network.delays[port] = self.wire_ms / 1000
            OWNER.set("bot")
            ear = _Ear(self.wire_ms, world.start_ms)
            store = Store.open(folder / "journal", "a twin")
            try:
                async with LeanClient() as http:
                    bot = _bot(exchange, urls, self.config, store, http, ear)
                    nursery.start_soon(bot.run)
                    await clock.sleep_until(last_ms + 10_000)
                    bot.stop("the twin has seen enough")
                    await clock.sleep_until(last_ms + 60_000)
                    nursery.cancel_scope.cancel()
            finally:
                store.close()
        return sorted(self.fills), ear.joined_ms

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


def _bot(
    exchange: Exchange, urls: Urls, config: Config, store: Store, http: httpx.AsyncClient, ear: Tap
) -> Bot:
    wallet, demo = exchange.wallet, exchange.demo_wallets
    secret, phrase = Secret(wallet.api_secret), Secret(wallet.passphrase)
    bot = build(
        config, BotOptions(Path("config.toml")), exchange.clock, demo_site(urls),
        Secret(wallet.private_key), Credentials(wallet.address, wallet.api_key, secret, phrase),
        Purse.deposit(demo.deposit, demo.relayer_api_key), http, store, world="twin", speed=SPEED,
        tape=ear,
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
    """The command: 0 when every fill is the same, 1 when not, or where a part was not read."""
    parser = argparse.ArgumentParser(
        prog="polybot lab paper-twin", allow_abbrev=False,
        description="A backtest beside paper on the same recorded windows.",
    )  # fmt: skip
    parser.add_argument("path", type=Path)
    parser.add_argument("--config", type=Path, default=Path("config.toml"), metavar="FILE")
    parser.add_argument("--queue", default="pessimistic", metavar="MODEL")
    parser.add_argument("--latency", type=numbers.whole(0), default=25, metavar="MS")
    parser.add_argument("--seed", type=numbers.seed, default=1)
    parser.add_argument("--windows", type=numbers.count, default=1, help="so many of the first (1)")
    said = parser.parse_args(argv)
    logger.disable("polybot")  # what the bot says of itself is not what was asked
    found = find([said.path], said.windows)
    if not found.chunks:
        parser.error("; ".join(found.faults) or "nothing to play")
    try:
        models = Models(queue_model(said.queue), latencies(str(said.latency)), said.seed)
        config = load(said.config, os.environ, Overrides(mode="paper"))
        recording = found.chunks[0].read()
    except (ValueError, OSError, ConfigError) as error:
        parser.error(str(error))
    result = compare(*twins(recording, config, models))
    sys.stdout.write("\n".join(table(result)) + "\n")
    faults = (*found.faults, *recording.warnings)
    sys.stderr.writelines(f"{fault}\n" for fault in faults)
    return 0 if result.agree and not faults else 1
