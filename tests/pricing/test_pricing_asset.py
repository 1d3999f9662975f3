"""One coin: levels, disagreement, lost updates, stand-ins, and the lag in the rolled average."""

from __future__ import annotations

import math
import random

import attrs
import pytest

from polybot.domain.prices import Feed
from polybot.pricing.asset import Asset, Spot
from polybot.pricing.fair import Caution, NoFair, WhyNoFair
from polybot.pricing.params import PricingParams
from polybot.pricing.volatility import per_root_second

T0 = 1_790_000_100
SIGMA = per_root_second(0.45)
BASIS = 24.0


@attrs.define
class Coin:
    """A path told to an asset: exchange at once, oracle and average with the same stamp."""

    asset: Asset = attrs.field(factory=Asset)
    price: float = 100_000.0
    second: int = T0
    shift: float = 0.0  # dollars that the oracle is off
    sigma: float = SIGMA
    rng: random.Random = attrs.field(factory=lambda: random.Random(1))
    path: list[float] = attrs.field(factory=list)

    def run(self, seconds: int, *, silent: frozenset[Feed] = frozenset()) -> int:
        for _ in range(seconds):
            self.second += 1
            self.price *= math.exp(self.sigma * self.rng.gauss(0, 1))
            self.path.append(self.price)
            stamp = self.second * 1000
            average = math.fsum(self.path[-60:]) / len(self.path[-60:])
            told = {
                Feed.BINANCE: self.price + BASIS,
                Feed.CHAINLINK: self.price + self.shift,
                Feed.TWAP60: average,
            }
            for feed, value in told.items():
                if feed not in silent:
                    self.asset.take(feed, value, stamp, stamp + 100, snapshot=False)
        return self.second * 1000 + 100

    def spot(self, now_ms: int) -> Spot:
        found = self.asset.oracle_spot(now_ms)
        assert isinstance(found, Spot), found
        return found


def why(found: object) -> WhyNoFair:
    assert isinstance(found, NoFair), found
    return found.why


def test_sources_that_agree_need_no_caution() -> None:
    """The exchange stands on the oracle's level and everything is as usual."""
    coin = Coin()
    now = coin.run(120)

    assert coin.spot(now).value == pytest.approx(coin.price)
    assert coin.spot(now).quality.cautions == ()
    assert coin.spot(now).quality.apart == 0.0


def test_before_the_level_is_known_the_oracle_prices() -> None:
    """Four common seconds are no level yet; that is no fault of the exchange, and no caution."""
    coin = Coin()
    now = coin.run(4)

    assert coin.spot(now).source is coin.asset.oracle
    assert coin.spot(now).quality.cautions == ()
    assert coin.spot(coin.run(1)).source is coin.asset.exchange


def test_a_level_of_before_a_long_silence_is_none() -> None:
    """While the exchange is away its level moves, and the first seconds after it were priced on the
    old one: 3 bp are nine cents at the open of five minutes.
    """
    coin = Coin()
    coin.run(120)
    coin.run(600, silent=frozenset({Feed.BINANCE}))
    coin.shift = 30.0

    now = coin.run(1)
    assert coin.spot(now).source is coin.asset.oracle
    assert coin.spot(now).value == pytest.approx(coin.price + 30.0)
    now = coin.run(4)
    assert coin.spot(now).source is coin.asset.exchange
    assert coin.spot(now).value == pytest.approx(coin.price + 30.0)


def test_a_level_outlives_a_short_silence() -> None:
    """What a minute ago told still holds: the exchange is believed as soon as it is back."""
    coin = Coin()
    coin.run(120)
    coin.run(30, silent=frozenset({Feed.BINANCE}))

    assert coin.spot(coin.run(1)).source is coin.asset.exchange


@pytest.mark.parametrize(
    ("shift_bp", "warned", "halted"),
    [(2.0, False, False), (4.0, True, False), (-4.0, True, False), (12.0, True, True)],
)
def test_disagreement_warns_widens_and_halts(shift_bp: float, warned: bool, halted: bool) -> None:
    """Three basis points off the usual distance widen, ten stop (reliability.md F60)."""
    coin = Coin()
    coin.run(120)
    coin.shift = coin.price * shift_bp / 1e4
    now = coin.run(10)

    found = coin.asset.oracle_spot(now)

    if halted:
        assert why(found) is WhyNoFair.SOURCES_APART
        return
    quality = coin.spot(now).quality
    assert (Caution.SOURCES_APART in dict(quality.cautions)) is warned
    assert quality.apart == (pytest.approx(abs(shift_bp) / 1e4, rel=0.15) if warned else 0.0)


def test_a_disagreement_that_ends_is_forgotten() -> None:
    """When the sources come together again within seconds nothing remains."""
    coin = Coin()
    coin.run(120)
    coin.shift = 120.0
    assert why(coin.asset.oracle_spot(coin.run(10))) is WhyNoFair.SOURCES_APART

    coin.shift = 0.0
    now = coin.run(10)

    assert coin.spot(now).quality.apart == 0.0


def test_a_level_that_lasts_becomes_the_usual_one() -> None:
    """After an hour the new distance is how things are; before, it is a disagreement."""
    coin = Coin()
    coin.run(120)
    coin.shift = 120.0
    assert why(coin.asset.oracle_spot(coin.run(60))) is WhyNoFair.SOURCES_APART

    now = coin.run(3600)

    assert coin.spot(now).quality.cautions == ()


def test_a_fast_move_is_no_disagreement() -> None:
    """The oracle trails the exchange by two seconds: a jump of 20 bp passes without an alarm."""
    coin, ahead = Coin(), frozenset({Feed.CHAINLINK, Feed.TWAP60})
    coin.run(120)
    coin.price *= 1.002
    now = coin.run(2, silent=ahead)
    assert isinstance(coin.asset.oracle_spot(now), Spot)

    now = coin.run(3)

    assert coin.spot(now).quality.apart == 0.0


def test_two_sides_of_the_strike() -> None:
    """Oracle above, exchange below the strike at one second: neither may be believed (F60)."""
    coin = Coin()
    coin.run(120)
    coin.shift = 20.0
    coin.run(1)
    between = coin.price + 10.0

    assert why(coin.asset.straddles(between)) is WhyNoFair.SOURCES_APART
    assert coin.asset.straddles(coin.price - 50.0) is None
    assert Asset().straddles(1.0) is None


def test_lost_updates_leave_a_hole() -> None:
    """A second that went missing with a told loss is unknown, one left out is unchanged (F62)."""
    torn, whole = Coin(), Coin()
    for coin in (torn, whole):
        coin.run(100)
    torn.asset.track(Feed.BINANCE).tear()
    for coin in (torn, whole):
        coin.run(1, silent=frozenset({Feed.BINANCE}))
        coin.run(1)

    assert whole.asset.exchange.mean(T0 + 50, T0 + 100) is not None
    assert torn.asset.exchange.mean(T0 + 50, T0 + 100) is None


def test_a_loss_without_a_hole_is_none() -> None:
    """When the next second follows, nothing that counts was lost."""
    coin = Coin()
    coin.run(100)
    coin.asset.track(Feed.BINANCE).tear()
    coin.run(1)

    assert coin.asset.exchange.mean(T0 + 50, T0 + 100) is not None


def sigma(coin: Coin, now_ms: int, ahead_s: float = 0.0) -> float:
    found = coin.asset.sigma(now_ms, ahead_s)
    assert not isinstance(found, NoFair), found
    return found[0]


def test_volatility_of_the_oracle_stands_in() -> None:
    """An exchange never heard leaves the oracle's spot, sampled every ten seconds."""
    coin = Coin()
    now = coin.run(3600, silent=frozenset({Feed.BINANCE}))

    assert coin.asset.volatility.measured(now) is None
    assert sigma(coin, now) == pytest.approx(SIGMA, rel=0.25)


@pytest.mark.parametrize("times", [6.0, 1 / 6])
def test_an_exchange_that_fell_silent_is_not_asked_alone(times: float) -> None:
    """Its volatility is of a quarter of an hour ago, while the oracle goes on to price: the larger
    of both counts, for a calm that nobody has seen end is no calm.
    """
    coin = Coin()
    before = sigma(coin, coin.run(1800))
    coin.sigma *= times
    now = coin.run(40, silent=frozenset({Feed.BINANCE}))
    assert sigma(coin, now) == before, "a gap is none yet"
    after = sigma(coin, coin.run(560, silent=frozenset({Feed.BINANCE})))

    assert after == pytest.approx(before) if times < 1 else after > 2 * before


def test_the_smooth_part_has_the_same_floor() -> None:
    """Prices that move every third second leave bipower next to nothing: σ is bounded all the
    same, jumps apart or not (strategy.md 3.1, 3.4).
    """
    coin = Coin(Asset(PricingParams(jumps_per_hour=2.0)))
    for second in range(900):
        price = 100_000.0 * (1 + 1e-5 * (second // 3 % 2))
        stamp = (T0 + second) * 1000
        coin.asset.take(Feed.BINANCE, price, stamp, stamp + 100, snapshot=False)

    for ahead_s in (0.0, 3_600.0):
        assert coin.asset.sigma((T0 + 900) * 1000, ahead_s) == (per_root_second(0.15), 1.0)


def test_an_oracle_that_stands_still_is_not_believed() -> None:
    """Fresh stamps over one value, while the exchange moves by more than 2 bp: nobody knows the
    level any more (F60).
    """
    coin = Coin()
    coin.run(120)
    held, oracle = coin.price, Feed.CHAINLINK
    coin.price *= 1 + 3e-4
    for second in range(25):
        now = coin.run(1, silent=frozenset({oracle}))
        coin.asset.take(oracle, held, now - 100, now, snapshot=False)
        found = coin.asset.oracle_spot(now)
        if second < 15:
            assert isinstance(found, Spot), "an old value may be right for a moment"

    assert why(found) is WhyNoFair.FROZEN


@pytest.mark.parametrize("off", [1.1, 0.998])
def test_a_wild_print_of_an_oracle_that_stands_in_is_no_price(off: float) -> None:
    """Of a silent exchange nobody holds the oracle's spot against anything: one wrong print was as
    good as certainty. It is none until the next second has told the same.
    """
    coin = Coin()
    coin.run(120)
    now = coin.run(10, silent=frozenset({Feed.BINANCE}))
    assert coin.spot(now).source is coin.asset.oracle

    coin.asset.take(Feed.CHAINLINK, coin.price * off, now + 900, now + 1000, snapshot=False)
    coin.second += 1
    assert why(coin.asset.oracle_spot(now + 1000)) is WhyNoFair.UNCONFIRMED
    now = coin.run(1, silent=frozenset({Feed.BINANCE}))
    assert why(coin.asset.oracle_spot(now)) is WhyNoFair.UNCONFIRMED, "which of the two was wrong?"
    now = coin.run(1, silent=frozenset({Feed.BINANCE}))
    assert coin.spot(now).value == pytest.approx(coin.price)

    coin.price *= off
    now = coin.run(1, silent=frozenset({Feed.BINANCE}))
    assert why(coin.asset.oracle_spot(now)) is WhyNoFair.UNCONFIRMED
    now = coin.run(1, silent=frozenset({Feed.BINANCE}))
    assert coin.spot(now).value == pytest.approx(coin.price), "told twice it is the price"


def test_the_average_never_makes_volatility() -> None:
    """Fed with the average alone there is no volatility at all (strategy.md 3.3)."""
    coin = Coin()
    now = coin.run(600, silent=frozenset({Feed.BINANCE, Feed.CHAINLINK}))

    assert why(coin.asset.sigma(now)) is WhyNoFair.VOLATILITY_UNKNOWN


def test_with_jumps_priced_apart_volatility_is_the_smooth_part() -> None:
    """Counting the jumps' variance twice is what bipower variation is there to avoid (3.4)."""
    plain, jumping = Coin(), Coin(Asset(PricingParams(jumps_per_hour=2.0)))
    for coin in (plain, jumping):
        coin.run(300)
        coin.price *= 1.003
        coin.run(3)
    now = plain.second * 1000 + 100

    for ahead_s in (0.0, 3_600.0):
        assert sigma(jumping, now, ahead_s) < 0.75 * sigma(plain, now, ahead_s)


def test_a_jump_is_a_caution() -> None:
    """The desk hears of it: what it does is its own affair."""
    coin = Coin()
    coin.run(300)
    coin.price *= 1.003
    now = coin.run(3)

    assert Caution.JUMP in dict(coin.spot(now).quality.cautions)


def test_the_lag_comes_from_the_stream_in_use() -> None:
    """The average of this path trails nothing; measured, it overrules what was configured."""
    coin = Coin(Asset(PricingParams(twap_lag_s=3.0)))
    now = coin.run(70)
    assert coin.spot(now).lag_s == 3.0

    now = coin.run(150)

    assert coin.spot(now).lag_s == 0.0
    assert coin.asset.lag_s == 0.0
