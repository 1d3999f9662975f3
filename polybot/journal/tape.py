"""The tape: everything heard, decided and sent, in the order in which it happened.

A tape is for reading afterwards – replay, divergence, a look at what went wrong – and never for
restarting: what a restart must know is in the journal, which is synced. The tape is flushed to the
operating system, so that a killed process loses nothing that was flushed; a power cut may.

A file is a magic, then blocks: a fixed head (`_HEAD`: a mark, its number, how many
bytes follow, their CRC-32), then msgpack compressed by zstd. Block 0 is the `Header`; every other
is a list of events. Length and sum before the bytes let a reader tell a tape that ends in the
middle of a block, which is what a kill leaves, from one that was damaged.

All blocks of a file are one zstd stream, flushed at the end of each: a quarter second of a quiet
market is some thirty frames, too few to be compressed alone, and each looks like those before it.
The price is that nothing behind a damaged block can be read; it would not be trusted anyway.
Rejected: Parquet (no footer, no file), SQLite (four times the bytes and twice the time,
performance.md 7).

An event is (recv_ns, kind, stream, body): nanoseconds of the venue's clock as we know it, what it
is, where from or where to, and the bytes themselves, undecoded. Reading pays for the decoding, the
hot path does not.

A file that its writer has closed ends with a head alone, which says how many blocks there are:
without it a tape that a kill or a copy cut at the edge of a block would pass for a whole one. Where
the sum of a block would be it says whether the run goes on in another file, so that a run whose
last files are missing does not pass for a whole one either. Tapes written before say that none
does.
"""

from __future__ import annotations

import enum
import os
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Self

import attrs
import msgpack
import msgspec
import zstandard

MAGIC = b"polytape"
# 1 had neither FED nor DECIDED, 2 other decisions, 3 no doubt about rules, 4 no end, 5 no word of
# late books, 6 caps off the grid, 7 a tick that an older book brought back.
VERSION = 8
ENDED_SINCE = 5
_HEAD = struct.Struct("<4sIII")  # kind, number, bytes that follow, CRC-32 of them
_MARK, _END = b"blk\n", b"end\n"
_RUN_ENDS, _RUN_GOES_ON = 0, 1  # in the place of an end's sum
LEVEL = 1  # zstd; 3 costs a quarter more time for nothing (performance.md 7)
NO_END = "it has no end: its program was killed, writes it still, or this is a part of it"
FLUSH = zstandard.COMPRESSOBJ_FLUSH_BLOCK


class Kind(enum.IntEnum):
    """What an event is."""

    HEARD = 1  # a frame or an answer, as it came
    SENT = 2  # a frame or a request, as it left
    TOLD = 3  # something about the tape itself
    FED = 4  # what else the core was handed, by whom it may be (core_tape.py)
    DECIDED = 5  # what the core made of all this


# Under names of their own, for those who look at every event of a tape: finding a member by its
# class takes longer than the comparison it is for.
HEARD, SENT, TOLD, FED, DECIDED = Kind


class Event(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """`at_ns`: Unix nanoseconds by the program's clock."""

    at_ns: int
    kind: Kind
    stream: str
    body: bytes


_events_of = msgspec.msgpack.Decoder(list[Event]).decode


@attrs.frozen
class Header:
    """What a reader must know of the run that made a tape. `part` counts the files of one run."""

    run: str
    part: int
    started_ms: int
    config_hash: str
    versions: dict[str, str]
    facts: dict[str, str] = attrs.field(factory=dict)


class TapeError(Exception):
    """This is no tape, or none that we can read; the text says why."""


class TapeNewer(TapeError):
    """A newer version wrote it."""


@attrs.frozen
class Damage:
    """Where the readable part of a tape ends, and what is wrong there.

    `cut`: the file ends in the middle of a block, or behind one where its own end should be, as
    after a kill; nothing that was flushed is missing. Otherwise bytes were changed, and what
    follows them is not read.
    """

    at_byte: int
    after_block: int
    why: str
    cut: bool = False


class Writer:
    """Writes one file. Not thread-safe; `write` blocks for as long as the disk does."""

    def __init__(self, path: Path, header: Header) -> None:
        """Begin a file that must not exist. Raises OSError."""
        self.path = path
        self.bytes = 0
        self._number = 0
        self._pack = msgpack.Packer(use_bin_type=True)
        self._press = zstandard.ZstdCompressor(level=LEVEL).compressobj()
        # Unbuffered: what is written is out of our hands. Only for the owner: it tells positions.
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        self._file = os.fdopen(descriptor, "wb", buffering=0)
        try:
            self._put(MAGIC + bytes([VERSION]))
            self._block(self._pack.pack(attrs.asdict(header)))
        except BaseException:
            self.abandon()
            raise

    def write(self, events: list[tuple[int, int, str, bytes]]) -> None:
        """Append one block of events and hand it to the operating system. Raises OSError."""
        self._block(self._pack.pack(events))

    def _block(self, plain: bytes) -> None:
        pressed = self._press.compress(plain) + self._press.flush(FLUSH)
        head = _HEAD.pack(_MARK, self._number, len(pressed), zlib.crc32(pressed))
        self._put(head + pressed)
        self._number += 1

    def _put(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            view = view[self._file.write(view) :]
        self.bytes += len(data)

    @property
    def end(self) -> bytes:
        """What would end the file where it stands."""
        return self._ends(_RUN_ENDS)

    def _ends(self, how: int) -> bytes:
        return _HEAD.pack(_END, self._number, 0, how)

    def close(self, *, goes_on: bool = False) -> None:
        """Write the end, and let go of the file in any case; `goes_on`: the run does, in the next
        file. Raises OSError.
        """
        try:
            self._put(self._ends(_RUN_GOES_ON if goes_on else _RUN_ENDS))
        finally:
            self.abandon()

    def abandon(self) -> None:
        """Let go of a file that has no end, for its last block may be torn."""
        self._file.close()


class Reader:
    """One file, front to back. `damage` is known once the events have been read.

    Blocks that come twice are read once, and counted in `repeated`; a number that is missing is
    damage, for what it held may have changed everything after it. `backwards` counts the events
    stamped before the one they follow: clocks are stepped, and the order of the tape stands. `told`
    is what the tape says of itself: that events are missing in it. `goes_on`: its run does, in
    another file.
    """

    def __init__(self, path: Path) -> None:
        """Open a tape and read its header. Raises TapeError, or OSError."""
        self.path = path
        self.damage: Damage | None = None
        self.blocks = self.events_read = self.repeated = self.backwards = 0
        self.first_ns = self.last_ns = 0
        self.told: list[str] = []
        self._ended = self.goes_on = False
        self._plain = zstandard.ZstdDecompressor().decompressobj()
        self._file = path.open("rb")
        try:
            self.header = self._begin()
        except BaseException:
            self._file.close()
            raise

    def _begin(self) -> Header:
        start = self._file.read(len(MAGIC) + 1)
        if start[: len(MAGIC)] != MAGIC or len(start) == len(MAGIC):
            raise TapeError(f"{self.path}: not a tape of polybot's")
        self.version = start[-1]
        if self.version > VERSION:
            raise TapeNewer(
                f"{self.path}: a tape of version {self.version}; this polybot reads up to "
                f"{VERSION}: update it"
            )
        for _, plain in self._blocks():
            try:
                return _header(msgpack.unpackb(plain))
            except (ValueError, TypeError) as error:
                raise TapeError(f"{self.path}: its header cannot be read: {error}") from error
        why = self.damage.why if self.damage is not None else "the file ends"
        raise TapeError(f"{self.path}: its header cannot be read: {why}")

    def events(self) -> Iterator[Event]:
        """Every readable event, oldest first; once."""
        last = 0
        for number, plain in self._blocks():
            events = self._events(number, plain)
            for event in events:
                self.backwards += event.at_ns < last
                last = event.at_ns
                self.last_ns = max(self.last_ns, last)
                if event.kind is TOLD:
                    self.told.append(event.body.decode("utf-8", "replace"))
            self.events_read += len(events)
            if events:
                self.first_ns = self.first_ns or events[0].at_ns
            yield from events
            if self.damage is not None:
                return

    def _events(self, number: int, plain: bytes) -> list[Event]:
        try:
            return _events_of(plain)
        except msgspec.MsgspecError as error:
            why = f"block {number} holds no events: {error}"
            self.damage = Damage(self._file.tell(), number - 1, why)
            return []

    def _blocks(self) -> Iterator[tuple[int, bytes]]:
        """Every sound block, by number; those seen before are left out."""
        while True:
            at = self._file.tell()
            head = self._file.read(_HEAD.size)
            if not head:
                if not self._ended and self.version >= ENDED_SINCE:
                    self._ends(at, NO_END, cut=True)
                return
            if self._is_end(head):
                continue
            block = self._block(at, head)
            if block is None:
                return
            number, pressed = block
            if number < self.blocks:
                self.repeated += 1
                continue
            if number > self.blocks:
                self._ends(at, f"block {self.blocks} is missing, {number} follows")
                return
            try:
                plain = self._plain.decompress(pressed)
            except zstandard.ZstdError as error:
                self._ends(at, f"block {number} cannot be unpacked: {error}")
                return
            self.blocks += 1
            yield number, plain

    def _is_end(self, head: bytes) -> bool:
        """Whether this is the file's own end, behind all the blocks that it counts."""
        if len(head) < _HEAD.size:
            return False
        mark, number, length, how = _HEAD.unpack(head)
        if (mark, number, length) == (_END, self.blocks, 0):
            self._ended, self.goes_on = True, how != _RUN_ENDS
        return bool(mark == _END and number <= self.blocks)

    def _block(self, at: int, head: bytes) -> tuple[int, bytes] | None:
        if len(head) < _HEAD.size:
            return self._ends(at, "the file ends within the head of a block", cut=True)
        mark, number, length, crc = _HEAD.unpack(head)
        if mark == _END:
            return self._ends(at, f"block {self.blocks} is missing, the end follows")
        if mark != _MARK:
            return self._ends(at, f"no block begins at byte {at}")
        pressed = self._file.read(length)
        if len(pressed) < length:
            return self._ends(at, f"the file ends within block {number}", cut=True)
        if zlib.crc32(pressed) != crc:
            return self._ends(at, f"block {number} does not match its sum")
        return number, pressed

    def _ends(self, at: int, why: str, *, cut: bool = False) -> tuple[int, bytes] | None:
        self.damage = Damage(at, self.blocks - 1, why, cut=cut)
        return None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()


def hole(before: Header, header: Header) -> str | None:
    """What is missing between two files of a folder that are read one after the other, if anything
    is: a run numbers its files.
    """
    if before.run != header.run:
        return f"run {header.run} follows run {before.run}"
    if header.part == before.part + 1:
        return None
    return f"part {header.part} follows part {before.part}: what is between them is missing"


def gap(before: Reader, reader: Reader) -> str | None:
    """What is missing between two files for those to whom one event is the ground of the next: a
    book that missed its changes is another book.
    """
    if before.damage is not None:
        return f"what {before.path.name} lacks is missing before it"
    return hole(before.header, reader.header)


def lost_before(header: Header) -> str | None:
    """What is missing before the first file that is read of a run, if anything is."""
    if not header.part:
        return None
    return f"the run's first {header.part} files are missing ([tape] keep_mb)"


def lost_after(reader: Reader) -> str | None:
    """What is missing behind the last file, if that is known: a killed run has no end at all."""
    if not reader.goes_on:
        return None
    return f"the run goes on in part {reader.header.part + 1}, which is missing"


def _header(value: object) -> Header:
    if not isinstance(value, dict):
        raise ValueError(f"expected a table, was {type(value).__name__}")
    known = {field.name for field in attrs.fields(Header)}
    return Header(**{str(key): item for key, item in value.items() if key in known})
