"""The time in which a window should have been quoted counts from its start, whoever is late."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import trio
from desk_kit import MARKET
from shell_kit import shell_config
from trio.testing import MockClock

from polybot.clock import Clock
from polybot.domain.market import Market
from polybot.quoting.tally import NOBODY
from polybot.records import Records
from polybot.supervisor import Supervisor
from polybot.venue.slugs import window_at

LATE_MS = 60_000


class Discovery:
    """Gamma tells of the window a minute after its start."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock

    async def wait(self, _series: str, start_ms: int) -> Market:
        await self.clock.sleep_until(start_ms + LATE_MS)
        return MARKET


def supervisor(clock: Clock) -> Supervisor:
    context: Any = SimpleNamespace(clock=clock, records=Records(), config=shell_config())
    discovery: Any = Discovery(clock)
    nothing: Any = None
    return Supervisor(context, discovery, nothing)


@pytest.mark.parametrize("skipped", [True, False])
async def test_a_window_that_is_described_late_counts_from_its_start(
    skipped: bool, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The minute in which nobody quoted it was no time at all, and of a window that was skipped
    for shares of somebody else's none was: the share of the time that was quoted read 100 %.
    """
    clock = Clock.starting_at(MARKET.start_ms - 15_000)
    it = supervisor(clock)
    kept: list[Market] = []

    async def is_empty(_: Supervisor, _market: Market) -> bool:
        await trio.lowlevel.checkpoint()
        return not skipped

    async def keep(_: Supervisor, market: Market) -> None:
        await trio.lowlevel.checkpoint()
        kept.append(market)

    monkeypatch.setattr(Supervisor, "_is_empty", is_empty)
    monkeypatch.setattr(Supervisor, "_keep", keep)
    await it._run_window(MARKET.series, window_at(MARKET.series, MARKET.start_ms))

    assert kept == ([] if skipped else [MARKET])
    record, now_ms = it.ctx.records.of(MARKET), clock.now_ms()
    assert now_ms >= MARKET.start_ms + LATE_MS
    assert record.quotable_ms(now_ms) == now_ms - MARKET.start_ms
    assert it.ctx.records.reasons(now_ms)["Up"][NOBODY].withheld == 1


async def test_what_was_before_we_began_does_not_count(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run that begins under way owes what is left of the window."""
    clock = Clock.starting_at(MARKET.start_ms + 20_000)
    it = supervisor(clock)

    async def skip(_: Supervisor, _market: Market) -> bool:
        await trio.lowlevel.checkpoint()
        return False

    monkeypatch.setattr(Supervisor, "_is_empty", skip)
    await it._run_window(MARKET.series, window_at(MARKET.series, MARKET.start_ms))
    assert it.ctx.records.of(MARKET).quotable_from_ms == MARKET.start_ms + 20_000
