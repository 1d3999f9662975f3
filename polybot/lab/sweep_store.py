"""A sweep's results on the disk: a Parquet file for each piece of work, so a stop costs little.

A piece is one chunk of windows under one configuration, queue model, latency and seed. Its file is
named by a hash of all that it depends on: the configuration's own digest, what is in the recordings
and in the files that models and seasons are read from, and the program itself, for results of two
programs are not to be compared. A sweep that is run again, or a larger one over the same
recordings, plays only what has no file yet. A file is written under another name until it is
complete, and holds a sum of what it says: a bit that fell over may be another profit, and Parquet
would not know.

Any reader of Parquet takes the folder as one table.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs
import orjson

from polybot.exchange.latency_models import latencies
from polybot.exchange.queue_models import queue_model
from polybot.lab.backtest import Done, Task
from polybot.lab.backtest_sources import Sources
from polybot.lab.sweep_stats import Witness

SUFFIX = ".parquet"
FAULTS, SUM = b"polybot.faults", b"polybot.sum"
MAY_PASS = b"polybot.may_pass"  # beside faults that are not the recording's
PARTS = tuple(field.name for field in attrs.fields(Sources))
_POLYBOT = Path(__file__).resolve().parents[1]


@attrs.frozen
class Piece:
    """A task of a sweep, and which point of the grid it is of."""

    point: str
    task: Task

    @property
    def key(self) -> str:
        task = self.task
        what = (
            task.config.digest, models(task), task.seed, task.chunk.slugs,
            [mark(path) for path in task.chunk.paths], sources(),
        )  # fmt: skip
        return hashlib.sha256(orjson.dumps(what)).hexdigest()[:32]


@functools.lru_cache(maxsize=10_000)
def mark(path: Path) -> str:
    """What is in a file, or in the files of a folder, wherever it lies."""
    files = sorted(path.iterdir()) if path.is_dir() else [path]
    found = hashlib.sha256()
    for file in files:
        if file.is_file():
            found.update(hashlib.sha256(file.read_bytes()).digest() + file.name.encode())
    return found.hexdigest()


def models(task: Task) -> str:
    """What a task's models are, whatever they were read from. Raises ValueError, or OSError, where
    a file of theirs cannot be read.
    """
    named = task.config.pricing.vol_seasons
    season = mark(Path(named)) if named else ""
    return f"{queue_model(task.queue).name} {latencies(task.latency)} {season}"


@functools.cache
def sources() -> str:
    """A mark of this program: all of its files, wherever they lie."""
    found = hashlib.sha256()
    for file in sorted(_POLYBOT.rglob("*.py")):
        found.update(file.relative_to(_POLYBOT).as_posix().encode() + file.read_bytes())
    return found.hexdigest()


def check() -> None:
    """Raises ValueError where Parquet cannot be written."""
    try:
        import pyarrow.parquet  # noqa: F401, PLC0415
    except ImportError as error:
        raise ValueError("a sweep needs pyarrow: pip install 'polybot[lab]'") from error


@attrs.frozen
class Store:
    """One sweep's folder."""

    folder: Path

    def path(self, piece: Piece) -> Path:
        return self.folder / f"{piece.key}{SUFFIX}"

    def write(self, piece: Piece, done: Done) -> None:
        """Keep what a piece came to, what was wrong with its input included."""
        import pyarrow as pa  # noqa: PLC0415 - heavy, and of the laboratory alone
        import pyarrow.parquet as pq  # noqa: PLC0415

        path = self.path(piece)
        part = path.with_name(path.name + ".part")
        rows = [_row(piece, one) for one in done.results]
        columns = {name: [row[name] for row in rows] for name in _schema_names()}
        table = pa.table(columns, schema=_schema(pa))
        said = {FAULTS: orjson.dumps(done.faults)}
        if done.may_pass:
            said[MAY_PASS] = b"true"
        said[SUM] = _sum(table.to_pylist(), said)
        pq.write_table(table.replace_schema_metadata(said), part)
        part.rename(path)

    def read(
        self, piece: Piece, *, just_played: bool = False
    ) -> tuple[list[Witness], tuple[str, ...]] | None:
        """What is kept of a piece: its windows, and what was wrong; None if there is nothing. A
        file that cannot be read is as none, and so is what failed for a reason that may have passed
        since, but where it was `just_played`.
        """
        import pyarrow as pa  # noqa: PLC0415
        import pyarrow.parquet as pq  # noqa: PLC0415

        try:
            table = pq.read_table(self.path(piece))
            said = table.schema.metadata or {}
            rows = table.to_pylist()
            if said[SUM] != _sum(rows, said):
                return None
            faults = orjson.loads(said[FAULTS])
        except (OSError, KeyError, ValueError, pa.ArrowException):
            return None
        if MAY_PASS in said and not just_played:
            return None
        names = [field.name for field in attrs.fields(Witness)]
        return [Witness(**{name: row[name] for name in names}) for row in rows], tuple(faults)


_TEXTS = ("point", "queue", "latency", "slug", "winner", "halted")
_NUMBERS = (
    "seed",
    "start_ms",
    "end_ms",
    "profit",
    *PARTS,
    "fills",
    "shares",
    "orders",
    "decisions",
)


def _schema_names() -> Sequence[str]:
    return (*_TEXTS, *_NUMBERS)


def _schema(pa: Any) -> Any:
    texts = [(name, pa.string()) for name in _TEXTS]
    return pa.schema([*texts, *((name, pa.int64()) for name in _NUMBERS)])


def _sum(rows: Sequence[dict[str, Any]], said: Mapping[bytes, bytes]) -> bytes:
    """Of all that a file tells."""
    told = orjson.dumps([rows, MAY_PASS in said]) + said[FAULTS]
    return hashlib.sha256(told).hexdigest().encode()


def _row(piece: Piece, one: Any) -> dict[str, Any]:
    task = piece.task
    held = {
        "point": piece.point, "queue": task.queue, "latency": task.latency, "seed": task.seed,
    }  # fmt: skip
    own = {name: getattr(one, name) for name in _schema_names() if hasattr(one, name)}
    return own | held | attrs.asdict(one.sources)
