"""The wallets of a key, against the reference's vector and the official SDK's own derivation."""

from __future__ import annotations

import pytest
from coincurve import PrivateKey
from polymarket._internal import wallet as sdk
from polymarket._internal.environment import PRODUCTION_CONFIG

from polybot.exchange.eip712 import checksum, keccak
from polybot.exchange.wallets import WalletKind, wallets_of

EOA = "0x19E7E376E7C213B7E7e7e46cc70A5dD086DAff2A"


def address_of(number: int) -> str:
    key = PrivateKey(number.to_bytes(32, "big"))
    return checksum(keccak(key.public_key.format(compressed=False)[1:])[12:])


def test_the_reference_vector() -> None:
    """onchain.md 5: the key 0x11…11."""
    wallets = wallets_of(EOA)

    assert wallets.proxy == "0x6Cd089333445c89b55B7693c6009DCc229613738"
    assert wallets.safe == "0x75F00B003FBBBA193FABEB06284c3187a4C1232E"
    assert wallets.deposit_uups == "0x7a57144fAfde87F5cE4a880D570BAe58eeBC83f2"
    assert wallets.deposit == "0x8154deDBDAAA46c07453E47b5b6C0Ff60B8542b9"


@pytest.mark.parametrize("number", range(1, 200, 13))
def test_the_official_sdk_derives_the_same(number: int) -> None:
    """onchain.md 5, held against polymarket-client for keys that no vector was written for."""
    eoa, config = address_of(number), PRODUCTION_CONFIG.wallet_derivation
    wallets = wallets_of(eoa)

    assert wallets.proxy == sdk.derive_proxy_wallet_address(eoa, config)
    assert wallets.safe == sdk.derive_safe_wallet_address(eoa, config)
    assert wallets.deposit == sdk.derive_beacon_deposit_wallet_address(eoa, config)
    assert wallets.deposit_uups == sdk.derive_uups_deposit_wallet_address(eoa, config)


def test_a_kind_names_its_makers() -> None:
    """clob.md 3.3: deposit wallets exist in two derivations, the others in one."""
    wallets = wallets_of(EOA)

    assert wallets.of(WalletKind.EOA) == (EOA,)
    assert wallets.of(WalletKind.DEPOSIT) == (wallets.deposit, wallets.deposit_uups)
    assert set(wallets.all()) == {address for kind in WalletKind for address in wallets.of(kind)}
