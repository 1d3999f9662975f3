"""`python -m polybot lab latency-fit TAPE… --out FILE`: how long our own ways took.

Three ways, as a backtest has them (`latency_models`), each from the venue's own stamps:

- `feed`: the `timestamp` of a change of a book to its receipt. A snapshot bears the stamp of its
  last change, however long ago that was, and a print comes some 80 ms after its change;
- `order`: our decision to post to the `timestamp` of the order's PLACEMENT on the user stream, so
  signing and the wait for a place at the venue's limits are in it. Takers are left out: the venue
  holds them back on purpose, and a backtest has that as a rule of its own;
- `news`: the `timestamp` of an order's event to its receipt.

Stamps of whole seconds tell nothing and are left out. Two clocks are compared, the venue's and
ours: what ours is ahead makes `feed` and `news` too long and `order` too short, their sum stays
right. What comes out below zero is impossible and says so; then the figures are not to be used.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs
import msgpack
import orjson

from polybot.exchange.latency_models import LONGEST_MS, WAYS
from polybot.journal.tape import Event, Kind, TapeError
from polybot.lab.places import file_place, put, reason
from polybot.lab.tape import read_runs

NS_IN_MS = 1_000_000
IN_MS = 100_000_000_000  # a stamp above it counts milliseconds (feeds.md 4.2)
RESTS = ("GTC", "GTD")
LEAST = 30  # values of a way; fewer say nothing of its slow end
KEPT = 1_000  # of each way, evenly spaced in order: the file stays small
IMPOSSIBLE_MOST = 0.01  # of a way's values, below zero
SHARES = (0.5, 0.9, 0.99)


@attrs.define(eq=False)
class Ways:
    """Milliseconds of each way as the tapes show them, in the order they were seen."""

    found: dict[str, list[int]] = attrs.field(factory=lambda: {way: [] for way in WAYS})
    _posted: dict[str, int] = attrs.field(factory=dict)  # when, in ms, by order id

    def take(self, event: Event) -> None:
        at_ms = event.at_ns // NS_IN_MS
        if event.kind is Kind.DECIDED and event.stream.startswith("orders "):
            self._decided(event.body, at_ms)
        elif event.kind is Kind.HEARD and event.stream.startswith("market "):
            for row in _rows(event.body):
                stamp = _stamp_ms(row)
                if stamp is not None and row.get("event_type") == "price_change":
                    self.found["feed"].append(at_ms - stamp)
        elif event.kind is Kind.HEARD and event.stream == "user":
            for row in _rows(event.body):
                self._told(row, at_ms)

    def _decided(self, body: bytes, at_ms: int) -> None:
        for word, *rows in msgpack.unpackb(body):
            if word == "post":
                resting = [row[0] for row in rows if row[5] in RESTS]
                self._posted |= dict.fromkeys(resting, at_ms)

    def _told(self, row: Mapping[str, Any], at_ms: int) -> None:
        stamp = _stamp_ms(row)
        if stamp is None or row.get("event_type") != "order":
            return
        self.found["news"].append(at_ms - stamp)
        posted_ms = self._posted.pop(str(row.get("id")), None)
        if posted_ms is not None and row.get("type") == "PLACEMENT":
            self.found["order"].append(stamp - posted_ms)


def _rows(body: bytes) -> list[Mapping[str, Any]]:
    """The objects of a frame; what is no JSON (a PONG) holds none."""
    try:
        said = orjson.loads(body)
    except ValueError:
        return []
    rows = said if isinstance(said, list) else [said]
    return [row for row in rows if isinstance(row, dict)]


def _stamp_ms(row: Mapping[str, Any]) -> int | None:
    try:
        stamp = int(row.get("timestamp", ""))
    except (TypeError, ValueError):
        return None
    return stamp if stamp > IN_MS else None


def ways(events: Iterable[Event]) -> dict[str, list[int]]:
    """All that a tape shows."""
    seen = Ways()
    for event in events:
        seen.take(event)
    return seen.found


def trouble(found: Mapping[str, Sequence[int]]) -> str | None:
    """Why a backtest should not go by these figures; None when it may."""
    for way, values in found.items():
        if len(values) < LEAST:
            return f"{way}: {len(values)} values, {LEAST} are needed: longer or more tapes"
        below = sum(value < 0 for value in values)
        if below > IMPOSSIBLE_MOST * len(values):
            return (
                f"{way}: {below} of {len(values)} are below zero: this machine's clock and the "
                f"venue's were {-min(values)} ms apart. Keep the machine's by NTP and record anew"
            )
    return None


def kept(values: Sequence[int]) -> list[int]:
    """What goes into the file: within what a backtest takes, and not more than `KEPT`."""
    ordered = sorted(min(max(value, 0), LONGEST_MS) for value in values)
    count = min(len(ordered), KEPT)
    return [ordered[(2 * n + 1) * len(ordered) // (2 * count)] for n in range(count)]


# --- the command ----------------------------------------------------------------------------------


def main(argv: Sequence[str]) -> int:
    """Ends with 0, with 1 where the figures are not to be used or a tape was not whole, or 2."""
    said = _parser().parse_args(argv)
    found: dict[str, list[int]] = {way: [] for way in WAYS}

    def take(events: Iterable[Event]) -> None:
        for way, values in ways(events).items():
            found[way] += values

    try:
        whole = read_runs(said.paths, take)
    except (TapeError, OSError, ValueError) as error:
        sys.stderr.write(f"{reason(error)}\n")
        return 2
    sys.stdout.write("\n".join(lines(found)) + "\n")
    why = trouble(found)
    if why is not None:
        sys.stdout.write(f"{why}\n")
        return 1
    if said.out is not None:
        put(said.out, orjson.dumps({way: kept(found[way]) for way in WAYS}))
        sys.stdout.write(
            f"written: --latency fitted:{said.out} of a backtest, [paper] latency of paper\n"
        )
    return 0 if whole else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="polybot lab latency-fit",
        description="How long our own ways took: from the venue's stamps on our tapes.",
        allow_abbrev=False,
    )
    parser.add_argument("paths", nargs="+", type=Path, metavar="TAPE", help="tapes, or folders")
    parser.add_argument("--out", type=file_place, metavar="FILE", help="write the model there")
    return parser


def lines(found: Mapping[str, Sequence[int]]) -> list[str]:
    """For people: how many of each way, and how long."""
    head = f"{'way, ms':<8}{'values':>10}{'least':>8}"
    rows = [head + "".join(f"{f'p{share:.0%}'[:-1]:>8}" for share in SHARES) + f"{'most':>8}"]
    for way, values in found.items():
        row = f"{way:<8}{len(values):>10,}"
        if values:
            ordered = sorted(values)
            at = [ordered[int(share * (len(ordered) - 1))] for share in SHARES]
            row += "".join(f"{value:>8,}" for value in (ordered[0], *at, ordered[-1]))
        rows.append(row)
    return rows
