"""Work in shares: the same function over many seeds, on both processors, results as they come."""

from __future__ import annotations

import multiprocessing
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import TypeVar

from loguru import logger

A = TypeVar("A")
T = TypeVar("T")

PROCESSES = 2


def each_of(
    work: Callable[[A], T], arguments: Sequence[A], processes: int = PROCESSES
) -> Iterator[T]:
    """Yield `work` of each argument, in the order in which they are done. `work` and what goes in
    and out must be picklable; what it raises is raised here.
    """
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(processes, mp_context=context, initializer=hush)
    try:
        for future in as_completed([pool.submit(work, one) for one in arguments]):
            yield future.result()
    finally:
        # Whoever stops listening waits for what is under way, not for everything that was asked.
        pool.shutdown(cancel_futures=True)


def hush() -> None:
    """The table is the report: neither log nor screen of a bot, which is troubled on purpose."""
    logger.remove()
    nowhere = Path(os.devnull)
    sys.stderr = nowhere.open("w", encoding="utf-8")
