"""What a switch of the configuration is flipped before: prices, one decision, one order, brakes.

Every answer is a short text, so that a case says in one line what is so with the guard and what
without it.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Mapping

import attrs
from market_kit import BTC_5M

from polybot.config import Config
from polybot.domain.market import Outcome, Side
from polybot.domain.market_states import MarketState
from polybot.domain.orders import NewOrder, Reject, SignedOrder
from polybot.domain.prices import Feed
from polybot.domain.units import SHARE, USD
from polybot.execution.firewall import Admission, Firewall
from polybot.execution.table import OrderTable
from polybot.execution.wish import Desired
from polybot.market_times import timetable
from polybot.pricing.board import PriceBoard
from polybot.pricing.fair import Caution, Fair, NoFair
from polybot.pricing.volatility import per_root_second
from polybot.quoting.decide import decide
from polybot.quoting.model import BookView, Decision, QuoteInputs
from polybot.risk.breakers import ErrorRate, MarketBrakes
from polybot.risk.checks import Over, Standing
from polybot.risk.exposure import Elsewhere, Exposure
from polybot.risk.losses import LossLimits, Standing as Wallet
from polybot.risk.timetable import Known, MarketMachine
from polybot.signal.advice import NEUTRAL, Advice

UP, DOWN = Outcome.UP, Outcome.DOWN
SIGMA = per_root_second(0.45)
START = BTC_5M.start_ms
MARKET = BTC_5M
RICH = Standing(10_000 * USD, 10_000 * USD)


@attrs.frozen
class Switch:
    """A key, what the page says of it, and what is so with each of two values. `needs` are keys
    that must be set along, as TOML.
    """

    key: str  # "section.name"
    sentence: str  # out of docs/config.md
    behaves: Callable[[Config], str]
    values: Mapping[str, str]  # TOML value → what is so
    needs: tuple[str, ...] = ()

    def text(self, value: str) -> str:
        section, _, name = self.key.partition(".")
        lines = "\n".join((f"{name} = {value}", *self.needs))
        return f"[{section}]\n{lines}\n"


# --- prices ---------------------------------------------------------------------------------------


@attrs.define
class Prices:
    """A path told to the board of a configuration: exchange at once, oracle and average a second
    late. `shift` is added to the oracle's spot; `stuck` holds the exchange's value.
    """

    config: Config
    second: int = START // 1000
    price: float = 100_000.0
    shift: float = 0.0
    stuck: float | None = None
    silent: frozenset[Feed] = frozenset()
    board: PriceBoard = attrs.field(init=False)
    path: list[float] = attrs.field(factory=list)
    rng: random.Random = attrs.field(factory=lambda: random.Random(1))

    def __attrs_post_init__(self) -> None:
        self.board = PriceBoard(self.config.pricing)

    @property
    def now_ms(self) -> int:
        return self.second * 1000 + 100

    def run(self, seconds: int, *, drift_bp: float = 0.0) -> Prices:
        """Let so many seconds pass, the price moving by `drift_bp` in each beside its noise."""
        for _ in range(seconds):
            self.second += 1
            self.price *= math.exp(SIGMA * self.rng.gauss(0, 1) + drift_bp / 1e4)
            self.path.append(self.price)
            recent = self.path[-60:]
            exchange = self.price if self.stuck is None else self.stuck
            told = (
                (Feed.BINANCE, "BTCUSDT", exchange),
                (Feed.CHAINLINK, "btcusd", self.price + self.shift),
                (Feed.TWAP60, "btcusd", math.fsum(recent) / len(recent)),
            )
            for feed, symbol, value in told:
                if feed not in self.silent:
                    self.board.on_tick(feed, symbol, value, self.second * 1000, self.now_ms)
        return self

    def strike(self, bp_below: float = 0.0) -> Prices:
        """The official strike, so far below the price of now."""
        self.board.official_strike(MARKET, self.price * (1 - bp_below / 1e4), self.now_ms)
        return self

    def fair(self) -> Fair | NoFair:
        return self.board.fair(MARKET, self.now_ms)

    def told(self) -> str:
        """ "priced", or why not."""
        found = self.fair()
        return "priced" if isinstance(found, Fair) else found.why.value


def warm(config: Config, into_s: int = 100, bp_below: float = 0.0) -> Prices:
    """So many seconds into the window, everything heard for long, the strike settled."""
    prices = Prices(config, START // 1000 - 300).run(300 + into_s - 3)
    return prices.strike(bp_below).run(3)


def believed(prices: Prices) -> Fair:
    found = prices.fair()
    assert isinstance(found, Fair), found
    return found


def cautioned(prices: Prices, caution: Caution) -> str:
    seen = [why for why, _ in believed(prices).quality.cautions]
    return "told" if caution in seen else "not told"


# --- one decision ---------------------------------------------------------------------------------


def book(bid: int, ask: int, shares: int = 100) -> BookView:
    return BookView(((bid, shares * SHARE),), ((ask, shares * SHARE),))


def fair(q: float = 0.5, *, d: float = 0.0, v: float = 0.02) -> Fair:
    return Fair(q, d, v, 0.4, 8e-5, 280.0, 100_000.0, 100_000.0)


def decided(
    config: Config, *, at_s: float = 20.0, q: Fair | None = None, up: int = 0, down: int = 0,
    view: BookView | None = None, advice: Advice = NEUTRAL, apart_s: float | None = None,
    over: Over | None = None,
) -> Decision:  # fmt: skip
    """What the quoter of a configuration decides so long after the start, holding so much."""
    now_ms = START + int(at_s * 1000)
    table = timetable(MARKET, config)
    machine = MarketMachine(MARKET, table, known=Known(book=True, strike=True))
    shown = view or book(4800, 5200)
    inputs = QuoteInputs(
        market=MARKET,
        now_ms=now_ms,
        fair=q or fair(),
        up=shown,
        down=BookView(
            tuple((10_000 - price, size) for price, size in shown.asks),
            tuple((10_000 - price, size) for price, size in shown.bids),
        ),
        tick=MARKET.tick,
        held_up=up * SHARE,
        held_down=down * SHARE,
        own={},
        net_limit=config.risk.max_net_shares * SHARE,
        state=machine.at(now_ms),
        table=table,
        net_confirmed=(up - down) * SHARE,
        apart_since_ms=None if apart_s is None else now_ms - int(apart_s * 1000),
        advice=advice,
        over=over,
    )
    return decide(inputs, config.quote, config.completion)


def sides(decision: Decision) -> str:
    """Which outcomes are bid for."""
    return " ".join(
        outcome.value
        for outcome in Outcome
        if any(quote.outcome is outcome for quote in decision.quotes)
    )


# --- one order ------------------------------------------------------------------------------------


def checked(
    config: Config, *, price: int = 4800, shares: int = 10, fair_up: int = 5000,
    standing: Standing = RICH, resting: int = 0,
    holds: Callable[[MarketBrakes], None] = lambda _: None,
) -> str:  # fmt: skip
    """ "passes", or the firewall's refusal of a bid for Up."""
    machine = MarketMachine(MARKET, timetable(MARKET, config), MarketState.QUOTING)
    brakes = MarketBrakes(config.risk, ErrorRate(config.risk))
    holds(brakes)
    firewall = Firewall(MARKET, config.risk, machine, Admission(), brakes)
    order = NewOrder(MARKET, UP, Side.BUY, price, shares * SHARE)
    wish = Desired((order,), 9_900, 9_900, 9_900, fair_up)
    table = OrderTable()
    for number in range(resting):
        table.record(SignedOrder(str(number), order, b""), START)
    refusal = firewall.check(order, wish, list(table.open()), standing, START + 20_000)
    return refusal or "passes"


def holding(usd: int, shares: int = 0, others: Elsewhere = Elsewhere()) -> Standing:
    """Up shares bought for so much, and nothing of Down."""
    return attrs.evolve(RICH, held=Exposure(cost_up=usd * USD, up=shares * SHARE), others=others)


def failures(brakes: MarketBrakes) -> None:
    for _ in range(40):
        brakes.errors.note(START + 19_000, failed=True)


def refusals(brakes: MarketBrakes) -> None:
    for _ in range(20):
        brakes.refused(Reject.OTHER, START + 19_000)


def fills(brakes: MarketBrakes) -> None:
    for _ in range(100):
        brakes.filled(UP, START + 19_000)


def halted(config: Config, day: int, peak: int, now: int) -> str:
    """ "trades", or the halt, after a look at each equity in dollars; the last one twice."""
    limits = LossLimits(config.risk)
    for when, usd in (("day one", peak), ("day two", day), ("day two", now)):
        verdict = limits.look(Wallet(when, usd * USD, 0))
    verdict = limits.look(Wallet("day two", now * USD, 0))
    return "trades" if verdict.halt is None else verdict.halt[0].value
