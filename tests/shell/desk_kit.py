"""A market and a desk for the tests of the shell."""

from __future__ import annotations

from itertools import count

import attrs
from market_kit import BTC_5M

from polybot.domain.market_states import MarketState
from polybot.domain.orders import NewOrder, SignedOrder
from polybot.execution.desk import Desk
from polybot.execution.firewall import Admission, Firewall
from polybot.execution.params import OrderParams
from polybot.execution.throttle import Budget
from polybot.risk.breakers import ErrorRate, MarketBrakes
from polybot.risk.limits import RiskParams
from polybot.risk.timetable import MarketMachine, Times, Timetable

START = BTC_5M.start_ms
MARKET = attrs.evolve(BTC_5M, slug="btc-updown-5m-1790000100")


def desk() -> Desk:
    ids = count(1)

    def sign(made: NewOrder) -> SignedOrder:
        return SignedOrder(f"0x{next(ids)}", made, b"{}")

    params = OrderParams(routine_every_ms=0)
    limits, table = RiskParams(), Timetable.of(MARKET, Times(120_000, 60_000))
    machine = MarketMachine(MARKET, table, MarketState.QUOTING)
    brakes = MarketBrakes(limits, ErrorRate(limits))
    firewall = Firewall(MARKET, limits, machine, Admission(), brakes)
    return Desk(MARKET, params, firewall, Budget.from_params(params), sign)
