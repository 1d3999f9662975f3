"""The price board: what it takes, what it refuses, and which rule prices which market when."""

from __future__ import annotations

import math
import random

import attrs
import pytest
from msgspec.structs import replace

from polybot.domain.market import Candle, FeeSchedule, Market, Rule, TwapPair, UnknownRule
from polybot.domain.prices import Feed, Source
from polybot.pricing import fair as models
from polybot.pricing.asset import exchange_symbol, oracle_symbol
from polybot.pricing.board import MAX_ASSETS, PriceBoard, TickRefusal
from polybot.pricing.fair import FRESH, Caution, Fair, NoFair, WhyNoFair
from polybot.pricing.params import PricingParams
from polybot.pricing.strikes import Strike, StrikeCorrection, Trust
from polybot.pricing.tails import Tails
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
    lag_s: int = 0  # seconds by which the average trails its stamp

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
        second -= self.lag_s
        last = [self.path[k] for k in range(second - 59, second + 1) if k in self.path]
        last = last or [self.price]
        return math.fsum(last) / len(last)


# A single volatility, for now and for any time to go.
ALIKE = PricingParams(vol_error=0.0, vol_quick_s=86_400.0)


@pytest.fixture
def tape() -> Tape:
    return Tape(PriceBoard(attrs.evolve(ALIKE, vol_prior_annual=0.45)))


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

    assert found == replace(
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
    now, opened = tape.run(-60, 10), tape.path[0] + BASIS + 2.0
    for _ in range(2):
        tape.board.on_tick(Feed.CANDLE_OPEN, "BTCUSDT", opened, START, now)
        tape.board.on_tick(Feed.CANDLE_OPEN, "BTCUSDT", 90_000.0, START - 3_600_000, now)

    assert tape.board.strike(HOUR) == Strike(opened, Trust.EXACT)
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

    assert tape.board.official_strike(TWAP, 100_000.0, START) is None

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

    found = tape.board.official_strike(TWAP, held * 1.001, now)

    assert isinstance(found, StrikeCorrection)
    assert found.basis_points == pytest.approx(10.0)
    assert why(tape.board, TWAP, now + 999) is WhyNoFair.STRIKE_CORRECTED
    assert fair_of(tape.board, TWAP, now + 1000).strike == held * 1.001


@pytest.mark.parametrize("bad", [math.nan, math.inf, 0.0, -5.0, 65_000e18, 1e-12])
def test_bad_values_are_refused_and_counted(bad: float) -> None:
    """What is not a price changes nothing, from a stream or as an official strike."""
    board = PriceBoard()

    assert board.on_tick(Feed.BINANCE, "BTCUSDT", bad, 1, 1) is TickRefusal.NOT_A_PRICE
    assert board.official_strike(TWAP, bad, START) is TickRefusal.NOT_A_PRICE
    assert board.refused[TickRefusal.NOT_A_PRICE] == 2
    assert board.strike(TWAP) is None


def test_a_price_in_another_unit_leaves_nothing_behind(tape: Tape) -> None:
    """One price with all its eighteen decimals before the point: the running sums, out of which
    means are made, lost the digits of all others for ten minutes.
    """
    now = tape.run(-120, -60)
    tape.board.on_tick(Feed.CHAINLINK, "btcusd", tape.price * 1e18, now + 1000, now + 1005)
    tape.run(-60, -59, silent=frozenset({Feed.CHAINLINK}))
    tape.run(-59, 30)

    own = tape.board._assets["btcusd"].oracle.mean(START // 1000 - 29, START // 1000 + 30)
    assert own == pytest.approx(tape.average(30), rel=1e-9)


def test_future_and_late_stamps_are_refused(tape: Tape) -> None:
    """A stamp far ahead would shut out every honest tick after it."""
    now = tape.run(-60, 0)
    board = tape.board

    ahead = board.on_tick(Feed.BINANCE, "BTCUSDT", 1.0, now + 60_000, now)
    late = board.on_tick(Feed.BINANCE, "BTCUSDT", 1.0, now - 1000, now)

    assert (ahead, late) == (TickRefusal.FUTURE_STAMP, TickRefusal.OUT_OF_ORDER)
    assert fair_of(board, TWAP, now).spot > 1000


def test_an_average_that_jumps_is_not_believed() -> None:
    """Seed 686: one wrong average at a window's first second was its strike, exact as far as
    anybody could tell. A minute's average cannot move by 12 bp in a second; after five without one
    that is believed, whatever comes is.
    """
    board, first_ms = PriceBoard(), START - 3_000

    def tell(second: int, value: float) -> TickRefusal | None:
        at_ms = first_ms + second * 1000
        return board.on_tick(Feed.TWAP60, "btcusd", value, at_ms, at_ms + 50)

    assert [tell(n, 90_000.0 + 5 * n) for n in range(3)] == [None] * 3
    assert tell(3, 90_015.0 * 0.9988) is TickRefusal.IMPLAUSIBLE
    assert board.strike(TWAP) is None
    assert tell(4, 90_025.0) is None, "as far from the last that was believed as two seconds allow"
    assert [tell(n, 89_000.0) for n in range(5, 10)] == [TickRefusal.IMPLAUSIBLE] * 4 + [None]
    assert board.refused[TickRefusal.IMPLAUSIBLE] == 5


def test_an_average_that_stays_off_is_held_against_the_oracle() -> None:
    """Seed 741: the average and the oracle's spot were 12 bp off together for seven seconds. Four
    seconds allowed as much, and the average was a window's strike. Six wrong seconds move the mean
    of a whole minute by one basis point only. Without that minute it is as above.
    """
    board, first_ms = PriceBoard(), START - 100_000

    def tell(second: int, feed: Feed, value: float) -> TickRefusal | None:
        at_ms = first_ms + second * 1000
        return board.on_tick(feed, "btcusd", value, at_ms, at_ms + 50)

    for n in range(95):
        tell(n, Feed.CHAINLINK, 90_000.0)
        assert tell(n, Feed.TWAP60, 90_000.0) is None
    for n in range(95, 102):
        tell(n, Feed.CHAINLINK, 90_106.0)
        assert tell(n, Feed.TWAP60, 90_106.0) is TickRefusal.IMPLAUSIBLE
    assert tell(102, Feed.TWAP60, 90_010.5) is None
    assert board.strike(TWAP) is None, "not from that stream: the official one will be told"


@pytest.mark.parametrize("off_bp", [-12, -4, 4])
def test_a_few_basis_points_are_much(off_bp: int) -> None:
    """Brief seed 2314: the first average of a window was four basis points off, and its strike: a
    tenth of a probability. In twelve recorded hours none moved by half of one in a second.
    """
    board, first_ms = PriceBoard(), START - 80_000
    for n in range(81):
        at_ms = first_ms + n * 1000
        board.on_tick(Feed.CHAINLINK, "btcusd", 90_000.0, at_ms, at_ms + 50)
        value = 90_000.0 * (1 + off_bp / 1e4 * (n == 80))
        said = board.on_tick(Feed.TWAP60, "btcusd", value, at_ms, at_ms + 50)
        assert said is (TickRefusal.IMPLAUSIBLE if n == 80 else None)
    assert board.strike(TWAP) is None


@pytest.mark.parametrize("minute_known", [True, False])
@pytest.mark.parametrize(("back_s", "snapshot"), [(0, False), (0, True), (3, True), (40, True)])
def test_a_second_is_not_told_anew_otherwise(
    back_s: int, snapshot: bool, minute_known: bool
) -> None:
    """A wrong average under the stamp that was believed last, or replayed for an earlier second,
    was held against nothing, and replaced a strike that had been read at its very second.
    """
    board = PriceBoard()
    for at_ms in range(START - 80_000, START + back_s * 1000 + 1, 1000):
        if minute_known:
            board.on_tick(Feed.CHAINLINK, "btcusd", 90_000.0, at_ms, at_ms + 50)
        board.on_tick(Feed.TWAP60, "btcusd", 90_000.0, at_ms, at_ms + 50)

    def again(value: float) -> TickRefusal | None:
        now_ms = START + back_s * 1000 + 90
        return board.on_tick(Feed.TWAP60, "btcusd", value, START, now_ms, snapshot=snapshot)

    assert again(90_000.1) is None
    assert again(90_108.0) is TickRefusal.IMPLAUSIBLE
    trust = Trust.EXACT if minute_known else Trust.UNPROVEN
    assert board.strike(TWAP) == Strike(90_000.1, trust)


@pytest.mark.parametrize(("moved_bp", "exact"), [(0.0, True), (3.0, False), (12.0, False)])
def test_an_average_that_stands_still_is_no_strike(moved_bp: float, exact: bool) -> None:
    """F59: an average frozen over the start, while the oracle moved, was its strike as soon as it
    thawed. It was priced against for a minute, until the official one was told.
    """
    board = PriceBoard()
    for second in range(-90, 6):
        at_ms = START + second * 1000
        value = 90_000.0 * (1 + max(0.0, moved_bp * (second > -30)) / 1e4)
        board.on_tick(Feed.CHAINLINK, "btcusd", value, at_ms, at_ms + 50)
        board.on_tick(Feed.TWAP60, "btcusd", 90_000.0, at_ms, at_ms + 50)

    assert (board.strike(TWAP) == Strike(90_000.0, Trust.EXACT)) is exact


def test_an_hour_opens_near_what_was_traded_before() -> None:
    """A candle told with the last one's open is no strike, and the right one is."""
    board = PriceBoard()
    hour = START - START % 3_600_000
    market = attrs.evolve(
        TWAP, start_ms=hour, end_ms=hour + 3_600_000, rule=Candle("BTCUSDT", "1h")
    )
    for at_ms in range(hour - 40_000, hour + 500, 500):
        board.on_tick(Feed.BINANCE, "BTCUSDT", 90_000.0, at_ms, at_ms + 20)

    board.on_tick(Feed.CANDLE_OPEN, "BTCUSDT", 90_025.0, hour, hour + 520)
    assert board.strike(market) is None
    board.on_tick(Feed.CANDLE_OPEN, "BTCUSDT", 90_000.0, hour, hour + 2_500)
    assert board.strike(market) == Strike(90_000.0, Trust.EXACT)


def told_open(board: PriceBoard, opened: float, from_s: int, to_s: int, off_bp: float) -> None:
    """An hour's candle, told every two seconds by an exchange that is off by so much."""
    off = 1 + off_bp / 1e4
    for second in range(from_s, to_s):
        at_ms = START + second * 1000
        board.on_tick(Feed.CHAINLINK, "btcusd", 90_000.0, at_ms, at_ms + 50)
        board.on_tick(Feed.BINANCE, "BTCUSDT", 90_020.0 * off, at_ms, at_ms + 50)
        if second >= 0 and second % 2 == 0:
            board.on_tick(Feed.CANDLE_OPEN, "BTCUSDT", opened * off, START, at_ms + 500)


@pytest.mark.parametrize(
    ("off_bp", "trust"), [(2.0, Trust.EXACT), (4.0, Trust.UNPROVEN), (-12.0, Trust.UNPROVEN)]
)
def test_an_open_of_an_exchange_that_is_off_is_proven_by_nothing_it_says(
    off_bp: float, trust: Trust
) -> None:
    """Brief seeds 8986 and 14727: all that the exchange told was off over an hour's start, by 4 and
    by 12 basis points, its last trade before it as well. The oracle stands elsewhere meanwhile. Not
    priced against until the two are together again, and tell the same.
    """
    board = PriceBoard(PricingParams(vol_prior_annual=0.45))
    told_open(board, 90_020.0, -120, -20, 0.0)
    told_open(board, 90_020.0, -20, 60, off_bp)

    held = board.strike(HOUR)
    assert held is not None
    assert held.trust is trust
    assert fair_of(board, HOUR, START + 60_000).provisional_strike is (trust < Trust.EXACT)

    told_open(board, 90_020.0, 60, 120, 0.0)
    held = board.strike(HOUR)
    assert held is not None
    assert held.trust is Trust.EXACT
    assert held.value == pytest.approx(90_020.0)


def test_an_open_told_while_the_two_are_apart_is_proven_when_they_are_together() -> None:
    """The exchange had moved, and was right: the same open is told on, and nothing is corrected."""
    board = PriceBoard(PricingParams(vol_prior_annual=0.45))
    told_open(board, 90_020.0, -120, -20, 0.0)
    told_open(board, 90_020.0, -20, 30, 5.0)
    held = board.strike(HOUR)
    assert held is not None
    assert held.trust is Trust.UNPROVEN

    told_open(board, held.value, 30, 60, 0.0)

    assert board.strike(HOUR) == Strike(held.value, Trust.EXACT)


def test_an_exchange_that_is_off_moves_no_strike() -> None:
    """Told on for half a minute another open is believed; not where the oracle contradicts. While
    the two opens contradict each other nothing is priced.
    """
    board = PriceBoard(PricingParams(vol_prior_annual=0.45))
    told_open(board, 90_020.0, -120, 60, 0.0)
    for from_s in range(60, 180, 2):
        told_open(board, 90_020.0, from_s, from_s + 2, 12.0)
        assert from_s < 64 or board.strike(HOUR) is None

    told_open(board, 90_020.0, 180, 190, 0.0)
    assert board.strike(HOUR) == Strike(90_020.0, Trust.EXACT)


@pytest.mark.parametrize("from_s", [-2, -1, 0])
def test_an_open_waits_until_the_oracle_has_spoken_of_its_hour(from_s: int) -> None:
    """The lie may begin with the hour: how far the two are apart shows some seconds later."""
    board = PriceBoard(PricingParams(vol_prior_annual=0.45))
    told_open(board, 90_020.0, -120, from_s, 0.0)
    for second in range(from_s, 20):
        told_open(board, 90_020.0, second, second + 1, 12.0)
        held = board.strike(HOUR)
        assert held is None or held.trust < Trust.EXACT


def test_an_open_told_before_any_price_is_not_proven() -> None:
    """Of a new connection the candle may come first."""
    board = PriceBoard()
    board.on_tick(Feed.CANDLE_OPEN, "BTCUSDT", 90_100.0, START, START + 500)

    assert board.strike(HOUR) == Strike(90_100.0, Trust.UNPROVEN)


def test_who_starts_within_an_hour_believes_its_open_when_two_have_told_the_price() -> None:
    """Brief seed 14727: a start's first message of the exchange was 12 basis points off. Until
    exchange and oracle share a few seconds nobody knows how far apart they usually are.
    """
    board = PriceBoard(PricingParams(vol_prior_annual=0.45))
    told_open(board, 90_020.0, 1_200, 1_204, -12.0)
    held = board.strike(HOUR)
    assert held is not None
    assert held.trust is Trust.UNPROVEN

    told_open(board, 90_020.0, 1_210, 1_216, 0.0)
    assert board.strike(HOUR) == Strike(90_020.0, Trust.EXACT, START + 1_210_500)


@pytest.mark.parametrize("oracle", ["never heard", "gone"])
def test_without_an_oracle_an_open_is_what_an_exchange_says_that_was_heard_for_a_while(
    oracle: str,
) -> None:
    """Hours are settled by the exchange, and priced where no oracle is heard (any more)."""
    board = PriceBoard(PricingParams(vol_prior_annual=0.45))
    if oracle == "gone":
        told_open(board, 90_020.0, -300, -120, 0.0)
        told_open(board, 90_020.0, -120, -100, 12.0)
    for second in range(-20, 14, 2):
        at_ms = START + second * 1000
        board.on_tick(Feed.BINANCE, "BTCUSDT", 90_100.0, at_ms, at_ms + 50)
        if second >= 0:
            board.on_tick(Feed.CANDLE_OPEN, "BTCUSDT", 90_100.0, START, at_ms + 500)
            held = board.strike(HOUR)
            assert held is not None
            assert (held.trust is Trust.EXACT) is (second >= 10)


@pytest.mark.parametrize(
    ("off_bp", "trust"), [(0.0, Trust.EXACT), (2.4, Trust.EXACT), (12.0, Trust.UNPROVEN)]
)
def test_a_strike_that_a_snapshot_brings_waits_for_the_oracle(off_bp: float, trust: Trust) -> None:
    """Both streams were away over the start, and the average's snapshot comes first: what the
    oracle last said is no witness of the seconds since. Its own snapshot is.
    """
    board = PriceBoard()
    for feed in (Feed.TWAP60, Feed.CHAINLINK):
        for second in (*range(-120, -39), *range(-34, 11)):
            at_ms, away = START + second * 1000, second > -40
            off = off_bp / 1e4 if feed is Feed.TWAP60 and away else 0.0
            now_ms = START + 12_000 if away else at_ms + 50
            value = (90_000.0 + second / 100) * (1 + off)
            board.on_tick(feed, "btcusd", value, at_ms, now_ms, snapshot=away)
        if feed is Feed.TWAP60:
            assert board.strike(TWAP) == Strike(90_000.0 * (1 + off_bp / 1e4), Trust.UNPROVEN)

    assert board.strike(TWAP) == Strike(90_000.0 * (1 + off_bp / 1e4), trust)


@pytest.mark.parametrize("known_s", [8, 58, 59])
def test_a_model_counts_nothing_against_a_strike_that_no_minute_bears_out(known_s: int) -> None:
    """Brief seed 5546: the oracle's history began anew some seconds before the start, and both its
    streams were off by 12 basis points. So was the strike, for a minute.
    """
    board = PriceBoard()
    for second in range(-130, 21):
        at_ms = START + second * 1000
        board.on_tick(Feed.BINANCE, "BTCUSDT", 90_000.0 + second % 2, at_ms, at_ms + 20)
        if second >= -known_s:
            board.on_tick(Feed.CHAINLINK, "btcusd", 90_108.0, at_ms, at_ms + 50)
        board.on_tick(Feed.TWAP60, "btcusd", 90_108.0, at_ms, at_ms + 50)

    found = board.fair(TWAP, START + 20_100)
    assert isinstance(found, Fair)
    assert found.provisional_strike is (known_s < 59)
    assert board.official_strike(TWAP, 90_108.0, START + 20_100) is None, "as it was taken to be"
    found = board.fair(TWAP, START + 20_200)
    assert isinstance(found, Fair)
    assert not found.provisional_strike


@pytest.mark.parametrize("off", [0.1, -0.1, 0.0012])
@pytest.mark.parametrize("at_s", [200, 270])
def test_one_wild_print_is_not_quoted_on(at_s: int, off: float) -> None:
    """A print far from the one before it is no price until another has told the same: meanwhile
    nothing is priced, by either rule, and when the next is back nothing of it is left. It was
    believed until then, and in the last minute, through the mean, for a minute.
    """
    clean, wild = (Tape(PriceBoard(PricingParams(vol_prior_annual=0.45))) for _ in range(2))
    for tape in (clean, wild):
        now = tape.run(-120, at_s)
        tape.board.official_strike(TWAP, 100_000.0, START)
        tape.board.official_strike(HOUR, 100_000.0, START)
    board, price = wild.board, wild.price + BASIS

    said = board.on_tick(Feed.BINANCE, "BTCUSDT", price * (1 + off), now + 1000, now + 1000)

    assert said is TickRefusal.UNCONFIRMED
    assert why(board, TWAP, now + 1000) is WhyNoFair.UNCONFIRMED
    assert why(board, HOUR, now + 1000) is WhyNoFair.UNCONFIRMED
    for tape in (clean, wild):
        assert tape.board.on_tick(Feed.BINANCE, "BTCUSDT", price, now + 1400, now + 1400) is None
    assert board.fair(TWAP, now + 1400) == clean.board.fair(TWAP, now + 1400)
    assert isinstance(board.fair(TWAP, now + 1400), Fair)
    assert board.fair(HOUR, now + 1400) == clean.board.fair(HOUR, now + 1400)


def test_a_leap_told_twice_is_the_price(tape: Tape) -> None:
    """The second print of another moment proves the first, which counts for its own second; prints
    of one moment are one order's, and one further off proves nothing.
    """
    now = tape.run(-120, 200)
    board, high = tape.board, (tape.price + BASIS) * 1.003

    def tell(value: float, at_ms: int) -> TickRefusal | None:
        return board.on_tick(Feed.BINANCE, "BTCUSDT", value, at_ms, at_ms)

    assert tell(high, now + 900) is TickRefusal.UNCONFIRMED
    assert tell(high * 1.0001, now + 900) is TickRefusal.UNCONFIRMED
    assert tell(high * 1.003, now + 950) is TickRefusal.UNCONFIRMED
    assert tell(high * 1.0031, now + 1050) is None

    exchange, second = board._assets["btcusd"].exchange, (now + 1000) // 1000
    assert exchange.at(second) == high * 1.003
    assert fair_of(board, TWAP, now + 1050).spot == pytest.approx(high * 1.0031 - BASIS)
    assert board.refused[TickRefusal.UNCONFIRMED] == 3


def test_a_leap_that_nobody_confirms_gives_way_to_the_oracle(tape: Tape) -> None:
    """It is not the last word for long: with no other print the exchange is stale soon."""
    now = tape.run(-120, 200)
    board = tape.board
    board.on_tick(Feed.BINANCE, "BTCUSDT", 90_000.0, now + 100, now + 100)
    tape.run(200, 202, silent=frozenset({Feed.BINANCE}))
    assert why(board, TWAP, now + 2400) is WhyNoFair.UNCONFIRMED

    found = fair_of(board, TWAP, tape.run(202, 203, silent=frozenset({Feed.BINANCE})))

    assert (found.spot, found.quality.size) == (tape.price, 0.5)


def test_symbols_are_bounded() -> None:
    """A stream gone wrong cannot fill the memory with names."""
    board = PriceBoard()
    for n in range(MAX_ASSETS):
        assert board.on_tick(Feed.BINANCE, f"X{n}USDT", 1.0, 1, 1) is None

    assert board.on_tick(Feed.BINANCE, "YUSDT", 1.0, 1, 1) is TickRefusal.TOO_MANY_SYMBOLS


def test_staleness_of_each_input(tape: Tape) -> None:
    """Without a fresh average, or any fresh spot, there is no price."""
    tape.run(-120, 30)
    now = tape.run(30, 34, silent=frozenset({Feed.TWAP60}))
    assert why(tape.board, TWAP, now) is WhyNoFair.ORACLE_STALE

    now = tape.run(34, 41, silent=frozenset({Feed.BINANCE, Feed.CHAINLINK}))
    assert why(tape.board, TWAP, now) is WhyNoFair.ORACLE_STALE


def test_the_oracle_stands_in_for_a_silent_exchange(tape: Tape) -> None:
    """Without the exchange the oracle's own spot prices, older but on its own level, and half the
    size is enough (strategy.md 1, issue "price board").
    """
    tape.run(-120, 30)
    now = tape.run(30, 40, silent=frozenset({Feed.BINANCE}))

    found = fair_of(tape.board, TWAP, now)

    assert found.spot == tape.price
    assert found.quality.size == 0.5
    assert [caution for caution, _ in found.quality.cautions] == [Caution.EXCHANGE_STALE]
    assert why(tape.board, HOUR, now) is WhyNoFair.SPOT_STALE


def test_a_stalled_oracle_spot_stops_everything(tape: Tape) -> None:
    """Without the oracle's spot nobody knows the level, however lively the exchange (F58)."""
    tape.run(-120, 30)
    silent = frozenset({Feed.CHAINLINK})
    now = tape.run(30, 34, silent=silent)
    assert isinstance(tape.board.fair(TWAP, now), Fair)

    now = tape.run(34, 37, silent=silent)

    assert why(tape.board, TWAP, now) is WhyNoFair.ORACLE_STALE


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
    tape.board.official_strike(TWAP, 100_000.0, START)
    now = tape.run(255, 275)

    assert why(tape.board, TWAP, now) is WhyNoFair.HISTORY_SHORT


@pytest.mark.parametrize("rule", [UnknownRule("new kind"), TwapPair("btcusd", 30)])
def test_rules_not_understood_are_not_priced(rule: Rule, tape: Tape) -> None:
    """An unknown rule, or an average nobody publishes, has no price and no strike."""
    now = tape.run(-120, 30)

    assert why(tape.board, market(rule), now) is WhyNoFair.RULE_UNKNOWN


def test_a_price_to_beat_of_an_unknown_rule_is_no_strike(tape: Tape) -> None:
    """Whatever the venue publishes: of what it would be the strike is not known."""
    asked, now = market(UnknownRule("new kind")), tape.run(-120, 30)

    assert tape.board.official_strike(asked, 100_000.0, now) is None
    assert tape.board.strike(asked) is None


def test_an_ended_window_is_not_priced(tape: Tape) -> None:
    """From the last millisecond on there is nothing to price."""
    now = tape.run(-120, 300)

    assert why(tape.board, TWAP, now) is WhyNoFair.ENDED


def test_a_second_connection_keeps_the_first_one_s_feed_alive() -> None:
    """While PolyBolt stalls the legacy socket's ticks of the same feeds price on (feeds.md 6)."""
    tape = Tape(PriceBoard(PricingParams(vol_prior_annual=0.45)))
    board, last = tape.board, tape.run(-120, 30)
    oracle = frozenset({Feed.CHAINLINK, Feed.TWAP60})
    for second in range(31, 60):
        last = tape.run(second - 1, second, silent=oracle)
        for feed, value in ((Feed.CHAINLINK, tape.price), (Feed.TWAP60, tape.average(second))):
            board.on_tick(feed, "btcusd", value, last, last + 300, source=Source.RTDS)

    assert isinstance(board.fair(TWAP, last), Fair)
    assert {line.source for line in board.race() if line.feed is Feed.TWAP60} == {
        Source.POLYBOLT,
        Source.RTDS,
    }


def test_the_slower_connection_is_no_fault() -> None:
    """The same seconds again, later, from the other socket change nothing and are not refused."""
    tape = Tape(PriceBoard(PricingParams(vol_prior_annual=0.45)))
    now = tape.run(-120, 30)
    for second in (28, 29, 30):
        stamp = START + second * 1000
        value = tape.average(second) + (5.0 if second == 30 else 0.0)
        board = tape.board
        assert (
            board.on_tick(Feed.TWAP60, "btcusd", value, stamp, now + 400, source=Source.RTDS)
            is None
        )

    lines = {line.source: line for line in tape.board.race() if line.feed is Feed.TWAP60}
    assert not tape.board.refused
    assert lines[Source.RTDS].conflicts == 1
    assert lines[Source.RTDS].behind_ms is not None
    assert lines[Source.POLYBOLT].first_share == 1.0
    assert fair_of(tape.board, TWAP, now).strike == tape.average(0)


def test_a_told_loss_is_counted_where_it_happened(tape: Tape) -> None:
    """Losses belong to a connection and a feed, and tear that feed's history (F62)."""
    tape.run(-120, 270)
    tape.board.on_loss(Source.BINANCE, Feed.BINANCE, "BTCUSDT", 3)
    tape.run(270, 272, silent=frozenset({Feed.BINANCE}))
    now = tape.run(272, 273)

    (line,) = [line for line in tape.board.race() if line.feed is Feed.BINANCE]
    assert line.lost == 3
    assert why(tape.board, TWAP, now) is WhyNoFair.HISTORY_SHORT


def test_near_the_end_both_sources_must_stand_on_one_side(tape: Tape) -> None:
    """In the last two minutes a strike between oracle and exchange is not priced (F60)."""
    early, late = tape.run(-120, 170), 0
    tape.board.official_strike(TWAP, tape.price + 12.0, early - 10_000)
    for second in range(171, 200):
        late = tape.run(second - 1, second, silent=frozenset({Feed.CHAINLINK}))
        tape.board.on_tick(Feed.CHAINLINK, "btcusd", tape.price + 25.0, late, late + 5)
        tape.board.official_strike(TWAP, tape.price + 12.0, early - 10_000)
        if second == 175:
            assert isinstance(tape.board.fair(TWAP, late), Fair)

    assert why(tape.board, TWAP, late) is WhyNoFair.SOURCES_APART


def test_the_first_trade_of_the_hour_is_a_provisional_strike(tape: Tape) -> None:
    """The candle's open is the first trade after the hour; until its own message comes that trade
    stands for it, and says so (strategy.md 2.1). The message is believed some seconds later, when
    the oracle has spoken of the hour as well.
    """
    hour = attrs.evolve(HOUR, start_ms=START - START % 3_600_000 + 3_600_000)
    hour = attrs.evolve(hour, end_ms=hour.start_ms + 3_600_000)
    first_s = (hour.start_ms - START) // 1000
    tape.run(first_s - 60, first_s - 1)
    tape.board.on_tick(Feed.BINANCE, "BTCUSDT", 100_007.0, hour.start_ms + 120, hour.start_ms + 130)
    now = tape.run(first_s, first_s + 1)

    found = fair_of(tape.board, hour, now)
    assert (found.strike, found.provisional_strike) == (100_007.0, True)
    for second in (1, 2):
        tape.board.on_tick(Feed.CANDLE_OPEN, "BTCUSDT", 100_007.0, hour.start_ms, now)
        assert fair_of(tape.board, hour, now).provisional_strike
        now = tape.run(first_s + second, first_s + second + 1)
    tape.board.on_tick(Feed.CANDLE_OPEN, "BTCUSDT", 100_007.0, hour.start_ms, now)
    assert not fair_of(tape.board, hour, now).provisional_strike


def test_the_spot_rule_of_july_is_priced_by_the_oracle_alone() -> None:
    """A look-back of zero: the oracle's own values at both ends, nothing else needed."""
    july = market(TwapPair("btcusd", 0))
    tape = Tape(PriceBoard())
    now = tape.run(-600, 60, silent=frozenset({Feed.BINANCE, Feed.TWAP60}))

    found = fair_of(tape.board, july, now)

    assert (found.strike, found.spot) == (tape.path[0], tape.price)
    tails = Tails(PricingParams().vol_error)
    model = models.twap_before_window(tape.price, tape.path[0], found.sigma, 240.0, 0.0, tails)
    assert found.q == fair_of_model(model).q


def test_a_measured_lag_is_used_in_the_last_minute() -> None:
    """An average that trails by three seconds has three seconds less left to move."""
    tape = Tape(PriceBoard(ALIKE), lag_s=3)
    now = tape.run(-300, 270)

    found = fair_of(tape.board, TWAP, now)

    assert tape.board.average_lag_s("btcusd") == 3.0
    assert found.tau_s == pytest.approx(27.0)
    realised = [tape.path[k] for k in range(238, 271)]
    mean = (math.fsum(realised) + 27 * tape.price) / 60
    assert found.strike is not None
    expected = models.twap_inside_window(mean, tape.price, found.strike, found.sigma, 27.0, 60.0)
    assert found.q == pytest.approx(fair_of_model(expected).q, abs=1e-9)


def beside(tape: Tape, expected: float) -> None:
    """An official strike near the value expected: a probability that is clipped tells nothing."""
    tape.board.official_strike(TWAP, expected * (1 + 4e-5), START)


@pytest.mark.parametrize(("at_s", "late_s"), [(238, 0), (270, 0), (270, 2), (290, 1)])
def test_an_average_that_trails_is_rolled_by_its_own_seconds(at_s: int, late_s: int) -> None:
    """What trails by three seconds averages the minute up to three seconds before the end: the
    seconds that enter and those that leave are three earlier, whether or not the average is late.
    """
    tape = Tape(PriceBoard(ALIKE), lag_s=3)
    tape.run(-300, at_s - late_s)
    now = tape.run(at_s - late_s, at_s, silent=frozenset({Feed.TWAP60}) if late_s else frozenset())
    left = 297 - at_s
    realised = [tape.path[k] for k in range(238, at_s + 1)]
    mean = (math.fsum(realised) + left * tape.price) / 60
    beside(tape, mean)

    found = fair_of(tape.board, TWAP, now)

    assert tape.board.average_lag_s("btcusd") == 3.0
    assert found.strike is not None
    expected = models.twap_inside_window(
        mean, tape.price, found.strike, found.sigma, float(left), 60.0
    )
    assert found.d == pytest.approx(fair_of_model(expected).d, rel=1e-6)
    assert 0.05 < abs(found.d) < 3.9


def test_an_average_that_trails_has_its_last_minute_later() -> None:
    """62 seconds before the end it has 59 left to form, 63 seconds before it still has all sixty:
    what it is then says nothing of the end.
    """
    tape = Tape(PriceBoard(ALIKE), lag_s=3)
    now = tape.run(-300, 237)
    beside(tape, tape.price)

    found = fair_of(tape.board, TWAP, now)

    assert found.strike is not None
    expected = models.twap_before_window(tape.price, found.strike, found.sigma, 60.0, 60.0)
    assert found.d == pytest.approx(fair_of_model(expected).d, rel=1e-9)


@pytest.mark.parametrize("before_s", [61, 30, 10, 2])
def test_an_average_that_trails_forms_the_strike_later(before_s: int) -> None:
    """Before the open the same: the strike is the minute up to three seconds before the start, and
    two seconds before it that minute is over.
    """
    tape = Tape(PriceBoard(ALIKE), lag_s=3)
    now = tape.run(-400, -before_s)

    found = fair_of(tape.board, TWAP, now)

    assert tape.board.average_lag_s("btcusd") == 3.0
    left = max(0, before_s - 3)
    realised = [tape.path[k] for k in range(-62, min(-before_s, -3) + 1)]
    strike = (math.fsum(realised) + left * tape.price) / 60
    expected = models.before_open(
        tape.price, strike, found.sigma, float(left), 300.0, 60.0, Tails(0.0), FRESH
    )
    assert found.d == pytest.approx(fair_of_model(expected).d, rel=1e-6, abs=1e-12)
    assert found.v == pytest.approx(fair_of_model(expected).v, rel=1e-6)
    assert abs(found.d) > 1e-4


@pytest.mark.parametrize("of", [TWAP, HOUR])
@pytest.mark.parametrize("at_s", [-20, 100, 270])
def test_time_counts_from_the_stamp(tape: Tape, of: Market, at_s: int) -> None:
    """A price of two seconds ago has two seconds more to move: while nothing new comes the
    probability stands still, though the end draws near.
    """
    now = tape.run(-200, at_s)
    if at_s > 0:
        beside(tape, tape.price)
        tape.board.official_strike(HOUR, tape.price + BASIS + 8.0, START)

    first, later = fair_of(tape.board, of, now + 10), fair_of(tape.board, of, now + 2010)

    assert (later.d, later.q, later.v) == pytest.approx((first.d, first.q, first.v), rel=1e-9)
    assert later.tau_s == pytest.approx(first.tau_s)
    assert later.age_s - first.age_s == pytest.approx(2.0)
    if at_s > 0:
        assert first.tau_s == pytest.approx((of.end_ms - now) / 1000)
        assert 0.001 < abs(first.d) < 3.9


def test_an_average_stamped_at_the_fixing_is_the_fixing(tape: Tape) -> None:
    """Seconds before the start that our clock counts, when the venue's has told the strike: there
    is nothing left to roll.
    """
    tape.run(-200, 0)

    found = fair_of(tape.board, TWAP, START - 500)

    strike = tape.average(0)
    expected = models.before_open(
        tape.price, strike, found.sigma, 0.5, 300.0, 60.0, Tails(0.0), FRESH
    )
    assert found.d == pytest.approx(fair_of_model(expected).d, rel=1e-6)
    assert abs(found.d) > 1e-3


@pytest.mark.parametrize("snapshot", [True, False])
def test_a_replayed_trade_is_no_strike(tape: Tape, snapshot: bool) -> None:
    """Of a history nobody knows whether its first trade of the hour was the first one."""
    hour_ms = START - START % 3_600_000 + 3_600_000
    first_s = (hour_ms - START) // 1000
    tape.run(first_s - 60, first_s - 1)
    hour = attrs.evolve(HOUR, start_ms=hour_ms, end_ms=hour_ms + 3_600_000)

    said = tape.board.on_tick(
        Feed.BINANCE, "BTCUSDT", tape.price, hour_ms + 120, hour_ms + 130, snapshot=snapshot
    )

    assert said is None
    assert (tape.board.strike(hour) is None) is snapshot


def test_the_exchange_leads_by_what_its_stamps_say(tape: Tape) -> None:
    """The report's last line: here both speak of the same second."""
    tape.run(-200, 0)

    assert tape.board.exchange_lead_s("btcusd") == 0
    assert tape.board.exchange_lead_s("nousd") is None


@pytest.mark.parametrize("left_s", [3_000, 1_200, 301, 300, 60])
def test_an_hour_is_priced_by_what_volatility_will_be(left_s: int) -> None:
    """Minutes of unrest are over long before an hour is: they make the probability move faster now,
    and say little of where the hour ends. In the last five minutes there is no difference.
    """
    tape = Tape(PriceBoard(PricingParams(vol_error=0.0)))
    now = tape.run(-600, 3_600 - left_s - 120)
    tape.board.on_tick(Feed.CANDLE_OPEN, "BTCUSDT", tape.price * 1.0005 + BASIS, START, now)
    for second in range(120):
        tape.price *= 1.0005 if second % 2 else 1 / 1.0005
        stamp = now + (second + 1) * 1000
        tape.board.on_tick(Feed.BINANCE, "BTCUSDT", tape.price + BASIS, stamp, stamp + 5)
    now = HOUR.end_ms - left_s * 1000

    found = fair_of(tape.board, HOUR, now)

    volatility = tape.board._assets["btcusd"].volatility
    present, ahead = volatility.measured(now), volatility.ahead(float(left_s))
    assert present is not None
    assert found.sigma == pytest.approx(present)
    assert found.strike is not None
    told = models.candle(found.spot, found.strike, ahead, float(left_s))
    assert found.d == pytest.approx(fair_of_model(told).d)
    assert found.v == pytest.approx(fair_of_model(told).v * present / ahead)
    moved = models.candle(found.spot + 0.01, found.strike, ahead, float(left_s))
    slope = (fair_of_model(moved).q - fair_of_model(told).q) / 0.01
    assert found.delta == pytest.approx(slope, rel=1e-3)
    assert (present > 1.2 * ahead) == (left_s > 1_000)
    assert (present == ahead) == (left_s <= 300)
