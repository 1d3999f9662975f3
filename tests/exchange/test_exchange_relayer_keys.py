"""Keys of the relayer: HMACs as the official SDK makes them, and the CLOB's calls about them."""

from __future__ import annotations

import json
import random
from typing import cast

import attrs
import pytest
from chain_kit import ANN, T0
from polymarket._internal.actions.relayer import auth as sdk
from polymarket._internal.hmac import build_hmac_signature
from polymarket.auth import BuilderApiKey

from polybot.clock import Clock
from polybot.exchange.auth import ApiKey, KeyStore, hmac_signature
from polybot.exchange.relayer_keys import RelayerKeys
from polybot.exchange.request import Request

SECRET = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
OWNER = ApiKey("key", SECRET, "pass", ANN.address)


class Hands:
    """Keys with one builder key of ann's, on a clock that stands still."""

    def __init__(self) -> None:
        self.now = T0
        self.keys = RelayerKeys(cast("Clock", self), random.Random(4))
        self.store = KeyStore(cast("Clock", self), random.Random(5))
        made = json.loads(self.keys.create(_request("POST", b""), OWNER).body)
        self.builder = BuilderApiKey(**made)

    def now_ms(self) -> int:
        return self.now

    def revoke(self, headers: dict[str, str]) -> int:
        return self.keys.revoke(_request("DELETE", b"", headers), self.store).status

    def headers(self, method: str, body: str = "", stamp_s: int = T0 // 1000) -> dict[str, str]:
        signature = build_hmac_signature(
            secret=self.builder.secret, timestamp=stamp_s, method=method, path="/submit",
            body=body or None,
        )  # fmt: skip
        return {
            "poly_builder_api_key": self.builder.key,
            "poly_builder_passphrase": self.builder.passphrase,
            "poly_builder_timestamp": str(stamp_s),
            "poly_builder_signature": signature,
        }


def _request(method: str, body: bytes, headers: dict[str, str] | None = None) -> Request:
    return Request(method, "/submit", {"a": "1"}, headers or {}, body)


@pytest.mark.conforms("onchain-7.1-builder-key")
def test_the_references_vectors() -> None:
    """(onchain.md 7.1)."""
    submit = hmac_signature(SECRET, b'1700000000POST/submit{"a":1}')
    read = hmac_signature(SECRET, b"1700000000GET/v1/account/transactions/params")

    assert submit == "P9uef-7u4Eri9Os7eNFlhiMo4k6v2T8fAxtPLrP7gu4="
    assert read == "O08egOdvo6OOboqu_LdA9rVgHC91I0A99sMOx-d_VPY="


def test_what_the_sdk_signs_is_believed() -> None:
    """Timestamp, method, path without the query, and the body (onchain.md 7.1)."""
    hands = Hands()
    headers = hands.headers("POST", '{"a":1}')

    assert hands.keys.authenticate(_request("POST", b'{"a":1}', headers)) == hands.builder.key
    assert hands.keys.address_of(hands.builder.key) == ANN.address
    bare = _request("GET", b"", hands.headers("GET"))
    assert hands.keys.authenticate(bare) == hands.builder.key
    assert sdk.build_builder_key_headers(creds=hands.builder, method="GET", path="/").keys() == {
        name.upper() for name in headers
    }


@pytest.mark.parametrize(
    "change",
    [
        {"poly_builder_api_key": "no"},
        {"poly_builder_passphrase": "no"},
        {"poly_builder_timestamp": str(T0 // 1000 + 1)},
        {"poly_builder_signature": "AAAA"},
        {"poly_builder_timestamp": "x"},
    ],
)
def test_each_header_counts(change: dict[str, str]) -> None:
    """(onchain.md 7.1)."""
    hands = Hands()
    headers = hands.headers("POST", "{}") | change

    assert hands.keys.authenticate(_request("POST", b"{}", headers)) is None


def test_an_old_timestamp_is_refused() -> None:
    """Replays end with the tolerance (clob.md 2.2)."""
    hands = Hands()
    headers = hands.headers("POST", "{}")
    hands.now += 301_000

    assert hands.keys.authenticate(_request("POST", b"{}", headers)) is None


def test_builder_keys_are_listed_and_revoked() -> None:
    """By the account that made them, and by the key itself (SDK actions/auth.py)."""
    hands = Hands()
    listed = json.loads(hands.keys.list_builder_keys(_request("GET", b""), OWNER).body)
    assert listed == [{"key": hands.builder.key}]
    stranger = attrs.evolve(OWNER, address="0x" + "12" * 20)
    assert json.loads(hands.keys.list_builder_keys(_request("GET", b""), stranger).body) == []

    assert hands.revoke(hands.headers("GET")) == 401
    assert hands.revoke(hands.headers("DELETE")) == 200
    assert hands.keys.authenticate(_request("GET", b"", hands.headers("GET"))) is None
