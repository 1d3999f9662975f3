"""The price board: what it takes, what it refuses, and which rule prices which market when."""

from __future__ import annotations

import math
import random

import attrs
import pytest

from polybot.domain.market import Candle, FeeSchedule, Market, Rule, TwapPair, UnknownRule
from polybot.domain.prices import Feed
from polybot.pricing import fair as models
from polybot.pricing.board import PriceBoard
from polybot.pricing.fair import Fair, NoFair, WhyNoFair
from polybot.pricing.params import PricingParams
from polybot.pricing.sources import (
    MAX_TRACKS,
    TickRefusal,
    exchange_symbol,
    oracle_symbol,
)
from polybot.pricing.strikes import Strike, StrikeCorrection, Trust
from polybot.pricing.volatility import per_root_second

START = 1_790_000_100_000 - 1_790_000_100_000 % 300_000
SIGMA = per_root_second(0.45)
BASIS = 24.0


def market(rule: Rule, length_s: int = 300) -> Market:
    return Market(
        series="btc-5m",
        slug="btc-updown-5m",
        condition_id="0xc",
        up_token="1",
        down_token="2",
        start_ms=START,
        end_ms=START + length_s * 1000,
        rule=rule,
        tick=100,
        min_size=5_000_000,
        fees=FeeSchedule(70_000, 1, 200_000),
    )


TWAP = market(TwapPair("btcusd", 60))
HOUR = market(Candle("BTCUSDT", "1h"), 3600)


@attrs.define
class Tape:
    """One price path, told to a board by all four feeds with their usual delays."""

    board: PriceBoard
    price: float = 100_000.0
    rng: random.Random = attrs.field(factory=lambda: random.Random(1))
    path: dict[int, float] = attrs.field(factory=dict)

    def run(self, first_s: int, last_s: int, *, silent: frozenset[Feed] = frozenset()) -> int:
        """Tell the seconds after `first_s` up to `last_s`, relative to the start; the last ms."""
        for second in range(first_s, last_s):
            self.price *= math.exp(SIGMA * self.rng.gauss(0, 1))
            self.path[second + 1] = self.price
            stamp = START + (second + 1) * 1000
            told = {
                Feed.BINANCE: ("BTCUSDT", self.price + BASIS),
                Feed.CHAINLINK: ("btcusd", self.price),
                Feed.TWAP60: ("btcusd", self.average(second + 1)),
            }
            for feed, (symbol, value) in told.items():
                if feed not in silent:
                    self.board.on_tick(feed, symbol, value, stamp, stamp + 5)
        return START + last_s * 1000

    def average(self, second: int) -> float:
        last = [self.path[k] for k in range(second - 59, second + 1) if k in self.path]
        return math.fsum(last) / len(last)


@pytest.fixture
def tape() -> Tape:
    return Tape(PriceBoard(PricingParams(vol_prior_annual=0.45)))


def fair_of(board: PriceBoard, of: Market, now_ms: int) -> Fair:
    found = board.fair(of, now_ms)
    assert isinstance(found, Fair), found
    return found


def why(board: PriceBoard, of: Market, now_ms: int) -> WhyNoFair:
    found = board.fair(of, now_ms)
    assert isinstance(found, NoFair), found
    return found.why


def test_symbols_of_the_two_worlds() -> None:
    """Oracle and exchange names lead to each other."""
    assert exchange_symbol("btcusd") == "BTCUSDT"
    assert oracle_symbol("SOLUSDT") == "solusd"


def test_twap_market_before_its_window(tape: Tape) -> None:
    """The spot is the exchange's, brought to the oracle's level, and the strike the tick at t0."""
    now = tape.run(-120, 60)

    found = fair_of(tape.board, TWAP, now)

    expected = models.twap_before_window(tape.price, tape.average(0), found.sigma, 240.0, 60.0)
    assert isinstance(expected, Fair)
    assert found.q == pytest.approx(expected.q, abs=1e-9)
    assert found.spot == pytest.approx(tape.price)
    assert found.strike == tape.average(0)
    assert tape.board.strike(TWAP) == Strike(tape.average(0), Trust.EXACT)


def test_twap_market_inside_its_window(tape: Tape) -> None:
    """Inside, the official average is rolled forward, and equals realised plus expected."""
    now = tape.run(-120, 270)

    found = fair_of(tape.board, TWAP, now)

    realised = [tape.path[k] for k in range(241, 271)]
    mean = (math.fsum(realised) + 30 * tape.price) / 60
    expected = models.twap_inside_window(mean, tape.price, tape.average(0), found.sigma, 30.0, 60.0)
    assert isinstance(expected, Fair)
    assert found.q == pytest.approx(expected.q, abs=1e-9)


def test_the_average_may_trail_inside_the_window(tape: Tape) -> None:
    """An average two seconds old is rolled over the seconds the spot has already seen."""
    tape.run(-120, 268)
    now = tape.run(268, 270, silent=frozenset({Feed.TWAP60}))
    late = fair_of(tape.board, TWAP, now)
    tape.board.on_tick(Feed.TWAP60, "btcusd", tape.average(270), now, now)

    assert late.q == pytest.approx(fair_of(tape.board, TWAP, now).q, abs=1e-9)


def test_before_the_open(tape: Tape) -> None:
    """Even odds until the opening average begins to form, then a lean."""
    early = tape.run(-180, -61)
    assert fair_of(tape.board, TWAP, early).q == 0.5

    late = tape.run(-61, -10)

    expected_strike = (math.fsum(tape.path[k] for k in range(-59, -9)) + 10 * tape.price) / 60
    found = fair_of(tape.board, TWAP, late)
    assert found.d == pytest.approx(
        math.log(tape.price / expected_strike)
        / (found.sigma * math.sqrt(20 * (1 - (5 / 6) ** 3) + 260)),
        rel=1e-6,
    )
    assert found.strike is None


def test_the_opening_is_not_even(tape: Tape) -> None:
    """At the open spot and strike already differ, and the first price says so."""
    now = tape.run(-120, 0)

    found = fair_of(tape.board, TWAP, now)

    assert found.q != 0.5
    assert (found.q > 0.5) == (tape.price > tape.average(0))


def test_candle_market(tape: Tape) -> None:
    """The hourly market uses the exchange's own open and price, without any basis."""
    now = tape.run(-60, 600)
    assert why(tape.board, HOUR, now) is WhyNoFair.STRIKE_UNKNOWN
    tape.board.on_tick(Feed.CANDLE_OPEN, "BTCUSDT", 100_010.0, START, now)

    found = fair_of(tape.board, HOUR, now)

    assert found == attrs.evolve(
        fair_of_model(models.candle(tape.price + BASIS, 100_010.0, found.sigma, 3000.0)),
        age_s=found.age_s,
    )


def fair_of_model(found: Fair | NoFair) -> Fair:
    assert isinstance(found, Fair)
    return found


def test_candle_before_its_open_is_even(tape: Tape) -> None:
    """Nothing is known of an hour that has not begun."""
    now = tape.run(-60, -10)

    assert fair_of(tape.board, HOUR, now).q == 0.5
    assert fair_of(tape.board, HOUR, now).v == 0.0


def test_candle_opens_of_several_lengths_do_not_disturb(tape: Tape) -> None:
    """An older candle's open arriving between is kept for its own window."""
    now = tape.run(-60, 10)
    for _ in range(2):
        tape.board.on_tick(Feed.CANDLE_OPEN, "BTCUSDT", 100_010.0, START, now)
        tape.board.on_tick(Feed.CANDLE_OPEN, "BTCUSDT", 90_000.0, START - 3_600_000, now)

    assert tape.board.strike(HOUR) == Strike(100_010.0, Trust.EXACT)
    assert not tape.board.refused


def test_volatility_comes_from_the_exchange_alone(tape: Tape) -> None:
    """Sigma is that of the spot path, not of the average seven times calmer."""
    board = tape.board = PriceBoard()
    now = tape.run(-1500, 60)

    assert fair_of(board, TWAP, now).sigma == pytest.approx(SIGMA, rel=0.3)


def test_no_strike_no_price(tape: Tape) -> None:
    """A window whose opening second was missed is not priced until the venue tells its strike."""
    tape.run(-120, -1)
    tape.run(-1, 0, silent=frozenset({Feed.TWAP60}))
    now = tape.run(0, 30)
    assert why(tape.board, TWAP, now) is WhyNoFair.STRIKE_UNKNOWN

    assert tape.board.official_strike(TWAP, 100_000.0) is None

    assert fair_of(tape.board, TWAP, now).strike == 100_000.0


def test_a_snapshot_recovers_a_missed_strike(tape: Tape) -> None:
    """The two-minute history on reconnecting brings the tick at the start."""
    tape.run(-120, -1)
    tape.run(-1, 0, silent=frozenset({Feed.TWAP60}))
    now = tape.run(0, 30)

    refusal = tape.board.on_tick(Feed.TWAP60, "btcusd", tape.average(0), START, now, snapshot=True)

    assert refusal is None
    assert fair_of(tape.board, TWAP, now).strike == tape.average(0)


def test_an_official_correction_is_reported(tape: Tape) -> None:
    """A different official strike is used from now on, and the caller is told to rebuild."""
    now = tape.run(-120, 30)
    held = tape.average(0)

    found = tape.board.official_strike(TWAP, held * 1.001)

    assert isinstance(found, StrikeCorrection)
    assert found.basis_points == pytest.approx(10.0)
    assert fair_of(tape.board, TWAP, now).strike == held * 1.001


@pytest.mark.parametrize("bad", [math.nan, math.inf, 0.0, -5.0])
def test_bad_values_are_refused_and_counted(bad: float) -> None:
    """What is not a price changes nothing, from a stream or as an official strike."""
    board = PriceBoard()

    assert board.on_tick(Feed.BINANCE, "BTCUSDT", bad, 1, 1) is TickRefusal.NOT_A_PRICE
    assert board.official_strike(TWAP, bad) is TickRefusal.NOT_A_PRICE
    assert board.refused[TickRefusal.NOT_A_PRICE] == 2
    assert board.strike(TWAP) is None


def test_future_and_late_stamps_are_refused(tape: Tape) -> None:
    """A stamp far ahead would shut out every honest tick after it."""
    now = tape.run(-60, 0)
    board = tape.board

    ahead = board.on_tick(Feed.BINANCE, "BTCUSDT", 1.0, now + 60_000, now)
    late = board.on_tick(Feed.BINANCE, "BTCUSDT", 1.0, now - 1000, now)

    assert (ahead, late) == (TickRefusal.FUTURE_STAMP, TickRefusal.OUT_OF_ORDER)
    assert fair_of(board, TWAP, now).spot > 1000


def test_symbols_are_bounded() -> None:
    """A stream gone wrong cannot fill the memory with names."""
    board = PriceBoard()
    for n in range(MAX_TRACKS):
        assert board.on_tick(Feed.BINANCE, f"X{n}", 1.0, 1, 1) is None

    assert board.on_tick(Feed.BINANCE, "Y", 1.0, 1, 1) is TickRefusal.TOO_MANY_SYMBOLS


def test_staleness_of_each_input(tape: Tape) -> None:
    """Without a fresh average, or any fresh spot, there is no price."""
    tape.run(-120, 30)
    now = tape.run(30, 34, silent=frozenset({Feed.TWAP60}))
    assert why(tape.board, TWAP, now) is WhyNoFair.ORACLE_STALE

    now = tape.run(34, 38, silent=frozenset({Feed.BINANCE, Feed.CHAINLINK}))
    assert why(tape.board, TWAP, now) is WhyNoFair.SPOT_STALE


def test_the_oracle_stands_in_for_a_silent_exchange(tape: Tape) -> None:
    """Without the exchange the oracle's own spot prices, older but on its own level."""
    tape.run(-120, 30)
    now = tape.run(30, 40, silent=frozenset({Feed.BINANCE}))

    assert fair_of(tape.board, TWAP, now).spot == tape.price
    assert why(tape.board, HOUR, now) is WhyNoFair.SPOT_STALE


def test_an_old_basis_is_not_believed(tape: Tape) -> None:
    """A minute after the oracle's spot fell silent the exchange may not stand in for it."""
    tape.run(-120, 30)
    silent = frozenset({Feed.CHAINLINK})
    now = tape.run(30, 89, silent=silent)
    assert isinstance(tape.board.fair(TWAP, now), Fair)

    now = tape.run(89, 100, silent=silent)

    assert why(tape.board, TWAP, now) is WhyNoFair.SPOT_STALE


def test_a_frozen_average_is_noticed(tape: Tape) -> None:
    """Fresh stamps on a value that stands still while the spot moves are not believed."""
    now = tape.run(-120, 30)
    stuck = tape.average(30)
    for second in range(31, 60):
        now = START + second * 1000
        tape.board.on_tick(Feed.BINANCE, "BTCUSDT", 100_000.0 + 10 * second, now, now)
        tape.board.on_tick(Feed.CHAINLINK, "btcusd", 99_976.0 + 10 * second, now, now)
        tape.board.on_tick(Feed.TWAP60, "btcusd", stuck, now, now)

    assert why(tape.board, TWAP, now) is WhyNoFair.FROZEN


def test_volatility_must_warm_up() -> None:
    """Without a prior the first half minute has no price."""
    tape = Tape(PriceBoard())
    now = tape.run(-20, 5)

    assert why(tape.board, TWAP, now) is WhyNoFair.VOLATILITY_UNKNOWN


def test_inside_the_window_a_short_history_refuses(tape: Tape) -> None:
    """A bot that starts in the last minute cannot roll an average it has not seen form."""
    tape.board.official_strike(TWAP, 100_000.0)
    now = tape.run(255, 275)

    assert why(tape.board, TWAP, now) is WhyNoFair.HISTORY_SHORT


@pytest.mark.parametrize("rule", [UnknownRule("new kind"), TwapPair("btcusd", 30)])
def test_rules_not_understood_are_not_priced(rule: Rule, tape: Tape) -> None:
    """An unknown rule, or an average nobody publishes, has no price and no strike."""
    now = tape.run(-120, 30)

    assert why(tape.board, market(rule), now) is WhyNoFair.RULE_UNKNOWN


def test_an_ended_window_is_not_priced(tape: Tape) -> None:
    """From the last millisecond on there is nothing to price."""
    now = tape.run(-120, 300)

    assert why(tape.board, TWAP, now) is WhyNoFair.ENDED


def test_ages_for_the_operator(tape: Tape) -> None:
    """Every stream's age is there to be shown; a stream known only from history has none."""
    now = tape.run(-10, 0)
    tape.board.on_tick(Feed.TWAP60, "ethusd", 4000.0, now, now, snapshot=True)

    ages = tape.board.ages_s(now + 1005)

    assert ages[Feed.BINANCE, "BTCUSDT"] == 1.0
    assert ages[Feed.TWAP60, "ethusd"] is None
