"""API keys and the two proofs a client gives: L1 (wallet signature) and L2 (HMAC). clob.md 2.

Both checks answer with a value: who it is, or the 401 to send.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import random
import uuid

import attrs

from polybot.clock import Clock
from polybot.exchange import eip712
from polybot.exchange.request import Request, Response, error_response

UNAUTHORIZED = "Unauthorized/Invalid api key"
READ_ONLY = "this api key is read-only"
TOLERANCE_S = 300  # the venue's is not documented (clob.md 2.2): a parameter


@attrs.frozen
class ApiKey:
    """Credentials of one wallet. `address`: its EOA, checksum form; `secret`: url-safe base64."""

    key: str
    secret: str = attrs.field(repr=False)
    passphrase: str = attrs.field(repr=False)
    address: str
    nonce: int = 0


def hmac_signature(secret: str, message: bytes) -> str | None:
    """Url-safe base64 of HMAC-SHA256, padding kept; None when the secret is no base64."""
    try:
        key = base64.urlsafe_b64decode(secret + "=" * (-len(secret) % 4))
    except (binascii.Error, ValueError):
        return None
    return base64.urlsafe_b64encode(hmac.digest(key, message, hashlib.sha256)).decode()


def _same(one: str, other: str) -> bool:
    return hmac.compare_digest(one.encode(), other.encode())


class KeyStore:
    """All API keys of the exchange. New ones come from `rng`: a seed gives the same keys."""

    def __init__(self, clock: Clock, rng: random.Random, *, tolerance_s: int = TOLERANCE_S) -> None:
        self._clock = clock
        self._rng = rng
        self._tolerance_s = tolerance_s
        self._keys: dict[str, ApiKey] = {}
        self._read_only: dict[str, str] = {}  # read-only key → the key it reads for

    def __contains__(self, key: str) -> bool:
        return key in self._keys

    def add_key(self, address: str, key: str, secret: str, passphrase: str) -> ApiKey:
        """Register ready credentials. Raises ValueError for a bad address or secret."""
        owner = eip712.parse_address(address)
        if owner is None or hmac_signature(secret, b"") is None:
            raise ValueError(f"expected an address and a base64 secret, address was {address!r}")
        self._keys[key] = ApiKey(key, secret, passphrase, owner)
        return self._keys[key]

    def create(self, address: str, nonce: int) -> ApiKey | None:
        """A new key for (address, nonce); None when it has one already."""
        if self.derive(address, nonce) is not None:
            return None
        key = ApiKey(
            key=str(uuid.UUID(int=self._rng.getrandbits(128), version=4)),
            secret=base64.urlsafe_b64encode(self._rng.randbytes(32)).decode(),
            passphrase=self._rng.randbytes(32).hex(),
            address=address,
            nonce=nonce,
        )
        self._keys[key.key] = key
        return key

    def derive(self, address: str, nonce: int) -> ApiKey | None:
        """The existing key of (address, nonce)."""
        mine = (k for k in self._keys.values() if (k.address, k.nonce) == (address, nonce))
        return next(mine, None)

    def keys_of(self, address: str) -> list[ApiKey]:
        return [key for key in self._keys.values() if key.address == address]

    def delete(self, key: str) -> None:
        """Forget a key and the read-only keys that read for it."""
        self._keys.pop(key, None)
        for reader in self.readers_of(key):
            del self._read_only[reader]

    # --- read-only keys ----------------------------------------------------------------------
    #
    # The venue answers their creation with a uuid and no secret, so the uuid itself is the proof:
    # with POLY_ADDRESS it reads what the key that made it reads, and nothing else (clob.md 2.1).

    def create_reader(self, key: ApiKey) -> str:
        reader = str(uuid.UUID(int=self._rng.getrandbits(128), version=4))
        self._read_only[reader] = key.key
        return reader

    def readers_of(self, key: str) -> list[str]:
        return [reader for reader, read_for in self._read_only.items() if read_for == key]

    def delete_reader(self, reader: str, key: ApiKey) -> bool:
        """Whether there was such a read-only key of this key."""
        if self._read_only.get(reader) != key.key:
            return False
        del self._read_only[reader]
        return True

    def _reading(self, request: Request, key: ApiKey) -> ApiKey | Response:
        if eip712.parse_address(request.headers.get("poly_address", "")) != key.address:
            return error_response(UNAUTHORIZED, 401)
        return key if _only_reads(request) else error_response(READ_ONLY, 403)

    def valid(self, key: str, secret: str, passphrase: str) -> ApiKey | None:
        """The key when all three credentials are right: how the streams authenticate."""
        known = self._keys.get(key)
        if known is None:
            return None
        right = _same(known.secret, secret) & _same(known.passphrase, passphrase)
        return known if right else None

    def authenticate(self, request: Request) -> ApiKey | Response:
        """Check the five L2 headers over the raw body (clob.md 2.2).

        A read-only key is answered as the key it reads for, or with a 403.
        """
        refusal = error_response(UNAUTHORIZED, 401)
        headers = request.headers
        read_for = self._read_only.get(headers.get("poly_api_key", ""))
        if read_for is not None:
            return self._reading(request, self._keys[read_for])
        key = self._keys.get(headers.get("poly_api_key", ""))
        timestamp = headers.get("poly_timestamp", "")
        if key is None or not self._timely(timestamp):
            return refusal
        if eip712.parse_address(headers.get("poly_address", "")) != key.address:
            return refusal
        message = (timestamp + request.method + request.path).encode() + request.body
        expected = hmac_signature(key.secret, message) or ""
        proof = _same(expected, headers.get("poly_signature", ""))
        return key if proof & _same(key.passphrase, headers.get("poly_passphrase", "")) else refusal

    def wallet(self, request: Request) -> tuple[str, int] | Response:
        """Check the L1 headers: the wallet's checksum address and the nonce (clob.md 2.1)."""
        refusal = error_response("Invalid L1 Request headers", 401)
        headers = request.headers
        address = eip712.parse_address(headers.get("poly_address", ""))
        signature = eip712.parse_hex(headers.get("poly_signature", ""))
        timestamp = headers.get("poly_timestamp", "")
        nonce = headers.get("poly_nonce", "0")
        if address is None or signature is None or not self._timely(timestamp):
            return refusal
        if not _is_number(nonce):
            return refusal
        digest = eip712.auth_digest(address, timestamp, int(nonce))
        return (address, int(nonce)) if eip712.recover(digest, signature) == address else refusal

    def _timely(self, timestamp: str) -> bool:
        if not _is_number(timestamp):
            return False
        return abs(int(timestamp) - self._clock.now_ms() // 1000) <= self._tolerance_s


def _only_reads(request: Request) -> bool:
    """Whether a request changes nothing; keys themselves are nothing a reader may see."""
    if request.path == "/orders-scoring":
        return True
    return request.method == "GET" and not request.path.startswith("/auth/")


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 15
