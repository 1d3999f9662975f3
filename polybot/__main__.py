"""`python -m polybot`: the bot; `python -m polybot exchange`: the exchange alone."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable

import attrs
import trio
from loguru import logger
from trio.testing import MockClock

from polybot import cli, summary
from polybot.clock import Clock
from polybot.config import Config, load
from polybot.config_read import ConfigError
from polybot.console.log import set_up_logs
from polybot.exchange.server import Exchange, Urls
from polybot.exchange.world import make_world
from polybot.launch import EXIT_CLEAN, EXIT_CONFIG, EXIT_OTHER, run_live, run_paper
from polybot.options import BotOptions, ExchangeOptions
from polybot.signals import stop_on_signals


def main(argv: list[str]) -> int:
    options = cli.parse(argv)
    set_up_logs(sys.stderr)
    if isinstance(options, ExchangeOptions):
        return run_exchange(options)
    return run_bot(options)


def clock_at(speed: float) -> MockClock | None:
    """Trio's clock at `speed`; sockets stay real. At 1 the ordinary clock."""
    return None if speed == 1 else MockClock(rate=speed)


def run_bot(options: BotOptions) -> int:
    try:
        config = load(options.config, os.environ, options.overrides)
    except ConfigError as error:
        sys.stderr.write(f"{error}\n")
        return EXIT_CONFIG
    try:
        run, speed = (
            (run_live, 1.0) if config.bot.mode == "live" else (run_paper, config.paper.speed)
        )
        report, code = trio.run(run, config, options, clock=clock_at(speed))
    except ValueError as error:
        sys.stderr.write(f"cannot start: {error}\n")
        return EXIT_CONFIG
    except Exception as error:  # noqa: BLE001 - the summary is written on failure too
        logger.exception("the run failed")
        report, code = _failed(config, error), EXIT_OTHER
    if options.summary is not None:
        summary.write(report, options.summary)
    return code


def _failed(config: Config, error: Exception) -> summary.Summary:
    return summary.Summary(
        mode=config.bot.mode,
        world=config.paper.world,
        seed=config.paper.seed,
        config_hash=config.digest,
        exit_reason=f"error: {type(error).__name__}",
    )


def run_exchange(options: ExchangeOptions) -> int:
    try:
        return trio.run(_serve, options, clock=clock_at(options.speed))
    except ValueError as error:
        sys.stderr.write(f"cannot start: {error}\n")
        return EXIT_CONFIG


async def _serve(options: ExchangeOptions) -> int:
    start_ms = options.start_ms
    if start_ms is None and options.world == "synthetic":
        start_ms = Clock.from_system().now_ms()
    world = make_world(
        options.world,
        seed=options.seed,
        start_ms=start_ms,
        series=options.series,
        intensity=options.intensity,
    )
    async with trio.open_nursery() as nursery:
        stop: Callable[[str], None] = lambda _: nursery.cancel_scope.cancel()  # noqa: E731
        await nursery.start(stop_on_signals, stop)
        exchange = Exchange(world, Clock.starting_at(world.start_ms), options.seed)
        urls: Urls = await nursery.start(exchange.run, options.port)
        line = {**attrs.asdict(urls), "wallet": attrs.asdict(exchange.wallet)}
        sys.stdout.write(json.dumps(line) + "\n")
        sys.stdout.flush()
    return EXIT_CLEAN


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
