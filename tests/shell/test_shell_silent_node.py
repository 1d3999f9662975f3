"""A Polygon node that hangs, many windows that wait for their results, and dollars that go."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs
import orjson
import pytest
import trio
from market_kit import BTC_5M
from shell_kit import Scene, playing
from venue_bent import Act, Handler, answer, changed, silence

from polybot.balances import DRIFT
from polybot.domain.market import Side
from polybot.domain.orders import FillLeg, TradeSeen, TradeStatus
from polybot.domain.units import SHARE, USD
from polybot.exchange.net import Request, Response
from polybot.journal.entries import Known, Paid, Told
from polybot.patient_clock import PatientClock

OLD = 12  # windows: an hour of one series
STOLEN = 7 * USD
HALTS_WITHIN_S = 20.0  # five seconds (G14), and looks two seconds apart, with some to spare


async def hold_old_windows(it: Scene) -> set[str]:
    """Ten Up of each of some windows that have ended and have no result yet."""
    account, tokens = it.bot.ctx.account, set()
    for n in range(OLD):
        key = f"0x{n + 1:064x}"
        up, down = str(10_000 + n), str(20_000 + n)
        market = attrs.evolve(
            BTC_5M, condition_id=key, slug=f"old-{n}", up_token=up, down_token=down
        )
        leg = FillLeg(f"0xold{n}", up, Side.BUY, 5000, 10 * SHARE, maker=True)
        trade = TradeSeen(f"old-{n}", key, TradeStatus.CONFIRMED, (leg,), market.start_ms)
        account.own(leg.order_id, key)
        await account.learn(Known(market), Told(key, trade), Paid("deposit", 5 * USD, f"old {n}"))
        tokens |= {up, down}
    return tokens


def balances(tokens: set[str], stolen: Callable[[], int]) -> Act:
    """The venue's, with those of the old windows."""

    async def act(request: Request, handle: Handler) -> Response:
        token = request.query.get("token_id", "")
        if token in tokens:
            there = 10 * SHARE if token.startswith("1") else 0
            return Response(200, orjson.dumps({"balance": str(there), "allowances": {}}))
        response = await handle(request)
        row: Any = orjson.loads(response.body)
        if not token and "balance" in row:
            row["balance"] = str(int(row["balance"]) - stolen())
        return attrs.evolve(response, body=orjson.dumps(row))

    return act


@pytest.mark.parametrize("hanging", [False, True], ids=["node answers at once", "node hangs"])
async def test_a_theft_halts_soon_whatever_the_node_does(
    hanging: bool, fast_clock: PatientClock
) -> None:
    """Cash that goes halts trading after some seconds (G14), also while the Polygon node answers
    nothing and a dozen windows wait for their results.
    """
    stolen = 0
    async with playing() as it:
        tokens = await hold_old_windows(it)
        it.venue.bend("GET", "/balance-allowance", act=balances(tokens, lambda: stolen))
        it.venue.bend("POST", "", "/", act=silence if hanging else answer(503), service="rpc")
        await it.idle()
        it.wake()
        await it.until(lambda: it.gate is None, "all is well")
        stolen = STOLEN
        began_ms = it.venue.clock.now_ms()
        await it.until(lambda: DRIFT in it.bot.ctx.health.halted, "it halts", 200)
        took_s = (it.venue.clock.now_ms() - began_ms) / 1000
    assert took_s <= 20 + HALTS_WITHIN_S, took_s  # a look of the cadence, then the five seconds


@pytest.mark.parametrize("hanging", [False, True], ids=["node answers at once", "node hangs"])
async def test_a_fill_that_is_listed_late_is_no_drift_whatever_the_node_does(
    hanging: bool, fast_clock: PatientClock
) -> None:
    """A fill that no stream tells and that is listed twenty seconds later only pauses trading
    (F29), also while the Polygon node answers nothing.
    """
    async with playing() as it:
        tokens = await hold_old_windows(it)
        it.venue.bend("GET", "/balance-allowance", act=balances(tokens, lambda: 0))
        it.venue.bend("POST", "", "/", act=silence if hanging else answer(503), service="rpc")
        unlisted = it.venue.bend(
            "GET", "/data/trades", act=changed(lambda row: row.update(data=[], count=0))
        )
        told = (b'"trade"', b"UPDATE")
        line = it.venue.lines["user_ws"]
        line.passes = lambda data: not any(word in data for word in told)
        it.venue.crowd.hushed = True
        await it.filled()
        await it.until(lambda: it.gate is not None, "trading pauses", 40)
        await trio.sleep(20)
        it.venue.lines["user_ws"].flow()
        it.venue.bends.remove(unlisted)
        await trio.sleep(100)
        assert not it.bot.ctx.health.halted
