"""Whose money is traded, and how it gets onto the chain (issue C, 7; onchain.md 5)."""

from __future__ import annotations

import attrs
import httpx
import pytest
from shell_kit import shell_config

from polybot.clock import Clock
from polybot.config import LiveParams
from polybot.purse import Purse
from polybot.secrets_file import LiveKeys
from polybot.venue.relayer import SEND_S, SdkWay
from polybot.venue.secret import Credentials, Secret
from polybot.venue.site import POLYMARKET

KEY = Secret("0x" + "11" * 32)
ADDRESS, FUNDER = "0x" + "aa" * 20, "0x" + "bb" * 20
CREDENTIALS = Credentials(ADDRESS, "key", Secret("secret"), Secret("phrase"))
RELAYER = Secret("relayer")


def way(purse: Purse, speed: float = 1.0) -> SdkWay | None:
    clock, http = Clock(0), httpx.AsyncClient()
    chain = purse.chain(http, POLYMARKET, clock, ADDRESS)
    return purse.way(chain, POLYMARKET, KEY, CREDENTIALS, speed=speed)


def test_a_plain_wallet_pays_for_itself() -> None:
    """No funder: the key's own address, its own gas, one call at a time, and no relayer needed."""
    made = way(Purse())
    assert made is not None
    assert (made.chain.wallet, made.own_gas, made.batches) == (ADDRESS, True, False)


@pytest.mark.parametrize("kind", [1, 2, 3], ids=["proxy", "Safe", "deposit"])
def test_the_others_need_the_relayer(kind: int) -> None:
    """With a key for it they go in batches and need no gas; without one there is no way at all."""
    made = way(Purse(FUNDER, kind, RELAYER))
    assert made is not None
    assert (made.chain.wallet, made.own_gas, made.batches) == (FUNDER, False, True)
    assert made.relayer.base == POLYMARKET.relayer
    assert way(Purse(FUNDER, kind)) is None


def test_patience_is_of_the_wall() -> None:
    """The SDK's thread keeps to the wall, our deadlines to a clock that may run fast."""
    fast = way(Purse(FUNDER, 3, RELAYER), speed=20.0)
    assert fast is not None
    assert fast.patience_s == SEND_S * 20


def test_the_configuration_names_the_wallet() -> None:
    """Funder and kind from `[live]`, the relayer's key from the secrets."""
    live = LiveParams(wallet=ADDRESS, funder=FUNDER, signature_type=2)
    keys = LiveKeys(private_key=KEY, api=None, funder=FUNDER, relayer_key=RELAYER)
    config = attrs.evolve(shell_config(), live=live, keys=keys)
    assert Purse.of_config(config) == Purse(FUNDER, 2, RELAYER)
    assert Purse.deposit(FUNDER, "relayer").signature_type == 3
