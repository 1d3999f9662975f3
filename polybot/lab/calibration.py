"""How good our probabilities are: `python -m polybot lab calibration`.

Scores them by time to close, against the market's own price where that was seen, and draws the
reliability diagram. Rows come from the bot's own log (`[journal] calibration`), from recordings
with known results, or from windows of an invented crowd. The market's price is the micro-price of
its book, ours left out.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TextIO

import attrs

from polybot import calibration_log
from polybot.lab.crowd_chances import watch
from polybot.lab.reliability import svg
from polybot.lab.replayed_prices import Replayed, replay
from polybot.pricing.calibration import Row, Score, reliability, scores
from polybot.pricing.params import PricingParams

HEAD = "to close      samples  markets    Brier log loss |  both   Brier  market  log loss  market"


def main(argv: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="polybot lab calibration", description=__doc__)
    parser.add_argument("--log", type=Path, action="append", default=[], metavar="FILE")
    parser.add_argument("--recordings", type=Path, metavar="FOLDER")
    parser.add_argument("--crowd", type=int, default=0, metavar="WINDOWS")
    parser.add_argument("--seed", type=int, default=1, help="of the crowd (1)")
    parser.add_argument("--intensity", type=float, default=0.05, help="of the crowd (0.05)")
    parser.add_argument("--vol-error", type=float, default=PricingParams().vol_error)
    parser.add_argument("--diagram", type=Path, metavar="FILE.svg")
    said = parser.parse_args(argv)
    try:
        params = PricingParams(vol_error=said.vol_error)
        logged = [row for path in said.log for row in calibration_log.read(path)]
        played = replay(said.recordings, params) if said.recordings else Replayed([])
    except (OSError, ValueError) as error:
        sys.stderr.write(f"{error}\n")
        return 2
    rows = logged + played.rows
    if said.crowd > 0:
        rows += watch(said.crowd, said.seed, said.intensity, params)
    if not rows:
        sys.stderr.write("no sample with a known result: give --log, --recordings or --crowd\n")
        return 2
    tell(sys.stdout, rows, played)
    if said.diagram is not None:
        said.diagram.write_text(diagram(rows), encoding="utf-8")
    return 0 if played.agreed == played.settled else 1


def tell(out: TextIO, rows: Sequence[Row], played: Replayed) -> None:
    """The rule engine's count, then a table with one line for each bucket of time to close."""
    if played.settled:
        out.write(f"rule engine: {played.agreed} of {played.settled} results as paid\n\n")
    out.write(f"{HEAD}\n{'-' * len(HEAD)}\n")
    buckets = scores(rows)
    out.writelines(
        f"{_line(score, whole=score not in buckets)}\n"
        for score in [*buckets, *scores(rows, (math.inf,))]
    )
    out.write("\npredicted  came true  samples  (two standard errors)\n")
    for one in reliability(rows):
        error = f"±{2 * one.error:.3f}"
        out.write(f"{one.mean_q:9.3f}  {one.share_up:9.3f}  {one.samples:7d}  {error}\n")


def _line(score: Score, *, whole: bool) -> str:
    name = "all" if whole else f"≤ {score.up_to_s:g} s"
    ours = f"{name:12}{score.samples:9}{score.markets:9}{score.brier:9.4f}{score.log_loss:9.4f}"
    told = (
        score.ours_brier,
        score.market_brier,
        score.ours_log_loss,
        score.market_log_loss,
    )
    return f"{ours} |{score.both:6}" + "".join(
        "       –" if value is None else f"{value:8.4f}" for value in told
    )


def diagram(rows: Sequence[Row]) -> str:
    """The model's points and, of the rows that have one, the market's."""
    seen = [
        attrs.evolve(row, sample=attrs.evolve(row.sample, q=row.sample.market))
        for row in rows
        if row.sample.market is not None
    ]
    markets = len({row.slug for row in rows})
    return svg(reliability(rows), reliability(seen), f"{len(rows)} samples of {markets} markets")
