"""Work in shares: the same function over many seeds, on all processors, results as they come."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing.connection import wait
from pathlib import Path
from typing import TypeVar

from loguru import logger

A = TypeVar("A")
T = TypeVar("T")


def processors() -> int:
    """How many this process may use: a container or `taskset` may leave it fewer than there are,
    and two workers on one processor are slower than one, for neither finds its data in the cache.
    """
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


PROCESSES = processors()


class WorkerDied(Exception):
    """A worker ended before its work did, and nobody knows what this would have come to."""


def each_of(
    work: Callable[[A], T],
    arguments: Sequence[A],
    processes: int = PROCESSES,
    *,
    keeps: bool = False,
) -> Iterator[T]:
    """Yield `work` of each argument, in the order in which they are done. `work` and what goes in
    and out must be picklable; what it raises is raised here. Whoever stops listening, by Ctrl-C or
    otherwise, waits for what is under way only where `work` itself keeps what it has done. Raises
    WorkerDied where a process did.
    """
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(processes, mp_context=context, initializer=hush)
    try:
        with _deaf():
            futures = [pool.submit(work, one) for one in arguments]
        for future in as_completed(futures):
            yield future.result()
    except BrokenProcessPool as error:
        raise WorkerDied(
            "a worker process ended before its work did: too little memory, or somebody killed it"
        ) from error
    except (KeyboardInterrupt, GeneratorExit):
        if keeps:
            sys.stderr.write("stopping: what is under way ends first, unless Ctrl-C comes again\n")
        else:
            _kill_workers()
        raise
    finally:
        try:
            pool.shutdown(cancel_futures=True)
        except KeyboardInterrupt:  # not even for that: an executor left halfway would hang at exit
            _kill_workers()
            raise


def _kill_workers() -> None:
    for worker in multiprocessing.active_children():
        worker.kill()


@contextmanager
def _deaf() -> Iterator[None]:
    """Hear of a Ctrl-C only after the body. What is started in it is as deaf until it is hushed: a
    terminal interrupts workers as well, and each would end its first second with a traceback.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def hush() -> None:
    """The table is the report: neither log nor screen of a bot, which is troubled on purpose. When
    to stop is for the process that asked to say; if that is gone, so are we.
    """
    logger.remove()
    nowhere = Path(os.devnull)
    sys.stderr = nowhere.open("w", encoding="utf-8")
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT])  # what it plays may send itself one
    threading.Thread(target=_follow_parent, daemon=True).start()


def _follow_parent() -> None:
    """A killed parent tells nobody: without this, workers would wait for ever for more."""
    parent = multiprocessing.parent_process()
    assert parent is not None, "only workers are hushed"
    wait([parent.sentinel])
    os._exit(1)
