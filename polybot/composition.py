"""From a configuration to a bot: the composition root. It knows the venue by its site alone."""

from __future__ import annotations

import random
from functools import partial
from pathlib import Path

import httpx
from loguru import logger

from polybot.account import Account
from polybot.answer_watch import AnswerWatch
from polybot.app import Bot
from polybot.channels import Published
from polybot.clock import Clock
from polybot.config import Config
from polybot.context import Context
from polybot.core_tape import CoreTape
from polybot.domain.market import Market
from polybot.execution.firewall import Admission
from polybot.execution.inventory import DAY_MS
from polybot.execution.throttle import Budget
from polybot.health import Health
from polybot.heartbeat import Heartbeat
from polybot.inventory import Inventory
from polybot.journal.disk import disk_at
from polybot.journal.entries import Entered, Halted
from polybot.journal.recovery import Recovered, recover
from polybot.journal.store import HOUR_MS, Store
from polybot.journal.writer import Journal
from polybot.loss_watch import LossWatch
from polybot.marks import Marks
from polybot.options import BotOptions
from polybot.payments import Payments
from polybot.pricing.board import PriceBoard
from polybot.pricing.season import Season
from polybot.purse import NO_KEY, Purse
from polybot.reconciler import Reconciler
from polybot.records import Records
from polybot.risk.breakers import ErrorRate
from polybot.risk.timetable import Moved
from polybot.risk.undone import UNDONE, Undone
from polybot.season_file import read as read_seasons
from polybot.signal.board import SignalMemory
from polybot.venue.clob import ClobClient
from polybot.venue.rest import Rest
from polybot.venue.secret import Credentials, Secret
from polybot.venue.signing import Wallet
from polybot.venue.site import Site
from polybot.venue.tap import NOBODY, Tap


def build(
    config: Config,
    options: BotOptions,
    clock: Clock,
    site: Site,
    private_key: Secret,
    credentials: Credentials,
    purse: Purse,
    http: httpx.AsyncClient,
    store: Store,
    *,
    world: str,
    speed: float,
    certify: bool = False,
    tape: Tap = NOBODY,
) -> Bot:
    """Put a bot together for one venue and wallet, with what its journal knows. Nothing is sent
    before it runs. Raises JournalFailed for a journal that cannot be read.
    """
    health, journal = Health(Admission()), Journal(store, clock, disk=disk_at(speed))
    core, seasons = CoreTape(tape, clock), _seasons(config)
    recovered = _recall(store, config, core, seasons)
    took = AnswerWatch(health, config.risk.slow_answer_s, speed).took
    client = ClobClient(
        http, site, credentials, clock, funder=purse.funder, signature_type=purse.signature_type,
        timeout_s=config.orders.post_timeout_s, tap=tape, took=took,
    )  # fmt: skip
    undone = _undone(store, config, clock.now_ms())
    account = _account(client, health, journal, core, recovered, undone)
    records = Records(states=recovered.states, on_move=partial(_note_move, journal))
    grace_ms = config.orders.unknown_grace_s * 1000
    data = Rest(http, site.data, clock, tap=tape, name="rest data")
    payments = _payments(data, account, client.me.wallet, recovered)
    board = PriceBoard(config.pricing, seasons)
    marks = Marks(board, account, clock)
    heartbeat = Heartbeat(client, health, account.doubt, account.refused)
    _keep_halts(health, journal, recovered)
    ctx = Context(
        config=config,
        clock=clock,
        site=site,
        wallet=Wallet(private_key),
        credentials=credentials,
        client=client,
        gamma=Rest(http, site.gamma, clock, tap=tape, name="rest gamma"),
        account=account,
        heartbeat=heartbeat,
        reconciler=Reconciler(
            client, clock, health, account, heartbeat, records, payments, grace_ms
        ),
        recovered=recovered,
        admission=health.admission,
        health=health,
        board=board,
        marks=marks,
        losses=LossWatch.of(account, marks, config.risk, recovered.baseline),
        budget=Budget.from_params(config.orders),
        errors=ErrorRate(config.risk),
        signals=SignalMemory(config.signals, recovered.earned),
        rng=_randomness(config),
        records=records,
        published=Published(None),
        core=core,
        tape=tape,
        funder=purse.funder,
        signature_type=purse.signature_type,
    )
    payments.tell = ctx.tell
    inventory = _inventory(ctx, purse, private_key, speed)
    return Bot(ctx, config.bot.series, options.run_ms, inventory, speed, world, certify)


def _payments(data: Rest, account: Account, wallet: str, recovered: Recovered) -> Payments:
    return Payments(
        data, account, wallet, recovered.payments,
        unexplained=recovered.unexplained, found_s=recovered.found_s, read_s=recovered.summed_s,
    )  # fmt: skip


def _recall(store: Store, config: Config, core: CoreTape, seasons: dict[str, Season]) -> Recovered:
    """What the journal knows, of which a replay must be told as well. Raises JournalFailed."""
    store.keep_orders_ms = int(config.journal.keep_orders_h * HOUR_MS)
    entries = list(store.live())
    core.began(config, seasons, entries)
    recovered = recover(entries)
    recovered.submissions_ms = store.submitted(core.clock.now_ms() - DAY_MS)
    return recovered


def _undone(store: Store, config: Config, now_ms: int) -> Undone:
    """The brake for trades that fail, as earlier runs have left it."""
    undone = Undone(config.risk)
    undone.recall(store.trades(now_ms - undone.kept_ms) if undone.kept_ms else ())
    return undone


def _account(
    client: ClobClient,
    health: Health,
    journal: Journal,
    core: CoreTape,
    recovered: Recovered,
    undone: Undone,
) -> Account:
    """The wallet as its journal has left it."""
    clock, now_ms = core.clock, core.clock.now_ms()
    if not undone.over(now_ms):
        health.bad(UNDONE, f"{undone.why}, before this start")
    left_ms = recovered.latest_ms or now_ms
    return Account(client, clock, health, journal, core, recovered.ledger, undone, now_ms, left_ms)


def _note_move(journal: Journal, market: Market, moved: Moved) -> None:
    """A transition of a market: told, and on record for the next run and for a replay."""
    before, after = moved.before, moved.after
    logger.info("{}: {} → {}, {}", market.slug, before.value, after.value, moved.cause.value)
    journal.note(Entered(market.condition_id, after, before, moved.cause))


def _randomness(config: Config) -> random.Random:
    paper = config.bot.mode == "paper"
    return random.Random(config.paper.seed) if paper else random.SystemRandom()


def _inventory(ctx: Context, purse: Purse, private_key: Secret, speed: float) -> Inventory:
    chain = purse.chain(ctx.gamma.http, ctx.site, ctx.clock, ctx.credentials.address, ctx.tape)
    way = purse.way(chain, ctx.site, private_key, ctx.credentials, speed=speed)
    return Inventory(ctx, ctx.config.inventory, chain, way, NO_KEY if way is None else "")


def _seasons(config: Config) -> dict[str, Season]:
    named = config.pricing.vol_seasons
    return read_seasons(Path(named)) if named else {}


def _keep_halts(health: Health, journal: Journal, recovered: Recovered) -> None:
    """Halts of earlier runs stand, and new ones will stand after us."""
    for name, why in recovered.halts.items():
        health.keep_halt(name, f"{why} (of an earlier run; see `python -m polybot rearm --help`)")
    health.on_halt.append(lambda name, why: journal.note(Halted(name, why)))
