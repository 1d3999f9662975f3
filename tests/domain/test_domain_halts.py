"""The reasons for which trading is halted until an operator has looked (reliability.md S12)."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from polybot.domain.halts import Halt, what_to_do
from polybot.journal import spare
from polybot.journal.repair import DAMAGED

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("halt", Halt, ids=lambda halt: halt.name)
def test_every_halt_is_explained(halt: Halt) -> None:
    """An operator who reads a halt's name is told what was seen and what to do about it."""
    assert Halt(halt.value) is halt
    assert halt.means.endswith(".")
    assert halt.act.endswith(".")
    assert what_to_do(halt.value) == halt.act


@pytest.mark.parametrize("name", [DAMAGED, spare.UNREADABLE.name])
def test_a_halt_that_only_a_journal_tells(name: str) -> None:
    """What is found at an opening is no event of the venue's, but a halt that this version writes:
    `rearm` and the doctor called it unknown, in the night in which a journal was lost.
    """
    assert what_to_do(name) == Halt(name).act


def test_a_halt_of_another_version() -> None:
    """A name that this version does not know still has an answer: a journal may be newer."""
    assert "Unknown" in what_to_do("moon phase")


def test_every_halt_has_a_cause() -> None:
    """No halt that nothing in the program ever sets: it would promise what nobody watches."""
    used: set[str] = set()
    for path in (ROOT / "polybot").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Attribute) and ast.unparse(node.value) == "Halt":
                used.add(node.attr)

    assert used >= {halt.name for halt in Halt}
