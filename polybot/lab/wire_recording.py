"""`python -m polybot lab wire-recording LOG FOLDER`: raw frames of one market, as a recording.

A line of the log is `<recv_ns> <stream> <frame>`, stream M being the market channel as it was
heard; other streams are left out, and prices are then inferred from the book. The recording is of
the full-rate format (polybot/exchange/recording_alihakan.py). A log need not begin with a window:
its stamps are moved back to the beginning of the one it begins in, and hashes are made anew by the
exchange that plays it. For stress: the busy hour of the peers' benchmark becomes a paper run, and
its tape a replay.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import orjson
import zstandard

from polybot.exchange.recording_alihakan import MARKETS, NAME
from polybot.lab.places import reason

STREAM = b"M"
NS_IN_MS = 1_000_000
LENGTHS_MS = {"5m": 300_000, "15m": 900_000}


def main(argv: Sequence[str]) -> int:
    said = _parser().parse_args(argv)
    try:
        messages = convert(said.log, said.folder, said.series)
    except OSError as error:
        sys.stderr.write(f"{reason(error)}\n")
        return 2
    except (ValueError, KeyError, StopIteration) as error:
        sys.stderr.write(f"{said.log} is no log of one market's frames: {_lack(error)}\n")
        return 2
    sys.stdout.write(f"{messages:,} messages; try --world recording:{said.folder}\n")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="polybot lab wire-recording", allow_abbrev=False)
    parser.add_argument("log", type=Path, help="lines `<recv_ns> <stream> <frame>`")
    parser.add_argument("folder", type=Path, help="made; must not exist")
    series = [f"btc-{name}" for name in LENGTHS_MS]
    parser.add_argument("--series", choices=series, default="btc-15m", help="btc-15m")
    return parser


def _lack(error: Exception) -> str:
    if isinstance(error, StopIteration):
        return f"it needs two of stream {STREAM.decode()}"
    return f"a frame lacks {error}" if isinstance(error, KeyError) else str(error)


def convert(log: Path, folder: Path, series: str) -> int:
    """How many messages. Raises OSError or ValueError."""
    rows = _rows(log)
    first = next(rows)
    later_ms = int(first[1]["timestamp"]) % LENGTHS_MS[series.partition("-")[2]]
    start_s = (int(first[1]["timestamp"]) - later_ms) // 1000
    # An opening dump is an array of both tokens' books.
    up, down = first[1]["asset_id"], next(_rows(log, skip=1))[1]["asset_id"]
    if folder.exists():
        raise FileExistsError(f"{folder} is there already")
    market = {
        "slug": f"{series.replace('-', '-updown-')}-{start_s}",
        "conditionId": first[1]["market"],
        "upTokenId": up,
        "downTokenId": down,
    }
    part = folder.with_name(f"{folder.name}.part")  # until it is whole
    shutil.rmtree(part, ignore_errors=True)  # of one that was killed
    part.mkdir(parents=True)
    try:
        (part / MARKETS).write_bytes(orjson.dumps({"market": market}))
        number = _write(part / NAME, log, later_ms)
        part.rename(folder)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return number


def _write(path: Path, log: Path, later_ms: int) -> int:
    number = 0
    with path.open("wb") as file, zstandard.ZstdCompressor().stream_writer(file) as out:
        for number, (recv_ns, message) in enumerate(_rows(log), 1):
            message["timestamp"] = str(int(message["timestamp"]) - later_ms)
            recv_s = (recv_ns - later_ms * NS_IN_MS) / 1e9
            line = {"line": number, "recv_s": recv_s, "msg": message}
            out.write(orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE))
    return number


def _rows(log: Path, skip: int = 0) -> Iterator[tuple[int, dict[str, Any]]]:
    """(receive time in ns, message) of each message but the first `skip`."""
    with log.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            try:
                recv_ns, stream, frame = line.rstrip(b"\n").split(b" ", 2)
                found = orjson.loads(frame) if stream == STREAM else []
                messages = found if isinstance(found, list) else [found]
                at_ns, told = int(recv_ns), all(isinstance(one, dict) for one in messages)
            except ValueError:
                told = False
            if not told:
                raise ValueError(f"line {number} is not `<recv_ns> <stream> <frame>`")
            for message in messages:
                if skip:
                    skip -= 1
                else:
                    yield at_ns, message
