"""The counters and the admin pages."""

from __future__ import annotations

import json
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import trio

from polybot.clock import Clock
from polybot.exchange.admin import AdminService
from polybot.exchange.calendar import SERIES, market_for
from polybot.exchange.counters import Counters
from polybot.exchange.engine import Engine
from polybot.exchange.model import BUY, DOWN, SELL, UP, Kind, Market, Order, Refused
from polybot.exchange.net import Service, serve
from polybot.exchange.rebates import Rebates
from polybot.exchange.settlement import ClearingPolicy

START = 1_795_197_600_000
WALLET = "0x19E7E376E7C213B7E7e7e46cc70A5dD086DAff2A"
PAIRS = 10_000_000


class Desk:
    """An engine with one open market, the two services and a funded wallet."""

    def __init__(self, *, fail_ppm: int = 0) -> None:
        self.engine = Engine(rng=random.Random(1), policy=ClearingPolicy(fail_ppm=fail_ppm))
        self.counters = Counters()
        self.engine.listeners.append(self.counters.on_event)
        self.market: Market = market_for(SERIES["btc-5m"], START, 1)
        self.engine.list_market(self.market, START)
        self.engine.open_market(self.market, START)
        for account in (WALLET, "other"):
            self.engine.accounts.deposit(account, 100_000_000)
        clock = Clock.starting_at(START + 10_000)
        self.rebates = Rebates(self.engine, 20, START)
        self.admin = AdminService(self.engine, self.counters, clock)
        self.admin.figures.append(lambda w: {"rebates_accrued": self.rebates.accrued(w)})
        self._number = 0

    def place(self, account: str, side: str, price: int, size: int, *, outcome: int = UP) -> str:
        self._number += 1
        order = Order(
            f"0x{self._number:x}", f"key of {account}", account, self.market,
            self.market.tokens[outcome], side, price, size, Kind.GTC,
        )  # fmt: skip
        now_ms = START + 1000 * self._number
        self.engine.place(order, now_ms, lambda result: self.heard(account, result))
        self.engine.advance(now_ms + 500)
        return order.id

    def heard(self, account: str, result: object) -> None:
        """What the order routes do with a refusal."""
        if isinstance(result, Refused):
            self.counters.refuse(account, result.error)


@asynccontextmanager
async def client(service: Service) -> AsyncIterator[httpx.AsyncClient]:
    async with trio.open_nursery() as nursery:
        port = await nursery.start(serve, service, 0)
        async with httpx.AsyncClient(
            base_url=f"http://127.0.0.1:{port}", headers={"POLY_ADDRESS": WALLET}
        ) as web:
            yield web
        nursery.cancel_scope.cancel()


async def test_the_state_is_the_exchanges_own_count() -> None:
    """Live orders, money, fees and estimated rebates of one account, from the engine's books."""
    desk = Desk()
    first = desk.place(WALLET, BUY, 5_000, 10_000_000)
    desk.place(WALLET, BUY, 4_900, 10_000_000)
    desk.place("other", BUY, 5_000, 4_000_000 + 1_000_000, outcome=DOWN)
    desk.place(WALLET, BUY, 4_950 + 3, 10_000_000)
    desk.engine.cancel(first, f"key of {WALLET}", START + 9_000)
    async with client(desk.admin.service) as web:
        mine = (await web.get(f"/state?address={WALLET}")).json()
        theirs = (await web.get("/state?address=other")).json()
        nobody = (await web.get("/state")).json()
        live = (await web.get(f"/live-orders?owner=key of {WALLET}")).json()
        counts = (await web.get("/counters")).json()
    assert (mine["live_orders"], len(live), live[0]["price"]) == (1, 1, 4_900)
    assert (mine["orders_received"], mine["invalid_orders"]) == (3, 1)
    assert mine["cash"] == 100_000_000 - 2_500_000
    assert mine["reserved"] == 4_900_000
    assert (mine["fills"], mine["volume"], mine["fees"]) == (1, 5_000_000, 0)
    assert theirs["fees"] == 5_000_000 * 7 // 100 // 4
    assert mine["rebates_accrued"] == theirs["fees"] * 20 // 100
    (shown,) = mine["markets"]
    assert (shown["slug"], shown["phase"], shown["shares"]) == (
        desk.market.slug,
        "open",
        [5_000_000, 0],
    )
    assert (nobody["live_orders"], nobody["cash"]) == (0, 0)
    assert counts["placed"] == 3
    assert counts["trades"] == 1
    assert counts["cancelled: CANCELED"] == 1
    (refusal,) = [name for name in counts if name.startswith("refused: ")]
    assert "0x4" not in refusal


async def test_markets_to_come_are_not_in_the_state() -> None:
    """Only what has begun, or is held, is worth showing out of a day of listings."""
    desk = Desk()
    later = market_for(SERIES["btc-5m"], START + 3_600_000, 1)
    desk.engine.list_market(later, START)
    assert json.loads(json.dumps(desk.admin.state(WALLET)))["markets"][0]["slug"] != later.slug
    assert len(desk.admin.state(WALLET)["markets"]) == 1  # type: ignore[arg-type]
    desk.engine.split(WALLET, later, PAIRS, START)
    assert len(desk.admin.state(WALLET)["markets"]) == 2  # type: ignore[arg-type]


async def test_a_failed_trade_takes_its_figures_back() -> None:
    """After FAILED nothing of the trade is left in the tallies but its count."""
    desk = Desk(fail_ppm=1_000_000)
    desk.engine.split("other", desk.market, PAIRS, START)
    desk.place(WALLET, BUY, 5_000, 5_000_000)
    desk.place("other", SELL, 5_000, 5_000_000)
    assert desk.rebates.accrued(WALLET) > 0
    desk.engine.advance(START + 120_000)
    tally = desk.counters.accounts["other"]
    assert (tally.fees, tally.fills, tally.volume) == (0, 0, 0)
    assert desk.rebates.accrued(WALLET) == 0
    assert desk.counters.totals["trades failed"] == 1


def test_refusal_texts_stay_few() -> None:
    """Ids and token numbers are cut out, so a thousand orders make one line."""
    counters = Counters()
    for number in range(1000):
        counters.refuse("a", f"order 0x{number:064x} is invalid. Duplicated.")
        counters.refuse("a", f"the orderbook {10**70 + number} does not exist")
        counters.refuse("a", f"the balance is not enough -> balance: {number}, order amount: 7")
    assert len(counters.totals) == 3
    assert counters.accounts["a"].refused == 3000
