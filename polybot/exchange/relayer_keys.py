"""Who may use the relayer: relayer API keys and builder API keys (onchain.md 7.1).

A builder key comes from the CLOB, `POST /auth/builder-api-key`, as on the venue. Relayer keys come
from Polymarket's website; here the admin service hands them out.
"""

from __future__ import annotations

import base64
import hmac
import random
import uuid

import attrs

from polybot.clock import Clock
from polybot.exchange import eip712
from polybot.exchange.auth import TOLERANCE_S, ApiKey, KeyStore, hmac_signature
from polybot.exchange.request import Request, Response, error_response, json_response


@attrs.frozen
class BuilderKey:
    """`address` is the account that made it; the secret is url-safe base64."""

    key: str
    secret: str = attrs.field(repr=False)
    passphrase: str = attrs.field(repr=False)
    address: str
    created_ms: int


class RelayerKeys:
    """All keys of the relayer. New ones come from `rng`: a seed gives the same keys."""

    def __init__(self, clock: Clock, rng: random.Random, *, tolerance_s: int = TOLERANCE_S) -> None:
        self._clock, self._rng, self._tolerance_s = clock, rng, tolerance_s
        self._relayer: dict[str, str] = {}  # key → address
        self._builder: dict[str, BuilderKey] = {}

    def issue(self, address: str) -> str:
        """A relayer API key for an address (checksum form)."""
        key = str(uuid.UUID(int=self._rng.getrandbits(128), version=4))
        self._relayer[key] = address
        return key

    def relayer_keys_of(self, address: str) -> list[str]:
        return [key for key, owner in self._relayer.items() if owner == address]

    def is_relayer_key(self, key: str) -> bool:
        return key in self._relayer

    def authenticate(self, request: Request) -> str | None:
        """The key that a request proves, with its headers of either kind; None for a 401."""
        headers = request.headers
        owner = self._relayer.get(headers.get("relayer_api_key", ""))
        if owner is not None:
            named = eip712.parse_address(headers.get("relayer_api_key_address", ""))
            return headers["relayer_api_key"] if named == owner else None
        return self._builder_of(request)

    def address_of(self, key: str) -> str:
        return self._relayer.get(key) or self._builder[key].address

    def _builder_of(self, request: Request) -> str | None:
        """HMAC over timestamp, method, path without query, and the body if there is one."""
        headers = request.headers
        key = self._builder.get(headers.get("poly_builder_api_key", ""))
        stamp = headers.get("poly_builder_timestamp", "")
        if key is None or not self._timely(stamp):
            return None
        message = (stamp + request.method + request.path).encode() + request.body
        expected = hmac_signature(key.secret, message) or ""
        signature = headers.get("poly_builder_signature", "")
        right = hmac.compare_digest(expected.encode(), signature.encode())
        passphrase = headers.get("poly_builder_passphrase", "")
        right &= hmac.compare_digest(key.passphrase.encode(), passphrase.encode())
        return key.key if right else None

    def _timely(self, stamp: str) -> bool:
        if not (stamp.isascii() and stamp.isdigit() and len(stamp) <= 15):
            return False
        return abs(int(stamp) - self._clock.now_ms() // 1000) <= self._tolerance_s

    # --- the CLOB's calls ------------------------------------------------------------------

    def create(self, _request: Request, key: ApiKey) -> Response:
        """POST /auth/builder-api-key, with the L2 headers of the account."""
        made = BuilderKey(
            key=str(uuid.UUID(int=self._rng.getrandbits(128), version=4)),
            secret=base64.urlsafe_b64encode(self._rng.randbytes(32)).decode(),
            passphrase=self._rng.randbytes(32).hex(),
            address=key.address,
            created_ms=self._clock.now_ms(),
        )
        self._builder[made.key] = made
        fields = {"key": made.key, "secret": made.secret, "passphrase": made.passphrase}
        return json_response(fields)

    def list_builder_keys(self, _request: Request, key: ApiKey) -> Response:
        """GET /auth/builder-api-key: the account's own."""
        mine = [one.key for one in self._builder.values() if one.address == key.address]
        return json_response([{"key": one} for one in mine])

    def revoke(self, request: Request, keys: KeyStore) -> Response:
        """DELETE /auth/builder-api-key, proven by the key itself, as the unified SDK does.

        py-clob-client-v2 sends the account's L2 headers and names no key: the newest goes.
        """
        key = self._builder_of(request) or self._newest_of(keys.authenticate(request))
        if key is None:
            return error_response("Unauthorized/Invalid api key", 401)
        del self._builder[key]
        return json_response("OK")

    def _newest_of(self, account: ApiKey | Response) -> str | None:
        if isinstance(account, Response):
            return None
        mine = [one.key for one in self._builder.values() if one.address == account.address]
        return mine[-1] if mine else None
