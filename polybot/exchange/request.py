"""What the exchange's HTTP services speak: a request in, a response out."""

from __future__ import annotations

import attrs
import orjson

Headers = tuple[tuple[str, str], ...]


@attrs.frozen
class Request:
    """One HTTP request, or the request that opened a WebSocket.

    `path` is as sent, still percent-encoded, without the query: the private API signs exactly
    that (clob.md 2.2). Header names are lower-case, of repeated ones the last counts; the values of
    a repeated query key are joined by commas, as lists are sent either way. `peer` is the client's
    IP address, empty where there is no network.
    """

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes
    peer: str = ""


@attrs.frozen
class Response:
    status: int
    body: bytes
    headers: Headers = ()


class Hangup(Exception):
    """Raised by a handler: the connection ends here, without an answer."""


def parse_json(body: bytes) -> object:
    """The body as JSON; None, which no call accepts, for anything else."""
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        return None


def json_response(value: object, status: int = 200, headers: Headers = ()) -> Response:
    """`value` as compact JSON, keys in the order given."""
    return Response(status, orjson.dumps(value), (("content-type", "application/json"), *headers))


def text_response(text: str) -> Response:
    return Response(200, text.encode(), (("content-type", "text/plain; charset=utf-8"),))


def error_response(error: str, status: int = 400) -> Response:
    """The venue's usual refusal: `{"error": "…"}` (clob.md 3.6)."""
    return json_response({"error": error}, status)
