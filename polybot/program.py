"""The program: the bot; with `exchange`: the exchange alone; with `lab`: the laboratory."""

from __future__ import annotations

import errno
import json
import os
import shutil
import sys
from collections.abc import Callable

import attrs
import trio
from loguru import logger

from polybot import cli, summary
from polybot.clock import Clock
from polybot.config import Config, load
from polybot.config_read import ConfigError
from polybot.console.log import bot_log, set_up_logs
from polybot.console.outlet import put
from polybot.console.report import closing_report
from polybot.exchange.faults.catalogue import table
from polybot.exchange.faults.plan import load as load_plan
from polybot.exchange.mirror_live import LiveWorld
from polybot.exchange.server import Exchange, Urls
from polybot.exchange.terms import Terms
from polybot.exchange.terms_file import read_terms
from polybot.exchange.world import make_world
from polybot.guest import run_guest
from polybot.host import clock_at, host_of
from polybot.journal.store import JournalFailed
from polybot.lab import commands
from polybot.launch import (
    EXIT_CLEAN,
    EXIT_CONFIG,
    EXIT_ORDERS_LIVE,
    EXIT_OTHER,
    EXIT_STORAGE,
    LIVE_WORLD,
    StartRefused,
    refusing,
    run_live,
    run_paper,
)
from polybot.options import BotOptions, ExchangeOptions, LabOptions, check_pace
from polybot.patient_clock import PatientClock
from polybot.restart import StartFailed
from polybot.signals import stop_on_signals

STDERR = 2
LAST_WORDS_S = 2.0  # for whoever reads the log to take its end
NOTHING_SENT = (
    "no order was sent; what an earlier run may have left is withdrawn by `python -m polybot stop "
    "--now`\n"
)


def main(argv: list[str]) -> int:
    options = cli.parse(argv)
    if isinstance(options, ExchangeOptions):
        if options.faults == "list":
            sys.stdout.write(f"{table()}\n")
            return EXIT_CLEAN
        set_up_logs(sys.stderr)
        return run_exchange(options)
    if isinstance(options, LabOptions):
        return commands.run(options.name, options.words)
    return run_bot(options)


def run_bot(options: BotOptions) -> int:
    code = _run_bot(options)
    if not bot_log().drain(LAST_WORDS_S):
        # Its reader stands still, and Python would wait for the writing thread for ever.
        os._exit(code)
    return code


def _run_bot(options: BotOptions) -> int:
    closing = ""
    try:
        config = load(options.config, os.environ, options.overrides)
    except ConfigError as error:
        sys.stderr.write(f"{error}\n")
        return EXIT_CONFIG
    set_up_logs(bot_log(), secrets=() if config.keys is None else config.keys.secrets)
    try:
        report, code = _trade(config, options)
    except StartRefused as error:  # and no ValueError: a fault of our own may be one as well
        sys.stderr.write(f"cannot start: {error}\n")
        return EXIT_CONFIG
    except JournalFailed as error:
        sys.stderr.write(f"cannot start: {error}\n")
        return EXIT_STORAGE
    except StartFailed as error:
        sys.stderr.write(f"cannot start: {error}\n")
        report, code = _failed(config, str(error)), EXIT_OTHER
        closing = NOTHING_SENT
    except Exception as error:  # noqa: BLE001 - the summary is written on failure too
        logger.exception("the run failed")
        report, code = _failed(config, type(error).__name__), EXIT_OTHER
        # A venue of our own has ended with us; of any other nobody knows what rests there.
        if config.bot.mode == "live" or host_of(config.paper.world) is not None:
            code = EXIT_ORDERS_LIVE
    written = _written(report, options.summary)  # first: a terminal may be held for long (Ctrl-S)
    _say(closing or closing_report(report, _width()))
    if not written and code != EXIT_ORDERS_LIVE:
        return EXIT_STORAGE
    return code


def _trade(config: Config, options: BotOptions) -> tuple[summary.Summary, int]:
    """Run live, as a guest of a running exchange, or on one of our own, each on its clock."""
    if config.bot.mode == "live":
        return trio.run(run_live, config, options)
    with refusing():
        host = host_of(config.paper.world)
    if host is not None:
        return trio.run(run_guest, config, options, host, clock=clock_at(host.speed))
    speed = config.paper.speed
    clock = PatientClock(speed) if speed > 1 else clock_at(speed)
    return trio.run(run_paper, config, options, clock=clock)


def _written(report: summary.Summary, place: str | None) -> bool:
    if place is None:
        return True
    try:
        summary.write(report, place)
    except OSError as error:
        _say(f"the summary could not be written: {error}\n{summary.text(report)}\n")
        return False
    except Exception:  # noqa: BLE001 - whatever it was, the exit code must tell how the run ended
        logger.exception("the summary could not be written")
        return False
    return True


def _width() -> int | None:
    """The terminal's, if stderr is one. Asked of the descriptor: the stream may be closed, and
    nothing may be raised here, for the exit code must tell.
    """
    return shutil.get_terminal_size().columns if os.isatty(STDERR) else None


def _say(text: str) -> None:
    """Behind what the log has said, where both are on one stream."""
    log = bot_log()
    if log.stream is sys.stderr:
        log.write(text)
    else:
        put(sys.stderr, text)


def _failed(config: Config, why: str) -> summary.Summary:
    return summary.Summary(
        mode=config.bot.mode,
        world=LIVE_WORLD if config.bot.mode == "live" else config.paper.world,
        seed=config.paper.seed,
        config_hash=config.digest,
        exit_reason=f"error: {why}",
    )


def run_exchange(options: ExchangeOptions) -> int:
    code = EXIT_OTHER
    try:
        code = trio.run(_serve, options, clock=clock_at(options.speed))
    except* ValueError as errors:
        code = EXIT_CONFIG
        _complain(errors)
    except* OSError as errors:  # a port is taken, a recording is not there
        _complain(errors)
    return code


def _complain(errors: BaseExceptionGroup[Exception]) -> None:
    """Say what is wrong in one line, however many nurseries have wrapped it."""
    first: BaseException = errors
    while isinstance(first, BaseExceptionGroup):
        first = first.exceptions[0]
    taken = isinstance(first, OSError) and first.errno == errno.EADDRINUSE
    remedy = "; name another port, or say --port 0 for free ones" if taken else ""
    sys.stderr.write(f"cannot start: {first}{remedy}\n")


async def _serve(options: ExchangeOptions) -> int:
    start_ms = options.start_ms
    if start_ms is None and options.world == "synthetic":
        start_ms = Clock.from_system().now_ms()
    check_pace(options.world, options.speed)
    world = make_world(
        options.world,
        seed=options.seed,
        start_ms=start_ms,
        series=options.series,
        intensity=options.intensity,
    )
    terms = Terms() if options.terms is None else read_terms(options.terms)
    if isinstance(world, LiveWorld):
        await world.prepare()
    exchange = Exchange(
        world,
        Clock.starting_at(world.start_ms),
        options.seed,
        terms=terms,
        faults=load_plan(options.faults),
    )
    async with trio.open_nursery() as nursery:
        with trio.CancelScope() as serving:
            stop: Callable[[str], None] = lambda _: serving.cancel()  # noqa: E731
            await nursery.start(stop_on_signals, stop)
            await _serve_until_cancelled(exchange, options.port, options.speed)
        nursery.cancel_scope.cancel()
    return EXIT_CLEAN


async def _serve_until_cancelled(exchange: Exchange, port: int, speed: float) -> None:
    async with trio.open_nursery() as nursery:
        urls: Urls = await nursery.start(exchange.run, port)
        wallet = attrs.asdict(exchange.wallet) | attrs.asdict(exchange.demo_wallets)
        line = {**attrs.asdict(urls), "speed": speed, "wallet": wallet}
        sys.stdout.write(json.dumps(line) + "\n")
        sys.stdout.flush()
