"""Trio's order of tasks as a function of a seed (trio.md 8), and no garbage collector between them.

Trio's names are private: a test fails when they move, and nothing but simulations may rest on them.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from unittest import mock

from trio._core import _run


@contextmanager
def seeded_scheduler(seed: int) -> Iterator[None]:
    """While the body runs, tasks that could run in any order run in this seed's."""
    with mock.patch.object(_run, "_ALLOW_DETERMINISTIC_SCHEDULING", new=True):
        _run._r.seed(seed)  # noqa: SLF001 - see above
        yield


@contextmanager
def no_collector() -> Iterator[None]:
    """While the body runs, garbage goes when it says so. What is left behind half-done, such as an
    asynchronous generator, ends where the collector finds it: by its own counting that is another
    step as soon as somebody has made one object more, and a log that is listened to was enough
    (seed 739).
    """
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
