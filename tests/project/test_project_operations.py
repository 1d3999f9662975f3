"""The operator's page says what the program says."""

from __future__ import annotations

from pathlib import Path

from polybot import launch
from polybot.domain.halts import Halt
from polybot.operator import COMMANDS
from polybot.operator.preflight import CHECKS

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
