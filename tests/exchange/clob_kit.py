"""A CLOB for tests: one market, wallets that sign with the official client's own functions."""

from __future__ import annotations

import json
import random
from typing import Any

from py_clob_client_v2.clob_types import ApiCreds, RequestArgs
from py_clob_client_v2.headers.headers import create_level_1_headers, create_level_2_headers
from py_clob_client_v2.order_utils.exchange_order_builder_v2 import ExchangeOrderBuilderV2
from py_clob_client_v2.order_utils.model.order_data_v2 import OrderDataV2, order_to_json_v2
from py_clob_client_v2.order_utils.model.side import Side
from py_clob_client_v2.order_utils.model.signature_type_v2 import SignatureTypeV2
from py_clob_client_v2.signer import Signer

from polybot.clock import Clock
from polybot.exchange import contracts
from polybot.exchange.clob import ClobServer
from polybot.exchange.engine import Engine
from polybot.exchange.faults.state import Faults
from polybot.exchange.model import BUY, Kind, Market, Order, Series
from polybot.exchange.money import UNIT
from polybot.exchange.request import Request, Response
from polybot.exchange.terms import Terms
from polybot.exchange.wallets import WalletKind, wallets_of

T0 = 1_795_132_800_000
PLENTY = Terms(signer_tier="elite")  # a test in one instant must not meet the rate limits
UP_TOKEN = "104173557214744537570424345347209544585775842950109756851652855913015295701992"
DOWN_TOKEN = "25245433628208476987364023432306599125597948324625578977436890641930158259698"
SECRET = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="


def make_market(**changes: Any) -> Market:
    """A 5-minute market without taker delay, its ids shaped like the venue's."""
    fields: dict[str, Any] = {
        "condition_id": "0x" + "ab" * 32,
        "question_id": "0x" + "cd" * 32,
        "gamma_id": "77",
        "slug": "btc-updown-5m-1795132800",
        "question": "Bitcoin Up or Down",
        "series": Series("btc", "5m", 300, "twap"),
        "tokens": (UP_TOKEN, DOWN_TOKEN),
        "listed_ms": T0,
        "start_ms": T0,
        "end_ms": T0 + 300_000,
        "taker_delay_ms": 0,
    }
    return Market(**(fields | changes))


class Wallet:
    """A private key with API credentials; builds what a client would send."""

    def __init__(
        self,
        byte: int,
        *,
        contract: str = contracts.EXCHANGE,
        version: str = "2",
        kind: WalletKind = WalletKind.EOA,
    ) -> None:
        self.signer = Signer("0x" + f"{byte:02x}" * 32, 137)
        self.address: str = self.signer.address()
        self.kind = kind
        self.maker = wallets_of(self.address).of(kind)[0]  # whose funds its orders use
        self.creds = ApiCreds(f"key-{byte}", SECRET, f"pass-{byte}")
        self._salts = iter(range(byte * 1000, byte * 1000 + 1000))
        self._builder = ExchangeOrderBuilderV2(
            contract, 137, self.signer, lambda: str(next(self._salts)), version
        )

    def order(
        self,
        side: str,
        token: str,
        maker_amount: int,
        taker_amount: int,
        kind: str = "GTC",
        *,
        post_only: bool = False,
        expiration: int = 0,
        timestamp: int = T0,
    ) -> dict[str, Any]:
        """The POST /order object for exact amounts in base units."""
        data = OrderDataV2(
            maker=self.maker,
            signer=self.maker if self.kind is WalletKind.DEPOSIT else self.address,
            signatureType=SignatureTypeV2(self.kind),
            tokenId=token,
            makerAmount=str(maker_amount),
            takerAmount=str(taker_amount),
            side=Side.BUY if side == BUY else Side.SELL,
            timestamp=str(timestamp),
            expiration=str(expiration),
        )
        signed = self._builder.build_signed_order(data)
        payload: dict[str, Any] = order_to_json_v2(signed, self.creds.api_key, kind, post_only)
        return payload

    def limit(
        self, side: str, token: str, cents: int, shares: int, kind: str = "GTC", **more: Any
    ) -> dict[str, Any]:
        """A limit order at a whole-cent price for whole shares."""
        money, size = cents * shares * 10_000, shares * UNIT
        amounts = (money, size) if side == BUY else (size, money)
        return self.order(side, token, *amounts, kind, **more)

    def request(
        self, method: str, path: str, body: object = None, query: dict[str, str] | None = None
    ) -> Request:
        """A private request as the server sees it, signed at T0."""
        text = "" if body is None else json.dumps(body, separators=(",", ":"))
        headers = self.headers(method, path, text)
        lower = {name.lower(): value for name, value in headers.items()}
        return Request(method, path, query or {}, lower, text.encode())

    def headers(self, method: str, path: str, text: str = "") -> dict[str, str]:
        args = RequestArgs(method, path, serialized_body=text or None)
        headers: dict[str, str] = create_level_2_headers(self.signer, self.creds, args, T0 // 1000)
        return headers

    def l1_headers(self, nonce: int = 0, timestamp: int = T0 // 1000) -> dict[str, str]:
        headers: dict[str, str] = create_level_1_headers(self.signer, nonce, timestamp)
        return headers


class ClobKit:
    """A server with one open market, and wallets `ann` and `bob`, funded with pUSD and pairs."""

    def __init__(self, *, terms: Terms = PLENTY, **market: Any) -> None:
        self.clock = Clock.starting_at(T0)
        self.engine = Engine(rng=random.Random(1), auto_tick=False)
        self.faults = Faults(1, T0)
        self.errors: list[Exception] = []
        self.server = ClobServer(
            self.engine,
            self.clock,
            random.Random(2),
            on_error=self.errors.append,
            terms=terms,
            faults=self.faults,
        )
        self.market = make_market(**market)
        self.engine.list_market(self.market, T0)
        self.engine.open_market(self.market, T0)
        self.ann, self.bob = Wallet(0x11), Wallet(0x22)
        for wallet in (self.ann, self.bob):
            creds = wallet.creds
            self.server.keys.add_key(
                wallet.address, creds.api_key, creds.api_secret, creds.api_passphrase
            )
            self.engine.accounts.deposit(wallet.address, 11_000 * UNIT)
            self.engine.split(wallet.address, self.market, 1_000 * UNIT, T0)
        self._serial = 0

    async def call(
        self, wallet: Wallet, method: str, path: str, body: object = None, **query: str
    ) -> tuple[int, Any]:
        """A private call: (status, decoded JSON)."""
        return decoded(await self.server.handle(wallet.request(method, path, body, query)))

    async def get(self, path: str, **query: str) -> tuple[int, Any]:
        return decoded(await self.server.handle(Request("GET", path, query, {}, b"")))

    async def post(self, path: str, body: object) -> tuple[int, Any]:
        request = Request("POST", path, {}, {}, json.dumps(body).encode())
        return decoded(await self.server.handle(request))

    def crowd(self, side: str, token: str, price: int, shares: int) -> None:
        """An order of somebody without an API key, straight into the engine."""
        self._serial += 1
        self.engine.accounts.deposit("crowd", 10_000 * UNIT)
        self.engine.split("crowd", self.market, 1_000 * UNIT, self.clock.now_ms())
        order = Order(
            f"0xc{self._serial}", "crowd", "crowd", self.market, token, side, price,
            shares * UNIT, Kind.GTC,
        )  # fmt: skip
        self.engine.place(order, self.clock.now_ms(), lambda _: None)


def decoded(response: Response) -> tuple[int, Any]:
    return response.status, json.loads(response.body)
