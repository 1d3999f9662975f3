"""Placing and cancelling: POST /order(s), the DELETEs, heartbeats (clob.md 3.5–3.7, 4)."""

from __future__ import annotations

from collections.abc import Callable

import attrs
import trio

from polybot.clock import Clock
from polybot.exchange import rules
from polybot.exchange.auth import ApiKey
from polybot.exchange.engine import Engine
from polybot.exchange.faults.kinds import VENUE
from polybot.exchange.faults.state import Faults
from polybot.exchange.heartbeats import Heartbeats, Mismatch
from polybot.exchange.identities import full_condition_id
from polybot.exchange.model import Accepted, Order, Refused
from polybot.exchange.money import UNIT, decimal_text
from polybot.exchange.order_entry import BAD_PAYLOAD, OrderReader
from polybot.exchange.request import (
    Request,
    Response,
    error_response,
    json_response,
    parse_json,
)

MAX_ORDERS = 15
MAX_CANCELS = 1000
_ID_CHARS = 66


@attrs.frozen
class _Placing:
    """An order with the engine; `done` comes at once, or when a held taker's delay is over."""

    finished: trio.Event = attrs.field(factory=trio.Event)
    outcome: list[Accepted | Refused] = attrs.field(factory=list)

    def done(self, outcome: Accepted | Refused) -> None:
        self.outcome.append(outcome)
        self.finished.set()

    async def result(self) -> Accepted | Refused:
        await self.finished.wait()
        return self.outcome[0]


class OrderCalls:
    """The trading calls of one exchange.

    `on_refused` hears of every refused order. `screen` refuses single entries of a batch before
    anybody reads them.
    """

    def __init__(
        self,
        engine: Engine,
        clock: Clock,
        heartbeats: Heartbeats,
        reader: OrderReader,
        on_refused: Callable[[Refused], None],
        screen: Callable[[object, ApiKey], Refused | None],
        faults: Faults,
    ) -> None:
        self._engine = engine
        self._clock = clock
        self._heartbeats = heartbeats
        self._reader = reader
        self._on_refused = on_refused
        self._screen = screen
        self._faults = faults

    # --- placing -------------------------------------------------------------------------

    async def place(self, request: Request, key: ApiKey) -> Response:
        """POST /order. The reply to a marketable order waits for the taker delay (clob.md 3.6)."""
        outcome = await self._start(parse_json(request.body), key).result()
        if not isinstance(outcome, Refused):
            return json_response(self._accepted_json(outcome))
        if outcome.error == rules.FOK_KILLED and self._reader.terms.killed_fok_is_200:
            return json_response(_refused_json(outcome) | {"orderID": outcome.order_id})
        return error_response(outcome.error, outcome.http_status)

    async def place_many(self, request: Request, key: ApiKey) -> Response:
        """POST /orders: entries are independent; each refusal is its own entry's."""
        entries = parse_json(request.body)
        if not isinstance(entries, list) or not entries:
            return error_response(BAD_PAYLOAD)
        if len(entries) > MAX_ORDERS:
            count = len(entries)
            return error_response(f"Too many orders in payload: {count}, max allowed: {MAX_ORDERS}")
        broken = self._faults.strike(VENUE, "batch_partly_done", self._clock.now_ms())
        if broken is not None:
            for entry in entries[: broken["keep"]]:
                self._start(entry, key)
            return error_response("could not insert orders", 500)
        placings = [self._start(entry, key) for entry in entries]
        outcomes = [await placing.result() for placing in placings]
        return json_response([self._entry_json(outcome) for outcome in outcomes])

    def _start(self, payload: object, key: ApiKey) -> _Placing:
        """Hand an order to the engine; from here on a lost connection changes nothing."""
        now_ms = self._clock.now_ms()
        placing = _Placing()

        def done(outcome: Accepted | Refused) -> None:
            if isinstance(outcome, Refused):
                self._on_refused(outcome)
            placing.done(outcome)

        order = self._screen(payload, key) or self._reader.read(payload, key, now_ms)
        if isinstance(order, Order):
            self._engine.place(order, now_ms, done)
        else:
            done(order)
        return placing

    def _entry_json(self, outcome: Accepted | Refused) -> dict[str, object]:
        if isinstance(outcome, Accepted):
            return self._accepted_json(outcome)
        return _refused_json(outcome)

    def _accepted_json(self, outcome: Accepted) -> dict[str, object]:
        """A reply object. A resting order's amounts are empty, as on the page (clob.md 3.6)."""
        live = outcome.status == "live"
        unmatched = live and outcome.held and self._reader.terms.unmatched_is_told
        reply: dict[str, object] = {
            "errorMsg": "",
            "orderID": outcome.order.id,
            "takingAmount": "" if live else decimal_text(outcome.taking, UNIT),
            "makingAmount": "" if live else decimal_text(outcome.making, UNIT),
            "status": "unmatched" if unmatched else outcome.status,
            "success": True,
        }
        if outcome.trades:
            reply["tradeIDs"] = list(outcome.trades)
        return reply

    # --- cancelling ----------------------------------------------------------------------

    def cancel(self, request: Request, key: ApiKey) -> Response:
        """DELETE /order."""
        payload = parse_json(request.body)
        if not isinstance(payload, dict):
            return error_response(BAD_PAYLOAD)
        return self._cancel_ids([payload.get("orderID")], key)

    def cancel_many(self, request: Request, key: ApiKey) -> Response:
        """DELETE /orders: at most 1000 ids, duplicates ignored."""
        payload = parse_json(request.body)
        if not isinstance(payload, list):
            return error_response(BAD_PAYLOAD)
        if len(payload) > MAX_CANCELS:
            return error_response(f"Too many orders in payload, max allowed: {MAX_CANCELS}")
        return self._cancel_ids(payload, key)

    def _cancel_ids(self, ids: list[object], key: ApiKey) -> Response:
        if not all(_is_order_id(order_id) for order_id in ids):
            return error_response("Invalid orderID")
        now_ms = self._clock.now_ms()
        canceled: list[str] = []
        refused: dict[str, str] = {}
        for order_id in dict.fromkeys(map(str, ids)):
            reason = self._engine.cancel(order_id, key.key, now_ms)
            if reason is None:
                canceled.append(order_id)
            else:
                refused[order_id] = reason
        return json_response({"canceled": canceled, "not_canceled": refused})

    def cancel_market(self, request: Request, key: ApiKey) -> Response:
        """DELETE /cancel-market-orders: by condition, by token, or by both."""
        payload = parse_json(request.body)
        if not isinstance(payload, dict):
            return error_response(BAD_PAYLOAD)
        condition, token = payload.get("market") or None, payload.get("asset_id") or None
        if condition is None and token is None:
            return error_response(BAD_PAYLOAD)
        if not all(value is None or isinstance(value, str) for value in (condition, token)):
            return error_response(BAD_PAYLOAD)
        # Which width a V2 condition must have here is not known (clob.md 3.2): both will do.
        full = condition and full_condition_id(condition)
        return self._cancel_where(key, full, token)

    def cancel_all(self, request: Request, key: ApiKey) -> Response:
        """DELETE /cancel-all: every open order of this API key."""
        return self._cancel_where(key, None, None)

    def _cancel_where(self, key: ApiKey, condition: str | None, token: str | None) -> Response:
        """Orders held by the taker delay are refused (clob.md 3.9), or they would rest unseen."""
        canceled = self._engine.cancel_where(
            key.key, self._clock.now_ms(), condition_id=condition, token=token
        )
        refused = {
            order.id: rules.DELAYED
            for order in self._engine.held_orders(key.key)
            if condition in {None, order.market.condition_id} and token in {None, order.token}
        }
        return json_response({"canceled": canceled, "not_canceled": refused})

    # --- the dead-man switch ---------------------------------------------------------------

    def heartbeat(self, request: Request, key: ApiKey) -> Response:
        """POST /v1/heartbeats."""
        payload = parse_json(request.body)
        given = payload.get("heartbeat_id") if isinstance(payload, dict) else None
        if not isinstance(given, str):
            return error_response("Invalid heartbeat payload")
        answer = self._heartbeats.beat(key.key, given, self._clock.now_ms())
        if isinstance(answer, Mismatch):
            error = {"error_msg": "Invalid Heartbeat ID", "heartbeat_id": answer.expected}
            return json_response(error, 400)
        return json_response({"heartbeat_id": answer.heartbeat_id})

    def legacy_heartbeat(self, request: Request, key: ApiKey) -> Response:
        """POST /heartbeats, without version, body or id; its timing is taken to be the same."""
        self._heartbeats.legacy_beat(key.key, self._clock.now_ms())
        return json_response({"status": "ok"})

    def sweep(self) -> None:
        """Cancel the orders of every key whose heartbeat stopped; to be called each 5 s."""
        now_ms = self._clock.now_ms()
        for key in self._heartbeats.sweep(now_ms):
            if self._faults.strike(VENUE, "heartbeat_lapse_ignored", now_ms):
                continue
            self._engine.cancel_where(key, now_ms)


def _is_order_id(value: object) -> bool:
    return isinstance(value, str) and value.startswith("0x") and len(value) == _ID_CHARS


def _refused_json(outcome: Refused) -> dict[str, object]:
    """One entry of a batch reply. The venue says success even of a refused entry (clob.md 3.6)."""
    return {
        "errorMsg": outcome.error,
        "orderID": "",
        "takingAmount": "",
        "makingAmount": "",
        "status": "",
        "success": True,
    }
