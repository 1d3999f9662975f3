"""From a tally to figures, each under the path that it has in calibration.json."""

from __future__ import annotations

import itertools
import math
import random
import statistics
from collections import Counter
from collections.abc import Iterable, Sequence

from polybot.exchange.oracle import Oracle, PriceTick
from polybot.exchange.synthetic import SyntheticSource
from polybot.lab.crowd_tally import CENT, Span, Tally
from polybot.lab.crowd_venue import FIRST_MS

Figures = dict[str, float]

PRICES = {"btc": 90_000.0}
HOURS = 24  # of prices for the volatility figures
WATCHED_MS = 900_000  # of the oracle for the publication delay


def quantile(values: Sequence[float], share: float) -> float:
    """Linear between order statistics, as in the sample; NaN of nothing."""
    if not values:
        return math.nan
    ordered = sorted(values)
    place = share * (len(ordered) - 1)
    low = int(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (place - low) * (ordered[high] - ordered[low])


def book_figures(tally: Tally) -> Figures:
    """Everything that the books and the trades show."""
    return {**sample_figures(tally), **_sizes(tally), **_full_rate(tally)}


def sample_figures(tally: Tally) -> Figures:
    """What recorded books show, too: no print, no change between two trades."""
    return {**_spreads(tally), **_trades(tally), **_depth(tally), **_moves(tally)}


def _spreads(tally: Tally) -> Figures:
    figures: Figures = {}
    for bucket, by_spread in tally.spread_ms.items():
        path, total = f"spread_by_ttc/{bucket}", sum(by_spread.values())
        two_sided = total - by_spread[None]
        for spread, name in ((CENT, "0.010"), (2 * CENT, "0.020")):
            least = 0 if spread == CENT else spread - CENT + 1  # a fine tick is within a coarse one
            share = sum(ms for s, ms in by_spread.items() if s is not None and least <= s <= spread)
            figures[f"{path}/two_sided_time_share_by_spread/{name}"] = _share(share, two_sided)
        figures[f"{path}/one_sided_time_share"] = _share(by_spread[None], total)
        figures[f"{path}/mid_beyond_0.05_0.95_time_share"] = _share(tally.edge_ms[bucket], total)
    return figures


def _trades(tally: Tally) -> Figures:
    path = "book_events_btc5m"
    seconds = [count for counts in tally.per_second.values() for count in counts]
    figures = _summary(f"{path}/per_second", seconds)
    for bucket, counts in tally.per_second.items():
        figures |= _summary(f"{path}/per_second_by_ttc/{bucket}", counts)
    figures |= _summary(f"{path}/interarrival_ms", tally.gaps_ms)
    figures |= _summary(f"{path}/burst_100ms_max_per_market", tally.bursts)
    figures |= _summary(f"{path}/events_per_market", tally.traded)
    figures |= _summary(
        f"{path}/seconds_of_trading_after_close", [ms / 1000 for ms in tally.after_ms]
    )
    return figures


def _sizes(tally: Tally) -> Figures:
    path = "full_rate_btc5m/trades"
    figures = _summary(f"{path}/size_shares", tally.sizes)
    figures[f"{path}/taker_side/BUY"] = _share(tally.bought, len(tally.sizes))
    return figures


def _depth(tally: Tally) -> Figures:
    figures = _summary("depth_by_ttc/whole_book_shares", tally.whole_book)
    figures |= _summary("book_message/levels_both_sides", tally.levels)
    for (bucket, level), sizes in tally.depth.items():
        figures |= _summary(f"depth_by_ttc/level/{bucket}/{level}", sizes)
    return figures


def _moves(tally: Tally) -> Figures:
    figures: Figures = {}
    for bucket, moves in tally.moves.items():
        path = f"mid_moves_1s/by_ttc/{bucket}"
        figures[f"{path}/std"] = statistics.pstdev(moves)
        figures[f"{path}/zero_share"] = _share(sum(move == 0 for move in moves), len(moves))
        figures |= _summary(f"{path}/abs", [abs(move) for move in moves])
    return figures


def _full_rate(tally: Tally) -> Figures:
    """Medians over the still spans for rates, everything in them together for shares."""
    spans = [span for span in tally.spans if span.still]
    path, seconds = "full_rate_btc5m", 10
    behind: Counter[int] = sum((span.behind for span in spans), Counter())
    kinds: Counter[str] = sum((span.kinds for span in spans), Counter())
    messages, trades = sum(s.messages for s in spans), sum(s.trades for s in spans)
    changes = sum(kinds.values())
    figures = _summary(
        f"{path}/abs_size_delta_shares", [delta for span in spans for delta in span.deltas]
    )
    figures[f"{path}/spans"] = len(spans)
    figures[f"{path}/per_second_all/mean"] = _median(map(_all, spans)) / seconds
    figures[f"{path}/per_second_price_change/mean"] = _median(s.messages for s in spans) / seconds
    figures[f"{path}/trades/per_second"] = _median(s.trades for s in spans) / seconds
    figures[f"{path}/per_trade/price_change_per_trade"] = messages / trades if trades else math.nan
    figures[f"{path}/events/price_change"] = _share(messages, sum(map(_all, spans)))
    for ticks in (-1, 0, 1, 2, 3):
        name = f"{path}/ticks_behind_touch_share/{ticks}"
        figures[name] = _share(behind[ticks], changes)
    for kind in ("new level", "level removed"):
        figures[f"{path}/level_update_kind/{kind}"] = _share(kinds[kind], changes)
    figures[f"{path}/changes_per_price_change_message/2"] = _share(
        sum(span.paired for span in spans), messages
    )
    return figures


def _all(span: Span) -> int:
    """Market-channel messages: two books, a print and two touches with every trade."""
    return span.messages + 5 * span.trades


def price_figures(seed: int) -> Figures:
    """Volatility of the paths and delay of their publication."""
    return {**_volatility(SyntheticSource(seed, FIRST_MS, PRICES)), **_publication(seed)}


def _volatility(source: SyntheticSource) -> Figures:
    """Standard deviations in basis points; of Binance by five minutes, of Chainlink by horizon."""
    seconds = range(FIRST_MS, FIRST_MS + HOURS * 3_600_000, 1000)
    pairs = [(source.binance("btc", at), source.chainlink("btc", at)) for at in seconds]
    binance, chainlink = ([math.log(pair[k]) * 1e4 for pair in pairs] for k in (0, 1))
    moves = [abs(move) for move in _steps(binance, 300)]
    figures = _summary("btc_vol/binance_5m_2025_12_to_2026_02/abs_5m_bps", moves)
    deviation = statistics.pstdev(moves, mu=0.0)
    figures["btc_vol/binance_5m_2025_12_to_2026_02/implied_1m_std_bps_sqrt_time"] = (
        deviation / math.sqrt(5)
    )
    minute = statistics.pstdev(_steps(chainlink, 60))
    for horizon in (1, 5, 15):
        name = f"btc_vol/chainlink_2026_07_24/std_bps/{horizon}s"
        figures[name] = statistics.pstdev(_steps(chainlink, horizon)) / minute
    return figures


def _steps(values: Sequence[float], step: int) -> list[float]:
    picked = values[::step]
    return [after - before for before, after in itertools.pairwise(picked)]


def _publication(seed: int) -> Figures:
    ticks: list[PriceTick] = []
    source = SyntheticSource(seed, FIRST_MS, PRICES)
    oracle = Oracle(source, ["btc"], FIRST_MS, random.Random(seed))
    oracle.listeners.append(ticks.append)
    oracle.advance(FIRST_MS + WATCHED_MS)
    heard = [tick for tick in ticks if tick.feed == "chainlink"]
    path = "rtds_chainlink_btc_2026_07"
    figures = _summary(f"{path}/recv_minus_feed_ms", [t.at_ms - t.stamp_ms for t in heard])
    stamps = sorted(tick.stamp_ms for tick in heard)
    gaps = [after - before for before, after in itertools.pairwise(stamps)]
    figures[f"{path}/feed_step_ms_counts/2000"] = _share(sum(g == 2000 for g in gaps), len(gaps))
    return figures


def _summary(path: str, values: Sequence[float]) -> Figures:
    """Quantiles and mean under `path`, spelt as in the file."""
    shares = {"p5": 0.05, "p10": 0.1, "p25": 0.25, "p50": 0.5, "p75": 0.75, "p90": 0.9}
    shares |= {"p95": 0.95, "p99": 0.99}
    figures = {f"{path}/{name}": quantile(values, share) for name, share in shares.items()}
    figures[f"{path}/mean"] = statistics.fmean(values) if values else math.nan
    figures[f"{path}/max"] = max(values, default=math.nan)
    return figures


def _median(values: Iterable[float]) -> float:
    return quantile(list(values), 0.5)


def _share(part: float, whole: float) -> float:
    return part / whole if whole else math.nan
