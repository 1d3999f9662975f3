"""Where another exchange is: the URLs a mirror reads from, Polymarket's by default (feeds.md 1)."""

from __future__ import annotations

import tomllib
from pathlib import Path

import attrs

NAMES = "clob, gamma, market_ws, rtds_ws, binance_rest, binance_ws"


@attrs.frozen
class MirrorSite:
    """URLs without a trailing slash. An empty `rtds_ws` leaves Chainlink's prices out."""

    clob: str = "https://clob.polymarket.com"
    gamma: str = "https://gamma-api.polymarket.com"
    market_ws: str = "wss://ws-subscriptions-clob.polymarket.com/ws/market"
    rtds_ws: str = "wss://ws-live-data.polymarket.com"
    binance_rest: str = "https://data-api.binance.vision"
    binance_ws: str = "wss://data-stream.binance.vision"


def read_site(path: Path) -> MirrorSite:
    """A TOML file of these names; what it leaves out is Polymarket's. ValueError: what to do."""
    try:
        said = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ValueError(f"cannot read {path} ({error.strerror}): name a TOML file") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is not TOML: {error}") from error
    known = {field.name for field in attrs.fields(MirrorSite)}
    for name, url in said.items():
        if name not in known:
            raise ValueError(f"{path}: unknown key {name!r}; the keys are {NAMES}")
        schemes = ("ws://", "wss://") if name.endswith("_ws") else ("http://", "https://")
        left_out = name == "rtds_ws" and url == ""
        if not isinstance(url, str) or not (url.startswith(schemes) or left_out):
            raise ValueError(f"{path}: {name} must be a URL that begins with {schemes[1]}")
    return MirrorSite(**{name: url.rstrip("/") for name, url in said.items()})
