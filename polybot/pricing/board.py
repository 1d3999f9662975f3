"""The price board: every reference price the bot has seen, and the fair probability they imply.

One board serves all markets. It is fed by the price streams and read by the quoters; it holds no
task and no clock. A fair probability needs all its inputs fresh, or it is refused with the reason.
"""

from __future__ import annotations

import enum
from collections import Counter
from collections.abc import Mapping

import attrs

from polybot.domain.market import Candle, Market, TwapPair, UnknownRule
from polybot.domain.prices import Feed, Source
from polybot.pricing.asset import LOOKBACK_S, Asset, exchange_symbol, oracle_symbol
from polybot.pricing.fair import LEAST, MOST, Fair, NoFair, WhyNoFair
from polybot.pricing.params import PricingParams
from polybot.pricing.season import FLAT, Season
from polybot.pricing.strikes import Key, Strike, StrikeCorrection, Strikes, Trust
from polybot.pricing.tails import Tails
from polybot.pricing.valuation import value
from polybot.pricing.wires import Race, RaceLine, lead_s, report

MAX_ASSETS = 32  # we subscribe to a handful; more is a stream gone wrong
FUTURE_MS = 5_000  # a later stamp would shut out every honest tick that follows

_USUAL = {
    Feed.CHAINLINK: Source.POLYBOLT,
    Feed.TWAP60: Source.POLYBOLT,
    Feed.BINANCE: Source.BINANCE,
    Feed.CANDLE_OPEN: Source.BINANCE,
}
_STREAMS = (Feed.CHAINLINK, Feed.TWAP60, Feed.BINANCE)


class TickRefusal(enum.Enum):
    """Why a price was not taken."""

    NOT_A_PRICE = "not what anything here can cost"
    FUTURE_STAMP = "stamped in the future"
    OUT_OF_ORDER = "older than what is held"
    IMPLAUSIBLE = "moves as no average can"
    UNCONFIRMED = "leaps, and no other print has told it yet"
    TOO_MANY_SYMBOLS = "too many symbols"


def is_price(value: float) -> bool:
    """Whether it can be one: what is told in another unit would swallow the digits of all means."""
    return LEAST <= value <= MOST


@attrs.define
class PriceBoard:
    """Last values, short histories, strikes and volatilities by symbol; memory is bounded.

    `seasons` by oracle symbol; `refused` counts the ticks that were not taken.
    """

    params: PricingParams = attrs.field(factory=PricingParams)
    seasons: Mapping[str, Season] = attrs.field(factory=dict)
    refused: Counter[TickRefusal] = attrs.field(factory=Counter)
    _assets: dict[str, Asset] = attrs.field(factory=dict, init=False)  # by both their names
    _races: dict[tuple[str, str], Race] = attrs.field(factory=dict, init=False)
    _doubted: dict[str, str] = attrs.field(factory=dict, init=False)  # by condition id: why
    _strikes: Strikes = attrs.field(init=False)
    _tails: Tails = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        params = self.params
        self._strikes = Strikes(params.strike_correction_bp)
        self._tails = Tails(params.vol_error, params.jumps_per_hour / 3600, params.jump_bp / 1e4)

    def on_tick(
        self,
        feed: Feed,
        symbol: str,
        value: float,
        stamp_ms: int,
        recv_ms: int,
        *,
        snapshot: bool = False,
        source: Source | None = None,
    ) -> TickRefusal | None:
        """Take one observation, received at `recv_ms`; the reason if it was not taken.

        `source` is the connection; None means the feed's usual one.
        """
        refusal = None
        if not is_price(value):
            refusal = TickRefusal.NOT_A_PRICE
        elif stamp_ms > recv_ms + FUTURE_MS:
            refusal = TickRefusal.FUTURE_STAMP
        elif feed is Feed.CANDLE_OPEN:
            # Candles of several lengths share a symbol: their stamps follow no order.
            asset = self._assets.get(symbol)
            before = None if asset is None else asset.exchange.at(stamp_ms // 1000)
            most = Trust.UNPROVEN if asset is None else asset.open_trust(stamp_ms, recv_ms)
            self._strikes.open_seen(symbol, value, stamp_ms, recv_ms, before, most)
        else:
            came = source or _USUAL[feed]
            refusal = self._take(feed, symbol, value, stamp_ms, recv_ms, came, snapshot=snapshot)
        if refusal is not None:
            self.refused[refusal] += 1
        return refusal

    def _take(
        self,
        feed: Feed,
        symbol: str,
        value: float,
        stamp_ms: int,
        recv_ms: int,
        source: Source,
        *,
        snapshot: bool,
    ) -> TickRefusal | None:
        asset = self._asset(symbol)
        if asset is None:
            return TickRefusal.TOO_MANY_SYMBOLS
        race = self._race(feed, symbol)
        if not snapshot:
            race.take(source, value, stamp_ms, recv_ms)
        if feed is Feed.TWAP60 and not asset.plausible(value, stamp_ms):
            return TickRefusal.IMPLAUSIBLE
        if feed is Feed.BINANCE and not (snapshot or asset.confirmed(value, stamp_ms, recv_ms)):
            return TickRefusal.UNCONFIRMED
        before_ms = asset.track(feed).stamp_ms or None
        if stamp_ms == before_ms and feed is not Feed.BINANCE and len(race.wires) > 1:
            return None  # the other connection told this second already
        taken = asset.take(feed, value, stamp_ms, recv_ms, snapshot=snapshot)
        if not (taken or snapshot):
            # The slower of two connections is no fault.
            return None if len(race.wires) > 1 else TickRefusal.OUT_OF_ORDER
        # A replayed tick is too old for the track, but may be the strike that was missed.
        if feed is Feed.CHAINLINK:
            self._strikes.seen(symbol, 0, value, stamp_ms, before_ms, recv_ms)
            self._prove(symbol, asset, recv_ms)
        elif feed is Feed.TWAP60:
            most = asset.strike_trust(value, stamp_ms)
            if most is not None:
                self._strikes.seen(symbol, LOOKBACK_S, value, stamp_ms, before_ms, recv_ms, most)
        elif feed is Feed.BINANCE and not snapshot:
            self._strikes.traded(symbol, value, stamp_ms, before_ms)
        return None

    def _prove(self, symbol: str, asset: Asset, recv_ms: int) -> None:
        """The averages of a connection come before the oracle's own prices, which bear them out."""
        unproven = self._strikes.unproven.get(symbol)
        if unproven is not None:
            value, start_ms = unproven
            if asset.strike_trust(value, start_ms) is Trust.EXACT:
                self._strikes.seen(symbol, LOOKBACK_S, value, start_ms, None, recv_ms)

    def _asset(self, symbol: str) -> Asset | None:
        found = self._assets.get(symbol)
        if found is None and len(self._assets) < 2 * MAX_ASSETS:
            named = symbol if symbol.endswith("usd") else oracle_symbol(symbol)
            found = Asset(self.params, self.seasons.get(named, FLAT))
            self._assets[named] = self._assets[exchange_symbol(named)] = found
        return found

    def _race(self, feed: Feed, symbol: str) -> Race:
        key = (feed.value, symbol)
        found = self._races.get(key)
        return self._races.setdefault(key, Race()) if found is None else found

    def on_loss(self, source: Source, feed: Feed, symbol: str, lost: int) -> None:
        """A connection told that `lost` updates of a feed are missing before the next (F62)."""
        asset = self._asset(symbol)
        if asset is not None:
            self._race(feed, symbol).wire(source).lost += lost
            asset.track(feed).tear()

    def official_strike(
        self, market: Market, value: float, now_ms: int
    ) -> StrikeCorrection | TickRefusal | None:
        """Take the venue's published strike. A correction means: cancel and rebuild; nothing is
        priced for a moment, so that every quote made against the old one is withdrawn.
        """
        if not is_price(value):
            self.refused[TickRefusal.NOT_A_PRICE] += 1
            return TickRefusal.NOT_A_PRICE
        if isinstance(market.rule, UnknownRule):
            return None
        return self._strikes.official(_key(market, market.rule), value, now_ms)

    def strike(self, market: Market) -> Strike | None:
        """The strike held for a market, with its trust."""
        if isinstance(market.rule, UnknownRule):
            return None
        return self._strikes.of(_key(market, market.rule))

    def doubt(self, condition_id: str, why: str | None) -> bool:
        """The venue tells other terms of a market than before (F53 to F56): nothing is priced until
        it tells the same again (None). Returns whether that is news.
        """
        if self._doubted.get(condition_id) == why:
            return False
        self._doubted.pop(condition_id, None)
        if why is not None:
            self._doubted[condition_id] = why
        return True

    # --- for the operator ---------------------------------------------------------------------

    def race(self) -> list[RaceLine]:
        """What each connection delivered, how late, and which one led."""
        return [
            line
            for (feed, symbol), race in sorted(self._races.items())
            for line in report(Feed(feed), symbol, race)
        ]

    def exchange_lead_s(self, symbol: str) -> int | None:
        """Whole seconds by which the exchange's stamps run before the oracle's."""
        asset = self._assets.get(symbol)
        return None if asset is None else lead_s(asset.exchange, asset.oracle)

    def average_lag_s(self, symbol: str) -> float:
        """Seconds by which the official average trails its stamp: measured, else as configured."""
        asset = self._assets.get(symbol)
        return self.params.twap_lag_s if asset is None else asset.lag_s

    def fair(self, market: Market, now_ms: int) -> Fair | NoFair:
        """The fair probability of Up by the market's own rule, or why there is none."""
        rule = market.rule
        if isinstance(rule, UnknownRule):
            return NoFair(WhyNoFair.RULE_UNKNOWN, (("rule", rule.why),))
        doubt = self._doubted.get(market.condition_id)
        if doubt is not None:
            return NoFair(WhyNoFair.TERMS_CHANGED, (("told", doubt),))
        asset = self._assets.get(rule.symbol)
        if asset is None:
            return NoFair(WhyNoFair.SPOT_STALE, (("symbol", rule.symbol),))
        strike = self._strikes.of((rule.symbol, rule.lookback_s, market.start_ms))
        return value(market, rule, asset, strike, self.params, self._tails, now_ms)


def _key(market: Market, rule: TwapPair | Candle) -> Key:
    return rule.symbol, rule.lookback_s, market.start_ms
