"""`python -m polybot lab conformance`: which test holds the exchange to which sentence.

The sentences are `conformance_rows.toml`; a test claims some by `@pytest.mark.conforms("id", …)`.
Claims are read from the syntax trees of the tests, so that "every row has a test" and "the page is
current" cost nothing to check; that the tests pass is for this command to find out, which runs
them and writes what it saw into `docs/exchange.md`.
"""

from __future__ import annotations

import argparse
import ast
import json
import os
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import attrs

ROOT = Path(__file__).resolve().parents[2]
PAGE = Path("docs/exchange.md")
UNCOVERED = Path("tests/lab/uncovered.txt")
BEGIN, END = "<!-- conformance: begin -->", "<!-- conformance: end -->"
MARK = "pytest.mark.conforms"

PASSED, FAILED, SKIPPED, OPEN = "pass", "FAIL", "skipped", "no test"


@attrs.frozen
class Row:
    """One sentence of the checklist; `section` is like `clob.md 3.8`."""

    id: str
    section: str
    says: str


@attrs.frozen
class Claim:
    """A test function (`tests/…/file.py::name`) and the row it says it shows."""

    test: str
    row: str


def rows() -> list[Row]:
    """The checklist, in the reference's order."""
    told = tomllib.loads((Path(__file__).parent / "conformance_rows.toml").read_text())
    return [
        Row(f"{section.replace('.md ', '-')}-{slug}", section, says)
        for section, sentences in told.items()
        for slug, says in sentences.items()
    ]


def claims(root: Path | None = None) -> list[Claim]:
    """Every claim of every test under `root`/tests (this project's by default). Raises ValueError
    for one that no run could attribute: a mark that does not decorate a test, or whose ids are
    not literal.
    """
    root, found = root or ROOT, []
    for path in sorted((root / "tests").rglob("test_*.py")):
        name = path.relative_to(root).as_posix()
        text = path.read_text()
        if MARK in text:
            found += list(_claims(name, ast.parse(text)))
    return found


def _claims(name: str, tree: ast.Module) -> Iterator[Claim]:
    decorating = {}
    for function in tree.body:
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
            decorating.update({id(node): function.name for node in function.decorator_list})
    for node in ast.walk(tree):
        if not (isinstance(node, ast.Call) and ast.unparse(node.func) == MARK):
            continue
        test = decorating.get(id(node), "")
        if not test.startswith("test_"):
            raise ValueError(f"{name}:{node.lineno}: {MARK} does not decorate a test")
        for said in node.args:
            if not (isinstance(said, ast.Constant) and isinstance(said.value, str)):
                raise ValueError(f"{name}:{node.lineno}: ids are literal strings")
            yield Claim(f"{name}::{test}", said.value)


def page_table(outcomes: Mapping[str, str], root: Path | None = None) -> str:
    """The checklist as Markdown. `outcomes` is by test; a row is as good as its worst test."""
    shown: dict[str, list[str]] = {}
    for claim in claims(root):
        shown.setdefault(claim.row, []).append(claim.test)
    lines = ["| row | the exchange | test | |", "|---|---|---|---|"]
    for row in rows():
        tests = shown.get(row.id, [])
        names = "<br>".join(test.removeprefix("tests/") for test in tests) or "–"
        lines.append(f"| {row.id} | {row.says} | {names} | {_worst(tests, outcomes)} |")
    return "\n".join(lines)


def _worst(tests: Sequence[str], outcomes: Mapping[str, str]) -> str:
    if not tests:
        return OPEN
    seen = {outcomes.get(test, SKIPPED) for test in tests}
    if FAILED in seen:
        return FAILED
    return PASSED if PASSED in seen else SKIPPED


def between_markers(page: str) -> str:
    """The table as the page has it. Raises ValueError when the markers are not there."""
    _, begin, rest = page.partition(f"{BEGIN}\n")
    table, end, _ = rest.partition(f"\n{END}")
    if not begin or not end:
        raise ValueError(f"{PAGE} has no {BEGIN} … {END}")
    return table


def run_tests(root: Path = ROOT) -> dict[str, str]:
    """Run every test that claims a row, and no other; its outcome by its name."""
    files = sorted({claim.test.partition("::")[0] for claim in claims(root)})
    with tempfile.TemporaryDirectory() as folder:
        told = Path(folder) / "outcomes.json"
        words = ["-q", "-p", "polybot.lab.conformance_plugin", "--conformance", str(told), *files]
        subprocess.run(  # noqa: S603 - our own interpreter and tests
            [sys.executable, "-m", "pytest", *words],
            cwd=root,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            check=False,
        )
        outcomes: dict[str, str] = json.loads(told.read_text())
    return outcomes


def main(argv: Sequence[str]) -> int:
    """0 when every row has a test that passed, 1 otherwise."""
    parser = argparse.ArgumentParser(prog="polybot lab conformance", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing")
    parser.add_argument(
        "--marks-only",
        action="store_true",
        help="run nothing: put the page in step with the marks, as after a merge",
    )
    said = parser.parse_args(argv)
    table = page_table(_outcomes_of_the_page() if said.marks_only else run_tests())
    if not said.check:
        _write(table)
    ends = [line.rsplit(" | ", 1)[1].removesuffix(" |") for line in table.splitlines()[2:]]
    for line, end in zip(table.splitlines()[2:], ends, strict=True):
        if end != PASSED:
            sys.stdout.write(f"{end}: {line}\n")
    counts = {end: ends.count(end) for end in (PASSED, FAILED, SKIPPED, OPEN)}
    sys.stdout.write(", ".join(f"{count} {end}" for end, count in counts.items() if count) + "\n")
    return 0 if counts[PASSED] == len(ends) else 1


def _outcomes_of_the_page() -> dict[str, str]:
    """What the page tells of each test; of one that stands in several rows, the worst."""
    seen: dict[str, str] = {}
    for line in (ROOT / PAGE).read_text().splitlines():
        cells = line.strip("| ").split(" | ")
        if len(cells) == 4 and cells[3] in {PASSED, FAILED, SKIPPED}:
            for name in cells[2].split("<br>"):
                if seen.get(f"tests/{name}") != FAILED:
                    seen[f"tests/{name}"] = cells[3]
    return seen


def _write(table: str) -> None:
    page = ROOT / PAGE
    text = page.read_text()
    old = f"{BEGIN}\n{between_markers(text)}\n{END}"
    page.write_text(text.replace(old, f"{BEGIN}\n{table}\n{END}"))
    covered = {claim.row for claim in claims()}
    listed = (ROOT / UNCOVERED).read_text().split()
    (ROOT / UNCOVERED).write_text("".join(f"{one}\n" for one in listed if one not in covered))
