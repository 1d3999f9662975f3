"""Volatility: unbiased on irregular ticks, bounded, and honest about what it has not seen."""

from __future__ import annotations

import math
import random

import attrs
import pytest
from hypothesis import given, strategies as st

from polybot.pricing.params import PricingParams
from polybot.pricing.season import FLAT, Season
from polybot.pricing.volatility import Volatility, per_root_second

SIGMA = per_root_second(0.45)


def qlike(variance: float, squared: float) -> float:
    """Loss of a variance forecast against what came: least for the truth, in the mean, however
    noisy `squared` is (strategy.md 3.1).
    """
    return squared / variance + math.log(variance)


def walk(
    vol: Volatility, rng: random.Random, *, seconds: float, gap_s: float, noise: float = 0.0
) -> int:
    """Feed a geometric walk with exponential gaps of mean `gap_s`; the last stamp."""
    x, t = math.log(100_000.0), 0.0
    while t < seconds:
        step = rng.expovariate(1 / gap_s)
        t += step
        x += SIGMA * math.sqrt(step) * rng.gauss(0, 1)
        vol.observe(math.exp(x + noise * rng.gauss(0, 1)), int(t * 1000))
    return int(t * 1000)


@pytest.mark.parametrize("gap_s", [0.1, 0.7, 3.0])
def test_unbiased_on_irregular_ticks(gap_s: float) -> None:
    """Whatever the spacing of the ticks, the estimate is the truth within its own error."""
    rng = random.Random(3)
    ratios = []
    for _ in range(12):
        vol = Volatility()
        sigma = vol.sigma(walk(vol, rng, seconds=1500, gap_s=gap_s))
        assert sigma is not None
        ratios.append((sigma / SIGMA) ** 2)

    assert sum(ratios) / len(ratios) == pytest.approx(1.0, abs=0.08)


@pytest.mark.parametrize(("noise", "seconds", "raw"), [(2e-5, 9000, 1.125), (5e-5, 2000, 1.78)])
def test_noise_is_taken_out(noise: float, seconds: float, raw: float) -> None:
    """Ten noisy ticks a second would add 12 % to the variance ($2 of noise) or 78 % ($5); found in
    the autocorrelation of returns, most of it goes again (strategy.md 3.2).
    """
    found = []
    for seed in range(8):
        vol = Volatility(PricingParams(vol_weights=(0.0, 0.0, 1.0)))
        sigma = vol.sigma(walk(vol, random.Random(seed), seconds=seconds, gap_s=0.3, noise=noise))
        assert sigma is not None
        found.append((sigma / SIGMA) ** 2)

    assert sum(found) / len(found) - 1 < 0.4 * (raw - 1)
    assert sum(found) / len(found) > 0.93


def test_chance_is_not_called_noise() -> None:
    """Without noise nothing is taken out, neither early, when chance is great, nor late."""
    for seed in range(20):
        vol = Volatility()
        walk(vol, random.Random(seed), seconds=120, gap_s=0.3)
        assert vol._noise.added() == 0.0
        walk(vol, random.Random(seed), seconds=900, gap_s=0.3)
        assert vol._noise.added() == 0.0


def test_waits_until_enough_is_seen() -> None:
    """Less than half a minute of prices is no estimate."""
    vol = Volatility()
    for second in range(30):
        vol.observe(100_000 + second % 2, second * 1000)
        assert vol.sigma(second * 1000) is None
    vol.observe(100_000, 30_000)

    assert vol.sigma(30_000) is not None


def test_a_prior_bridges_the_wait() -> None:
    """A configured prior is used until the estimate is ready, and not after."""
    vol = Volatility(PricingParams(vol_prior_annual=0.6))

    assert vol.sigma(0) == per_root_second(0.6)
    last = walk(vol, random.Random(1), seconds=60, gap_s=0.5)
    assert vol.sigma(last) != per_root_second(0.6)


def test_a_gap_is_not_a_step() -> None:
    """The jump over a silence of more than ten seconds is not counted."""
    vol = Volatility()
    last = walk(vol, random.Random(2), seconds=120, gap_s=0.5)
    before = vol.sigma(last)

    vol.observe(200_000.0, last + 11_000)

    assert vol.sigma(last + 11_000) == before


def test_a_long_silence_starts_again() -> None:
    """After a quarter of an hour the old estimate is forgotten, with or without a new tick."""
    vol = Volatility()
    last = walk(vol, random.Random(2), seconds=120, gap_s=0.5)

    assert vol.sigma(last + 901_000) is None
    vol.observe(100_000.0, last + 901_000)
    assert vol.sigma(last + 901_000) is None


def test_floor_and_cap() -> None:
    """A dead market has 15 % a year, a mad one 300 %."""
    dead, mad = Volatility(), Volatility()
    for second in range(60):
        dead.observe(100_000.0, second * 1000)
        mad.observe(100_000.0 * (1 + 0.05 * (second % 2)), second * 1000)

    assert dead.sigma(59_000) == per_root_second(0.15)
    assert mad.sigma(59_000) == per_root_second(3.0)


def test_reacts_to_a_change_of_regime() -> None:
    """When the market calms down the estimate falls with the half-lives, not at once."""
    vol = Volatility()
    last = walk(vol, random.Random(7), seconds=600, gap_s=0.5)
    lively = vol.sigma(last)
    for second in range(1, 121):
        vol.observe(100_000.0, last + second * 1000 + 11_000)
    calm = vol.sigma(last + 131_000)

    assert lively is not None
    assert calm is not None
    assert 0.3 * lively < calm < 0.9 * lively


def test_late_and_crowded_ticks_are_skipped() -> None:
    """A tick out of order or within the spacing changes nothing."""
    vol = Volatility()
    last = walk(vol, random.Random(9), seconds=60, gap_s=2.0)
    before = vol.sigma(last)

    vol.observe(1.0, last - 5000)
    vol.observe(1e9, last + 10)

    assert vol.sigma(last + 10) == before


def test_a_jump_is_told_and_taken_out() -> None:
    """One move of twenty standard deviations makes most of the variance of the last half minute;
    bipower variation, blind to it, keeps the rest (strategy.md 3.2).
    """
    vol = Volatility()
    last = walk(vol, random.Random(5), seconds=900, gap_s=0.4)
    assert vol.jump_share < 0.5
    quiet = vol.sigma(last)
    assert quiet is not None
    assert vol.smooth(quiet) > 0.85 * quiet
    price = math.exp(vol._log + 20 * SIGMA)
    for second in range(1, 6):
        vol.observe(price, last + second * 1000)

    assert vol.jump_share > 0.7
    sigma = vol.sigma(last + 5000)
    assert sigma is not None
    assert sigma > 1.3 * quiet
    assert vol.smooth(sigma) < 0.8 * sigma


def test_jump_shares_of_a_walk_are_small() -> None:
    """Without jumps the share is chance: near nothing in the mean, rarely above one half."""
    shares = []
    for seed in range(30):
        vol = Volatility()
        walk(vol, random.Random(seed), seconds=300, gap_s=0.4)
        shares.append(vol.jump_share)

    assert sum(shares) / len(shares) < 0.2
    assert sum(share > 0.5 for share in shares) <= 1


def test_the_average_must_not_be_fed() -> None:
    """Why the 60 s average is no source: its seconds move 0.129 as much (strategy.md 3.3)."""
    rng, spot, fed = random.Random(7), Volatility(), Volatility()
    path = [0.0]
    for second in range(1, 2000):
        path.append(path[-1] + SIGMA * rng.gauss(0, 1))
        spot.observe(100_000 * math.exp(path[-1]), second * 1000)
        if second >= 60:
            fed.observe(100_000 * math.exp(math.fsum(path[-60:]) / 60), second * 1000)

    rows = [(part.squares / part.seconds) ** 0.5 for part in (spot._parts[2], fed._parts[2])]
    assert rows[1] / rows[0] == pytest.approx(0.129, rel=0.15)


def test_the_truth_loses_least() -> None:
    """QLIKE, the loss that weights are fitted by, is least at the true variance (3.1)."""
    rng = random.Random(1)
    squares = [rng.gauss(0, SIGMA) ** 2 for _ in range(4000)]

    def loss(scale: float) -> float:
        return math.fsum(qlike(SIGMA**2 * scale, square) for square in squares)

    assert min((loss(scale), scale) for scale in (0.5, 0.8, 1.0, 1.25, 2.0))[1] == 1.0


@pytest.mark.parametrize("bad", [math.nan, math.inf, 0.0, -1.0])
def test_a_bad_price_is_a_bug(bad: float) -> None:
    """The streams refuse bad prices; one that comes this far is an error, never a number."""
    with pytest.raises(ValueError, match="positive price"):
        Volatility().observe(bad, 0)


@given(st.lists(st.tuples(st.floats(1e-3, 1e7), st.integers(0, 20_000)), min_size=1, max_size=60))
def test_always_within_its_bounds(ticks: list[tuple[float, int]]) -> None:
    """Any prices at any times give None or a number between floor and cap."""
    vol, now = Volatility(), 0
    for price, wait_ms in ticks:
        now += wait_ms
        vol.observe(price, now)
        sigma = vol.sigma(now)
        assert sigma is None or per_root_second(0.15) <= sigma <= per_root_second(3.0)


@pytest.mark.parametrize(
    "wrong",
    [
        {"vol_weights": (0.5, 0.5, 0.5)},
        {"vol_half_lives_s": (0.0, 120.0, 1800.0)},
        {"vol_floor_annual": math.nan},
        {"oracle_stale_s": -1.0},
        {"basis_min_pairs": 0},
    ],
)
def test_wrong_settings_are_refused(wrong: dict[str, object]) -> None:
    """Settings outside their range are refused when read, not when used."""
    with pytest.raises(ValueError):
        PricingParams(**wrong)  # type: ignore[arg-type]


def lively(seed: int = 2, params: PricingParams | None = None) -> tuple[Volatility, float, int]:
    """An estimate after twenty minutes of a walk by the second, its last price and stamp."""
    vol, rng, x = Volatility(params or PricingParams()), random.Random(seed), math.log(100_000.0)
    for second in range(1200):
        x += SIGMA * rng.gauss(0, 1)
        vol.observe(math.exp(x), second * 1000)
    return vol, math.exp(x), 1_199_000


def told(vol: Volatility, now_ms: int) -> float:
    found = vol.sigma(now_ms)
    assert found is not None
    return found


@given(st.floats(-0.9, 10.0), st.integers(0, 3), st.integers(1000, 4000))
def test_one_wrong_tick_is_forgotten(off: float, seed: int, wait_ms: int) -> None:
    """A print that is off by anything and back at the next sample hardly moves σ: seen as two
    returns a tenth would have kept it at its cap for hours. What is too small to be told from a
    move adds a quarter at the most where samples are a second apart, and is gone in minutes.
    """
    vol, price, now = lively(seed)
    before = told(vol, now)
    vol.observe(price * (1 + off), now + wait_ms)
    vol.observe(price, now + 2 * wait_ms)

    most = math.sqrt(1.1 + 0.5 * wait_ms / 1000)
    assert 0.95 * before < told(vol, now + 2 * wait_ms) < most * before


@given(st.floats(0.0006, 0.2), st.sampled_from([1, -1]), st.integers(0, 1))
def test_a_jump_that_stays_counts_in_full(size: float, side: int, back: int) -> None:
    """It counts one sample later, in every part of the estimate, as it would have at once; so does
    one that loses less than half of itself again.
    """
    vol, price, now = lively()
    before = [part.squares for part in vol._parts]
    top = price * math.exp(side * size)
    vol.observe(top, now + 1000)
    assert [part.squares for part in vol._parts] == before, "held back until the next sample"
    lost = 0.4 * back * size
    vol.observe(top * math.exp(-side * lost), now + 2000)
    vol.observe(top * math.exp(-side * lost), now + 3000)

    for part, old in zip(vol._parts, before, strict=True):
        after = old
        for move in (size, lost, 0.0):
            after = after * math.exp(-1 / part.theta_s) + move * move
        assert part.squares == pytest.approx(after, rel=1e-6)


def test_what_comes_twice_in_a_minute_is_no_accident() -> None:
    """A market that goes to and fro moves: only the first of two wrong prints is forgiven."""
    vol, price, now = lively()
    before = told(vol, now)
    for second in (1, 61):
        vol.observe(price * 1.1, now + second * 1000)
        vol.observe(price, now + second * 1000 + 1000)
        if second == 1:
            assert told(vol, now + 2000) == pytest.approx(before, rel=0.05)
            for later in range(3, 61):
                vol.observe(price, now + later * 1000)
    assert told(vol, now + 62_000) == per_root_second(3.0)


def test_a_wrong_tick_before_a_silence_leaves_nothing() -> None:
    """Back after a silence that is no step: neither way counts. Not back: the jump does."""
    lone, jump = lively()[0], lively()[0]
    price, now = lively()[1:]
    before = told(lone, now)
    for vol, after in ((lone, price), (jump, price * 1.1)):
        vol.observe(price * 1.1, now + 1000)
        vol.observe(after, now + 12_000)

    assert told(lone, now + 12_000) == before
    jump.observe(price * 1.1, now + 13_000)
    assert told(jump, now + 13_000) == per_root_second(3.0)


def test_a_hole_breaks_the_chain_of_neighbours() -> None:
    """The return after a hole has no neighbour: its bipower is its own square, and noise is told
    by nothing. With the return before the hole it would be a product of two strangers.
    """
    vol, price, now = lively()
    vol.observe(price * 1.0003, now + 1000)
    vol.observe(price * 1.0003, now + 12_500)
    before, count = [(part.bipower, part.theta_s) for part in vol._parts], vol._noise.count
    move = 1e-5
    vol.observe(price * 1.0003 * math.exp(move), now + 13_500)

    assert vol._noise.count == count
    for part, (bipower, theta_s) in zip(vol._parts, before, strict=True):
        left = bipower * math.exp(-1 / theta_s)
        assert part.bipower - left == pytest.approx(move * move, rel=1e-3)


def test_a_regime_of_ten_times_is_followed() -> None:
    """Where every return is far beyond the present σ nearly all of them count: half a minute later
    σ is as good as without anything held back.
    """
    found = []
    for seed in range(12):
        vol, price, now = lively(seed)
        rng, x, plain = random.Random(seed + 100), math.log(price), told(vol, now) ** 2
        squares = 0.0
        for second in range(1, 31):
            move = 10 * SIGMA * rng.gauss(0, 1)
            x, squares = x + move, squares + move * move
            vol.observe(math.exp(x), now + second * 1000)
        quick = [1 - math.exp(-30 / part.theta_s) for part in vol._parts]
        plain += sum(w * q for w, q in zip((0.2, 0.4, 0.4), quick, strict=True)) * squares / 30
        found.append(told(vol, now + 30_000) / math.sqrt(plain))

    assert sum(found) / len(found) > 0.9


@given(
    st.lists(st.tuples(st.floats(-0.1, 0.1), st.integers(0, 15_000)), min_size=1, max_size=40),
    st.integers(1, 999),
)
def test_asking_and_crowding_change_nothing(
    steps: list[tuple[float, int]], crowded_ms: int
) -> None:
    """Read between any two ticks, and told more ticks within the spacing, jumps held back or not,
    the estimate goes the same way.
    """
    plain, asked = Volatility(), Volatility()
    x, now = 0.0, 0
    for move, wait_ms in steps:
        x, now = x + move, now + wait_ms
        plain.observe(math.exp(x), now)
        asked.observe(math.exp(x), now)
        asked.sigma(now)
        if asked._at_ms == now:
            asked.observe(math.exp(x + 0.5), now + crowded_ms)
            asked.smooth(1e-4)

    assert attrs.asdict(plain) == attrs.asdict(asked)


@pytest.mark.parametrize("seed", range(12))
def test_it_is_the_sum_of_its_returns(seed: int) -> None:
    """Ticks late, crowded and with holes between them, none beyond six σ at the floor: σ is what
    all returns of at most ten seconds come to, each weighed by the time since.
    """
    rng = random.Random(seed)
    vol, x, now = Volatility(), 0.0, 0
    vol.observe(1.0, now)
    at_ms, at, returns = now, x, list[tuple[float, float]]()
    for _ in range(40 * (seed + 1)):
        slope, now = rng.uniform(-1.5e-4, 1.5e-4), now + rng.choice((-700, 200, 1500, 3000, 11_000))
        seconds = (now - at_ms) / 1000
        x = at + slope * math.sqrt(max(seconds, 0.0))
        vol.observe(math.exp(x), now)
        if seconds >= 1:
            returns += [(x - at, seconds)] * (seconds <= 10)
            at_ms, at = now, x

    variance = 0.0
    for weight, life_s in zip((0.2, 0.4, 0.4), (30.0, 120.0, 1800.0), strict=True):
        squares = length = since = 0.0
        for move, seconds in reversed(returns):
            kept = 0.5 ** (since / life_s)
            squares, length = squares + kept * move * move, length + kept * seconds
            since += seconds
        variance += weight * squares / length
    assert vol.measured(now) == pytest.approx(math.sqrt(variance))


def stirred(vol: Volatility) -> int:
    """Feed a quarter of an hour, and a minute four times as lively; the last stamp."""
    rng = random.Random(1)
    now, x = walk(vol, rng, seconds=1_000, gap_s=1.0), 0.0
    for second in range(1, 61):
        x += 4 * SIGMA * rng.gauss(0, 1)
        vol.observe(100_000 * math.exp(x), now + second * 1000)
    return now + 60_000


@pytest.mark.parametrize("season", [FLAT, Season(factors=(4.0,) * 168)], ids=["flat", "lively"])
def test_of_a_long_way_the_quick_estimates_know_a_part(season: Season) -> None:
    """Over five minutes they keep their weight, of an hour they know a twelfth; the slow one has
    the rest.
    """
    vol, variances = Volatility(season=season), []
    now = stirred(vol)
    for only in ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)):
        one = Volatility(PricingParams(vol_weights=only), season)
        variances.append((one.measured(stirred(one)) or math.nan) ** 2)

    for seconds, share in ((0.0, 1.0), (300.0, 1.0), (600.0, 0.5), (3_600.0, 1 / 12)):
        weights = (0.2 * share, 0.4 * share, 1 - 0.6 * share)
        expected = sum(w * variance for w, variance in zip(weights, variances, strict=True))
        assert vol.ahead(seconds) == pytest.approx(math.sqrt(expected)), seconds
    assert vol.ahead(300.0) == vol.measured(now)
    assert vol.ahead(300.0) > 1.1 * vol.ahead(600.0) > 1.1 * vol.ahead(3_600.0)


def test_a_calm_hour_ahead_is_no_calmer_than_the_floor() -> None:
    """And no wilder than the cap."""
    for annual, slope in ((0.15, 1e-7), (3.0, 5e-3)):
        vol = Volatility()
        for second in range(100):
            vol.observe(100_000 * (1 + slope * (second % 2)), second * 1000)
        assert vol.ahead(3_600.0) == per_root_second(annual)
