"""The full market channel of a BTC 5m market: `market-ws.sorted.jsonl.zst` and `markets.json`.

Data set: github.com/AliHakanVesca/xx8-btc-5min-YesNo, data/capture/2026-04-21T21-53-33-000Z; no
licence stated: use it where you have it, pass nothing on. The importer takes JSON lines
`{"line", "recv_s", "msg"}` sorted by the messages' stamps, with every event type of feeds.md 2.3,
and the markets' `slug, upTokenId, downTokenId` by name.

Caveats: ten seconds of one market and the quiet next one. Trades reach the book as price changes
too, so the deltas alone rebuild every later snapshot. The outcome is not in it: the last mid
decides. No underlying: prices are inferred from the book.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import orjson

from polybot.exchange.mirror_messages import Beat, Outcomes, read_message
from polybot.exchange.model import DOWN, UP
from polybot.exchange.recording_files import Warnings, readable, rows, unlike
from polybot.exchange.recording_model import Recording, Tape, of_btc, window_of
from polybot.exchange.recording_sound import Sound

NAME = "market-ws.sorted.jsonl.zst"
MARKETS = "markets.json"
EARLY_MS = 10_000  # the world begins this long before the first message
SETTLE_MS = 200_000


def recognise(files: list[Path]) -> bool:
    return any(file.name == NAME for file in files)


def load(files: list[Path], warnings: Warnings) -> Recording:
    """Every market of the capture that has messages."""
    path = next(file for file in files if file.name == NAME)
    slugs, outcomes = _markets(path.parent / MARKETS)
    windows = {market: Sound.of(slug) for market, slug in slugs.items()}
    firsts: dict[str, int] = {}
    for beat in _beats(path, outcomes, windows, warnings):
        firsts.setdefault(beat.market, beat.at_ms)
    tapes = tuple(
        Tape(slugs[one], first_ms, partial(_of, path, outcomes, windows, one, warnings))
        for one, first_ms in firsts.items()
    )
    if not tapes:
        raise ValueError(f"{path} has no message of the markets in {MARKETS}: fetch both again")
    begins_ms = min(firsts.values())
    running = [tape for tape in tapes if tape.start_ms <= begins_ms]
    return Recording(
        f"{len(tapes)} market(s) at full rate, prices inferred from the book",
        (window_of(tapes[0].slug)[0],),
        begins_ms - EARLY_MS,
        max(tape.end_ms for tape in running or tapes) + SETTLE_MS,
        tapes,
        warnings=warnings,
    )


def _markets(path: Path) -> tuple[dict[str, str], Outcomes]:
    """(slug by condition id, outcomes by token)."""
    try:
        described = orjson.loads(path.read_bytes()).values()
        slugs = {one["conditionId"]: one["slug"] for one in described}
        outcomes = {
            one[key]: (one["conditionId"], outcome)
            for one in described
            for key, outcome in (("upTokenId", UP), ("downTokenId", DOWN))
        }
        for slug in slugs.values():
            of_btc(slug)
    except OSError as error:
        raise ValueError(f"{path} is missing: it names the tokens; restore it") from error
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise unlike(path, error) from error
    return slugs, outcomes


def _beats(
    path: Path, outcomes: Outcomes, windows: dict[str, Sound], warnings: Warnings
) -> Iterator[Beat]:
    def read(row: dict[str, Any]) -> list[Beat]:
        return [windows[beat.market](beat) for beat in read_message(row["msg"], outcomes)]

    last_ms = 0
    for beats in readable(path, warnings, rows(path, warnings), read):
        for beat in beats:
            if beat.at_ms < last_ms:
                warnings.tell(f"{path.name}: its stamps go back; the order of the file stands")
            last_ms = beat.at_ms
            yield beat


def _of(
    path: Path, outcomes: Outcomes, windows: dict[str, Sound], market: str, warnings: Warnings
) -> Iterator[Beat]:
    every = _beats(path, outcomes, windows, warnings)
    own = (beat for beat in every if beat.market == market)
    return windows[market].heard(own, path.name, warnings)
