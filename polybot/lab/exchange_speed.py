"""`python -m polybot lab exchange-speed`: what one core of the embedded exchange carries.

The exchange runs in a process of its own and its figures are its processor time, so neither the
client beside it nor a neighbour on the machine counts. Orders come over HTTP signed, each checked;
the streams are followed by a client that takes every frame and looks at none.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import subprocess
import sys
import tempfile
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import attrs
import httpx
import orjson
import trio
import trio_websocket

from polybot.domain.market import Market, Outcome, Side
from polybot.domain.orders import NewOrder
from polybot.domain.units import SHARE
from polybot.exchange import model
from polybot.exchange.engine import Engine
from polybot.lab import numbers
from polybot.lab.bench_kit import DOWN_ID, START_MS, UP_ID, venue_market
from polybot.lab.report import Row, table
from polybot.venue.auth import l2_headers
from polybot.venue.gamma import parse_market
from polybot.venue.secret import Credentials, Secret
from polybot.venue.signing import Wallet, sign_order

ENGINE_LEAST, HTTP_LEAST, SHARE_MOST = 3_000, 300, 0.5
SERIES = [
    f"{coin}-{length}" for coin in ("btc", "eth", "sol", "xrp") for length in ("5m", "15m", "1h")
]
MARKETS = 20
CONNECTIONS = 8
WARM_S = 5.0
WITHOUT_LIMITS = "[venue]\nsigner_limits_enforced = false\nip_limits = false\n"


# --- the engine alone -------------------------------------------------------------------------


def engine_rate(orders: int, rng: random.Random) -> float:
    """Orders a second of processor time: four in five rest, one crosses, old ones are cancelled."""
    engine, market = Engine(rng=rng), venue_market()
    market.taker_delay_ms = 0
    engine.list_market(market, START_MS)
    engine.open_market(market, START_MS)
    for account in "ab":
        engine.accounts.deposit(account, 10**15)
        engine.split(account, market, 10**14, START_MS)
        engine.unread.add(f"key-{account}")
    batch = [_engine_order(market, number, rng) for number in range(orders)]
    live: list[model.Order] = []
    begun = _cpu_s()
    for number, order in enumerate(batch):
        engine.place(order, START_MS + number, lambda _: None)
        if order.status is model.Status.LIVE:
            live.append(order)
        if len(live) > 400:
            oldest = live.pop(0)
            engine.cancel(oldest.id, oldest.owner, START_MS + number)
    return orders / (_cpu_s() - begun)


def _engine_order(market: model.Market, number: int, rng: random.Random) -> model.Order:
    side = rng.choice((model.BUY, model.SELL))
    crossing = rng.random() < 0.2
    away = -5 if crossing else rng.randint(1, 20)
    cents = 50 - away if side == model.BUY else 50 + away
    who, token = rng.choice("ab"), rng.choice((UP_ID, DOWN_ID))
    return model.Order(
        f"0x{number:064x}", f"key-{who}", who, market, token, side, cents * 100,
        rng.randint(5, 50) * SHARE, model.Kind.GTC,
    )  # fmt: skip


# --- orders over HTTP ---------------------------------------------------------------------------


async def http_rate(orders: int) -> float:
    """Placements and cancels, half each, per second of the exchange's processor time."""
    with tempfile.TemporaryDirectory() as folder:
        terms = Path(folder) / "terms.toml"
        terms.write_text(WITHOUT_LIMITS)
        words = ["--series", "btc-5m", "--intensity", "0.01", "--terms", str(terms)]
        return await _http_rate(orders, words)


async def _http_rate(orders: int, words: list[str]) -> float:
    async with exchange_process(*words) as (pid, line):
        market, wallet = await _market(line), line["wallet"]
        sign = _Signer(line, market)
        now_s = int((await _get(line["clob"] + "/time")).text)
        requests = [sign.place_and_cancel(number, now_s) for number in range(orders // 2)]
        assert wallet["address"] == sign.credentials.address
        begun = process_s(pid)
        async with trio.open_nursery() as nursery:
            for first in range(CONNECTIONS):
                nursery.start_soon(_send, line["clob"], requests[first::CONNECTIONS])
        return orders / (process_s(pid) - begun)


class _Signer:
    """Builds placements and cancels of one wallet, headers and all."""

    def __init__(self, line: dict[str, Any], market: Market) -> None:
        said = line["wallet"]
        self._wallet, self._market = Wallet(Secret(said["private_key"])), market
        self.credentials = Credentials(
            said["address"],
            said["api_key"],
            Secret(said["api_secret"]),
            Secret(said["passphrase"]),
        )

    def place_and_cancel(self, number: int, now_s: int) -> list[tuple[str, bytes, dict[str, str]]]:
        order = NewOrder(
            self._market, Outcome.UP if number % 2 else Outcome.DOWN, Side.BUY,
            100 * (1 + number % 5), 5 * SHARE, level=0,
        )  # fmt: skip
        signed = sign_order(
            order, wallet=self._wallet, funder=None, owner_key=self.credentials.api_key,
            salt=number + 1, timestamp_ms=now_s * 1000,
        )  # fmt: skip
        cancel = orjson.dumps({"orderID": signed.id})
        return [
            (method, body, l2_headers(self.credentials, method, "/order", body, now_s))
            for method, body in (("POST", signed.body), ("DELETE", cancel))
        ]


async def _send(url: str, requests: list[list[tuple[str, bytes, dict[str, str]]]]) -> None:
    async with httpx.AsyncClient(base_url=url) as http:
        for pair in requests:
            for method, body, headers in pair:
                reply = await http.request(method, "/order", content=body, headers=headers)
                assert reply.status_code == 200, reply.text


# --- streams ------------------------------------------------------------------------------------


@attrs.frozen
class Streams:
    """What following so many markets came to."""

    markets: int
    frames_per_s: float
    share: float  # of one core


async def streams_share(seconds: float, intensity: float) -> Streams:
    """The exchange's share of a core while both outcomes of 20 markets are followed."""
    words = [
        "--series",
        ",".join(SERIES),
        "--intensity",
        str(intensity),
        "--start",
        str(START_MS // 1000 - 60),
    ]
    async with exchange_process(*words) as (pid, line):
        tokens = await _tokens(line)
        url = line["market_ws"]
        counts = [0]
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_follow, url, tokens, counts)
            await trio.sleep(WARM_S)
            begun, frames = process_s(pid), counts[0]
            await trio.sleep(seconds)
            share = (process_s(pid) - begun) / seconds
            rate = (counts[0] - frames) / seconds
            nursery.cancel_scope.cancel()
    return Streams(len(tokens) // 2, rate, share)


async def _follow(url: str, tokens: list[str], counts: list[int]) -> None:
    async with trio_websocket.open_websocket_url(url, max_message_size=1 << 24) as socket:
        first = {"type": "market", "assets_ids": tokens, "custom_feature_enabled": True}
        await socket.send_message(json.dumps(first))
        while True:
            await socket.get_message()
            counts[0] += 1


async def _tokens(line: dict[str, Any]) -> list[str]:
    """The twenty markets that begin first: those under way and those the crowd has come to."""
    rows: list[dict[str, Any]] = []
    cursor = ""
    while True:
        query = f"?limit=100&closed=false&after_cursor={cursor}"
        page = (await _get(line["gamma"] + "/markets/keyset" + query)).json()
        rows += page["markets"]
        cursor = page.get("next_cursor", "")
        if not cursor:
            break
    rows.sort(key=lambda row: row["eventStartTime"])
    return [token for row in rows[:MARKETS] for token in json.loads(row["clobTokenIds"])]


# --- the process ----------------------------------------------------------------------------------


async def _market(line: dict[str, Any]) -> Market:
    """The first v1 market that has not begun: nobody but us trades it."""
    page = (await _get(line["gamma"] + "/markets/keyset?limit=100")).json()
    rows = sorted(page["markets"], key=lambda row: str(row["eventStartTime"]), reverse=True)
    market = parse_market(rows[0], "btc-5m")
    assert isinstance(market, Market), market
    return market


async def _get(url: str) -> httpx.Response:
    async with httpx.AsyncClient() as http:
        return await http.get(url, timeout=30)


@asynccontextmanager
async def exchange_process(*words: str) -> AsyncGenerator[tuple[int, dict[str, Any]]]:
    """An exchange alone in a process: its id and the line it says where it is with."""
    command = [sys.executable, "-m", "polybot", "exchange", "--port", "0", *words]
    process = await trio.lowlevel.open_process(command, stdout=subprocess.PIPE)
    try:
        said = b""
        while not said.endswith(b"\n"):
            assert process.stdout is not None
            part = await process.stdout.receive_some()
            assert part, "the exchange ended"
            said += part
        yield process.pid, orjson.loads(said)
    finally:
        process.terminate()
        with trio.CancelScope(shield=True):
            await process.wait()


def process_s(pid: int) -> float:
    """Processor seconds a process has used, user and system (Linux)."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _cpu_s() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_utime


# --- the table ------------------------------------------------------------------------------------


def rows(orders: int, seconds: float, intensity: float) -> list[Row]:
    engine = engine_rate(orders * 5, random.Random(1))
    http = trio.run(http_rate, orders)
    streams = trio.run(streams_share, seconds, intensity)
    return [
        Row("engine alone", f"≥ {ENGINE_LEAST}/s", f"{engine:.0f}/s", met=engine >= ENGINE_LEAST),
        Row("signed, over HTTP", f"≥ {HTTP_LEAST}/s", f"{http:.0f}/s", met=http >= HTTP_LEAST),
        Row(
            f"{streams.markets} markets followed, intensity {intensity:g}",
            f"≤ {SHARE_MOST:.0%} core",
            f"{streams.share:.0%}",
            f"{streams.frames_per_s:.0f} frames/s",
            met=streams.share <= SHARE_MOST,
        ),
    ]


def main(argv: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="polybot lab exchange-speed", description=__doc__)
    parser.add_argument("--orders", type=numbers.count, default=4_000, help="over HTTP")
    parser.add_argument(
        "--seconds", type=numbers.above(0), default=20.0, help="of following the streams"
    )
    parser.add_argument("--intensity", type=numbers.intensity, default=1.0, help="of the crowd")
    said = parser.parse_args(argv)
    figures = rows(said.orders, said.seconds, said.intensity)
    return 0 if table(sys.stdout, "the exchange", figures) else 1
