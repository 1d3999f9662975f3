"""A window that ends in trouble gets no scope any more: there is nothing left to begin."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import trio
from desk_kit import MARKET
from shell_kit import shell_config
from trio.testing import MockClock

from polybot.clock import Clock
from polybot.execution.firewall import Admission
from polybot.health import Health
from polybot.market_scope import Ended, MarketScope
from polybot.records import Records
from polybot.supervisor import Supervisor


@pytest.mark.parametrize(("well_ms", "scopes"), [(None, 0), (-10_000, 1)])
async def test_no_scope_begins_behind_its_window(
    well_ms: int | None,
    scopes: int,
    autojump_clock: MockClock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It ended at once, by the same trouble, and had to prove again what the one before had proven:
    where the venue could not be read, the heart fell silent for orders that did not exist.
    """
    clock = Clock.starting_at(MARKET.end_ms - 60_000)
    health, begun = Health(Admission()), list[int]()
    health.bad("user stream", "closed")

    async def run(_: MarketScope) -> Ended:
        begun.append(clock.now_ms())
        await clock.sleep_until(MARKET.end_ms)
        return Ended.CLOSED

    monkeypatch.setattr(MarketScope, "__attrs_post_init__", lambda _: None)
    monkeypatch.setattr(MarketScope, "run", run)
    ledger = SimpleNamespace(books={MARKET.condition_id: None})
    context: Any = SimpleNamespace(
        clock=clock, health=health, records=Records(), config=shell_config(),
        account=SimpleNamespace(ledger=ledger),
    )  # fmt: skip
    inventory: Any = SimpleNamespace(watch=lambda _: None)
    discovery: Any = None
    it = Supervisor(context, discovery, inventory)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(it._keep, MARKET)
        if well_ms is not None:
            await clock.sleep_until(MARKET.end_ms + well_ms)
            health.good("user stream")

    assert len(begun) == scopes
    assert it.scopes == {}
