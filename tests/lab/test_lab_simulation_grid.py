"""Whose fault it is that an order is off the grid, by what has been on the wire (S2, F08)."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import attrs
import orjson
import pytest

from polybot.lab.simulation_grid import HeardGrid

UP = "71"


@attrs.define
class Ground:
    """A venue with one market, and a bot that listens to it."""

    tick: int = 100
    now: float = 0.0
    grid: HeardGrid = attrs.field(init=False)
    market: Any = None

    def __attrs_post_init__(self) -> None:
        self.market = SimpleNamespace(tokens=(UP, "72"), tick=self.tick)
        engine = SimpleNamespace(by_token={UP: self.market})
        exchange: Any = SimpleNamespace(engine=engine)
        self.grid = HeardGrid(exchange, lambda: self.now)

    def tell(self, tick: float, *, key: str = "new_tick_size", where: str = "market s") -> None:
        body = orjson.dumps([{"asset_id": UP, key: str(tick)}])
        self.grid.heard(where, b"200 GET /book\n" + body if where == "rest clob" else body)

    def off(self, price: float, side: str = "BUY", kind: str = "GTD") -> list[str]:
        making, taking = f"{price * 10_000_000:.0f}", "10000000"
        if side == "SELL":
            making, taking = taking, making
        order = {"tokenId": UP, "makerAmount": making, "takerAmount": taking, "side": side}
        body = orjson.dumps([{"order": order, "orderType": kind}])
        return list(self.grid.off(b"POST /orders\n" + body))


@pytest.mark.parametrize(
    ("key", "where"),
    [("new_tick_size", "market s"), ("tick_size", "market s"), ("tick_size", "rest clob")],
)
def test_who_has_heard_of_it_may_not(key: str, where: str) -> None:
    """By a change, a book on the stream or one asked for; a request on its way is excepted."""
    it = Ground()
    it.tell(0.01, key=key, where=where)
    assert it.off(0.485) == []

    it.now = 0.1
    assert it.off(0.485) == ["BUY at 0.485, 0.100 s after a tick of 100"]
    assert it.off(0.485, "SELL") == ["SELL at 0.485, 0.100 s after a tick of 100"]
    assert it.off(1.0)
    assert it.off(0.48) == it.off(0.48, "SELL") == []
    assert it.off(0.485, kind="FAK") == [], "its amounts are rounded otherwise"


def test_who_has_not_may() -> None:
    """Nothing heard; heard, and true no more; heard by another bot; told by a bent frame."""
    it = Ground()
    assert it.off(0.485) == []

    it.tell(0.001)
    it.grid.heard("market s", b'{"asset_id": "71", "new_tick_size"')
    it.tell(float("inf"))
    it.now = 1.0
    assert it.off(0.485) == [], "no frame of these is the venue's"

    it.tell(0.01)
    it.market.tick = 10
    it.now = 2.0
    assert it.off(0.485) == [], "what has changed again he may know as well"

    it.market.tick = 100
    it.grid.belongs_to("bot 1")
    assert it.off(0.485) == []
