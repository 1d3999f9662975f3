"""The command line: words in, a frozen `Options` out; a bad
word is one clear line and exit code 2.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import TypeVar

from polybot import options
from polybot.lab.commands import COMMANDS
from polybot.lab.places import file_place
from polybot.operator import COMMANDS as BESIDE
from polybot.options import BotOptions, ExchangeOptions, LabOptions, Options, Overrides

T = TypeVar("T")

_TERMS = "TOML with a [venue] table: how the exchange behaves"
_FAULTS = "a plan of faults: none, storm, feeds, orders, … or a TOML file"
_EPILOG = """\
exit codes: 0 clean, 2 bad configuration, 3 orders may be live, 4 journal or storage failed,
1 anything else.

commands beside the bot, each with `--help`: `exchange` runs the exchange alone
(docs/exchange.md); `doctor`, `stop`, `rearm`, `tape` and `replay` are the operator's
(docs/operations.md); `backtest`, `sweep`, `soak` and `lab` the laboratory's
(docs/laboratory.md)."""


def parse(argv: Sequence[str]) -> Options:
    """Read the command line (without the program's name). Raises
    SystemExit: 2 if bad, 0 for help.
    """
    if argv and argv[0] == "exchange":
        return _exchange(argv[1:])
    if argv and argv[0] == "lab":
        return _lab(argv[1:])
    return _bot(argv)


def _bot(argv: Sequence[str]) -> BotOptions:
    parser = argparse.ArgumentParser(
        prog="polybot",
        description="Make markets in Polymarket's crypto Up/Down intervals, on paper or live.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument(
        "--config", type=Path, default=Path("config.toml"), metavar="FILE", help="(config.toml)"
    )
    parser.add_argument("--mode", choices=options.MODES, help="paper, or live as the file says too")
    parser.add_argument(
        "--world",
        type=_reader(options.check_world),
        help="synthetic, recording:PATH, exchange:FILE or live-feeds[:SITE.toml] (paper only)",
    )
    parser.add_argument(
        "--series", type=_reader(options.parse_series), help="btc-5m,btc-1h,… instead of the file's"
    )
    parser.add_argument(
        "--for",
        dest="run_ms",
        type=_reader(options.parse_duration_ms),
        metavar="DURATION",
        help="stop gracefully after this much venue time: 90s, 30m, 2h",
    )
    parser.add_argument("--speed", type=_speed, help="venue seconds per second (paper only)")
    parser.add_argument("--seed", type=_seed, help="seed of the world and the bot (paper only)")
    parser.add_argument("--terms", metavar="FILE", help=f"{_TERMS} (paper only)")
    parser.add_argument("--faults", metavar="NAME|FILE", help=f"{_FAULTS} (paper only)")
    parser.add_argument(
        "--summary",
        type=_summary_place,
        metavar="PATH",
        help="write the JSON summary there; - prints it",
    )
    if argv and not argv[0].startswith("-"):
        parser.error(_no_command(argv[0]))
    said = parser.parse_args(argv)
    overrides = Overrides(
        said.mode, said.world, said.series, said.speed, said.seed, said.terms, said.faults
    )
    return BotOptions(said.config, overrides, said.run_ms, said.summary)


def _summary_place(text: str) -> str:
    """A night later is too late to hear that its folder is not there."""
    return text if text == "-" else str(file_place(text))


def _no_command(word: str) -> str:
    near = get_close_matches(word, ("exchange", "lab", *BESIDE), 1)
    meant = f"did you mean {near[0]}?" if near else "--help names the commands"
    return f"unrecognized arguments: {word} ({f'say lab {word}' if word in COMMANDS else meant})"


def _exchange(argv: Sequence[str]) -> ExchangeOptions:
    parser = argparse.ArgumentParser(
        prog="polybot exchange",
        description="Run the embedded exchange alone on loopback; prints one JSON line of URLs and "
        "a funded wallet.",
        allow_abbrev=False,
    )
    usual = ExchangeOptions()
    parser.add_argument("--port", type=_port, default=usual.port, help="0 takes a free one")
    parser.add_argument(
        "--world",
        type=_reader(options.check_world),
        default=usual.world,
        help="synthetic, recording:PATH or live-feeds[:SITE.toml]",
    )
    parser.add_argument("--series", type=_reader(options.parse_series), default=usual.series)
    parser.add_argument("--seed", type=_seed, default=usual.seed)
    parser.add_argument("--speed", type=_speed, default=usual.speed)
    parser.add_argument("--intensity", type=_intensity, default=usual.intensity)
    parser.add_argument(
        "--start",
        type=_reader(options.parse_start_ms),
        help="Unix seconds or ISO 8601",
        metavar="TIME",
    )
    parser.add_argument("--terms", type=Path, metavar="FILE", help=_TERMS)
    parser.add_argument(
        "--faults",
        default=usual.faults,
        metavar="NAME|FILE",
        help=f"{_FAULTS}; `list` prints them all",
    )
    said = parser.parse_args(argv)
    return ExchangeOptions(
        said.port, said.world, said.series, said.seed, said.speed, said.intensity, said.start,
        said.terms, said.faults,
    )  # fmt: skip


def _lab(argv: Sequence[str]) -> LabOptions:
    parser = argparse.ArgumentParser(
        prog="polybot lab",
        description="Measure and prove.",
        epilog="docs/laboratory.md says what each does; each has --help of its own",
        allow_abbrev=False,
    )
    parser.add_argument("name", choices=sorted(COMMANDS))
    if not argv:
        parser.print_help()
        parser.exit()
    return LabOptions(parser.parse_args(argv[:1]).name, tuple(argv[1:]))


def _reader(read: Callable[[str], T]) -> Callable[[str], T]:
    """Pass a ValueError's own words on to argparse, which would put "invalid value" in their
    place.
    """

    def reading(text: str) -> T:
        try:
            return read(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return reading


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected a number, was {text!r}") from None


def _speed(text: str) -> float:
    return _reader(lambda _: options.check_speed(_number(text)))(text)


def _intensity(text: str) -> float:
    return _reader(lambda _: options.check_intensity(_number(text)))(text)


def _whole(text: str, most: int) -> int:
    if not (text.isascii() and text.isdigit()) or len(text) > 20 or int(text) > most:
        raise argparse.ArgumentTypeError(f"expected a whole number from 0 to {most}, was {text!r}")
    return int(text)


def _seed(text: str) -> int:
    return _whole(text, options.SEED_MAX)


def _port(text: str) -> int:
    return _whole(text, 65_535)
