"""The faucet on the admin service: money, approvals, gas and keys for whoever tries us."""

from __future__ import annotations

import json
from typing import Any

import pytest
from chain_kit import BOB, DOLLAR
from relayer_kit import RelayerKit

from polybot.exchange import contracts
from polybot.exchange.faucet import GAS, Faucet
from polybot.exchange.request import Request
from polybot.exchange.wallets import wallets_of

STRANGER = "0x" + "Ab" * 20
FIVE = {"eoa", "proxy", "safe", "deposit", "deposit_uups"}


class Tap(RelayerKit):
    def __init__(self) -> None:
        super().__init__()
        self.faucet = Faucet(self.chain, self.keys)

    def call(self, method: str, path: str, body: object = None, **query: str) -> tuple[int, Any]:
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        response = self.faucet.routes[method, path](Request(method, path, query, {}, raw))
        return response.status, json.loads(response.body)

    def ask(self, path: str, **body: str) -> Any:
        status, value = self.call("POST", path, {"address": STRANGER} | body)
        assert status == 200, value
        return value


def test_a_funded_wallet_starts_without_approvals() -> None:
    """Like money that has arrived on chain (onchain.md 4)."""
    tap = Tap()

    row = tap.ask("/fund", amount="12.34")

    assert (row["cash"], row["settled_cash"], row["approvals"]) == (12_340_000, 12_340_000, 0)
    assert tap.ask("/fund", amount="1")["cash"] == 13_340_000
    assert tap.ask("/approve")["approvals"] == 17
    assert row["address"].lower() == STRANGER.lower()


def test_gas_and_unwrapped_dollars() -> None:
    """POL for raw transactions, USDC.e for the onramp (onchain.md 3, 9.2)."""
    tap = Tap()

    assert tap.ask("/gas")["pol"] == str(GAS)
    assert tap.ask("/gas")["pol"] == str(2 * GAS)
    row = tap.ask("/fund", amount="5", asset="USDC.e")
    assert (row["usdc_e"], row["cash"]) == (5 * DOLLAR, 0)


def test_a_key_has_five_addresses() -> None:
    """With balances and what is deployed (onchain.md 5)."""
    tap = Tap()
    before = tap.call("GET", "/wallets", address=tap.bob.lower())[1]
    assert before.keys() == FIVE
    assert not any(row["deployed"] for row in before.values())

    status, after = tap.call("POST", "/deploy", {"address": tap.bob})

    assert status == 200
    assert [name for name, row in after.items() if row["deployed"]] == ["proxy", "safe", "deposit"]
    assert after["safe"]["address"] == wallets_of(str(BOB.address)).safe
    assert tap.bob in tap.engine.accounts.wallets
    assert wallets_of(tap.bob).safe not in tap.engine.accounts.wallets, "a look makes no wallet"


async def test_a_relayer_key_opens_the_relayer() -> None:
    """(onchain.md 7.1)."""
    tap = Tap()
    given = tap.ask("/relayer-key")
    headers = {"relayer_api_key": given["key"], "relayer_api_key_address": given["address"]}

    status, rows = await tap.send("GET", "/transactions", headers=headers)

    assert (status, rows) == (200, [])


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        [],
        {},
        {"address": 5, "amount": "1"},
        {"address": STRANGER},
        {"address": STRANGER, "amount": 5},
        {"address": STRANGER, "amount": "0"},
        {"address": STRANGER, "amount": "-3"},
        {"address": STRANGER, "amount": "0.0000001"},
        {"address": STRANGER, "amount": "1e30"},
        {"address": STRANGER, "amount": "1", "asset": "DOGE"},
        {"address": STRANGER, "amount": "1", "asset": [[]]},
    ],
)
def test_bad_requests_for_money_are_refused(body: object) -> None:
    """400, and no money appears."""
    tap = Tap()
    before = tap.engine.accounts.deposited

    assert tap.call("POST", "/fund", body)[0] == 400
    assert tap.engine.accounts.deposited == before


@pytest.mark.parametrize("path", ["/approve", "/gas", "/deploy", "/relayer-key"])
def test_every_call_wants_an_address(path: str) -> None:
    """400 for anything else."""
    for body in (b"no", {}, {"address": "0x12"}, {"address": contracts.CTF[:-1]}):
        assert Tap().call("POST", path, body)[0] == 400
    assert Tap().call("GET", "/wallets", address="ann")[0] == 400
