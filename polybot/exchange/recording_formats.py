"""Which format a path is of. Each has a module of its own that tells where the data comes from."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from polybot.exchange import (
    recording_alihakan,
    recording_beats,
    recording_cronos,
    recording_felixdoteth,
    recording_hftbacktest,
    recording_jonah,
    recording_kaustubh,
    recording_ligengxin,
    recording_refused,
)
from polybot.exchange.recording_files import Warnings
from polybot.exchange.recording_model import Recording


class _Format(Protocol):
    """What each format's module offers."""

    def recognise(self, files: list[Path]) -> bool: ...
    def load(self, files: list[Path], warnings: Warnings) -> Recording: ...


# The most particular names first: a folder of `*.jsonl.zst` that nobody else claims is of books.
_FORMATS: tuple[_Format, ...] = (
    recording_beats, recording_alihakan, recording_jonah, recording_ligengxin,
    recording_felixdoteth, recording_hftbacktest, recording_kaustubh, recording_cronos,
)  # fmt: skip
_BESIDE = {"LICENSE", "README.md", "index.csv", "markets.json"}


def read(path: Path) -> Recording:
    """The recording at a path: a file or a folder of one format, told by the names.

    ValueError with the remedy when there is none, when two formats are mixed, when it is damaged
    from its beginning, or when it is of a kind that holds no market.
    """
    files = sorted(one for one in path.iterdir() if one.is_file()) if path.is_dir() else [path]
    data = [file for file in files if file.name not in _BESIDE and file.is_file()]
    known = [one for one in _FORMATS if one.recognise(data)]
    # Others know their own by one file among many, and would pass over windows beside it.
    mixed = any(file.name.endswith(recording_beats.SUFFIX) for file in data)
    if known and (known[0] is recording_beats or not mixed):
        return known[0].load(data, Warnings())
    refused = recording_refused.refusal(data)
    if refused is not None:
        raise ValueError(refused)
    if mixed or any(file.name.endswith(recording_cronos.SUFFIX) for file in data):
        raise ValueError(f"{path} mixes recordings with other files: name one file instead")
    known_names = "*.beats.zst, or *.jsonl.zst, *.csv.zst, *.txt.zst of a known data set"
    raise ValueError(f"no recording at {path}: give a file or a folder of {known_names}")
