"""Tapes for the tests."""

from __future__ import annotations

from pathlib import Path

import attrs

from polybot.journal.tape import Event, Header, Kind, Reader, Writer

HEADER = Header("run-1", 0, 1_795_132_800_000, "c0ffee", {"polybot": "0.1.0"}, {"mode": "paper"})
END_SIZE = 16  # bytes of a file's own end
T0_NS = 1_795_132_800_000_000_000


def events(count: int, first: int = 0) -> list[tuple[int, int, str, bytes]]:
    """Frames of one market, a millisecond apart, each with its number in its body."""
    return [
        (T0_NS + n * 1_000_000, Kind.HEARD, "market up", b'{"n":%d,"hash":"%040x"}' % (n, n**9))
        for n in range(first, first + count)
    ]


def written(path: Path, blocks: int = 3, each: int = 10) -> Path:
    """A tape of so many blocks after its header."""
    writer = Writer(path, HEADER)
    for block in range(blocks):
        writer.write(events(each, block * each))
    writer.close()
    return path


def three_parts(folder: Path) -> list[Path]:
    """A run of three files."""
    paths = []
    for part in range(3):
        path = folder / f"run-1-{part:04}.tape"
        writer = Writer(path, attrs.evolve(HEADER, part=part))
        writer.write(events(2, 2 * part))
        writer.close(goes_on=part < 2)
        paths.append(path)
    return paths


def read(path: Path) -> tuple[list[Event], Reader]:
    """Everything readable, and the reader that knows how it ended."""
    with Reader(path) as reader:
        return list(reader.events()), reader


def rows(found: list[Event]) -> list[tuple[int, int, str, bytes]]:
    return [(event.at_ns, event.kind, event.stream, event.body) for event in found]
