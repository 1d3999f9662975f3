"""The JSON of one POST /order object, read strictly: types and ranges as in clob.md 3.5."""

from __future__ import annotations

import attrs

from polybot.exchange import eip712
from polybot.exchange.eip712 import OrderFields
from polybot.exchange.model import BUY, SELL, Kind

_SALT_MAX = 2**53 - 1
_WORD_MAX = 2**256 - 1


@attrs.frozen
class Entry:
    """One POST /order object, well-formed but not yet believed."""

    fields: OrderFields
    token: str
    signature: bytes
    expiration_s: int
    owner: str
    kind: Kind
    post_only: bool


class _Malformed(Exception):
    """The JSON is not an order; never leaves this module."""


def is_v1(payload: object) -> bool:
    """Whether this is an order of the struct that CLOB V1 had (clob.md 9)."""
    order = payload.get("order") if isinstance(payload, dict) else None
    return isinstance(order, dict) and "nonce" in order and "timestamp" not in order


def read_entry(payload: object) -> Entry | None:
    """One entry; None when it is not an order at all."""
    try:
        return _entry(payload)
    except _Malformed:
        return None


def _entry(payload: object) -> Entry:
    outer = _mapping(payload)
    order = _mapping(outer.get("order"))
    side = order.get("side")
    if side not in (BUY, SELL):
        raise _Malformed
    fields = OrderFields(
        salt=_number(order.get("salt"), _SALT_MAX),
        maker=_address(order.get("maker")),
        signer=_address(order.get("signer")),
        token_id=_digits(order.get("tokenId")),
        maker_amount=_digits(order.get("makerAmount")),
        taker_amount=_digits(order.get("takerAmount")),
        side=int(side == SELL),
        signature_type=_number(order.get("signatureType"), 3),
        timestamp=_digits(order.get("timestamp")),
        metadata=_bytes(order.get("metadata"), 32),
        builder=_bytes(order.get("builder"), 32),
    )
    _flag(outer.get("deferExec", False))  # what it does is not known (clob.md 3.5): nothing here
    if not fields.maker_amount or not fields.taker_amount:
        raise _Malformed
    return Entry(
        fields=fields,
        token=str(fields.token_id),
        signature=_bytes(order.get("signature")),
        expiration_s=_digits(order.get("expiration")),
        owner=_text(outer.get("owner")),
        kind=_kind(outer.get("orderType", "GTC")),
        post_only=_flag(outer.get("postOnly", False)),
    )


def _mapping(value: object) -> dict[str, object]:
    if not isinstance(value, dict):
        raise _Malformed
    return value


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise _Malformed
    return value


def _flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise _Malformed
    return value


def _number(value: object, most: int) -> int:
    if type(value) is not int or not 0 <= value <= most:
        raise _Malformed
    return value


def _digits(value: object) -> int:
    text = _text(value)
    if not (text.isascii() and text.isdigit() and len(text) <= 78):
        raise _Malformed
    return _number(int(text), _WORD_MAX)


def _bytes(value: object, length: int | None = None) -> bytes:
    raw = eip712.parse_hex(_text(value))
    if raw is None or (length is not None and len(raw) != length):
        raise _Malformed
    return raw


def _address(value: object) -> str:
    address = eip712.parse_address(_text(value))
    if address is None:
        raise _Malformed
    return address


def _kind(value: object) -> Kind:
    try:
        return Kind(value)
    except ValueError:
        raise _Malformed from None
