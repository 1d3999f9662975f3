"""A sweep's pieces on an existing Dask cluster: the same work, Dask's scheduler.

The results come back to the machine that asked, which keeps them as it keeps its own: nothing but
the recordings must be where the workers are, and resuming means the same. What a worker plays is
checked to be what was asked: the same recordings and models, by their contents, and the same
program, by its sources; a cluster that runs last week's checkout would answer another question.
Keys do not travel.

Rejected: results on a shared folder, written by the workers, because a sweep on one machine could
then not go on where one on many was stopped unless both saw that folder.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import Any

import attrs

from polybot.lab.backtest import Done, Task, perform
from polybot.lab.run_record import Run
from polybot.lab.shares import WorkerDied
from polybot.lab.sweep_store import Piece, mark, models, sources

PATIENCE_S = 10
REMEDY = "pip install 'polybot[cluster]'"


class ClusterError(ValueError):
    """A cluster cannot be used, or one of its workers cannot; the text names the remedy."""


@attrs.frozen
class Errand:
    """A piece as it travels: the task, what its recordings and models hold, and whose program it is
    of.
    """

    task: Task
    marks: tuple[str, ...]
    models: str
    sources: str


def errand(piece: Piece) -> Errand:
    """What is sent for a piece. Its configuration goes without keys, its paths whole."""
    held = piece.task
    paths = tuple(path.resolve() for path in held.chunk.paths)
    task = attrs.evolve(
        held,
        chunk=attrs.evolve(held.chunk, paths=paths),
        config=attrs.evolve(held.config, keys=None),
    )
    return Errand(task, tuple(map(mark, paths)), models(task), sources())


def run_errand(asked: Errand) -> Done:
    """Play it, on the worker. Raises ClusterError where that would be another piece."""
    if asked.sources != sources():
        raise ClusterError("a worker has another polybot: install this one there, and restart it")
    for path, there in zip(asked.task.chunk.paths, asked.marks, strict=True):
        if not path.exists() or mark(path) != there:
            raise ClusterError(
                f"a worker does not have {path}, or another one: recordings must lie in a folder "
                "that all machines share, by the same path; a tape is read where it lies alone"
            )
    try:
        same = models(asked.task) == asked.models
    except (OSError, ValueError):
        same = False
    if not same:
        raise ClusterError(
            "a worker reads another queue model, latency or season: their files must lie in a "
            "folder that all machines share, named by their whole paths"
        )
    return attrs.evolve(perform(asked.task), run=Run("backtest"))


def each_on(address: str, pieces: Sequence[Piece]) -> Generator[tuple[Piece, Done]]:
    """Every piece with what it came to, in the order in which they are done. What nobody waits for
    any more is taken back; what is under way on a worker then is lost. Raises ClusterError, and
    WorkerDied where workers die with a piece again and again, or the scheduler is gone.
    """
    dask = _distributed()
    try:
        client = dask.Client(address, timeout=PATIENCE_S, set_as_default=False)
    except (OSError, TimeoutError, ValueError) as error:
        raise ClusterError(f"no Dask scheduler at {address}: {error}") from error
    futures: dict[Any, Piece] = {}
    try:
        for piece in pieces:
            # A name of its own for every piece: two points of a grid may be one configuration.
            future = client.submit(run_errand, errand(piece), pure=False)
            futures[future] = piece
        for future in dask.as_completed(futures, loop=client.loop):
            yield futures[future], future.result()
    except (dask.KilledWorker, dask.CancelledError) as error:
        why = str(error).partition("\n")[0]
        raise WorkerDied(f"the cluster has lost a piece: {why}") from error
    finally:
        client.cancel(list(futures), force=True)
        client.close(timeout=PATIENCE_S)


def check() -> None:
    """Raises ClusterError where Dask is not installed."""
    _distributed()


def _distributed() -> Any:
    try:
        import distributed  # noqa: PLC0415 - an extra, heavy, and of clusters alone
    except ImportError as error:
        raise ClusterError(f"a cluster needs Dask: {REMEDY}") from error
    return distributed
