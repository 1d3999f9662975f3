"""Client sockets of a mirror: another venue's streams, dialled and kept alive (feeds.md 2.2)."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

import orjson
import trio
from trio_websocket import WebSocketConnection, wrap_client_stream

CONNECT_S, CLOSE_S, PRICES_SILENT_S = 10.0, 0.5, 30.0
MOST_MESSAGE = 16 * 2**20
Stream = trio.SocketStream | trio.SSLStream[trio.SocketStream]


@asynccontextmanager
async def connected(
    url: str, ping_s: float | None, ping: str = "PING"
) -> AsyncGenerator[WebSocketConnection]:
    """A client socket with the application's own `ping`. Raises one of `FAILURES`, in groups.

    trio-websocket leaves its stream open when it is cancelled or the peer closed first, and waits
    for ever on a peer that accepts and says nothing: the stream and the deadlines are ours.
    """
    parts = urlsplit(url)
    host, secure = parts.hostname or "", parts.scheme == "wss"
    with trio.fail_after(CONNECT_S):
        stream = await _stream(host, parts.port or (443 if secure else 80), secure=secure)
    try:
        async with trio.open_nursery() as nursery:
            resource = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
            with trio.fail_after(CONNECT_S):
                socket = await wrap_client_stream(
                    nursery, stream, parts.netloc, resource,
                    max_message_size=MOST_MESSAGE, message_queue_size=64,
                )  # fmt: skip
            if ping_s is not None:
                nursery.start_soon(_ping, socket, ping_s, ping)
            try:
                yield socket
            finally:
                with trio.move_on_after(CLOSE_S, shield=True):
                    await socket.aclose()
                nursery.cancel_scope.cancel()
    finally:
        await trio.aclose_forcefully(stream)


async def _stream(host: str, port: int, *, secure: bool) -> Stream:
    if secure:
        return await trio.open_ssl_over_tcp_stream(host, port)
    return await trio.open_tcp_stream(host, port)


async def _ping(socket: WebSocketConnection, every_s: float, text: str) -> None:
    while True:
        await trio.sleep(every_s)
        with trio.fail_after(CONNECT_S):
            await socket.send_message(text)


async def send(socket: WebSocketConnection, message: dict[str, object]) -> None:
    """One JSON text, within the time a connection may take."""
    with trio.fail_after(CONNECT_S):
        await socket.send_message(orjson.dumps(message).decode())


async def next_object(socket: WebSocketConnection) -> dict[str, Any]:
    """The next JSON object of a price socket, whose silence is short."""
    with trio.fail_after(PRICES_SILENT_S):
        while True:
            text = await socket.get_message()
            if text and text != "PONG":
                message = orjson.loads(text)
                if isinstance(message, dict):
                    return message
