"""Signed transactions of an EOA: legacy ones (EIP-155), as the SDK sends, and EIP-1559 ones."""

from __future__ import annotations

import attrs

from polybot.exchange import rlp
from polybot.exchange.chain_contract import Call
from polybot.exchange.contracts import CHAIN_ID
from polybot.exchange.eip712 import checksum, keccak, recover

NO_TARGET = "contract creation is not supported"


class BadTransaction(Exception):
    """What the node says of a transaction that it does not even look into."""


@attrs.frozen
class RawTransaction:
    """A transaction whose signature was checked. `gas_price` in wei, for EIP-1559 the most."""

    tx_hash: str
    sender: str
    nonce: int
    gas_price: int
    gas: int
    call: Call
    kind: int = 0  # 2 for EIP-1559

    @property
    def cost(self) -> int:
        """What must be there to send it, in wei."""
        return self.gas * self.gas_price + self.call.value


def decode(raw: bytes) -> RawTransaction:
    """Raises BadTransaction with the node's text."""
    try:
        if raw[:1] == b"\x02":
            return _dynamic_fee(raw)
        return _legacy(raw)
    except rlp.BadRlp as error:
        raise BadTransaction(f"rlp: {error}") from None


def _legacy(raw: bytes) -> RawTransaction:
    fields = _fields(raw, 9)
    v = _int(fields[6])
    if v not in (2 * CHAIN_ID + 35, 2 * CHAIN_ID + 36):
        raise BadTransaction("invalid sender")
    unsigned = [*fields[:6], rlp.encode_int(CHAIN_ID), b"", b""]
    digest = keccak(rlp.encode(unsigned))
    sender = _signer(digest, fields[7], fields[8], v - 2 * CHAIN_ID - 35)
    nonce, price, gas, target, value, data = fields[:6]
    return RawTransaction(
        "0x" + keccak(raw).hex(), sender, _int(nonce), _int(price), _int(gas),
        _call(target, value, data),
    )  # fmt: skip


def _dynamic_fee(raw: bytes) -> RawTransaction:
    fields = _fields(raw[1:], 12)
    chain, nonce, _tip, price, gas, target, value, data, access, parity, r, s = fields
    if _int(chain) != CHAIN_ID:
        raise BadTransaction("invalid sender")
    if access:
        raise BadTransaction("access lists are not supported")
    # An empty access list is an empty list, not an empty string.
    body = b"".join(map(rlp.encode, fields[:8])) + b"\xc0"
    digest = keccak(b"\x02" + rlp.wrap(body))
    sender = _signer(digest, r, s, _int(parity))
    return RawTransaction(
        "0x" + keccak(raw).hex(), sender, _int(nonce), _int(price), _int(gas),
        _call(target, value, data), kind=2,
    )  # fmt: skip


def _fields(data: bytes, count: int) -> list[bytes]:
    fields = rlp.decode_list(data)
    if len(fields) != count:
        raise BadTransaction("rlp: wrong number of fields")
    return fields


def _int(field: bytes) -> int:
    if len(field) > 32 or field[:1] == b"\0":
        raise BadTransaction("rlp: a number is not canonical")
    return int.from_bytes(field, "big")


def _call(target: bytes, value: bytes, data: bytes) -> Call:
    if len(target) != 20:
        raise BadTransaction(NO_TARGET)
    return Call(checksum(target), data, _int(value))


def _signer(digest: bytes, r: bytes, s: bytes, parity: int) -> str:
    if max(len(r), len(s)) > 32 or parity not in (0, 1):
        raise BadTransaction("invalid sender")
    signature = r.rjust(32, b"\0") + s.rjust(32, b"\0") + bytes([27 + parity])
    sender = recover(digest, signature)
    if sender is None:
        raise BadTransaction("invalid sender")
    return sender
