"""`python -m polybot lab naive-maker`: what a maker earns who does not think, and one who does.

Both play the same windows under today's rules, each alone with the crowd, rebates counted in their
favour. Ends with 1 unless the naive one's mean profit is below zero with 95 % confidence.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from polybot.lab import numbers
from polybot.lab.maker_table import as_table, compare

# Many worlds say more than one long one: an interval of few windows still has its eight witnesses.
SHIFT, WORLDS = 25, 8  # windows of one seed at most; seeds at least, where there are enough windows


def main(argv: Sequence[str]) -> int:
    """The command; its exit code."""
    parser = argparse.ArgumentParser(
        prog="polybot lab naive-maker", allow_abbrev=False,
        description="What a naive and a careful maker earn against the crowd.",
    )  # fmt: skip
    parser.add_argument(
        "--markets",
        type=numbers.whole(2),
        default=200,
        help="windows to trade (200), 2 to 25 of a seed",
    )
    parser.add_argument("--seed", type=numbers.seed, default=1, help="the first seed (1)")
    parser.add_argument(
        "--intensity", type=numbers.intensity, default=0.1, help="of the crowd (0.1)"
    )
    said = parser.parse_args(argv)
    shift = min(SHIFT, max(2, said.markets // WORLDS))
    seeds = range(said.seed, said.seed + -(-said.markets // shift))
    rows = compare(("naive", "careful"), seeds, shift, said.intensity, sys.stderr)
    sys.stdout.write(as_table(rows))
    return 0 if rows[0].earned.high < 0 else 1
