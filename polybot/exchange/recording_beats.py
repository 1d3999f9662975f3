"""Recorded markets in polybot's own form: `<slug>.beats.zst`, one file a window.

Our tapes and what the synthetic crowd has traded are brought into it (docs/laboratory.md): integers
in Up terms, every print beside the levels, and the prices of the underlying as they were published.
A file is one zstd stream of msgpack: a head (`_Head`), then beats as short lists, then a tail with
their number. Whoever misses the tail has a file that was cut short.

Rejected: JSON lines as the public sets have them (a busy day decodes in hours, not minutes), and
Parquet (its reader takes a window's columns whole, where a world plays beat after beat).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import attrs
import msgpack
import zstandard

from polybot.exchange.mirror_messages import Beat, Changes, NewTick, Print, Snapshot
from polybot.exchange.model import BUY, SELL
from polybot.exchange.recording_files import Warnings, chunks, dollars, unlike
from polybot.exchange.recording_model import (
    EARLY_MS,
    Recording,
    Tape,
    each_once,
    window_of,
)
from polybot.exchange.recording_prices import Point, RecordedPrices

SUFFIX = ".beats.zst"
VERSION = 1
_SNAPSHOT, _CHANGES, _PRINT, _TICK, _TAIL = range(5)
_LEVEL = 3  # zstd: written once, read often


@attrs.frozen
class Window:
    """What is known of a window beside its beats. Prices are (Unix ms, US dollars), by time."""

    slug: str
    told: str  # for the operator: where it comes from
    winner: int | None = None
    strike: float | None = None
    final: float | None = None
    infer_prints: bool = False
    chainlink: tuple[Point, ...] = ()
    binance: tuple[Point, ...] = ()


def write(folder: Path, window: Window, beats: Iterable[Beat]) -> Path:
    """Write one window, under another name until it is whole. Returns its file."""
    path = folder / f"{window.slug}{SUFFIX}"
    part = path.with_name(path.name + ".part")
    pack, count = msgpack.Packer(use_bin_type=True).pack, 0
    try:
        with part.open("wb") as raw, zstandard.ZstdCompressor(_LEVEL).stream_writer(raw) as out:
            out.write(pack({"polybot": "beats", "version": VERSION} | attrs.asdict(window)))
            for beat in beats:
                out.write(pack(_row(beat)))
                count += 1
            out.write(pack([_TAIL, count]))
        part.rename(path)
    finally:
        part.unlink(missing_ok=True)
    return path


def recognise(files: list[Path]) -> bool:
    return bool(files) and all(file.name.endswith(SUFFIX) for file in files)


def load(files: list[Path], warnings: Warnings) -> Recording:
    """The windows of the given files, in turn, on one price history. ValueError with the remedy."""
    read = sorted(((window_in(path), path) for path in files), key=lambda one: _start_ms(one[0]))
    tapes = each_once((
        Tape(
            head.slug, window_of(head.slug)[1] - EARLY_MS, partial(_beats, path, warnings),
            head.winner, head.strike, head.final, head.infer_prints,
        )
        for head, path in read
    ), warnings)  # fmt: skip
    heads = [head for head, _ in read]
    prices = _prices(heads)
    return Recording(
        f"{len(tapes)} market(s), {heads[0].told}",
        tuple(dict.fromkeys(tape.series for tape in tapes)),
        min(tape.start_ms for tape in tapes) - EARLY_MS,
        max(tape.paid_ms for tape in tapes),
        tapes,
        prices,
        warnings=warnings,
    )


def _start_ms(head: Window) -> int:
    return window_of(head.slug)[1]


def _prices(heads: list[Window]) -> RecordedPrices | None:
    """One history for each asset; windows overlap, and a stamp counts once."""
    feeds: dict[str, tuple[dict[int, float], dict[int, float]]] = {}
    for head in heads:
        asset = window_of(head.slug)[0].asset
        chainlink, binance = feeds.setdefault(asset, ({}, {}))
        chainlink.update(head.chainlink)
        binance.update(head.binance)
    known = {asset: feed for asset, feed in feeds.items() if feed[0] or feed[1]}
    if not known:
        return None
    return RecordedPrices(
        {
            asset: (sorted(chainlink.items()), sorted(binance.items()))
            for asset, (chainlink, binance) in known.items()
        }
    )


# --- the file --------------------------------------------------------------------------------


def _objects(path: Path) -> Iterator[Any]:
    unpacker = msgpack.Unpacker(strict_map_key=False)
    for chunk in chunks(path):
        unpacker.feed(chunk)
        yield from unpacker


def window_in(path: Path) -> Window:
    """What a file tells of its window before the beats. ValueError with the remedy."""
    try:
        value = next(_objects(path))
        if value["polybot"] != "beats":
            raise ValueError(f"it is of {value['polybot']!r}")
        version = value["version"]
    except (StopIteration, OSError, zstandard.ZstdError, *_UNLIKE) as error:
        raise unlike(path, error) from error
    if version > VERSION:
        raise ValueError(
            f"{path} was written by a newer polybot (version {version}): update this one"
        )
    known = {field.name for field in attrs.fields(Window)}
    try:
        head = Window(**{name: item for name, item in value.items() if name in known})
        window_of(head.slug)
        return attrs.evolve(head, chainlink=_points(head.chainlink), binance=_points(head.binance))
    except _UNLIKE as error:
        raise unlike(path, error) from error


def _points(rows: Iterable[Any]) -> tuple[Point, ...]:
    return tuple((int(at_ms), dollars(value)) for at_ms, value in rows)


def _beats(path: Path, warnings: Warnings) -> Iterator[Beat]:
    """As far as they can be read; a stamp before the one it follows counts as that one."""
    count, last_ms, back = 0, 0, 0
    objects = _objects(path)
    try:
        next(objects)
        for row in objects:
            if row[0] == _TAIL:
                if row[1] != count:
                    raise ValueError(f"{count} of {row[1]} beats")
                break
            at_ms = row[1]
            back += at_ms < last_ms
            last_ms = row[1] = max(at_ms, last_ms)
            count += 1
            yield _beat(row)
        else:
            raise ValueError("it is cut short")
    except (OSError, zstandard.ZstdError, *_UNLIKE) as error:
        warnings.cuts(path.name, f"is damaged ({error})", f" at beat {count + 1}")
    if back:
        warnings.tell(
            f"{path.name}: the clock went back {back} times; the order of the file stands"
        )


_UNLIKE = (KeyError, TypeError, ValueError, IndexError, ArithmeticError, msgpack.UnpackException)


def _row(beat: Beat) -> list[Any]:
    match beat:
        case Snapshot():
            return [_SNAPSHOT, beat.at_ms, beat.bids, beat.asks, beat.tick]
        case Changes():
            flat = [
                part for side, price, size in beat.changes for part in (side == BUY, price, size)
            ]
            return [_CHANGES, beat.at_ms, *flat]
        case Print():
            return [_PRINT, beat.at_ms, beat.outcome, beat.side == BUY, beat.price, beat.shares]
        case NewTick():
            return [_TICK, beat.at_ms, beat.tick]
    raise ValueError(f"no beat of a recording: {beat}")


def _beat(row: list[Any]) -> Beat:
    kind, at_ms = row[0], row[1]
    if kind == _CHANGES:
        flat = iter(row[2:])
        return Changes(
            at_ms,
            tuple(
                (BUY if bid else SELL, price, size)
                for bid, price, size in zip(flat, flat, flat, strict=True)
            ),
        )
    if kind == _PRINT:
        return Print(at_ms, row[2], BUY if row[3] else SELL, row[4], row[5])
    if kind == _SNAPSHOT:
        return Snapshot(at_ms, row[2], row[3], tick=row[4])
    if kind == _TICK:
        return NewTick(at_ms, row[2])
    raise ValueError(f"a beat of kind {kind!r}")
