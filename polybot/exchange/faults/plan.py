"""A fault plan: which faults, where, when and how hard. Read from TOML or JSON, wholly or not.

```toml
[[fault]]
fault = "reply_lost"     # a name of the catalogue
at = "clob"              # a link or several; left out: every link the fault lives on
match = "POST /order"    # routes, or texts in a frame; left out: the fault's own
from_s = 60              # from here on, counted from the plan's start
for_s = 20               # this long; left out: for good
every_s = 300            # and again after this long; left out: once
probability = 0.2        # of each request, frame or window
times = 3                # at most so often
delay_ms = [100, 500]    # a parameter: a number, or a range to draw from
```
"""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import attrs

from polybot.exchange.faults.catalogue import CATALOGUE
from polybot.exchange.faults.kinds import Kind, Param

PRESETS = Path(__file__).parent / "presets"
TIME_MOST_S = 31_536_000
TIMES_MOST = 1_000_000

_OWN = ("fault", "at", "match", "from_s", "for_s", "every_s", "probability", "times")


class PlanError(ValueError):
    """A plan cannot be used; `problems` are all the reasons."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = tuple(problems)


@attrs.frozen
class Entry:
    """One fault of a plan. Times are milliseconds from the plan's start; `values` are ranges."""

    fault: str
    at: tuple[str, ...] = ()
    match: tuple[str, ...] = ()
    from_ms: int = 0
    for_ms: int | None = None
    every_ms: int | None = None
    probability: float = 1.0
    times: int | None = None
    values: Mapping[str, tuple[int, int]] = attrs.field(factory=dict)

    @property
    def kind(self) -> Kind:
        return CATALOGUE[self.fault]

    @property
    def places(self) -> tuple[str, ...]:
        return self.at or self.kind.links


@attrs.frozen
class StormTerms:
    """`[storm]`: after a warm-up, rounds of drawn faults, each followed by a quiet time."""

    warm_up_s: int = 60
    round_s: int = 90
    quiet_s: int = 90
    fewest: int = 2  # faults drawn for a round
    most: int = 6


@attrs.frozen
class Plan:
    entries: tuple[Entry, ...] = ()
    storm: StormTerms | None = None


def presets() -> tuple[str, ...]:
    return tuple(sorted(path.stem for path in PRESETS.glob("*.toml")))


def load(name: str) -> Plan:
    """The preset of that name, or the TOML file at that path. Raises PlanError with the remedy."""
    path = PRESETS / f"{name}.toml" if name in presets() else Path(name)
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        known = f"a file, or one of {', '.join(presets())}"
        raise PlanError([f"{name}: {error.strerror}; expected {known}"]) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise PlanError([f"{name}: not TOML: {error}"]) from None
    return read(table)


def read(table: object) -> Plan:
    """A plan from its decoded table: `[[fault]]` entries and a `[storm]`. Raises PlanError."""
    problems: list[str] = []
    if not isinstance(table, Mapping):
        raise PlanError(["expected a table of faults"])
    problems += [_unknown(key, key, ("fault", "storm")) for key in {*table} - {"fault", "storm"}]
    rows = table.get("fault", [])
    if not isinstance(rows, list):
        problems.append("fault: expected a list of tables")
        rows = []
    entries = tuple(_entry(row, f"fault[{n}]", problems) for n, row in enumerate(rows, 1))
    storm = _storm(table["storm"], problems) if "storm" in table else None
    if problems:
        raise PlanError(problems)
    return Plan(entries, storm)


def _entry(row: object, path: str, problems: list[str]) -> Entry:
    if not isinstance(row, Mapping):
        problems.append(f"{path}: expected a table")
        return Entry("")
    name = row.get("fault")
    kind = CATALOGUE.get(name) if isinstance(name, str) else None
    if kind is None:
        problems.append(_unknown(f"{path}.fault", name, tuple(CATALOGUE)))
        return Entry("")
    before = len(problems)
    params = {param.name: param for param in kind.params}
    known = (*_OWN, *params)
    problems += [_unknown(f"{path}.{key}", key, known) for key in row if key not in known]
    reader = _Reader(row, path, problems)
    entry = Entry(
        kind.name,
        reader.texts("at", kind.links),
        reader.texts("match", None),
        reader.millis("from_s") or 0,
        reader.millis("for_s"),
        reader.millis("every_s"),
        reader.probability(),
        reader.whole("times", 1, TIMES_MOST),
        {key: found for key in params if (found := reader.range(params[key])) is not None},
    )
    return entry if len(problems) == before else Entry("")


@attrs.frozen
class _Reader:
    """Reads the keys of one row; what is wrong goes to `problems`."""

    row: Mapping[str, Any]
    path: str
    problems: list[str]

    def _refuse(self, key: str, wanted: str) -> None:
        self.problems.append(f"{self.path}.{key}: expected {wanted}, was {self.row[key]!r}")

    def texts(self, key: str, known: tuple[str, ...] | None) -> tuple[str, ...]:
        given = self.row.get(key, [])
        texts = [given] if isinstance(given, str) else given
        if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
            self._refuse(key, "a text or a list of texts")
            return ()
        if known is not None and not set(texts) <= set(known):
            self._refuse(key, f"of {', '.join(known)}")
        return tuple(texts)

    def millis(self, key: str) -> int | None:
        given = self.row.get(key)
        if given is None:
            return None
        low = 0 if key == "from_s" else 0.001
        if not _is_number(given) or not low <= given <= TIME_MOST_S:
            self._refuse(key, f"seconds from {low} to {TIME_MOST_S}")
            return None
        rounded: int = round(given * 1000)
        return rounded

    def probability(self) -> float:
        given = self.row.get("probability", 1.0)
        if not _is_number(given) or not 0 < given <= 1:
            self._refuse("probability", "above 0 and at most 1")
            return 1.0
        return float(given)

    def whole(self, key: str, low: int, high: int) -> int | None:
        given = self.row.get(key)
        if given is not None and not (type(given) is int and low <= given <= high):
            self._refuse(key, f"a whole number from {low} to {high}")
            return None
        return None if given is None else int(given)

    def range(self, param: Param) -> tuple[int, int] | None:
        given = self.row.get(param.name)
        if given is None:
            return None
        ends = given if isinstance(given, list) else [given, given]
        whole = all(type(end) is int and param.low <= end <= param.high for end in ends)
        if len(ends) != 2 or not whole or ends[0] > ends[1]:
            wanted = f"{param.unit} from {param.low} to {param.high}, or [least, most]"
            self._refuse(param.name, wanted)
            return None
        return ends[0], ends[1]


def _storm(table: object, problems: list[str]) -> StormTerms:
    fields = tuple(field.name for field in attrs.fields(StormTerms))
    if not isinstance(table, Mapping):
        problems.append("storm: expected a table")
        return StormTerms()
    problems += [_unknown(f"storm.{key}", key, fields) for key in table if key not in fields]
    reader = _Reader(table, "storm", problems)
    given = {key: reader.whole(key, 1, TIME_MOST_S) for key in fields}
    storm = StormTerms(**{key: value for key, value in given.items() if value is not None})
    if storm.fewest > storm.most:
        problems.append(f"storm.fewest: expected at most {storm.most}, was {storm.fewest}")
    return storm


def to_json(entry: Entry) -> dict[str, object]:
    """An entry as a plan spells it, what is as usual left out."""
    return dict(_spelled(entry))


def _spelled(entry: Entry) -> Iterator[tuple[str, object]]:
    yield "fault", entry.fault
    for key, texts in (("at", entry.at), ("match", entry.match)):
        if texts:
            yield key, list(texts)
    for key, millis in (
        ("from_s", entry.from_ms), ("for_s", entry.for_ms), ("every_s", entry.every_ms)
    ):  # fmt: skip
        if millis:
            yield key, millis / 1000
    if entry.probability != 1:
        yield "probability", entry.probability
    if entry.times is not None:
        yield "times", entry.times
    for key, (low, high) in entry.values.items():
        yield key, low if low == high else [low, high]


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _unknown(path: str, word: object, known: tuple[str, ...]) -> str:
    near = difflib.get_close_matches(word, known, n=1) if isinstance(word, str) else []
    remedy = f"did you mean {near[0]}?" if near else f"expected one of {', '.join(known)}"
    return f"{path}: unknown; {remedy}"
