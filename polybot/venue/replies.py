"""What the venue's answers to placements and cancels mean (clob.md 3.6, 3.7, 4.1, 7.3). Pure.

The rule throughout: Rejected is said only where the order surely does not exist, Acked only where
it surely does, and everything between is Unknown, which its owner resolves by the order's id.
"""

from __future__ import annotations

from collections.abc import Sequence

from polybot.domain.orders import (
    Acked,
    CancelResult,
    Failure,
    PostResult,
    Reject,
    Rejected,
    Unknown,
)
from polybot.venue import fields
from polybot.venue.fields import Json
from polybot.venue.rest import TEXT_MOST, Reply

# First match wins; texts in lower case. The venue adds ids and numbers around them.
_TEXTS: tuple[tuple[str, Reject], ...] = (
    ("post-only mode", Reject.POST_ONLY_MODE),
    ("crosses book", Reject.POST_ONLY_CROSSES),
    ("crosses the book", Reject.POST_ONLY_CROSSES),
    ("not enough balance", Reject.NOT_ENOUGH_BALANCE),
    ("balance is not enough", Reject.NOT_ENOUGH_BALANCE),
    ("allowance is not enough", Reject.NOT_ENOUGH_BALANCE),
    ("minimum tick size", Reject.TICK),
    ("lower than the minimum", Reject.SIZE),
    ("for a marketable buy", Reject.MARKETABLE_MINIMUM),
    ("invalid expiration", Reject.EXPIRATION),
    ("duplicated", Reject.DUPLICATE),
    ("fully filled or killed", Reject.NO_MATCH),
    ("no orders found to match", Reject.NO_MATCH),
    ("does not exist", Reject.MARKET_CLOSED),
    ("not yet ready to process", Reject.MARKET_CLOSED),
    ("invalid signature", Reject.SIGNATURE),
    ("order_version_mismatch", Reject.SIGNATURE),
    ("order owner has to be", Reject.NOT_AUTHORISED),
    ("order signer address has to be", Reject.NOT_AUTHORISED),
    ("address banned", Reject.NOT_AUTHORISED),
    ("closed only mode", Reject.NOT_AUTHORISED),
    ("maker address not allowed", Reject.NOT_AUTHORISED),
    ("unauthorized", Reject.NOT_AUTHORISED),
    ("invalid api key", Reject.NOT_AUTHORISED),
    ("rate limit exceeded", Reject.RATE_LIMITED),
    ("restricted in your region", Reject.GEOBLOCKED),
    ("cancel-only", Reject.CANCEL_ONLY),
    ("trading is disabled", Reject.CANCEL_ONLY),
    ("trading is currently disabled", Reject.CANCEL_ONLY),
)
_BY_STATUS = {
    401: Reject.NOT_AUTHORISED,
    403: Reject.NOT_AUTHORISED,
    425: Reject.RESTARTING,
    429: Reject.RATE_LIMITED,
}
_AMBIGUOUS_4XX = frozenset({408, 499})  # a gateway gave up waiting; the engine may not have
# The same in words, of the whole request or of one order in a batch: whoever answers gave up, and
# the status is made up from the text (clob.md 7.3), or the order is still under way (3.6).
_GAVE_UP = (
    "context canceled", "context deadline exceeded", "could not insert order",
    "internal server error", "order match delayed",
)  # fmt: skip
_ENGINE_AWAY = frozenset({425})  # it restarts, and comes back within minutes (clob.md 7.3)
_ACCEPTED = frozenset({"live", "matched", "delayed", "unmatched"})


def reject_of(text: str) -> Reject:
    """The reason behind one of the venue's refusal texts; OTHER if we do not know it."""
    lowered = text.lower()
    return next((reason for part, reason in _TEXTS if part in lowered), Reject.OTHER)


def decode_post(ids: Sequence[str], reply: Reply | Failure, *, batch: bool) -> list[PostResult]:
    """One result per id, in order, from the answer to POST /order or POST /orders."""
    if isinstance(reply, Failure):
        if reply.unsent:
            return [Rejected(order_id, Reject.UNREACHABLE, reply.what) for order_id in ids]
        return [Unknown(order_id, reply.what) for order_id in ids]
    if reply.status != 200:
        return [_refusal(order_id, reply) for order_id in ids]
    try:
        value = reply.json()
        rows = [fields.as_object(row) for row in (fields.as_list(value) if batch else [value])]
    except ValueError as error:
        return [Unknown(order_id, f"unreadable reply: {error}") for order_id in ids]
    legs = _legs(ids, rows)
    return [
        _entry(order_id, legs[order_id]) if order_id in legs else Unknown(order_id, "not listed")
        for order_id in ids
    ]


def _refusal(order_id: str, reply: Reply) -> PostResult:
    """What a status other than 200 says about one order."""
    status, text = reply.status, reply.error_text()
    said = f"HTTP {status} {text}"
    reason = reject_of(text)
    if status == 503 and reason in (Reject.POST_ONLY_MODE, Reject.CANCEL_ONLY):
        return Rejected(order_id, reason, said)
    if not 400 <= status < 500 or status in _AMBIGUOUS_4XX or _gave_up(text):
        return Unknown(order_id, said)
    if status == 429 and not any(
        name.lower().startswith("poly-ratelimit") for name in reply.headers
    ):
        # Only the signer's own limiter is surely in front of the engine (clob.md 7.3).
        return Unknown(order_id, said)
    if reply.from_edge and status not in (401, 425, 429):
        # A page, whatever its number: one of 403 on one order would end trading for good, and one
        # of 400 would make room for another order where this one rests.
        return Unknown(order_id, said)
    if reason is Reject.OTHER or status in (425, 429):
        reason = _BY_STATUS.get(status, Reject.OTHER)
    return _definite(order_id, reason, said)


def _gave_up(text: str) -> bool:
    return any(words in text.lower() for words in _GAVE_UP)


def _definite(order_id: str, reason: Reject, text: str) -> PostResult:
    if reason is Reject.DUPLICATE:
        # The venue holds an order with this very id: some copy of our request got through before.
        return Unknown(order_id, text)
    return Rejected(order_id, reason, text)


def _legs(ids: Sequence[str], rows: Sequence[Json]) -> dict[str, Json]:
    """Which reply entry answers which order.

    An entry that names an order, in `orderID` or in its text, is that order's. A refused entry
    often names none; then its place counts, but only if the reply has as many entries as we sent
    and every named entry stands in its own place, for otherwise places mean nothing.
    """
    named = [_named(row, ids) for row in rows]
    legs = {name: row for name, row in zip(named, rows, strict=True) if name is not None}
    in_place = len(rows) == len(ids) and all(
        name in (None, order_id) for name, order_id in zip(named, ids, strict=True)
    )
    if in_place:
        legs |= {
            order_id: row
            for order_id, name, row in zip(ids, named, rows, strict=True)
            if name is None and not fields.optional_text(row, "orderID")
        }
    return legs


def _named(row: Json, ids: Sequence[str]) -> str | None:
    claimed = fields.optional_text(row, "orderID").lower()
    said = fields.optional_text(row, "errorMsg").lower()
    for order_id in ids:
        if claimed == order_id.lower() or (not claimed and order_id.lower() in said):
            return order_id
    return None


def _entry(order_id: str, row: Json) -> PostResult:
    """One 200 entry. Judged by errorMsg and orderID, never by `success` (clob.md 3.6)."""
    said = fields.optional_text(row, "errorMsg")[:TEXT_MOST]
    claimed = fields.optional_text(row, "orderID")
    status = fields.optional_text(row, "status").lower()
    if said:
        reason = reject_of(said)
        # Refused and accepted in one breath; but a killed order has its id, and no status (3.6).
        torn = claimed and (reason is Reject.OTHER or status in _ACCEPTED)
        if torn or _gave_up(said):
            return Unknown(order_id, said)
        return _definite(order_id, reason, said)
    if not claimed or status not in _ACCEPTED:
        return Unknown(order_id, f"neither accepted nor refused: status {status[:40]!r}")
    try:
        return Acked(
            order_id,
            status,
            fields.amount_or_zero(row, "makingAmount"),
            fields.amount_or_zero(row, "takingAmount"),
            fields.texts(row.get("tradeIDs")),
        )
    except ValueError as error:
        return Unknown(order_id, f"accepted, but unreadable: {error}")


def decode_cancel(reply: Reply | Failure) -> CancelResult:
    """The answer to any of the cancel calls (clob.md 4.1)."""
    if isinstance(reply, Failure):
        return CancelResult(frozenset(), {}, reply.what)
    if reply.status != 200:
        said = f"HTTP {reply.status} {reply.error_text()}"
        return CancelResult(frozenset(), {}, said, away=reply.status in _ENGINE_AWAY)
    try:
        row = fields.as_object(reply.json())
        error = fields.optional_text(row, "error")
        if error and not row.keys() & {"canceled", "not_canceled"}:
            return CancelResult(frozenset(), {}, f"refused: {error[:TEXT_MOST]}")
        refused = fields.as_object(row.get("not_canceled") or {})
        return CancelResult(
            # Told both ways in one breath it is not cancelled: it may be filled, or rest.
            frozenset(fields.texts(row.get("canceled"))) - refused.keys(),
            {order_id: fields.shown(why, 200) for order_id, why in refused.items()},
        )
    except ValueError as error:
        return CancelResult(frozenset(), {}, f"unreadable reply: {error}")
