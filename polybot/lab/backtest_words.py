"""The words that backtest and sweep have in common, read in one place."""

from __future__ import annotations

import argparse
from pathlib import Path

from polybot.exchange.latency_models import latencies
from polybot.exchange.queue_models import queue_model
from polybot.lab import reliability
from polybot.lab.backtest_input import CHUNK
from polybot.lab.places import file_place
from polybot.lab.shares import PROCESSES

LATENCY = "25"


def common(
    name: str, description: str, *, queue: str, queues: str, picture: str
) -> argparse.ArgumentParser:
    """A parser that knows what to play, how, and on how many processors. `queue` is the default
    model, `queues` how one is written, `picture` what is drawn.
    """
    parser = argparse.ArgumentParser(
        prog=f"polybot {name}", allow_abbrev=False, description=description
    )
    parser.add_argument("paths", nargs="+", type=Path, metavar="PATH", help="recordings or tapes")
    parser.add_argument("--config", type=Path, default=Path("config.toml"), metavar="FILE")
    parser.add_argument("--queue", default=queue, metavar=queues, help=f"({queue})")
    parser.add_argument(
        "--latency", default=LATENCY, metavar="MODEL",
        help=f"25, measured:FILE or lognormal:MEDIAN:SIGMA for each way, feed=…,order=…,news=…, or "
        "fitted:FILE from `lab latency-fit` "
        f"({LATENCY} ms)",
    )  # fmt: skip
    parser.add_argument(
        "--chunk", type=count, default=CHUNK, help=f"windows that share a wallet ({CHUNK})"
    )
    parser.add_argument("--processes", type=count, default=PROCESSES, help="(all)")
    parser.add_argument("--picture", type=file_place, metavar="FILE.png", help=picture)
    return parser


def check(said: argparse.Namespace, queues: list[str]) -> None:
    """Raises ValueError with what is wrong with the models or the picture's name."""
    for queue in queues:
        queue_model(queue)
    latencies(said.latency)
    if said.picture is not None:
        reliability.check_name(said.picture)


def count(text: str) -> int:
    """A number of things, for argparse."""
    if not (text.isascii() and text.isdigit()) or not 0 < int(text) <= 10_000:
        raise argparse.ArgumentTypeError(f"expected 1 to 10000, was {text!r}")
    return int(text)
