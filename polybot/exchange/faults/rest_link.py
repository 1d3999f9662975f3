"""Faults on a REST service, from outside: between the connection and the service's own handler."""

from __future__ import annotations

from functools import partial

import attrs
import orjson

from polybot.clock import Clock
from polybot.exchange.faults import gamma_lies, rest_acts, rest_lies
from polybot.exchange.faults.rest_acts import Act, Handler, route_matches
from polybot.exchange.faults.state import Faults, Strike
from polybot.exchange.net import Service
from polybot.exchange.request import Request, Response, json_response

PATIENCE_S = 150.0  # longer than any silence or delay a plan can ask for


def faulty_http(service: Service, name: str, faults: Faults, clock: Clock) -> Service:
    """The service as seen over a link of that name. Off, it costs one look into a dictionary."""
    handle = service.http
    assert handle is not None, "a REST service answers requests"

    async def meet(request: Request) -> Response:
        running = faults.at(name)
        if not running:
            return await handle(request)
        met: Handler = handle
        for one in running:
            routes = one.entry.match or one.entry.kind.match
            if route_matches(routes, request) and (strike := one.meet(clock.now_ms())):
                met = _struck(_act(strike, clock), strike, met)
        return await met(request)

    return attrs.evolve(service, http=meet, patience_s=PATIENCE_S)


def _struck(act: Act, strike: Strike, handle: Handler) -> Handler:
    return lambda request: act(strike, request, handle)


def _act(strike: Strike, clock: Clock) -> Act:
    if strike.fault in rest_acts.ACTS:
        return rest_acts.ACTS[strike.fault]
    if strike.fault in rest_lies.FRONT:
        return rest_lies.FRONT[strike.fault]
    if strike.fault in rest_lies.LIES:
        return partial(_lie, clock)
    return _gamma  # a test holds that nothing else is left


async def _lie(clock: Clock, strike: Strike, request: Request, handle: Handler) -> Response:
    response = await handle(request)
    if response.status != 200:
        return response
    value = _decoded(response)
    told = rest_lies.LIES[strike.fault](value, strike, request, clock.now_ms())
    if told is None or told == value:
        return response
    strike.land()
    return json_response(told)


async def _gamma(strike: Strike, request: Request, handle: Handler) -> Response:
    response = await handle(request)
    if response.status != 200 or _decoded(response) is None:
        return response
    if strike.fault == "market_missing":
        return gamma_lies.market_missing(response, strike)
    return gamma_lies.changed(response, strike)


def _decoded(response: Response) -> object:
    """None for what another fault has already spoiled."""
    try:
        return orjson.loads(response.body)
    except orjson.JSONDecodeError:
        return None
