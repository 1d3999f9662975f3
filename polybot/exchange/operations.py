"""Split, merge and redeem for the demo wallet: a small private call until the relayer exists.

`POST /split` and `/merge` take `{"address","condition_id","amount"}` (base units of 10⁻⁶ as a
decimal string), `/redeem` the first two; all answer `{"moved","transaction_hash"}` or 400
`{"error"}`. The effects are those of onchain.md 6.1, at once.
"""

from __future__ import annotations

import random
from collections.abc import Callable

import orjson

from polybot.clock import Clock
from polybot.exchange.engine import Engine
from polybot.exchange.model import Refused
from polybot.exchange.net import Request, Response, Service, error_response, json_response

Authenticate = Callable[[Request], str | Response]


class OperationsService:
    """`authenticate` checks the L2 headers and names the wallet, or gives the refusal to send."""

    def __init__(
        self, engine: Engine, clock: Clock, authenticate: Authenticate, rng: random.Random
    ) -> None:
        self._engine = engine
        self._clock = clock
        self._authenticate = authenticate
        self._rng = rng
        self.service = Service(self._answer, None)

    async def _answer(self, request: Request) -> Response:
        if request.method != "POST" or request.path not in {"/split", "/merge", "/redeem"}:
            return error_response("not found", 404)
        account = self._authenticate(request)
        if isinstance(account, Response):
            return account
        asked = _parse(request.body)
        if str(asked.get("address")).lower() != account.lower():
            return error_response("address is not the caller's")
        moved = self._operate(request.path, account, asked)
        if isinstance(moved, Refused):
            return error_response(moved.error, moved.http_status)
        transaction_hash = f"0x{self._rng.getrandbits(256):064x}"
        return json_response({"moved": str(moved), "transaction_hash": transaction_hash})

    def _operate(self, path: str, account: str, asked: dict[str, object]) -> Refused | int:
        market = self._engine.markets.get(str(asked.get("condition_id")))
        if market is None:
            return Refused("unknown condition_id")
        now_ms = self._clock.now_ms()
        if path == "/redeem":
            return self._engine.redeem(account, market, now_ms)
        amount = _base_units(asked.get("amount"))
        if amount is None:
            return Refused("amount must be a positive integer of base units, as a string")
        if path == "/merge":
            self._engine.before_merge(account, now_ms)
        operate = self._engine.split if path == "/split" else self._engine.merge
        return operate(account, market, amount, now_ms)


def _parse(body: bytes) -> dict[str, object]:
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError:
        return {}
    return value if isinstance(value, dict) else {}


def _base_units(value: object) -> int | None:
    if not isinstance(value, str) or not value.isascii() or not value.isdigit() or len(value) > 30:
        return None
    return int(value) or None
