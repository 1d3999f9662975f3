"""The smart wallets of a key, against the official SDK's own derivations (onchain.md 5)."""

from __future__ import annotations

import pytest
from hypothesis import given, settings, strategies as st
from polymarket._internal import wallet as sdk
from polymarket._internal.environment import PRODUCTION_CONFIG

from polybot.venue.derived import DEPOSIT, EOA, PROXY, SAFE, wallets
from polybot.venue.signing import checksum_address

OWNER = "0x19E7E376E7C213B7E7e7e46cc70A5dD086DAff2A"  # of the key 0x11 repeated 32 times


def test_the_vectors() -> None:
    """The reference's addresses of one key, from the SDK's functions (onchain.md 5)."""
    assert wallets(OWNER.lower(), EOA) == (OWNER,)
    assert wallets(OWNER, PROXY) == ("0x6Cd089333445c89b55B7693c6009DCc229613738",)
    assert wallets(OWNER, SAFE) == ("0x75F00B003FBBBA193FABEB06284c3187a4C1232E",)
    assert wallets(OWNER, DEPOSIT) == (
        "0x8154deDBDAAA46c07453E47b5b6C0Ff60B8542b9",
        "0x7a57144fAfde87F5cE4a880D570BAe58eeBC83f2",
    )


@settings(max_examples=50, deadline=None)
@given(st.binary(min_size=20, max_size=20))
def test_as_the_sdk_derives_them(raw: bytes) -> None:
    """For any owner the four derivations are the SDK's, to the last letter (onchain.md 5)."""
    owner = checksum_address(raw)
    config = PRODUCTION_CONFIG.wallet_derivation

    assert wallets(owner, PROXY) == (sdk.derive_proxy_wallet_address(owner, config),)
    assert wallets(owner, SAFE) == (sdk.derive_safe_wallet_address(owner, config),)
    assert wallets(owner, DEPOSIT) == (
        sdk.derive_beacon_deposit_wallet_address(owner, config),
        sdk.derive_uups_deposit_wallet_address(owner, config),
    )


def test_what_has_no_wallet() -> None:
    """An unknown signature type and a text that is no address are refused."""
    with pytest.raises(ValueError, match="signature type"):
        wallets(OWNER, 4)
    with pytest.raises(ValueError, match="0x12"):
        wallets("0x12", SAFE)
