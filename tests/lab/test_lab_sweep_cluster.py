"""A sweep on a Dask cluster: the same pieces, kept here, and never another question answered."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest
from backtest_kit import ROOT, files
from sweep_kit import pieces, played, progress

from polybot.lab import sweep, sweep_cluster
from polybot.lab.backtest import EXIT_NOTHING, Done
from polybot.lab.backtest_input import Chunk
from polybot.lab.sweep import here, on_cluster
from polybot.lab.sweep_cluster import ClusterError, Errand, errand, run_errand
from polybot.lab.sweep_store import Piece, Store
from polybot.secrets_file import LiveKeys
from polybot.venue.secret import Secret

pytest.importorskip("pyarrow")


# --- what travels --------------------------------------------------------------------------------


def test_keys_do_not_travel() -> None:
    """A configuration that was read where keys are goes without them, and paths go whole."""
    piece = pieces(1).pieces[0]
    keys = LiveKeys(Secret("0x" + "ab" * 32), None, None)
    held = attrs.evolve(piece.task, config=attrs.evolve(piece.task.config, keys=keys))
    sent = errand(attrs.evolve(piece, task=held))

    assert sent.task.config.keys is None
    assert sent.task.config.quote == held.config.quote
    assert all(path.is_absolute() for path in sent.task.chunk.paths)


def test_a_worker_plays_what_was_asked() -> None:
    """The same figures as here, without the run, order by order, that nobody asked for."""
    piece = pieces(1).pieces[0]
    there, at_home = run_errand(errand(piece)), played(piece.task)

    assert there.results == at_home.results
    assert at_home.run.markets
    assert not there.run.markets


def moved(sent: Errand, path: Path) -> Errand:
    chunk = Chunk((path,), sent.task.chunk.slugs)
    return attrs.evolve(sent, task=attrs.evolve(sent.task, chunk=chunk))


@pytest.mark.parametrize(
    ("bent", "said"),
    [
        (lambda sent: attrs.evolve(sent, sources="of last week"), "another polybot"),
        (lambda sent: attrs.evolve(sent, models="as fitted since"), "another queue model"),
        (lambda sent: moved(sent, files()[1]), "or another one"),
        (lambda sent: moved(sent, Path("/nowhere/at/all")), "a folder that all machines share"),
    ],
    ids=["another program", "another model", "another recording", "no recording"],
)
def test_another_piece_is_refused(bent: Callable[[Errand], Errand], said: str) -> None:
    """A worker with another checkout, another file under that name, or none: an error with its
    remedy, and no result that would be kept as one.
    """
    with pytest.raises(ClusterError, match=said):
        run_errand(bent(errand(pieces(1).pieces[0])))


# --- Dask's part ---------------------------------------------------------------------------------


class Stub:
    """`distributed`, as far as it is used: what is submitted is done when it is asked for."""

    class KilledWorker(Exception):
        """As Dask has it, of a task whose workers have died."""

    class CancelledError(Exception):
        """As Dask has it, of a task whose scheduler is gone."""

    def __init__(self, *, stop_after: int | None = None, refuse: bool = False) -> None:
        self.stop_after, self.refuse = stop_after, refuse
        self.played = 0
        self.cancelled: list[object] = []
        self.closed = False
        self.loop = "the client's own"

    def Client(self, address: str, **_: object) -> Stub:  # noqa: N802 - Dask's name
        if self.refuse:
            raise OSError(f"Timed out trying to connect to {address}")
        return self

    def submit(self, work: Callable[[Errand], Done], sent: Errand, *, pure: bool) -> Any:
        assert not pure

        def result() -> Done:
            self.played += 1
            return work(sent)

        return SimpleFuture(result)

    def as_completed(self, futures: dict[Any, Piece], *, loop: str) -> Iterator[Any]:
        assert loop == self.loop
        for number, future in enumerate(futures):
            if number == self.stop_after:
                raise KeyboardInterrupt
            yield future

    def cancel(self, futures: list[object], *, force: bool) -> None:
        assert force
        self.cancelled += futures

    def close(self, **_: object) -> None:
        self.closed = True


class SimpleFuture:
    """What a piece will come to."""

    def __init__(self, result: Callable[[], Done]) -> None:
        self.result = result


def test_a_stop_keeps_what_is_finished(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C between two results: the first is kept here, what is still to be done is taken back,
    and this machine goes on where the cluster was.
    """
    asked, store, stub = pieces(), Store(tmp_path), Stub(stop_after=1)
    monkeypatch.setitem(sys.modules, "distributed", stub)
    for place in (sweep, sweep_cluster):
        monkeypatch.setattr(place, "perform", played)
    findings, whole = sweep.run(asked, store, on_cluster(store, "tcp://x:1"), progress())
    assert (len(findings.by_point), whole, stub.played) == (1, False, 1)
    assert len(stub.cancelled) == 2
    assert stub.closed

    findings, whole = sweep.run(asked, store, here(store, 1), progress())
    assert (len(findings.by_point), whole) == (2, True)
    stub.played = 0
    sweep.run(asked, store, on_cluster(store, "tcp://x:1"), progress())
    assert stub.played == 0, "nobody is asked for what is there"


@pytest.mark.parametrize("lost", [Stub.KilledWorker, Stub.CancelledError])
def test_workers_that_die(
    lost: type[Exception],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """It was a traceback, and what had been finished was not told."""
    asked, store, stub = pieces(), Store(tmp_path), Stub()
    monkeypatch.setitem(sys.modules, "distributed", stub)
    for place in (sweep, sweep_cluster):
        monkeypatch.setattr(place, "perform", played)

    def second_dies(sent: Errand) -> Done:
        if stub.played > 1:
            raise lost("tried on 4 workers\nlook into their logs")
        return run_errand(sent)

    monkeypatch.setattr(sweep_cluster, "run_errand", second_dies)
    findings, whole = sweep.run(asked, store, on_cluster(store, "tcp://x:1"), progress())

    assert (len(findings.by_point), whole) == (1, False)
    assert "the cluster has lost a piece: tried on 4 workers\n" in capsys.readouterr().err
    assert stub.closed


def words(out: Path) -> list[str]:
    return [
        str(files()[0]), "--out", str(out), "--config", str(ROOT / "config.toml"),
        "--cluster", "tcp://127.0.0.1:9",
    ]  # fmt: skip


def test_without_dask(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The error names what to install, before anything is read."""
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(SystemExit) as ended:
        sweep.main(words(tmp_path))

    assert ended.value.code == 2
    assert "pip install 'polybot[cluster]'" in capsys.readouterr().err


def test_no_scheduler(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nobody at the address: a line, 2, and nothing is kept."""
    monkeypatch.setitem(sys.modules, "distributed", Stub(refuse=True))

    assert sweep.main(words(tmp_path)) == EXIT_NOTHING
    assert "no Dask scheduler at tcp://127.0.0.1:9: Timed out" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.filterwarnings("ignore")
def test_on_a_real_cluster(tmp_path: Path) -> None:
    """Two worker processes of Dask's own: every figure is what this machine finds."""
    distributed: Any = pytest.importorskip(
        "distributed", reason="the extra `cluster` is not installed"
    )
    asked, far, near = pieces(4), Store(tmp_path / "far"), Store(tmp_path / "near")
    for store in (far, near):
        store.folder.mkdir()
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, dashboard_address=None, host="127.0.0.1"
    ) as cluster:
        worked = on_cluster(far, cluster.scheduler_address)
        found, whole = sweep.run(asked, far, worked, progress())

    assert whole
    assert found.by_point == sweep.run(asked, near, here(near, 1), progress())[0].by_point


def test_what_a_worker_finds_wrong_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its error ends the sweep with its text and 2; what was kept before stays."""
    monkeypatch.setitem(sys.modules, "distributed", Stub())
    monkeypatch.setattr(sweep_cluster, "errand", lambda piece: moved(errand(piece), Path("/no")))

    assert sweep.main(words(tmp_path)) == EXIT_NOTHING
    assert "a worker does not have /no" in capsys.readouterr().err
