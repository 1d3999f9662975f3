"""`python -m polybot lab soak-orders`: the desk and the ledger through very many random lives.

Each sequence is a play (order_play.py) of drawn steps with its own seed, so that any of them can be
repeated alone: `--first N --sequences 1`. Both cores are used. Ends with 1 when an invariant is
broken, or when a rare state that the play exists for was never reached.
"""

from __future__ import annotations

import argparse
import multiprocessing
import random
import sys
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial

import attrs

from polybot.clock import wall_seconds
from polybot.domain.market import Outcome
from polybot.domain.orders import TradeStatus
from polybot.lab import numbers
from polybot.lab.order_play import Play
from polybot.lab.order_truth import CUTOFF_MS
from polybot.lab.report import Row, table
from polybot.lab.toy_venue import CancelFate, Fates, PostFate, ReadFate

STEPS = 20
CHUNK = 500
PROCESSES = 2
ENOUGH = 10_000  # sequences in which every rare state must come up

POSTS, CANCELS, READS = tuple(PostFate), tuple(CancelFate), tuple(ReadFate)
STATUSES = tuple(TradeStatus)
SELLS = (
    frozenset[Outcome](),
    frozenset(Outcome),
    frozenset({Outcome.UP}),
    frozenset({Outcome.DOWN}),
)
WAITS_MS = (0, 1, 50, 200, 1000, 2500)
LAGS_MS = (0, 500, 2000, 7000)

# What a soak must have seen, or it proves little (reliability.md 3, reachability).
RARE = (
    "unknown → live",
    "unknown → absent",
    "unknown → cancelled",
    "absent → live",
    "cancelled → unknown",
    "cancelling → unknown",
    "cancelling → filled",
    "fill before ack",
    "reversal",
    "takes",
    "asks",
    "sale reversed",
    "refresh",
    "merge",
)


@attrs.frozen
class Failed:
    """One broken sequence: its number, after which step, and what broke."""

    number: int
    step: int
    what: str


@attrs.define
class Soaked:
    """What some sequences came to."""

    sequences: int = 0
    seen: Counter[str] = attrs.field(factory=Counter)
    failed: list[Failed] = attrs.field(factory=list)

    def add(self, other: Soaked) -> None:
        self.sequences += other.sequences
        self.seen.update(other.seen)
        self.failed += other.failed


def step(play: Play, rng: random.Random) -> None:
    """One drawn step. Acting and arriving come most often, or nothing ever happens."""
    drawn, n = rng.random(), rng.getrandbits(16)
    if drawn < 0.30:
        play.act(rng.choice(WAITS_MS))
    elif drawn < 0.50:
        posts = tuple(rng.choice(POSTS) for _ in range(3))
        taken = (rng.choice((0, 40, 100)), rng.choice((0, 100, 700)))
        play.arrive(n, Fates(posts, rng.choice(CANCELS), rng.choice(READS), *taken))
    elif drawn < 0.64:
        play.reply(n)
    elif drawn < 0.76:
        play.message(n, again=n & 1 == 1, lost=n & 6 == 6)
    elif drawn < 0.84:
        lots = 1 + rng.randrange(1200)
        if n & 16:
            play.fill_untold(n, lots)
        else:
            play.fill(n, 1 + n % 3, lots)
    elif drawn < 0.90:
        play.trade_moves(n, rng.choice(STATUSES))
    elif drawn < 0.94:
        play.take(rng.randint(30, 65), rng.randint(40, 110), all_or_nothing=n & 1 == 1)
    elif drawn < 0.96:
        up, down = (100 * rng.randint(30, 65) for _ in range(2))
        play.wish(up, down, n % 3, 5 + n % 8, SELLS[n // 8 % len(SELLS)])
    elif drawn < 0.97:
        play.merge(rng.choice((30, 100)))
    elif drawn < 0.985:
        play.reconcile(rng.choice(LAGS_MS))
    else:
        play.gate.set("user stream: closed" if n & 1 else None)


def sequence(seed: int, number: int, steps: int = STEPS) -> tuple[Play, Failed | None]:
    """Play one life to its end."""
    rng = random.Random(seed * 1_000_000_007 + number)
    play = Play(CUTOFF_MS - rng.choice((240_000, 240_000, 5_000)))
    kind = number % 6
    if kind in (0, 3):
        play.begin_unpaired(8 + number % 7)
    elif kind in (1, 4):
        play.begin_stocked(8 + number % 10, 8 + number % 11)
    if kind not in (0, 3):
        up, down = (100 * rng.randint(30, 65) for _ in range(2))
        play.wish(up, down, 1 + number % 2, 8, SELLS[number // 6 % len(SELLS)])
    at = 0
    try:
        for at in range(steps):  # noqa: B007 - the step it broke in
            step(play, rng)
            play.check()
        play.finish()
    except Exception as error:  # noqa: BLE001 - whatever it is, it is the finding
        return play, Failed(number, at, f"{type(error).__name__}: {error}")
    return play, None


def soak(seed: int, numbers: range) -> Soaked:
    """Play these sequences."""
    found = Soaked(len(numbers))
    for number in numbers:
        play, failed = sequence(seed, number)
        found.seen.update(play.table.rare)
        if failed is not None:
            found.failed.append(failed)
    return found


def spread(seed: int, first: int, sequences: int) -> Soaked:
    """Play many, on both cores, telling how far it is."""
    numbers = range(first, first + sequences)
    chunks = [numbers[start : start + CHUNK] for start in range(0, sequences, CHUNK)]
    total, begun = Soaked(), wall_seconds()
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(PROCESSES, mp_context=context) as pool:
        for part in pool.map(partial(soak, seed), chunks):
            total.add(part)
            if total.sequences % (20 * CHUNK) == 0:
                took = wall_seconds() - begun
                per_s = total.sequences / took
                sys.stderr.write(
                    f"{total.sequences} of {sequences} sequences, {per_s:.0f}/s,"
                    f" {len(total.failed)} broken\n"
                )
    return total


def rows(total: Soaked, took_s: float) -> list[Row]:
    broken, per_s = len(total.failed), total.sequences / max(took_s, 0.001)
    found = [
        Row("sequences", "", str(total.sequences), f"{took_s:.0f} s, {per_s:.0f}/s"),
        Row("invariants broken", "0", str(broken), met=broken == 0),
    ]
    found += [
        Row(f"  sequence {one.number}, step {one.step}", "", "", one.what, met=False)
        for one in total.failed[:10]
    ]
    judged = total.sequences >= ENOUGH
    seen = [(name, total.seen[name]) for name in RARE]
    return found + [
        Row(name, "> 0", str(times), met=times > 0 if judged else None) for name, times in seen
    ]


def main(words: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="polybot lab soak-orders", description=__doc__)
    parser.add_argument("--sequences", type=numbers.count, default=1_000_000)
    parser.add_argument("--seed", type=numbers.seed, default=1)
    parser.add_argument(
        "--first", type=numbers.whole(0), default=0, help="number of the first sequence"
    )
    said = parser.parse_args(words)
    begun = wall_seconds()
    total = spread(said.seed, said.first, said.sequences)
    title = f"orders: {STEPS} steps a sequence, seed {said.seed}"
    return 0 if table(sys.stdout, title, rows(total, wall_seconds() - begun)) else 1
