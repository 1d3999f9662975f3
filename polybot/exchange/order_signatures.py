"""Whose order it is: the maker rules and the signature of each signature type (clob.md 3.3).

Types 0 to 2 carry the key's plain signature over the order. A deposit wallet (type 3) signs by
ERC-1271: the key signs the order nested in the wallet's own typed data (ERC-7739), and the trailer
repeats what was nested, so that the wallet can check it. A session key wraps that once more.
"""

from __future__ import annotations

import attrs

from polybot.exchange import eip712
from polybot.exchange.contracts import CHAIN_ID
from polybot.exchange.eip712 import ORDER_TYPE, OrderFields, keccak
from polybot.exchange.wallets import WalletKind, wallets_of

BAD_SIGNATURE = "invalid signature"
WRONG_VERSION = "order_version_mismatch"

_NESTED_TYPE_HASH = keccak(
    b"TypedDataSign(Order contents,string name,string version,uint256 chainId,"
    b"address verifyingContract,bytes32 salt)" + ORDER_TYPE.encode()
)
_WALLET_DOMAIN = keccak(b"DepositWallet") + keccak(b"1") + CHAIN_ID.to_bytes(32, "big")
_TRAILER_END = ORDER_TYPE.encode() + len(ORDER_TYPE).to_bytes(2, "big")
_NESTED_LENGTH = 65 + 32 + 32 + len(_TRAILER_END)  # 317
_SESSION_MARK = bytes.fromhex("6492" * 16)


@attrs.frozen
class Domains:
    """The EIP-712 domain an order's market trades under, and those of the other version."""

    right: bytes
    foreign: tuple[bytes, ...]

    @classmethod
    def of(cls, market_version: str, *, neg_risk: bool) -> Domains:
        right = eip712.order_domain(market_version, neg_risk=neg_risk)
        return cls(right, tuple(eip712.foreign_domains(market_version)))


def owns(key: str, fields: OrderFields) -> bool:
    """Whether the maker is a wallet of this kind that belongs to the key."""
    return fields.maker in wallets_of(key).of(WalletKind(fields.signature_type))


def refusal(
    fields: OrderFields, signature: bytes, key: str, domains: Domains, *, session: bool
) -> str | None:
    """Why this is no signature of `key` over the order; None when it is one.

    `session`: the key is a session key of the maker, whose signatures are wrapped as such.
    """
    if _signed(fields, signature, key, domains.right, session=session):
        return None
    if any(_signed(fields, signature, key, other, session=session) for other in domains.foreign):
        return WRONG_VERSION
    return BAD_SIGNATURE


def _signed(
    fields: OrderFields, signature: bytes, key: str, domain: bytes, *, session: bool
) -> bool:
    if fields.signature_type != WalletKind.DEPOSIT:
        return eip712.recover(eip712.order_digest(fields, domain), signature) == key
    if session:
        unwrapped = _session_payload(signature, key)
        if unwrapped is None:
            return False
        signature = unwrapped
    return _nested_signer(fields, signature, domain) == key


def _nested_signer(fields: OrderFields, signature: bytes, domain: bytes) -> str | None:
    """The key behind a wallet's signature; None when the trailer is not of this order."""
    if len(signature) != _NESTED_LENGTH:
        return None
    contents = eip712.order_struct(fields)
    if signature[65:] != domain + contents + _TRAILER_END:
        return None
    wallet = bytes.fromhex(fields.signer[2:]).rjust(32, b"\0")
    nested = keccak(_NESTED_TYPE_HASH + contents + _WALLET_DOMAIN + wallet + bytes(32))
    return eip712.recover(keccak(b"\x19\x01" + domain + nested), signature[:65])


def _session_payload(signature: bytes, key: str) -> bytes | None:
    """What a session key's wrapping holds: ABI of (key, 0, bytes) and the mark."""
    if signature[-32:] != _SESSION_MARK:
        return None
    where = (96).to_bytes(32, "big") + _NESTED_LENGTH.to_bytes(32, "big")
    inner = signature[128 : 128 + _NESTED_LENGTH]
    padding = bytes(-_NESTED_LENGTH % 32)
    whole = bytes.fromhex(key[2:]).rjust(32, b"\0") + bytes(32) + where + inner + padding
    return inner if signature[:-32] == whole else None
