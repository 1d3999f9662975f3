"""The reliability diagram: what was predicted against what came true.

Needs matplotlib, which only the lab has (`pip install polybot[lab]`); the bot runs without it.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

from polybot.lab.places import put
from polybot.pricing.calibration import Bin

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

OURS, MARKET = ("model", "#1f5fa8", -0.004), ("market", "#c2571a", 0.004)
SIDE_INCHES, DOTS_PER_INCH = 6.0, 150
FORMATS = (".png", ".svg", ".pdf")


def check_name(path: Path) -> None:
    """Raises ValueError for a picture that could not be written, before the work is done."""
    if path.suffix not in FORMATS:
        raise ValueError(f"{path}: expected a name that ends in {', '.join(FORMATS)}")
    if find_spec("matplotlib") is None:
        raise ValueError("the diagram needs matplotlib: pip install 'polybot[lab]'")


def save(figure: Figure, path: Path) -> None:
    """Write a picture of the kind that its name says."""
    drawn = BytesIO()
    figure.savefig(drawn, format=path.suffix[1:], dpi=DOTS_PER_INCH)
    put(path, drawn.getvalue())


def draw(path: Path, ours: Sequence[Bin], market: Sequence[Bin], title: str) -> None:
    """Points with two standard errors, one colour each for the model and, where it has any, the
    market. The kind of picture is that of the name.
    """
    # Half a second to import: only who draws pays for it. No pyplot, it would look for a screen.
    from matplotlib.figure import Figure  # noqa: PLC0415

    figure = Figure(figsize=(SIDE_INCHES, SIDE_INCHES), layout="constrained")
    axes = figure.add_subplot(
        title=title, xlabel="predicted chance of Up", ylabel="share that was Up", aspect="equal",
        xlim=(0, 1), ylim=(0, 1),
    )  # fmt: skip
    axes.plot([0, 1], [0, 1], color="#999999", linewidth=1)
    for bins, style in ((ours, OURS), (market, MARKET)):
        if bins:
            _points(axes, bins, *style)
    axes.legend(loc="upper left")
    save(figure, path)


def _points(axes: Axes, bins: Sequence[Bin], label: str, colour: str, shift: float) -> None:
    """`shift` sets two points of one tenth beside each other; bars end where probability does."""
    low = [min(2 * one.error, one.share_up) for one in bins]
    high = [min(2 * one.error, 1 - one.share_up) for one in bins]
    axes.errorbar(
        [one.mean_q + shift for one in bins], [one.share_up for one in bins], yerr=[low, high],
        fmt="o", color=colour, capsize=2, label=f"{label}, {sum(b.samples for b in bins)} samples",
    )  # fmt: skip
