"""A whole BTC 5m market at 1 Hz: `<slug>.orderbook.jsonl.zst`.

Data set: test fixture of github.com/KaustubhPatange/polymarket-trade-engine; MIT. JSON lines, some
blank, one group a second: `orderbook_snapshot` (five levels a side of `up` and `down`, pairs of
price and size), `ticker` (`assetPrice` Chainlink, `binancePrice`), `market_price`, one
`resolution` (`direction, openPrice, closePrice`), `slot` (`slug`).

Caveats: a second is long – what traded within it is unknown, so that only levels that arrive at our
price fill us; five levels only, so that what looks like a cancel may be a level out of sight.
A file without its end has no outcome: the last mid decides.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from polybot.exchange.mirror_messages import Snapshot, scaled
from polybot.exchange.model import DOWN, UP
from polybot.exchange.money import ONE, UNIT
from polybot.exchange.recording_files import Warnings, dollars, readable, rows, stamp_ms, unlike
from polybot.exchange.recording_model import EARLY_MS, Recording, Tape, each_once, of_btc
from polybot.exchange.recording_prices import Point, RecordedPrices
from polybot.exchange.recording_sound import Sound

SUFFIX = ".orderbook.jsonl.zst"
MOST_ROWS = 100_000  # of a file kept in memory: a window at 1 Hz has 2,500
HISTORY_MS = 60_000


def recognise(files: list[Path]) -> bool:
    return bool(files) and all(file.name.endswith(SUFFIX) for file in files)


def load(files: list[Path], warnings: Warnings) -> Recording:
    """The markets of the given files, with one price history."""
    chainlink: list[Point] = []
    binance: list[Point] = []
    tapes = each_once((_tape(path, warnings, chainlink, binance) for path in files), warnings)
    if not chainlink:
        raise ValueError(f"{files[0]} holds no price: choose another recording")
    start_ms = min(tape.start_ms for tape in tapes)
    history_ms = min(at_ms for at_ms, _ in chainlink) + HISTORY_MS
    return Recording(
        f"{len(tapes)} market(s), books, prices and outcome as recorded",
        tuple(dict.fromkeys(tape.series for tape in tapes)),
        min(max(start_ms - EARLY_MS, history_ms), start_ms),
        max(tape.paid_ms for tape in tapes),
        tapes,
        RecordedPrices({"btc": (sorted(chainlink), sorted(binance))}),
        warnings=warnings,
    )


def _tape(path: Path, warnings: Warnings, chainlink: list[Point], binance: list[Point]) -> Tape:
    slug: str | None = None
    result: tuple[int, float, float] | None = None
    snapshots: list[Snapshot] = []
    for number, item in enumerate(readable(path, warnings, rows(path, warnings), _item)):
        if number >= MOST_ROWS:
            raise ValueError(
                f"{path} has more than {MOST_ROWS} rows: cut it into one market a file"
            )
        kind, value = item
        if kind == "slot":
            if slug not in {None, value}:
                raise ValueError(f"{path} holds several markets: cut it into one market a file")
            slug = value
        elif kind == "resolution":
            result = value
        elif kind == "snapshot":
            snapshots.append(value)
        elif kind == "prices":
            chainlink.append((value[0], value[1]))
            binance.append((value[0], value[2]))
    if not snapshots:
        raise ValueError(f"{path} holds no book: choose another recording")
    slug = of_btc(slug or path.name.removesuffix(SUFFIX))
    sound = Sound.of(slug)
    sounding = readable(path, warnings, snapshots, sound, "book")
    ordered = sorted(sounding, key=lambda beat: beat.at_ms)
    beats = list(sound.heard(ordered, path.name, warnings))
    if result is None:
        warnings.tell(f"{path.name} has no outcome (cut short?): the last mid decides")
        return Tape(slug, beats[0].at_ms, lambda: iter(beats))
    winner, strike, final = result
    if (winner == UP) != (final >= strike):
        raise unlike(path, "its prices contradict its outcome")
    return Tape(slug, beats[0].at_ms, lambda: iter(beats), winner, strike, final)


def _item(row: dict[str, Any]) -> tuple[str, Any]:
    """One line as (kind, value); "" for what is not needed."""
    kind, at_ms = row["type"], stamp_ms(row["ts"])
    if kind == "slot":
        return kind, row["slug"]
    if kind == "resolution":
        winner = {"UP": UP, "DOWN": DOWN}[row["direction"]]
        return kind, (winner, dollars(row["openPrice"]), dollars(row["closePrice"]))
    if kind == "orderbook_snapshot" and row["up"] is not None:
        up = row["up"]
        return "snapshot", Snapshot(at_ms, _pairs(up["bids"]), _pairs(up["asks"]))
    if kind == "ticker":
        return "prices", (at_ms, dollars(row["assetPrice"]), dollars(row["binancePrice"]))
    return "", None


def _pairs(levels: list[list[float]]) -> dict[int, int]:
    return {scaled(price, ONE): scaled(size, UNIT) for price, size in levels if size}
