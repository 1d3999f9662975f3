"""`python -m polybot tape info|cat|export`: look at a tape, or take it elsewhere.

A path is a file, a folder, whose newest run is meant with all its files, or a flight record.
What is readable is shown in any case; a tape that was cut or damaged says where, and the command
ends with 1. What is no tape, or one of a newer version, ends with 2.
"""

from __future__ import annotations

import argparse
import csv
import itertools
import shutil
import sys
import tempfile
import zipfile
from collections import Counter, deque
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

import attrs
import msgpack
import orjson

from polybot.core_tape import INPUTS, quote_of
from polybot.journal.recorder import SUFFIX, by_part
from polybot.journal.tape import (
    Event,
    Kind,
    Reader,
    TapeError,
    gap,
    hole,
    lost_after,
    lost_before,
)
from polybot.lab import numbers
from polybot.lab.places import NO_ROOM, file_place, reason

EXIT_WHOLE, EXIT_DAMAGED, EXIT_UNREADABLE = 0, 1, 2
ROWS = 50_000  # of a Parquet row group, and of what is held in memory
COLUMNS = ("at_ns", "kind", "stream", "body")


def main(argv: Sequence[str]) -> int:
    said = _parser().parse_args(argv)
    try:
        with tapes(said.path) as files:
            if said.verb == "info":
                return info(files)
            chosen = Chosen.of(said)
            if said.verb == "cat":
                return cat(files, chosen, as_json=said.json)
            return export(files, chosen, said.out)
    except BrokenPipeError:  # `| head` has seen enough
        sys.stderr.close()
        return EXIT_WHOLE
    except (TapeError, OSError, ValueError) as error:
        if isinstance(error, OSError) and error.errno in NO_ROOM:
            raise  # not of what is read: who calls all commands has the words and the code
        sys.stderr.write(f"{reason(error)}\n")
        return EXIT_UNREADABLE


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="polybot tape", description="Look at a tape.", allow_abbrev=False
    )
    verbs = parser.add_subparsers(dest="verb", required=True)
    for verb, what in (
        ("info", "what it holds, and whether it is whole"),
        ("cat", "its events, a line each"),
        ("export", "its events as Parquet or CSV"),
    ):
        made = verbs.add_parser(verb, help=what, allow_abbrev=False)
        made.add_argument(
            "path", type=Path, help="a tape, a folder (its newest run), or a flight record"
        )
        if verb == "info":
            continue
        made.add_argument("--kind", choices=[kind.name.lower() for kind in Kind])
        made.add_argument("--stream", metavar="START", help="only streams that begin so")
        made.add_argument(
            "--last", type=numbers.whole(0), metavar="N", help="only the last N of these"
        )
        if verb == "cat":
            made.add_argument("--json", action="store_true", help="JSON lines")
        else:
            made.add_argument(
                "out", type=file_place, help="FILE.parquet or FILE.csv; must not exist"
            )
    return parser


@contextmanager
def tapes(path: Path) -> Iterator[list[Path]]:
    """The files of one run, first to last, while the body runs. Raises ValueError where there are
    none.
    """
    if path.suffix != ".zip":
        yield _newest_run(path) if path.is_dir() else [path]
        return
    with tempfile.TemporaryDirectory() as folder:
        try:
            with zipfile.ZipFile(path) as flight:
                found = [one for one in flight.infolist() if one.filename.endswith(SUFFIX)]
                # By their own names: an archive from elsewhere decides nothing about where.
                for one in found:
                    _unpack(flight, one, Path(folder) / Path(one.filename).name)
        except zipfile.BadZipFile as error:
            raise ValueError(f"{path}: not a flight record: {error}") from error
        if not found:
            raise ValueError(f"{path}: no tape in this flight record")
        yield _newest_run(Path(folder))


def _unpack(flight: zipfile.ZipFile, one: zipfile.ZipInfo, place: Path) -> None:
    """A tape out of a record, whatever the archive's sum of it says: one that was changed says
    itself where, and what is before that place can be read.
    """
    del one.CRC  # where there is none, none is checked
    with flight.open(one) as packed, place.open("wb") as out:
        shutil.copyfileobj(packed, out)


def _newest_run(path: Path) -> list[Path]:
    runs: dict[str, list[Path]] = {}
    for file in path.glob(f"*{SUFFIX}"):
        runs.setdefault(file.stem.rpartition("-")[0], []).append(file)
    if not runs:
        raise ValueError(f"{path}: no tape in this folder")
    return sorted(runs[max(runs)], key=by_part)


@attrs.frozen
class Chosen:
    """Which events are wanted."""

    kind: Kind | None = None
    stream: str = ""
    last: int | None = None

    @classmethod
    def of(cls, said: argparse.Namespace) -> Chosen:
        kind = Kind[said.kind.upper()] if said.kind else None
        return cls(kind, said.stream or "", said.last)

    def wants(self, event: Event) -> bool:
        return (self.kind is None or event.kind is self.kind) and event.stream.startswith(
            self.stream
        )


@attrs.define
class Tapes:
    """The events of several files in order, and how whole they were: what is missing before the
    first, between two, or behind the last is said on stderr, as is what is wrong in one.

    `gapless`: none behind what is missing, within a file as well, for those to whom one event is
    the ground of the next.
    """

    files: Sequence[Path]
    gapless: bool = False
    whole: bool = True

    def events(self, chosen: Chosen = Chosen()) -> Iterator[Event]:
        wanted: Iterator[Event] = self.all()
        if chosen.kind is not None or chosen.stream:
            wanted = (event for event in self.all() if chosen.wants(event))
        if chosen.last is None:
            return wanted
        return iter(deque(wanted, maxlen=max(chosen.last, 0)))

    def all(self) -> Generator[Event]:
        """Every readable event, up to the first hole between two files. Close it where it is not
        read to its end.
        """
        with closing(self.readers()) as readers:
            for reader in readers:
                yield from reader.events()

    def readers(self) -> Generator[Reader]:
        """Each file in turn, to be read before the next is asked for. Raises TapeError where
        nothing of the first can be.
        """
        before: Reader | None = None
        for path in self.files:
            try:
                reader = Reader(path)
            except TapeError as error:
                if before is None:
                    raise
                self._lacks(f"{error}; it and what follows are not read")
                return
            with reader:
                if not self._follows(before, reader):
                    return
                yield reader
            self.whole &= tell_damage(reader)
            before = reader
        if before is not None and (why := lost_after(before)) is not None:
            self._lacks(f"{before.path.name}: {why}")

    def _follows(self, before: Reader | None, reader: Reader) -> bool:
        """Whether a file is the next one of its run; the first follows on nothing."""
        name = reader.path.name
        if before is None:
            if (why := lost_before(reader.header)) is not None:
                self._lacks(f"{name}: {why}")
            return True
        why = gap(before, reader) if self.gapless else hole(before.header, reader.header)
        if why is not None:
            self._lacks(f"{name}: {why}; it and what follows are not read")
        return why is None

    def _lacks(self, why: str) -> None:
        self.whole = False
        sys.stderr.write(f"{why}\n")

    @property
    def code(self) -> int:
        return EXIT_WHOLE if self.whole else EXIT_DAMAGED


def read_runs(paths: Sequence[Path], take: Callable[[Iterator[Event]], object]) -> bool:
    """Give the events of each path's run to `take`, one run after the other. Returns whether all
    tapes were whole; what was wrong is on stderr, and what is behind it is not read. Raises
    TapeError, OSError or ValueError.
    """
    whole, known = True, set[tuple[str, int, int]]()
    for path in paths:
        with tapes(path) as files:
            parts = set(filter(None, map(_part_of, files)))
            for run, part, _ in sorted(parts & known):
                raise ValueError(
                    f"{path}: part {part} of run {run} was named before: "
                    "name each run once, or what it holds counts twice"
                )
            known |= parts
            read = Tapes(files, gapless=True)
            take(read.events())
            whole &= read.whole
    return whole


def _part_of(path: Path) -> tuple[str, int, int] | None:
    """Which run a file is of, which part of it, and when that began; None where it does not say."""
    try:
        with Reader(path) as reader:
            return reader.header.run, reader.header.part, reader.header.started_ms
    except TapeError:
        return None


def tell_damage(reader: Reader) -> bool:
    """Say on stderr what is wrong with a tape; True if nothing is."""
    name, found = reader.path.name, reader.damage
    if reader.repeated:
        sys.stderr.write(f"{name}: {reader.repeated} blocks came twice and were read once\n")
    if reader.backwards:
        sys.stderr.write(f"{name}: the clock went back {reader.backwards} times\n")
    for said in reader.told:
        sys.stderr.write(f"{name}: it says of itself: {said}\n")
    if found is None:
        return not reader.told
    what = "cut" if found.cut else "damaged"
    sys.stderr.write(
        f"{name}: {what} at byte {found.at_byte}: {found.why}; "
        f"the {reader.events_read} events before it were read\n"
    )
    return False


# --- info ---------------------------------------------------------------------------------------


def info(files: Sequence[Path]) -> int:
    """What each file holds, by stream, and whether it is whole."""
    read = Tapes(files)
    for reader in read.readers():
        counts: Counter[tuple[str, str]] = Counter()
        sizes: Counter[tuple[str, str]] = Counter()
        for event in reader.events():
            key = event.kind.name.lower(), event.stream
            counts[key] += 1
            sizes[key] += len(event.body)
        sys.stdout.write("\n".join(_facts(reader, sizes.total())) + "\n")
        for (kind, stream), count in sorted(counts.items()):
            sys.stdout.write(f"  {kind:8}{stream:40}{count:>10}{sizes[kind, stream]:>14,} bytes\n")
    return read.code


def _facts(reader: Reader, raw: int) -> list[str]:
    header, size = reader.header, reader.path.stat().st_size
    seconds = (reader.last_ns - reader.first_ns) / 1e9
    told = header.facts | header.versions
    return [
        f"{reader.path.name}: run {header.run}, part {header.part}",
        f"  began {_time(header.started_ms * 1_000_000)}, {seconds:.1f} s long",
        f"  {reader.events_read} events in {reader.blocks} blocks",
        f"  {size:,} bytes for {raw:,} of events ({size / max(raw, 1):.3f})",
        f"  configuration {header.config_hash[:16]}",
        "  " + ", ".join(f"{name} {value}" for name, value in told.items() if value),
    ]


# --- cat and export -------------------------------------------------------------------------------


def cat(files: Sequence[Path], chosen: Chosen, *, as_json: bool) -> int:
    read, found = Tapes(files), False
    for event in read.events(chosen):
        found = True
        kind, body = event.kind.name.lower(), text_of(event)
        if as_json:
            row = dict(zip(COLUMNS, (event.at_ns, kind, event.stream, body), strict=True))
            sys.stdout.write(orjson.dumps(row).decode() + "\n")
        else:
            sys.stdout.write(f"{_time(event.at_ns)} {kind:8}{event.stream}: {body}\n")
    if not found:
        sys.stderr.write("no such event: `tape info` names the kinds and streams\n")
    return read.code


def text_of(event: Event) -> str:
    """An event's body for people. Values of the core are shown as Python does; those that another
    version wrote, and this one does not know, as they are packed.
    """
    with suppress(ValueError):
        if event.kind is Kind.FED:
            return str(INPUTS.unpack(event.body))
        if event.kind is Kind.DECIDED and event.stream.startswith("quote "):
            return str(quote_of(event.body))
    if event.kind in {Kind.FED, Kind.DECIDED}:
        return str(msgpack.unpackb(event.body))
    return event.body.decode("utf-8", "backslashreplace")


def export(files: Sequence[Path], chosen: Chosen, out: Path) -> int:
    """Write the chosen events to a table. Raises ValueError for a name that says no format."""
    read = Tapes(files)
    if out.exists():
        raise ValueError(f"{out}: is there already")
    write = {".csv": _csv, ".parquet": _parquet}.get(out.suffix)
    if write is None:
        raise ValueError(f"{out}: name it .parquet or .csv")
    # Under another name until it is complete: half a table looks like a whole one.
    part = out.with_name(f"{out.name}.part")
    try:
        write(read.events(chosen), part)
        part.rename(out)
    finally:
        part.unlink(missing_ok=True)
    return read.code


def _csv(events: Iterator[Event], out: Path) -> None:
    with out.open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file)
        table.writerow(COLUMNS)
        for event in events:
            body = event.body.decode("utf-8", "backslashreplace")
            table.writerow((event.at_ns, event.kind.name.lower(), event.stream, body))


def _parquet(events: Iterator[Event], out: Path) -> None:
    try:
        import pyarrow as pa  # noqa: PLC0415 - heavy, and of the laboratory alone
        import pyarrow.parquet as pq  # noqa: PLC0415
    except ImportError as error:
        raise ValueError("Parquet needs pyarrow: pip install 'polybot[lab]'") from error
    types = (pa.int64(), pa.string(), pa.string(), pa.binary())
    schema = pa.schema(list(zip(COLUMNS, types, strict=True)))
    with pq.ParquetWriter(out, schema, compression="zstd") as writer:
        for some in _batches(events):
            columns = (
                [event.at_ns for event in some],
                [event.kind.name.lower() for event in some],
                [event.stream for event in some],
                [event.body for event in some],
            )
            writer.write_table(pa.table(dict(zip(COLUMNS, columns, strict=True)), schema=schema))


def _batches(events: Iterator[Event]) -> Iterator[list[Event]]:
    while some := list(itertools.islice(events, ROWS)):
        yield some


def _time(at_ns: int) -> str:
    moment = datetime.fromtimestamp(at_ns // 1_000_000_000, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{at_ns // 1000 % 1_000_000:06d}Z"
