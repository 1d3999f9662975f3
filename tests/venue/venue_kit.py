"""What the venue's tests share: a market, a wallet, credentials, and frames if recorded."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import orjson
import pytest
import zstandard

from polybot.clock import Clock
from polybot.domain.market import FeeSchedule, Market, Outcome, Side, TwapPair
from polybot.domain.orders import NewOrder, SignedOrder, TimeInForce
from polybot.venue.clob import ClobClient
from polybot.venue.secret import Credentials, Secret
from polybot.venue.signing import Wallet
from polybot.venue.site import POLYMARKET

DATA = Path(__file__).resolve().parents[2].parent / "shared" / "data"

KEY = Secret("0x" + "11" * 32)
WALLET = Wallet(KEY)
CREDENTIALS = Credentials(
    WALLET.address,
    "3e2c94ca-8124-c4c1-c7ea-be1ea21b71fe",
    Secret("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="),
    Secret("c0ffee"),
)
UP = "104173557214744537570424345347209544585775842950109756851652855913015295701992"
DOWN = "21742633143463906290569050155826241533067272736897614950488156847949938836455"
POSITION = "663574927012476832975694178961957910328055987427402067619466963999000625152"
CONDITION = "0x" + "ab" * 32
NOW_MS = 1_795_132_800_000


def make_market(
    *,
    up: str = UP,
    down: str = DOWN,
    condition: str = CONDITION,
    tick: int = 100,
    neg_risk: bool = False,
    version: str = "v1",
) -> Market:
    return Market(
        series="btc-5m",
        slug="btc-updown-5m-1795132800",
        condition_id=condition,
        up_token=up,
        down_token=down,
        start_ms=NOW_MS,
        end_ms=NOW_MS + 300_000,
        rule=TwapPair("btcusd", 60),
        tick=tick,
        min_size=5_000_000,
        fees=FeeSchedule(70_000, 1, 200_000),
        neg_risk=neg_risk,
        version=version,
    )


def make_order(
    market: Market | None = None,
    side: Side = Side.BUY,
    price: int = 5300,
    size: int = 21_370_000,
    tif: TimeInForce = TimeInForce.GTC,
    expires_s: int = 0,
) -> NewOrder:
    resting = tif in (TimeInForce.GTC, TimeInForce.GTD)
    return NewOrder(market or make_market(), Outcome.UP, side, price, size, tif, resting, expires_s)


def signed(order_id: str) -> SignedOrder:
    """A stand-in for a signed order: only its id and bytes matter to the client."""
    return SignedOrder(order_id, make_order(), b'{"order":"' + order_id.encode() + b'"}')


Handler = Callable[[httpx.Request], httpx.Response]


def answering(value: object, status: int = 200) -> Handler:
    """A venue that gives every request the same answer: bytes as they are, the rest as JSON."""
    body = value if isinstance(value, bytes) else orjson.dumps(value)
    return lambda request: httpx.Response(status, content=body)


def noting(seen: list[httpx.Request], value: object) -> Handler:
    """A venue that notes its requests and answers 200."""

    def handler(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(200, json=value)

    return handler


def make_client(handler: Handler) -> ClobClient:
    """A client whose venue is `handler`."""
    http = httpx.AsyncClient(transport=httpx.MockTransport(handler))
    return ClobClient(http, POLYMARKET, CREDENTIALS, Clock(NOW_MS), timeout_s=5)


def wire(name: str) -> str:
    """One captured frame, or a skip where the captures are not."""
    path = DATA / "wire" / name
    if not path.exists():
        pytest.skip("the captured frames are not on this machine")
    return path.read_text(encoding="utf-8")


def recording(name: str) -> Iterator[dict[str, object]]:
    """The lines of a recording, or a skip where the recordings are not."""
    path = DATA / "recordings" / name
    if not path.exists():
        pytest.skip("the recordings are not on this machine")
    with path.open("rb") as file:
        for line in io.TextIOWrapper(zstandard.ZstdDecompressor().stream_reader(file), "utf-8"):
            if line.strip():
                yield json.loads(line)
