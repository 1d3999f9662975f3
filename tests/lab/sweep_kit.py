"""A small sweep for the tests of it and of its cluster."""

from __future__ import annotations

import io

from backtest_kit import config, files

from polybot.lab.backtest import Done, Progress, Task, perform
from polybot.lab.backtest_input import find
from polybot.lab.sweep import Sweep
from polybot.lab.sweep_grid import Axis, grid
from polybot.lab.sweep_store import Piece

_done: dict[str, Done] = {}


def played(task: Task) -> Done:
    """`perform`, once for each task: what becomes of a result does not ask for another one."""
    key = Piece("", task).key
    if key not in _done:
        _done[key] = perform(task)
    return _done[key]


def pieces(count: int = 2) -> Sweep:
    """One window under so many configurations."""
    axis = Axis("quote.base_edge", tuple(0.002 + n / 1000 for n in range(count)))
    points = grid(config(), [axis])
    chunk = find([files()[0]]).chunks[0]
    found = (Piece(one.name, Task(chunk, one.config, "pessimistic", "25", 1)) for one in points)
    return Sweep(tuple(points), tuple(found))


def progress() -> Progress:
    return Progress(1, io.StringIO())
