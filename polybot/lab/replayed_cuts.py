"""Windows that nobody traded, cut out of recorded prices: is it the model or the window's end?

The recorded ticks reach the board exactly as for the true windows; only the five minutes that are
asked about begin elsewhere, a quarter of a minute apart, and are settled by the same spot rule from
the same ticks. Cuts overlap and are not independent of each other: twenty of them are a scale to
hold the true windows against, not twenty times as many results.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import attrs

from polybot.domain.market import Market
from polybot.domain.prices import Feed
from polybot.exchange.recording_files import Warnings, readable, table
from polybot.lab.replayed_prices import (
    KNOWN_AFTER_MS,
    TICKS,
    WINDOW_MS,
    read_tick,
    sample,
    spot_market,
)
from polybot.pricing.board import PriceBoard
from polybot.pricing.calibration import Row, Sampler, log_loss
from polybot.pricing.params import PricingParams

SHIFTS_S = range(0, 300, 15)


@attrs.frozen
class Cut:
    """The scored samples of all windows that begin `shift_s` after a true one."""

    shift_s: int
    rows: list[Row]

    @property
    def log_loss(self) -> float:
        return log_loss([(row.sample.q, row.up) for row in self.rows])


@attrs.frozen
class _Window:
    market: Market
    strike: float
    up: int
    sampler: Sampler


def cut(
    folder: Path,
    params: PricingParams,
    shifts_s: Sequence[int] = SHIFTS_S,
    warnings: Warnings | None = None,
) -> list[Cut]:
    """The cuts of every recording of oracle ticks in `folder`; the first is that of the true
    windows. What cannot be read is among the warnings. ValueError when there is none, or a window
    of one shift has no sample.
    """
    told = Warnings() if warnings is None else warnings
    paths = sorted(path for path in folder.rglob(f"{TICKS}*") if path.is_file())
    ticks = sorted(
        (tick.recv_ms, tick.stamp_ms, tick.value)
        for path in paths
        for tick in readable(path, told, table(path, told), read_tick)
    )
    exact = {stamp_ms: value for _, stamp_ms, value in ticks}
    board, windows = PriceBoard(params), dict[tuple[int, int], _Window]()
    for recv_ms, stamp_ms, value in ticks:
        board.on_tick(Feed.CHAINLINK, "btcusd", value, stamp_ms, recv_ms)
        for shift_s in shifts_s:
            start_ms = (recv_ms - shift_s * 1000) // WINDOW_MS * WINDOW_MS + shift_s * 1000
            key = (shift_s, start_ms)
            if key not in windows:
                opened, ended = exact.get(start_ms), exact.get(start_ms + WINDOW_MS)
                if opened is None or ended is None:
                    continue
                market = spot_market(f"cut-{start_ms}", start_ms)
                windows[key] = _Window(market, opened, int(ended >= opened), Sampler())
            _look(board, windows[key], recv_ms)
    found = [Cut(shift_s, _rows(windows, shift_s)) for shift_s in shifts_s]
    if not all(one.rows for one in found):
        raise ValueError(f"{folder} holds too few of the oracle's ticks to cut windows out of")
    return found


def _look(board: PriceBoard, window: _Window, now_ms: int) -> None:
    """Sample it, once its strike would have been published."""
    known_ms = window.market.start_ms + KNOWN_AFTER_MS
    if now_ms >= known_ms:
        board.official_strike(window.market, window.strike, known_ms)
        sample(board, window.market, now_ms, window.sampler)


def _rows(windows: dict[tuple[int, int], _Window], shift_s: int) -> list[Row]:
    return [
        Row(one.market.slug, taken, one.up)
        for (shift, _), one in windows.items()
        if shift == shift_s
        for taken in one.sampler.samples
    ]
