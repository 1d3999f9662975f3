"""The chain side of an exchange, assembled: contracts, node, relayer, keys and faucet."""

from __future__ import annotations

import random

import attrs

from polybot.clock import Clock
from polybot.exchange.chain import Chain
from polybot.exchange.clob import ClobServer
from polybot.exchange.engine import Engine
from polybot.exchange.faucet import Faucet
from polybot.exchange.mempool import Mempool
from polybot.exchange.net import Service
from polybot.exchange.relayer import Relayer
from polybot.exchange.relayer_keys import RelayerKeys
from polybot.exchange.rpc import RpcService
from polybot.exchange.terms import Terms
from polybot.exchange.wallets import wallets_of
from polybot.exchange.websocket import OnError


@attrs.frozen
class DemoWallets:
    """The demo key's other wallets, funded, approved and deployed, and its key for the relayer."""

    relayer_api_key: str
    proxy: str
    safe: str
    deposit: str


class ChainServices:
    """One chain with its services, on the engine and beside the CLOB of one exchange.

    `chain` must be advanced with the world. The CLOB reads allowances from here, and answers the
    calls about builder keys and session keys.
    """

    def __init__(
        self,
        engine: Engine,
        clob: ClobServer,
        clock: Clock,
        rng: random.Random,
        terms: Terms,
        on_error: OnError,
    ) -> None:
        self.chain = Chain(engine, clob.sessions, terms)
        self.keys = RelayerKeys(clock, rng, tolerance_s=terms.timestamp_tolerance_s)
        self.relayer = Relayer(self.chain, self.keys, clock, rng)
        self.faucet = Faucet(self.chain, self.keys)
        rpc = RpcService(self.chain, Mempool(self.chain), clock)
        self.service_relayer = Service(self.relayer.handle, None, on_error)
        self.service_rpc = Service(rpc.handle, None, on_error)
        clob.balances.allowances = engine.accounts.approvals.allowances
        clob.add_routes(
            {("DELETE", "/auth/builder-api-key"): lambda asked: self.keys.revoke(asked, clob.keys)},
            {
                ("POST", "/auth/builder-api-key"): self.keys.create,
                ("GET", "/auth/builder-api-key"): self.keys.list_builder_keys,
                ("GET", "/v1/user/session-signers"): self.relayer.session_keys,
            },
        )

    def set_up_demo(self, owner: str, funds: int) -> DemoWallets:
        """Fund and deploy the wallets of the demo key; its EOA gets gas."""
        wallets = wallets_of(owner)
        others = (wallets.proxy, wallets.safe, wallets.deposit)
        for address in others:
            self.faucet.fund(address, funds, approved=True)
        self.faucet.deploy(owner)
        self.faucet.give_gas(owner)
        return DemoWallets(self.keys.issue(owner), *others)
