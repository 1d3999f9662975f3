"""Session keys: authorised by the wallet's owner, listed, limited by scope, taken back."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from chain_kit import DOLLAR, account, split
from polymarket._internal.actions import session_keys as sdk
from polymarket._internal.actions.relayer.calls import (
    TransactionCall,
    authorize_session_signer_call,
    revoke_session_signer_call,
)
from polymarket.types import EvmAddress
from relayer_kit import LATER_S, RelayerKit, batch

from polybot.exchange.auth import ApiKey
from polybot.exchange.request import Request

SESSION = account(0x33)
HOUR_S = 3_600


class SessionKit(RelayerKit):
    """Ann has a builder key, without which nobody is authorised."""

    def __init__(self) -> None:
        super().__init__()
        self.api_key = ApiKey("key", "AAAA", "pass", self.ann)
        request = Request("POST", "/auth/builder-api-key", {}, {}, b"")
        self.keys.create(request, self.api_key)
        (self.builder,) = self.keys._builder
        self.until_s = self.now // 1000 + HOUR_S
        self.nonce = 0

    def signed(self, call: TransactionCall) -> dict[str, Any]:
        """The batch's parts, in the session calls' own body."""
        body = batch(call, nonce=self.nonce)
        return {
            "deadline": str(LATER_S),
            "nonce": str(self.nonce),
            "signature": body["signature"],
            "sessionSignerAddress": SESSION.address,
            "walletAddress": self.wallets.deposit,
        }

    def authorisation(self, *scopes: str) -> dict[str, Any]:
        call = authorize_session_signer_call(
            wallet_address=EvmAddress(self.wallets.deposit),
            session_signer=EvmAddress(SESSION.address),
            valid_until=self.until_s,
        )
        more = {"scopes": list(scopes), "validUntil": str(self.until_s)}
        return self.signed(call) | more

    def revocation(self) -> dict[str, Any]:
        call = revoke_session_signer_call(
            wallet_address=EvmAddress(self.wallets.deposit),
            session_signer=EvmAddress(SESSION.address),
        )
        return self.signed(call)

    async def post(self, what: str, body: Any, name: str = "one") -> tuple[int, Any]:
        """As if the headers of the builder key had been checked."""
        method = {
            "authorizations": self.relayer._authorise,
            "revocations": self.relayer._revoke,
        }[what]
        request = _request(what, body, {"idempotency-key": name} if name else {})
        response = method(request, self.builder)
        return response.status, _decoded(response.body)

    async def authorised(self, *scopes: str) -> None:
        status, value = await self.post("authorizations", self.authorisation(*scopes))
        assert status == 200, value
        sdk._AuthorizeSessionKeyResponse.parse_response(value)
        self.advance(60_000)
        self.nonce = 1

    def listed(self) -> list[Any]:
        response = self.relayer.session_keys(_request("", None, {}), self.api_key)
        found = _decoded(response.body)
        sdk._FetchSessionKeysResponse.parse_response(found)
        assert found["wallet"] == self.wallets.deposit
        rows: list[Any] = found["signers"]
        return rows


def _request(what: str, body: Any, headers: dict[str, str]) -> Request:
    return Request("POST", f"/v1/session-signers/{what}", {}, headers, orjson.dumps(body))


def _decoded(body: bytes) -> Any:
    return orjson.loads(body)


def by_session(kit: SessionKit) -> dict[str, Any]:
    call = split(kit.plain, DOLLAR)
    wallet, nonce = kit.wallets.deposit, kit.nonce
    return batch(call, signer=SESSION, wallet=wallet, nonce=nonce, session=True)


async def test_an_authorised_key_is_listed_and_may_act() -> None:
    """Scopes and expiry as asked; with ALL it sends the wallet's transactions (onchain.md 5)."""
    kit = SessionKit()
    assert await kit.refused(by_session(kit)) == "invalid signature"
    await kit.authorised("ALL")

    assert kit.listed() == [
        {"address": SESSION.address, "scopes": ["ALL"], "valid_until": kit.until_s}
    ]
    params = "/v1/account/transactions/params"
    assert (await kit.get(params, address=kit.ann, type="WALLET"))["nonce"] == "1"
    assert (await kit.get(params, address=SESSION.address, type="WALLET"))["nonce"] == "1"
    done = await kit.finish(await kit.submit(by_session(kit)))
    assert done["state"] == "STATE_CONFIRMED"
    assert kit.shares(kit.wallets.deposit, kit.plain) == [DOLLAR] * 2


async def test_a_narrower_scope_signs_no_transaction() -> None:
    """CLOB is for orders only: the default chosen for what is UNSURE (onchain.md 5)."""
    kit = SessionKit()
    await kit.authorised("CLOB")

    assert await kit.refused(by_session(kit)) == "invalid signature"
    assert kit.chain.sessions.allowed(kit.wallets.deposit, SESSION.address, kit.now // 1000)


async def test_an_expired_key_is_nobodys() -> None:
    """(onchain.md 5)."""
    kit = SessionKit()
    await kit.authorised("ALL")
    kit.advance(HOUR_S * 1000)

    assert kit.listed() == []
    assert await kit.refused(by_session(kit)) == "invalid signature"


async def test_a_revocation_fences_at_once() -> None:
    """Off the list and without power before the chain has it (SDK session_keys.py)."""
    kit = SessionKit()
    await kit.authorised("ALL")

    status, value = await kit.post("revocations", kit.revocation(), "two")

    assert status == 200
    assert sdk._RevokeSessionKeyResponse.parse_response(value).fenced is True
    assert kit.listed() == []
    assert await kit.refused(by_session(kit)) == "invalid signature"
    assert (await kit.finish(value["transactionId"]))["state"] == "STATE_CONFIRMED"


async def test_an_idempotency_key_is_answered_once() -> None:
    """The SDK repeats a request whose answer it lost (SDK session_keys.py)."""
    kit = SessionKit()
    first = await kit.post("authorizations", kit.authorisation("ALL"))
    again = await kit.post("authorizations", kit.authorisation("ALL"))

    assert first == again
    assert (await kit.post("authorizations", kit.authorisation("ALL"), ""))[0] == 400
    busy = await kit.post("authorizations", kit.authorisation("ALL"), "other")
    assert busy[0] == 400


async def test_a_relayer_key_cannot_authorise() -> None:
    """Issuing needs a builder key (onchain.md 5)."""
    kit = SessionKit()
    headers = kit.headers | {"idempotency-key": "one"}
    path = "/v1/session-signers/authorizations"

    status, _ = await kit.send("POST", path, kit.authorisation("ALL"), headers)

    assert status == 403


@pytest.mark.parametrize(
    "change",
    [
        {"scopes": []},
        {"scopes": "ALL"},
        {"scopes": [1]},
        {"validUntil": "soon"},
        {"validUntil": "1900000000"},
        {"sessionSignerAddress": "0x12"},
        {"walletAddress": "0x2222222222222222222222222222222222222222"},
        {"signature": "0x00"},
        {"nonce": "7"},
    ],
)
async def test_a_changed_authorisation_is_refused(change: dict[str, Any]) -> None:
    """What is not signed is not authorised (onchain.md 5)."""
    kit = SessionKit()

    status, _ = await kit.post("authorizations", kit.authorisation("ALL") | change)

    assert status == 400
    assert kit.listed() == []


async def test_too_long_an_authorisation_reverts() -> None:
    """At most 180 days: the wallet's contract refuses it in the block (onchain.md 5)."""
    kit = SessionKit()
    kit.until_s = kit.now // 1000 + 200 * 86_400

    _, value = await kit.post("authorizations", kit.authorisation("ALL"))

    assert (await kit.finish(value["transactionId"]))["state"] == "STATE_FAILED"
    assert kit.listed() == []
