"""The operator's page says what the program says."""

from __future__ import annotations

import shutil
import subprocess
from configparser import RawConfigParser
from pathlib import Path

import pytest

from polybot import app, launch
from polybot.cli import parse
from polybot.domain.halts import Halt
from polybot.domain.orders import EDGE_S
from polybot.operator import COMMANDS
from polybot.operator.preflight import CHECKS
from polybot.options import BotOptions

DOCS = Path(__file__).resolve().parents[2] / "docs"
PAGE = (DOCS / "operations.md").read_text(encoding="utf-8")


def test_every_halt_is_on_the_page() -> None:
    """The page's table is the enumeration, word for word, no row more and none less (S12)."""
    wanted = [f"| {halt.value} | {halt.means} | {halt.act} |" for halt in Halt]
    rows = PAGE.split("| Halt |")[1].split("\n\n")[0].splitlines()[2:]

    assert rows == wanted


def test_every_command_and_exit_code_is_on_the_page() -> None:
    """No command of the operator's and no exit code of the program is left unexplained; those of
    the laboratory have a page of their own.
    """
    laboratory = (DOCS / "laboratory.md").read_text(encoding="utf-8")
    for name in COMMANDS:
        assert f"| `python -m polybot {name}" in PAGE + laboratory
    for name, code in vars(launch).items():
        if name.startswith("EXIT_"):
            assert f"\n| {code} |" in PAGE


def test_the_preflight_is_told() -> None:
    """The checks of a live start are named as the doctor names them."""
    text = " ".join(PAGE.split()).lower()
    for check in CHECKS:
        assert check.name.removesuffix(" space").lower() in text


UNIT = PAGE.split("```ini\n")[1].split("```")[0]


def test_the_service_gives_a_stop_its_time() -> None:
    """Longer than the longest stop there is, and no start again where the settings forbid one; what
    it runs is a command line that the program takes.
    """
    unit = RawConfigParser(strict=False)
    unit.optionxform = str  # type: ignore[assignment, method-assign]  # capitals count
    unit.read_string(UNIT)
    service = unit["Service"]
    said = parse(service["ExecStart"].split(" -m polybot ")[1].split())
    longest_s = app.RESTART_S + app.EMPTY_S + EDGE_S + app.EMPTY_S + app.LAST_ACCOUNTS_S

    assert int(service["TimeoutStopSec"]) > longest_s
    assert int(service["RestartPreventExitStatus"]) == launch.EXIT_CONFIG
    assert isinstance(said, BotOptions)
    assert said.overrides.mode == "live"


ANALYSE = ("systemd-analyze", "security", "--offline=true", "--threshold=20")


@pytest.mark.skipif(shutil.which(ANALYSE[0]) is None, reason="systemd-analyze is not installed")
def test_the_service_can_do_little_else(tmp_path: Path) -> None:
    """Its exposure is at most 2.0 of 10, by systemd's own count (reliability.md G27)."""
    file = tmp_path / "polybot.service"
    file.write_text(UNIT, encoding="utf-8")

    command = [*ANALYSE, str(file)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603

    assert done.returncode == 0, done.stdout[-300:] + done.stderr
