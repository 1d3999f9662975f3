"""The house rules as a test: what review would otherwise have to remember.

Every rule reads the syntax tree of the files, says where it is broken, and names the remedy.
Exceptions are listed here with their reason, so that adding one is a line somebody reads.
"""

from __future__ import annotations

import ast
import functools
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar, cast

import attrs
import pytest

ROOT = Path(__file__).resolve().parents[1]

FUNCTION_LINES_MAX = 70
FILE_LINES_MAX = 400
COLUMNS_MAX = 100


Node = TypeVar("Node", bound=ast.AST)


@attrs.frozen
class Source:
    """One Python file: its path from the root with forward slashes, its text and its tree."""

    name: str
    text: str
    tree: ast.Module

    @functools.cached_property
    def nodes(self) -> dict[type[ast.AST], list[ast.AST]]:
        """All nodes by their kind: walking every file anew for every rule took most of the time."""
        kinds: dict[type[ast.AST], list[ast.AST]] = {}
        for node in ast.walk(self.tree):
            kinds.setdefault(type(node), []).append(node)
        return kinds

    def all(self, kind: type[Node]) -> list[Node]:
        return cast(list[Node], self.nodes.get(kind, []))


def parsed(name: str, text: str) -> Source:
    return Source(name, text, ast.parse(text))


def read(path: Path) -> Source:
    return parsed(path.relative_to(ROOT).as_posix(), path.read_text(encoding="utf-8"))


@functools.cache
def sources(folder: str) -> tuple[Source, ...]:
    return tuple(read(path) for path in sorted((ROOT / folder).rglob("*.py")))


def everything() -> tuple[Source, ...]:
    return sources("polybot") + sources("tests")


def calls_and_names(source: Source) -> Iterator[tuple[int, str]]:
    """Every dotted name in the tree, as `time.time`, with its line."""
    for node in source.all(ast.Attribute):
        if isinstance(node.value, ast.Name):
            yield node.lineno, f"{node.value.id}.{node.attr}"
    for imported in source.all(ast.ImportFrom):
        if imported.level == 0:
            for alias in imported.names:
                yield imported.lineno, f"{imported.module}.{alias.name}"


def imports(source: Source) -> Iterator[tuple[int, str]]:
    """Every module imported, wherever in the file; `from a import b` counts as `a.b`."""
    for node in source.all(ast.Import):
        yield from ((node.lineno, alias.name) for alias in node.names)
    for one in source.all(ast.ImportFrom):
        yield from ((one.lineno, f"{one.module}.{alias.name}") for alias in one.names)


def functions(source: Source) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
    return [*source.all(ast.FunctionDef), *source.all(ast.AsyncFunctionDef)]


# --- the rules: each yields the faults of one file ------------------------------------------------

CLOCKS = re.compile(
    r"(time\.(time|time_ns|monotonic|monotonic_ns|perf_counter|perf_counter_ns|sleep)"
    r"|datetime\.(now|utcnow|today)|date\.today)"
)
CLOCK_HOMES = {
    "polybot/clock.py",  # the one clock
    "polybot/lab/bench.py",  # a benchmark measures the machine
    "polybot/lab/lockstep.py",  # stands in for the sleep of blocking clients
    "polybot/patient_clock.py",  # a clock itself; it sleeps what the kernel would round up
}


def clocks(source: Source) -> Iterator[str]:
    """Time comes from polybot.clock, or replay and virtual time are lost."""
    if source.name not in CLOCK_HOMES:
        for line, name in calls_and_names(source):
            if CLOCKS.fullmatch(name):
                yield f"{source.name}:{line}: {name}: use polybot.clock"


def randomness(source: Source) -> Iterator[str]:
    """Randomness is a `random.Random` somebody passes in, or a seed does not repeat a run."""
    for line, name in calls_and_names(source):
        module, _, what = name.partition(".")
        if module == "random" and what not in {"Random", "SystemRandom"}:
            yield f"{source.name}:{line}: {name}: take a random.Random as an argument"
    for node in source.all(ast.Call):
        bare = not node.args and not node.keywords
        if bare and ast.unparse(node.func) == "random.Random":
            yield f"{source.name}:{node.lineno}: random.Random() without a seed"


def long_functions(source: Source) -> Iterator[str]:
    """A function of more than 70 lines is several."""
    for function in functions(source):
        lines = (function.end_lineno or function.lineno) - function.lineno + 1
        if lines > FUNCTION_LINES_MAX:
            yield f"{source.name}:{function.lineno}: {function.name} has {lines} lines: split it"


def long_files(source: Source) -> Iterator[str]:
    """A file that needs a table of contents is two files."""
    lines = source.text.count("\n")
    if lines > FILE_LINES_MAX:
        yield f"{source.name}: {lines} lines: split it"


def wide_lines(source: Source) -> Iterator[str]:
    """Lines fit beside another file; a long vector or link has no place to break."""
    for number, line in enumerate(source.text.splitlines(), 1):
        if len(line) > COLUMNS_MAX and " " in line.strip()[:COLUMNS_MAX]:
            longest = max(line.split(), key=len)
            if len(longest) < 60:
                yield f"{source.name}:{number}: {len(line)} columns"


LEFTOVERS = re.compile(
    r"\b(" + "|".join(("FIX" + "ME", "TO" + "DO", "X" * 3, "HA" + "CK")) + r")\b"
)


def leftovers(source: Source) -> Iterator[str]:
    """What is not done is in an issue, not in a comment."""
    for number, line in enumerate(source.text.splitlines(), 1):
        if LEFTOVERS.search(line):
            yield f"{source.name}:{number}: {line.strip()}"


MONEY_FILES = re.compile(
    r"polybot/(domain/(ledger|units)|execution/\w+|risk/\w+"
    r"|exchange/\w*(engine|account|book|fees|money|matching)\w*)\.py"
)
FLOAT_HOMES = {
    "polybot/execution/throttle.py",  # tokens of a rate, not money
    "polybot/risk/limits.py",  # the price collar is a ratio the operator writes
}


def float_money(source: Source) -> Iterator[str]:
    """Money is integers: prices 10⁻⁴, shares and dollars 10⁻⁶."""
    if MONEY_FILES.fullmatch(source.name) and source.name not in FLOAT_HOMES:
        for node in source.all(ast.Name):
            if node.id == "float":
                yield f"{source.name}:{node.lineno}: float in a file of money"


PRINT_HOMES = re.compile(r"polybot/(console/\w+|lab/\w+|cli|__main__|exchange/\w*main\w*)\.py")


def prints(source: Source) -> Iterator[str]:
    """Nothing prints from the core: publish it, log it or return it."""
    if not PRINT_HOMES.fullmatch(source.name):
        for node in source.all(ast.Call):
            if isinstance(node.func, ast.Name) and node.func.id == "print":
                yield f"{source.name}:{node.lineno}: print"


# Which rooms a room may import, itself apart (docs/architecture.md). Files beside the rooms are the
# shell and may import everything; they are imported by name only where they are listed.
ROOMS: dict[str, set[str]] = {
    "domain": set(),
    "pricing": {"domain"},
    "signal": {"domain"},
    # risk.exposure: the inventory room, which quoter and firewall must reckon alike.
    "quoting": {"domain", "pricing", "signal", "risk"},
    "risk": {"domain"},
    "execution": {"domain", "risk"},
    "venue": {"domain", "clock"},
    "journal": {"domain", "clock"},
    # venue.secret: the redactor's subject; summary: the closing report's.
    "console": {"domain", "clock", "venue", "summary"},
    "exchange": {"clock"},
}


def room_law(source: Source) -> Iterator[str]:
    """A room imports only rooms below it; the exchange and the bot share nothing but the clock."""
    room = source.name.split("/")[1] if source.name.startswith("polybot/") else ""
    if room not in ROOMS:
        return
    allowed = ROOMS[room] | {room}
    for line, module in imports(source):
        parts = module.split(".")
        if parts[0] == "polybot" and (len(parts) < 2 or parts[1] not in allowed):
            yield f"{source.name}:{line}: {room} imports {module}"


def relative_imports(source: Source) -> Iterator[str]:
    """Imports are absolute, so that the law above sees them."""
    for node in source.all(ast.ImportFrom):
        if node.level:
            yield f"{source.name}:{node.lineno}: relative import"


PURE = re.compile(r"polybot/(domain|pricing|signal|quoting|risk|execution)/\w+\.py")
IMPURE = {"trio", "httpx", "socket", "os", "pathlib", "trio_websocket", "loguru", "threading"}


def pure_cores(source: Source) -> Iterator[str]:
    """What decides knows no tasks, no sockets, no files and no log."""
    if PURE.fullmatch(source.name):
        for line, module in imports(source):
            if module.split(".")[0] in IMPURE:
                yield f"{source.name}:{line}: a pure core imports {module}"


def undocumented_tests(source: Source) -> Iterator[str]:
    """Every test says in a sentence what must be true."""
    for function in functions(source):
        is_test = function.name.startswith("test_") and source.name.startswith("tests/")
        if is_test and not ast.get_docstring(function):
            yield f"{source.name}:{function.lineno}: {function.name} has no docstring"


MACHINE = re.compile(r"(?<![\w.])/(work|home|root|opt|Users)/|C:\\\\Users", re.IGNORECASE)


def machine_paths(source: Source) -> Iterator[str]:
    """Nothing names a path of one machine."""
    for value in (node.value for node in source.all(ast.Constant)):
        if isinstance(value, str) and value != MACHINE.pattern and MACHINE.search(value):
            yield f"{source.name}: {value[:60]!r}"


def future_annotations(source: Source) -> Iterator[str]:
    """Every file with code begins with the same import, so that annotations mean the same."""
    if source.tree.body and "from __future__ import annotations" not in source.text:
        yield f"{source.name}: no `from __future__ import annotations`"


HELPERS = re.compile(r"(utils?|helpers?|misc|common)\.py")


def vague_names(source: Source) -> Iterator[str]:
    """A file is named after what it holds."""
    if HELPERS.fullmatch(source.name.rsplit("/", 1)[-1]):
        yield f"{source.name}: say what it holds"


Rule = Callable[[Source], Iterator[str]]

PROGRAM_RULES: tuple[Rule, ...] = (
    clocks,
    float_money,
    long_files,
    prints,
    pure_cores,
    room_law,
)
ALL_RULES: tuple[Rule, ...] = (
    future_annotations,
    leftovers,
    long_functions,
    machine_paths,
    randomness,
    relative_imports,
    undocumented_tests,
    vague_names,
    wide_lines,
)


@pytest.mark.parametrize("rule", PROGRAM_RULES, ids=lambda rule: rule.__name__)
def test_the_program_keeps(rule: Rule) -> None:
    """No file of the program breaks a rule of the house."""
    faults = [fault for source in sources("polybot") for fault in rule(source)]

    assert not faults, "\n".join([str(rule.__doc__), *faults])


@pytest.mark.parametrize("rule", ALL_RULES, ids=lambda rule: rule.__name__)
def test_program_and_tests_keep(rule: Rule) -> None:
    """No file at all breaks a rule of the house."""
    faults = [fault for source in everything() for fault in rule(source)]

    assert not faults, "\n".join([str(rule.__doc__), *faults])


BAD: dict[Rule, tuple[str, str]] = {
    clocks: ("polybot/app.py", "import time\ntime.time()"),
    float_money: ("polybot/domain/ledger.py", "def f(x: float) -> None: ..."),
    long_files: ("polybot/app.py", "\n" * 451),
    prints: ("polybot/quoting/decide.py", "print('x')"),
    pure_cores: ("polybot/pricing/fair.py", "import trio"),
    room_law: ("polybot/exchange/book.py", "from polybot.domain.units import ONE"),
    future_annotations: ("polybot/app.py", "import os"),
    leftovers: ("polybot/app.py", "# FIX" + "ME later"),
    long_functions: ("polybot/app.py", "def f():\n" + "    x = 1\n" * 70),
    machine_paths: ("polybot/app.py", "p = '/ro" + "ot/x'"),
    randomness: ("polybot/app.py", "import random\nrandom.uniform(0, 1)"),
    relative_imports: ("polybot/app.py", "from . import x"),
    undocumented_tests: ("tests/test_x.py", "def test_x(): ..."),
    vague_names: ("polybot/utils.py", ""),
    wide_lines: ("polybot/app.py", "# " + "word " * 30),
}


@pytest.mark.parametrize("rule", PROGRAM_RULES + ALL_RULES, ids=lambda rule: rule.__name__)
def test_the_rule_bites(rule: Rule) -> None:
    """Each rule finds the fault it is there for: a rule that never fires proves nothing."""
    name, text = BAD[rule]

    assert list(rule(parsed(name, text)))


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("polybot/clock.py", "import time\ntime.time()"),
        ("polybot/app.py", "import random\ndef f(rng: random.Random) -> None: rng.random()"),
        (
            "polybot/exchange/book.py",
            "from polybot.clock import Clock\nimport polybot.exchange.model",
        ),
        ("polybot/quoting/decide.py", "from polybot.pricing.fair import Fair"),
        ("polybot/app.py", "from polybot.exchange.model import Market"),
    ],
)
def test_the_rules_let_pass(name: str, text: str) -> None:
    """What the house allows is not a fault."""
    source = parsed(name, text)

    assert not [fault for rule in (clocks, randomness, room_law) for fault in rule(source)]
