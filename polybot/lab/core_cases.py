"""Steps of the core: a price, a decision, what signals and checks take of it."""

from __future__ import annotations

import itertools
import random

from polybot.domain.market import Outcome
from polybot.domain.market_states import MarketState
from polybot.domain.orders import NewOrder, SignedOrder
from polybot.domain.prices import Feed
from polybot.domain.units import ONE, SHARE
from polybot.execution.actions import Action
from polybot.execution.desk import Desk
from polybot.execution.firewall import Admission, Firewall
from polybot.execution.lifecycle import Event
from polybot.execution.params import OrderParams
from polybot.execution.throttle import Budget
from polybot.execution.wish import Desired
from polybot.lab.bench_kit import (
    API_KEY,
    KEY,
    START_MS,
    Case,
    invented_market,
    invented_order,
)
from polybot.lab.decision_case import Decisions
from polybot.lab.risk_cases import Market5m, guarded
from polybot.pricing.board import PriceBoard
from polybot.pricing.fair import Fair
from polybot.quoting.decide import decide
from polybot.quoting.model import BookView, QuoteInputs
from polybot.quoting.params import QuoteParams
from polybot.risk.breakers import ErrorRate, MarketBrakes
from polybot.risk.checks import Standing
from polybot.risk.limits import RiskParams
from polybot.risk.timetable import MarketMachine, Times, Timetable
from polybot.venue.secret import Secret
from polybot.venue.signing import Wallet, sign_order


def fair_value(left_s: int, target_us: float) -> Case:
    """From fresh prices to the probability of Up, and so of Down, `left_s` before the end."""
    market, board, rng = invented_market(), PriceBoard(), random.Random(7)
    now_ms, price, average = market.end_ms - left_s * 1000, 90_000.0, 90_000.0
    for at_ms in range(now_ms - 300_000, now_ms + 1, 1000):
        price *= 1 + rng.gauss(0, 8e-5)
        board.on_tick(Feed.BINANCE, "BTCUSDT", price + 20.0, at_ms, at_ms)
        board.on_tick(Feed.CHAINLINK, "btcusd", price, at_ms, at_ms)
        average += (price - average) / 60
        board.on_tick(Feed.TWAP60, "btcusd", average, at_ms, at_ms)
    board.official_strike(market, price, market.start_ms)

    def check() -> None:
        assert isinstance(board.fair(market, now_ms), Fair), "it prices"

    name = f"fair value, {left_s} s before the end"
    return Case(name, target_us, lambda: board.fair(market, now_ms), check=check)


def decision() -> Case:
    """Fair value, books and holdings to six desired quotes."""
    up = BookView(
        tuple((5300 - 100 * n, 200 * SHARE) for n in range(5)),
        tuple((5500 + 100 * n, 200 * SHARE) for n in range(5)),
    )
    down = BookView(
        tuple((ONE - price, size) for price, size in up.asks),
        tuple((ONE - price, size) for price, size in up.bids),
    )
    inputs = QuoteInputs(
        market=invented_market(),
        now_ms=START_MS + 60_000,
        fair=Fair(0.54, 0.1, 0.01, 0.39, 8e-5, 240.0, 90_010.0, 90_000.0),
        up=up,
        down=down,
        tick=100,
        held_up=30 * SHARE,
        held_down=20 * SHARE,
        own={(Outcome.UP, 5300): 10 * SHARE, (Outcome.DOWN, 4500): 10 * SHARE},
        net_limit=100 * SHARE,
        state=MarketState.QUOTING,
        table=Timetable.of(invented_market(), Times(120_000, 60_000)),
    )
    params = QuoteParams(levels=3)

    def check() -> None:
        assert len(decide(inputs, params).quotes) == 6, "it quotes"

    return Case("one decision, six quotes", 25, lambda: decide(inputs, params), check=check)


def desk_act() -> Case:
    """Wanted against live with eight orders resting and all of them still good."""
    wallet, market, params = Wallet(Secret(KEY)), invented_market(), OrderParams()
    wanted = tuple(
        invented_order(outcome, top - 100 * level, level)
        for outcome, top in ((Outcome.UP, 5300), (Outcome.DOWN, 4400))
        for level in range(4)
    )
    limits, table = RiskParams(), Timetable.of(market, Times(0, 0))
    machine = MarketMachine(market, table, MarketState.QUOTING)
    firewall = Firewall(
        market, limits, machine, Admission(), MarketBrakes(limits, ErrorRate(limits))
    )
    desk = Desk(market, params, firewall, Budget.from_params(params), sign=_no_signature)
    for n, order in enumerate(wanted):
        signed = sign_order(
            order, wallet=wallet, funder=None, owner_key=API_KEY, salt=n, timestamp_ms=START_MS
        )
        desk.table.record(signed, START_MS)
        desk.table.move(desk.table[signed.id], Event.ACK_LIVE, START_MS)
    # Two wishes in turn, or what was found for the one before would do.
    caps = itertools.cycle((5400, 5500))
    standing = Standing(free_cash=10**9, equity=10**9)

    def work() -> list[Action]:
        desk.desired = Desired(wanted, next(caps), 4500, pair_cap=9900, fair_up=5400)
        return desk.act(START_MS, standing)

    def check() -> None:
        assert len(desk.table.open()) == 8, "all of them rest"
        assert work() == [], "and all of them are good"

    return Case("desk.act, 8 orders resting", 25, work, check=check)


def whole_decision() -> Case:
    """All of it for two tokens: fair value, six quotes, and what they mean for six orders that
    rest, from a price and books that are others in each call (issue D's figure).
    """
    made = Decisions(invented_market())
    return Case("a decision whole, six orders resting", 15, made.step, check=made.check)


def _no_signature(order: NewOrder) -> SignedOrder:
    raise AssertionError(f"nothing is to be placed, was {order}")


def signals_of_a_decision() -> Case:
    """Every signal brought up to now, all of them acting: before and after one decision."""
    scene = Market5m(invented_market())
    scene.look()  # a move needs two prices

    def check() -> None:
        readings = scene.board.readings
        assert readings.liquidity is not None, "the book was read"
        assert readings.move.sigmas, "and the spot"

    return Case("signals, one decision", 100, scene.look, check=check)


def signals_of_a_print() -> Case:
    """One trade of the tape."""
    scene = Market5m(invented_market())

    def check() -> None:
        assert scene.memory.refused == {}, "every print was taken"

    return Case("signals, one print", 10, scene.print, check=check)


def signals_of_a_fill() -> Case:
    """One fill of ours, and its share of the markouts that come due."""
    scene = Market5m(invented_market())

    def check() -> None:
        assert scene.memory.refused == {}, "every fill was taken"

    return Case("signals, one fill", 100, scene.fill, check=check)


def an_order_checked() -> Case:
    """One order through the firewall: state, brakes, collar, and every limit."""
    market = invented_market()
    firewall, order, wish, standing = guarded(market)
    now_ms = market.start_ms + 60_000

    def work() -> str | None:
        return firewall.check(order, wish, (), standing, now_ms)

    def check() -> None:
        assert work() is None, "it is a good one"

    return Case("firewall, one order", 50, work, check=check)


def the_kill_switch() -> Case:
    """The gate closed and the next order refused by it; the cancel-all is the stop drill's."""
    market = invented_market()
    firewall, order, wish, standing = guarded(market)
    now_ms = market.start_ms + 60_000

    def work() -> str | None:
        firewall.admission = Admission()
        firewall.admission.stop("kill")
        return firewall.check(order, wish, (), standing, now_ms)

    def check() -> None:
        assert work() == "gate closed: kill", "nothing passes"

    return Case("kill switch, gate closed", 10_000, work, check=check)
