"""Market metadata from Gamma, read strictly: one doubt and the
market is refused (feeds.md 8, 9, 10.2).
"""

from __future__ import annotations

import datetime as dt
import re

import attrs
import orjson

from polybot.domain.market import FeeSchedule, Market, Outcome, Rule
from polybot.domain.orders import Failure
from polybot.domain.units import SHARE
from polybot.venue import fields
from polybot.venue.fields import Json
from polybot.venue.rest import Rest
from polybot.venue.rules import read_rule
from polybot.venue.slugs import Window, window_at

_CONDITION = re.compile(r"0x[0-9a-fA-F]{64}")
# Of a stamp, which may be the zero of whoever writes it: the calendar of the long windows ends in
# the years 1 and 9999, and not with a ValueError.
YEARS = range(2000, 2200)
_TOKEN_DIGITS_MOST = 78


@attrs.frozen
class Refusal:
    """Metadata we will not trade on, and why. Of a market that is traded already what it says of
    rule, strike and whether orders are taken counts all the same, where it can be read; and so does
    `strange`, what it says and does not merely lack, and no market that we trade says.
    """

    text: str
    slug: str = ""
    rule: Rule | None = None
    price_to_beat: float | None = None
    accepting: bool = True
    strange: str = ""


@attrs.frozen
class MarketMeta:
    """A market with what changes during its life.

    `price_to_beat` and `final_price` appear about a minute after the start and the end; `up_payout`
    is what Gamma says one Up share pays, 10⁻⁶ dollars, once it has closed the market: half a dollar
    for a void (None for open markets, and for prices that are no result).
    """

    market: Market
    accepting: bool
    closed: bool
    price_to_beat: float | None
    final_price: float | None
    up_payout: int | None

    @property
    def slug(self) -> str:
        return self.market.slug

    @property
    def rule(self) -> Rule:
        return self.market.rule


async def market_by_slug(
    rest: Rest, series: str, slug: str
) -> MarketMeta | Refusal | Failure | None:
    """One market by its slug, closed ones too; None if Gamma knows none of this name.

    `rest` is public with Gamma's base URL. A market under another slug than asked for is refused.
    """
    path = f"/markets/slug/{slug}"
    reply = await rest.call("GET", path)
    if isinstance(reply, Failure):
        return reply
    if reply.status == 404:
        return None
    if reply.status != 200:
        return reply.failure(f"GET {path}")
    try:
        value = reply.json()
    except ValueError as error:
        return Failure(f"GET {path}: unreadable: {error}")
    meta = parse_meta(value, series)
    if isinstance(meta, MarketMeta) and meta.market.slug != slug:
        return Refusal(f"asked for {slug}, got {meta.market.slug}")
    return meta


def parse_market(value: object, series: str) -> Market | Refusal:
    """A Gamma market object as a Market of `series`. Never raises."""
    try:
        return _market(fields.as_object(value), series)
    except ValueError as error:
        return Refusal(str(error))


def parse_meta(value: object, series: str) -> MarketMeta | Refusal:
    """A Gamma market object with its state. Never raises."""
    try:
        row = fields.as_object(value)
        market = _market(row, series)
        told = _event_metadata(row)
        closed = row.get("closed") is True
        return MarketMeta(
            market=market,
            accepting=_accepting(row),
            closed=closed,
            price_to_beat=_reference(told.get("priceToBeat")),
            final_price=_reference(told.get("finalPrice")),
            up_payout=_payout(row) if closed else None,
        )
    except ValueError as error:
        return _refusal(str(error), value, series)


def _refusal(why: str, value: object, series: str) -> Refusal:
    try:
        row = fields.as_object(value)
        rule = read_rule(row, series, _iso_ms(row, "eventStartTime"))
        strike = _reference(_event_metadata(row).get("priceToBeat"))
        slug, strange = fields.text(row, "slug"), _strange(row, series)
        return Refusal(why, slug, rule, strike, _accepting(row), strange)
    except ValueError:
        return Refusal(why)


def _strange(row: Json, series: str) -> str:
    """A window that was put off lies beside the calendar (F54); a fee that we cannot reckon may be
    one of makers (F56).
    """
    try:
        if row.get("endDate"):
            _window(row, series)
        if row.get("feeSchedule"):
            _fees(row)
    except ValueError as error:
        return str(error)
    return ""


def _accepting(row: Json) -> bool:
    """Whether the market takes orders (clob.md 8)."""
    open_flags = ("active", "acceptingOrders", "enableOrderBook")
    return row.get("closed") is not True and all(row.get(flag) is True for flag in open_flags)


def _market(row: Json, series: str) -> Market:
    version = fields.optional_text(row, "version") or "v1"
    condition = _condition(row, version)
    tokens = _tokens(row, version)
    window = _window(row, series)
    return Market(
        series=series,
        slug=fields.text(row, "slug"),
        condition_id=condition,
        up_token=tokens[Outcome.UP],
        down_token=tokens[Outcome.DOWN],
        start_ms=window.start_ms,
        end_ms=window.end_ms,
        rule=read_rule(row, series, window.start_ms),
        tick=fields.tick_of_text(fields.number_text(row.get("orderPriceMinTickSize"))),
        min_size=fields.min_size(row, "orderMinSize"),
        fees=_fees(row),
        neg_risk=row.get("negRisk") is True,
        version=version,
        up_index=_outcomes(row).index(Outcome.UP),
    )


def _window(row: Json, series: str) -> Window:
    window = Window(_iso_ms(row, "eventStartTime"), _iso_ms(row, "endDate"))
    if window != window_at(series, window.start_ms):
        raise ValueError(f"not a window of {series}: {window.start_ms} to {window.end_ms}")
    return window


def _condition(row: Json, version: str) -> str:
    """The id as the CLOB writes it, whose books are hashed with it and whose words are told apart
    by it: of Protocol V2 in lower case and padded, as the venue's SDK does it (clob.md 3.2).
    """
    told = fields.text(row, "conditionId")
    condition = fields.padded(told.lower()) if version == "v2" else told
    if not _CONDITION.fullmatch(condition):
        raise ValueError(f"expected a condition id, was {told[:80]!r}")
    return condition


def _tokens(row: Json, version: str) -> dict[Outcome, str]:
    """Token ids by outcome label; the version says which list counts (clob.md 3.2)."""
    if version not in ("v1", "v2"):
        raise ValueError(f"unknown market version {version[:20]!r}")
    ids = _embedded_list(row, "clobTokenIds" if version == "v1" else "positionIds")
    labels = _outcomes(row)
    if len(ids) != 2 or ids[0] == ids[1] or not all(map(_is_token, ids)):
        raise ValueError(f"expected two token ids, was {fields.shown(ids, 80)}")
    return dict(zip(labels, ids, strict=True))


def _is_token(text: str) -> bool:
    """Whether it is a number that fits the word it is signed and asked for in."""
    fits = len(text) <= _TOKEN_DIGITS_MOST
    return fits and text.isascii() and text.isdigit() and int(text) < 1 << 256


def _outcomes(row: Json) -> list[Outcome]:
    labels = [Outcome(label) for label in _embedded_list(row, "outcomes")]
    if sorted(label.value for label in labels) != ["Down", "Up"]:
        raise ValueError("expected the outcomes Up and Down")
    return labels


def _embedded_list(row: Json, key: str) -> list[str]:
    """A list that Gamma writes as a string of JSON, or as a list."""
    value = row.get(key)
    if isinstance(value, str):
        value = orjson.loads(value)
    return list(fields.texts(fields.as_list(value)))


def _iso_ms(row: Json, key: str) -> int:
    stamp = dt.datetime.fromisoformat(fields.text(row, key))
    if stamp.tzinfo is None:
        raise ValueError(f"{key} without a time zone")
    if stamp.year not in YEARS:
        raise ValueError(f"{key} in the year {stamp.year}")
    return round(stamp.timestamp() * 1000)


def _fees(row: Json) -> FeeSchedule:
    """`feeSchedule` is the fee; `makerBaseFee` and `takerBaseFee` are ceilings (clob.md 6.1)."""
    if row.get("feesEnabled") is not True:
        return FeeSchedule(0, 1, 0)
    terms = row.get("feeSchedule")
    if not fields.is_object(terms):
        raise ValueError("fees without a schedule")
    exponent = terms.get("exponent")
    if terms.get("takerOnly") is not True or exponent not in (1, 2):
        raise ValueError(f"unknown fee schedule {fields.shown(terms, 80)}")
    rebate = fields.amount_or_zero(terms, "rebateRate")
    return FeeSchedule(fields.amount(terms, "rate"), 1 if exponent == 1 else 2, rebate)


def _event_metadata(row: Json) -> Json:
    events = row.get("events")
    first = events[0] if isinstance(events, list) and events else None
    told = first.get("eventMetadata") if fields.is_object(first) else None
    return told if fields.is_object(told) else {}


def _reference(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if 0 < value < float("inf") else None


def _payout(row: Json) -> int | None:
    prices = [float(price) for price in _embedded_list(row, "outcomePrices")]
    up = dict(zip(_outcomes(row), prices, strict=False)).get(Outcome.UP)
    if sorted(prices) not in ([0.0, 1.0], [0.5, 0.5]) or up is None:
        return None
    return int(up * SHARE)
