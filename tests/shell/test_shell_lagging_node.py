"""Receipts and balances that are not of the same moment: a public node is many, and one lags."""

from __future__ import annotations

from collections.abc import Iterator
from unittest import mock

import attrs
import pytest
from shell_kit import clean, playing
from test_shell_inventory import FEW, merged_there, merging, moved, steps

from polybot.domain.market import Market
from polybot.domain.orders import Failure
from polybot.exchange.engine import Engine
from polybot.patient_clock import PatientClock
from polybot.venue.chain import Chain

LAG_MS = 20_000


@attrs.define
class Lag:
    """What a node does not know of yet: merges of the last twenty seconds."""

    merges: list[tuple[int, str, int]] = attrs.field(factory=list)
    asked_late: int = 0

    def of(self, condition_id: str, now_ms: int) -> int:
        late = sum(
            shares
            for at_ms, market, shares in self.merges
            if market == condition_id and now_ms < at_ms + LAG_MS
        )
        self.asked_late += bool(late)
        return late


@pytest.fixture
def lag(monkeypatch: pytest.MonkeyPatch) -> Lag:
    """Balances are those of a node that lags, receipts those of one that does not."""
    made, merge, shares = Lag(), Engine.merge, Chain.shares

    def merged(engine: Engine, account: str, market: object, amount: int, at_ms: int) -> object:
        made.merges.append((at_ms, market.condition_id, amount))  # type: ignore[attr-defined]
        return merge(engine, account, market, amount, at_ms)  # type: ignore[arg-type]

    async def old(chain: Chain, market: Market) -> tuple[int, int] | Failure:
        found = await shares(chain, market)
        late = made.of(market.condition_id, chain.rest.clock.now_ms())
        return found if isinstance(found, Failure) else (found[0] + late, found[1] + late)

    monkeypatch.setattr(Engine, "merge", merged)
    monkeypatch.setattr(Chain, "shares", old)
    return made


async def test_a_node_behind_its_receipts(lag: Lag, fast_clock: PatientClock) -> None:
    """The receipt says that pairs were merged, and another node still shows them: it is waited for,
    nothing is asked for twice, and the books are the venue's (it was called a failure, and merged
    again).
    """
    async with playing(config=FEW) as it:
        condition = await merging(it, 5)
        await it.idle()
        await it.until(lambda: merged_there(it, condition), "the merge is known", 200)
        told = steps(it)
        report = await it.end()

    assert lag.asked_late > 1
    assert told[:3] == [("merge", "asked"), ("merge", "sent"), ("merge", "done")]
    assert ("merge", "failed") not in told
    clean(report)


@pytest.fixture
def short() -> Iterator[None]:
    """What is waited for in a minute comes sooner."""
    with mock.patch("polybot.in_flight.LAGS_S", 10.0):
        yield


async def test_a_call_that_failed_inside_one_that_did_not(
    short: None, fast_clock: PatientClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The wallet's transaction has succeeded around a merge that has not: no node will ever show
    it, which is a failure, and another is asked for.
    """
    async with playing(config=FEW) as it:
        with monkeypatch.context() as bent:
            bent.setattr(Engine, "merge", lambda *_: 0)
            condition = await merging(it, 5)
            await it.idle()
            await it.until(lambda: ("merge", "failed") in steps(it), "a failure", 200)
        why = next(entry.evidence for entry in moved(it) if entry.step == "failed")
        await it.until(lambda: merged_there(it, condition), "the merge", 300)
        report = await it.end()

    assert "moved nothing" in why
    clean(report)
