"""`python -m polybot lab maker-match [POLICY …]`: what policies earn in the same windows.

Each POLICY is one of those below or `package.module:name` of something that makes one out of an
`Arena`. All play every seed's world, each alone in it; against the first one the others are
compared window by window. Intervals are of 95 %, windows of one seed taken together: they share
their volatility and their prices, and are not as many witnesses as they are windows. So of one seed
there is no interval.

Two profits are told. The plain one has each window's result in it, which is most of its spread.
`known` leaves that out: rebates, fees, and what every fill was truly worth ten seconds after it,
above its cost (`maker_sources`). Its mean is the same, for what is left out, `held`, is luck; and
so is what these ten seconds bring, `adverse`, that is left out as well of how much more the first
earns "at the fill". Only where the price is pulled back to the strike (the regime "pinned") the
truth is none, and the plain profit is the word that counts.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Callable, Iterator, Sequence
from importlib import import_module
from pathlib import Path
from typing import TextIO, cast

import attrs

from polybot.exchange.synthetic import REGIMES
from polybot.lab import maker_done, numbers
from polybot.lab.crowd_venue import PLAYED, today
from polybot.lab.maker_done import Task
from polybot.lab.maker_match import Arena, Interval, Policy, Result, play
from polybot.lab.places import file_place
from polybot.lab.shares import PROCESSES, each_of

KNOWN = {
    "ours": "polybot.lab.maker_ours:Ours",
    "fixed": "polybot.lab.maker_ours:Fixed",
    "spot-rule": "polybot.lab.maker_ours:spot_rule",
    "no-shift": "polybot.lab.maker_ours:no_shift",
    "naive": "polybot.lab.maker_policies:Naive",
    "careful": "polybot.lab.maker_policies:Careful",
}
USUAL = ("ours", "fixed", "spot-rule", "no-shift")


@attrs.frozen
class Row:
    """One policy over all seeds; dollars and shares a window. `sources` in the order of `SOURCES`.

    `better` and the like: how much more the first policy earns; None for that one itself.
    """

    policy: str
    earned: Interval
    known: Interval
    better: Interval | None
    known_better: Interval | None
    at_fill_better: Interval | None
    deviation: float  # of one window's profit
    shares: float
    sources: tuple[float, ...]


SOURCES = ("spread", "adverse", "fees", "rebates", "held")


def made(name: str) -> Callable[[Arena], Policy]:
    """The factory of that name. ValueError when there is none."""
    module, _, attribute = KNOWN.get(name, name).partition(":")
    try:
        return cast("Callable[[Arena], Policy]", getattr(import_module(module), attribute))
    except (ImportError, AttributeError, ValueError) as error:
        raise ValueError(f"no policy {name}: say {', '.join(KNOWN)} or module:name") from error


def perform(task: Task) -> tuple[Task, Result]:
    rules, regime = today(task.series), REGIMES[task.regime]
    policy = made(task.policy)
    return task, play(policy, task.seed, task.intervals, task.intensity, rules=rules, regime=regime)


def compare(
    policies: Sequence[str], seeds: Sequence[int], intervals: int, intensity: float,
    progress: TextIO, done: Path | None = None, processes: int = PROCESSES,
    regime: str = "measured", series: str = "btc-5m",
) -> list[Row]:  # fmt: skip
    """Let every policy play every seed; one row each, in the order given. What the file `done` has
    is not played again, and what is finished goes there.
    """
    tasks = [
        Task(policy, seed, intervals, intensity, regime, series)
        for seed in seeds
        for policy in policies
    ]
    before = maker_done.read(done)
    results = {task: before[task] for task in tasks if task in before}
    left = [task for task in tasks if task not in results]
    for task, result in _played(left, processes):
        results[task] = result
        maker_done.note(done, task, result)
        mean = sum(result.profits) / len(result.profits)
        progress.write(
            f"{len(results)} of {len(tasks)}: seed {task.seed}, {task.policy:10} "
            f"{mean:+.2f} $ a window, {sum(one.fills for one in result.settled)} fills\n"
        )
        progress.flush()
    return rows([[results[task] for task in tasks if task.policy == one] for one in policies],
                policies)  # fmt: skip


def _played(tasks: Sequence[Task], processes: int) -> Iterator[tuple[Task, Result]]:
    return map(perform, tasks) if processes == 1 else each_of(perform, tasks)


def rows(results: Sequence[Sequence[Result]], policies: Sequence[str]) -> list[Row]:
    """A row for each policy, from its results seed by seed."""
    first = results[0]
    return [
        _row(name, mine, None if not place else first)
        for place, (name, mine) in enumerate(zip(policies, results, strict=True))
    ]


def _row(policy: str, results: Sequence[Result], first: Sequence[Result] | None) -> Row:
    earned = [one.profits for one in results]
    known = [one.known for one in results]
    settled = [one for result in results for one in result.settled]
    parts = [one.sources for one in settled]
    sums = [
        sum(part.spread for part in parts), sum(part.adverse for part in parts),
        sum(part.fees for part in parts), sum(one.rebate for one in settled),
        sum(part.held for part in parts),
    ]  # fmt: skip
    count = len(settled)
    return Row(
        policy,
        Interval.of_groups(earned),
        Interval.of_groups(known),
        _better(first, results, lambda one: one.profits),
        _better(first, results, lambda one: one.known),
        _better(first, results, lambda one: one.at_fill),
        Interval.of([value for group in earned for value in group]).deviation,
        sum(one.shares for one in settled) / 1e6 / count,
        tuple(value / 1e6 / count for value in sums),
    )


def _better(
    first: Sequence[Result] | None, other: Sequence[Result], by: Callable[[Result], list[float]]
) -> Interval | None:
    """How much more the first ones earn in the same windows."""
    if first is None:
        return None
    pairs = [(by(mine), by(its)) for mine, its in zip(first, other, strict=True)]
    return Interval.of_groups(
        [[mine - its for mine, its in zip(*pair, strict=True)] for pair in pairs]
    )


# --- the table -----------------------------------------------------------------------------------

HEAD = (
    "a window:    profit, 95 %           σ       known, 95 %          shares  "
    + "".join(f"{name:>9}" for name in SOURCES)
)  # fmt: skip


def as_table(rows: Sequence[Row]) -> str:
    """Dollars a window of every policy, where they come from, and how much more the first earns."""
    first, windows = rows[0].policy, rows[0].earned.windows
    lines = [f"{windows} windows of {max(1, rows[0].earned.groups)} seeds", HEAD]
    for row in rows:
        told = "".join(f"{value:+9.2f}" for value in row.sources)
        lines.append(
            f"{row.policy:11} {_interval(row.earned):23} {row.deviation:6.2f} "
            f"{_interval(row.known):23} {row.shares:6.0f}  {told}"
        )
    lines += [
        f"{first} earns more than {row.policy:10} {_interval(row.better)}, "
        f"known {_interval(row.known_better)}, at the fill {_interval(row.at_fill_better)}"
        for row in rows
        if row.better and row.known_better and row.at_fill_better
    ]
    return "\n".join(lines) + "\n"


def _interval(one: Interval) -> str:
    if not math.isfinite(one.low):
        return f"{one.mean:+6.2f} [one seed]"
    return f"{one.mean:+6.2f} [{one.low:+6.2f}, {one.high:+6.2f}]"


def main(argv: Sequence[str]) -> int:
    """The command; its exit code."""
    parser = argparse.ArgumentParser(
        prog="polybot lab maker-match", allow_abbrev=False,
        description="What policies earn against the crowd in the same windows.",
    )  # fmt: skip
    parser.add_argument(
        "policies", nargs="*", metavar="POLICY", default=USUAL,
        help=f"{', '.join(KNOWN)}, module:name; usually {' '.join(USUAL)}",
    )  # fmt: skip
    number = parser.add_argument
    number("--intervals", type=numbers.whole(2), default=18, help="windows of each seed (18)")
    number("--seeds", type=numbers.count, default=4, help="how many worlds (4)")
    number("--seed", type=numbers.seed, default=1, help="the first of them (1)")
    number("--processes", type=numbers.count, default=PROCESSES, choices=range(1, PROCESSES + 1))
    parser.add_argument(
        "--intensity", type=numbers.intensity, default=0.1, help="of the crowd (0.1)"
    )
    parser.add_argument(
        "--regime", default="measured", choices=REGIMES,
        help="how restless the price is: as measured, or as it has not been yet",
    )  # fmt: skip
    parser.add_argument("--series", default=PLAYED[0], choices=PLAYED, help="of which windows")
    parser.add_argument(
        "--done", type=file_place, metavar="FILE",
        help="note finished seeds there, and leave those out that it has",
    )  # fmt: skip
    said = parser.parse_args(argv)
    try:
        for policy in said.policies:
            made(policy)
        seeds = range(said.seed, said.seed + said.seeds)
        found = compare(
            said.policies, seeds, said.intervals, said.intensity, sys.stderr, said.done,
            said.processes, said.regime, said.series,
        )  # fmt: skip
    except ValueError as error:
        parser.error(str(error))
    sys.stdout.write(as_table(found))
    return 0
