"""A piece of a sweep that could not be read: when the next run tries it again."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest
from sweep_kit import pieces, played, progress

from polybot.exchange.recording_model import Recording
from polybot.lab import sweep
from polybot.lab.backtest_input import Chunk
from polybot.lab.sweep import here
from polybot.lab.sweep_store import Store

pytest.importorskip("pyarrow", reason="a sweep keeps its pieces as Parquet: install polybot[lab]")


@pytest.mark.parametrize(
    ("failed", "again"),
    [
        (OSError(errno.EMFILE, "Too many open files"), True),
        (ValueError("it ends within a row: fetch it again"), False),
        (OSError("not a gzipped file"), False),
    ],
)
@pytest.mark.parametrize("wrapped", [False, True])
def test_what_may_have_passed_is_played_again(
    failed: Exception, again: bool, wrapped: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A piece that a full table of files had kept from being read was missing for good: every run
    told its fault and played nothing. What is in a recording stays wrong.
    """
    asked, store = pieces(1), Store(tmp_path)

    def read(_: Chunk) -> Recording:
        if wrapped:
            raise ValueError("r.zst cannot be read: fetch it again") from failed
        raise failed

    with monkeypatch.context() as broken:
        broken.setattr(Chunk, "read", read)
        first, whole = sweep.run(asked, store, here(store, 1), progress())
    assert (len(first.faults), first.by_point[asked.points[0].name], whole) == (1, [], True)

    monkeypatch.setattr(sweep, "perform", played)
    findings, _ = sweep.run(asked, store, here(store, 1), progress())
    assert bool(findings.by_point[asked.points[0].name]) is again
    assert bool(findings.faults) is not again


def test_a_bit_that_fell_over_is_no_result(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file is what was written, or is played again: in one place of twenty, a changed bit was
    another profit, and in some it was a traceback.
    """
    asked, store = pieces(1), Store(tmp_path)
    (piece,) = asked.pieces
    store.write(piece, played(piece.task))
    whole = store.path(piece).read_bytes()
    kept = store.read(piece)
    assert kept is not None

    for place in range(0, len(whole), 7):
        changed = bytearray(whole)
        changed[place] ^= 1
        store.path(piece).write_bytes(changed)
        assert store.read(piece) in (None, kept), place
    for size in range(0, len(whole), 97):
        store.path(piece).write_bytes(whole[:size])
        assert store.read(piece) is None
