"""What Gamma tells of a market's book and trades: near enough to look at, and not to quote from.

An empty side is told as the end of the scale, and a bid of nothing is left out, as every zero is.
Of a closed market the last touch stays; whole groups of figures are missing from some, at the rates
counted on the 292 BTC 5m markets of 2026-07-24 (feeds.md 8.4; `Terms.gamma_gaps`).
"""

from __future__ import annotations

from collections import defaultdict

import orjson

from polybot.exchange.engine import Engine
from polybot.exchange.model import DOWN, UP, Event, LevelChanged, Market, Phase, Traded
from polybot.exchange.money import ONE, UNIT, decimal_text

Touch = tuple[int | None, int | None]

OUTCOME_PRICES: dict[int | None, tuple[str, str]] = {
    UP: ("1", "0"), DOWN: ("0", "1"), None: ("0.5", "0.5"),
}  # fmt: skip
NO_VOLUME = (44, 292)  # closed markets without any of these, of so many
NO_LIQUIDITY = (72, 156)
_VOLUMES = (
    "volumeNum", "volume24hr", "volume1wk", "volume1mo", "volume1yr", "volumeClob",
    "volume24hrClob", "volume1wkClob", "volume1moClob", "volume1yrClob",
)  # fmt: skip


class GammaFigures:
    """Append `on_event` to the engine's listeners; figures are those since then."""

    def __init__(self, engine: Engine, *, gaps: bool) -> None:
        self._engine, self._gaps = engine, gaps
        self._traded: defaultdict[str, int] = defaultdict(int)  # 10⁻⁶ pUSD, by condition id
        self._touch: dict[str, Touch] = {}  # the last with anybody in it, by condition id

    def on_event(self, event: Event) -> None:
        if isinstance(event, Traded):
            trade = event.trade
            self._traded[trade.market.condition_id] += trade.price * trade.shares // ONE
        elif isinstance(event, LevelChanged) and event.market.phase is Phase.OPEN:
            touch = self._engine.best(event.market.tokens[UP])
            if touch != (None, None):
                self._touch[event.market.condition_id] = touch

    def of(self, market: Market) -> dict[str, object]:
        """The figures among a market's fields."""
        closed = market.phase is Phase.RESOLVED
        gaps = closed and self._gaps
        shown: dict[str, object] = {}
        if not (gaps and _drawn(market, 0, NO_VOLUME)):
            shown |= _volumes(self._traded[market.condition_id])
        if closed:
            shown |= _closed(market, self._touch.get(market.condition_id, (None, None)))
        else:
            shown |= self._open(market)
        if not (gaps and _drawn(market, 1, NO_LIQUIDITY)):
            shown["competitive"] = 0
            shown["liquidityClob"] = shown["liquidityNum"]
        else:
            del shown["liquidity"], shown["liquidityNum"]
        return shown

    def _open(self, market: Market) -> dict[str, object]:
        up, _ = market.tokens
        bids, asks = self._engine.levels(up)
        resting = sum(p * s for p, s in bids) + sum((ONE - p) * s for p, s in asks)
        dollars = resting / (ONE * UNIT)
        touch = self._engine.best(up)
        return {
            "liquidity": f"{dollars:.4f}",
            "liquidityNum": dollars,
            **_touched(market, touch),
            "outcomePrices": in_string(_outcome_prices(*touch)),
        }


def _closed(market: Market, last: Touch) -> dict[str, object]:
    """A resolved market shows the payout; its touch stands as it last was."""
    payout = OUTCOME_PRICES[market.winner]
    return {
        "liquidity": "0",
        "liquidityNum": 0,
        **_touched(market, last),
        "outcomePrices": in_string(payout),
    }


def _touched(market: Market, touch: Touch) -> dict[str, object]:
    bid, ask = touch[0] or 0, ONE if touch[1] is None else touch[1]
    shown: dict[str, object] = {"bestAsk": ask / ONE, "spread": (ask - bid) / ONE}
    if bid:
        shown["bestBid"] = bid / ONE
    if market.last_trade_price is not None:
        shown["lastTradePrice"] = market.last_trade_price / ONE
    return shown


def _volumes(micros: int) -> dict[str, object]:
    dollars = micros / UNIT
    return {"volume": decimal_text(micros, UNIT)} | dict.fromkeys(_VOLUMES, dollars)


def _outcome_prices(bid: int | None, ask: int | None) -> tuple[str, str]:
    twice = ONE if bid is None or ask is None else bid + ask
    return decimal_text(twice, 2 * ONE), decimal_text(2 * ONE - twice, 2 * ONE)


def _drawn(market: Market, nth: int, rate: tuple[int, int]) -> bool:
    """The same at every look: by four digits of the question's id, `nth` from its end."""
    digits = market.question_id[-8 - 4 * nth : -4 - 4 * nth]
    few, many = rate
    return int(digits, 16) * many < few << 16


def in_string(values: tuple[str, ...]) -> str:
    """Arrays come as JSON inside a string."""
    return orjson.dumps(values).decode().replace(",", ", ")
