"""The CLOB user channel: frames to private events (feeds.md 4). Total; what it cannot read it
counts.

There is no snapshot and no sequence number on this channel. A bad record may have been a fill, so
its owner reconciles over REST whenever `bad` is not empty, as after every reconnect.
"""

from __future__ import annotations

import attrs
import orjson

from polybot.domain.orders import OrderSeen, PrivateEvent
from polybot.venue import fields
from polybot.venue.fields import Json
from polybot.venue.private_rows import Me, decode_trade, order_kind
from polybot.venue.secret import Credentials

_ORDER_ACTS = ("PLACEMENT", "UPDATE", "CANCELLATION")


@attrs.frozen
class UserBatch:
    """One frame's events in order. `bad`: unreadable records; `ignored`: not ours, or noise."""

    events: tuple[PrivateEvent, ...] = ()
    bad: tuple[str, ...] = ()
    ignored: int = 0


def user_greeting(credentials: Credentials) -> str:
    """The first frame: every market of the key, for a filter that lags a rollover loses fills."""
    return orjson.dumps(
        {
            "type": "user",
            "auth": {
                "apiKey": credentials.api_key,
                "secret": credentials.secret.reveal(),
                "passphrase": credentials.passphrase.reveal(),
            },
            "markets": [],
        }
    ).decode()


def decode_user(frame: str, me: Me) -> UserBatch:
    """Everything in one frame that concerns `me`. Never raises."""
    try:
        value = orjson.loads(frame)
    except orjson.JSONDecodeError:
        if frame[:1] in ("{", "["):
            return UserBatch(bad=(f"not JSON: {frame[:40]!r}",))
        return UserBatch(ignored=1)  # PONG
    events: list[PrivateEvent] = []
    bad: list[str] = []
    ignored = 0
    for row in value if isinstance(value, list) else [value]:
        try:
            event = _event(fields.as_object(row), me)
        except ValueError as error:
            bad.append(str(error))
            continue
        if event is None:
            ignored += 1
        else:
            events.append(event)
    return UserBatch(tuple(events), tuple(bad), ignored)


def _event(row: Json, me: Me) -> PrivateEvent | None:
    # Some of the venue's own cancellations came without `event_type`: then `type` tells.
    kind = row.get("event_type") or row.get("type")
    if kind in ("order", *_ORDER_ACTS):
        return _order(row) if me.owns(row) else None
    if kind in ("trade", "TRADE"):
        trade = decode_trade(row, me, "user stream")
        return trade if trade.legs else None
    return None


def _order(row: Json) -> OrderSeen:
    """The type decides, not the status: a cancellation's status may be free text (feeds.md 4.2)."""
    matched = fields.amount_or_zero(row, "size_matched")
    size = fields.amount_or_zero(row, "original_size")
    status = fields.optional_text(row, "status")
    act = fields.text(row, "type")
    if act == "CANCELLATION":
        kind = OrderSeen.Kind.DEAD
    elif act in ("PLACEMENT", "UPDATE"):
        kind = order_kind(status, matched, size, fields.optional_text(row, "order_type"))
    else:
        raise ValueError(f"unknown order event {act[:40]!r}")
    at_ms = fields.first_stamp_ms(row, "timestamp", "created_at")
    return OrderSeen(fields.text(row, "id"), kind, matched, f"{act} {status}".strip(), at_ms)
