"""A backtest as a picture: the running profit of each queue model, and how far below its peak.

Needs matplotlib, which only the lab has (`pip install polybot[lab]`); `reliability.check_name`
says so before the work is done.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import accumulate
from pathlib import Path

from polybot.domain.units import USD
from polybot.lab.backtest_report import Results
from polybot.lab.backtest_run import WindowResult

WIDE_INCHES, HIGH_INCHES, DOTS_PER_INCH = 9.0, 6.0, 150


def draw(path: Path, results: Results, title: str) -> None:
    """Equity above, drawdown below, a line a model. The kind of picture is that of the name."""
    # Half a second to import: only who draws pays for it. No pyplot, it would look for a screen.
    from matplotlib.figure import Figure  # noqa: PLC0415

    figure = Figure(figsize=(WIDE_INCHES, HIGH_INCHES), layout="constrained")
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(2, 1))
    upper.set(title=title, ylabel="profit, dollars")
    lower.set(ylabel="below the peak")
    for name, windows in results.items():
        times = [datetime.fromtimestamp(one.start_ms // 1000, UTC) for one in windows]
        equity, below = curve(windows)
        upper.step(times, equity, where="post", label=name)
        lower.step(times, below, where="post")
    for axes in (upper, lower):
        axes.axhline(0, color="#999999", linewidth=1)
    upper.legend(loc="upper left")
    figure.autofmt_xdate()
    figure.savefig(path, dpi=DOTS_PER_INCH)


def curve(windows: Sequence[WindowResult]) -> tuple[list[float], list[float]]:
    """(running total, its distance from the highest so far) in dollars, after each window."""
    totals = list(accumulate(one.profit for one in windows))
    peaks = accumulate(totals, max, initial=0)
    next(peaks)
    below = [total - peak for total, peak in zip(totals, peaks, strict=True)]
    return [total / USD for total in totals], [one / USD for one in below]
