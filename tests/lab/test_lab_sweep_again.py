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
