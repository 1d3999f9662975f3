"""The share of the fuzz that comes as bytes: over real sockets, to a whole exchange."""

from __future__ import annotations

import random

import orjson
import trio

from polybot.clock import Clock
from polybot.exchange.server import Exchange, Urls
from polybot.exchange.world import make_world
from polybot.lab.fuzz_input import mangled

START_MS = 1_795_132_800_000
PER_CONNECTION = 20
PATIENCE_S = 60.0
REQUESTS = (
    b"GET /book?token_id=1 HTTP/1.1\r\nHost: h\r\n\r\n",
    b"GET /markets/keyset?limit=5 HTTP/1.1\r\nHost: h\r\nAccept: */*\r\n\r\n",
    b'POST /books HTTP/1.1\r\nHost: h\r\nContent-Length: 18\r\n\r\n[{"token_id":"1"}]',
    b"POST /order HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
    b'POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 51\r\n\r\n{"id":1,"method":"eth_getBalance","params":["0x12"]}',
    b"POST /submit HTTP/1.1\r\nHost: h\r\nRELAYER_API_KEY: x\r\nContent-Length: 2\r\n\r\n{}",
    b"GET /v2/positions?user=0x1&limit=9 HTTP/1.1\r\nHost: h\r\n\r\n",
    b"DELETE /cancel-all HTTP/1.1\r\nHost: h\r\nPOLY_ADDRESS: 0x1\r\nPOLY_TIMESTAMP: 1\r\n\r\n",
)
UPGRADE = (
    b"GET /ws/market HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


async def fuzz_sockets(inputs: int, seed: int) -> list[str]:
    """Send so many bent messages, a few a connection; what was found. Between connections a plain
    question must be answered.
    """
    faults: list[str] = []
    rng = random.Random(seed)
    world = make_world(
        "synthetic", seed=seed, start_ms=START_MS, series=("btc-5m",), intensity=0.02
    )
    exchange = Exchange(
        world, Clock.starting_at(START_MS), seed, lambda error: faults.append(repr(error))
    )
    async with trio.open_nursery() as nursery:
        urls: Urls = await nursery.start(exchange.run, 0)
        plain = (urls.clob, urls.gamma, urls.site, urls.data, urls.relayer, urls.rpc, urls.admin)
        for _ in range(-(-inputs // PER_CONNECTION)):
            http, socket = rng.choice(plain), rng.random() < 0.5
            stream_url = rng.choice((urls.market_ws, urls.user_ws, urls.prices_ws, urls.rtds_ws))
            sent = _frames(rng) if socket else _requests(rng)
            with trio.move_on_after(PATIENCE_S) as patience:
                heard = await _connection(_port(stream_url if socket else http), sent)
                if b"HTTP/1.1 500" in heard:
                    faults.append(f"500 for {sent!r:.800}")
                if not await _answers(_port(urls.clob)):
                    faults.append(f"no answer after {sent!r:.800}")
            if patience.cancelled_caught:
                faults.append(f"nothing for {PATIENCE_S:g} s after {sent!r:.800}")
        nursery.cancel_scope.cancel()
    return faults


def _port(url: str) -> int:
    return int(url.partition("//")[2].partition("/")[0].partition(":")[2])


def _requests(rng: random.Random) -> list[bytes]:
    return [
        mangled(request, rng) if rng.random() < 0.5 else request
        for request in rng.choices(REQUESTS, k=PER_CONNECTION)
    ]


def _frames(rng: random.Random) -> list[bytes]:
    """An upgrade, then frames: good ones, bent ones, fragments, control frames, noise."""
    texts: tuple[object, ...] = ({"type": "market", "assets_ids": ["1"]}, {"op": "ping"}, [], 7)
    frames = [UPGRADE]
    for _ in range(PER_CONNECTION - 1):
        payload = orjson.dumps(rng.choice(texts))
        opcode = rng.choice((0x81, 0x81, 0x81, 0x01, 0x80, 0x82, 0x89, 0x8A, 0x88, 0xC1))
        whole = bytes((opcode, 0x80 | len(payload))) + bytes(4) + payload
        frames.append(mangled(whole, rng) if rng.random() < 0.3 else whole)
    return frames


async def _connection(port: int, pieces: list[bytes]) -> bytes:
    """Send piece by piece, say that this was all, and read to the end."""
    heard = bytearray()
    try:
        async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
            for piece in pieces:
                await stream.send_all(piece)
            await stream.send_eof()
            async for part in stream:
                heard += part
    except trio.BrokenResourceError:
        pass  # cut by the exchange in the middle of our nonsense, which is its right
    return bytes(heard)


async def _answers(port: int) -> bool:
    """By a question whose own limit is far away: `/ok` has one of ten a second."""
    question = b"GET /time HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"
    return (await _connection(port, [question])).startswith(b"HTTP/1.1 200 ")
