"""The reading half of `live-feeds`: sockets and polls of another venue, heard into a `MirrorWorld`.

Every task lives for ever: a connection that fails, falls silent or says nonsense is given up and
made again after a full-jitter wait (feeds.md 2.2). Silence counts although PING is answered, as the
venue's sockets are known to stall like that (feeds.md 2.6), unless the books over REST are those of
the mirror: then the market is quiet (reliability.md F01, F03).
"""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from functools import partial
from itertools import islice
from typing import Any

import httpx
import orjson
import trio
from loguru import logger
from trio_websocket import (
    ConnectionClosed,
    HandshakeError,
    WebSocketConnection,
)

from polybot.clock import Clock
from polybot.exchange.calendar import LISTED_AHEAD_MS, slug_of, under_way, windows
from polybot.exchange.mirror_gamma import read_market, read_published
from polybot.exchange.mirror_messages import Snapshot, read_frame, read_message
from polybot.exchange.mirror_polybolt import MirrorPolybolt
from polybot.exchange.mirror_site import MirrorSite
from polybot.exchange.mirror_socket import CONNECT_S, connected, next_object, send
from polybot.exchange.mirror_world import Fact, Lost, MirrorWorld, Price
from polybot.exchange.model import DOWN, UP, Market, Phase, Series
from polybot.exchange.terms import Terms

AHEAD = 2  # windows after the current one that are mirrored
POLL_S = 2.0  # of Gamma, for what has no stream: 3 to 5 markets a series, far below its limits
PING_S = 10.0
SILENT_S = 15.0  # without market data: the mirror is stale, or the market quiet
DOUBT_S = 2.0  # between two looks at a stream that may have stalled
BACKOFF_S, BACKOFF_MOST_S = 0.25, 30.0
RTDS_PING_S = 5.0
THIN_MS = 100  # between two Binance prices: nothing reads them faster
FAILURES = (
    ConnectionClosed, HandshakeError, OSError, trio.TooSlowError, ValueError, TypeError, KeyError,
    httpx.HTTPError,
)  # fmt: skip
Hear = Callable[[Fact], None]
Reader = Callable[[Hear], Awaitable[None]]


class Thinned:
    """Of many trades a few: the first and the last of each second, with which candles begin and
    end, and between them one each `THIN_MS`.
    """

    def __init__(self) -> None:
        self._told_ms: dict[str, int] = {}  # by asset
        self._left_out: dict[str, Price] = {}  # by asset: the newest of them

    def take(self, price: Price) -> list[Price]:
        """What is to be told now that this one is known."""
        told_ms = self._told_ms.get(price.asset, 0)
        turned = price.stamp_ms // 1000 != told_ms // 1000
        if not turned and price.stamp_ms < told_ms + THIN_MS:
            self._left_out[price.asset] = price
            return []
        self._told_ms[price.asset] = price.stamp_ms
        last = self._left_out.pop(price.asset, None)
        return [last, price] if turned and last is not None else [price]


class MirrorFeed:
    """Reads one site for one world. `run` never returns; call `prepare` before it."""

    def __init__(
        self, world: MirrorWorld, site: MirrorSite, rng: random.Random,
        *, terms: Terms = Terms(), silent_s: float = SILENT_S,
    ) -> None:  # fmt: skip
        self._world, self._site, self._rng = world, site, rng
        self._terms, self._silent_s = terms, silent_s
        self._markets: dict[str, Market] = {}  # by slug, until they are resolved
        self._outcomes: dict[str, tuple[str, int]] = {}  # by token
        self._socket: WebSocketConnection | None = None
        self._heard = 0

    async def prepare(self) -> None:
        """Hear an hour of prices. ValueError when the site cannot be reached or is not one."""
        async with self._client() as http:
            for asset in self._world.assets:
                url = f"{self._site.binance_rest}/api/v3/klines"
                query = {"symbol": f"{asset.upper()}USDT", "interval": "1m", "limit": "70"}
                try:
                    rows = await self._get(http, url, query)
                    for row in rows:
                        price = Price("binance", asset, int(row[0]), float(row[1]))
                        self._world.hear(price, 0)
                except (*FAILURES, LookupError, TypeError) as error:
                    raise ValueError(f"no prices at {url} ({error!r}): is the site up?") from error
                if not self._world.source.knows(asset):
                    raise ValueError(f"{url} knows no prices of {asset}: leave its series out")

    async def run(self, clock: Clock) -> None:
        """Read everything until cancelled."""
        async with self._client() as http, trio.open_nursery() as nursery:

            def hear(fact: Fact) -> None:
                self._world.hear(fact, clock.now_ms())

            nursery.start_soon(self._poll, http, clock, hear)
            stream = partial(self._market_stream, http)
            nursery.start_soon(self._for_ever, "market stream", stream, hear)
            nursery.start_soon(self._for_ever, "Binance", self._binance, hear)
            if self._site.polybolt:
                prices = MirrorPolybolt(self._site, self._world.assets, self._told)
                nursery.start_soon(self._for_ever, "PolyBolt", prices.read, hear)
            elif self._site.rtds_ws:
                nursery.start_soon(self._for_ever, "RTDS", self._rtds, hear)

    def _client(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(timeout=None, trust_env=False)  # noqa: S113 - see `_get`

    async def _get(self, http: httpx.AsyncClient, url: str, query: dict[str, str]) -> Any:
        """The decoded answer, None for a 404."""
        with trio.fail_after(CONNECT_S):
            reply = await http.get(url, params=query)
        if reply.status_code == httpx.codes.NOT_FOUND:
            return None
        if reply.status_code != httpx.codes.OK:
            raise ValueError(f"{url} answers {reply.status_code}")
        return orjson.loads(reply.content)

    async def _for_ever(self, what: str, read: Reader, hear: Hear) -> None:
        """Connect again and again; a connection that told something starts the waits anew."""
        failed = 0
        while True:
            before = self._heard
            try:
                await read(hear)
            except* FAILURES as errors:
                failed = failed + 1 if self._heard == before else 1
                logger.warning("live feeds: {} lost ({!r})", what, errors.exceptions[0])
            wait_s = min(BACKOFF_S * 2 ** min(failed, 10), BACKOFF_MOST_S)
            await trio.sleep(self._rng.random() * wait_s)

    # --- markets ---------------------------------------------------------------------

    async def _poll(self, http: httpx.AsyncClient, clock: Clock, hear: Hear) -> None:
        while True:
            try:
                await self._discover(http, clock.now_ms(), hear)
                await self._resync(http, hear)
            except* FAILURES as errors:
                logger.warning("live feeds: Gamma or CLOB failed ({!r})", errors.exceptions[0])
            await trio.sleep(POLL_S)

    async def _discover(self, http: httpx.AsyncClient, now_ms: int, hear: Hear) -> None:
        """List the current windows and the next, and ask after those whose life moves."""
        for series in self._world.series:
            first_ms = under_way(series, now_ms)
            starts = windows(series, first_ms, first_ms + 4 * LISTED_AHEAD_MS)  # days are longest
            for start_ms in islice(starts, AHEAD + 1):
                slug = slug_of(series, start_ms)
                if slug is not None and slug not in self._markets:
                    await self._list(http, slug, series, hear)
        for market in list(self._markets.values()):
            if market.phase is Phase.RESOLVED:
                await self._drop(market)
            elif now_ms >= market.start_ms:
                raw = await self._get(http, f"{self._site.gamma}/markets/slug/{market.slug}", {})
                if raw is not None:
                    hear(read_published(raw))

    async def _list(self, http: httpx.AsyncClient, slug: str, series: Series, hear: Hear) -> None:
        raw = await self._get(http, f"{self._site.gamma}/markets/slug/{slug}", {})
        if raw is None:
            return
        market = read_market(raw, series, self._terms.taker_delay_ms)
        hear(market)
        hear(read_published(raw))
        self._markets[slug] = market
        for outcome in (UP, DOWN):
            self._outcomes[market.tokens[outcome]] = market.condition_id, outcome
        await self._tell("subscribe", market)

    async def _drop(self, market: Market) -> None:
        await self._tell("unsubscribe", market)
        del self._markets[market.slug]
        for token in market.tokens:
            del self._outcomes[token]

    async def _tell(self, operation: str, market: Market) -> None:
        """Change the subscription of the stream, if it is up: a new one begins with all."""
        if self._socket is not None:
            ids: dict[str, object] = {"operation": operation, "assets_ids": list(market.tokens)}
            await send(self._socket, ids | {"custom_feature_enabled": True})

    async def _resync(self, http: httpx.AsyncClient, hear: Hear) -> None:
        for market in list(self._markets.values()):
            if market.condition_id in self._world.doubtful:
                query = {"token_id": market.tokens[UP]}
                book = await self._get(http, f"{self._site.clob}/book", query)
                for beat in read_message(book, self._outcomes) if book is not None else ():
                    hear(beat)

    async def _market_stream(self, http: httpx.AsyncClient, hear: Hear) -> None:
        async with connected(self._site.market_ws, PING_S) as socket:
            first = {"type": "market", "assets_ids": sorted(self._outcomes)}
            await send(socket, first | {"custom_feature_enabled": True})
            self._socket = socket
            try:
                await self._read_market(socket, http, hear)
            finally:
                self._socket = None
                hear(Lost("the market stream was lost"))

    async def _read_market(
        self, socket: WebSocketConnection, http: httpx.AsyncClient, hear: Hear
    ) -> None:
        patience_s, doubted = self._silent_s, False
        until = trio.current_time() + patience_s
        while True:
            with trio.move_on_at(until) as waiting:
                beats = read_frame(await socket.get_message(), self._outcomes)
                for beat in beats:
                    hear(beat)
                    self._told()
                if beats:
                    patience_s, doubted = self._silent_s, False
                    until = trio.current_time() + patience_s
            if waiting.cancelled_caught:
                if not await self._stale(http):
                    patience_s, doubted = self._silent_s, False
                elif doubted:
                    raise trio.TooSlowError(f"no market data for {self._silent_s:g} s")
                else:
                    # What changed between the last frame and the answer is on its way.
                    patience_s, doubted = min(DOUBT_S, self._silent_s), True
                until = trio.current_time() + patience_s

    async def _stale(self, http: httpx.AsyncClient) -> bool:
        """Whether a book over there is another than the mirror's."""
        for market in list(self._markets.values()):
            query = {"token_id": market.tokens[UP]}
            book = await self._get(http, f"{self._site.clob}/book", query)
            for beat in read_message(book, self._outcomes) if book is not None else ():
                if isinstance(beat, Snapshot) and not self._world.shows(beat):
                    return True
        return False

    def _told(self) -> None:
        self._heard += 1

    # --- prices ----------------------------------------------------------------------

    async def _binance(self, hear: Hear) -> None:
        names = "/".join(f"{asset}usdt@aggTrade" for asset in self._world.assets)
        thinned = Thinned()
        async with connected(f"{self._site.binance_ws}/stream?streams={names}", None) as socket:
            while True:
                data = (await next_object(socket)).get("data", {})
                asset = str(data.get("s", "")).lower().removesuffix("usdt")
                if asset in self._world.assets:
                    for price in thinned.take(Price("binance", asset, data["T"], float(data["p"]))):
                        hear(price)
                        self._heard += 1

    async def _rtds(self, hear: Hear) -> None:
        """Without a filter, as the official client: the safest form (feeds.md 6)."""
        wanted = {"topic": "crypto_prices_chainlink", "type": "update"}
        async with connected(self._site.rtds_ws, RTDS_PING_S) as socket:
            await send(socket, {"action": "subscribe", "subscriptions": [wanted]})
            while True:
                payload = (await next_object(socket)).get("payload", {})
                asset, _, quote = str(payload.get("symbol", "")).partition("/")
                if quote == "usd" and asset in self._world.assets:
                    for point in payload.get("data", [payload]):
                        value = float(point["value"])
                        hear(Price("chainlink", asset, point["timestamp"], value))
                    self._heard += 1
