"""One decision whole, as the quote task and its desk make it: prices and books in, what should
leave out. Every call has another price and another book than the one before.
"""

from __future__ import annotations

import random

import attrs

from polybot.domain.market import Market, Outcome
from polybot.domain.market_states import MarketState
from polybot.domain.orders import Acked, NewOrder, SignedOrder
from polybot.domain.prices import Feed
from polybot.domain.units import ONE, SHARE
from polybot.execution.actions import Action
from polybot.execution.desk import Desk
from polybot.execution.firewall import Admission, Firewall
from polybot.execution.params import OrderParams
from polybot.execution.throttle import Budget
from polybot.pricing.board import PriceBoard
from polybot.quoter import wish
from polybot.quoting.decide import decide
from polybot.quoting.model import BookView, Decision, QuoteInputs
from polybot.quoting.orders import OrderMaker
from polybot.quoting.params import CompletionParams, QuoteParams, RewardParams
from polybot.risk.breakers import ErrorRate, MarketBrakes
from polybot.risk.checks import Standing
from polybot.risk.limits import RiskParams
from polybot.risk.timetable import MarketMachine, Times, Timetable

MOMENTS = 48  # they come round again: no two that follow one another are alike
WAIT = 4  # decisions that a routine move waits
STEP_MS = 50  # the shortest time between two decisions
LEVELS = 3
HELD_UP, HELD_DOWN, NET_LIMIT = 30 * SHARE, 20 * SHARE, 100 * SHARE


@attrs.frozen
class _Moment:
    """What is new at one decision: the prices as they are known then, and both books."""

    now_ms: int
    board: PriceBoard
    up: BookView
    down: BookView


def _books(n: int) -> tuple[BookView, BookView]:
    """Five levels a side of other sizes each time. The best bid or ask is a tick away from us for a
    fifth of a second in every one: as long as routine moves wait.
    """
    rng, step = random.Random(n), n // WAIT % 8
    bid, ask = 5100 - 100 * (step == 1), 5800 + 100 * (step == 5)

    def size() -> int:
        return SHARE * rng.randint(100, 400)

    up = BookView(
        tuple((bid - 100 * n, size()) for n in range(5)),
        tuple((ask + 100 * n, size()) for n in range(5)),
    )
    down = BookView(
        tuple((ONE - price, size) for price, size in up.asks),
        tuple((ONE - price, size) for price, size in up.bids),
    )
    return up, down


def moments(market: Market, first_ms: int) -> list[_Moment]:
    """Decisions that follow one another, each with a trade of the exchange since the last."""
    found = []
    for n in range(MOMENTS):
        rng, board, price, average = random.Random(7), PriceBoard(), 90_000.0, 90_000.0
        now_ms = first_ms + n * STEP_MS
        for at_ms in range(first_ms - 120_000, first_ms + 1, 1000):
            price *= 1 + rng.gauss(0, 8e-5)
            board.on_tick(Feed.BINANCE, "BTCUSDT", price + 20.0, at_ms, at_ms)
            board.on_tick(Feed.CHAINLINK, "btcusd", price, at_ms, at_ms)
            average += (price - average) / 60
            board.on_tick(Feed.TWAP60, "btcusd", average, at_ms, at_ms)
        board.official_strike(market, price * 0.99989, market.start_ms)
        for _ in range(n + 1):
            price *= 1 + rng.gauss(0, 1.5e-6)
        board.on_tick(Feed.BINANCE, "BTCUSDT", price + 20.0, now_ms, now_ms)
        found.append(_Moment(now_ms, board, *_books(n)))
    return found


def _desk(market: Market, table: Timetable) -> Desk:
    """A desk whose routine moves wait, so that what rests can stay the same."""
    limits, params = RiskParams(), OrderParams(routine_every_ms=10_000)
    machine = MarketMachine(market, table, MarketState.QUOTING)
    brakes = MarketBrakes(limits, ErrorRate(limits))
    wall = Firewall(market, limits, machine, Admission(), brakes)
    return Desk(market, params, wall, Budget.from_params(params), _signed)


def _signed(order: NewOrder) -> SignedOrder:
    return SignedOrder(f"{order.outcome.value}{order.price}", order, b"")


@attrs.define(eq=False)
class Decisions:
    """Fair value, inputs, six quotes, the wish made of them, and what it means for six orders."""

    market: Market
    params: QuoteParams = QuoteParams(levels=LEVELS)
    completion: CompletionParams = CompletionParams()
    rewards: RewardParams = RewardParams()
    standing: Standing = Standing(free_cash=10**9, equity=10**10)
    table: Timetable = attrs.field(init=False)
    desk: Desk = attrs.field(init=False)
    moments: list[_Moment] = attrs.field(init=False)
    own: dict[tuple[Outcome, int], int] = attrs.field(factory=dict)
    maker: OrderMaker = attrs.field(factory=OrderMaker)
    n: int = 0
    decision: Decision = Decision((), ())
    actions: list[Action] = attrs.field(factory=list)

    def __attrs_post_init__(self) -> None:
        self.table = Timetable.of(self.market, Times(120_000, 60_000))
        self.desk = _desk(self.market, self.table)
        self.moments = moments(self.market, self.market.start_ms + 60_000)
        self.step()
        placed = list(self.desk.table.open())
        acks = [Acked(each.id, "live", 0, 0, ()) for each in placed]
        self.desk.posted(acks, self.moments[0].now_ms)
        self.own.update(
            ((each.order.toward, each.order.bid_price), each.order.size) for each in placed
        )

    def step(self) -> None:
        """One decision."""
        self.n = (self.n + 1) % MOMENTS
        moment, market, desk = self.moments[self.n], self.market, self.desk
        inputs = QuoteInputs(
            market,
            moment.now_ms,
            moment.board.fair(market, moment.now_ms),
            moment.up,
            moment.down,
            market.tick,
            HELD_UP,
            HELD_DOWN,
            self.own,
            NET_LIMIT,
            MarketState.QUOTING,
            self.table,
            HELD_UP - HELD_DOWN,
            apart_since_ms=self.decision.apart_since_ms,
        )
        self.decision = decide(inputs, self.params, self.completion, self.rewards)
        last_ms = self.table.cutoff_ms
        desk.desired = wish(market, self.decision, last_ms, moment.now_ms, 30, self.maker)
        self.actions = desk.act(moment.now_ms, self.standing)

    def check(self) -> None:
        """Six quotes each time, never twice at one fair price, and at several prices; what rests is
        good enough at times, and else it waits.
        """
        fairs, tops, waits = set[float | None](), set[tuple[Outcome, int]](), 0
        for _ in range(MOMENTS):
            self.step()
            assert len(self.decision.quotes) == 2 * LEVELS, self.decision
            assert not self.actions, self.actions
            fairs.add(self.decision.fair)
            tops.update((q.outcome, q.price) for q in self.decision.quotes if not q.level)
            waits += self.desk.held_back
        assert len(fairs) == MOMENTS, "the fair price moves"
        assert len(tops) == 4, "and so do the quotes"
        assert 0 < waits < MOMENTS, waits
        assert len(self.desk.table.open()) == 2 * LEVELS
