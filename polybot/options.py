"""What the command line may say, as frozen values, and the small texts it is made of.

Durations, series and worlds are read here once, for the command line and for the configuration
file, so that both refuse the same texts with the same words.
"""

from __future__ import annotations

import re
from datetime import datetime, timezone
from pathlib import Path

import attrs

ASSETS = ("btc", "eth", "sol", "xrp", "doge", "bnb", "hype", "zec")
LENGTHS = ("5m", "15m", "1h", "4h", "daily")
NO_SERIES = ("zec-1h", "zec-daily")  # feeds.md 8.1
MODES = ("paper", "live")
LIVE_FEEDS = "live-feeds"
PATH_WORLDS = ("recording", "exchange", LIVE_FEEDS)
SPEED_MAX = 100.0
INTENSITY_MAX = 20.0
SEED_MAX = 2**63 - 1

_UNIT_MS = {"s": 1000, "m": 60_000, "h": 3_600_000}
_DURATION = re.compile(r"([1-9][0-9]{0,6})([smh])")


@attrs.frozen
class Overrides:
    """Settings the command line puts in place of the file's; None leaves the file's word."""

    mode: str | None = None
    world: str | None = None
    series: tuple[str, ...] | None = None
    speed: float | None = None
    seed: int | None = None
    terms: str | None = None
    faults: str | None = None


@attrs.frozen
class BotOptions:
    """`python -m polybot`: run the bot. `run_ms` is venue time, None until a signal comes."""

    config: Path
    overrides: Overrides = Overrides()
    run_ms: int | None = None
    summary: str | None = None


@attrs.frozen
class ExchangeOptions:
    """`python -m polybot exchange`: run the exchange alone.
    `start_ms` None means the world's own.
    """

    port: int = 0
    world: str = "synthetic"
    series: tuple[str, ...] = ("btc-5m", "btc-1h")
    seed: int = 1
    speed: float = 1.0
    intensity: float = 0.1
    start_ms: int | None = None
    terms: Path | None = None
    faults: str = "none"


@attrs.frozen
class LabOptions:
    """`python -m polybot lab NAME …`: a command of the laboratory, which reads its own words."""

    name: str
    words: tuple[str, ...] = ()


Options = BotOptions | ExchangeOptions | LabOptions


def parse_duration_ms(text: str) -> int:
    """Read `"90s"`, `"30m"` or `"2h"` as milliseconds; raises ValueError."""
    found = _DURATION.fullmatch(text.strip())
    if found is None:
        raise ValueError(f"expected a duration like 90s, 30m or 2h, was {text!r}")
    return int(found[1]) * _UNIT_MS[found[2]]


def parse_series(text: str) -> tuple[str, ...]:
    """Read `"btc-5m,btc-1h"`; raises ValueError for an unknown series, a double one or none."""
    return check_series(tuple(part.strip() for part in text.split(",") if part.strip()))


def check_series(series: tuple[str, ...]) -> tuple[str, ...]:
    """Return `series` if every one is known and named once; raises ValueError."""
    if not series:
        raise ValueError("expected at least one series, like btc-5m")
    for one in series:
        asset, _, length = one.partition("-")
        if asset not in ASSETS or length not in LENGTHS or one in NO_SERIES:
            known = f"one of {', '.join(ASSETS)}, a dash, one of {', '.join(LENGTHS)}"
            raise ValueError(f"expected a series like btc-5m ({known}), was {one!r}")
    if len(set(series)) < len(series):
        raise ValueError(f"expected each series once, was {','.join(series)!r}")
    return series


def check_world(text: str) -> str:
    """Return `text` if it names a world this program can make; raises ValueError."""
    kind, _, path = text.partition(":")
    if text in {"synthetic", LIVE_FEEDS} or (kind in PATH_WORLDS and path):
        return text
    known = f"synthetic, recording:PATH, exchange:FILE, {LIVE_FEEDS} or {LIVE_FEEDS}:SITE.toml"
    raise ValueError(f"expected {known}, was {text!r}")


def is_live_feeds(world: str) -> bool:
    """Whether the world is another venue's, whose time cannot be sped up."""
    return world.partition(":")[0] == LIVE_FEEDS


def is_guest(world: str) -> bool:
    """Whether the world is an exchange that somebody else has started."""
    return world.partition(":")[0] == "exchange"


def check_pace(world: str, speed: float) -> None:
    """Raises ValueError when the world cannot go at this speed."""
    if is_live_feeds(world) and speed != 1:
        raise ValueError(f"{LIVE_FEEDS} goes at speed 1 only, was {speed:g}: say --speed 1")


def check_speed(speed: float) -> float:
    """Return `speed` if the clock can run at it; raises ValueError."""
    if not 0 < speed <= SPEED_MAX:
        raise ValueError(f"expected a speed above 0 and at most {SPEED_MAX:g}, was {speed!r}")
    return speed


def check_intensity(intensity: float) -> float:
    """Return `intensity` if the crowd can be scaled by it; raises ValueError."""
    if not 0 < intensity <= INTENSITY_MAX:
        wanted = f"an intensity above 0 and at most {INTENSITY_MAX:g}"
        raise ValueError(f"expected {wanted}, was {intensity!r}")
    return intensity


def parse_start_ms(text: str) -> int:
    """Read a start as Unix seconds or ISO 8601 (UTC when it names no zone); raises ValueError."""
    if text.isascii() and text.isdigit() and len(text) <= 11:
        return int(text) * 1000
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        example = "2026-11-20T12:00:00Z"
        raise ValueError(f"expected Unix seconds or a time like {example}, was {text!r}") from None
    return int(
        (moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)).timestamp() * 1000
    )
