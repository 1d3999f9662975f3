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
from polybot.lab import reliability
from polybot.lab.backtest_report import Results
from polybot.lab.backtest_run import WindowResult

WIDE_INCHES, HIGH_INCHES = 9.0, 6.0


def draw(path: Path, results: Results, title: str) -> None:
    """Equity above, drawdown below, a line a model. The kind of picture is that of the name."""
    # Half a second to import: only who draws pays for it. No pyplot, it would look for a screen.
    from matplotlib.figure import Figure  # noqa: PLC0415

    figure = Figure(figsize=(WIDE_INCHES, HIGH_INCHES), layout="constrained")
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(2, 1))
    upper.set(title=title, ylabel="profit, dollars")
    lower.set(ylabel="below the peak", xlabel="UTC")
    for name, windows in results.items():
        times, equity, below = curve(windows)
        upper.step(times, equity, where="post", label=name)
        lower.step(times, below, where="post")
    for axes in (upper, lower):
        axes.axhline(0, color="#999999", linewidth=1)
    upper.legend(loc="upper left")
    figure.autofmt_xdate()
    reliability.save(figure, path)


def curve(windows: Sequence[WindowResult]) -> tuple[list[datetime], list[float], list[float]]:
    """Of one window at least: when, the running total, and how far below the highest, in dollars:
    nothing when the first window begins, then what each has come to when it ends.
    """
    ended = sorted(windows, key=lambda one: one.end_ms)
    times = [min(one.start_ms for one in ended), *(one.end_ms for one in ended)]
    totals = list(accumulate((one.profit for one in ended), initial=0))
    below = [total - peak for total, peak in zip(totals, accumulate(totals, max), strict=True)]
    return (
        [datetime.fromtimestamp(at_ms // 1000, UTC) for at_ms in times],
        [total / USD for total in totals],
        [one / USD for one in below],
    )
