"""`python -m polybot lab maker-match POLICY …`: what policies earn in the same windows.

Each POLICY is `naive`, `careful`, or `package.module:name` of something that makes one out of an
`Arena`. All play every seed's world, each alone in it; against the first one the others are
compared window by window. Lines of what is done so far go to stderr as seeds are finished.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import TextIO, cast

import attrs

from polybot.lab.maker_match import Arena, Interval, Policy, Result, difference, play
from polybot.lab.shares import each_of

KNOWN = {
    "naive": "polybot.lab.maker_policies:Naive",
    "careful": "polybot.lab.maker_policies:Careful",
}


@attrs.frozen
class Task:
    """One policy in one world."""

    policy: str
    seed: int
    intervals: int
    intensity: float


@attrs.frozen
class Row:
    """One policy over all seeds; dollars and shares a window."""

    policy: str
    earned: Interval
    against: Interval | None  # what it earns more than the first policy; None for that one
    shares: float
    rebate: float


def made(name: str) -> Callable[[Arena], Policy]:
    """The factory of that name. ValueError when there is none."""
    module, _, attribute = KNOWN.get(name, name).partition(":")
    try:
        return cast("Callable[[Arena], Policy]", getattr(import_module(module), attribute))
    except (ImportError, AttributeError, ValueError) as error:
        raise ValueError(f"no policy {name}: say {', '.join(KNOWN)} or module:name") from error


def perform(task: Task) -> tuple[Task, Result]:
    return task, play(made(task.policy), task.seed, task.intervals, task.intensity)


def compare(
    policies: Sequence[str], seeds: Sequence[int], intervals: int, intensity: float,
    progress: TextIO,
) -> list[Row]:  # fmt: skip
    """Let every policy play every seed, on both processors; one row each, in the order given."""
    tasks = [Task(policy, seed, intervals, intensity) for seed in seeds for policy in policies]
    results: dict[str, dict[int, Result]] = {policy: {} for policy in policies}
    for task, result in each_of(perform, tasks):
        results[task.policy][task.seed] = result
        progress.write(f"seed {task.seed}: {_line(_row(task.policy, [result], None))}\n")
        progress.flush()
    first = [results[policies[0]][seed] for seed in seeds]
    return [
        _row(policy, [results[policy][seed] for seed in seeds], None if not place else first)
        for place, policy in enumerate(policies)
    ]


def _row(policy: str, results: Sequence[Result], first: Sequence[Result] | None) -> Row:
    whole = _joined(results)
    count = len(whole.settled)
    return Row(
        policy,
        Interval.of(whole.profits),
        None if first is None else difference(whole, _joined(first)),
        sum(one.shares for one in whole.settled) / 1e6 / count,
        sum(one.rebate for one in whole.settled) / 1e6 / count,
    )


def _joined(results: Sequence[Result]) -> Result:
    return Result(tuple(one for result in results for one in result.settled))


def as_table(rows: Sequence[Row]) -> str:
    """A line for each policy."""
    return "".join(f"{_line(row)}\n" for row in rows)


def _line(row: Row) -> str:
    against = "" if row.against is None else f", against the first {_interval(row.against)}"
    return (
        f"{row.policy:8} {row.earned.windows} windows: {_interval(row.earned)} a window{against}, "
        f"{row.shares:.0f} shares filled, {row.rebate:.2f} $ of rebates"
    )


def _interval(one: Interval) -> str:
    return f"{one.mean:+.2f} $ 95 % [{one.low:+.2f}, {one.high:+.2f}]"


def main(argv: Sequence[str]) -> int:
    """The command; its exit code."""
    parser = argparse.ArgumentParser(
        prog="polybot lab maker-match", allow_abbrev=False,
        description="What policies earn against the crowd in the same windows.",
    )  # fmt: skip
    parser.add_argument("policies", nargs="+", metavar="POLICY", help="naive, careful, module:name")
    parser.add_argument("--intervals", type=int, default=50, help="windows of each seed (50)")
    parser.add_argument("--seeds", type=int, default=4, help="how many worlds (4)")
    parser.add_argument("--seed", type=int, default=1, help="the first of them (1)")
    parser.add_argument("--intensity", type=float, default=0.1, help="of the crowd (0.1)")
    said = parser.parse_args(argv)
    if said.intervals < 2 or said.seeds < 1:
        parser.error("an interval needs two windows at least, and a seed")
    try:
        for policy in said.policies:
            made(policy)
    except ValueError as error:
        parser.error(str(error))
    seeds = range(said.seed, said.seed + said.seeds)
    rows = compare(said.policies, seeds, said.intervals, said.intensity, sys.stderr)
    sys.stdout.write(as_table(rows))
    return 0
