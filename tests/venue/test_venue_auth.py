"""Headers, secrets and the way to API credentials."""

from __future__ import annotations

import base64
import pickle
import threading
import types
from functools import partial
from typing import Any

import httpx
import pytest
import trio
from hypothesis import given, strategies as st
from polymarket._internal.hmac import build_hmac_signature
from py_clob_client_v2 import client as official
from py_clob_client_v2.exceptions import PolyApiException
from py_clob_client_v2.headers.headers import create_level_1_headers
from py_clob_client_v2.signer import Signer
from venue_kit import CREDENTIALS, KEY, WALLET

from polybot.clock import Clock
from polybot.domain.orders import Failure, Unknown
from polybot.venue import keys
from polybot.venue.auth import l1_headers, l2_headers
from polybot.venue.replies import decode_post
from polybot.venue.rest import Reply, Rest
from polybot.venue.secret import Credentials, Secret
from polybot.venue.site import POLYMARKET

STAMP = 1795132800


def test_the_vectors_of_the_reference() -> None:
    """L1 and L2 signatures equal clob.md 2.3."""
    l1 = l1_headers(WALLET, STAMP)
    assert l1["POLY_SIGNATURE"] == (
        "0xbfcc380b2878890d5c98e80c0fd53a29419f64dc0edb8cbbf5a6eae7198442d1"
        "7443b135f3bd7750326e678600c9458679f6b9ce11b2c4f0c9ca97ea2191f3ec1b"
    )
    delete = l2_headers(CREDENTIALS, "DELETE", "/order", b'{"orderID":"0xabc"}', STAMP)
    assert delete["POLY_SIGNATURE"] == "rpCgChhFIMFd9YJY5vURIZnr25tqpDlBACHPEzs765M="
    get = l2_headers(CREDENTIALS, "GET", "/data/orders", b"", STAMP)
    assert get["POLY_SIGNATURE"] == "p4ygqcTwMhxeTnfOd0xuT8-qPp3daMmIrXBsAz0ft3M="
    assert set(get) == {
        "POLY_ADDRESS",
        "POLY_API_KEY",
        "POLY_PASSPHRASE",
        "POLY_SIGNATURE",
        "POLY_TIMESTAMP",
    }


@given(st.integers(0, 2**33), st.integers(0, 9))
def test_l1_equals_the_official_package(stamp: int, nonce: int) -> None:
    """All four L1 headers equal py-clob-client-v2's."""
    theirs = create_level_1_headers(Signer(KEY.reveal(), 137), nonce, stamp)

    assert l1_headers(WALLET, stamp, nonce=nonce) == {
        name: str(value) for name, value in theirs.items()
    }


@given(st.binary(min_size=1, max_size=40), st.text("abc/{}:\"'", max_size=20))
def test_l2_equals_the_official_sdk(raw: bytes, body: str) -> None:
    """Any secret, padded or not, and any body give the unified SDK's HMAC."""
    secret = base64.urlsafe_b64encode(raw).decode().rstrip("=")
    mine = Credentials("0x1", "key", Secret(secret), Secret("p"))

    headers = l2_headers(mine, "POST", "/order", body.encode(), STAMP)

    assert headers["POLY_SIGNATURE"] == build_hmac_signature(
        secret=secret, timestamp=STAMP, method="POST", path="/order", body=body
    )


def test_a_secret_shows_itself_to_nobody() -> None:
    """Neither repr, str, format, a record that holds it, nor a pickle gives the value away."""
    secret = Secret("canary")
    shown = [repr(secret), str(secret), f"{secret}", f"{secret:>9}", repr(CREDENTIALS)]

    assert not any("canary" in text or "c0ffee" in text for text in shown)
    assert secret.reveal() == "canary"
    with pytest.raises(TypeError):
        pickle.dumps(secret)
    with pytest.raises(TypeError):
        hash(secret)


def test_secrets_compare_by_value() -> None:
    """Equal values are equal; a secret equals no plain text; an empty one is false."""
    assert Secret("a") == Secret("a")
    assert Secret("a") != Secret("b")
    assert Secret("a") != "a"
    assert not Secret("")


class Creds:
    api_key, api_secret, api_passphrase = "uuid", "c2VjcmV0", "pass"


async def test_credentials_come_from_the_official_package(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the package makes or derives comes back with the wallet's address, secrets masked."""
    monkeypatch.setattr(
        official.ClobClient, "create_or_derive_api_key", lambda self, nonce=None: Creds
    )

    made = await keys.derive_credentials(POLYMARKET, KEY)

    assert made == Credentials(WALLET.address, "uuid", Secret("c2VjcmV0"), Secret("pass"))


def test_a_thread_that_is_left_behind_holds_up_no_other_run(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One at a time, and one that hangs has its turn for as long: not beyond its own run."""
    stuck = threading.Event()

    def hang(self: Any, nonce: Any = None) -> type[Creds]:
        stuck.wait(20)
        return Creds

    ask = partial(keys.derive_credentials, POLYMARKET, KEY)
    monkeypatch.setattr(official.ClobClient, "create_or_derive_api_key", hang)
    assert trio.run(partial(ask, timeout_s=0.2)) == Failure("no API credentials within 0.2 s")
    monkeypatch.setattr(
        official.ClobClient, "create_or_derive_api_key", lambda self, nonce=None: Creds
    )
    made = trio.run(partial(ask, timeout_s=5))
    stuck.set()

    assert isinstance(made, Credentials)


async def test_a_refusal_is_a_value_that_tells_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the package raises becomes a Failure that names the kind of error only."""

    def refuse(self: Any, nonce: Any = None) -> None:
        raise RuntimeError(f"signed with {KEY.reveal()}")

    monkeypatch.setattr(official.ClobClient, "create_or_derive_api_key", refuse)

    made = await keys.derive_credentials(POLYMARKET, KEY)

    assert made == Failure("no API credentials: RuntimeError")


@pytest.mark.parametrize(
    ("key", "secret", "passphrase"),
    [
        ("uuid", None, "pass"),
        ("uuid", "", "pass"),
        (7, "c2VjcmV0", "pass"),
        ("uuid", "c2VjcmV0", None),
        ("uuid", "c2VjcmV0c", "pass"),
        ("uuid", "c2VjcmV0", "pass\r\nx: y"),
    ],
)
async def test_credentials_that_sign_nothing_are_a_failure(
    monkeypatch: pytest.MonkeyPatch, key: object, secret: object, passphrase: object
) -> None:
    """An answer of 200 may lack any of the three: `stop --now` would end in a TypeError."""
    made = types.SimpleNamespace(api_key=key, api_secret=secret, api_passphrase=passphrase)
    monkeypatch.setattr(
        official.ClobClient, "create_or_derive_api_key", lambda self, nonce=None: made
    )

    assert await keys.derive_credentials(POLYMARKET, KEY) == Failure(
        "no API credentials: an answer without usable ones"
    )


async def test_a_refused_signature_names_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    """401 before anything else has been asked is the clock's doing, as a rule."""

    def refuse(self: Any, nonce: Any = None) -> None:
        raise PolyApiException(httpx.Response(401, json={"error": "Invalid L1 Request headers"}))

    monkeypatch.setattr(official.ClobClient, "create_or_derive_api_key", refuse)

    made = await keys.derive_credentials(POLYMARKET, KEY)

    assert isinstance(made, Failure)
    assert made.what.startswith("no API credentials: HTTP 401; ")
    assert "clock" in made.what


async def test_a_venue_that_does_not_answer_is_given_up(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: trio.testing.MockClock
) -> None:
    """The thread is left behind after the deadline."""
    gate = threading.Event()
    monkeypatch.setattr(keys, "_create_or_derive", lambda host, key: gate.wait(10))

    made = await keys.derive_credentials(POLYMARKET, KEY, timeout_s=30)

    gate.set()
    assert made == Failure("no API credentials within 30 s")


@pytest.mark.parametrize("status", [302, 307, 308])
@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_no_redirect_takes_them_elsewhere(method: str, status: int) -> None:
    """Whoever stands before the venue could have headers and orders sent to anybody: a redirect is
    an answer like any other, and of an order it tells nothing.
    """
    hosts: list[str] = []

    async def answer(request: httpx.Request) -> httpx.Response:
        hosts.append(request.url.host)
        return httpx.Response(status, headers={"Location": "https://elsewhere/order"})

    transport = httpx.MockTransport(answer)
    async with httpx.AsyncClient(transport=transport, follow_redirects=True) as http:
        rest = Rest(http, "https://venue", Clock(0.0), CREDENTIALS)
        reply = await rest.call(method, "/order", body=b"{}")
    assert isinstance(reply, Reply)
    assert reply.status == status
    assert hosts == ["venue"]
    assert [type(one) for one in decode_post(["0x1"], reply, batch=False)] == [Unknown]
