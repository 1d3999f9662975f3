"""Gamma's JSON for markets, events and series, field by field (feeds.md 8.4, 9, 10).

The oddities are the venue's: arrays as JSON inside strings, `closedTime` with a space and `+00`,
ids of a protocol that has no book on some v1 markets, prices that appear late.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from polybot.exchange.calendar import COIN, SERIES, by_spot
from polybot.exchange.fees import told_rebate_percent
from polybot.exchange.gamma_figures import GammaFigures, in_string
from polybot.exchange.lifecycle import Lifecycle
from polybot.exchange.model import STANDING, Market, Phase, Series
from polybot.exchange.money import ONE, UNIT

_IMAGE = "https://polymarket-upload.s3.us-east-2.amazonaws.com/{}+fullsize.png"
_SERIES_NAME = {"5m": "5m", "15m": "15m", "1h": "hourly", "4h": "4h", "daily": "daily"}
FIRST_EVENT_ID = 1_000_000_000  # the SDK takes positive 32-bit integers only
_KNOWN_SERIES_IDS = {"btc-5m": "10684", "btc-1h": "10114"}  # feeds.md 8.2

_TWAP_TEXT = (
    'This market will resolve to "Up" if the {coin} TWAP at the end of the time range specified '
    "in the title is greater than or equal to the TWAP at the beginning of that range. Otherwise, "
    'it will resolve to "Down".\nThe resolution source for this market is information from '
    "Chainlink, specifically the {asset}/USD 60-second TWAP data stream available at {source}.\n"
    "Please note that this market is about the price according to Chainlink data stream "
    "{asset}/USD, not according to other sources or spot markets."
)
_SPOT_TEXT = (
    'This market will resolve to "Up" if the {coin} price at the end of the time range specified '
    "in the title is greater than or equal to the price at the beginning of that range. Otherwise, "
    'it will resolve to "Down".\nThe resolution source for this market is information from '
    "Chainlink, specifically the {asset}/USD data stream available at {source}.\n"
    "Please note that this market is about the price according to Chainlink data stream "
    "{asset}/USD, not according to other sources or spot markets."
)
_CANDLE_TEXT = (
    'This market will resolve to "Up" if the close price is greater than or equal to the open '
    "price for the {asset}/USDT 1 hour candle that begins on the time and date specified in the "
    'title. Otherwise, this market will resolve to "Down".\nThe resolution source for this market '
    "is information from Binance, specifically the {asset}/USDT pair ({source}). The close and "
    "open displayed for the relevant 1H candle will be used once the data for that candle is "
    "finalized.\nPlease note that this market is about the price according to Binance "
    "{asset}/USDT, not according to other sources or spot markets."
)
_NOON_TEXT = (
    'This market will resolve to "Up" if the "Close" price for the Binance 1 minute candle for '
    "{asset}/USDT at 12:00 in the ET timezone (noon) on the day specified in the title is higher "
    "than the same price on the day before. If it is lower, it will resolve to "
    '"Down". If the two are equal, this market will resolve 50-50.\nThe resolution source for this '
    'market is Binance, specifically the {asset}/USDT "Close" prices available at {source} with '
    '"1m" and "Candles" selected on the top bar.'
)
_TEXT = {"twap": _TWAP_TEXT, "spot": _SPOT_TEXT, "candle": _CANDLE_TEXT, "noon": _NOON_TEXT}


def iso(at_ms: int, *, micros: bool = False) -> str:
    """`2026-11-20T18:00:00Z`, or with six decimals."""
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=at_ms)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ" if micros else "%Y-%m-%dT%H:%M:%SZ")


def plain_number(value: int, scale: int) -> object:
    """value/scale as JSON shows a number: `5`, or `2.5` where it has a fraction."""
    return value / scale if value % scale else value // scale


def _rule_of(market: Market) -> str:
    return "spot" if by_spot(market.series, market.start_ms) else market.series.rule


def resolution_source(market: Market) -> str:
    series, rule = market.series, _rule_of(market)
    if series is STANDING:
        return ""
    if rule not in {"twap", "spot"}:
        return f"https://www.binance.com/en/trade/{series.asset.upper()}_USDT"
    stream = f"https://data.chain.link/streams/{series.asset}-usd"
    return stream if rule == "spot" else f"{stream}-twap-60s-streams"


def description(market: Market) -> str:
    series = market.series
    if series is STANDING:
        return market.description
    return _TEXT[_rule_of(market)].format(
        coin=COIN[series.asset], asset=series.asset.upper(), source=resolution_source(market)
    )


def crypto_config(series: Series, rule: str | None = None) -> dict[str, object]:
    """`cryptoMarketConfig`: the rule in machine-readable form; that of today if none is given."""
    twap = (rule or series.rule) == "twap"
    return {
        "id": f"{series.key}-twap-60" if twap else series.key,
        "asset": series.asset,
        "duration": series.name,
        "twapEnabled": twap,
        "twapLookbackSeconds": 60 if twap else 0,
    }


def series_slug(series: Series) -> str:
    return f"{series.asset}-up-or-down-{_SERIES_NAME[series.name]}"


def series_id(series: Series) -> str:
    return _KNOWN_SERIES_IDS.get(series.key) or str(11_300 + list(SERIES).index(series.key))


def series_object(series: Series) -> dict[str, object]:
    return {
        "id": series_id(series),
        "ticker": series_slug(series),
        "slug": series_slug(series),
        "title": f"{series.asset.upper()} Up or Down {series.name}",
        "seriesType": "single",
        "recurrence": series.name,
        "active": True,
        "closed": False,
        "archived": False,
        "createdAt": "2025-11-21T21:46:22.201627Z",
        "commentCount": 0,
        "requiresTranslation": False,
    }


def icon(market: Market) -> str:
    return _IMAGE.format(market.series.asset.upper()) if market.series.asset else ""


def event_id(market: Market) -> str:
    return str(FIRST_EVENT_ID + int(market.gamma_id))


class GammaObjects:
    """Builds the JSON objects of one exchange; nothing is cached, prices are the book's."""

    def __init__(self, lifecycle: Lifecycle, figures: GammaFigures) -> None:
        self._lifecycle = lifecycle
        self._figures = figures

    def market(self, market: Market, now_ms: int) -> dict[str, object]:
        """One market as `/markets` shows it, with its event."""
        shown = self.bare_market(market, now_ms)
        shown["events"] = [self.bare_event(market, now_ms)]
        return shown

    def event(self, market: Market, now_ms: int, *, with_markets: bool = True) -> dict[str, object]:
        """One event as `/events` shows it; an Up/Down event has one market."""
        shown = self.bare_event(market, now_ms)
        if with_markets:
            shown["markets"] = [self.bare_market(market, now_ms)]
        return shown

    def bare_event(self, market: Market, now_ms: int) -> dict[str, object]:
        return {
            "id": event_id(market),
            "ticker": market.slug,
            "title": market.question,
            **_common(market, now_ms),
            "creationDate": iso(market.listed_ms, micros=True),
            "competitive": 0,
            "commentCount": 0,
            "showAllOutcomes": True,
            "showMarketImages": True,
            "enableNegRisk": market.neg_risk,
            "startTime": iso(market.start_ms),
            "negRiskAugmented": False,
            "eventMetadata": self._published_prices(market, now_ms),
            **_series(market),
        }

    def bare_market(self, market: Market, now_ms: int) -> dict[str, object]:
        return {
            "id": market.gamma_id,
            "question": market.question,
            "conditionId": market.condition_id,
            "questionID": market.question_id,
            **_common(market, now_ms),
            "outcomes": in_string(market.outcomes),
            "eventStartTime": iso(market.start_ms),
            "endDateIso": iso(market.end_ms)[:10],
            "startDateIso": iso(market.listed_ms)[:10],
            "acceptingOrders": market.phase is Phase.OPEN,
            "acceptingOrdersTimestamp": iso(market.listed_ms),
            "orderPriceMinTickSize": market.tick / ONE,
            "orderMinSize": plain_number(market.min_size, UNIT),
            **_rule(market),
            **_fees(market),
            **_FIXED,
            **self._figures.of(market),
            **self._resolution(market),
            **_ids(market),
            **_oracle_ids(market),
        }

    def _resolution(self, market: Market) -> dict[str, object]:
        shown: dict[str, object] = {"umaResolutionStatuses": "[]"}
        if market.series.rule != "twap":
            shown["customLiveness"] = 600
        else:
            shown["automaticallyResolved"] = True
        if market.resolved_ms is not None:
            closed = iso(market.resolved_ms)
            shown["closedTime"] = closed.replace("T", " ").replace("Z", "+00")
            shown["umaEndDate"] = closed
            shown["umaResolutionStatus"] = "resolved"
        elif market.condition_id in self._lifecycle.proposed_ms:
            shown["umaResolutionStatus"] = "proposed"
        return shown

    def _published_prices(self, market: Market, now_ms: int) -> dict[str, object]:
        prices: dict[str, object] = {}
        strike = self._lifecycle.shown_strike(market, now_ms)
        if strike is not None:
            prices["priceToBeat"] = strike
        if market.condition_id in self._lifecycle.proposed_ms:
            prices["finalPrice"] = market.final
        return prices


def _common(market: Market, now_ms: int) -> dict[str, object]:
    """What a market and its event show alike."""
    image = icon(market)
    return {
        "slug": market.slug,
        "description": description(market),
        "resolutionSource": resolution_source(market),
        "startDate": iso(market.listed_ms, micros=True),
        "endDate": iso(market.end_ms),
        "createdAt": iso(market.listed_ms, micros=True),
        "updatedAt": iso(now_ms, micros=True),
        "image": image,
        "icon": image,
        "active": True,
        "closed": market.phase is Phase.RESOLVED,
        "archived": False,
        "new": False,
        "featured": False,
        "restricted": True,
        "enableOrderBook": True,
        "negRisk": market.neg_risk,
        "cyom": False,
        "automaticallyActive": True,
        "pendingDeployment": False,
        "deploying": False,
        "requiresTranslation": False,
    }


def _series(market: Market) -> dict[str, object]:
    if market.series is STANDING:
        return {"series": []}
    series = market.series
    return {"series": [series_object(series)], "seriesSlug": series_slug(series)}


def _rule(market: Market) -> dict[str, object]:
    """The machine-readable rule of an interval market and the kind of its fees."""
    if market.series is STANDING:
        return {"secondsDelay": market.seconds_delay} if market.seconds_delay else {}
    config = crypto_config(market.series, _rule_of(market))
    return {
        "cryptoMarketConfigId": config["id"],
        "cryptoMarketConfig": config,
        "feeType": "crypto_fees_v2",
    }


def _fees(market: Market) -> dict[str, object]:
    if not market.fee_rate_ppm:
        return {"feesEnabled": False, "makerBaseFee": 0, "takerBaseFee": 0}
    return {
        "feesEnabled": True,
        "feeSchedule": {
            "exponent": market.fee_exponent,
            "rate": market.fee_rate_ppm / 1_000_000,
            "takerOnly": True,
            "rebateRate": told_rebate_percent(market) / 100,
        },
        "makerBaseFee": 1000,
        "takerBaseFee": 1000,
        "makerRebatesFeeShareBps": 10_000,
    }


_FIXED: dict[str, object] = {
    "marketMakerAddress": "",
    "groupItemThreshold": "0",
    "hasReviewedDates": True,
    "comboStatus": "disabled",
    "ready": False,
    "funded": False,
    "approved": True,
    "pagerDutyNotificationEnabled": False,
    "rewardsMinSize": 50,
    "rewardsMaxSpread": 4.5,
    "clearBookOnStart": False,
    "showGmpSeries": False,
    "showGmpOutcome": False,
    "manualActivation": False,
    "negRiskOther": False,
    "rfqEnabled": False,
    "holdingRewardsEnabled": False,
}


def _ids(market: Market) -> dict[str, object]:
    """Token ids in a string, position ids in a true array; `version` says which ones trade.

    The others have no book: a third of v1 markets carry such position ids (feeds.md 8.4), and a v2
    market may or may not carry token ids (clob.md 3.2).
    """
    foreign = market.other_ids if int(market.question_id[-2:], 16) < 90 else None
    v2 = market.version == "v2"
    tokens, positions = (foreign, market.tokens) if v2 else (market.tokens, foreign)
    if market.phase is Phase.LISTED:  # not yet hydrated: seen with an empty list (feeds.md 8.3)
        return {"version": market.version, "clobTokenIds": "[]"}
    shown: dict[str, object] = {"version": market.version}
    if tokens is not None:
        shown["clobTokenIds"] = in_string(tokens)
    if positions is not None:
        shown["positionIds"] = list(positions)
    return shown


def _oracle_ids(market: Market) -> dict[str, object]:
    """Protocol V2 alone: the oracle's ids and its view of the resolution (feeds.md 8.4)."""
    if market.version != "v2":
        return {}
    status = "resolved" if market.phase is Phase.RESOLVED else "active"
    return {
        "resolutionStatus": "inactive" if market.phase is Phase.LISTED else status,
        "onchainEventId": market.condition_id[:-6] + "000000",
        "requestId": market.condition_id,
    }
