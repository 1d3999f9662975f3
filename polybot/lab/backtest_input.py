"""What a backtest is to play: paths made into chunks of windows, and what is wrong with them.

A path is a recording that the exchange's recording world reads, or a folder of one; tapes of ours
are brought into one first (`backtest_tape`). A chunk is a few windows in a row, played by one
wallet: its windows share volatility, budget and equity as a bot's do, and chunks can be played
beside each other. They are cut the same way however many processors there are.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import attrs

from polybot.exchange import recording_beats, recording_formats
from polybot.exchange.recording_files import Warnings
from polybot.exchange.recording_model import EARLY_MS, Recording, window_of

CHUNK = 12  # windows: an hour of five-minute ones


@attrs.frozen
class Chunk:
    """Windows to be played one after the other, by slug: of one recording, or a file each."""

    paths: tuple[Path, ...]
    slugs: tuple[str, ...]

    def read(self) -> Recording:
        """ValueError with the remedy when it cannot be read (any more)."""
        if _is_beats(self.paths[0]):
            recording = recording_beats.load(list(self.paths), Warnings())
        else:
            recording = recording_formats.read(self.paths[0])
        tapes = tuple(tape for tape in recording.tapes if tape.slug in self.slugs)
        missing = ", ".join(sorted({*self.slugs} - {tape.slug for tape in tapes}))
        if not tapes:
            raise ValueError(f"{missing}: in no file of that name")
        if missing:
            recording.warnings.tell(f"{missing}: in no file of that name, left out")
        start_ms = min(tape.start_ms for tape in tapes) - EARLY_MS
        return attrs.evolve(
            recording,
            tapes=tapes,
            start_ms=max(start_ms, recording.start_ms),
            end_ms=max(tape.paid_ms for tape in tapes),
        )


@attrs.frozen
class Found:
    """Everything there is to play, in order of time, and what is wrong with the rest."""

    chunks: tuple[Chunk, ...]
    faults: tuple[str, ...] = ()

    @property
    def windows(self) -> int:
        return sum(len(chunk.slugs) for chunk in self.chunks)


def find(paths: Sequence[Path], size: int = CHUNK) -> Found:
    """The chunks of all paths; what cannot be read, or comes a second time, is a fault."""
    faults: list[str] = []
    known: set[str] = set()
    groups: dict[Path, list[tuple[str, Path]]] = {}
    for path in paths:
        try:
            places = _places(path)
        except (ValueError, OSError) as error:
            faults.append(str(error))
            continue
        fresh = [place for place in places if place[0] not in known]
        if len(fresh) < len(places):
            faults.append(
                f"{path}: {len(places) - len(fresh)} windows come a second time: left out"
            )
        known |= {slug for slug, _ in fresh}
        # Files of one folder that are named one by one are what the folder is.
        groups.setdefault(path.parent if _is_beats(path) else path, []).extend(fresh)
    chunks: list[Chunk] = []
    for fresh in groups.values():
        fresh.sort(key=lambda place: window_of(place[0])[1])
        for begin in range(0, len(fresh), size):
            some = fresh[begin : begin + size]
            files = tuple(dict.fromkeys(file for _, file in some))
            chunks.append(Chunk(files, tuple(slug for slug, _ in some)))
    chunks.sort(key=lambda chunk: window_of(chunk.slugs[0])[1])
    return Found(tuple(chunks), tuple(faults))


def _places(path: Path) -> list[tuple[str, Path]]:
    """The windows at a path, each with what holds it. ValueError with the remedy, or OSError."""
    files = sorted(path.iterdir()) if path.is_dir() else [path]
    beats = [file for file in files if _is_beats(file)]
    if beats:
        slugs = [file.name.removesuffix(recording_beats.SUFFIX) for file in beats]
        for slug in slugs:
            window_of(slug)
        return list(zip(slugs, beats, strict=True))
    recording = recording_formats.read(path)
    if not recording.tapes:
        raise ValueError(f"{path} holds prices and no books: nothing to trade against there")
    return [(tape.slug, path) for tape in recording.tapes]


def _is_beats(path: Path) -> bool:
    return path.name.endswith(recording_beats.SUFFIX)
