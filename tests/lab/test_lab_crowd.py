"""The measuring of the crowd: definitions on books worked out by hand, targets against the file."""

from __future__ import annotations

import io
import json
import math
import random
from pathlib import Path
from typing import Any

import pytest

from polybot.exchange.calendar import SERIES
from polybot.exchange.crowd_hand import Hand
from polybot.exchange.invariants import check
from polybot.exchange.model import BUY, DOWN, SELL, UP, Market
from polybot.exchange.money import UNIT
from polybot.exchange.recording_files import Warnings
from polybot.lab import calibrate_crowd, commands
from polybot.lab.crowd_figures import book_figures, quantile
from polybot.lab.crowd_meter import Meters
from polybot.lab.crowd_sample import errors, tallies
from polybot.lab.crowd_tally import Span, Tally, bucket_of
from polybot.lab.crowd_targets import BOOKS, PRICES, SURE, Target
from polybot.lab.crowd_venue import FIRST_MS, SAMPLE_DAY, TODAY, CrowdVenue, today

CALIBRATION = Path(__file__).resolve().parents[2].parent / "shared" / "data" / "calibration.json"


def alone() -> tuple[CrowdVenue, Market, Tally, Hand]:
    """A measured market that the crowd has left to one hand."""
    venue = CrowdVenue(1, 0.01, SAMPLE_DAY)
    market = next(venue.windows(1))
    for hand in venue.crowd.hands:
        hand.leave(market, venue.now_ms)
    tally = Tally()
    meters = Meters(venue.engine, tally)
    venue.engine.listeners.append(meters.on_event)
    meters.start(market)
    hand = Hand.make(venue.engine, "alone")
    hand.stock_up(market, venue.now_ms)
    return venue, market, tally, hand


def settle(venue: CrowdVenue, market: Market) -> None:
    """To the end, without the crowd."""
    venue.engine.advance(market.end_ms)
    venue.engine.resolve_market(market, UP, market.end_ms)


def test_time_is_weighted_by_how_long_a_touch_stood() -> None:
    """A minute with one bid, then two cents wide to the end: shares of each bucket's time."""
    venue, market, tally, hand = alone()
    hand.rest(market, BUY, 4900, 10 * UNIT, market.start_ms)
    hand.rest(market, SELL, 5100, 10 * UNIT, market.start_ms + 60_000)
    settle(venue, market)
    figures = book_figures(tally)

    assert figures["spread_by_ttc/300-240s/one_sided_time_share"] == 1
    assert figures["spread_by_ttc/240-180s/one_sided_time_share"] == 0
    assert figures["spread_by_ttc/10-0s/two_sided_time_share_by_spread/0.020"] == 1
    assert sum(sum(by_spread.values()) for by_spread in tally.spread_ms.values()) == 300_000


def test_an_empty_side_is_the_end_of_the_scale() -> None:
    """With nobody asking, a bid of 0.96 makes a mid of 0.98: beyond, and one move to get there."""
    venue, market, tally, hand = alone()
    hand.rest(market, BUY, 9600, 10 * UNIT, market.start_ms + 10_500)
    settle(venue, market)
    figures = book_figures(tally)

    assert figures["spread_by_ttc/240-180s/mid_beyond_0.05_0.95_time_share"] == 1
    assert [move for move in tally.moves["300-240s"] if move] == [0.48]
    assert len(tally.moves["10-0s"]) == 10


def test_trades_are_counted_by_second_burst_and_time_to_the_close() -> None:
    """Three at once, one later, one after the close."""
    venue, market, tally, hand = alone()
    taker = Hand.make(venue.engine, "taker")
    hand.rest(market, SELL, 5000, 500 * UNIT, market.start_ms)
    token = market.tokens[UP]
    for after_ms in (1000, 1010, 1020, 250_000, 301_500):
        at_ms = market.start_ms + after_ms
        taker.take(market, token, BUY, 5000, 10 * UNIT, at_ms - 150, seen=5000)
        venue.engine.advance(at_ms)
    venue.engine.resolve_market(market, DOWN, market.end_ms + 21_000)
    figures = book_figures(tally)

    assert tally.traded == [5]
    assert tally.bursts == [3]
    assert max(tally.per_second["300-240s"]) == 3
    assert sum(tally.per_second["60-30s"]) == 1
    assert figures["book_events_btc5m/seconds_of_trading_after_close/p50"] == 1.5
    assert tally.sizes == [10] * 5


def test_a_still_span_is_one_tick_wide_and_does_not_move() -> None:
    """Only ten seconds like the sample's are compared with it."""
    still, moving, wide = Span(), Span(), Span()
    still.touches.update({(5000, 5100): 9500, (5100, 5200): 500})
    moving.touches.update({(5000, 5100): 5000, (5100, 5200): 5000})
    wide.touches.update({(5000, 5300): 10_000})

    assert (still.still, moving.still, wide.still, Span().still) == (True, False, False, False)


@pytest.mark.parametrize(
    ("left_ms", "bucket"),
    [(300_000, "300-240s"), (240_000, "240-180s"), (30_000, "30-10s"), (0, "10-0s")],
)
def test_a_bucket_holds_its_upper_bound(left_ms: int, bucket: str) -> None:
    """Time to the close falls from a bucket's upper bound to its lower one."""
    assert bucket_of(left_ms) == bucket


def test_quantiles_lie_between_order_statistics() -> None:
    """Linear interpolation, and nothing of nothing."""
    assert quantile([1, 2, 3, 4], 0.5) == 2.5
    assert math.isnan(quantile([], 0.5))


@pytest.mark.parametrize("rules", [SAMPLE_DAY, TODAY, today("btc-15m"), today("btc-1h")])
def test_windows_follow_each_other_and_stay_sound(rules: Any) -> None:
    """Two windows of the pure venue under either day's rules; every invariant holds in each, and
    each is as long as its series says.
    """
    venue = CrowdVenue(3, 0.002 if rules.key == "btc-1h" else 0.02, rules)
    length_ms, starts = SERIES[rules.key].length_s * 1000, []
    for market in venue.windows(2):
        venue.until(market.end_ms - 5_000)
        check(venue.engine)
        assert market.series.key == rules.key
        assert market.end_ms - market.start_ms == length_ms
        starts.append(market.start_ms)
    assert starts == [FIRST_MS, FIRST_MS + length_ms]
    resolved = [one for one in venue.engine.markets.values() if one.winner is not None]

    assert len(resolved) == 2
    check(venue.engine)


def test_an_hour_is_decided_by_what_binance_says_at_its_ends() -> None:
    """And an average by the oracle's minute (strategy.md 1)."""
    hour, quarter = (CrowdVenue(3, 0.02, today(key)) for key in ("btc-1h", "btc-15m"))
    at_ms = FIRST_MS + 3_600_000
    minute = [quarter.source.chainlink("btc", at_ms - 1000 * k) for k in range(60)]

    assert hour.value(at_ms) == hour.source.binance("btc", at_ms)
    assert quarter.value(at_ms) == pytest.approx(math.fsum(minute) / 60)


@pytest.mark.conforms("clob-8-late-tick")
def test_late_in_a_window_the_tick_is_usually_fine() -> None:
    """0.01 at the start and 0.001 ten seconds before most ends, as the crowd moves the price to a
    limit (clob.md 8).
    """
    venue = CrowdVenue(3, 0.02, TODAY)
    early, late = [], []
    for market in venue.windows(12):
        early.append(market.tick)
        venue.until(market.end_ms - 10_000)
        late.append(market.tick)

    assert late.count(10) > 8
    assert early.count(100) > 10


# --- targets --------------------------------------------------------------------------------------


def test_targets_are_what_was_measured() -> None:
    """Every target is the file's number at its path, or that number as a share of its total."""
    if not CALIBRATION.is_file():
        pytest.skip("calibration.json is not there")
    data = json.loads(CALIBRATION.read_text())
    for target in (*BOOKS, *PRICES):
        found: Any = data
        for key in target.path.split("/"):
            found = found[key]
        assert found / target.over == pytest.approx(target.value, rel=2e-3, abs=1e-4), target.path


def test_recorded_markets_are_measured_as_in_the_file() -> None:
    """Two of the sample's markets by our definitions: the file's own figures for each come out."""
    folder = CALIBRATION.parent / "recordings" / "btc5m_books_cronos"
    if not folder.is_dir():
        pytest.skip("the recorded books are not there")
    listed = json.loads(CALIBRATION.read_text())["book_events_btc5m"]["per_market"]
    markets = tallies(sorted(folder.glob("*.jsonl.zst"))[:2], Warnings())

    for market, row in zip(markets, listed, strict=False):
        seconds = [count for counts in market.per_second.values() for count in counts]
        assert sum(seconds) / len(seconds) == pytest.approx(row["rate_mean"], rel=0.02)
        assert quantile(seconds, 0.5) == row["rate_median"]
        assert max(seconds) == row["rate_max"]
        assert market.bursts == [row["burst_max_100ms"]]


def test_errors_are_the_deviation_between_draws() -> None:
    """Of markets half of which are always one-sided, n drawn deviate by ½/√n."""
    markets = []
    for spread in (None, 100) * 8:
        tally = Tally()
        tally.spread_ms["10-0s"][spread] = 10_000
        markets.append(tally)

    spread_of = errors(markets, 16, random.Random(1), draws=400)

    assert spread_of["spread_by_ttc/10-0s/one_sided_time_share"] == pytest.approx(1 / 8, rel=0.1)


def test_a_target_is_met_inside_its_band_only() -> None:
    """A factor either way, or a distance; a figure that could not be taken is never met."""
    factor, distance = Target("a", 10.0, 1.5), Target("b", 0.5, 0.1)

    assert [factor.met(ours) for ours in (6.6, 6.7, 15.0, 15.1)] == [False, True, True, False]
    assert [distance.met(ours) for ours in (0.39, 0.41, 0.61)] == [False, True, False]
    assert not factor.met(math.nan)
    assert not distance.met(math.nan)


def test_the_samples_spread_widens_a_band_and_never_narrows_it() -> None:
    """Two and a half deviations of the difference of two draws, where that is more."""
    sure, unsure = Target("a", 0.5, 0.1, 0.01), Target("b", 0.5, 0.1, 0.1)
    factor = Target("c", 10.0, 1.5, 2.0)

    assert sure.reach() == 0.1
    assert unsure.reach() == pytest.approx(SURE * math.sqrt(2) * 0.1)
    assert factor.reach() == pytest.approx(math.exp(SURE * math.sqrt(2) * 0.2))
    assert unsure.met(0.84)
    assert not unsure.met(0.86)
    assert factor.tolerances() == ("×÷ 1.5", "×÷ 2.03")
    assert unsure.tolerances() == ("± 0.1", "± 0.354")
    assert Target("d", 1.0, 0.1).tolerances() == ("± 0.1", "-")
    assert (unsure.in_band(0.59), unsure.in_band(0.61)) == (True, False)
    assert unsure.reach(8) == pytest.approx(SURE * math.sqrt(5) * 0.1)
    assert sure.reach(8) == 0.1


def test_every_target_has_a_figure_of_that_name() -> None:
    """A short run takes every figure of the books that the table asks for."""
    figures = calibrate_crowd.measure(1, 1, io.StringIO(), intensity=0.05)

    missing = [target.path for target in BOOKS if target.path not in figures]
    assert [path for path in missing if "/depth" not in path and "depth_by" not in path] == []


# --- the command ----------------------------------------------------------------------------------


def test_the_table_says_what_is_out(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit 0 and `ok` when every figure is at its target, else 1, `OUT`, and the JSON agrees."""
    perfect = {target.path: target.value for target in (*BOOKS, *PRICES)}
    monkeypatch.setattr(calibrate_crowd, "measure", lambda *_: dict(perfect))
    monkeypatch.setattr(calibrate_crowd, "price_figures", lambda _: {})
    assert commands.run("calibrate-crowd", ["--json"]) == 0
    perfect[BOOKS[0].path] = math.nan
    capsys.readouterr()
    assert commands.run("calibrate-crowd", []) == 1
    table = capsys.readouterr().out.splitlines()
    assert table[1].split()[1:] == ["0.901", "nan", "±", "0.06", "±", "0.0233", "OUT"]
    assert table[-4] == "101 of 102 within tolerance, 101 within the band alone"
    assert "standard errors" in table[-2]
    assert commands.run("calibrate-crowd", ["--json"]) == 1

    rows = json.loads(capsys.readouterr().out)
    assert rows[0]["ok"] is False
    assert sum(row["ok"] for row in rows) == len(perfect) - 1
