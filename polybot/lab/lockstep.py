"""A thread that runs only while the loop stands still: blocking clients in a simulation.

The relayer's SDK is synchronous and lives in a worker thread. Threads have a time of their own, so
a virtual clock would jump over what they do, and two runs of one seed would differ. Here the loop
waits, without a pass, until the thread has come to its next HTTP request, a pause, or its end; the
request is then made by the loop, over the network in memory, and the pause kept by it, in virtual
time. The code in the thread is the production's to the last line; only httpx's sync
transport and `time.sleep` are ours. The certificates, which the SDK reads a dozen times for each
bot that starts, are read once: nobody speaks TLS here.
"""

from __future__ import annotations

import contextvars
import functools
import queue
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar
from unittest import mock

import attrs
import httpx
import trio
from httpx._transports import default

T = TypeVar("T")

THREAD = "lockstep"
HOP_BY_HOP = ("transfer-encoding", "content-encoding", "connection")


@attrs.frozen
class _Pause:
    """What a thread asks for that would sleep; the reply is None, when it is over."""

    for_s: float


@attrs.define(eq=False)
class _Call:
    """One function in its thread. `asks` brings its requests, its pauses and its end; `replies`
    goes back.
    """

    asks: queue.Queue[httpx.Request | _Pause | Callable[[], Any]] = attrs.field(factory=queue.Queue)
    replies: queue.Queue[httpx.Response | Exception | None] = attrs.field(factory=queue.Queue)

    def request(self, request: httpx.Request) -> httpx.Response:
        """In the thread: hand a request to the loop, and wait."""
        request.read()
        reply = self._ask(request)
        assert reply is not None
        return reply

    def pause(self, for_s: float) -> None:
        """In the thread: let the loop's time pass."""
        self._ask(_Pause(for_s))

    def _ask(self, asked: httpx.Request | _Pause) -> httpx.Response | None:
        self.asks.put(asked)
        reply = self.replies.get()
        if isinstance(reply, Exception):
            raise reply
        return reply


_here = threading.local()


def _routed(_transport: httpx.HTTPTransport, request: httpx.Request) -> httpx.Response:
    call: _Call | None = getattr(_here, "call", None)
    if call is None:
        raise RuntimeError("a blocking request outside the lockstep")
    return call.request(request)


_sleep = time.sleep


def _paused(for_s: float) -> None:
    """`time.sleep`, which elsewhere than in a lockstep's thread is what it was."""
    call: _Call | None = getattr(_here, "call", None)
    if call is None:
        _sleep(for_s)
    else:
        call.pause(for_s)


@attrs.define(eq=False)
class Lockstep:
    """Stands in for `trio.to_thread.run_sync`. `http` carries the requests."""

    http: httpx.AsyncClient

    async def run_sync(self, work: Callable[..., T], *args: object, **_: object) -> T:
        """Run `work` in a thread and return what it returns. Cancelled, the thread goes on to its
        end, as an abandoned one does.
        """
        call, done = _Call(), trio.Event()
        found: list[Callable[[], T]] = []

        def thread() -> None:
            _here.call = call
            try:
                result = work(*args)
            except Exception as error:  # noqa: BLE001 - raised again where it was called
                failed = error
                call.asks.put(lambda: _raise(failed))
            else:
                call.asks.put(lambda: result)

        async def drive() -> None:
            threading.Thread(target=thread, daemon=True, name=THREAD).start()
            try:
                while not callable(asked := call.asks.get()):
                    call.replies.put(await self._granted(asked))
            except trio.Cancelled:  # the loop ends, and nobody else would tell the thread
                call.replies.put(RuntimeError("the loop has ended"))
                raise
            found.append(asked)
            done.set()

        trio.lowlevel.spawn_system_task(drive, context=contextvars.copy_context())
        await done.wait()
        return found[0]()

    async def _granted(self, asked: httpx.Request | _Pause) -> httpx.Response | Exception | None:
        if isinstance(asked, _Pause):
            await trio.sleep(asked.for_s)
            return None
        return await self._carry(asked)

    async def _carry(self, request: httpx.Request) -> httpx.Response | Exception:
        """The request over the loop's own client, within the time that the thread allows it. The
        thread of a process that is no more finds nobody: its client has been closed.
        """
        if self.http.is_closed:
            return httpx.ConnectError("the process is no more", request=request)
        limits = request.extensions.get("timeout", {})
        outgoing = self.http.build_request(
            request.method, request.url, content=request.content, headers=request.headers
        )
        try:
            with trio.fail_after(limits.get("read") or 30):
                response = await self.http.send(outgoing)
        except trio.TooSlowError:
            return httpx.ReadTimeout("timed out", request=request)
        except httpx.HTTPError as error:
            return error
        headers = [(k, v) for k, v in response.headers.multi_items() if k not in HOP_BY_HOP]
        return httpx.Response(response.status_code, headers=headers, content=response.content)


def _raise(error: Exception) -> Any:
    raise error


@contextmanager
def lockstep_only() -> Iterator[None]:
    """While the body runs every sync httpx client of this process goes through a lockstep, and
    their threads sleep in its time.
    """
    with (
        mock.patch.object(time, "sleep", _paused),
        mock.patch.object(httpx.HTTPTransport, "handle_request", _routed),
        mock.patch.object(default, "create_ssl_context", _certificates),
    ):
        yield


@functools.cache
def _certificates(**_: object) -> ssl.SSLContext:
    return httpx.create_ssl_context()
