"""A backtest as text: every window and all of them, under each queue model side by side.

Money is integers to the last line; what is divided is divided when it is printed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import accumulate, pairwise

import attrs

from polybot.domain.units import SHARE, USD
from polybot.lab.backtest_run import WindowResult
from polybot.lab.backtest_sources import BUCKETS_S, HORIZONS_MS, Markout, Sources
from polybot.lab.sweep_stats import DAY_MS, clustered

Results = Mapping[str, Sequence[WindowResult]]  # by queue model, in order of time
NAME, COLUMN = 30, 25


def drawdown(profits: Sequence[int]) -> int:
    """The deepest fall of the running total below its highest so far, 0 or more."""
    totals = list(accumulate(profits, initial=0))
    peaks = accumulate(totals, max)
    return max(peak - total for peak, total in zip(peaks, totals, strict=True))


def total(results: Sequence[WindowResult]) -> Sources:
    found = Sources()
    for one in results:
        found = found.plus(one.sources)
    return found


def marked(results: Sequence[WindowResult]) -> list[Markout]:
    """By part of the window, over all windows."""
    parts = [Markout()] * (len(BUCKETS_S) - 1)
    for one in results:
        parts = [mine.plus(theirs) for mine, theirs in zip(parts, one.markouts, strict=True)]
    return parts


def report(results: Results) -> str:
    """All tables. Every model has the same windows."""
    return "\n".join([*_windows(results), "", *_totals(results), "", *_markouts(results)]) + "\n"


def _row(name: str, cells: Sequence[str]) -> str:
    return f"{name:{NAME}}" + "".join(f"{cell:>{COLUMN}}" for cell in cells)


def _dollars(amount: int) -> str:
    return f"{amount / USD:+.2f}"


def _windows(results: Results) -> list[str]:
    """One line a window: dollars, and fills in brackets."""
    lines = [_row("window", list(results))]
    for row in zip(*results.values(), strict=True):
        cells = [f"{_dollars(one.profit)} ({one.fills})" for one in row]
        lines.append(_row(f"{row[0].slug} {row[0].winner}", cells))
    return lines


def _totals(results: Results) -> list[str]:
    columns = [_Column.of(one) for one in results.values()]
    count = len(next(iter(results.values())))
    lines = [_row("one window" if count == 1 else f"{count} windows", list(results))]
    names = ("profit", *(field.name for field in attrs.fields(Sources)))
    lines += [
        _row(f"  {name}", [_dollars(column.money[name]) for column in columns]) for name in names
    ]
    told = (
        ("a window, days' 95 %", [column.mean for column in columns]),
        ("deepest drawdown", [f"{column.fall / USD:.2f}" for column in columns]),
        ("fills", [str(column.fills) for column in columns]),
        ("shares", [f"{column.shares / SHARE:.0f}" for column in columns]),
        ("orders", [str(column.orders) for column in columns]),
        ("windows after a halt", [str(column.halted) for column in columns]),
    )
    return lines + [_row(name, cells) for name, cells in told]


@attrs.frozen
class _Column:
    """The sums of one model."""

    money: dict[str, int]
    mean: str
    fall: int
    fills: int
    shares: int
    orders: int
    halted: int

    @classmethod
    def of(cls, results: Sequence[WindowResult]) -> _Column:
        # A profit is there when its window ends: a long one that began first is not first.
        profits = [one.profit for one in sorted(results, key=lambda one: one.end_ms)]
        parts = total(results)
        return cls(
            {"profit": sum(profits)} | attrs.asdict(parts),
            _mean(results),
            drawdown(profits),
            sum(one.fills for one in results),
            sum(one.shares for one in results),
            sum(one.orders for one in results),
            sum(bool(one.halted) for one in results),
        )


def _mean(results: Sequence[WindowResult]) -> str:
    """By days, as a sweep has it."""
    found = clustered([(one.start_ms // DAY_MS, one.profit / USD) for one in results])
    if found.days == 1:
        return f"{found.mean:+.2f} [one day]"
    return f"{found.mean:+.2f} [{found.low:+.2f}, {found.high:+.2f}]"


def _markouts(results: Results) -> list[str]:
    """Cents a share that the mid went our way after fills, by what was left of the window."""
    head = "".join(f"{f'+{horizon // 1000} s':>9}" for horizon in HORIZONS_MS)
    lines = [f"cents a share after fills, {'with s to the end:':19}{'fills':>7}{'shares':>9}{head}"]
    for name, windows in results.items():
        lines.append(name)
        for (early, late), part in zip(pairwise(BUCKETS_S), marked(windows), strict=True):
            if part.fills:
                when = f"over {late}" if early == BUCKETS_S[0] else f"{early}–{late}"
                cents = "".join(f"{100 * value / part.shares:+9.2f}" for value in part.after)
                lines.append(f"{when:>46}{part.fills:>7}{part.shares / SHARE:>9.0f}{cents}")
    return lines
