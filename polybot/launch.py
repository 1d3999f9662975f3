"""A bot on Polymarket or on the embedded exchange, from its start to its exit code: the only place
that knows both sides.

Paper is live with other URLs: the embedded exchange is served on loopback and the bot is given its
site and its demo wallet. After the bot has ended, the exchange is asked what it thinks of it.
"""

from __future__ import annotations

import os
import resource
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import attrs
import httpx
import trio
from loguru import logger

from polybot.app import Bot
from polybot.channels import Published
from polybot.clock import Clock, system_ms
from polybot.composition import build
from polybot.config import Config
from polybot.console.log import bot_log, set_up_logs
from polybot.console.show import show
from polybot.console.snapshot import Snapshot
from polybot.context import Context
from polybot.domain.market import Outcome
from polybot.domain.orders import Failure, OrderRow
from polybot.exchange.faults.plan import load as load_plan
from polybot.exchange.latency_models import latencies
from polybot.exchange.mirror_live import LiveWorld
from polybot.exchange.queue_models import queue_model
from polybot.exchange.recording import RecordedWorld
from polybot.exchange.recording_files import Warnings
from polybot.exchange.server import Exchange, Urls
from polybot.exchange.terms import Terms
from polybot.exchange.terms_file import read_terms
from polybot.exchange.world import World, make_world
from polybot.health import leaves
from polybot.host import ask_exchange
from polybot.journal.repair import kept_journal
from polybot.journal.store import JournalFailed, JournalInUse, Store, live_journal_place
from polybot.operator.patient import Patient
from polybot.operator.preflight import Patience, preflight, punctual
from polybot.options import BotOptions, check_pace
from polybot.purse import Purse
from polybot.restart import StartFailed
from polybot.secrets_file import LiveKeys
from polybot.signals import stop_on_signals
from polybot.summary import Summary
from polybot.taping import tape_of, taping
from polybot.venue.clob import ClobClient
from polybot.venue.keys import derive_credentials
from polybot.venue.rest import http_client
from polybot.venue.secret import Credentials, Secret
from polybot.venue.signing import Wallet
from polybot.venue.site import POLYMARKET, Site
from polybot.watchdog import Watchdog, notifying

# A Friday afternoon in New York, ninety seconds before the hour: a fixed start makes a seed one
# world.
PAPER_START_MS = 1_795_201_110_000
PAPER_RUNS_MOST = 100
LIVE_WORLD = "Polymarket"

LEFT_PAUSES_S = (0.5, 1.0, 2.0, 0.0)  # after each reading of what is left at the end
EXIT_CLEAN, EXIT_OTHER, EXIT_CONFIG, EXIT_ORDERS_LIVE, EXIT_STORAGE = range(5)


def paper_journal(folder: Path) -> Store:
    """A new journal: a paper run's venue begins anew with it. Several may go on at once."""
    for number in range(1, PAPER_RUNS_MOST):
        with suppress(JournalInUse):
            return Store.open(folder / f"paper-{number}.sqlite3", "paper", fresh=True)
    raise JournalFailed(f"{folder}: {PAPER_RUNS_MOST} paper runs are under way; stop some")


def live_journal(folder: Path, wallet: str, funder: str) -> Store:
    """The wallet's own journal, opened or begun. Raises JournalFailed with the remedy, also where
    it is of another address's money.
    """
    store = open_journal(*live_journal_place(folder, wallet))
    try:
        store.keep_funder(funder)
    except JournalFailed:
        store.close()
        raise
    return store


def open_journal(path: Path, owner: str) -> Store:
    """A journal that is kept; a damaged one is put aside, told, and its wallet halted."""
    kept = kept_journal(path, owner, system_ms())
    if kept.aside is not None:
        logger.error("the journal was damaged and is now {}: trading is halted", kept.aside)
    return kept.store


async def run_paper(config: Config, options: BotOptions) -> tuple[Summary, int]:
    """Serve an exchange, trade on it, and let it have the last word. Call inside `trio.run`.
    Raises StartRefused where the configuration names a venue that cannot be made.
    """
    with refusing():
        world = paper_world(config)
        if isinstance(world, LiveWorld):
            await world.prepare()
        terms = Terms() if config.paper.terms is None else read_terms(Path(config.paper.terms))
    clock = Clock.starting_at(world.start_ms)
    series = tuple(series.key for series in world.series)
    config = attrs.evolve(config, bot=attrs.evolve(config.bot, series=series))
    if options.run_ms is None and world.end_ms is not None:
        options = attrs.evolve(options, run_ms=world.end_ms - world.start_ms)
    store = paper_journal(Path(config.journal.folder))
    async with trio.open_nursery() as nursery, http_client() as http:
        exchange = Exchange(
            world, clock, config.paper.seed, terms=terms, faults=load_plan(config.paper.faults),
            latencies=latencies(config.paper.latency),
        )  # fmt: skip
        urls: Urls = await nursery.start(exchange.run)
        wallet, demo = exchange.wallet, exchange.demo_wallets
        credentials = Credentials(
            wallet.address, wallet.api_key, Secret(wallet.api_secret), Secret(wallet.passphrase)
        )
        speed = config.paper.speed
        ours = clock.copy()  # nobody's but the bot's, as live: the venue keeps its own
        tape = tape_of(config, ours, wallet=wallet.address, speed=speed)
        bot = build(
            config, options, ours, demo_site(urls), Secret(wallet.private_key), credentials,
            Purse.deposit(demo.deposit, demo.relayer_api_key), http, store,
            world=world.name, speed=speed, tape=tape,
        )  # fmt: skip
        async with taping(tape):
            code = await run_watched(bot)
        verdict = await ask_exchange(http, urls.admin, demo.deposit)
        summary = judged(summary_of(bot), verdict)
        nursery.cancel_scope.cancel()
    store.close()
    wrong = world.warnings if isinstance(world, RecordedWorld) else Warnings()
    if wrong:
        summary = attrs.evolve(summary, world=world.name, notes=(*summary.notes, *wrong))
    if summary.live_orders_at_exit:
        code = EXIT_ORDERS_LIVE
    elif wrong.cut and code == EXIT_CLEAN:
        code = EXIT_OTHER  # clean, but not of the whole recording
    return summary, code


async def run_live(config: Config, options: BotOptions) -> tuple[Summary, int]:
    """Trade on Polymarket. Call inside `trio.run`. Raises StartFailed where another start may do,
    StartRefused where not.
    """
    assert config.keys is not None, "a live configuration has keys"
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a core file would hold them
    async with notifying(Watchdog.of(os.environ, os.getpid())):
        return await _run_live(config, config.keys, options)


async def _run_live(config: Config, keys: LiveKeys, options: BotOptions) -> tuple[Summary, int]:
    async with http_client() as http:
        clock = await punctual(http, POLYMARKET)
        if isinstance(clock, Failure):
            raise StartFailed(clock.what)
        credentials = await live_credentials(keys)
        secrets = (*keys.secrets, credentials.secret, credentials.passphrase)
        set_up_logs(bot_log(), secrets=secrets)
        folder = Path(config.journal.folder)
        # Each of its pages is looked at: the loop turns meanwhile, and the watchdog hears that.
        funder = config.live.funder or credentials.address
        store = await trio.to_thread.run_sync(live_journal, folder, credentials.address, funder)
        tape = tape_of(config, clock, wallet=credentials.address, speed=1.0)
        bot = build(
            config, options, clock, keys.site(POLYMARKET), keys.private_key, credentials,
            Purse.of_config(config), http, store,
            world=LIVE_WORLD, speed=1.0, certify=config.live.certify, tape=tape,
        )  # fmt: skip
        forbidden = await preflight(patient_of(bot.ctx, http))
        if forbidden is not None:
            store.close()
            said = "\n".join(("the preflight found:", *forbidden.why))
            raise StartFailed(said) if forbidden.passing else StartRefused(said)
        async with taping(tape):
            code = await run_watched(bot)
        rows = await _left(bot.ctx.client)
    store.close()
    live = None if isinstance(rows, Failure) else len(rows)
    if live != 0:
        code = EXIT_ORDERS_LIVE
    return attrs.evolve(summary_of(bot), live_orders_at_exit=live), code


async def _left(client: ClobClient) -> list[OrderRow] | Failure:
    """What rests after the end, by the venue. One reading that fails is no reason to wake somebody:
    the bot has proven the wallet empty, or said that it could not.
    """
    for pause_s in LEFT_PAUSES_S:
        rows = await client.open_orders()
        if not isinstance(rows, Failure):
            break
        await trio.sleep(pause_s)
    return rows


class StartRefused(Exception):
    """Only an operator can mend what forbids the start; the text is what was found, with
    remedies.
    """


@contextmanager
def refusing() -> Iterator[None]:
    """A ValueError in here speaks of the configuration, and refuses the start. Of no other it can
    be known whether it is a fault of our own.
    """
    try:
        yield
    except ValueError as error:
        raise StartRefused(str(error)) from error


def patient_of(ctx: Context, http: httpx.AsyncClient) -> Patient:
    """The wallet and venue of a bot, for the preflight: its journal is open already."""
    holds = any(
        books.shares(outcome) for books in ctx.account.ledger.books.values() for outcome in Outcome
    )
    return Patient(
        config=ctx.config, site=ctx.site, wallet=ctx.wallet, client=ctx.client, http=http,
        rng=ctx.rng, journal=None, owner="", holds=holds,
    )  # fmt: skip


async def live_credentials(keys: LiveKeys) -> Credentials:
    """The API credentials given, or those the venue derives from the key, however long the way to
    it is gone. Raises StartFailed.
    """
    if keys.api is not None:
        address = Wallet(keys.private_key).address
        return Credentials(address, keys.api.key, keys.api.secret, keys.api.passphrase)
    patience = Patience()
    while isinstance(made := await derive_credentials(POLYMARKET, keys.private_key), Failure):
        if made.refused or not await patience.lasts(made.what):
            raise StartFailed(made.what)
    return made


async def run_watched(
    bot: Bot, *, screen: bool = True, leave: Callable[[int], None] = os._exit
) -> int:
    """Run a bot with signals and, where wanted, the screen around it; returns the exit code.
    `leave` is what a second signal comes to.

    Whatever fails, the bot's own figures and its proof that nothing rests outlive it.
    """
    published: Any = bot.ctx.published
    published.set(bot.snapshot())
    code = EXIT_CLEAN
    try:
        async with trio.open_nursery() as nursery:
            await nursery.start(
                partial(stop_on_signals, bot.stop, withdrawn=bot.until_withdrawn, leave=leave)
            )
            if screen:
                nursery.start_soon(_show, published, bot.speed)
            await bot.run()
            nursery.cancel_scope.cancel()
    except* StartFailed as group:
        for failed in leaves(group):
            logger.error("cannot start: {}", failed)
        code = EXIT_OTHER
    except* Exception as group:  # noqa: BLE001 - whatever it was, exit code and summary must tell
        logger.opt(exception=group).error("stopped by a fault of our own")
        code = EXIT_OTHER
        await bot.flight.write(f"stopped by a fault of our own: {bot.exit_reason}")
    journal = bot.ctx.account.journal
    if journal.failed is not None:
        code = EXIT_STORAGE
    for halt in journal.unkept:
        logger.error(
            "trading is halted ({}: {}) and no file could be written that says so: look at it "
            "before you start again", halt.name, halt.why,
        )  # fmt: skip
    return code if bot.empty else EXIT_ORDERS_LIVE


async def _show(published: Published[Snapshot], speed: float) -> None:
    """Nobody's orders hang on it: a fault of its own ends the screen, and nothing else."""
    try:
        await show(published, stream=sys.stderr, clock_speed=speed)
    except Exception:  # noqa: BLE001 - see above
        logger.exception("the screen has ended by a fault of our own; trading goes on")


def paper_world(config: Config) -> World:
    """The world a paper configuration names. Raises ValueError with the remedy."""
    paper = config.paper
    check_pace(paper.world, paper.speed)
    return make_world(
        paper.world,
        seed=paper.seed,
        start_ms=PAPER_START_MS if paper.world == "synthetic" else None,
        series=config.bot.series,
        intensity=paper.intensity,
        queue=queue_model(paper.queue),
    )


def demo_site(urls: Urls) -> Site:
    """An embedded exchange as a site."""
    served = attrs.asdict(urls)
    return Site(**{field.name: served.get(field.name, "") for field in attrs.fields(Site)})


def summary_of(bot: Bot) -> Summary:
    """A run's summary. What has broken the bot may break it as well: then the little that is sure,
    for with an exception the exit code would be gone, which tells whether orders may be live.
    """
    try:
        return bot.summary()
    except Exception as error:  # noqa: BLE001 - whatever it is, the exit code must tell
        logger.opt(exception=error).error("no summary, by a fault of our own")
        config = bot.ctx.config
        return Summary(
            mode=config.bot.mode,
            world=bot.world,
            seed=config.paper.seed,
            config_hash=config.digest,
            exit_reason=f"{bot.exit_reason}; the summary broke",
        )


def judged(summary: Summary, verdict: dict[str, Any] | None) -> Summary:
    if verdict is None:
        return summary
    return attrs.evolve(
        summary,
        live_orders_at_exit=verdict["live_orders"],
        invalid_orders=verdict["invalid_orders"],
        equity_exchange=verdict["equity"],
        notes=notes(summary),
    )


def notes(summary: Summary) -> tuple[str, ...]:
    """What a reader of the figures must know."""
    if summary.latency_factor == 1:
        return ()
    return (f"own latency counted {summary.latency_factor:g}-fold: not for judging profit",)
