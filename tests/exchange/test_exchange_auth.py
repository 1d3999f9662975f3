"""API keys, L1 and L2, with the official client making the headers."""

from __future__ import annotations

import random

import attrs
import pytest
from clob_kit import SECRET, T0, Wallet
from hypothesis import given, strategies as st

from polybot.clock import Clock
from polybot.exchange.auth import ApiKey, KeyStore, hmac_signature
from polybot.exchange.clob_auth import AuthCalls
from polybot.exchange.request import Request, Response
from polybot.exchange.restrictions import Restrictions

STILL = Clock(T0)  # read under virtual time zero


def store(wallet: Wallet) -> KeyStore:
    keys = KeyStore(STILL, random.Random(1))
    creds = wallet.creds
    keys.add_key(wallet.address, creds.api_key, creds.api_secret, creds.api_passphrase)
    return keys


def l1(wallet: Wallet, **changes: str) -> Request:
    headers = {name.lower(): value for name, value in wallet.l1_headers().items()}
    return Request("POST", "/auth/api-key", {}, headers | changes, b"")


@pytest.fixture(autouse=True)
def _frozen_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Clock, "now_ms", lambda self: T0)


@pytest.mark.conforms("clob-2.2-hmac-vectors", "clob-2.2-secret-padding")
@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (
            b'1795132800DELETE/order{"orderID":"0xabc"}',
            "rpCgChhFIMFd9YJY5vURIZnr25tqpDlBACHPEzs765M=",
        ),
        (b"1795132800GET/data/orders", "p4ygqcTwMhxeTnfOd0xuT8-qPp3daMmIrXBsAz0ft3M="),
    ],
)
def test_hmac_vectors(message: bytes, expected: str) -> None:
    """The reference's L2 signatures (clob.md 2.3), with and without the secret's padding."""
    assert hmac_signature(SECRET, message) == expected
    assert hmac_signature(SECRET.rstrip("="), message) == expected


@pytest.mark.conforms("clob-2.2-message")
def test_the_official_clients_l2_headers_are_accepted() -> None:
    """With and without a body; the query is not signed."""
    wallet = Wallet(0x11)
    keys = store(wallet)
    with_body = wallet.request("POST", "/order", {"a": "b"})
    with_query = wallet.request("GET", "/data/orders", None, {"market": "0x1"})
    for request in (with_body, with_query):
        key = keys.authenticate(request)
        assert isinstance(key, ApiKey)
        assert key.address == wallet.address


@pytest.mark.conforms("clob-2.2-five-headers", "clob-2.2-unauthorized")
@pytest.mark.parametrize(
    "change",
    [
        {"poly_api_key": "other"},
        {"poly_passphrase": "wrong"},
        {"poly_signature": "AAAA"},
        {"poly_signature": "é"},
        {"poly_address": "0x" + "00" * 20},
        {"poly_timestamp": str(T0 // 1000 + 1)},
        {"poly_timestamp": "9" * 400},
        {"poly_timestamp": "-1"},
        {"poly_timestamp": ""},
    ],
)
def test_any_wrong_l2_header_is_a_401(change: dict[str, str]) -> None:
    """Each of the five headers is checked."""
    wallet = Wallet(0x11)
    request = wallet.request("DELETE", "/order", {"orderID": "0x1"})
    wrong = attrs.evolve(request, headers=request.headers | change)
    answer = store(wallet).authenticate(wrong)
    assert isinstance(answer, Response)
    assert (answer.status, answer.body) == (401, b'{"error":"Unauthorized/Invalid api key"}')


@pytest.mark.conforms("clob-2.2-message")
def test_the_signature_covers_method_path_and_raw_body() -> None:
    """Changing any of them afterwards invalidates the request."""
    wallet = Wallet(0x11)
    keys = store(wallet)
    request = wallet.request("DELETE", "/order", {"orderID": "0x1"})
    for changed in (
        attrs.evolve(request, body=b"{}"),
        attrs.evolve(request, path="/orders"),
        attrs.evolve(request, method="POST"),
    ):
        assert isinstance(keys.authenticate(changed), Response)


@pytest.mark.conforms("clob-2.2-tolerance")
@pytest.mark.parametrize(("age_s", "accepted"), [(300, True), (-300, True), (301, False)])
def test_timestamps_have_a_tolerance(age_s: int, accepted: bool) -> None:
    """Five minutes either way by default."""
    wallet = Wallet(0x11)
    keys = store(wallet)
    headers = {n.lower(): v for n, v in wallet.l1_headers(timestamp=T0 // 1000 - age_s).items()}
    answer = keys.wallet(Request("POST", "/auth/api-key", {}, headers, b""))
    assert (not isinstance(answer, Response)) == accepted


@pytest.mark.conforms("clob-2.2-tolerance")
@pytest.mark.parametrize(("age_s", "accepted"), [(300, True), (-301, False), (301, False)])
def test_private_calls_have_the_same_tolerance(
    age_s: int, accepted: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A rightly signed request from another time is refused: a captured one cannot be replayed."""
    wallet = Wallet(0x11)
    keys = store(wallet)
    monkeypatch.setattr(Clock, "now_ms", lambda self: T0 + age_s * 1000)
    answer = keys.authenticate(wallet.request("GET", "/data/orders"))
    assert (not isinstance(answer, Response)) == accepted


@pytest.mark.conforms(
    "clob-2.1-create",
    "clob-2.1-create-twice",
    "clob-2.1-derive",
    "clob-2.1-derive-none",
    "clob-2.1-nonces",
    "clob-2.1-list",
    "clob-2.1-delete",
)
def test_create_derive_list_delete() -> None:
    """One key per wallet and nonce; derive finds it again; delete removes it."""
    wallet = Wallet(0x44)
    keys = KeyStore(STILL, random.Random(5))
    calls = AuthCalls(keys, Restrictions(lambda: False))
    assert calls.derive(l1(wallet)).status == 400
    created = calls.create(l1(wallet))
    assert created.status == 200
    assert calls.derive(l1(wallet)).body == created.body
    assert calls.create(l1(wallet)).body == b'{"error":"Could not create api key"}'
    (key,) = keys.keys_of(wallet.address)
    assert keys.valid(key.key, key.secret, key.passphrase) == key
    assert keys.valid(key.key, key.secret, "no") is None
    assert calls.delete(l1(wallet), key).body == b'"OK"'
    assert calls.derive(l1(wallet)).body == b'{"error":"Could not derive api key!"}'


def test_a_seed_gives_the_same_keys() -> None:
    """Keys come from the passed generator."""
    made = [KeyStore(STILL, random.Random(9)).create("0xA", 0) for _ in range(2)]
    assert made[0] == made[1]


@pytest.mark.conforms("clob-2.1-l1-refused")
@pytest.mark.parametrize(
    "change",
    [
        {"poly_address": Wallet(0x12).address},
        {"poly_signature": "0x" + "00" * 65},
        {"poly_nonce": "1"},
        {"poly_nonce": "x"},
        {"poly_timestamp": "0"},
    ],
)
def test_a_bad_l1_proof_is_a_401(change: dict[str, str]) -> None:
    """The signature must be the named wallet's, over that timestamp and nonce."""
    answer = KeyStore(STILL, random.Random(1)).wallet(l1(Wallet(0x11), **change))
    assert isinstance(answer, Response)
    assert (answer.status, answer.body) == (401, b'{"error":"Invalid L1 Request headers"}')


def test_a_bad_registration_is_a_bug_of_the_caller() -> None:
    """Ready keys need an address and a base64 secret."""
    with pytest.raises(ValueError, match="address"):
        KeyStore(STILL, random.Random(1)).add_key("me", "k", SECRET, "p")


def test_secrets_do_not_show() -> None:
    """A key's repr may be logged."""
    key = ApiKey("k", "the-secret", "the-pass", "0xA")
    assert "the-" not in repr(key)


@given(st.dictionaries(st.sampled_from(
    ["poly_address", "poly_api_key", "poly_passphrase", "poly_signature", "poly_timestamp",
     "poly_nonce"]), st.text(max_size=80)))  # fmt: skip
def test_no_headers_break_the_checks(headers: dict[str, str]) -> None:
    """Whatever the headers say, both checks answer."""
    keys = store(Wallet(0x11))
    request = Request("GET", "/x", {}, headers, b"\xff")
    assert isinstance(keys.authenticate(request), Response)
    assert isinstance(keys.wallet(request), Response)
