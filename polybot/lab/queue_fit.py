"""`python -m polybot lab queue-fit TAPE… --out FILE`: which queue model our own fills speak for.

Each order on the tapes stood in a queue (`queue_watch`). A model says how much of that queue was
gone when a print came, and so how much of the print was ours; what it was is on the tape. The error
of a model is the mean square of the difference, as a part of what could have been ours, over all
prints until the first that tells the truth. The model with the least error is chosen, and told in
how many of the redraws of the orders (bootstrap) it would have been again. The exponent of the
probabilistic model comes from a grid, its interval from the same redraws: orders of one hour are
witnesses of one market, so several tapes are better than a long one. An exponent at the end of the
grid says that nearly all who cancel stand behind: then the pessimistic model is the simpler word.

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
from polybot.lab.places import file_place, put, reason
from polybot.lab.queue_watch import Did, Stay, stays
from polybot.lab.tape import read_runs

EXPONENTS = tuple(round(0.25 * 1.25**n, 3) for n in range(17))  # 0.25 to 8.9
POWER = "power"  # whatever its exponent
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
    """`errors`: mean squared error by model. `sure`: the part of the redraws in which a model of
    the chosen kind had the least. `least`, `most`: 90 % of the redrawn exponents of the
    probabilistic model lie between them. `telling`: orders about which the models disagree.
    """

    model: str
    sure: float
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
    """Choose the model; or why it cannot be chosen."""
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

    def best(chosen: Sequence[int]) -> tuple[str, float]:
        """The model's kind and the exponent with the least error."""
        errors = {name: _mean([row[k] for k in chosen]) for name, row in rows.items()}
        exponent = min(EXPONENTS, key=lambda n: errors[powers[n].name])
        named = min(models, key=errors.__getitem__)
        better = errors[named] <= errors[powers[exponent].name]
        return named if better else POWER, exponent

    everyone = range(len(found))
    kind, exponent = best(everyone)
    redrawn = [best(rng.choices(everyone, k=len(found))) for _ in range(DRAWS)]
    drawn = sorted(one for _, one in redrawn)
    names = [*models, powers[exponent].name]
    model = powers[exponent].name if kind == POWER else kind
    return Fit(
        model=model,
        sure=sum(one == kind for one, _ in redrawn) / DRAWS,
        exponent=exponent,
        least=drawn[DRAWS // 20],
        most=drawn[-DRAWS // 20 - 1],
        errors={name: _mean(rows[name]) for name in names},
        orders=len(found),
        prints=sum(one.prints for one in rows[model]),
        telling=telling,
    )


def _mean(judged: Sequence[Judged]) -> float:
    return sum(one.error for one in judged) / max(1, sum(one.prints for one in judged))


# --- the command ----------------------------------------------------------------------------------


def main(argv: Sequence[str]) -> int:
    """Ends with 0, with 1 where nothing could be chosen or a tape was not whole, or with 2."""
    said = _parser().parse_args(argv)
    found: list[Stay] = []
    try:
        whole = read_runs(said.paths, lambda events: found.extend(stays(events)))
    except (TapeError, OSError, ValueError) as error:
        sys.stderr.write(f"{reason(error)}\n")
        return 2
    fitted = fit(found)
    if isinstance(fitted, str):
        sys.stdout.write(f"{len(found)} orders at whose price something traded: {fitted}\n")
        return 1
    sys.stdout.write("\n".join(lines(fitted)) + "\n")
    if said.out is not None:
        put(said.out, orjson.dumps({"queue": fitted.model, **attrs.asdict(fitted)}))
    return 0 if whole else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="polybot lab queue-fit",
        description="Which queue model our own fills speak for.",
        allow_abbrev=False,
    )
    parser.add_argument("paths", nargs="+", type=Path, metavar="TAPE", help="tapes, or folders")
    parser.add_argument("--out", type=file_place, metavar="FILE", help="write the model there")
    return parser


def lines(fitted: Fit) -> list[str]:
    """For people: the choice, its interval, and what the others come to."""
    rows = [f"{name:<24}{error:>10.4f}" for name, error in fitted.errors.items()]
    return [
        f"{fitted.orders} orders, {fitted.prints} prints, {fitted.telling} orders tell them apart",
        f"{'model':<24}{'error':>10}",
        *sorted(rows, key=lambda row: float(row[24:])),
        f"best exponent: {fitted.exponent:g}, 90 % of redraws {fitted.least:g} to {fitted.most:g}",
        f"chosen: {fitted.model}, in {fitted.sure:.0%} of redraws",
    ]
