"""Every delta of a long day of trading, checked by a client that knows only the reference."""

from __future__ import annotations

import hashlib
import random
from typing import Any

import orjson
import pytest
import trio
from clob_kit import DOWN_TOKEN, T0, UP_TOKEN, ClobKit
from trio.testing import MockClock
from wire_kit import Wire

from polybot.exchange.model import BUY, SELL, Kind, Order, Status, Traded
from polybot.exchange.money import UNIT

ENTRIES = 100_000
CENTS = range(20, 81)


class SlowBook:
    """One token's book as feeds.md 3 defines its hash: texts as received, sorted anew each time."""

    def __init__(self, dump: dict[str, Any]) -> None:
        self.market, self.token = dump["market"], dump["asset_id"]
        self.tick, self.last_trade = dump["tick_size"], dump["last_trade_price"]
        self.sides: dict[str, dict[str, str]] = {
            side: {level["price"]: level["size"] for level in dump[name]}
            for side, name in ((BUY, "bids"), (SELL, "asks"))
        }

    def apply(self, entry: dict[str, str]) -> None:
        side = self.sides[entry["side"]]
        side.pop(entry["price"], None)
        if entry["size"] != "0":
            side[entry["price"]] = entry["size"]

    def levels(self, side: str) -> list[dict[str, str]]:
        prices = sorted(self.sides[side], key=float, reverse=side == SELL)
        return [{"price": price, "size": self.sides[side][price]} for price in prices]

    def hash(self, timestamp: str) -> str:
        summary = {
            "market": self.market,
            "asset_id": self.token,
            "timestamp": timestamp,
            "hash": "",
            "bids": self.levels(BUY),
            "asks": self.levels(SELL),
            "min_order_size": "5",
            "tick_size": self.tick,
            "neg_risk": False,
            "last_trade_price": self.last_trade,
        }
        return hashlib.sha1(orjson.dumps(summary), usedforsecurity=False).hexdigest()


class Trader:
    """Places, crosses and cancels at random, one act a millisecond."""

    def __init__(self, kit: ClobKit) -> None:
        self.engine, self.market = kit.engine, kit.market
        self.rng = random.Random(8)
        self.live: list[Order] = []
        self.number = 0
        self.engine.unread.add("crowd")
        self.engine.accounts.deposit("crowd", 10**15)
        self.engine.split("crowd", kit.market, 10**14, T0)

    def act(self) -> None:
        self.number += 1
        now_ms, rng = T0 + self.number, self.rng
        if len(self.live) > 250:
            order = self.live.pop(rng.randrange(len(self.live)))
            self.engine.cancel(order.id, "crowd", now_ms)
            return
        token, side = rng.choice(self.market.tokens), rng.choice((BUY, SELL))
        middle = 50 if rng.random() < 0.1 else (40 if side == BUY else 60)
        cents = min(max(round(rng.gauss(middle, 8)), CENTS[0]), CENTS[-1])
        order = Order(
            f"0x{self.number:x}", "crowd", "crowd", self.market, token, side, cents * 100,
            rng.randint(500, 90_000) * UNIT // 100, Kind.GTC,
        )  # fmt: skip
        self.engine.place(order, now_ms, lambda _: None)
        if order.status is Status.LIVE:
            self.live.append(order)


@pytest.mark.conforms("feeds-12.1-hash", "feeds-12.1-hash-last-trade", "feeds-12.1-delta-total")
async def test_the_hash_of_every_delta_is_that_of_the_book_after_it(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    """A hundred thousand entries, none of them off, trades and cancels among them (feeds.md 3)."""
    kit = ClobKit()
    trader, wire = Trader(kit), Wire()
    nursery.start_soon(kit.server._market_stream.session, wire)
    first = {"type": "market", "assets_ids": [UP_TOKEN, DOWN_TOKEN]}
    (dumps,) = await wire.tell(first)
    books = {dump["asset_id"]: SlowBook(dump) for dump in dumps}
    trades: list[Traded] = []
    kit.engine.listeners.append(lambda e: trades.append(e) if isinstance(e, Traded) else None)
    checked = 0
    while checked < ENTRIES:
        trader.act()
        if trades:  # the hash knows of a trade before its print has come
            for book in books.values():
                book.last_trade = f"{trades[-1].trade.price / 10_000:.3f}"
        for message in wire.take():
            if message["event_type"] != "price_change":
                book = books[message["asset_id"]]
                assert message["hash"] == book.hash(message["timestamp"])
                continue
            for entry in message["price_changes"]:
                books[entry["asset_id"]].apply(entry)
            now = {token: book.hash(message["timestamp"]) for token, book in books.items()}
            for entry in message["price_changes"]:
                assert entry["hash"] == now[entry["asset_id"]]
                checked += 1
    assert len(trades) > 1_000
