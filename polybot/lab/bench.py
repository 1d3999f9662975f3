"""`python -m polybot.lab.bench`: what the hot path costs, and whether stopping is safe.

First a table of single steps: every case takes its turn in every round, beside its floor, and each
figure is a median, because a shared machine drifts by a factor of two. Each turn is made twice and
counts once, for the cases before it leave the caches full of theirs. Then the drills, with a real
exchange and the real bot over loopback sockets. Ends with 1 when a target is missed.
"""

from __future__ import annotations

import argparse
import gc
import statistics
import sys
from collections.abc import Sequence
from time import perf_counter_ns

import attrs

from polybot.lab import drills, numbers
from polybot.lab.bench_kit import Case, Work
from polybot.lab.cases import cases
from polybot.lab.report import Row, table

ROUNDS = 15
TURN_NS = 15_000_000  # what one turn of one case takes, about


@attrs.define(eq=False)
class _Timed:
    """A case, how often one turn calls it, and what its turns came to, in µs per unit."""

    case: Case
    calls: int
    work: list[float] = attrs.field(factory=list)
    floor: list[float] = attrs.field(factory=list)

    def turn(self) -> None:
        self.work.append(self._us(self.case.work))
        if self.case.floor is not None:
            self.floor.append(self._us(self.case.floor))

    def _us(self, work: Work) -> float:
        _time(work, self.calls)
        return _time(work, self.calls) / 1000 / self.case.per

    def row(self) -> Row:
        case, ours = self.case, statistics.median(self.work)
        target = case.target_us
        against = ""
        if self.floor:
            ratio = statistics.median(w / f for w, f in zip(self.work, self.floor, strict=True))
            floor = statistics.median(self.floor)
            against = f"{ratio:.2f} × {case.floor_name} ({floor:.1f} µs)"
        return Row(
            case.name,
            f"≤ {target:g} µs" if target is not None else "",
            f"{ours:.1f} µs",
            against,
            met=None if target is None else ours <= target,
        )


def _time(work: Work, calls: int) -> float:
    """Nanoseconds of one call, over so many."""
    turns = range(calls)
    begun = perf_counter_ns()
    for _ in turns:
        work()
    return (perf_counter_ns() - begun) / calls


def steps() -> list[Row]:
    """Time every case in turn."""
    timed = []
    for case in cases():
        case.work()
        case.check()
        timed.append(_Timed(case, max(1, int(TURN_NS / _time(case.work, 3)))))
    gc.freeze()  # as the bot does when it has started
    for _ in range(ROUNDS):
        for one in timed:
            gc.collect()
            one.turn()
    gc.unfreeze()
    for one in timed:
        one.case.check()
    return [one.row() for one in timed]


def main(argv: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="polybot.lab.bench", description=__doc__)
    parser.add_argument(
        "--moments", type=numbers.count, default=200, help="stops of the stop drill"
    )
    parser.add_argument("--seed", type=numbers.seed, default=1)
    parser.add_argument("--memory", action="store_true", help="the memory drill too: minutes")
    said = parser.parse_args(argv)
    met = table(sys.stdout, "steps", steps())
    for title, rows in drills.run(said.moments, said.seed, memory=said.memory):
        met &= table(sys.stdout, title, rows)
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
