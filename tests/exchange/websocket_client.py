"""A WebSocket client for tests."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio_websocket
from trio_websocket import WebSocketConnection


@asynccontextmanager
async def open_client(port: int, path: str = "/") -> AsyncIterator[WebSocketConnection]:
    """trio-websocket leaves its TCP stream open when the server was first to close: close it."""
    async with trio_websocket.open_websocket_url(f"ws://127.0.0.1:{port}{path}") as client:
        try:
            yield client
        finally:
            await client.aclose()
            await client._stream.aclose()
