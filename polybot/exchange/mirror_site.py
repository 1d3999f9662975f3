"""Where another exchange is: the URLs a mirror reads from, Polymarket's by default (feeds.md 1)."""

from __future__ import annotations

import tomllib
from pathlib import Path

import attrs

NAMES = "clob, gamma, market_ws, prices_ws, rtds_ws, binance_rest, binance_ws"
KEYS = ("prices_key", "prices_secret", "prices_passphrase")


@attrs.frozen
class MirrorSite:
    """URLs without a trailing slash, and the API credentials that PolyBolt's prices need.

    With credentials PolyBolt tells Chainlink's prices and their averages; without, RTDS the former;
    and with an empty `rtds_ws` nobody does.
    """

    clob: str = "https://clob.polymarket.com"
    gamma: str = "https://gamma-api.polymarket.com"
    market_ws: str = "wss://ws-subscriptions-clob.polymarket.com/ws/market"
    prices_ws: str = "wss://ws-live-v2.polymarket.com/ws"
    rtds_ws: str = "wss://ws-live-data.polymarket.com"
    binance_rest: str = "https://data-api.binance.vision"
    binance_ws: str = "wss://data-stream.binance.vision"
    prices_key: str = attrs.field(default="", repr=False)
    prices_secret: str = attrs.field(default="", repr=False)
    prices_passphrase: str = attrs.field(default="", repr=False)

    @property
    def polybolt(self) -> bool:
        """Whether PolyBolt is read."""
        return bool(self.prices_key)


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
            raise ValueError(
                f"{path}: unknown key {name!r}; the keys are {NAMES}, {', '.join(KEYS)}"
            )
        if name in KEYS:
            if not isinstance(url, str) or not url:
                raise ValueError(f"{path}: {name} must be a text")
            continue
        schemes = ("ws://", "wss://") if name.endswith("_ws") else ("http://", "https://")
        left_out = name == "rtds_ws" and url == ""
        if not isinstance(url, str) or not (url.startswith(schemes) or left_out):
            raise ValueError(f"{path}: {name} must be a URL that begins with {schemes[1]}")
    if 0 < len(said.keys() & set(KEYS)) < len(KEYS):
        raise ValueError(f"{path}: PolyBolt wants all of {', '.join(KEYS)}")
    return MirrorSite(**{name: url.rstrip("/") for name, url in said.items()})
