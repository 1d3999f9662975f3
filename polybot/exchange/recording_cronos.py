"""Books of whole BTC 5m markets: `<slug>.jsonl.zst` with an `index.csv` beside them.

Data set: "Polymarket BTC Orderbook Dataset (c) 2026 by CronosVirus00", github.com/CronosVirus00/
polymarket-BTC5min-database, market_data/*.parquet; CC BY 4.0: name the author when you pass it on.
The importer takes JSON lines `{"recv_ms", "msg"}` where `msg` is a market-channel `book`
(feeds.md 2.3), one file a market, sorted by time, and the index's columns `slug, token_a,
winner_token` ("a" or "b").

Caveats: only `book` messages, which the venue sends after trades (about 11 a second); no deltas, no
prints, no underlying. Which token is Up was not recorded: token a is taken as Up. Either token's
message may be missing; they are mirrors. The first 1–14 s of a market are missing. Event time is
the message's stamp: the recorder's own clock drifts.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from polybot.exchange.mirror_messages import Beat, Snapshot, mirrored, totals
from polybot.exchange.model import DOWN, UP
from polybot.exchange.recording_files import Warnings, readable, rows, unlike
from polybot.exchange.recording_model import EARLY_MS, Recording, Tape, window_of

SUFFIX = ".jsonl.zst"
INDEX = "index.csv"
_SLUG_FILE = re.compile(rf"[a-z0-9-]+{re.escape(SUFFIX)}")


def recognise(files: list[Path]) -> bool:
    """Any `<slug>.jsonl.zst`: the file's name says no more than the market."""
    return bool(files) and all(_SLUG_FILE.fullmatch(file.name) for file in files)


def load(files: list[Path], warnings: Warnings) -> Recording:
    """The markets of the given files, in turn."""
    tapes = tuple(sorted(_tapes(files, warnings), key=lambda tape: tape.start_ms))
    return Recording(
        f"{len(tapes)} market(s) of books, trades and prices inferred from the book",
        (tapes[0].series,),
        tapes[0].start_ms - EARLY_MS,
        tapes[-1].paid_ms,
        tapes,
        warnings=warnings,
    )


def _tapes(files: list[Path], warnings: Warnings) -> Iterator[Tape]:
    index = files[0].parent / INDEX
    if not index.is_file():
        raise ValueError(f"{index} is missing: it says which token won; restore it")
    with index.open(newline="") as text:
        known = {row.get("slug", ""): row for row in csv.DictReader(text)}
    for file in files:
        row = known.get(file.name.removesuffix(SUFFIX))
        if row is None:
            raise ValueError(f"{index} has no row for {file.name}: add it or remove the file")
        try:
            winner = {"a": UP, "b": DOWN}[row["winner_token"]]
            first_ms = window_of(row["slug"])[1]
            yield Tape(
                row["slug"],
                first_ms,
                partial(_read, file, row["token_a"], warnings),
                winner=winner,
                infer_prints=True,
            )
        except KeyError as error:
            raise unlike(index, error) from error


def _read(path: Path, up_token: str, warnings: Warnings) -> Iterator[Beat]:
    """As it is asked for, so that a market of 10 MB is never held whole."""
    at_ms = 0
    source = rows(path, warnings)
    for snapshot in readable(path, warnings, source, partial(_snapshot, up_token)):
        if snapshot.at_ms > at_ms:  # the second copy of a mirrored event has the same stamp
            at_ms = snapshot.at_ms
            yield snapshot


def _snapshot(up_token: str, row: dict[str, Any]) -> Snapshot:
    message = row["msg"]
    bids, asks = totals(message["bids"]), totals(message["asks"])
    if message["asset_id"] != up_token:
        bids, asks = mirrored(asks), mirrored(bids)
    return Snapshot(int(message["timestamp"]), bids, asks)
