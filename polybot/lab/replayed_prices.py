"""Recorded prices told to a price board as they were received, and what it thought on the way.

Two recordings bring their own results: Chainlink at 1 Hz with 5m outcomes of July 2026, and one
market of April 2026 with books and both prices. Both are of the spot rule of their time; only the
rule differs from today's, the board is the same.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import attrs

from polybot.domain.market import FeeSchedule, Market, Outcome, TwapPair
from polybot.domain.prices import Feed
from polybot.exchange.recording_files import (
    Warnings,
    dollars,
    readable,
    rows,
    stamp_ms,
    table,
)
from polybot.exchange.recording_model import window_of
from polybot.pricing.blend import micro_price
from polybot.pricing.board import PriceBoard
from polybot.pricing.calibration import Row, Sampler
from polybot.pricing.contract import settled
from polybot.pricing.fair import Fair
from polybot.pricing.params import PricingParams
from polybot.venue.gamma import parse_market

SPOT_RULE = TwapPair("btcusd", 0)
TICKS, MARKETS, JOINED = "BTCUSD-", "BTC-5m-markets-", ".orderbook.jsonl"
WINDOW_MS = 300_000
KNOWN_AFTER_MS = 60_000  # when the published strike is taken as read (feeds.md 9)
DEPTH = 100.0


@attrs.frozen
class Recorded:
    """A market whose result is known; `strike` is None where none was published."""

    market: Market
    strike: float | None
    up: int


@attrs.frozen
class Replayed:
    """Rows for the score, how the rule engine did on the markets that could be settled, and what of
    the recordings could not be read.
    """

    rows: list[Row]
    settled: int = 0
    agreed: int = 0
    faults: tuple[str, ...] = ()


def replay(folder: Path, params: PricingParams) -> Replayed:
    """Everything in `folder` (searched deeply) that is one of the two recordings."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    found, warnings = Replayed([]), Warnings()
    ticks = [path for path in files if path.name.startswith(TICKS)]
    markets = [path for path in files if path.name.startswith(MARKETS)]
    if ticks and markets:
        found = _added(found, vendor(ticks, markets, params, warnings))
    for path in files:
        if JOINED in path.name:
            found = _added(found, joined(path, params, warnings))
    return attrs.evolve(found, faults=tuple(warnings))


def _added(one: Replayed, other: Replayed) -> Replayed:
    return Replayed(one.rows + other.rows, one.settled + other.settled, one.agreed + other.agreed)


# --- Chainlink at 1 Hz with outcomes ------------------------------------------------------------


def vendor(
    tick_files: list[Path], market_files: list[Path], params: PricingParams, warnings: Warnings
) -> Replayed:
    """Probabilities from the oracle's spot alone: no exchange and no book was recorded."""
    windows = {
        one.market.start_ms: one
        for path in market_files
        for found in readable(path, warnings, rows(path, warnings), _recorded)
        for one in found
    }
    ticks = [
        tick
        for path in tick_files
        for tick in readable(path, warnings, table(path, warnings), read_tick)
    ]
    exact = {tick.stamp_ms: tick.exact for tick in ticks}
    board = PriceBoard(params)
    samplers = {start_ms: Sampler() for start_ms in windows}
    for tick in sorted(ticks, key=lambda tick: tick.recv_ms):
        recv_ms = tick.recv_ms
        board.on_tick(Feed.CHAINLINK, "btcusd", tick.value, tick.stamp_ms, recv_ms)
        start_ms = recv_ms - recv_ms % WINDOW_MS
        one = windows.get(start_ms)
        if one is not None:
            if one.strike is not None and recv_ms >= start_ms + KNOWN_AFTER_MS:
                board.official_strike(one.market, one.strike, start_ms + KNOWN_AFTER_MS)
            sample(board, one.market, recv_ms, samplers[start_ms])
    told = [
        Row(one.market.slug, sample, one.up)
        for start_ms, one in windows.items()
        for sample in samplers[start_ms].samples
    ]
    return Replayed(told, *_judged(windows, exact))


@attrs.frozen
class Tick:
    """A price of the oracle, when it was heard and whose time it is; `exact` in 10⁻¹⁸."""

    recv_ms: int
    stamp_ms: int
    value: float
    exact: int


def read_tick(row: dict[str, str]) -> Tick:
    """One row of the vendor's table; KeyError or ValueError."""
    return Tick(
        stamp_ms(row["recv_ms"]),
        stamp_ms(row["feed_ts_ms"]),
        dollars(row["value"]),
        int(row["full_accuracy_value"]),
    )


def _recorded(row: dict[str, Any]) -> list[Recorded]:
    """The market of a row, if it is one; KeyError or ValueError for a row that tells no result."""
    market = parse_market(row["raw"], "btc-5m")
    told, up = row["strike_value"], {"1": 1, "0": 0}[row["outcome_prices"][0]]
    strike = None if told is None else dollars(int(told) / 1e18)
    return [Recorded(market, strike, up)] if isinstance(market, Market) else []


def _judged(windows: dict[int, Recorded], exact: dict[int, int]) -> tuple[int, int]:
    """How many markets have both readings, and how many of them the rule settles as paid."""
    count = agreed = 0
    for one in windows.values():
        opened, ended = exact.get(one.market.start_ms), exact.get(one.market.end_ms)
        if opened is None or ended is None:
            continue
        outcome = settled(one.market.rule, _text(opened), _text(ended))
        count += 1
        agreed += outcome is (Outcome.UP if one.up else Outcome.DOWN)
    return count, agreed


def _text(scaled: int) -> str:
    return f"{scaled // 10**18}.{scaled % 10**18:018d}"


# --- one market with everything -----------------------------------------------------------------


def joined(path: Path, params: PricingParams, warnings: Warnings) -> Replayed:
    """Both prices and the market's own, at 1 Hz, for one window."""
    lines = list(readable(path, warnings, rows(path, warnings), _line))
    result = next((value for _, kind, value in lines if kind == "resolution"), None)
    slug = path.name.split(JOINED)[0]
    if result is None:
        warnings.tell(f"{path.name} has no outcome: nothing of it is scored")
        return Replayed([])
    start_ms = window_of(slug)[1]
    market = spot_market(slug, start_ms)
    board, sampler, mid = PriceBoard(params), Sampler(), None
    opened, ended, up = result
    for now_ms, kind, value in lines:
        if kind == "ticker":
            oracle, exchange = value
            board.on_tick(Feed.BINANCE, "BTCUSDT", exchange, now_ms, now_ms)
            board.on_tick(Feed.CHAINLINK, "btcusd", oracle, now_ms, now_ms)
        elif kind == "orderbook_snapshot":
            mid = value
        if now_ms >= start_ms:
            board.official_strike(market, opened, start_ms)
            sample(board, market, now_ms, sampler, mid)
    outcome = settled(SPOT_RULE, str(opened), str(ended))
    agreed = int(outcome is (Outcome.UP if up else Outcome.DOWN))
    return Replayed([Row(slug, sample, up) for sample in sampler.samples], 1, agreed)


def _line(row: dict[str, Any]) -> tuple[int, str, Any]:
    """(time, kind, what is used of it); KeyError, TypeError or ValueError."""
    at_ms, kind = stamp_ms(row["ts"]), row["type"]
    if kind == "ticker":
        return at_ms, kind, (dollars(row["assetPrice"]), dollars(row["binancePrice"]))
    if kind == "orderbook_snapshot":
        return at_ms, kind, _micro(row["up"])
    if kind == "resolution":
        up = {"UP": 1, "DOWN": 0}[row["direction"]]
        return at_ms, kind, (dollars(row["openPrice"]), dollars(row["closePrice"]), up)
    return at_ms, kind, None


def spot_market(slug: str, start_ms: int) -> Market:
    """Five minutes under the rule of the recordings' time."""
    return Market(
        series="btc-5m",
        slug=slug,
        condition_id=slug,
        up_token=f"{slug} up",
        down_token=f"{slug} down",
        start_ms=start_ms,
        end_ms=start_ms + WINDOW_MS,
        rule=SPOT_RULE,
        tick=100,
        min_size=5_000_000,
        fees=FeeSchedule(0, 1, 0),
    )


def _micro(side: dict[str, list[list[float]]] | None) -> float | None:
    """The market's price of Up, None where its book has not two sides."""
    if side is None or not side["bids"] or not side["asks"]:
        return None
    (bid, bid_size), (ask, ask_size) = side["bids"][0], side["asks"][0]
    return micro_price(bid, bid_size, ask, ask_size, DEPTH) if bid < ask else None


def sample(
    board: PriceBoard, market: Market, now_ms: int, sampler: Sampler, mid: float | None = None
) -> None:
    """Keep what the board thinks now, if a sample is due."""
    left_s = (market.end_ms - now_ms) / 1000
    if sampler.due(left_s):
        fair = board.fair(market, now_ms)
        if isinstance(fair, Fair):
            sampler.take(left_s, fair, mid)
