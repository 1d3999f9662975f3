"""How good our probabilities are: `python -m polybot lab calibration`.

Scores them by time to close, against the market's own price where that was seen, and draws the
reliability diagram. Rows come from the bot's own log (`[journal] calibration`), from recordings
with known results, or from windows of an invented crowd. The market's price is the micro-price of
its book, ours left out.

`--cuts` asks the recorded prices a second question: how good we would have been at windows that
nobody traded, cut out of the same prices at other seconds. What is wrong there is our model; what
is wrong only at the true windows is what their ends did to the price. `--ahead` asks them how well
volatility was told of the minutes and the hour to come.

Ends with 1 where the rule engine settles a recorded market otherwise than it was paid, where only
a part of a recording or a log could be read, or where there is no sample for a diagram; with 2 for
bad words, or where there is nothing to score.
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
from polybot.exchange.recording_files import Warnings
from polybot.lab import numbers, vol_forecast
from polybot.lab.backtest import quiet
from polybot.lab.crowd_chances import watch
from polybot.lab.places import file_place, reason
from polybot.lab.reliability import check_name, draw
from polybot.lab.replayed_cuts import Cut, cut
from polybot.lab.replayed_prices import Replayed, replay
from polybot.pricing.calibration import Row, Score, brier, log_loss, reliability, scores
from polybot.pricing.params import PricingParams

HEAD = "to close      samples  markets    Brier log loss |  both   Brier  market  log loss  market"

SURE_BINS = 20  # the last of them is what was called 95 % likely or more


def main(argv: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="polybot lab calibration", description=__doc__)
    parser.add_argument("--log", type=Path, action="append", default=[], metavar="FILE")
    parser.add_argument("--recordings", type=Path, metavar="FOLDER")
    parser.add_argument(
        "--cuts", action="store_true", help="score the recordings cut elsewhere, too"
    )
    parser.add_argument(
        "--ahead", action="store_true", help="judge the volatility that was told ahead, too"
    )
    parser.add_argument("--crowd", type=numbers.whole(0), default=0, metavar="WINDOWS")
    parser.add_argument("--seed", type=numbers.seed, default=1, help="of the crowd (1)")
    parser.add_argument(
        "--intensity", type=numbers.intensity, default=0.05, help="of the crowd (0.05)"
    )
    parser.add_argument("--vol-error", type=float, default=PricingParams().vol_error)
    parser.add_argument("--diagram", type=file_place, metavar="FILE.png")
    said = parser.parse_args(argv)
    if said.recordings is None and (said.cuts or said.ahead):
        parser.error("--cuts and --ahead ask about recordings: give --recordings")
    faults: list[str] = []
    try:
        if said.diagram is not None:
            check_name(said.diagram)
        params = PricingParams(vol_error=said.vol_error)
        logged = _logged(said.log, faults)
        played = _played(said.recordings, params) if said.recordings else Replayed([])
        cuts = _cuts(said.recordings, params, faults) if said.recordings and said.cuts else []
        ahead = _ahead(said.recordings, params) if said.recordings and said.ahead else {}
    except (OSError, ValueError) as error:
        sys.stderr.write(f"{reason(error)}\n")
        return 2
    faults = [*dict.fromkeys((*faults, *played.faults))]
    sys.stderr.writelines(f"{fault}\n" for fault in faults)
    rows = logged + played.rows
    if said.crowd > 0:
        rows += watch(said.crowd, said.seed, said.intensity, params)
    if not rows and not ahead:
        given = [str(path) for path in (*said.log, said.recordings) if path is not None]
        where = f" in {', '.join(given)}" if given else ": give --log, --recordings or --crowd"
        sys.stderr.write(f"no sample with a known result{where}\n")
        return 2
    if rows:
        tell(sys.stdout, rows, played)
    if cuts:
        tell_cuts(sys.stdout, cuts)
    if ahead:
        vol_forecast.tell(sys.stdout, ahead)
    if said.diagram is not None and rows:
        diagram(said.diagram, rows)
    elif said.diagram is not None:
        sys.stderr.write("no diagram: there is no sample with a known result\n")
        return 1
    return 0 if played.agreed == played.settled and not faults else 1


def _logged(paths: Sequence[Path], faults: list[str]) -> list[Row]:
    """The rows of all logs. One that is named twice would count twice, and seem twice as sure."""
    files = [path.resolve() for path in paths]
    for number, path in enumerate(paths):
        if files[number] in files[:number]:
            raise ValueError(f"{path}: named twice, and its samples would count twice")
    return [row for path in paths for row in calibration_log.read(path, faults)]


def _played(folder: Path, params: PricingParams) -> Replayed:
    if not folder.is_dir():
        raise ValueError(f"{folder}: no folder of recordings")
    with quiet():  # what readers find wrong is told with the scores
        return replay(folder, params)


def _cuts(folder: Path, params: PricingParams, faults: list[str]) -> list[Cut]:
    warnings = Warnings()
    with quiet():
        found = cut(folder, params, warnings=warnings)
    faults += warnings
    return found


def _ahead(folder: Path, params: PricingParams) -> dict[int, list[vol_forecast.Look]]:
    with quiet():  # what readers find wrong is told with the scores
        return vol_forecast.looks(vol_forecast.recorded(folder, Warnings()), params)


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


def tell_cuts(out: TextIO, cuts: Sequence[Cut]) -> None:
    """The true windows, which begin at second 0, against those that nobody traded."""
    whole = [row for one in cuts if one.shift_s for row in one.rows]
    others = [one for one in cuts if one.shift_s]
    worse = sum(one.log_loss >= cuts[0].log_loss for one in others)
    out.write("\ncut at      samples    Brier expected log loss | called by, of which came true\n")
    out.write(_cut_line("the window", cuts[0].rows))
    out.write(_cut_line("elsewhere", whole))
    out.write(f"{worse} of {len(others)} other cuts have a log loss as large as the true one\n")


def _cut_line(name: str, rows: Sequence[Row]) -> str:
    pairs = [(row.sample.q, row.up) for row in rows]
    expected = math.fsum(q * (1 - q) for q, _ in pairs) / len(pairs)
    last = reliability([_favoured(row) for row in rows], SURE_BINS)[-1]
    sure = f"{last.mean_q:.3f} {last.share_up:.3f} of {last.samples}"
    figures = f"{brier(pairs):9.4f}{expected:9.4f}{log_loss(pairs):9.4f}"
    return f"{name:10}{len(rows):9}{figures} | {sure}\n"


def _favoured(row: Row) -> Row:
    """The same, told of the side that was thought more likely."""
    if row.sample.q >= 0.5:
        return row
    return attrs.evolve(row, sample=attrs.evolve(row.sample, q=1 - row.sample.q), up=1 - row.up)


def diagram(path: Path, rows: Sequence[Row]) -> None:
    """The model's points and, of the rows that have one, the market's."""
    seen = [
        attrs.evolve(row, sample=attrs.evolve(row.sample, q=row.sample.market))
        for row in rows
        if row.sample.market is not None
    ]
    markets = len({row.slug for row in rows})
    draw(path, reliability(rows), reliability(seen), f"{len(rows)} samples of {markets} markets")
