"""One coin: its streams, its volatility, and which of its prices may be believed now.

Three streams matter: the oracle's average (what 5m, 15m and 4h windows settle by), the oracle's
spot, and the exchange, which is faster than both but on its own level. What they say of each other
is worked out once per oracle tick, so that pricing only compares times.
"""

from __future__ import annotations

import math

import attrs
from msgspec import Struct

from polybot.domain.prices import Feed
from polybot.pricing.fair import GOOD, Caution, NoFair, Quality, WhyNoFair
from polybot.pricing.lag import Lag
from polybot.pricing.params import PricingParams
from polybot.pricing.season import FLAT, Season
from polybot.pricing.strikes import Trust
from polybot.pricing.track import Basis, Track, basis, whole_second
from polybot.pricing.volatility import Volatility

LOOKBACK_S = 60  # the only average the venue publishes (feeds.md 5.2)
# A second replaces a sixtieth of the average: for a basis point the price must have moved by 60
# in it, and in twelve recorded hours it moved by 22. What moves further is held against the mean of
# the oracle's own prices. Where that minute is not known time is the judge: after five seconds the
# one that was believed may have been the wrong one.
AVERAGE_MOST_BP, AVERAGE_DOUBTED_S = 1.0, 5.0
# A lag of three seconds makes 1.1 at most in those hours, six wrong prices of twelve make 1.2.
AVERAGE_APART_BP = 2.5
STILL_S = 2  # a minute's average of a price that moves is never the same for so long
# An oracle that trails an average by less is a witness of its minute: its last price stands for the
# rest, which at a basis point a second moves the mean by two.
TRAILS_S = 15
# Between two prints of a recorded exchange lay 2 bp at most, and the oracle of those twelve hours
# moved by 9 in a second. What leaps further is a wrong print, or a move that no quote should stand
# in: either way there is no price until a print of another moment decides.
LEAP_BP = 10.0
OPEN_COMPARED_MS = 3_000  # most of the seconds that tell how far the two are apart are of the hour
OPEN_ALONE_S = 30
LEVEL_KEPT_MS = 60_000  # it is the last minute's: an older one says nothing of now
VOL_ALONE_S = 60.0  # after that much silence the exchange's volatility is not the only one asked


class Spot(Struct, frozen=True, gc=False):
    """The best estimate of a spot price: the stream behind it, the age of its stamp, how good it
    is, and by how many seconds the official average trails that stream.
    """

    value: float
    source: Track
    age_s: float
    quality: Quality = GOOD
    lag_s: float = 0.0


def exchange_symbol(oracle_symbol: str) -> str:
    """The exchange pair that stands in for an oracle symbol: "btcusd" → "BTCUSDT"."""
    return oracle_symbol.removesuffix("usd").upper() + "USDT"


def oracle_symbol(exchange_symbol: str) -> str:
    """The reverse: "BTCUSDT" → "btcusd"."""
    return exchange_symbol.removesuffix("USDT").lower() + "usd"


@attrs.define(eq=False)
class Asset:
    """Feed it ticks in the order received; ask it for a spot, an average and a volatility."""

    params: PricingParams = attrs.field(factory=PricingParams)
    season: Season = FLAT
    average: Track = attrs.field(init=False)
    oracle: Track = attrs.field(init=False)
    exchange: Track = attrs.field(init=False)
    volatility: Volatility = attrs.field(init=False)
    _slow_volatility: Volatility = attrs.field(init=False)
    _basis: Basis | None = attrs.field(default=None, init=False)
    _level: float = attrs.field(default=0.0, init=False)  # usual distance, dollars
    _sides: tuple[float, float] | None = attrs.field(default=None, init=False)
    _quality: Quality = attrs.field(default=GOOD, init=False)
    _slower: Quality = attrs.field(init=False)
    _apart: NoFair | None = attrs.field(default=None, init=False)
    # A print of the exchange that no other has confirmed yet: value, stamp, receipt.
    _leapt: tuple[float, int, int] | None = attrs.field(default=None, init=False)
    _oracle_lag: Lag = attrs.field(factory=Lag, init=False)
    _exchange_lag: Lag = attrs.field(factory=Lag, init=False)

    def __attrs_post_init__(self) -> None:
        params = self.params
        stale_s, lag_s, frozen_s = params.spot_stale_s, params.oracle_lag_s, params.frozen_s
        self.average = Track(patience_s=(params.oracle_stale_s, lag_s, frozen_s))
        self.oracle = Track(patience_s=(params.oracle_spot_stale_s, lag_s, frozen_s))
        self.exchange = Track(patience_s=(stale_s, stale_s, frozen_s))
        self.volatility = Volatility(params, self.season)
        step_s = params.vol_oracle_sample_s
        coarse = attrs.evolve(
            params, vol_sample_s=step_s, vol_gap_s=max(params.vol_gap_s, 3 * step_s)
        )
        self._slow_volatility = Volatility(coarse, self.season)
        stale = (Caution.EXCHANGE_STALE, (("size", f"{params.stale_exchange_size:g}"),))
        self._slower = Quality(size=params.stale_exchange_size, cautions=(stale,))

    def track(self, feed: Feed) -> Track:
        if feed is Feed.TWAP60:
            return self.average
        return self.oracle if feed is Feed.CHAINLINK else self.exchange

    def plausible(self, average: float, stamp_ms: int) -> bool:
        """Whether a minute's average can have come this far since the last one (F60). A single
        wrong one at a window's start would be its strike, in its last minute the fair price. One
        that is told of a second before, or again, is held against what is known of that second.
        """
        held, second = self.average, whole_second(stamp_ms)
        passed_s = (stamp_ms - held.stamp_ms) / 1000
        if held.live_ms is None or passed_s >= LOOKBACK_S:
            return True
        known = held.value if passed_s >= 0 else held.at(second)
        moved_bp = 0.0 if known is None else abs(average / known - 1) * 1e4
        if known is not None and moved_bp <= AVERAGE_MOST_BP:
            return True
        apart_bp = self._own_apart_bp(average, second)
        if apart_bp is not None:
            return apart_bp <= AVERAGE_APART_BP
        return passed_s >= AVERAGE_DOUBTED_S or moved_bp <= AVERAGE_MOST_BP * max(0.0, passed_s)

    def strike_trust(self, average: float, stamp_ms: int) -> Trust | None:
        """How far a window may start from this average; None: not at all. One that stands still
        moves by nothing, and may be frozen (F59): while it is nothing is priced, and thawed it
        would have left a strike of before. One of a minute that the oracle has told nothing of
        nobody bears out: a whole stream that is off would be the strike until the venue's own.
        """
        second = whole_second(stamp_ms)
        apart_bp, still = self._own_apart_bp(average, second), self.average.at(second - STILL_S)
        if apart_bp is None:
            return Trust.UNPROVEN
        most_bp = self.params.strike_correction_bp if still == average else AVERAGE_APART_BP
        return Trust.EXACT if apart_bp <= most_bp else None

    def open_trust(self, start_ms: int, now_ms: int) -> Trust:
        """How far an hour may start from what the exchange tells of it now. All of that may be off,
        the last trade before the hour as well (brief seeds 8986, 14727): the oracle, by which hours
        are not settled, stands elsewhere then, and shows it some seconds later. Where the oracle
        says nothing nobody contradicts an exchange that has been heard for a while.
        """
        oracle, held = self.oracle, self._basis
        if oracle.live_ms is None or now_ms - oracle.live_ms > LEVEL_KEPT_MS:
            heard = self.exchange.at(now_ms // 1000 - OPEN_ALONE_S) is not None
            return Trust.EXACT if heard else Trust.UNPROVEN
        # A connection that is made anew begins its seconds anew: those of before prove nothing.
        compared = held is not None and held.second * 1000 >= start_ms + OPEN_COMPARED_MS
        return Trust.EXACT if compared and self._quality.apart == 0.0 else Trust.UNPROVEN

    def _own_apart_bp(self, average: float, second: int) -> float | None:
        """How far an average is from the mean of the oracle's own minute, where that is known. What
        the oracle last said is no witness of seconds that it has told nothing of.
        """
        if self.oracle.at(second - TRAILS_S) is None:
            return None
        own = self.oracle.mean(second - LOOKBACK_S + 1, second)
        return None if own is None else abs(average / own - 1) * 1e4

    def confirmed(self, value: float, stamp_ms: int, recv_ms: int) -> bool:
        """Whether a print of the exchange is near the one before it, or near another that leapt
        there and is taken now, each for its own second. One that is neither waits.

        Prints of one moment are one order's, and no witness of each other.
        """
        track, leapt = self.exchange, self._leapt
        if track.live_ms is None or stamp_ms < track.stamp_ms:
            return True
        if not _leaps(track.value, value):
            self._leapt = None
            return True
        if leapt is None or stamp_ms <= leapt[1] or _leaps(leapt[0], value):
            self._leapt = value, stamp_ms, recv_ms
            return False
        self._leapt = None
        self.take(Feed.BINANCE, *leapt, snapshot=False)
        return True

    def take(
        self, feed: Feed, value: float, stamp_ms: int, recv_ms: int, *, snapshot: bool
    ) -> bool:
        """Take a sound tick; False if it is older than what is held."""
        track = self.track(feed)
        if not track.take(value, stamp_ms, recv_ms, snapshot=snapshot):
            return False
        if feed is Feed.BINANCE:
            self.volatility.observe(value, stamp_ms)
        elif feed is Feed.CHAINLINK:
            self._slow_volatility.observe(value, stamp_ms)
            self._compare(recv_ms)
        elif stamp_ms % 1000 == 0:
            second = stamp_ms // 1000
            self._oracle_lag.observe(second, value, self.oracle, LOOKBACK_S)
            self._exchange_lag.observe(second, value, self.exchange, LOOKBACK_S)
        return True

    def _compare(self, now_ms: int) -> None:
        """Bring the exchange to the oracle's level, and see how far that level has moved."""
        held = self._basis
        found = basis(self.oracle, self.exchange, self.params.basis_min_pairs, now_ms)
        if found is None:
            return
        passed_s = math.inf if held is None else (now_ms - held.at_ms) / 1000
        keep = 0.5 ** (max(0.0, passed_s) / self.params.level_half_life_s)
        self._level = keep * self._level + (1 - keep) * found.offset
        self._basis = found
        second = whole_second(self.oracle.stamp_ms)
        ours, theirs = self.exchange.at(second), self.oracle.at(second)
        self._sides = None if ours is None or theirs is None else (theirs, ours + self._level)
        self._judge((found.latest - self._level) / self.exchange.value, found.error)

    def _judge(self, apart: float, error: float) -> None:
        """Warn, widen or halt by how far the sources are from their usual distance (F60)."""
        params, apart_bp = self.params, abs(apart) * 1e4
        figures = (("apart_bp", f"{apart * 1e4:.1f}"), ("halt_bp", f"{params.apart_halt_bp:g}"))
        halted = apart_bp >= params.apart_halt_bp
        self._apart = NoFair(WhyNoFair.SOURCES_APART, figures) if halted else None
        cautions: tuple[tuple[Caution, tuple[tuple[str, str], ...]], ...] = ()
        if apart_bp < params.apart_warn_bp:
            apart = 0.0
        else:
            cautions = ((Caution.SOURCES_APART, figures),)
        jumps = self._jumps()
        if jumps is not None:
            cautions = (*cautions, jumps)
        self._quality = Quality(error, abs(apart), 1.0, cautions)

    def sigma(self, now_ms: int, ahead_s: float = 0.0) -> tuple[float, float] | NoFair:
        """Volatility per √s to expect over the next `ahead_s`, and how many times that it is now.

        It is the exchange's, else the oracle's spot's, else the configured prior.
        Of an exchange that has said nothing for a while, the larger of the first two: what it moved
        then is no measure of now, and calm may be no news at all (strategy.md 3.1).

        With jumps priced apart it is the continuous part alone (strategy.md 3.4).
        """
        used, found = self.volatility, self.volatility.measured(now_ms)
        if found is None or not self.exchange.is_fresh(now_ms, VOL_ALONE_S, VOL_ALONE_S):
            slow = self._slow_volatility.measured(now_ms)
            if slow is not None and slow > (found or 0.0):
                used, found = self._slow_volatility, slow
        if found is None:
            found = self.volatility.sigma(now_ms)
            return NoFair(WhyNoFair.VOLATILITY_UNKNOWN) if found is None else (found, 1.0)
        params = self.params
        ahead = found if ahead_s <= params.vol_quick_s else used.ahead(ahead_s)
        if params.jumps_per_hour:
            found, ahead = used.smooth(found), used.smooth(ahead)
        return ahead, found / ahead

    def official(self, now_ms: int) -> Track | NoFair:
        """The oracle's average, if it is fresh and not frozen."""
        track = self.average
        if track.is_lively(now_ms):
            return track
        params = self.params
        if not track.is_fresh(now_ms, params.oracle_stale_s, params.oracle_lag_s):
            return _stale(WhyNoFair.ORACLE_STALE, track, now_ms)
        if track.is_frozen(now_ms, self.exchange, params.frozen_s, params.frozen_move_bp):
            return _frozen(track, self.exchange)
        return track

    def exchange_spot(self, now_ms: int) -> Spot | NoFair:
        """The exchange's own price, for markets that settle on it."""
        track = self.exchange
        ill = self._exchange_ill(now_ms)
        if ill is not None:
            return ill
        jumps = self._jumps()
        quality = Quality(cautions=(jumps,)) if jumps is not None else GOOD
        return Spot(track.value, track, track.lag_ms(now_ms) / 1000, quality)

    def _jumps(self) -> tuple[Caution, tuple[tuple[str, str], ...]] | None:
        share = self.volatility.jump_share
        if share < self.params.jump_share:
            return None
        return Caution.JUMP, (("share", f"{share:.2f}"),)

    def _exchange_ill(self, now_ms: int) -> NoFair | None:
        track, params = self.exchange, self.params
        if self._leapt is None and track.is_lively(now_ms):
            return None
        stale_s, frozen_s = params.spot_stale_s, params.frozen_s
        if not track.is_fresh(now_ms, stale_s, stale_s):
            return _stale(WhyNoFair.SPOT_STALE, track, now_ms)
        if self._leapt is not None:
            return _unconfirmed(track.value, self._leapt[0])
        if track.is_frozen(now_ms, self.oracle, frozen_s, params.frozen_move_bp):
            return _frozen(track, self.oracle)
        return None

    def oracle_spot(self, now_ms: int) -> Spot | NoFair:
        """The exchange price on the oracle's level, else the oracle's own, slower spot.

        The oracle itself must be fresh in both cases: without it nobody knows the level (F58).
        """
        params, oracle, exchange = self.params, self.oracle, self.exchange
        lively = oracle.is_lively(now_ms)
        if not lively and not oracle.is_fresh(
            now_ms, params.oracle_spot_stale_s, params.oracle_lag_s
        ):
            return _stale(WhyNoFair.ORACLE_STALE, oracle, now_ms)
        ill = None
        if self._leapt is not None or not exchange.is_lively(now_ms):
            ill = self._exchange_ill(now_ms)
            if ill is not None and ill.why is not WhyNoFair.SPOT_STALE:
                return ill
        if not lively and oracle.is_frozen(
            now_ms, exchange, params.frozen_s, params.frozen_move_bp
        ):
            return _frozen(oracle, exchange)
        held = self._basis
        if ill is not None or held is None or now_ms - held.second * 1000 > LEVEL_KEPT_MS:
            # Until a few common seconds have told the level, or told it again, nothing is wrong
            # with the exchange.
            return self._stand_in(GOOD if ill is None else self._slower, now_ms)
        if self._apart is not None:
            return self._apart
        # Not by `seconds` and `lag_ms`: every decision comes through here.
        lag_s, age_ms = self._exchange_lag.found_s, now_ms - exchange.stamp_ms
        return Spot(
            exchange.value + held.offset,
            exchange,
            age_ms / 1000 if age_ms > 0 else 0.0,
            self._quality,
            params.twap_lag_s if lag_s is None else lag_s,
        )

    def _stand_in(self, quality: Quality, now_ms: int) -> Spot | NoFair:
        """The oracle's own spot. Nothing is held against it then but itself, second by second."""
        oracle = self.oracle
        before = oracle.at(whole_second(oracle.stamp_ms) - 1)
        if before is not None and _leaps(before, oracle.value):
            return _unconfirmed(before, oracle.value)
        lag_s = self._oracle_lag.seconds(self.params.twap_lag_s)
        return Spot(oracle.value, oracle, oracle.lag_ms(now_ms) / 1000, quality, lag_s)

    def straddles(self, strike: float) -> NoFair | None:
        """Whether oracle and exchange, at one second, stand on two sides of the strike (F60)."""
        if self._sides is None or (self._sides[0] >= strike) == (self._sides[1] >= strike):
            return None
        names = zip(("oracle", "exchange", "strike"), (*self._sides, strike), strict=True)
        return NoFair(WhyNoFair.SOURCES_APART, tuple((name, f"{x:.8g}") for name, x in names))

    @property
    def lag_s(self) -> float:
        """Seconds by which the official average trails its stamp, against the oracle's spot."""
        return self._oracle_lag.seconds(self.params.twap_lag_s)


def _leaps(before: float, value: float) -> bool:
    return abs(value / before - 1) * 1e4 > LEAP_BP


def _unconfirmed(before: float, told: float) -> NoFair:
    figures = (("before", f"{before:.8g}"), ("told", f"{told:.8g}"))
    return NoFair(WhyNoFair.UNCONFIRMED, figures)


def _frozen(track: Track, witness: Track) -> NoFair:
    moved = (("frozen", f"{track.value:.8g}"), ("witness", f"{witness.value:.8g}"))
    return NoFair(WhyNoFair.FROZEN, moved)


def _stale(why: WhyNoFair, track: Track, now_ms: int) -> NoFair:
    if track.live_ms is None:
        return NoFair(why, (("age_s", "never"),))
    age_s, lag_s = (now_ms - track.live_ms) / 1000, track.lag_ms(now_ms) / 1000
    return NoFair(why, (("age_s", f"{age_s:g}"), ("stamp_age_s", f"{lag_s:g}")))
