"""Balances and allowances by wallet, asset type and spender (clob.md 5.1, onchain.md 4)."""

from __future__ import annotations

from typing import Any

import pytest
from clob_kit import T0, UP_TOKEN, ClobKit, make_market
from polymarket._internal.actions.account import (
    build_balance_allowance_request,
    build_update_balance_allowance_request,
    parse_balance_allowance,
)
from trio.testing import MockClock

from polybot.exchange import contracts
from polybot.exchange.clob_balances import BAD_ASSET, BAD_SIGNATURE_TYPE, COLLATERAL, UNLIMITED
from polybot.exchange.money import UNIT
from polybot.exchange.wallets import WalletKind, wallets_of

POSITION = "663574927012476832975694178961957910328055987427402067619466963999000625152"


@pytest.fixture
async def kit(autojump_clock: MockClock) -> ClobKit:
    return ClobKit()


async def read(kit: ClobKit, **query: str) -> tuple[int, dict[str, int]]:
    """(balance, allowances) as the SDK parses them."""
    status, reply = await kit.call(kit.ann, "GET", "/balance-allowance", **query)
    assert status == 200, reply
    parsed = parse_balance_allowance(reply)
    return parsed.balance, parsed.allowances


@pytest.mark.parametrize("kind", list(WalletKind))
async def test_each_signature_type_has_its_own_wallet(kit: ClobKit, kind: WalletKind) -> None:
    """signature_type 0–3 names the wallet of that kind (clob.md 5.1, 3.3)."""
    (wallet, *_) = wallets_of(kit.ann.address).of(kind)
    before = kit.engine.accounts.cash(wallet)
    kit.engine.accounts.deposit(wallet, 7 * UNIT)
    query = {"asset_type": COLLATERAL, "signature_type": str(kind.value)}
    assert await read(kit, **query) == (
        before + 7 * UNIT,
        dict.fromkeys(
            (contracts.EXCHANGE, contracts.NEG_RISK_EXCHANGE, contracts.EXCHANGE_V3), UNLIMITED
        ),
    )


async def test_the_deposit_wallet_that_is_in_use_is_meant(kit: ClobKit) -> None:
    """The older derivation where it was deployed, else the current one (onchain.md 5)."""
    wallets = wallets_of(kit.ann.address)
    query = {"asset_type": COLLATERAL, "signature_type": "3"}
    assert await read(kit, **query) == (0, (await read(kit, **query))[1])
    kit.engine.accounts.deposit(wallets.deposit, 3 * UNIT)
    assert (await read(kit, **query))[0] == 3 * UNIT
    kit.engine.accounts.deposit(wallets.deposit_uups, 5 * UNIT)
    assert (await read(kit, **query))[0] == 5 * UNIT


async def test_a_session_key_reads_its_owners_wallet(kit: ClobKit) -> None:
    """A session key has no wallet of its own; it asks for the one it signs for (clob.md 3.3)."""
    owner = wallets_of(kit.bob.address).deposit
    kit.engine.accounts.deposit(owner, 9 * UNIT)
    kit.server.sessions.authorise(owner, kit.ann.address, T0 // 1000 + 60, T0 // 1000)
    query = {"asset_type": COLLATERAL, "signature_type": "3"}
    assert (await read(kit, **query))[0] == 9 * UNIT


@pytest.mark.conforms("clob-3.2-conditional-v2")
async def test_each_protocol_has_its_own_tokens(kit: ClobKit) -> None:
    """CONDITIONAL reads the old token contract, CONDITIONAL-V2 the new one (clob.md 3.2)."""
    second = make_market(
        condition_id="0x01" + "00" * 31, tokens=(POSITION, str(int(POSITION) + 1)), version="v2"
    )
    kit.engine.list_market(second, T0)
    kit.engine.split(kit.ann.address, second, 4 * UNIT, T0)
    for asset, token, expected in [
        ("CONDITIONAL", UP_TOKEN, 1_000 * UNIT),
        ("CONDITIONAL-V2", UP_TOKEN, 0),
        ("CONDITIONAL", POSITION, 0),
        ("CONDITIONAL-V2", POSITION, 4 * UNIT),
    ]:
        balance, allowances = await read(kit, asset_type=asset, token_id=token)
        assert balance == expected
        assert allowances[contracts.EXCHANGE_V3] == UNLIMITED


@pytest.mark.conforms("clob-5.1-refusals")
@pytest.mark.parametrize(
    ("query", "error"),
    [
        ({}, BAD_ASSET),
        ({"asset_type": "ERC20"}, BAD_ASSET),
        ({"asset_type": "CONDITIONAL"}, BAD_ASSET),
        ({"asset_type": "CONDITIONAL-V2", "token_id": "5"}, BAD_ASSET),
        ({"asset_type": COLLATERAL, "signature_type": "4"}, BAD_SIGNATURE_TYPE),
        ({"asset_type": COLLATERAL, "signature_type": "-1"}, BAD_SIGNATURE_TYPE),
        ({"asset_type": COLLATERAL, "signature_type": "EOA"}, BAD_SIGNATURE_TYPE),
        ({"asset_type": COLLATERAL, "signature_type": ""}, BAD_SIGNATURE_TYPE),
        ({"asset_type": "X", "signature_type": "9"}, BAD_SIGNATURE_TYPE),
    ],
)
async def test_what_is_refused(kit: ClobKit, query: dict[str, str], error: str) -> None:
    """Both calls refuse alike (clob.md 5.1)."""
    for path in ("/balance-allowance", "/balance-allowance/update"):
        assert await kit.call(kit.ann, "GET", path, **query) == (400, {"error": error})


@pytest.mark.conforms("clob-5.1-balance-update")
async def test_the_sources_can_be_replaced(kit: ClobKit) -> None:
    """A stale cache and real approvals stand in one place each; `/update` refreshes (5.1)."""
    balances = kit.server.balances
    refreshed: list[tuple[str, str | None]] = []
    balances.figure = lambda wallet, token: 42 + len(refreshed)
    balances.refresh = lambda wallet, token: refreshed.append((wallet, token))
    balances.allowances = lambda wallet, asset: {wallet: 5 if asset == COLLATERAL else 0}
    query = {"asset_type": COLLATERAL}
    assert await read(kit, **query) == (42, {kit.ann.address: 5})
    _, reply = await kit.call(kit.ann, "GET", "/balance-allowance/update", **query)
    assert reply["balance"] == "43"
    assert refreshed == [(kit.ann.address, None)]


ASKED: list[tuple[Any, str | None]] = [(COLLATERAL, None), ("CONDITIONAL", UP_TOKEN)]


async def test_the_sdks_own_queries_are_understood(kit: ClobKit) -> None:
    """What polymarket-client builds for each asset type (clob.md 5.1)."""
    for build in (build_balance_allowance_request, build_update_balance_allowance_request):
        for asset, token in ASKED:
            path, params = build(asset_type=asset, token_id=token, signature_type=0)
            query = {name: str(value) for name, value in params.items()}
            status, reply = await kit.call(kit.ann, "GET", path, **query)
            assert status == 200
            assert parse_balance_allowance(reply).balance in {10_000 * UNIT, 1_000 * UNIT}
