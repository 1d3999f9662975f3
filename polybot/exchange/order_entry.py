"""From the JSON of a signed order to the engine's `Order`, or the venue's refusal.

Source: clob.md 3.1–3.6 and 10. Checks here, in this order: shape, owner, signer, signature under
the market's own exchange, price exact on 10⁻⁴. Ticks, sizes, balances, the rest are the engine's.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

import attrs

from polybot.exchange import eip712
from polybot.exchange.auth import ApiKey
from polybot.exchange.eip712 import OrderFields
from polybot.exchange.model import BUY, SELL, Kind, Market, Order, Refused
from polybot.exchange.money import ONE, decimal_text

BAD_PAYLOAD = "Invalid order payload"
BAD_SIGNATURE = "invalid signature"
WRONG_VERSION = "order_version_mismatch"
WRONG_OWNER = "the order owner has to be the owner of the API KEY"
WRONG_SIGNER = "the order signer address has to be the address of the API KEY"

_SALT_MAX = 2**53 - 1
_WORD_MAX = 2**256 - 1
_EOA = 0


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
    """The JSON is not an order; becomes a Refused before it leaves this module."""


def read_order(
    payload: object, key: ApiKey, by_token: Mapping[str, Market], now_ms: int
) -> Order | Refused:
    """Read and verify one entry. `by_token` is the engine's; the order's account is the wallet."""
    try:
        entry = _read_entry(payload)
    except _Malformed:
        return Refused(BAD_PAYLOAD)
    if entry.owner != key.key:
        return Refused(WRONG_OWNER)
    if entry.fields.signer != key.address:
        return Refused(WRONG_SIGNER)
    market = by_token.get(entry.token)
    if market is None:
        return Refused(f"the orderbook {entry.token} does not exist")
    digest = _verified_digest(entry, market)
    if isinstance(digest, Refused):
        return digest
    return _to_order(entry, market, "0x" + digest.hex(), now_ms)


def _verified_digest(entry: Entry, market: Market) -> bytes | Refused:
    """The order's id. Only EOA orders are accepted: the wallet that pays is the one that signs."""
    fields = entry.fields
    domain = eip712.order_domain(market.version, neg_risk=market.neg_risk)
    digest = eip712.order_digest(fields, domain)
    eoa = fields.signature_type == _EOA and fields.maker == fields.signer
    if eoa and eip712.recover(digest, entry.signature) == fields.signer:
        return digest
    for foreign in eip712.foreign_domains(market.version):
        other = eip712.order_digest(fields, foreign)
        if eoa and eip712.recover(other, entry.signature) == fields.signer:
            return Refused(WRONG_VERSION)
    return Refused(BAD_SIGNATURE)


def _to_order(entry: Entry, market: Market, order_id: str, now_ms: int) -> Order | Refused:
    fields = entry.fields
    side = SELL if fields.side else BUY
    money, shares = fields.maker_amount, fields.taker_amount
    if side == SELL:
        money, shares = shares, money
    market_type = entry.kind in (Kind.FOK, Kind.FAK)
    if market_type:
        price = implied_limit(side, money, shares, market.tick)
    elif money * ONE % shares:
        return _off_grid(order_id, money, shares, market.tick)
    else:
        price = money * ONE // shares
    return Order(
        id=order_id,
        owner=entry.owner,
        account=fields.maker,
        market=market,
        token=entry.token,
        side=side,
        price=price,
        size=shares,
        kind=entry.kind,
        post_only=entry.post_only,
        expiration_s=entry.expiration_s,
        created_ms=now_ms,
        dollars=money if market_type and side == BUY else None,
    )


def implied_limit(side: str, money: int, shares: int, tick: int) -> int:
    """The worst price a market-type order allows: its ratio, on the grid, in the signer's favour.

    $10 for 19.2307 shares is signed for a limit of 0.52 (clob.md 3.4): the clients round the share
    side, so the ratio itself is seldom on the grid.
    """
    if side == BUY:
        return money * ONE // shares // tick * tick
    return -(-money * ONE // (shares * tick)) * tick


def _off_grid(order_id: str, money: int, shares: int, tick: int) -> Refused:
    price = round(Decimal(money) / shares, 6).normalize()
    rule = decimal_text(tick, ONE)
    text = f"order {order_id} is invalid. Price ({price:f}) breaks minimum tick size rule: {rule}"
    return Refused(text, order_id)


# --- shape -------------------------------------------------------------------------------


def _read_entry(payload: object) -> Entry:
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
