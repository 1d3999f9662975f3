"""Reading recorded markets: two file formats, each turned into the same snapshots, line by line.

Whatever is wrong with a file becomes a ValueError that names the file and what to do. Prices are
10⁻⁴, sizes 10⁻⁶, times Unix milliseconds; books are in Up terms.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any, TypeVar

import attrs
import orjson
import zstandard

from polybot.exchange.model import DOWN, UP
from polybot.exchange.money import ONE, UNIT

MOST_LINE = 1_000_000  # bytes; the longest real line is 4 kB
MOST_ROWS = 100_000  # of a file kept in memory: a window at 1 Hz has 2,500
SUFFIX = ".jsonl.zst"
FULL_SUFFIX = ".orderbook.jsonl.zst"
INDEX = "index.csv"

S = TypeVar("S")
T = TypeVar("T")
Side = dict[int, int]  # price → size


@attrs.frozen
class Snapshot:
    """The recorded book at one instant."""

    at_ms: int
    bids: Side
    asks: Side


@attrs.frozen
class RecordedTick:
    """The underlying at one instant, US dollars."""

    at_ms: int
    chainlink: float
    binance: float


@attrs.frozen
class FullMarket:
    """A market with everything known: books, prices, strike, final."""

    slug: str
    snapshots: tuple[Snapshot, ...]
    ticks: tuple[RecordedTick, ...]
    strike: float
    final: float


@attrs.frozen
class BookMarket:
    """A market of which only books were recorded. `winner` is UP or DOWN, token_a taken as Up."""

    slug: str
    start_ms: int
    end_ms: int
    path: Path
    up_token: str
    winner: int

    def snapshots(self) -> Iterator[Snapshot]:
        """Read as they are asked for, so that a market of 10 MB is never held whole."""
        at_ms = 0
        for row in _rows(self.path):
            snapshot = _checked(self.path, row, self._snapshot)
            if snapshot.at_ms > at_ms:  # the second copy of a mirrored event has the same stamp
                at_ms = snapshot.at_ms
                yield snapshot

    def _snapshot(self, row: dict[str, Any]) -> Snapshot:
        message = row["msg"]
        bids, asks = _levels(message["bids"]), _levels(message["asks"])
        if message["asset_id"] != self.up_token:
            bids, asks = _mirror(asks), _mirror(bids)
        return Snapshot(int(message["timestamp"]), bids, asks)


def find(path: Path) -> list[Path]:
    """The recorded files of a path, by time. ValueError when there are none, or two kinds."""
    files = sorted(path.glob("*" + SUFFIX)) if path.is_dir() else [path]
    if not files or not all(file.is_file() and file.name.endswith(SUFFIX) for file in files):
        raise ValueError(f"no recording at {path}: give a *{SUFFIX} file or a folder of them")
    if len({is_full(file) for file in files}) > 1:
        raise ValueError(f"{path} mixes *{FULL_SUFFIX} with other files: name one file instead")
    return files


def is_full(path: Path) -> bool:
    """Whether the file holds prices and outcome with its books (told by its name)."""
    return path.name.endswith(FULL_SUFFIX)


def read_full(path: Path) -> FullMarket:
    """Read a 1 Hz recording of a whole market. ValueError when it is damaged or unfinished."""
    rows = [row for _, row in zip(range(MOST_ROWS + 1), _rows(path), strict=False)]
    if len(rows) > MOST_ROWS:
        raise ValueError(f"{path} has more than {MOST_ROWS} rows: cut it into one market a file")
    return _checked(path, rows, _full)


def _full(rows: list[dict[str, Any]]) -> FullMarket:
    kinds: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        kinds.setdefault(row["type"], []).append(row)
    result = kinds["resolution"][-1]
    snapshots = tuple(
        Snapshot(row["ts"], _pairs(row["up"]["bids"]), _pairs(row["up"]["asks"]))
        for row in kinds["orderbook_snapshot"]
        if row["up"] is not None
    )
    ticks = tuple(
        RecordedTick(row["ts"], float(row["assetPrice"]), float(row["binancePrice"]))
        for row in kinds["ticker"]
    )
    strike, final = float(result["openPrice"]), float(result["closePrice"])
    if (result["direction"] == "UP") != (final >= strike):
        raise ValueError("its prices contradict its outcome")
    return FullMarket(kinds["slot"][0]["slug"], snapshots, ticks, strike, final)


def read_index(files: list[Path]) -> list[BookMarket]:
    """Book-only markets as the folder's index describes them. ValueError when it does not."""
    index = files[0].parent / INDEX
    if not index.is_file():
        raise ValueError(f"{index} is missing: it says which token won; restore it")
    with index.open(newline="") as lines:
        rows = {row.get("slug", ""): row for row in csv.DictReader(lines)}
    markets = []
    for file in files:
        row = rows.get(file.name.removesuffix(SUFFIX))
        if row is None:
            raise ValueError(f"{index} has no row for {file.name}: add it or remove the file")
        markets.append(_checked(index, (file, row), _described))
    return markets


def _described(source: tuple[Path, dict[str, str]]) -> BookMarket:
    path, row = source
    winner = {"a": UP, "b": DOWN}[row["winner_token"]]
    start_ms, end_ms = int(row["start_s"]) * 1000, int(row["end_s"]) * 1000
    return BookMarket(row["slug"], start_ms, end_ms, path, row["token_a"], winner)


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    """The lines of a compressed file as objects, blank ones left out."""
    try:
        with path.open("rb") as raw, zstandard.ZstdDecompressor().stream_reader(raw) as plain:
            lines = io.BufferedReader(plain)
            while line := lines.readline(MOST_LINE):
                if not line.isspace():
                    yield orjson.loads(line)
    except (OSError, zstandard.ZstdError, orjson.JSONDecodeError) as error:
        raise ValueError(f"{path} cannot be read ({error}): fetch it again") from error


def _checked(path: Path, source: S, read: Callable[[S], T]) -> T:
    try:
        return read(source)
    except (KeyError, TypeError, ValueError, ArithmeticError, IndexError) as error:
        text = f"{path} is not what its name promises ({error!r}): fetch it again or leave it out"
        raise ValueError(text) from error


def _levels(rows: list[dict[str, str]]) -> Side:
    return {_scaled(row["price"], ONE): _scaled(row["size"], UNIT) for row in rows}


def _pairs(rows: list[list[float]]) -> Side:
    return {_scaled(str(price), ONE): _scaled(str(size), UNIT) for price, size in rows}


def _scaled(text: str, scale: int) -> int:
    return int(Decimal(text) * scale)


def _mirror(side: Side) -> Side:
    return {ONE - price: size for price, size in side.items()}
