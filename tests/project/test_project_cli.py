"""The command line: every option as the later parts rely on it, and exit code 2 for a bad word."""

from __future__ import annotations

import contextlib
import socket
from pathlib import Path

import pytest
from hypothesis import given, strategies as st

from polybot import options
from polybot.cli import parse
from polybot.lab.commands import COMMANDS as LAB
from polybot.operator import COMMANDS
from polybot.options import BotOptions, ExchangeOptions, Overrides
from polybot.program import run_exchange


def test_the_full_bot_line() -> None:
    """All options of the bot come out typed."""
    line = (
        "--config c.toml --mode paper --world recording:a/b --series btc-5m,btc-1h "
        "--for 30m --speed 20 --seed 7 --terms t.toml --faults storm --summary -"
    )

    said = parse(line.split())

    overrides = Overrides(
        "paper", "recording:a/b", ("btc-5m", "btc-1h"), 20.0, 7, "t.toml", "storm"
    )
    assert said == BotOptions(Path("c.toml"), overrides, 1_800_000, "-")


def test_nothing_said_is_nothing_overridden() -> None:
    """Without options the file's word stands, and the bot runs until a signal."""
    assert parse([]) == BotOptions(Path("config.toml"), Overrides(), None, None)


def test_the_full_exchange_line() -> None:
    """All options of the exchange come out typed; port 0 means a free one."""
    line = (
        "exchange --port 0 --world synthetic --series eth-15m --seed 3 --speed 2.5 "
        "--intensity 0.5 --start 2026-11-20T12:00:00Z --terms t.toml "
        "--faults storm"
    )

    said = parse(line.split())

    assert said == ExchangeOptions(
        0, "synthetic", ("eth-15m",), 3, 2.5, 0.5, 1_795_176_000_000, Path("t.toml"), "storm"
    )
    assert parse(["exchange"]) == ExchangeOptions()


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("--mode demo", "invalid choice"),
        ("--world moon", "expected synthetic, recording:PATH"),
        ("--series btc-7m", "expected a series like btc-5m"),
        ("--series ,", "at least one series"),
        ("--for 30", "expected a duration like 90s, 30m or 2h"),
        ("--for 0s", "expected a duration"),
        ("--speed fast", "expected a number"),
        ("--speed nan", "expected a speed above 0"),
        ("--speed -1", "expected a speed above 0"),
        ("--seed -3", "whole number"),
        ("--seed 1.5", "whole number"),
        ("--seed 99999999999999999999", "whole number"),
        ("--conf c.toml", "unrecognized arguments"),
        ("stray", "unrecognized arguments"),
        ("stray", "--help names the commands"),
        ("backtset --json x", "did you mean backtest?"),
        ("queue-fit TAPE", "say lab queue-fit"),
        ("exchange --port 70000", "from 0 to 65535"),
        ("exchange --start yesterday", "expected Unix seconds"),
        ("exchange --intensity 0", "expected an intensity"),
        ("--summary nowhere/s.json", "there is no folder nowhere: make it first"),
        ("exchange --for 3m", "unrecognized arguments"),
    ],
)
def test_a_bad_word_is_exit_code_2(
    line: str, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The operator reads what was expected, and the code says bad configuration."""
    with pytest.raises(SystemExit) as left:
        parse(line.split())

    assert left.value.code == 2
    assert words in capsys.readouterr().err


def test_the_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    """Whoever asks for help learns of every command and every world there is."""
    with pytest.raises(SystemExit):
        parse(["--help"])

    told = "".join(capsys.readouterr().out.split())  # lines may end within a word
    assert all(f"`{name}`" in told for name in (*COMMANDS, "exchange", "lab"))
    assert all(f"{kind}:" in told or f"{kind}[:" in told for kind in options.PATH_WORLDS)


@pytest.mark.parametrize("line", ["--help", "exchange --help"])
def test_help_is_exit_code_0(line: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Help goes to standard output and is not a failure."""
    with pytest.raises(SystemExit) as left:
        parse(line.split())

    assert left.value.code == 0
    assert "--series" in capsys.readouterr().out


def test_the_laboratory_lists_its_commands(capsys: pytest.CaptureFixture[str]) -> None:
    """Without a name, as the README says: no error."""
    with pytest.raises(SystemExit) as left:
        parse(["lab"])

    assert left.value.code == 0
    told = "".join(capsys.readouterr().out.split())
    assert all(name in told for name in LAB)


def test_a_port_in_use(capsys: pytest.CaptureFixture[str]) -> None:
    """Told with the way out."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        options = ExchangeOptions(port=taken.getsockname()[1])
        assert run_exchange(options) == 1

    assert "or say --port 0 for free ones" in capsys.readouterr().err


@given(st.integers(1, 9_999_999), st.sampled_from("smh"))
def test_durations_are_exact(number: int, unit: str) -> None:
    """A duration is its number times its unit, in whole milliseconds."""
    each = {"s": 1000, "m": 60_000, "h": 3_600_000}[unit]

    assert options.parse_duration_ms(f"{number}{unit}") == number * each


@given(st.text(max_size=12))
def test_any_text_is_read_or_refused(text: str) -> None:
    """The small parsers raise ValueError or give a value, whatever they are fed."""
    readers = (
        options.parse_duration_ms,
        options.parse_series,
        options.check_world,
        options.parse_start_ms,
    )
    for reader in readers:
        with contextlib.suppress(ValueError):
            reader(text)


def test_a_start_without_a_zone_is_utc() -> None:
    """The venue's clock is UTC, wherever the machine stands."""
    assert options.parse_start_ms("2026-11-20T12:00:00") == 1_795_176_000_000
    assert options.parse_start_ms("2026-11-20T13:00:00+01:00") == 1_795_176_000_000
    assert options.parse_start_ms("1795176000") == 1_795_176_000_000
