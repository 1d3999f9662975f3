"""Our orders and trades as the venue writes them, on REST and on the user stream alike (clob.md
5.1, feeds.md 4).

The two wires differ in prefixes and in which numbers may be empty; the traps are the same, so they
are dealt with once. Everything here raises ValueError for a row it cannot read.
"""

from __future__ import annotations

import attrs

from polybot.domain import units
from polybot.domain.market import Side
from polybot.domain.orders import FillLeg, OrderRow, OrderSeen, TradeSeen, TradeStatus
from polybot.venue import fields
from polybot.venue.fields import Json
from polybot.venue.secret import Credentials

_NEVER_REST = frozenset({"FOK", "FAK", "IOC"})
_DEAD = ("CANCEL", "INVALID", "EXPIRED", "REJECTED", "KILLED")
_TRADE_STATUS = {status.name: status for status in TradeStatus} | {
    "MATCHED_NOT_BROADCASTED": TradeStatus.MATCHED
}


@attrs.frozen
class Me:
    """Who we are in a list of orders: an API key, or the wallet that holds the funds."""

    api_key: str
    wallet: str

    @classmethod
    def of(cls, credentials: Credentials, funder: str | None = None) -> Me:
        return cls(credentials.api_key, (funder or credentials.address).lower())

    def owns(self, row: Json) -> bool:
        """Whether an order, or a maker's part of a trade, is ours (feeds.md 4.4)."""
        owner = row.get("owner") or row.get("order_owner")
        return (
            owner == self.api_key
            or fields.optional_text(row, "maker_address").lower() == self.wallet
        )

    def elsewhere(self, row: Json) -> bool:
        """Whether a row names another wallet as the one whose funds move: a key may sign for
        several, and hears of them all.
        """
        return fields.optional_text(row, "maker_address").lower() not in ("", self.wallet)


def order_kind(status: str, matched: int, size: int, order_type: str) -> OrderSeen.Kind:
    """What a status means for the order's future.

    MATCHED with a remainder is a partial fill: a resting order lives on, one that never rests is
    done. So it is where the size is not told, for then nobody knows the remainder. A hundredth of a
    share is dust that the venue never fills (feeds.md 4.5). A status we do not know is taken for
    alive, the assumption that cannot leave an orphan.
    """
    word = status.upper().removeprefix("ORDER_STATUS_")
    if word.startswith(_DEAD):
        return OrderSeen.Kind.DEAD
    if word == "MATCHED":
        if 0 < size <= matched + units.LOT:
            return OrderSeen.Kind.MATCHED
        return OrderSeen.Kind.DEAD if order_type in _NEVER_REST else OrderSeen.Kind.LIVE
    return OrderSeen.Kind.DELAYED if word == "DELAYED" else OrderSeen.Kind.LIVE


def decode_order_row(value: object) -> OrderRow:
    """One row of /data/orders or the answer of /data/order/{id}."""
    row = fields.as_object(value)
    size, side = fields.amount(row, "original_size"), fields.side(row)
    matched = fields.amount_or_zero(row, "size_matched")
    status, order_type = fields.text(row, "status"), fields.optional_text(row, "order_type")
    if order_type in _NEVER_REST:
        # Filled by dollars, and may get more shares; its price is one by the other (clob.md 3.4).
        price = _against_us(fields.number_text(row.get("price")), side)
    else:
        price, matched = fields.price(row, "price"), min(matched, size)
    return OrderRow(
        order_id=fields.text(row, "id"),
        condition_id=fields.padded(fields.text(row, "market")),
        token=fields.text(row, "asset_id"),
        side=side,
        price=price,
        size=size,
        matched=matched,
        kind=order_kind(status, matched, size, order_type),
        text=status,
        trade_ids=fields.texts(row.get("associate_trades")),
    )


def decode_trade(value: object, me: Me, source: str) -> TradeSeen:
    """One trade with the legs that are ours, perhaps none; `source` names the wire."""
    row = fields.as_object(value)
    word = fields.text(row, "status").upper().removeprefix("TRADE_STATUS_")
    status = _TRADE_STATUS.get(word)
    if status is None:
        raise ValueError(f"unknown trade status {word[:40]!r}")
    makers = [fields.as_object(maker) for maker in fields.as_list(row.get("maker_orders") or [])]
    ours = [maker for maker in makers if me.owns(maker)]
    legs = [_maker_leg(row, maker) for maker in ours]
    elsewhere = [fields.text(maker, "order_id") for maker in ours if me.elsewhere(maker)]
    if row.get("trader_side") == "TAKER":
        legs += _taker_legs(row, makers)
        elsewhere += [fields.text(row, "taker_order_id")] * me.elsewhere(row)
    return TradeSeen(
        trade_id=fields.text(row, "id"),
        condition_id=fields.padded(fields.text(row, "market")),
        status=status,
        legs=tuple(legs),
        at_ms=fields.first_stamp_ms(row, "timestamp", "last_update", "match_time", "matchtime"),
        source=source,
        elsewhere=tuple(elsewhere),
        matched_s=_matched_s(row),
    )


def _matched_s(row: Json) -> int:
    """0 also where it cannot be read: a fill is not to be missed for it."""
    try:
        return fields.first_stamp_ms(row, "match_time", "matchtime") // 1000
    except ValueError:
        return 0


def _maker_leg(trade: Json, maker: Json) -> FillLeg:
    """A maker's own token, side and price: mostly not those of the trade (feeds.md 4.4)."""
    return FillLeg(
        order_id=fields.text(maker, "order_id"),
        token=fields.text(maker, "asset_id"),
        side=fields.side(maker) if maker.get("side") else _implied_side(trade, maker),
        price=fields.price(maker, "price"),
        shares=fields.amount(maker, "matched_amount"),
        maker=True,
    )


def _implied_side(trade: Json, maker: Json) -> Side:
    """Same token: we are the taker's counterpart. Other token:
    both buy a mint, or both sell a merge.
    """
    taker = fields.side(trade)
    if trade.get("asset_id") != maker.get("asset_id"):
        return taker
    return Side.SELL if taker is Side.BUY else Side.BUY


def _taker_legs(trade: Json, makers: list[Json]) -> list[FillLeg]:
    """Our part as the taker: one leg per price the makers gave, if they add up to the trade's size.

    The trade's own price is an average where several levels were hit; the makers' prices are exact,
    and so are their amounts, each rounded down. Who mints or merges with them moves the rest of a
    dollar a pair.
    """
    token = fields.text(trade, "asset_id")
    total = fields.amount(trade, "size")
    side = fields.side(trade)
    by_price: dict[int, tuple[int, int]] = {}  # our price → shares, dollars
    for maker in makers:
        price, shares = fields.price(maker, "price"), fields.amount(maker, "matched_amount")
        dollars = units.notional(price, shares)
        if maker.get("asset_id") != token:
            price, dollars = units.ONE - price, shares - dollars
        before = by_price.get(price, (0, 0))
        by_price[price] = (before[0] + shares, before[1] + dollars)
    if sum(shares for shares, _ in by_price.values()) != total:
        price = _against_us(fields.text(trade, "price"), side)
        by_price = {price: (total, units.notional(price, total))}
    order_id = fields.text(trade, "taker_order_id")
    return [
        FillLeg(
            order_id, token, side, price, shares, maker=False,
            dust=dollars - units.notional(price, shares),
        )
        for price, (shares, dollars) in by_price.items()
    ]  # fmt: skip


def _against_us(text: str, side: Side) -> int:
    """A price to four decimals: one that has more is rounded to our disadvantage, not refused."""
    whole, _, fraction = text.partition(".")
    price = units.parse_price(f"{whole}.{fraction[:4]}")
    rest = fraction[4:]
    if rest and not (rest.isascii() and rest.isdigit()):
        raise ValueError(f"expected a price, was {text[:40]!r}")
    return min(price + 1, units.ONE) if rest.strip("0") and side is Side.BUY else price
