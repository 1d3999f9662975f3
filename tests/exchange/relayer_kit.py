"""A relayer on the kit's chain, and bodies built and signed by the official SDK's own functions."""

from __future__ import annotations

import json
import random
from typing import Any, cast

from chain_kit import ANN, DOLLAR, ChainKit
from eth_account.signers.local import LocalAccount
from polymarket._internal.actions.relayer import calls as sdk, gasless
from polymarket._internal.actions.relayer.signing.deposit_wallet import sign_deposit_wallet_batch
from polymarket._internal.actions.relayer.signing.proxy import (
    build_proxy_transaction_hash,
    sign_proxy_message,
)
from polymarket._internal.actions.relayer.signing.safe import sign_safe_transaction
from polymarket._internal.wallet import wrap_deposit_wallet_session_signer_signature
from polymarket.types import EvmAddress

from polybot.clock import Clock
from polybot.exchange import contracts
from polybot.exchange.relayer import Relayer
from polybot.exchange.relayer_keys import RelayerKeys
from polybot.exchange.request import Request
from polybot.exchange.terms import Terms
from polybot.exchange.wallets import wallets_of

LATER_S = 1_900_000_000  # a deadline after every test
METADATA = "a test"
Body = dict[str, Any]


class RelayerKit(ChainKit):
    """Ann's wallets are deployed, approved and funded, bob's are not; one relayer key is ann's."""

    def __init__(self, *, terms: Terms = Terms()) -> None:
        super().__init__(terms=terms)
        clock, rng = cast("Clock", self), random.Random(9)
        self.keys = RelayerKeys(clock, rng)
        self.relayer = Relayer(self.chain, self.keys, clock, rng)
        self.wallets = wallets_of(self.ann)
        for address in (self.wallets.deposit, self.wallets.safe, self.wallets.proxy):
            self.engine.accounts.deposit(address, 100 * DOLLAR)
            self.chain.deployed.add(address)
        self.headers = self.key_headers(self.ann)

    def now_ms(self) -> int:
        return self.now

    def key_headers(self, address: str) -> dict[str, str]:
        return {
            "relayer_api_key": self.keys.issue(address),
            "relayer_api_key_address": address,
        }

    async def send(
        self,
        method: str,
        path: str,
        body: object = None,
        headers: dict[str, str] | None = None,
        **query: str,
    ) -> tuple[int, Any]:
        raw = b"" if body is None else json.dumps(body).encode()
        sent = self.headers if headers is None else headers
        response = await self.relayer.handle(Request(method, path, query, sent, raw))
        return response.status, json.loads(response.body)

    async def get(self, path: str, **query: str) -> Any:
        """A public read."""
        status, value = await self.send("GET", path, headers={}, **query)
        assert status == 200, value
        return value

    async def submit(self, body: Body) -> str:
        """The id of a submission that must be accepted."""
        status, value = await self.send("POST", "/submit", body)
        assert status == 200, value
        assert value == {
            "transactionID": value["transactionID"],
            "state": "STATE_NEW",
            "transactionHash": "",
        }
        return str(value["transactionID"])

    async def refused(self, body: object) -> str:
        """The error of one that must be a 400."""
        status, value = await self.send("POST", "/submit", body)
        assert status == 400, value
        return str(value["error"])

    async def state(self, id_: str) -> Any:
        return await self.get(f"/v1/account/transactions/{id_}")

    async def finish(self, id_: str) -> Any:
        """The transaction after a minute."""
        self.advance(60_000)
        return await self.state(id_)


def batch(
    *calls: sdk.TransactionCall,
    signer: LocalAccount = ANN,
    wallet: str = "",
    nonce: int = 0,
    deadline_s: int = LATER_S,
    session: bool = False,
) -> Body:
    """A deposit wallet's body, as the SDK sends it."""
    address = EvmAddress(wallet or wallets_of(signer.address).deposit)
    listed = list(calls)
    signature = sign_deposit_wallet_batch(
        signer, wallet=address, calls=listed, nonce=str(nonce),
        deadline=str(deadline_s), chain_id=137,
    )  # fmt: skip
    if session:
        named = EvmAddress(signer.address)
        signature = wrap_deposit_wallet_session_signer_signature(named, signature)
    return gasless.build_deposit_wallet_payload(
        signer_address=signer.address,
        deposit_wallet_factory=contracts.DEPOSIT_FACTORY,
        wallet=address,
        calls=listed,
        nonce=str(nonce),
        deadline=str(deadline_s),
        signature=signature,
        metadata=METADATA,
    )


def safe(*calls: sdk.TransactionCall, signer: LocalAccount = ANN, nonce: int = 0) -> Body:
    """A Safe's body: one call plainly, several by multisend."""
    address = EvmAddress(wallets_of(signer.address).safe)
    target, data, value, operation = gasless._resolve_safe_call(
        contracts.SAFE_MULTISEND, list(calls)
    )
    signature = sign_safe_transaction(
        signer, safe_address=address, to=target, data=data, value=value,
        operation=operation, nonce=str(nonce), chain_id=137,
    )  # fmt: skip
    return gasless.build_safe_payload(
        signer_address=signer.address, wallet=address, target=target, data=data, value=value,
        operation=operation, nonce=str(nonce), signature=signature, metadata=METADATA,
    )  # fmt: skip


def proxy(
    *calls: sdk.TransactionCall, relay: str, signer: LocalAccount = ANN, nonce: int = 0
) -> Body:
    """A proxy's body; `relay` is what /relay-payload has told."""
    data, factory = sdk.encode_proxy_call(list(calls)), EvmAddress(contracts.PROXY_FACTORY)
    hub = EvmAddress(contracts.RELAY_HUB)
    digest = build_proxy_transaction_hash(
        from_address=EvmAddress(signer.address), to=factory, data=data, relayer_fee="0",
        gas_price="0", gas_limit="300000", nonce=str(nonce), relay_hub=hub,
        relay=EvmAddress(relay),
    )  # fmt: skip
    return gasless.build_proxy_payload(
        signer_address=signer.address, proxy_factory=factory,
        wallet=EvmAddress(wallets_of(signer.address).proxy), data=data, nonce=str(nonce),
        signature=sign_proxy_message(signer, digest), gas_limit="300000",
        relay=EvmAddress(relay), relay_hub=hub, metadata=METADATA,
    )  # fmt: skip


def creation(owner: str) -> Body:
    return {
        "type": "WALLET-CREATE",
        "from": owner,
        "to": contracts.DEPOSIT_FACTORY,
        "metadata": METADATA,
    }
