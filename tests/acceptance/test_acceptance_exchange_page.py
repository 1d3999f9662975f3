"""docs/exchange.md as a stranger reads it: every example of it runs, in its order."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import attrs
import pytest
import trio
from acceptance_kit import PATIENCE_S, ROOT, command

from polybot.clock import Clock
from polybot.exchange.faults import plan
from polybot.exchange.server import Exchange
from polybot.exchange.terms import Terms
from polybot.exchange.terms_file import terms_of
from polybot.exchange.world import make_world

PAGE = (ROOT / "docs" / "exchange.md").read_text(encoding="utf-8")
BASE = 8600  # the page's port

needs_tools = pytest.mark.skipif(
    shutil.which("curl") is None or shutil.which("jq") is None, reason="curl and jq are not here"
)


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


@needs_tools
def test_every_example_runs(tmp_path: Path, ports: int) -> None:
    """Shell and Python, one after the other in one folder, beside the exchange of the page."""
    (start,) = re.findall(
        r"^\$ python -m polybot exchange (.*) > exchange\.json", PAGE, re.MULTILINE
    )
    words = start.replace(str(BASE), str(ports)).split()
    assert words[:2] == ["--port", str(ports)]
    with command(*words) as running:
        (tmp_path / "exchange.json").write_text(running.first_line())
        for language, code in re.findall(r"```(sh|python)\n(.*?)```", PAGE, re.DOTALL):
            text = re.sub(
                r"127\.0\.0\.1:86(\d\d)", lambda m: f"127.0.0.1:{ports + int(m[1])}", code
            )
            line = [sys.executable, "-c", text] if language == "python" else ["sh", "-euc", text]
            done = subprocess.run(  # noqa: S603 - the page's own words
                line, cwd=tmp_path, capture_output=True, text=True, timeout=PATIENCE_S, check=False
            )
            assert done.returncode == 0, f"{code}\n{done.stderr}"
            assert done.stdout.strip() or "/dev/null" in code


def test_the_table_of_ports_is_the_exchanges(ports: int) -> None:
    """Each URL of the JSON line is on the page, at its port."""
    with command("--port", str(ports), "--series", "btc-5m") as running:
        line = running.first_line()
    told = {
        name: int(port) - BASE
        for names, port in re.findall(r"^\| (`.*?`) \| .* \| (86\d\d) \|$", PAGE, re.MULTILINE)
        for name in re.findall(r"`(\w+)`", names)
    }
    served = {
        name: int(port) - ports
        for name, port in re.findall(r'"(\w+)": "(?:http|ws)://127\.0\.0\.1:(\d+)', line)
    }
    assert served == told


def test_the_plans_and_terms_of_the_page_are_read() -> None:
    """The examples of a terms file and of a fault plan are taken without complaint."""
    terms, faults = blocks("toml")

    assert terms_of(tomllib.loads(terms)).taker_delay_ms == 250
    assert plan.read(tomllib.loads(faults)).entries[0].times == 3


def rows(first: str) -> list[list[str]]:
    """The rows of the table whose first heading is that."""
    table = PAGE.partition(f"| {first} |")[2].partition("\n\n")[0]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table.split("\n")[2:]]


def shown(value: object) -> str:
    """A term's default as the page has it: TOML, or the number of its entries."""
    if isinstance(value, tuple):
        return f"{len(value)} of them"
    return f"`{json.dumps(value)}`"


def test_the_table_of_terms_is_the_codes() -> None:
    """Every term with its default, in the order of `terms.py`."""
    terms = [(f"`{field.name}`", shown(field.default)) for field in attrs.fields(Terms)]

    assert [(name, default) for name, default, _ in rows("term")] == terms


def test_the_table_of_calls_is_the_admin_services() -> None:
    """Every call an operator has, and no other."""

    async def calls() -> set[str]:
        world = make_world(
            "synthetic", seed=1, start_ms=1_795_132_800_000, series=["btc-5m"], intensity=0.01
        )
        exchange = Exchange(world, Clock.starting_at(1_795_132_800_000), 1)
        return {f"`{method} {path}`" for method, path in exchange.admin.routes}

    assert {row[0] for row in rows("call")} == trio.run(calls)


def test_the_table_of_options_is_the_commands() -> None:
    """Every option but the port, which the table above it is about."""
    done = subprocess.run(
        [sys.executable, "-m", "polybot", "exchange", "--help"],
        cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE_S, check=True,
    )  # fmt: skip
    told = set(re.findall(r"^  (--\w+)", done.stdout, re.MULTILINE)) - {"--port"}

    assert {row[0].strip("`") for row in rows("option")} == told


def test_the_presets_of_the_page_are_there() -> None:
    """All that can be named on the command line are named here."""
    said = PAGE.partition("The presets:")[2].partition(".")[0]

    assert set(re.findall(r"`(\w+)`", said)) == set(plan.presets())
