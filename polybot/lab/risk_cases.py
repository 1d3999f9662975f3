"""What signals, limits and the market's machine cost: they run on every decision and every order,
and the kill switch before all else.
"""

from __future__ import annotations

from polybot.domain.market import Market, Outcome, Side
from polybot.domain.market_states import MarketState
from polybot.domain.orders import NewOrder
from polybot.domain.units import ONE, SHARE, USD
from polybot.execution.firewall import Admission, Firewall
from polybot.execution.wish import Desired
from polybot.risk.breakers import ErrorRate, MarketBrakes
from polybot.risk.checks import Standing
from polybot.risk.exposure import Elsewhere, Exposure
from polybot.risk.limits import RiskParams
from polybot.risk.timetable import Known, MarketMachine, Times, Timetable
from polybot.signal.board import Look, SignalBoard, SignalMemory
from polybot.signal.inputs import Depth, Filled, Priced, Print
from polybot.signal.params import NAMES, SignalParams

STEP_MS = 50  # the shortest time between two decisions


class Market5m:
    """A board with everything on it: a full tape, fills on their way, a second window, and a clock
    that goes on with every event; after two minutes it begins a new window.
    """

    def __init__(self, market: Market) -> None:
        self.market, self.n = market, 0
        self.memory = SignalMemory(SignalParams(acting=NAMES, earn_calls=0.0))
        self.board = self._fresh()
        bids = tuple((5300 - 100 * n, (200 + n) * SHARE) for n in range(5))
        asks = tuple((5500 + 100 * n, (200 + n) * SHARE) for n in range(5))
        flip = tuple((ONE - price, size) for price, size in asks)
        flop = tuple((ONE - price, size) for price, size in bids)
        self.books = (Depth(bids, asks), Depth(flip, flop))

    def _fresh(self) -> SignalBoard:
        self.memory.settled(self.market.condition_id, SHARE)
        return self.memory.board(self.market, 0.15)

    def now(self) -> int:
        self.n += 1
        if self.n % 2_400 == 0:
            self.board = self._fresh()
        return self.market.start_ms + self.n * STEP_MS

    def look(self) -> None:
        """One decision's worth: before and after it."""
        now = self.now()
        wobble = (self.n * 7919 % 100) / 1e6
        priced = Priced(0.54 + wobble, 0.02, 90_000.0 * (1 + wobble), 8e-5)
        up, down = self.books
        self.board.look(Look(now, priced, up, down, {Outcome.UP: 5300, Outcome.DOWN: 4400}))
        self.board.decided(0.54 + wobble, 0.01, now)

    def print(self) -> None:
        side = Side.BUY if self.n % 3 else Side.SELL
        self.board.printed(Print(Outcome.UP, side, 5400, 10 * SHARE), self.now())

    def fill(self) -> None:
        now = self.now()
        self.board.filled(Filled((str(self.n), "o"), Outcome.UP, 5300, 10 * SHARE, 0), now)
        self.board.decided(0.54, 0.01, now)


def guarded(market: Market) -> tuple[Firewall, NewOrder, Desired, Standing]:
    """A firewall, a good order and where the wallet stands."""
    limits = RiskParams()
    machine = MarketMachine(
        market, Timetable.of(market, Times(120_000, 60_000)), MarketState.QUOTING
    )
    machine.learn(Known(book=True, strike=True, open_orders=1), market.start_ms + 1_000)
    firewall = Firewall(
        market, limits, machine, Admission(), MarketBrakes(limits, ErrorRate(limits))
    )
    order = NewOrder(market, Outcome.UP, Side.BUY, 5300, 10 * SHARE)
    wish = Desired((order,), 5400, 4500, 9900, 5400)
    held = Exposure(20 * USD, 15 * USD, 40 * SHARE, 30 * SHARE)
    standing = Standing(500 * USD, 2_000 * USD, held, Elsewhere(50 * USD, 9 * USD, 9 * USD, 4))
    return firewall, order, wish, standing
