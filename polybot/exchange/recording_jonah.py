"""Raw frames of five sources: `<session>.raw_messages.jsonl.zst` and `<session>.markets.jsonl`.

Data set: github.com/jonahgrigoryan/polymarket-15m-arb-bot, reports/sessions/m9-*; no licence
stated: use it where you have it, pass nothing on. Lines are `{"source", "recv_wall_ts", "payload"}`
with the frame's own text: `polymarket_clob` (market channel and REST books),
`polymarket_rtds_chainlink`, `binance` (trades), `coinbase` and `pyth_proxy` (not needed here).
`markets.jsonl` gives `slug, condition_id, outcomes` of the btc, eth and sol 15m markets watched.

Caveats: made for parsing, not for trading: most sessions watch markets that start a day later, so
that the books are quiet and nothing settles in it; the messages' own stamps count, receive times do
not. A folder of several sessions gives the longest; name a file for another one.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import orjson

from polybot.exchange.mirror_messages import Beat, Outcomes, read_frame
from polybot.exchange.model import DOWN, UP
from polybot.exchange.recording_files import Warnings, dollars, readable, rows, stamp_ms
from polybot.exchange.recording_model import Recording, Tape, window_of
from polybot.exchange.recording_prices import Point, RecordedPrices
from polybot.exchange.recording_sound import Sound

SUFFIX = ".raw_messages.jsonl.zst"
MARKETS = ".markets.jsonl"
QUOTE = {"BTCUSDT": "btc", "ETHUSDT": "eth", "SOLUSDT": "sol"}


def recognise(files: list[Path]) -> bool:
    return any(file.name.endswith(SUFFIX) for file in files)


@attrs.define
class _Session:
    """Everything of one session that we use."""

    outcomes: Outcomes
    windows: dict[str, Sound]  # by condition id
    beats: dict[str, list[Beat]] = attrs.field(factory=dict)
    chainlink: dict[str, dict[int, float]] = attrs.field(factory=dict)
    binance: dict[str, dict[int, float]] = attrs.field(factory=dict)

    def take(self, row: dict[str, Any]) -> None:
        source, text = row["source"], row["payload"]
        if source == "polymarket_clob":
            for beat in read_frame(text, self.outcomes):
                sound = self.windows[beat.market](beat)
                self.beats.setdefault(beat.market, []).append(sound)
        elif source == "polymarket_rtds_chainlink":
            self._chainlink(orjson.loads(text)["payload"])
        elif source == "binance":
            data = orjson.loads(text).get("data")
            if data is not None and data["s"] in QUOTE:
                prices = self.binance.setdefault(QUOTE[data["s"]], {})
                prices[stamp_ms(data["T"])] = dollars(data["p"])

    def _chainlink(self, payload: dict[str, Any]) -> None:
        """An update is one point, an answer to a subscription a minute of them."""
        asset = payload["symbol"].partition("/")[0]
        points = self.chainlink.setdefault(asset, {})
        for point in payload.get("data", [payload]):
            points[stamp_ms(point["timestamp"])] = dollars(point["value"])


def load(files: list[Path], warnings: Warnings) -> Recording:
    """One session: the longest of those given."""
    sessions = [file for file in files if file.name.endswith(SUFFIX)]
    path = max(sessions, key=lambda file: (file.stat().st_size, file.name))
    slugs, outcomes = _markets(path, warnings)
    session = _Session(outcomes, {market: Sound.of(slug) for market, slug in slugs.items()})
    for _ in readable(path, warnings, rows(path, warnings), session.take):
        pass
    prices: dict[str, tuple[list[Point], list[Point]]] = {
        asset: (_points(session.chainlink, asset), _points(session.binance, asset))
        for asset in ("btc", "eth", "sol")
        if asset in session.chainlink or asset in session.binance
    }
    if not prices:
        raise ValueError(f"{path} holds no prices: choose another session")
    tapes = tuple(
        _tape(session.windows[one], beats, path.name, warnings)
        for one, beats in session.beats.items()
    )
    stamps = [at_ms for pair in prices.values() for points in pair for at_ms, _ in points]
    told = f"{path.name.removesuffix(SUFFIX)}: {len(tapes)} quiet market(s) of a day later"
    others = "" if len(sessions) == 1 else f" (one of {len(sessions)} sessions: name a file)"
    series = tuple(window_of(slug)[0] for slug in slugs.values() if _asset(slug) in prices)
    return Recording(
        f"{told}, prices as recorded{others}",
        tuple(dict.fromkeys(series)),
        min(stamps),
        max(stamps),
        tuple(tape for tape in tapes if _asset(tape.slug) in prices),
        RecordedPrices(prices),
        warnings=warnings,
    )


def _asset(slug: str) -> str:
    return slug.partition("-")[0]


def _points(feed: dict[str, dict[int, float]], asset: str) -> list[Point]:
    return sorted(feed.get(asset, {}).items())


def _tape(sound: Sound, beats: list[Beat], name: str, warnings: Warnings) -> Tape:
    ordered = sorted(beats, key=lambda beat: beat.at_ms)
    return Tape(sound.slug, ordered[0].at_ms, lambda: sound.heard(ordered, name, warnings))


def _markets(path: Path, warnings: Warnings) -> tuple[dict[str, str], Outcomes]:
    """(slug by condition id, outcomes by token) of a session."""
    described = path.with_name(path.name.removesuffix(SUFFIX) + MARKETS)
    if not described.is_file():
        raise ValueError(f"{described} is missing: it names the tokens; restore it")
    slugs: dict[str, str] = {}
    outcomes: dict[str, tuple[str, int]] = {}
    for slug, market, tokens in readable(described, warnings, rows(described, warnings), _market):
        slugs[market] = slug
        outcomes |= tokens
    return slugs, outcomes


def _market(row: dict[str, Any]) -> tuple[str, str, dict[str, tuple[str, int]]]:
    window_of(row["slug"])
    market = row["condition_id"]
    tokens: Iterator[tuple[str, tuple[str, int]]] = (
        (one["token_id"], (market, {"Up": UP, "Down": DOWN}[one["outcome"]]))
        for one in row["outcomes"]
    )
    return row["slug"], market, dict(tokens)
