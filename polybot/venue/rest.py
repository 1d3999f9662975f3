"""One HTTP call to the venue: a deadline over all of it, no
redirects, no exceptions for what peers do.
"""

from __future__ import annotations

import functools
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import TypeVar

import attrs
import httpx
import orjson
import trio

from polybot.clock import Clock
from polybot.domain.orders import Failure
from polybot.venue.auth import l2_headers
from polybot.venue.lean_http import LeanClient
from polybot.venue.leave import EXTENSION, Leave
from polybot.venue.secret import Credentials
from polybot.venue.tap import NOBODY, Tap, secrets_among, veiled

T = TypeVar("T")

TEXT_MOST = 1_000  # of what a peer says; it goes to the screen, the log and the journal


@asynccontextmanager
async def http_client() -> AsyncGenerator[httpx.AsyncClient]:
    """One client for the process: kept connections, no redirects, no proxy from the environment."""
    async with LeanClient() as client:
        yield client


@attrs.frozen
class Reply:
    """An answer that arrived whole, whatever its status. Header names are lower-case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> object:
        """The decoded body. Raises ValueError (orjson's is one) if it is not JSON."""
        return orjson.loads(self.body)

    def _object(self) -> dict[str, object] | None:
        try:
            value = self.json()
        except ValueError:
            return None
        return value if isinstance(value, dict) else None

    @property
    def from_edge(self) -> bool:
        """Whether it is no word of the venue's own: a page of whoever stands in front of it, who
        may have passed the request on or not (F44).
        """
        return self._object() is None

    def error_text(self) -> str:
        """What an error reply says, in either of its shapes, else its body; the start of it."""
        value = self._object() or {}
        for key in ("error", "error_msg", "errorMsg", "message"):
            said = value.get(key)
            if isinstance(said, str) and said:
                return said[:TEXT_MOST]
        return self.body[:200].decode("utf-8", "replace")

    def failure(self, what: str) -> Failure:
        refused = self.status == 401 or (self.status == 403 and not self.from_edge)
        return Failure(f"{what}: HTTP {self.status} {self.error_text()}", refused)


def decoded(what: str, reply: Reply | Failure, decode: Callable[[object], T]) -> T | Failure:
    """What an answer of status 200 says. `decode` raises ValueError at what it cannot read."""
    if isinstance(reply, Failure):
        return reply
    if reply.status != 200:
        return reply.failure(what)
    try:
        return decode(reply.json())
    except ValueError as error:
        return Failure(f"{what}: unreadable: {error}")


@functools.lru_cache(maxsize=256)
def _url(text: str) -> httpx.URL:
    """Most calls are to the same few places; to read a URL is half of making a request."""
    return httpx.URL(text)


@attrs.frozen
class Rest:
    """Calls to one base URL. Private calls are signed with the API
    key over the path without the query.
    """

    http: httpx.AsyncClient
    base: str = attrs.field(repr=False)
    clock: Clock
    credentials: Credentials | None = None
    timeout_s: float = 5
    headers: Mapping[str, str] = attrs.field(factory=dict, repr=False)  # of every call: keys
    tap: Tap = NOBODY  # hears requests and answers without their headers
    name: str = "rest"

    async def call(
        self,
        method: str,
        path: str,
        *,
        body: bytes = b"",
        params: Mapping[str, str] | None = None,
        leave: Leave | None = None,
    ) -> Reply | Failure:
        """Send and read the whole answer within `timeout_s`, if it still has leave to go."""
        headers = dict(self.headers)
        if body:
            headers["Content-Type"] = "application/json"
        if self.credentials is not None:
            stamp = self.clock.now_ms() // 1000
            headers |= l2_headers(self.credentials, method, path, body, stamp)
        try:
            request = self.http.build_request(
                method,
                _url(self.base + path),
                content=body or None,
                params=dict(params) if params else None,
                headers=headers,
                extensions={} if leave is None else {EXTENSION: leave},
            )
        except httpx.InvalidURL as error:  # of an id, or a cursor, that a peer has made up
            return Failure(f"{method} {path[:80]}: {error}")
        # The target carries no secret: signatures and keys travel in headers, and what a node has
        # in its URL is left out.
        line = method.encode() + b" " + self._target(request.url)
        self.tap.sent(self.name, line + b"\n" + body)
        answer = await self._answer(request, f"{method} {path}", secrets_among(headers), leave)
        if isinstance(answer, Failure):
            self._heard(b"- " + line + b"\n" + answer.what.encode())
        else:
            self._heard(b"%d %s\n%s" % (answer.status, line, answer.body))
        return answer

    def _target(self, url: httpx.URL) -> bytes:
        """Path and query, less those of the base."""
        if self.base.count("/") <= 2 and "?" not in self.base:
            return url.raw_path
        return url.raw_path.removeprefix(httpx.URL(self.base).raw_path) or b"/"

    def _heard(self, body: bytes) -> None:
        self.tap.heard(self.name, body, self.clock.now_ns())

    async def _answer(
        self, request: httpx.Request, what: str, secrets: Sequence[bytes], leave: Leave | None
    ) -> Reply | Failure:
        if leave is not None:
            leave.unsent = False  # a client that asks for no leave would not say
        try:
            with trio.fail_after(self.timeout_s):
                response = await self.http.send(request, follow_redirects=False)
        except trio.TooSlowError:
            missed = "answer" if leave is None or not leave.unsent else "connection"
            why = f"{what}: no {missed} within {self.timeout_s:g} s"
        except httpx.HTTPError as error:
            why = f"{what}: {type(error).__name__} {error}"
        else:
            return Reply(response.status_code, response.headers, veiled(response.content, secrets))
        return Failure(why, unsent=leave is not None and leave.unsent)
