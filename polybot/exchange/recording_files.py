"""Reading recorded files: lines as far as they can be read, and what is wrong said once.

A damaged file gives what comes before the damage, with a warning in `warnings` and in the log:
never a silent half. A file of which nothing can be read is a ValueError that names it and the
remedy.
"""

from __future__ import annotations

import csv
import math
import zlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import orjson
import zstandard
from loguru import logger

MOST_LINE = 1_000_000  # bytes; the longest real line is 12 kB
CHUNK = 65_536
FIRST_MS, LAST_MS = 10**12, 10**13  # 2001 to 2286: times in s, µs and ns lie outside

T = TypeVar("T")

# One stream of each: both end where it does, and tell what follows it.
_UNPACKERS: dict[str, Callable[[], Any]] = {
    ".zst": lambda: zstandard.ZstdDecompressor().decompressobj(),
    ".gz": lambda: zlib.decompressobj(wbits=31),
}


class Warnings(list[str]):
    """What a reader found wrong, in the order found; each is logged when it is added. `cut`: a part
    of it could not be read, where the rest is only to be known.
    """

    cut: bool = False

    def tell(self, text: str) -> None:
        if text not in self:
            self.append(text)
            logger.warning("recording: {}", text)

    def cuts(self, name: str, what: str, where: str = "") -> None:
        """A file's reading ends before the file does: what follows rests on what is missing."""
        self.cut = True
        self.tell(f"{name} {what}{where}: only the part before it is used")


def lines(path: Path, warnings: Warnings) -> Iterator[bytes]:
    """The lines of a plain, zstd or gzip file, blank ones left out, up to the first damage."""
    rest, read = b"", 0
    try:
        for chunk in chunks(path):
            *whole, rest = (rest + chunk).split(b"\n")
            _check_length(rest)
            for line in whole:
                if not line.isspace() and line:
                    read += 1
                    yield line
        if rest and not rest.isspace():
            read += 1
            yield rest
    except (OSError, zstandard.ZstdError, zlib.error, ValueError) as error:
        if not read:
            raise ValueError(f"{path} cannot be read ({error}): fetch it again") from error
        warnings.cuts(path.name, f"is damaged ({error})", f" after row {read}")
    if not read:
        raise ValueError(f"{path} is empty: fetch it again")


def chunks(path: Path) -> Iterator[bytes]:
    """The bytes of a plain or packed file, as much at a time as is sound. ValueError at its end
    when it was cut short, ZstdError or zlib.error where it is broken.
    """
    unpacker = _UNPACKERS.get(path.suffix)
    with path.open("rb") as raw:
        if unpacker is None:
            while chunk := raw.read(CHUNK):
                yield chunk
            return
        decoder = unpacker()
        while chunk := raw.read(CHUNK):
            while chunk:
                if decoder.eof:  # the next frame of several
                    decoder = unpacker()
                yield decoder.decompress(chunk)
                chunk = decoder.unused_data
        if not decoder.eof:
            raise ValueError("it is cut short")


def rows(path: Path, warnings: Warnings) -> Iterator[dict[str, Any]]:
    """JSON lines as objects; a line that is none ends the reading with a warning."""
    for number, line in enumerate(lines(path, warnings), 1):
        try:
            row = _object(line)
        except ValueError as error:
            if number == 1:
                raise ValueError(f"{path} holds no JSON lines: fetch it again") from error
            warnings.cuts(path.name, f"is damaged ({error})", f" at row {number}")
            return
        yield row


def _check_length(line: bytes) -> None:
    if len(line) > MOST_LINE:
        raise ValueError(f"a line of more than {MOST_LINE} bytes")


def _object(line: bytes) -> dict[str, Any]:
    row = orjson.loads(line)
    if not isinstance(row, dict):
        raise ValueError("a line that is no object")
    return row


def table(path: Path, warnings: Warnings) -> Iterator[dict[str, str]]:
    """The rows of a CSV file by their column names; one of other columns ends the reading."""
    text = (line.decode(errors="replace") for line in lines(path, warnings))
    read = 0
    try:
        for row in csv.DictReader(text):
            if None in row.values() or None in row:
                fault = "ends within a row" if None in row.values() else "has too long a row"
                warnings.cuts(path.name, fault, f", row {read + 1}")
                break
            read += 1
            yield row
    except csv.Error as error:
        warnings.cuts(path.name, f"is damaged ({error})", f" at row {read + 1}")
    if not read:
        raise ValueError(f"{path} holds no whole row: fetch it again")


def readable(
    path: Path,
    warnings: Warnings,
    source: Iterable[Any],
    read: Callable[[Any], T],
    what: str = "row",
) -> Iterator[T]:
    """`read` of every row, until one is not what the format promises."""
    for number, row in enumerate(source, 1):
        try:
            item = read(row)
        except (KeyError, TypeError, ValueError, ArithmeticError, IndexError) as error:
            if number == 1:
                raise unlike(path, error) from error
            warnings.cuts(path.name, f"is damaged ({error!r})", f" at {what} {number}")
            return
        yield item


def unlike(path: Path, error: object) -> ValueError:
    """A file that is not of the format its name promises."""
    return ValueError(
        f"{path} is not what its name promises ({error!r}): fetch it again or leave it out"
    )


def stamp_ms(value: object) -> int:
    """A Unix time in milliseconds; another unit is told by its size. ValueError."""
    at_ms = int(str(value))
    if not FIRST_MS <= at_ms < LAST_MS:
        raise ValueError(f"{value} is no Unix time in milliseconds")
    return at_ms


def dollars(value: Any) -> float:
    """A price of the underlying, finite and above nought. ValueError."""
    price = float(value)
    if not 0 < price < math.inf:
        raise ValueError(f"{value} is no price")
    return price
