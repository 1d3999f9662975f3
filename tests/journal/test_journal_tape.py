"""The tape's file: what was written is read, and what is wrong with it is said, never guessed."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, strategies as st
from tape_kit import END_SIZE, HEADER, events, read, rows, written

from polybot.journal.tape import (
    ENDED_SINCE,
    MAGIC,
    VERSION,
    Kind,
    Reader,
    TapeError,
    TapeNewer,
    Writer,
)

EVENTS = st.lists(
    st.tuples(st.integers(0, 2**63 - 1), st.sampled_from(Kind), st.text(max_size=30), st.binary()),
    max_size=30,
)


@given(blocks=st.lists(EVENTS, max_size=5))
def test_what_was_written_is_read(
    tmp_path_factory: pytest.TempPathFactory,
    blocks: list[list[tuple[int, Kind, str, bytes]]],
) -> None:
    """Any events, any bytes, in their order, with the header."""
    path = tmp_path_factory.mktemp("tape") / "a.tape"
    writer = Writer(path, HEADER)
    for block in blocks:
        writer.write([(at, kind, stream, body) for at, kind, stream, body in block])
    writer.close()

    found, reader = read(path)

    assert rows(found) == [event for block in blocks for event in block]
    assert (reader.header, reader.damage) == (HEADER, None)


def test_a_tape_is_never_written_over(tmp_path: Path) -> None:
    """A name that exists is refused, and what is there stays."""
    path = written(tmp_path / "a.tape")
    before = path.read_bytes()

    with pytest.raises(FileExistsError):
        Writer(path, HEADER)
    assert path.read_bytes() == before


def ends_at(path: Path) -> int:
    """Where a file's last block ends and the file's own end begins."""
    return path.stat().st_size - END_SIZE


def test_a_cut_anywhere_leaves_every_whole_block(tmp_path: Path) -> None:
    """At whatever byte a file ends, whole blocks before it are read and the rest is called cut: at
    a block's edge as well, where the end of the file itself is missing.
    """
    whole = written(tmp_path / "a.tape", blocks=3, each=4)
    data, sizes = whole.read_bytes(), []
    writer = Writer(tmp_path / "b.tape", HEADER)
    sizes.append(writer.bytes)
    for block in range(3):
        writer.write(events(4, block * 4))
        sizes.append(writer.bytes)
    writer.close()

    cut = tmp_path / "cut.tape"
    for end in range(sizes[0], len(data)):
        cut.write_bytes(data[:end])
        found, reader = read(cut)
        blocks = sum(size <= end for size in sizes) - 1
        assert rows(found) == events(4 * blocks)
        assert reader.damage is not None
        assert reader.damage.cut
        assert ("it has no end" in reader.damage.why) == (end in sizes)


def test_a_cut_header_is_an_error(tmp_path: Path) -> None:
    """Without its header a tape says nothing: an error with the file's name, at every byte."""
    data = written(tmp_path / "a.tape").read_bytes()
    short = tmp_path / "short.tape"
    for end in range(len(MAGIC) + 60):
        short.write_bytes(data[:end])
        with pytest.raises(TapeError, match=r"short\.tape"):
            Reader(short)


def test_a_changed_byte_is_found(tmp_path: Path) -> None:
    """Any byte of a block changed: the blocks before it are read, and nothing after it."""
    path = written(tmp_path / "a.tape", blocks=2, each=4)
    data = path.read_bytes()
    begin = ends_at(written(tmp_path / "b.tape", blocks=1, each=4))
    for at in range(begin, ends_at(path)):
        path.write_bytes(data[:at] + bytes([data[at] ^ 0x55]) + data[at + 1 :])
        found, reader = read(path)
        assert rows(found) == events(4)
        assert reader.damage is not None
        assert reader.damage.at_byte == begin
        assert reader.damage.after_block == 1


def test_blocks_that_come_twice_are_read_once(tmp_path: Path) -> None:
    """A copy that repeats a part, as a resumed download does, adds nothing; it is counted."""
    path, one = written(tmp_path / "a.tape", blocks=2), written(tmp_path / "b.tape", blocks=1)
    data, start = path.read_bytes(), ends_at(one)
    path.write_bytes(data + data[start:])

    found, reader = read(path)

    assert rows(found) == events(20)
    assert (reader.repeated, reader.damage) == (1, None)


@pytest.mark.parametrize(
    ("lost", "why"),
    [(2, "block 2 is missing, 3 follows"), (3, "block 3 is missing, the end follows")],
)
def test_a_missing_block_ends_the_reading(tmp_path: Path, lost: int, why: str) -> None:
    """What follows a gap may rest on what it held: it is not read, and the gap is named, also where
    only the end tells of it.
    """
    path = written(tmp_path / "a.tape", blocks=3)
    start = ends_at(written(tmp_path / "b.tape", blocks=lost - 1))
    end = ends_at(written(tmp_path / "c.tape", blocks=lost))
    data = path.read_bytes()
    path.write_bytes(data[:start] + data[end:])

    found, reader = read(path)

    assert rows(found) == events(10 * (lost - 1))
    assert reader.damage is not None
    assert reader.damage.why == why
    assert not reader.damage.cut


def test_an_end_that_was_changed(tmp_path: Path) -> None:
    """It is no end then, and the tape may be a part of one; what it holds is read."""
    path = written(tmp_path / "a.tape", blocks=2)
    data, begin = path.read_bytes(), ends_at(path)
    for at in range(begin, begin + 12):  # its sum is of nothing
        path.write_bytes(data[:at] + bytes([data[at] ^ 0x55]) + data[at + 1 :])
        found, reader = read(path)
        assert rows(found) == events(20)
        assert reader.damage is not None


def test_what_was_written_before_there_were_ends(tmp_path: Path) -> None:
    """An older tape is not blamed for having none."""
    path = written(tmp_path / "a.tape", blocks=2)
    data = bytearray(path.read_bytes()[: ends_at(path)])
    data[len(MAGIC)] = ENDED_SINCE - 1
    path.write_bytes(data)

    found, reader = read(path)

    assert (rows(found), reader.damage) == (events(20), None)


@pytest.mark.parametrize("data", [b"", b"polytap", MAGIC, b"PK\x03\x04" + b"x" * 90])
def test_something_else_is_no_tape(tmp_path: Path, data: bytes) -> None:
    """Empty, short and foreign files are named for what they are."""
    path = tmp_path / "a.tape"
    path.write_bytes(data)

    with pytest.raises(TapeError, match="not a tape"):
        Reader(path)


def test_a_newer_tape_asks_for_a_newer_polybot(tmp_path: Path) -> None:
    """Its layout is not ours to guess."""
    path = written(tmp_path / "a.tape")
    data = path.read_bytes()
    path.write_bytes(MAGIC + bytes([VERSION + 1]) + data[len(MAGIC) + 1 :])

    with pytest.raises(TapeNewer, match="update it"):
        Reader(path)


def test_a_clock_that_goes_back_is_counted(tmp_path: Path) -> None:
    """The tape's order stands; the stamps are as they were."""
    path = tmp_path / "a.tape"
    writer = Writer(path, HEADER)
    writer.write([(5, Kind.HEARD, "a", b""), (3, Kind.HEARD, "a", b""), (4, Kind.SENT, "a", b"")])
    writer.close()

    found, reader = read(path)

    assert [event.at_ns for event in found] == [5, 3, 4]
    assert (reader.backwards, reader.first_ns, reader.last_ns) == (1, 5, 5)


WRITES = """
import sys
from pathlib import Path
sys.path[:0] = sys.argv[2:]
from tape_kit import END_SIZE, HEADER, events
from polybot.journal.tape import Writer
writer = Writer(Path(sys.argv[1]), HEADER)
for block in range(1_000_000):
    writer.write(events(100, 100 * block))
    print(block, flush=True)
"""


def test_a_killed_writer_has_lost_nothing_it_flushed(tmp_path: Path) -> None:
    """SIGKILL in the middle of writing: every block whose `write` had returned is there."""
    path, here = tmp_path / "a.tape", Path(__file__).parent
    words = [sys.executable, "-c", WRITES, str(path), str(here), str(here.parents[1])]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603
        assert process.stdout is not None
        for _ in range(20):
            process.stdout.readline()
        process.kill()
        told = [int(line) for line in process.stdout.read().split()]
        assert process.wait() == -signal.SIGKILL

    found, reader = read(path)

    assert len(found) >= 100 * (max(told, default=19) + 1)
    assert rows(found) == events(len(found))
    assert reader.damage is not None
    assert reader.damage.cut
