"""Price streams by symbol: what each said last, and which of them may be believed now."""

from __future__ import annotations

import enum
import math

import attrs

from polybot.domain.prices import Feed
from polybot.pricing.fair import NoFair, WhyNoFair
from polybot.pricing.params import PricingParams
from polybot.pricing.track import Basis, Track, basis
from polybot.pricing.volatility import Volatility

MAX_TRACKS = 64  # we subscribe to a handful; more is a stream gone wrong
FUTURE_MS = 5_000  # a later stamp would shut out every honest tick that follows


class TickRefusal(enum.Enum):
    """Why a price was not taken."""

    NOT_A_PRICE = "not finite and positive"
    FUTURE_STAMP = "stamped in the future"
    OUT_OF_ORDER = "older than what is held"
    TOO_MANY_SYMBOLS = "too many symbols"


@attrs.frozen
class Spot:
    """The best estimate of a spot price, and the raw stream behind it."""

    value: float
    source: Track
    age_s: float
    basis_error: float = 0.0


def exchange_symbol(oracle_symbol: str) -> str:
    """The exchange pair that stands in for an oracle symbol: "btcusd" → "BTCUSDT"."""
    return oracle_symbol.removesuffix("usd").upper() + "USDT"


def oracle_symbol(exchange_symbol: str) -> str:
    """The reverse: "BTCUSDT" → "btcusd"."""
    return exchange_symbol.removesuffix("USDT").lower() + "usd"


def is_price(value: float) -> bool:
    return math.isfinite(value) and value > 0


def refuse_tick(value: float, stamp_ms: int, recv_ms: int) -> TickRefusal | None:
    """What is wrong with a tick in itself, whatever was seen before it."""
    if not is_price(value):
        return TickRefusal.NOT_A_PRICE
    return TickRefusal.FUTURE_STAMP if stamp_ms > recv_ms + FUTURE_MS else None


@attrs.define
class Sources:
    """All streams, the volatility of each exchange symbol, and each oracle's basis to it."""

    params: PricingParams
    _tracks: dict[tuple[Feed, str], Track] = attrs.field(factory=dict)
    _volatilities: dict[str, Volatility] = attrs.field(factory=dict)
    _bases: dict[str, Basis] = attrs.field(factory=dict)

    def last_stamp_ms(self, feed: Feed, symbol: str) -> int | None:
        """Stamp of the last tick held, None before the first."""
        track = self._tracks.get((feed, symbol))
        return None if track is None else track.stamp_ms

    def take(
        self,
        feed: Feed,
        symbol: str,
        value: float,
        stamp_ms: int,
        recv_ms: int,
        *,
        snapshot: bool,
    ) -> TickRefusal | None:
        """Take a sound tick; the reason if it was not taken. A replayed old one is no fault."""
        track = self._tracks.get((feed, symbol))
        if track is None:
            if len(self._tracks) >= MAX_TRACKS:
                return TickRefusal.TOO_MANY_SYMBOLS
            track = self._tracks[feed, symbol] = Track()
        if not track.take(value, stamp_ms, recv_ms, snapshot=snapshot):
            return None if snapshot else TickRefusal.OUT_OF_ORDER
        if feed is Feed.BINANCE:
            self._volatility(symbol).observe(value, stamp_ms)
        elif feed is Feed.CHAINLINK:
            self._refresh_basis(symbol, track, recv_ms)
        return None

    def _volatility(self, symbol: str) -> Volatility:
        found = self._volatilities.get(symbol)
        if found is None:
            found = self._volatilities[symbol] = Volatility(self.params)
        return found

    def _refresh_basis(self, symbol: str, oracle: Track, now_ms: int) -> None:
        exchange = self._tracks.get((Feed.BINANCE, exchange_symbol(symbol)))
        if exchange is None:
            return
        found = basis(oracle, exchange, self.params.basis_min_pairs, now_ms)
        if found is not None:
            self._bases[symbol] = found

    def ages_s(self, now_ms: int) -> dict[tuple[Feed, str], float | None]:
        """Seconds since each stream's last live tick, None if there was none."""
        return {
            key: None if track.live_ms is None else (now_ms - track.live_ms) / 1000
            for key, track in self._tracks.items()
        }

    def sigma(self, symbol: str, now_ms: int) -> float | NoFair:
        """Volatility per √s of an exchange symbol."""
        held = self._volatilities.get(symbol)
        sigma = (held or Volatility(self.params)).sigma(now_ms)
        return NoFair(WhyNoFair.VOLATILITY_UNKNOWN) if sigma is None else sigma

    def average(self, symbol: str, now_ms: int) -> Track | NoFair:
        """The oracle's average, if it is fresh and not frozen."""
        params = self.params
        track = self._tracks.get((Feed.TWAP60, symbol))
        if track is None or not track.is_fresh(now_ms, params.oracle_stale_s, params.oracle_lag_s):
            return _stale(WhyNoFair.ORACLE_STALE, track, now_ms)
        frozen = self._frozen(track, (Feed.BINANCE, exchange_symbol(symbol)), now_ms)
        return track if frozen is None else frozen

    def exchange_spot(self, symbol: str, now_ms: int) -> Spot | NoFair:
        """The exchange's own price, for markets that settle on it."""
        stale_s = self.params.spot_stale_s
        track = self._tracks.get((Feed.BINANCE, symbol))
        if track is None or not track.is_fresh(now_ms, stale_s, stale_s):
            return _stale(WhyNoFair.SPOT_STALE, track, now_ms)
        frozen = self._frozen(track, (Feed.CHAINLINK, oracle_symbol(symbol)), now_ms)
        return Spot(track.value, track, track.lag_ms(now_ms) / 1000) if frozen is None else frozen

    def oracle_spot(self, symbol: str, now_ms: int) -> Spot | NoFair:
        """The exchange price on the oracle's level, else the oracle's own, slower spot."""
        params = self.params
        exchange = self.exchange_spot(exchange_symbol(symbol), now_ms)
        if isinstance(exchange, Spot):
            held = self._bases.get(symbol)
            if held is not None and now_ms - held.at_ms <= params.basis_max_age_s * 1000:
                value = exchange.value + held.offset
                return attrs.evolve(exchange, value=value, basis_error=held.error)
        elif exchange.why is WhyNoFair.FROZEN:
            return exchange
        oracle = self._tracks.get((Feed.CHAINLINK, symbol))
        if oracle is None or not oracle.is_fresh(
            now_ms, params.oracle_stale_s, params.oracle_lag_s
        ):
            return _stale(WhyNoFair.SPOT_STALE, oracle, now_ms)
        return Spot(oracle.value, oracle, oracle.lag_ms(now_ms) / 1000)

    def _frozen(self, track: Track, witness: tuple[Feed, str], now_ms: int) -> NoFair | None:
        params = self.params
        other = self._tracks.get(witness)
        if other is None or not track.is_frozen(
            now_ms, other, params.frozen_s, params.frozen_move_bp
        ):
            return None
        moved = (
            ("frozen", f"{track.value:.8g}"),
            (witness[0].value, f"{other.value:.8g}"),
        )
        return NoFair(WhyNoFair.FROZEN, moved)


def _stale(why: WhyNoFair, track: Track | None, now_ms: int) -> NoFair:
    if track is None or track.live_ms is None:
        return NoFair(why, (("age_s", "never"),))
    age_s, lag_s = (now_ms - track.live_ms) / 1000, track.lag_ms(now_ms) / 1000
    return NoFair(why, (("age_s", f"{age_s:g}"), ("stamp_age_s", f"{lag_s:g}")))
