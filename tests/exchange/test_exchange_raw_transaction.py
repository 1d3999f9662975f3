"""Raw transactions, signed by the official library and by nobody."""

from __future__ import annotations

import contextlib
from typing import Any, cast

import pytest
import rlp as official_rlp  # type: ignore[import-untyped]
from chain_kit import ANN, BOB
from hypothesis import given, strategies as st

from polybot.exchange import rlp
from polybot.exchange.raw_transaction import BadTransaction, decode

LEGACY: dict[str, Any] = {
    "to": BOB.address,
    "value": 5,
    "data": "0x095ea7b3",
    "gas": 90_000,
    "gasPrice": 30_000_000_000,
    "nonce": 7,
    "chainId": 137,
}
DYNAMIC = {key: value for key, value in LEGACY.items() if key != "gasPrice"} | {
    "type": 2,
    "maxFeePerGas": 40_000_000_000,
    "maxPriorityFeePerGas": 30_000_000_000,
}


def signed(fields: dict[str, Any]) -> tuple[bytes, str]:
    done = ANN.sign_transaction(cast("Any", fields))
    return bytes(done.raw_transaction), "0x" + done.hash.hex()


@pytest.mark.parametrize("fields", [LEGACY, DYNAMIC], ids=["legacy", "EIP-1559"])
def test_a_signed_transaction_is_read(fields: dict[str, Any]) -> None:
    """Sender, hash and every field are those of the official library (onchain.md 9.2)."""
    raw, tx_hash = signed(fields)

    tx = decode(raw)

    assert (tx.sender, tx.tx_hash, tx.nonce, tx.gas) == (ANN.address, tx_hash, 7, 90_000)
    assert (tx.call.target, tx.call.value, tx.call.data.hex()) == (BOB.address, 5, "095ea7b3")
    assert tx.cost == 90_000 * fields.get("gasPrice", 40_000_000_000) + 5


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"chainId": 1}, "invalid sender"),
        ({"to": b""}, "contract creation is not supported"),
        ({"accessList": [{"address": BOB.address, "storageKeys": []}]}, "access lists"),
    ],
    ids=["another chain", "a creation", "an access list"],
)
def test_what_this_node_does_not_take(change: dict[str, Any], error: str) -> None:
    """It says so, in the node's words where there are some (onchain.md 9.2)."""
    base = DYNAMIC if "accessList" in change else LEGACY
    raw, _ = signed(base | change)
    with pytest.raises(BadTransaction, match=error):
        decode(raw)


@given(st.binary(max_size=200))
def test_nonsense_is_a_bad_transaction_and_nothing_else(raw: bytes) -> None:
    """(onchain.md 9.2)."""
    for prefix in (b"", b"\x02"):
        with pytest.raises(BadTransaction):
            decode(prefix + raw)


@given(st.integers(0, 200))
def test_a_changed_byte_changes_the_sender_or_is_refused(place: int) -> None:
    """A signature is of one transaction only (onchain.md 9.2)."""
    raw, _ = signed(LEGACY)
    changed = bytearray(raw)
    changed[place % len(raw)] ^= 1
    with contextlib.suppress(BadTransaction):
        assert decode(bytes(changed)).sender != ANN.address


@given(st.lists(st.binary(max_size=80), max_size=12))
def test_rlp_is_the_official_rlp(items: list[bytes]) -> None:
    """Both ways, for flat lists (onchain.md 9.2)."""
    encoded = official_rlp.encode(items)

    assert rlp.encode(items) == encoded
    assert rlp.decode_list(encoded) == items
