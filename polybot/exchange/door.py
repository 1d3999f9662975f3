"""What a request meets before its handler, in the order of clob.md 10.

Only order endpoints are behind this door; reads, keys and heartbeats are answered in every mode and
from everywhere. A refusal ends the way: what stands further back is neither asked nor charged.
"""

from __future__ import annotations

import enum

from polybot.clock import Clock
from polybot.exchange.geoblock import Geoblock
from polybot.exchange.model import Refused
from polybot.exchange.modes import Call, Mode, Modes
from polybot.exchange.request import Request, Response, json_response, parse_json


class Kind(enum.Enum):
    """The order endpoints."""

    PLACE = "POST /order"
    PLACE_MANY = "POST /orders"
    CANCEL = "DELETE /order"
    CANCEL_MANY = "DELETE /orders"
    CANCEL_MARKET = "DELETE /cancel-market-orders"
    CANCEL_ALL = "DELETE /cancel-all"

    @classmethod
    def of(cls, request: Request) -> Kind | None:
        return _KINDS.get(f"{request.method} {request.path}")

    @property
    def places(self) -> bool:
        return self in {Kind.PLACE, Kind.PLACE_MANY}


_KINDS = {kind.value: kind for kind in Kind}


class Door:
    """The checks of one CLOB."""

    def __init__(self, clock: Clock, geoblock: Geoblock, modes: Modes) -> None:
        self._clock = clock
        self._geoblock = geoblock
        self._modes = modes

    def before_auth(self) -> Response | None:
        """Checks 1 and 2: the caller's region, then a restarting engine. Nobody is known yet."""
        return self._geoblock.refusal() or self._restarting()

    def _restarting(self) -> Response | None:
        now_ms = self._clock.now_ms()
        if self._modes.at(now_ms) is not Mode.RESTARTING:
            return None
        return self._modes.refusal(Call.CANCEL, now_ms)

    def after_auth(self, kind: Kind, request: Request) -> Response | None:
        """Check 4: the trading mode."""
        return self._modes.refusal(self._call(kind, request), self._clock.now_ms())

    def _call(self, kind: Kind, request: Request) -> Call:
        """A batch passes wherever one of its entries might: each is judged alone (`entry`)."""
        if not kind.places:
            return Call.CANCEL
        if kind is Kind.PLACE_MANY:
            return Call.POST
        return _wish(parse_json(request.body))

    def entry(self, payload: object) -> Refused | None:
        """The refusal of one entry of a batch by mode: in post-only mode the batch itself is 200
        (clob.md 7.3).
        """
        answer = self._modes.answer(_wish(payload), self._clock.now_ms())
        return None if answer is None else Refused(answer.error, "", answer.status)


def _wish(payload: object) -> Call:
    """Whether an order asks to be post-only, before anybody has looked at its shape."""
    asks = isinstance(payload, dict) and payload.get("postOnly") is True
    return Call.POST if asks else Call.TAKE


# What an error's words do to its status, whatever the handler thought (clob.md 7.3).
_WORDS = (("not found", 404), ("unauthorized", 401), ("context canceled", 400))


def with_forced_status(response: Response) -> Response:
    """The reply as it leaves: some words in an error text bring a status of their own."""
    if response.status < 400:
        return response
    body = parse_json(response.body)
    error = body.get("error") if isinstance(body, dict) else None
    if not isinstance(error, str):
        return response
    status = next((s for words, s in _WORDS if words in error.lower()), response.status)
    return json_response(body, status, response.headers[1:])
