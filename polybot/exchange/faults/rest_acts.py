"""What may happen to a request on its way in, or to its answer on its way out."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import attrs
import trio

from polybot.exchange.faults.state import Strike
from polybot.exchange.geoblock import RESTRICTED
from polybot.exchange.request import (
    Hangup,
    Request,
    Response,
    error_response,
    json_response,
    parse_json,
)
from polybot.exchange.rules import NO_BALANCE

Handler = Callable[[Request], Awaitable[Response]]
Act = Callable[[Strike, Request, Handler], Awaitable[Response]]

PAGE = (
    b"<html>\r\n<head><title>%d</title></head>\r\n<body><center><h1>%d</h1></center></body></html>"
)
WORDS = (
    "the request could not be completed at this time",
    "order intake: upstream returned no verdict (code 7781)",
    "temporarily unable to process order for this trading pair",
    "INTERNAL: shard moved",
    "",
)


def route_matches(routes: tuple[str, ...], request: Request) -> bool:
    """Whether a request is one of `routes`: `GET`, `/data/trades`, `POST /order`; none is all."""
    return not routes or any(_is_route(route, request) for route in routes)


def _is_route(route: str, request: Request) -> bool:
    method, _, path = route.rpartition(" ") if "/" in route else (route, "", "")
    here = not path or request.path == path or request.path.startswith(f"{path}/")
    return here and method in ("", request.method)


async def _hang_up_after(strike: Strike) -> Response:
    await trio.sleep(strike["silence_ms"] / 1000)
    raise Hangup


async def request_lost(strike: Strike, _request: Request, _handle: Handler) -> Response:
    strike.land()
    return await _hang_up_after(strike)


async def reply_lost(strike: Strike, request: Request, handle: Handler) -> Response:
    strike.land()
    await handle(request)
    return await _hang_up_after(strike)


async def request_delayed(strike: Strike, request: Request, handle: Handler) -> Response:
    strike.land()
    await trio.sleep(strike["delay_ms"] / 1000)
    return await handle(request)


async def reply_delayed(strike: Strike, request: Request, handle: Handler) -> Response:
    strike.land()
    response = await handle(request)
    await trio.sleep(strike["delay_ms"] / 1000)
    return response


async def cut(strike: Strike, request: Request, handle: Handler) -> Response:
    await _done_or_not(strike, request, handle)
    raise Hangup


async def _done_or_not(strike: Strike, request: Request, handle: Handler) -> None:
    strike.land()
    if strike["done"]:
        await handle(request)


async def html_page(strike: Strike, request: Request, handle: Handler) -> Response:
    await _done_or_not(strike, request, handle)
    status = strike["status"]
    return Response(status, PAGE % (status, status), (("content-type", "text/html"),))


async def empty_body(strike: Strike, request: Request, handle: Handler) -> Response:
    await _done_or_not(strike, request, handle)
    return Response(200, b"")


async def truncated_json(strike: Strike, request: Request, handle: Handler) -> Response:
    response = await handle(request)
    if len(response.body) < 2:
        return response
    strike.land()
    return attrs.evolve(response, body=response.body[: strike.rng.randrange(1, len(response.body))])


async def wrong_status(strike: Strike, request: Request, handle: Handler) -> Response:
    await _done_or_not(strike, request, handle)
    return error_response("error", strike["status"])


async def unknown_wording(strike: Strike, request: Request, handle: Handler) -> Response:
    await _done_or_not(strike, request, handle)
    return error_response(strike.rng.choice(WORDS))


async def stale_reply(strike: Strike, request: Request, handle: Handler) -> Response:
    asked = (request.path, *sorted(request.query.items()))
    kept: Response | None = strike.memory.get(asked)
    if kept is not None:
        strike.land()
        return kept
    response = strike.memory[asked] = await handle(request)
    return response


async def throttled(strike: Strike, _request: Request, _handle: Handler) -> Response:
    strike.land()
    headers = (("retry-after", str(strike["retry_s"])),)
    return json_response({"error": "Too Many Requests"}, 429, headers)


async def unauthorized(strike: Strike, request: Request, handle: Handler) -> Response:
    """What needs credentials gets the 401. The venue itself tells which calls those are: who signs
    a public read is answered all the same.
    """
    revoked = {**request.headers, "poly_api_key": ""}
    response = await handle(attrs.evolve(request, headers=revoked))
    if response.status == 401:
        strike.land()
    return response


async def geoblocked(strike: Strike, _request: Request, _handle: Handler) -> Response:
    strike.land()
    return error_response(RESTRICTED, 403)


async def no_balance(strike: Strike, request: Request, _handle: Handler) -> Response:
    """As when the venue's cache lags: nothing is taken, and a batch says so entry by entry."""
    strike.land()
    if request.path != "/orders":
        return error_response(NO_BALANCE)
    entries = parse_json(request.body)
    refused = {"errorMsg": NO_BALANCE, "orderID": "", "takingAmount": "", "makingAmount": "",
               "status": "", "success": True}  # fmt: skip
    return json_response([refused] * (len(entries) if isinstance(entries, list) else 1))


ACTS: dict[str, Act] = {
    act.__name__: act
    for act in (
        request_lost, reply_lost, request_delayed, reply_delayed, cut, html_page, empty_body,
        truncated_json, wrong_status, unknown_wording, stale_reply, throttled, unauthorized,
        geoblocked, no_balance,
    )
}  # fmt: skip
