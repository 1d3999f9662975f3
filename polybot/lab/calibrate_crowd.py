"""`python -m polybot lab calibrate-crowd`: the crowd's figures beside those of the venue.

Books and trades are taken under the rules of the day they were recorded on, see `crowd_venue`. Ends
with 1 when a figure is out of its tolerance.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TextIO

import attrs

from polybot.exchange.recording_cronos import SUFFIX
from polybot.exchange.recording_files import Warnings
from polybot.lab import numbers
from polybot.lab.crowd_figures import Figures, book_figures, price_figures, sample_figures
from polybot.lab.crowd_meter import Meters
from polybot.lab.crowd_sample import DRAWS, errors, tallies
from polybot.lab.crowd_tally import Tally
from polybot.lab.crowd_targets import BOOKS, PRICES, SURE, Target
from polybot.lab.crowd_venue import SAMPLE_DAY, CrowdVenue

WIDTHS = (66, 11, 11, 9, 9)
FOOTER = (
    "The tolerance is the wider of the two. band: as near as a model should come were both known.",
    f"chance: {SURE:g} standard errors of the difference between the recorded draw and ours;",
    "more windows of ours take a third off it at most, the rest is the recorded markets' own.",
)


def main(argv: Sequence[str]) -> int:
    """The command; its exit code."""
    parser = argparse.ArgumentParser(
        prog="polybot lab calibrate-crowd", allow_abbrev=False,
        description="The crowd's figures against those measured on the venue.",
    )  # fmt: skip
    parser.add_argument("--markets", type=numbers.count, default=32, help="windows to measure (32)")
    parser.add_argument("--seed", type=numbers.seed, default=1)
    parser.add_argument("--json", action="store_true", help="rows as JSON instead of a table")
    parser.add_argument(
        "--sample", type=Path, metavar="FOLDER",
        help="instead: what the recorded books themselves show, and their spread between markets",
    )  # fmt: skip
    said = parser.parse_args(argv)
    if said.sample is not None:
        if not any(said.sample.glob(f"*{SUFFIX}")):
            sys.stderr.write(f"{said.sample}: no folder of recorded books (*{SUFFIX})\n")
            return 2
        warnings = Warnings()
        sys.stdout.write(sample_table(said.sample, said.seed, warnings))
        return 1 if warnings.cut else 0
    figures = measure(said.seed, said.markets, sys.stderr) | price_figures(said.seed)
    rows = [
        Compared.of(target, figures.get(target.path, math.nan), said.markets)
        for target in (*BOOKS, *PRICES)
    ]
    sys.stdout.write(as_json(rows) if said.json else as_table(rows))
    return 0 if all(row.ok for row in rows) else 1


def measure(seed: int, markets: int, progress: TextIO, intensity: float = 1.0) -> Figures:
    """The figures of so many windows of the sample's day."""
    venue, tally = CrowdVenue(seed, intensity, SAMPLE_DAY), Tally()
    meters = Meters(venue.engine, tally)
    venue.engine.listeners.append(meters.on_event)
    for number, market in enumerate(venue.windows(markets), 1):
        meters.start(market)
        progress.write(f"window {number} of {markets}\n")
        progress.flush()
    return book_figures(tally)


def sample_table(folder: Path, seed: int, warnings: Warnings) -> str:
    """Every target that recorded books show: the table's value and theirs, and both errors."""
    markets = tallies(sorted(folder.glob(f"*{SUFFIX}")), warnings)
    shown = sample_figures(Tally.together(markets))
    spread = errors(markets, len(markets), random.Random(seed))
    lines = [_line(("figure", "target", "sample", "error", "its error", ""))]
    for target in BOOKS:
        if target.path in shown:
            figures = (target.value, shown[target.path], target.error)
            cells = (f"{figure:.4g}" for figure in figures)
            lines.append(_line((target.path, *cells, f"{spread[target.path]:.2g}", "")))
    return "\n".join([*lines, f"{len(markets)} markets, {DRAWS} draws", ""])


@attrs.frozen
class Compared:
    """One figure of so many windows beside its target."""

    figure: str
    target: float
    ours: float
    band: str
    chance: str
    in_band: bool
    ok: bool

    @classmethod
    def of(cls, target: Target, ours: float, windows: int) -> Compared:
        band, chance = target.tolerances(windows)
        return cls(
            target.path, target.value, ours, band, chance, target.in_band(ours),
            target.met(ours, windows),
        )  # fmt: skip


def as_json(rows: Sequence[Compared]) -> str:
    listed = [
        attrs.asdict(row) | {"ours": None if math.isnan(row.ours) else row.ours} for row in rows
    ]
    return json.dumps(listed, indent=1) + "\n"


def as_table(rows: Sequence[Compared]) -> str:
    """One line a figure, how many are within their tolerance, and what that is."""
    lines = [_line(("figure", "target", "ours", "band", "chance", "ok"))]
    for row in rows:
        figures = (f"{row.target:.4g}", f"{row.ours:.4g}")
        verdict = "ok" if row.ok else "OUT"
        lines.append(_line((row.figure, *figures, row.band, row.chance, verdict)))
    met, banded = sum(row.ok for row in rows), sum(row.in_band for row in rows)
    said = f"{met} of {len(rows)} within tolerance, {banded} within the band alone"
    return "\n".join([*lines, said, *FOOTER, ""])


def _line(cells: Sequence[str]) -> str:
    name, *figures, verdict = cells
    padded = "".join(cell.rjust(width) for cell, width in zip(figures, WIDTHS[1:], strict=True))
    return f"{name.ljust(WIDTHS[0])}{padded}  {verdict}"
