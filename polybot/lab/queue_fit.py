"""`python -m polybot lab queue-fit TAPE… --out FILE`: which queue model our own fills speak for.

Each order on the tapes stood in a queue (`queue_watch`). A model says how much of that queue was
gone when a print came, and so how much of the print was ours; what it was is on the tape. The error
of a model is the mean square of the difference, as a part of what could have been ours, over all
prints until the first that tells the truth. The exponent of the probabilistic model is chosen from
a grid, its interval by drawing the orders anew (bootstrap): orders of one hour are witnesses of one
market, so several tapes are better than a long one.

The file names the model: `--queue fitted:FILE` for a backtest, `[paper] queue = "fitted:FILE"` for
paper on a mirrored market.
"""

from __future__ import annotations

import argparse
import random
import sys
from collections.abc import Sequence
from pathlib import Path

import attrs
import orjson

from polybot.exchange.queue_models import (
    AHEAD_FIRST,
    LOGARITHMIC,
    PESSIMISTIC,
    PROPORTIONAL,
    QueueModel,
    probabilistic,
)
from polybot.journal.tape import TapeError
from polybot.lab.queue_watch import Did, Stay, stays
from polybot.lab.tape import Tapes, tapes

EXPONENTS = tuple(round(0.25 * 1.25**n, 3) for n in range(17))  # 0.25 to 8.9
NAMED = (AHEAD_FIRST, PESSIMISTIC, PROPORTIONAL, LOGARITHMIC)
DRAWS = 400
LEAST = 30  # prints on which the models disagree; fewer say nothing


@attrs.frozen
class Judged:
    """One order under one model: squared errors added up, and the prints that were judged."""

    error: float
    prints: int


@attrs.frozen
class Fit:
    """`errors`: mean squared error by model. `least`, `most`: 90 % of the redrawn exponents lie
    between them. `telling`: prints about which the models disagree.
    """

    model: str
    exponent: float
    least: float
    most: float
    errors: dict[str, float]
    orders: int
    prints: int
    telling: int


def judge(stay: Stay, model: QueueModel) -> Judged:
    """Follow one order through its queue. It ends with the first print that the model gets wrong:
    from there on where it believes the order to be is known to be false.
    """
    ahead, behind, left = stay.ahead, 0, stay.size
    error, prints = 0.0, 0
    for step in stay.steps:
        if step.did is Did.ADDED:
            behind += step.shares
        elif step.did is Did.CANCELLED:
            gone = min(step.shares, ahead + behind)
            least, most = max(0, gone - behind), min(ahead, gone)
            front = min(most, max(least, model.advance(ahead, behind, gone)))
            ahead, behind = ahead - front, behind - (gone - front)
        else:
            could = min(step.shares, left)
            told = min(left, max(0, step.shares - ahead)) / could
            was = step.ours / could
            error, prints = error + (told - was) ** 2, prints + 1
            if abs(told - was) > 0.5 or step.ours >= left:
                break
            ahead, left = max(0, ahead - step.shares), left - step.ours
    return Judged(error, prints)


def fit(found: Sequence[Stay], seed: int = 1) -> Fit | str:
    """Choose the exponent; or why it cannot be chosen."""
    models = {model.name: model for model in NAMED}
    powers = {exponent: probabilistic(exponent) for exponent in EXPONENTS}
    rows = {
        model.name: [judge(one, model) for one in found] for model in (*NAMED, *powers.values())
    }
    telling = sum(
        len({(row[n].error, row[n].prints) for row in rows.values()}) > 1 for n in range(len(found))
    )
    if telling < LEAST:
        return f"{telling} orders tell the models apart, {LEAST} are needed: longer or more tapes"
    rng = random.Random(seed)

    def best(chosen: Sequence[int]) -> float:
        return min(EXPONENTS, key=lambda n: _mean([rows[powers[n].name][k] for k in chosen]))

    everyone = range(len(found))
    drawn = sorted(best(rng.choices(everyone, k=len(found))) for _ in range(DRAWS))
    exponent = best(everyone)
    names = [*models, powers[exponent].name]
    return Fit(
        model=powers[exponent].name,
        exponent=exponent,
        least=drawn[DRAWS // 20],
        most=drawn[-DRAWS // 20 - 1],
        errors={name: _mean(rows[name]) for name in names},
        orders=len(found),
        prints=sum(one.prints for one in rows[powers[exponent].name]),
        telling=telling,
    )


def _mean(judged: Sequence[Judged]) -> float:
    return sum(one.error for one in judged) / max(1, sum(one.prints for one in judged))


# --- the command ----------------------------------------------------------------------------------


def main(argv: Sequence[str]) -> int:
    """Ends with 0, with 1 where nothing could be chosen or a tape was not whole, or with 2."""
    said = _parser().parse_args(argv)
    found: list[Stay] = []
    whole = True
    try:
        for path in said.paths:
            with tapes(path) as files:
                read = Tapes(files)
                found += stays(read.events())
                whole &= read.whole
    except (TapeError, OSError, ValueError) as error:
        sys.stderr.write(f"{error}\n")
        return 2
    fitted = fit(found)
    if isinstance(fitted, str):
        sys.stdout.write(f"{len(found)} orders at whose price something traded: {fitted}\n")
        return 1
    sys.stdout.write("\n".join(lines(fitted)) + "\n")
    if said.out is not None:
        said.out.write_bytes(orjson.dumps({"queue": fitted.model, **attrs.asdict(fitted)}))
    return 0 if whole else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="polybot lab queue-fit",
        description="Which queue model our own fills speak for.",
        allow_abbrev=False,
    )
    parser.add_argument("paths", nargs="+", type=Path, metavar="TAPE", help="tapes, or folders")
    parser.add_argument("--out", type=Path, metavar="FILE", help="write the model there, as JSON")
    return parser


def lines(fitted: Fit) -> list[str]:
    """For people: the choice, its interval, and what the others come to."""
    rows = [f"{name:<24}{error:>10.4f}" for name, error in fitted.errors.items()]
    return [
        f"{fitted.orders} orders, {fitted.prints} prints, {fitted.telling} orders tell them apart",
        f"{'model':<24}{'error':>10}",
        *sorted(rows, key=lambda row: float(row[24:])),
        f"chosen: {fitted.model}, 90 % of redraws from {fitted.least:g} to {fitted.most:g}",
    ]
