"""What a request meets before its handler, in the order of clob.md 10.

Only order endpoints are behind this door; reads, keys and heartbeats are answered in every mode and
from everywhere. A refusal ends the way: what stands further back is neither asked nor charged.
"""

from __future__ import annotations

import enum

import attrs

from polybot.clock import Clock
from polybot.exchange.auth import ApiKey
from polybot.exchange.geoblock import Geoblock
from polybot.exchange.model import Refused
from polybot.exchange.modes import Call, Mode, Modes
from polybot.exchange.request import Request, Response, json_response, parse_json
from polybot.exchange.signer_limits import Bucket, SignerLimits, Verdict
from polybot.exchange.terms import Terms
from polybot.exchange.token_limits import TokenLimits
from polybot.exchange.volumes import Volumes

TOO_MANY = "Too Many Requests"  # the venue's text is not documented; clients go by the status


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

    @property
    def bucket(self) -> Bucket:
        return Bucket.ORDERS if self.places else Bucket.CANCELS


_KINDS = {kind.value: kind for kind in Kind}


@attrs.frozen
class Passage:
    """A request on its way in, and what the limiter said of it: None if it was not asked."""

    kind: Kind
    signer: str
    verdict: Verdict | None


class Door:
    """The checks of one CLOB."""

    def __init__(
        self,
        clock: Clock,
        terms: Terms,
        geoblock: Geoblock,
        modes: Modes,
        volumes: Volumes,
    ) -> None:
        self._clock = clock
        self._geoblock = geoblock
        self._modes = modes
        self._volumes = volumes
        self._limits = SignerLimits(enforced=terms.signer_limits_enforced)
        self._token_limits = TokenLimits(terms.orders_per_token_per_s)

    def before_auth(self) -> Response | None:
        """Checks 1 and 2: the caller's region, then a restarting engine. Nobody is known yet."""
        return self._geoblock.refusal() or self._restarting()

    def _restarting(self) -> Response | None:
        now_ms = self._clock.now_ms()
        if self._modes.at(now_ms) is not Mode.RESTARTING:
            return None
        return self._modes.refusal(Call.CANCEL, now_ms)

    def after_auth(self, kind: Kind, request: Request, key: ApiKey) -> Response | Passage:
        """Checks 4 and 5: the trading mode, then the signer's buckets."""
        now_ms = self._clock.now_ms()
        payload = parse_json(request.body)
        refusal = self._modes.refusal(_call(kind, payload), now_ms)
        if refusal is not None:
            return refusal
        cost = _cost(kind, payload)
        if not cost:
            return Passage(kind, key.address, None)
        tier = self._volumes.tier(key.address, now_ms)
        verdict = self._limits.admit(key.address, kind.bucket, cost, tier, now_ms)
        if verdict.admitted:
            return Passage(kind, key.address, verdict)
        return json_response({"error": TOO_MANY}, 429, verdict.headers(now_ms))

    def leave(self, passage: Passage, reply: Response) -> Response:
        """The reply with the limiter's headers; what a mass cancel has cancelled is paid now."""
        verdict, now_ms = passage.verdict, self._clock.now_ms()
        if verdict is None:
            return reply
        if passage.kind in _PAID_LATER and (canceled := _canceled(reply)):
            tier = self._volumes.tier(passage.signer, now_ms)
            paid = self._limits.debit(passage.signer, Bucket.CANCELS, canceled, tier, now_ms)
            verdict = attrs.evolve(verdict, level=paid.level)
        return attrs.evolve(reply, headers=(*reply.headers, *verdict.headers(now_ms)))

    def entry(self, payload: object, key: ApiKey) -> Refused | None:
        """The refusal of one entry of a batch: in post-only mode the batch itself is 200 (clob.md
        7.3), and some tokens may have had enough orders (3.6).
        """
        now_ms = self._clock.now_ms()
        answer = self._modes.answer(_wish(payload), now_ms)
        if answer is not None:
            return Refused(answer.error, "", answer.status)
        error = self._token_limits.refusal(key.address, _token(payload), now_ms)
        return None if error is None else Refused(error, "", 429)


# Nobody knows at their start how many orders these cancel (clob.md 7.2).
_PAID_LATER = {Kind.CANCEL_MARKET, Kind.CANCEL_ALL}


def _call(kind: Kind, payload: object) -> Call:
    """A batch passes wherever one of its entries might: each is judged alone (`Door.entry`)."""
    if not kind.places:
        return Call.CANCEL
    return Call.POST if kind is Kind.PLACE_MANY else _wish(payload)


def _cost(kind: Kind, payload: object) -> int:
    """Tokens before the request is looked at closer; 0 for a batch that is none (clob.md 7.2)."""
    if kind in {Kind.PLACE_MANY, Kind.CANCEL_MANY}:
        return len(payload) if isinstance(payload, list) else 0
    return 1


def _canceled(reply: Response) -> int:
    body = parse_json(reply.body)
    canceled = body.get("canceled") if isinstance(body, dict) else None
    return len(canceled) if isinstance(canceled, list) else 0


def _token(payload: object) -> str:
    order = payload.get("order") if isinstance(payload, dict) else None
    return str(order.get("tokenId")) if isinstance(order, dict) else ""


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
    return attrs.evolve(response, status=status)
