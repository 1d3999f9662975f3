"""Requests and frames that no decent client sends, and some that one does, drawn from a seed.

Most begin as something valid – a signed order, a query, a subscription – and are then bent: values
of another type or size, keys gone or doubled, headers stale, bytes flipped. Random bytes alone
would never get past the first check.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from typing import Any

import orjson

from polybot.domain.market import Market, Outcome, Side
from polybot.domain.orders import NewOrder, TimeInForce
from polybot.domain.units import SHARE
from polybot.exchange.request import Request
from polybot.lab.fuzz_chain import ChainFuzzer
from polybot.lab.fuzz_trader import Trader
from polybot.venue.auth import l1_headers, l2_headers
from polybot.venue.signing import sign_order

ODD: tuple[object, ...] = (
    None, True, False, 0, -1, 1, 2**31, 2**53, 2**63, 2**64, 2**256, 10**400, 0.1, 1e308, -0.0,
    "", "0", "-1", "1e9", "NaN", "Infinity", "0x", "0x" + "f" * 64, "0x" + "0" * 40, "١٢", "\x00",
    "\ud7ff", "a" * 3000, "';--", "9" * 400, [], [[]], {}, {"": {}}, ["0x1"] * 30,
)  # fmt: skip
NUMBERS = (
    "0",
    "1",
    "-1",
    "5",
    "100",
    "500",
    "1001",
    "10000000000",
    "x",
    "",
    "1e3",
    "٣",
    "MA==",
    "LTE=",
)

PRIVATE_READS = (
    "/data/orders", "/data/trades", "/data/order/0x1", "/balance-allowance",
    "/balance-allowance/update", "/order-scoring", "/auth/api-keys", "/notifications",
    "/auth/ban-status/closed-only", "/rewards/user", "/rewards/user/total", "/orders",
    "/v1/user/rate-limit-tier", "/auth/readonly-api-keys", "/rewards/user/percentages",
)  # fmt: skip
PUBLIC_READS = (
    "/ok", "/time", "/version", "/tick-size", "/neg-risk", "/fee-rate", "/book", "/midpoint",
    "/price", "/spread", "/last-trade-price", "/clob-markets/0x1", "/markets/0x1", "/markets",
    "/markets-by-token/1", "/sampling-markets", "/simplified-markets", "/rebates/current",
    "/rewards/markets/current", "/prices-history", "/", "//", "/%00", "/../..",
    "/fees/builder-fees/x",
)  # fmt: skip
BULK_READS = ("/books", "/midpoints", "/prices", "/spreads", "/last-trades-prices")
GAMMA = (
    "/markets", "/events", "/markets/keyset", "/events/keyset", "/series", "/crypto-market-configs",
    "/markets/slug/x", "/events/slug/x", "/series/1", "/markets/1", "/events/1",
)  # fmt: skip
BINANCE = ("/api/v3/klines", "/api/v3/time", "/api/v3/depth", "/api/v3/ticker")
QUERIES = (
    "token_id", "side", "market", "asset_id", "id", "next_cursor", "asset_type", "signature_type",
    "order_id", "limit", "after_cursor", "offset", "closed", "slug", "condition_ids", "symbol",
    "interval", "startTime", "endTime", "date", "maker_address", "before", "after",
)  # fmt: skip


class Fuzzer:
    """Draws inputs for the services of one exchange. `markets` may be traded, some of them."""

    def __init__(
        self,
        rng: random.Random,
        traders: list[Trader],
        markets: list[Market],
        now_s: Callable[[], int],
        nonce_of: Callable[[str], int],
    ) -> None:
        """`nonce_of` a wallet that the relayer moves."""
        self._rng = rng
        self._traders = traders
        self._markets = markets
        self._now_s = now_s
        self._salt = 0
        self._orders: list[str] = ["0x" + "ab" * 32]  # ids worth cancelling
        chain = ChainFuzzer(rng, traders, markets, now_s, nonce_of, self._maybe_bent)
        self._services: dict[str, Callable[[], Request]] = {
            "clob": self._clob,
            "gamma": lambda: self._read(GAMMA),
            "binance_rest": lambda: self._read(BINANCE),
            "relayer": chain.relayer,
            "rpc": chain.rpc,
            "data": chain.data,
            "admin": chain.admin,
            "site": chain.site,
        }

    def request(self) -> tuple[str, Request]:
        """(service, request)."""
        service = self._rng.choices(tuple(self._services), (24, 5, 2, 4, 4, 3, 3, 1))[0]
        return service, self._services[service]()

    # --- requests --------------------------------------------------------------------------

    def _clob(self) -> Request:
        draw = self._rng.choices(
            (self._place, self._batch, self._cancel, self._private_read, self._public_read,
             self._bulk_read, self._heartbeat, self._key_call),
            (30, 6, 16, 10, 12, 6, 2, 2),
        )[0]  # fmt: skip
        return draw()

    def _place(self) -> Request:
        return self._private("POST", "/order", self._maybe_bent(self._order()))

    def _batch(self) -> Request:
        orders = [self._order() for _ in range(self._rng.choice((1, 2, 3, 15, 16)))]
        return self._private("POST", "/orders", self._maybe_bent(orders))

    def _order(self) -> Any:
        rng, trader = self._rng, self._rng.choice(self._traders)
        market = rng.choice(self._markets)
        tif = rng.choice(list(TimeInForce))
        side = rng.choice((Side.BUY, Side.SELL))
        # A taker's dollars must be whole cents to be signable here: whole shares at whole cents.
        order = NewOrder(
            market, rng.choice(list(Outcome)), side, 100 * rng.randint(1, 99),
            rng.choice((5, 6, 7, 10, 50)) * SHARE, tif,
            post_only=tif in (TimeInForce.GTC, TimeInForce.GTD) and rng.random() < 0.3,
            expires_s=self._now_s() + rng.choice((100, 181, 400)) if tif is TimeInForce.GTD else 0,
        )  # fmt: skip
        self._salt += 1
        signed = sign_order(
            order, wallet=trader.wallet, funder=None, owner_key=trader.credentials.api_key,
            salt=self._salt, timestamp_ms=self._now_s() * 1000,
        )  # fmt: skip
        if len(self._orders) < 500:
            self._orders.append(signed.id)
        else:
            self._orders[rng.randrange(500)] = signed.id
        return orjson.loads(signed.body)

    def _cancel(self) -> Request:
        rng = self._rng
        market = rng.choice(self._markets)
        path, body = rng.choice((
            ("/order", {"orderID": rng.choice(self._orders)}),
            ("/orders", [rng.choice(self._orders) for _ in range(rng.choice((0, 1, 5, 1001)))]),
            ("/cancel-market-orders", {"market": market.condition_id, "asset_id": market.up_token}),
            ("/cancel-all", None),
        ))  # fmt: skip
        return self._private("DELETE", path, self._maybe_bent(body))

    def _heartbeat(self) -> Request:
        return self._private("POST", "/v1/heartbeats", self._maybe_bent({"heartbeat_id": ""}))

    def _key_call(self) -> Request:
        """L1: creating, deriving; never deleting, or the rest of the run would be 401s."""
        trader, now_s = self._rng.choice(self._traders), self._now_s()
        headers = l1_headers(trader.wallet, now_s, nonce=self._rng.randint(0, 3))
        method, path = self._rng.choice((
            ("POST", "/auth/api-key"), ("GET", "/auth/derive-api-key"),
        ))  # fmt: skip
        return Request(method, path, {}, self._headers(headers), b"")

    def _private_read(self) -> Request:
        method = self._rng.choice(("GET", "GET", "GET", "POST", "PUT"))
        path = self._rng.choice(PRIVATE_READS)
        if path == "/orders":
            method, path = "POST", "/orders-scoring"
        return self._private(method, path, None, self._query())

    def _public_read(self) -> Request:
        return self._read(PUBLIC_READS)

    def _bulk_read(self) -> Request:
        asked = [
            {"token_id": self._token(), "side": "BUY"} for _ in range(self._rng.choice((1, 3, 600)))
        ]
        return self._bare("POST", self._rng.choice(BULK_READS), self._maybe_bent(asked))

    def _read(self, paths: tuple[str, ...]) -> Request:
        method = self._rng.choice(("GET", "GET", "GET", "GET", "POST", "DELETE", "HEAD"))
        path = self._rng.choice(paths)
        if path.endswith(("/1", "/x")):
            market = self._rng.choice(self._markets)
            tail = self._rng.choice((market.slug, market.condition_id, market.up_token, "", "%ff"))
            path = path[:-1] + tail
        return self._bare(method, path, None, self._query())

    def _query(self) -> dict[str, str]:
        rng, market = self._rng, self._rng.choice(self._markets)
        values = (
            self._token(), market.condition_id, market.slug, "BUY", "SELL", "COLLATERAL", "true",
            "CONDITIONAL", "BTCUSDT", "1h", "2026-11-26", *NUMBERS,
        )  # fmt: skip
        return {rng.choice(QUERIES): rng.choice(values) for _ in range(rng.randint(0, 4))}

    def _token(self) -> str:
        market = self._rng.choice(self._markets)
        return self._rng.choice((market.up_token, market.down_token, "1", "x", ""))

    # --- bodies and headers ----------------------------------------------------------------

    def _maybe_bent(self, value: object) -> bytes:
        """The value as JSON; every second time something about it is wrong."""
        rng = self._rng
        if value is None:
            return b"" if rng.random() < 0.7 else rng.randbytes(rng.randint(0, 40))
        if rng.random() < 0.5:
            return orjson.dumps(value)
        kind = rng.random()
        if kind < 0.65:
            return dumps(bent(value, rng))
        return (nested if kind < 0.7 else mangled)(orjson.dumps(value), rng)

    def _private(
        self, method: str, path: str, body: bytes | None, query: dict[str, str] | None = None
    ) -> Request:
        trader, body = self._rng.choice(self._traders), body or b""
        stale_s = self._rng.choice((0,) * 20 + (-400, 400, 10**12))
        headers = l2_headers(trader.credentials, method, path, body, self._now_s() + stale_s)
        return Request(method, path, query or {}, self._headers(headers), body, self._peer())

    def _bare(
        self, method: str, path: str, body: bytes | None, query: dict[str, str] | None = None
    ) -> Request:
        return Request(method, path, query or {}, self._headers({}), body or b"", self._peer())

    def _peer(self) -> str:
        """One of many addresses, or no limit of one would let anything through; but for a few."""
        if self._rng.random() < 0.02:
            return "10.0.0.1"
        return f"10.{self._rng.randrange(256)}.{self._rng.randrange(256)}.7"

    def _headers(self, given: dict[str, str]) -> dict[str, str]:
        headers = {name.lower(): value for name, value in given.items()}
        if headers and self._rng.random() < 0.05:
            name = self._rng.choice(list(headers))
            headers[name] = self._rng.choice(("", "x", "ÿ", headers[name][:-1], "9" * 50, "\x7f"))
        return headers

    # --- frames ----------------------------------------------------------------------------

    def frame(self, service: str) -> str:
        """A text for a WebSocket session of that service."""
        templates = self._templates(service)
        value = self._rng.choice(templates)
        if isinstance(value, str):
            return value
        text = self._maybe_bent(value)
        return text.decode(errors="replace")

    def _templates(self, service: str) -> list[object]:
        trader = self._rng.choice(self._traders)
        auth = {
            "apiKey": trader.credentials.api_key,
            "secret": trader.credentials.secret.reveal(),
            "passphrase": trader.credentials.passphrase.reveal(),
        }
        tokens = [self._token() for _ in range(self._rng.choice((0, 1, 2, 40)))]
        market = self._rng.choice(self._markets).condition_id
        twap = {"symbol": "btcusd", "window_seconds": 60}
        match service:
            case "market_ws":
                return [
                    "PING",
                    {"type": "market", "assets_ids": tokens, "custom_feature_enabled": True},
                    {"operation": "unsubscribe", "assets_ids": tokens},
                    {"operation": "subscribe", "assets_ids": tokens, "initial_dump": False},
                ]  # fmt: skip
            case "user_ws":
                return [
                    "PING", {"type": "user", "auth": auth, "markets": []},
                    {"operation": "subscribe", "markets": [market]},
                    {"operation": "unsubscribe", "markets": [market]},
                ]  # fmt: skip
            case "prices_ws":
                channel = {"channel": "price.crypto.twap", "filter": twap}
                top = {"channel": "price.polymarket", "filter": {"asset_id": self._token()}}
                return [
                    {"op": "auth", "auth": auth},
                    {"op": "subscribe", "subscriptions": [channel, top]},
                    {"op": "unsubscribe", **channel}, {"op": "ping", "rid": "1"},
                ]  # fmt: skip
            case "rtds_ws":
                items = [{"topic": "crypto_prices", "type": "update", "filters": ""}]
                items += [{"topic": "activity", "type": "*", "filters": '{"event_slug":"x"}'}]
                return [
                    "PING",
                    *({"action": a, "subscriptions": items} for a in ("subscribe", "unsubscribe")),
                ]
            case _:
                names = ["btcusdt@trade", "btcusdt@depth5", "x@y", "btcusdt@kline_1h"]
                return [
                    {"method": method, "params": names, "id": 1}
                    for method in ("SUBSCRIBE", "UNSUBSCRIBE", "LIST_SUBSCRIPTIONS")
                ]


def bent(value: object, rng: random.Random) -> object:
    """A copy with one place changed: another value, a key gone, an item doubled."""
    if isinstance(value, dict) and value and rng.random() < 0.9:
        key = rng.choice(list(value))
        changed = dict(value)
        kind = rng.random()
        if kind < 0.15:
            del changed[key]
        elif kind < 0.25:
            changed[rng.choice(("", "x", "__proto__", "\x00"))] = rng.choice(ODD)
        else:
            changed[key] = bent(value[key], rng)
        return changed
    if isinstance(value, list) and value and rng.random() < 0.9:
        at = rng.randrange(len(value))
        return [*value[:at], bent(value[at], rng), *value[at + rng.randint(0, 1) :]]
    return rng.choice(ODD)


def dumps(value: object) -> bytes:
    """JSON of anything, numbers beyond 64 bits included."""
    try:
        return orjson.dumps(value)
    except (TypeError, orjson.JSONEncodeError):
        return json.dumps(value, separators=(",", ":")).encode(errors="replace")


def nested(data: bytes, rng: random.Random) -> bytes:
    """A value in lists or objects, or beside them under a key nobody knows, about as deep as
    parsers go.
    """
    opens, closes = rng.choice(((b"[", b"]"), (b'{"x":', b"}")))
    depth = rng.choice((3, 250, 900, 1_000, 1_020, 1_100, 5_000))
    if data.endswith(b"}") and len(data) > 2 and rng.random() < 0.5:
        return data[:-1] + b',"x":' + opens * depth + b"0" + closes * depth + b"}"
    return opens * depth + data + closes * depth


def mangled(data: bytes, rng: random.Random) -> bytes:
    """Bytes flipped, cut off, doubled or put in."""
    if not data:
        return rng.randbytes(rng.randint(1, 30))
    at = rng.randrange(len(data))
    kind = rng.randrange(4)
    if kind == 0:
        return data[:at]
    if kind == 1:
        return data[:at] + bytes((data[at] ^ (1 << rng.randrange(8)),)) + data[at + 1 :]
    if kind == 2:
        return data[:at] + rng.randbytes(rng.randint(1, 8)) + data[at:]
    return data[:at] + data
