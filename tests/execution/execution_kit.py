"""A market, orders, a desk and the venue's words, for the tests of execution."""

from __future__ import annotations

from itertools import count

from market_kit import BTC_5M

from polybot.domain.market import Outcome, Side
from polybot.domain.market_states import MarketState
from polybot.domain.orders import (
    Acked,
    Failure,
    FillLeg,
    NewOrder,
    OrderRow,
    OrderSeen,
    Reject,
    Rejected,
    SignedOrder,
    TradeSeen,
    TradeStatus,
    Unknown,
)
from polybot.domain.units import SHARE
from polybot.execution.actions import Action, Cancel, Post
from polybot.execution.desk import Desk
from polybot.execution.doubts import LookUp, Survey, Surveyed
from polybot.execution.firewall import Admission, Firewall
from polybot.execution.params import OrderParams
from polybot.execution.throttle import Budget
from polybot.execution.wish import Desired
from polybot.risk.breakers import ErrorRate, MarketBrakes
from polybot.risk.checks import Standing
from polybot.risk.exposure import Elsewhere, Exposure
from polybot.risk.limits import RiskParams
from polybot.risk.timetable import MarketMachine, Times, Timetable

UP, DOWN = Outcome.UP, Outcome.DOWN
Kind = OrderSeen.Kind

T0 = BTC_5M.start_ms
CUTOFF = T0 + 240_000
MARKET = BTC_5M
STOP = T0 + 210_000


def standing(
    free_cash: int, cost: int = 0, others: int = 0, *, up: int = 0, down: int = 0
) -> Standing:
    """A wallet with so much free cash and ten thousand dollars of equity; `cost` is what the Up
    shares here cost, `others` what is at risk elsewhere.
    """
    return Standing(
        free_cash, 10_000 * SHARE, Exposure(cost_up=cost, up=up, down=down), Elsewhere(others)
    )


RICH = standing(10_000 * SHARE)


def order(
    outcome: Outcome = UP, price: int = 4800, shares: int = 10, *, level: int = 0
) -> NewOrder:
    """A post-only bid; `shares` in whole shares."""
    return NewOrder(MARKET, outcome, Side.BUY, price, shares * SHARE, level=level)


def signed(order_id: str, made: NewOrder | None = None) -> SignedOrder:
    return SignedOrder(order_id, made or order(), b"{}")


class Signer:
    """Ids in the order of signing: 0x1, 0x2, …"""

    def __init__(self) -> None:
        self._ids = count(1)

    def __call__(self, made: NewOrder) -> SignedOrder:
        return signed(f"0x{next(self._ids)}", made)


def machine(state: MarketState = MarketState.QUOTING) -> MarketMachine:
    """The market's machine, past its strike, with a stop at `STOP` and a cutoff at `CUTOFF`."""
    times = Times(MARKET.end_ms - STOP, MARKET.end_ms - CUTOFF)
    return MarketMachine(MARKET, Timetable.of(MARKET, times), state)


def walled(limits: RiskParams, admission: Admission) -> Firewall:
    brakes = MarketBrakes(limits, ErrorRate(limits))
    return Firewall(MARKET, limits, machine(), admission, brakes)


def desk(
    *,
    params: OrderParams | None = None,
    limits: RiskParams | None = None,
    admission: Admission | None = None,
) -> Desk:
    # At once, unless a test is about waiting: most of them ask what leaves, not when.
    params = params or OrderParams(routine_every_ms=0)
    firewall = walled(limits or RiskParams(), admission or Admission())
    return Desk(MARKET, params, firewall, Budget.from_params(params), Signer())


def wanting(*orders: NewOrder, cap: int = 9900, pair_cap: int = 9900) -> Desired:
    """A wish for these orders with wide caps, at fair 0.50."""
    return Desired(orders, cap, cap, pair_cap, fair_up=5000)


def posts(actions: list[Action]) -> list[SignedOrder]:
    return [each for action in actions if isinstance(action, Post) for each in action.orders]


def cancels(actions: list[Action]) -> list[str]:
    return [each for action in actions if isinstance(action, Cancel) for each in action.ids]


def look_ups(actions: list[Action]) -> list[str]:
    return [action.order_id for action in actions if isinstance(action, LookUp)]


def surveys(actions: list[Action]) -> list[int]:
    return [action.since_ms for action in actions if isinstance(action, Survey)]


def surveyed(begun_ms: int, *rows: OrderRow, trades: bool = True) -> Surveyed:
    """What a survey begun then found; the list could be read."""
    return Surveyed(begun_ms, rows, trades)


def answer_reads(
    made: Desk, actions: list[Action], found: OrderRow | Failure | None, now_ms: int
) -> None:
    """Have look-ups come to that, and surveys to a list without anything."""
    for action in actions:
        if isinstance(action, LookUp):
            made.looked_up(action.order_id, found, now_ms)
        elif isinstance(action, Survey):
            made.surveyed(surveyed(now_ms), now_ms)


def acked(order_id: str, status: str = "live", taking: int = 0) -> Acked:
    return Acked(order_id, status, 0, taking * SHARE, ())


def refused(order_id: str, reason: Reject = Reject.POST_ONLY_CROSSES) -> Rejected:
    return Rejected(order_id, reason, reason.value)


def unknown(order_id: str) -> Unknown:
    return Unknown(order_id, "timed out")


def seen(order_id: str, kind: Kind = Kind.LIVE, matched: int = 0) -> OrderSeen:
    return OrderSeen(order_id, kind, matched * SHARE, kind.value, T0)


def row(order_id: str, kind: Kind = Kind.LIVE, matched: int = 0, size: int = 10) -> OrderRow:
    return OrderRow(
        order_id,
        MARKET.condition_id,
        MARKET.up_token,
        Side.BUY,
        4800,
        size * SHARE,
        matched * SHARE,
        kind,
        kind.value,
    )


def fill(
    order_id: str,
    shares: int,
    trade_id: str = "t1",
    status: TradeStatus = TradeStatus.MATCHED,
    *,
    outcome: Outcome = UP,
) -> TradeSeen:
    leg = FillLeg(order_id, MARKET.token(outcome), Side.BUY, 4800, shares * SHARE, maker=True)
    return TradeSeen(trade_id, MARKET.condition_id, status, (leg,), T0)


def resting(made: Desk, *orders: NewOrder, now_ms: int = T0) -> list[str]:
    """Wish for these orders, post them and have them acknowledged; returns their ids."""
    made.desired = wanting(*orders)
    ids = [each.id for each in posts(made.act(now_ms, RICH))]
    made.posted([acked(order_id) for order_id in ids], now_ms)
    return ids
