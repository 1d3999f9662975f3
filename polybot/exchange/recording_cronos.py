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

import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from polybot.exchange.mirror_messages import Beat, Snapshot, mirrored, totals
from polybot.exchange.model import DOWN, UP
from polybot.exchange.recording_files import Warnings, readable, rows, table, unlike
from polybot.exchange.recording_model import EARLY_MS, Recording, Tape, of_btc, window_of
from polybot.exchange.recording_sound import Sound

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
        tuple(dict.fromkeys(tape.series for tape in tapes)),
        tapes[0].start_ms - EARLY_MS,
        tapes[-1].paid_ms,
        tapes,
        warnings=warnings,
    )


def _tapes(files: list[Path], warnings: Warnings) -> Iterator[Tape]:
    index = files[0].parent / INDEX
    if not index.is_file():
        raise ValueError(f"{index} is missing: it says which token won; restore it")
    known = {row["slug"]: row for row in readable(index, warnings, table(index, warnings), _row)}
    for file in files:
        row = known.get(file.name.removesuffix(SUFFIX))
        if row is None:
            raise ValueError(f"{index} has no row for {file.name}: add it or remove the file")
        winner = {"a": UP, "b": DOWN}.get(row["winner_token"])
        if winner is None or not row["token_a"]:
            raise unlike(index, f"the row of {row['slug']}")
        slug = of_btc(row["slug"])
        tokens = (row["token_a"], row.get("token_b", ""))
        beats = partial(_heard, file, Sound.of(slug), tokens, warnings)
        next(beats())  # a file of which nothing can be read is told of now, not when its time comes
        yield Tape(slug, window_of(slug)[1], beats, winner=winner, infer_prints=True)


def _row(row: dict[str, str]) -> dict[str, str]:
    """A row of the index; KeyError without the columns that are needed."""
    for name in ("slug", "token_a", "winner_token"):
        row[name]
    return row


def _heard(path: Path, sound: Sound, tokens: tuple[str, str], warnings: Warnings) -> Iterator[Beat]:
    return sound.heard(_read(path, sound, tokens, warnings), path.name, warnings)


def _read(path: Path, sound: Sound, tokens: tuple[str, str], warnings: Warnings) -> Iterator[Beat]:
    """As it is asked for, so that a market of 10 MB is never held whole."""
    at_ms = 0
    source = rows(path, warnings)
    for snapshot in readable(path, warnings, source, partial(_snapshot, sound, tokens)):
        if snapshot.at_ms < at_ms:
            warnings.tell(f"{path.name} is not in order of time: what is told late is left out")
        if snapshot.at_ms > at_ms:  # the second copy of a mirrored event has the same stamp
            at_ms = snapshot.at_ms
            yield snapshot


def _snapshot(sound: Sound, tokens: tuple[str, str], row: dict[str, Any]) -> Snapshot:
    """`tokens`: of Up and of Down, this one "" where nobody knows it."""
    message = row["msg"]
    bids, asks = totals(message["bids"]), totals(message["asks"])
    up, down = tokens
    if message["asset_id"] != up:
        if message["asset_id"] != (down or message["asset_id"]):
            raise ValueError(f"token {message['asset_id']} is of another market")
        bids, asks = mirrored(asks), mirrored(bids)
    return sound(Snapshot(int(message["timestamp"]), bids, asks))
