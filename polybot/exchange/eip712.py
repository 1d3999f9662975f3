"""EIP-712 as the venue checks it: order and ClobAuth digests, and who signed them.

Source: clob.md 2.1, 2.3, 3.1. The exchange's own reading: nothing is shared with the bot.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable

import attrs
from coincurve import PublicKey
from Crypto.Hash import keccak as _keccak

from polybot.exchange.contracts import CHAIN_ID, EXCHANGE, EXCHANGE_V3, NEG_RISK_EXCHANGE

ORDER_TYPE = (
    "Order(uint256 salt,address maker,address signer,uint256 tokenId,uint256 makerAmount,"
    "uint256 takerAmount,uint8 side,uint8 signatureType,uint256 timestamp,bytes32 metadata,"
    "bytes32 builder)"
)
_AUTH_TYPE = "ClobAuth(address address,string timestamp,uint256 nonce,string message)"
_AUTH_TEXT = "This message attests that I control the given wallet"
_AUTH_DOMAIN_TYPE = "EIP712Domain(string name,string version,uint256 chainId)"
_DOMAIN_TYPE = "EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"


def keccak(data: bytes) -> bytes:
    return _keccak.new(digest_bits=256, data=data).digest()


def _keccak_text(text: str) -> bytes:
    return keccak(text.encode())


def _word(value: int) -> bytes:
    return value.to_bytes(32, "big")


def _address_word(address: str) -> bytes:
    return bytes(12) + bytes.fromhex(address[2:])


def checksum(address: bytes) -> str:
    """The 20 bytes of an address in EIP-55 mixed case."""
    digits = address.hex()
    marks = keccak(digits.encode()).hex()
    cased = (d.upper() if m >= "8" else d for d, m in zip(digits, marks, strict=False))
    return "0x" + "".join(cased)


def parse_address(text: str) -> str | None:
    """An address in any case as its checksum form; None when it is no address."""
    raw = parse_hex(text)
    return checksum(raw) if raw is not None and len(raw) == 20 else None


def parse_hex(text: str) -> bytes | None:
    """`0x…` with an even number of hex digits; None for anything else."""
    if not text.startswith("0x") or not text[2:].isalnum():
        return None
    try:
        return bytes.fromhex(text[2:])
    except ValueError:
        return None


@functools.cache
def domain_separator(version: str, contract: str) -> bytes:
    """Of one of the exchanges: all three have the same name (clob.md 3.1)."""
    return keccak(
        _keccak_text(_DOMAIN_TYPE)
        + _keccak_text("Polymarket CTF Exchange")
        + _keccak_text(version)
        + _word(CHAIN_ID)
        + _address_word(contract)
    )


def order_domain(market_version: str, *, neg_risk: bool) -> bytes:
    """The domain an order for this kind of market must be signed under (clob.md 3.2)."""
    if market_version == "v2":
        return domain_separator("3", EXCHANGE_V3)
    return domain_separator("2", NEG_RISK_EXCHANGE if neg_risk else EXCHANGE)


def foreign_domains(market_version: str) -> Iterable[bytes]:
    """The domains of the other exchange version: an order signed there has the wrong version."""
    if market_version == "v2":
        yield domain_separator("2", EXCHANGE)
        yield domain_separator("2", NEG_RISK_EXCHANGE)
    else:
        yield domain_separator("3", EXCHANGE_V3)


@attrs.frozen
class OrderFields:
    """The eleven signed fields, in the struct's order. Amounts 10⁻⁶, timestamp Unix ms."""

    salt: int
    maker: str
    signer: str
    token_id: int
    maker_amount: int
    taker_amount: int
    side: int  # 0 BUY, 1 SELL
    signature_type: int
    timestamp: int
    metadata: bytes
    builder: bytes


_ORDER_TYPE_HASH = _keccak_text(ORDER_TYPE)


def order_struct(fields: OrderFields) -> bytes:
    """The struct's hash: what a deposit wallet's signature calls its contents."""
    return keccak(
        _ORDER_TYPE_HASH
        + _word(fields.salt)
        + _address_word(fields.maker)
        + _address_word(fields.signer)
        + _word(fields.token_id)
        + _word(fields.maker_amount)
        + _word(fields.taker_amount)
        + _word(fields.side)
        + _word(fields.signature_type)
        + _word(fields.timestamp)
        + fields.metadata
        + fields.builder
    )


def order_digest(fields: OrderFields, domain: bytes) -> bytes:
    """The order's id, and what types 0 to 2 sign (clob.md 3.1)."""
    return keccak(b"\x19\x01" + domain + order_struct(fields))


@functools.cache
def _auth_domain() -> bytes:
    return keccak(
        _keccak_text(_AUTH_DOMAIN_TYPE)
        + _keccak_text("ClobAuthDomain")
        + _keccak_text("1")
        + _word(CHAIN_ID)
    )


def auth_digest(address: str, timestamp: str, nonce: int) -> bytes:
    """The L1 digest; `timestamp` is the header's text, Unix seconds (clob.md 2.1)."""
    struct = keccak(
        _keccak_text(_AUTH_TYPE)
        + _address_word(address)
        + _keccak_text(timestamp)
        + _word(nonce)
        + _keccak_text(_AUTH_TEXT)
    )
    return keccak(b"\x19\x01" + _auth_domain() + struct)


def recover(digest: bytes, signature: bytes) -> str | None:
    """The checksum address that made a 65-byte r‖s‖v signature; None for no valid one."""
    if len(signature) != 65 or signature[64] not in (27, 28):
        return None
    compact = signature[:64] + bytes((signature[64] - 27,))
    try:
        public = PublicKey.from_signature_and_message(compact, digest, hasher=None)
    except ValueError:
        return None
    return checksum(keccak(public.format(compressed=False)[1:])[12:])
