"""What was measured on the venue, and how near to it the crowd must come.

The values are facts from calibration.json, named by their path there; a test compares them with the
file where it is at hand. The books are 32 BTC 5m markets of one April morning, the full rate ten
seconds of one market: a tolerance below what that sample could promise would be pretence.

So a figure of the books has a tolerance of two parts: a band, as near as a model should come were
both known exactly, and the sample's own spread. `error` is the figure's standard deviation between
draws of 32 of the sample's markets with replacement (`crowd_sample`; `calibrate-crowd --sample`
makes them anew). Ours come from n windows: the difference of two such draws deviates by √(1 + 32/n)
times as much, and `SURE` deviations of it are nobody's fault. The wider of the two counts: a crowd
that hit the narrower one in 32 windows would have been fitted to 32 markets of one morning. It is a
weak test of a single figure and no test of a bias below it: the table shows both tolerances and how
many figures the bands alone would pass, and more windows (n) tighten it down to the sample's own.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import attrs

SPREAD, BOOK, FULL = "spread_by_ttc", "book_events_btc5m", "full_rate_btc5m"
RTDS, VOL = "rtds_chainlink_btc_2026_07", "btc_vol"
BINANCE_5M = f"{VOL}/binance_5m_2025_12_to_2026_02"
SAMPLED = 32  # markets
SURE = 2.5  # about one figure in eighty beyond it by chance
# A share of time that none of 32 markets showed may yet be three in 32 markets' (rule of three):
# no band of such shares is narrower.
SHARE = 3 / 32
TTC = ("300-240s", "240-180s", "180-120s", "120-60s", "60-30s", "30-10s", "10-0s")


@attrs.frozen
class Target:
    """One figure. `over`: what the file's number is divided by to become it (counts to shares).

    `band` is a factor either way above 1, an absolute distance up to 1; `error` in the figure's own
    units, 0 where no second market is known.
    """

    path: str
    value: float
    band: float
    error: float = 0.0
    over: float = 1.0

    def chance(self, windows: int = SAMPLED) -> float:
        """How far two draws may be apart, in the band's own terms: a factor, or a distance."""
        chance = SURE * math.sqrt(1 + SAMPLED / windows) * self.error
        return math.exp(chance / self.value) if self.band > 1 else chance

    def reach(self, windows: int = SAMPLED) -> float:
        """The tolerance: the band, or what chance alone may do if that is more."""
        return max(self.band, self.chance(windows))

    def met(self, ours: float, windows: int = SAMPLED) -> bool:
        """NaN, a figure that could not be taken, is not met."""
        return self._within(self.reach(windows), ours)

    def in_band(self, ours: float) -> bool:
        """Whether the band alone would pass it."""
        return self._within(self.band, ours)

    def _within(self, reach: float, ours: float) -> bool:
        if self.band > 1:
            return self.value / reach <= ours <= self.value * reach
        return abs(ours - self.value) <= reach

    def tolerances(self, windows: int = SAMPLED) -> tuple[str, str]:
        """The band and the chance as texts; no chance where no second market is known."""
        sign = "×÷" if self.band > 1 else "±"
        chance = f"{sign} {self.chance(windows):.3g}" if self.error else "-"
        return f"{sign} {self.band:.3g}", chance


Buckets = tuple[float, ...]


def _by_ttc(form: str, values: Buckets, errors: Buckets, band: float) -> Iterator[Target]:
    for bucket, value, error in zip(TTC, values, errors, strict=False):
        yield Target(form.format(bucket), value, band, error)


def _depths() -> Iterator[Target]:
    """Medians at the touch and behind it; the sparse last half minute only at the touch."""
    medians: dict[int, tuple[Buckets, Buckets]] = {
        0: ((260.5, 262.8, 274.6, 304.9, 265.0, 213.1, 180.0), (13, 11, 19, 21, 38, 37, 35)),
        1: ((296.4, 317.5, 329.8, 329.5, 225.0), (10, 13, 27, 25, 41)),
        2: ((383.5, 420.8, 419.4, 392.7, 215.0), (10, 21, 32, 31, 28)),
        5: ((496.0, 507.3, 469.0, 432.9, 195.0), (12, 16, 26, 31, 30)),
        9: ((462.8, 503.6, 453.9, 404.0, 213.2), (17, 16, 28, 28, 31)),
    }
    for level, (values, errors) in medians.items():
        yield from _by_ttc(f"depth_by_ttc/level/{{}}/{level}/p50", values, errors, 1.7)


BOOKS: tuple[Target, ...] = (
    *_by_ttc(
        f"{SPREAD}/{{}}/two_sided_time_share_by_spread/0.010",
        (0.901, 0.9016, 0.897, 0.8817, 0.9068, 0.8753, 0.7851),
        (0.0066, 0.0077, 0.0099, 0.010, 0.012, 0.017, 0.033),
        0.06,
    ),
    *_by_ttc(
        f"{SPREAD}/{{}}/one_sided_time_share",
        (0.0, 0.0, 0.0, 0.0453, 0.2355, 0.4963, 0.5957),
        (0.0, 0.0, 0.0, 0.022, 0.064, 0.081, 0.073),
        SHARE,
    ),
    *_by_ttc(
        f"{SPREAD}/{{}}/mid_beyond_0.05_0.95_time_share",
        (0.0, 0.0062, 0.0718, 0.2149, 0.5009, 0.6748, 0.7615),
        (0.0, 0.0045, 0.033, 0.062, 0.080, 0.081, 0.060),
        SHARE,
    ),
    Target(f"{BOOK}/per_second/mean", 11.3673, 1.3, 0.58),
    Target(f"{BOOK}/per_second/p50", 8.0, 1.4, 0.51),
    Target(f"{BOOK}/per_second/p90", 24.0, 1.4, 1.2),
    Target(f"{BOOK}/per_second/p99", 63.02, 1.5, 4.1),
    Target(f"{BOOK}/interarrival_ms/p50", 32.0, 1.6, 2.0),
    Target(f"{BOOK}/interarrival_ms/p90", 225.0, 1.5, 11.0),
    Target(f"{BOOK}/burst_100ms_max_per_market/p50", 20.0, 1.5, 2.2),
    Target(f"{BOOK}/events_per_market/p50", 3283.5, 1.4, 120.0),
    Target(f"{BOOK}/seconds_of_trading_after_close/p50", 1.711, 2.0, 0.53),
    *_depths(),
    Target("depth_by_ttc/whole_book_shares/p50", 87670.0, 1.7, 1800.0),
    Target("book_message/levels_both_sides/p50", 99.0, 1.1),
    *_by_ttc(
        "mid_moves_1s/by_ttc/{}/std",
        (0.0177, 0.0183, 0.02, 0.0185, 0.0208, 0.027, 0.0594),
        (0.00083, 0.0011, 0.0017, 0.0020, 0.0038, 0.0048, 0.015),
        1.5,
    ),
    *_by_ttc(
        "mid_moves_1s/by_ttc/{}/zero_share",
        (0.534, 0.563, 0.5885, 0.6062, 0.6219, 0.6859, 0.6969),
        (0.021, 0.024, 0.029, 0.029, 0.050, 0.056, 0.062),
        0.15,
    ),
    Target(f"{FULL}/per_second_all/mean", 539.0, 1.3),
    Target(f"{FULL}/per_second_price_change/mean", 504.6, 1.3),
    Target(f"{FULL}/events/price_change", 0.9355, 0.03, over=5534),
    Target(f"{FULL}/per_trade/price_change_per_trade", 72.9, 1.4),
    Target(f"{FULL}/changes_per_price_change_message/2", 1.0, 0.02, over=5177),
    Target(f"{FULL}/ticks_behind_touch_share/0", 0.6374, 0.1),
    Target(f"{FULL}/ticks_behind_touch_share/1", 0.039, 0.04),
    Target(f"{FULL}/ticks_behind_touch_share/2", 0.0226, 0.04),
    Target(f"{FULL}/level_update_kind/new level", 0.0006, 0.01, over=5182),
    Target(f"{FULL}/level_update_kind/level removed", 0.0004, 0.01, over=5182),
    Target(f"{FULL}/abs_size_delta_shares/p50", 10.0, 1.3),
    Target(f"{FULL}/abs_size_delta_shares/p90", 30.0, 1.5),
    Target(f"{FULL}/trades/per_second", 6.9, 1.5),
    Target(f"{FULL}/trades/size_shares/p25", 2.03, 2.0),
    Target(f"{FULL}/trades/size_shares/p50", 7.14, 1.4),
    Target(f"{FULL}/trades/size_shares/p95", 48.92, 1.5),
    Target(f"{FULL}/trades/size_shares/mean", 12.22, 1.4),
    Target(f"{FULL}/trades/taker_side/BUY", 0.662, 0.06, over=71),
)

PRICES: tuple[Target, ...] = (
    Target(f"{RTDS}/recv_minus_feed_ms/p5", 1171.0, 1.1),
    Target(f"{RTDS}/recv_minus_feed_ms/p50", 1631.0, 1.1),
    Target(f"{RTDS}/recv_minus_feed_ms/p95", 2217.0, 1.1),
    Target(f"{RTDS}/feed_step_ms_counts/2000", 0.0441, 0.02, over=41741),
    Target(f"{BINANCE_5M}/implied_1m_std_bps_sqrt_time", 5.79, 1.5),
    Target(f"{BINANCE_5M}/abs_5m_bps/p50", 5.08, 1.5),
    Target(f"{BINANCE_5M}/abs_5m_bps/p90", 18.76, 1.5),
    Target(f"{BINANCE_5M}/abs_5m_bps/p99", 48.79, 1.6),
    # Of Chainlink only the shape: each horizon against a minute's 3.736, for levels differ by day.
    Target(f"{VOL}/chainlink_2026_07_24/std_bps/1s", 0.0824, 1.3, over=3.736),
    Target(f"{VOL}/chainlink_2026_07_24/std_bps/5s", 0.2208, 1.3, over=3.736),
    Target(f"{VOL}/chainlink_2026_07_24/std_bps/15s", 0.4296, 1.3, over=3.736),
)
