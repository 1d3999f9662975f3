"""The calibration log: one line for each sample of a market, once its result is known.

Appended to a file if the operator names one; `python -m polybot lab calibration --log FILE` scores
it. A line tells `slug, up, left_s, q, d, sigma, market, blended`.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import BinaryIO

import attrs
import orjson
import trio
from loguru import logger

from polybot.pricing.calibration import Row, Sample
from polybot.records import IntervalRecord, Records

WRITE_EVERY_S = 30.0
LINE_MOST = 4096  # bytes, many times a row; what is longer is no line of ours
_RESULTS = {"Up": 1, "Down": 0}  # a void says nothing of probabilities


@attrs.define(eq=False)
class CalibrationLog:
    """Writes in a thread; a disk that fails costs lines, told once, and nothing else."""

    records: Records
    path: Path
    _told: bool = False

    async def run(self) -> None:
        while True:
            await trio.sleep(WRITE_EVERY_S)
            await self.write()

    async def write(self) -> None:
        """Append what is complete since the last time."""
        rows = [row for record in self.records.by_market.values() for row in _complete(record)]
        if not rows:
            return
        try:
            await trio.to_thread.run_sync(_append, self.path, rows)
        except OSError as error:
            if not self._told:
                self._told = True
                logger.error("calibration log {}: {}", self.path, error)


def _complete(record: IntervalRecord) -> list[Row]:
    """A market's rows, taken out so that they are written once."""
    up = _RESULTS.get(record.outcome or "")
    if up is None or not record.sampler.samples:
        return []
    samples, record.sampler.samples = record.sampler.samples, []
    return [Row(record.market.slug, sample, up) for sample in samples]


def _append(path: Path, rows: list[Row]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab+") as file:
        _mend(file)
        file.write(b"".join(line(row) for row in rows))


def _mend(file: BinaryIO) -> None:
    """Take out a last line that a crash or a full disk has cut short: with another behind it, it
    would be a line that nothing can read.
    """
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - LINE_MOST))
    last = file.read().rpartition(b"\n")[2]
    if not last:
        return
    try:
        orjson.loads(last)
        cut = False
    except ValueError:
        cut = len(last) < LINE_MOST
    if cut:
        file.truncate(size - len(last))
    else:
        file.write(b"\n")


def line(row: Row) -> bytes:
    """One row as a line of JSON."""
    told = {"slug": row.slug, "up": row.up, **attrs.asdict(row.sample)}
    return orjson.dumps(told, option=orjson.OPT_APPEND_NEWLINE)


def read(path: Path, faults: list[str]) -> list[Row]:
    """The rows of a log; a last line cut short, by a crash or a copy, is left out, and told among
    `faults`. Raises ValueError for any other line that is none, naming it.
    """
    rows: list[Row] = []
    lines = path.read_bytes().split(b"\n")
    for number, text in enumerate(lines, 1):
        if not text:
            continue
        try:
            rows.append(_row(orjson.loads(text)))
        except (ValueError, KeyError, TypeError) as error:
            if number == len(lines):
                faults.append(f"{path}, line {number}: cut short, and left out")
                continue
            raise ValueError(f"{path}, line {number}: not a calibration row: {error}") from None
    return rows


def _row(told: dict[str, object]) -> Row:
    names = [field.name for field in attrs.fields(Sample)]
    values = {name: told[name] for name in names}
    for name, value in values.items():
        if value is None and name in ("market", "blended"):
            continue  # it was not seen
        if not isinstance(value, int | float):
            raise ValueError(f"{name} is {value!r}")
        if name in ("q", "market", "blended") and not 0 <= value <= 1:
            raise ValueError(f"{name} is {value!r}: a probability is between 0 and 1")
    if told["up"] not in (0, 1):
        raise ValueError(f"up is {told['up']!r}")
    return Row(str(told["slug"]), Sample(**values), int(told["up"] == 1))  # type: ignore[arg-type]
