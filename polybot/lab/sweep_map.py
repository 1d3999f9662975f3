"""A sweep as a picture: profit a window over two parameters, or along one.

Needs matplotlib, which only the lab has (`pip install polybot[lab]`).
"""

from __future__ import annotations

import math
import statistics
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from polybot.lab import reliability
from polybot.lab.sweep_grid import Axis, Point
from polybot.lab.sweep_stats import Estimate

if TYPE_CHECKING:
    from matplotlib.axes import Axes

INCHES = (7.5, 5.5)


def draw(
    path: Path, axes: Sequence[Axis], points: Sequence[Point], means: Mapping[str, Estimate]
) -> None:
    """Over the first two parameters, the mean over all others; along the only one with its
    intervals. The kind of picture is that of the name.
    """
    from matplotlib.figure import Figure  # noqa: PLC0415 - half a second to import

    figure = Figure(figsize=INCHES, layout="constrained")
    ground = figure.add_subplot()
    if len(axes) > 1:
        _heat(figure, ground, axes[0], axes[1], cells(axes[0], axes[1], points, means))
    else:
        _line(ground, points, means)
    reliability.save(figure, path)


def cells(
    down: Axis, across: Axis, points: Sequence[Point], means: Mapping[str, Estimate]
) -> list[list[float]]:
    """Mean dollars a window for each value of one parameter by each of the other."""
    found: defaultdict[tuple[str, str], list[float]] = defaultdict(list)  # a value may be a list
    for point in points:
        values = dict(point.values)
        place = repr(values[down.key]), repr(values[across.key])
        found[place].append(means[point.name].mean)
    return [
        [statistics.fmean(found[repr(row), repr(column)]) for column in across.values]
        for row in down.values
    ]


def _heat(figure: Any, ground: Axes, down: Axis, across: Axis, rows: list[list[float]]) -> None:
    most = max(abs(value) for row in rows for value in row) or 1.0
    image = ground.imshow(rows, cmap="RdYlGn", vmin=-most, vmax=most, aspect="auto")
    ground.set_xticks(range(len(across.values)), [str(value) for value in across.values])
    ground.set_yticks(range(len(down.values)), [str(value) for value in down.values])
    ground.set(xlabel=across.key, ylabel=down.key)
    for y, row in enumerate(rows):
        for x, value in enumerate(row):
            ground.text(x, y, f"{value:+.2f}", ha="center", va="center")
    figure.colorbar(image, label="dollars a window")


def _line(ground: Axes, points: Sequence[Point], means: Mapping[str, Estimate]) -> None:
    found = [means[point.name] for point in points]
    middle = [one.mean for one in found]
    errors = [[one.mean - one.low for one in found], [one.high - one.mean for one in found]]
    finite = all(math.isfinite(value) for side in errors for value in side)
    places = range(len(points))
    ground.errorbar(places, middle, yerr=errors if finite else None, fmt="o-", capsize=3)
    ground.axhline(0, color="#999999", linewidth=1)
    ground.set_xticks(places, [point.name for point in points], rotation=30, ha="right")
    ground.set(ylabel="dollars a window")
