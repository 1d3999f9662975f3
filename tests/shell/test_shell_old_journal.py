"""A copy of an old journal, put back: what was traded since is in no book of it."""

from __future__ import annotations

import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import trio
from desk_kit import MARKET
from shell_kit import HOUR_MS, Scene
from test_shell_restart import killed, started
from test_shell_right_time import off_by, watched
from test_shell_turns import PAIRS, Wallet

from polybot.domain.halts import Halt
from polybot.domain.market import Side
from polybot.domain.orders import FillLeg, TradeSeen, TradeStatus
from polybot.exchange.model import Market as Listed
from polybot.journal.entries import Session
from polybot.journal.recovery import recover
from polybot.journal.store import Stamped
from polybot.patient_clock import PatientClock
from polybot.reconciler import UNPLACED_AT_ONCE

LATE_MS = HOUR_MS + 200_000
LEFT_S = HOUR_MS // 1000


def copied(it: Scene) -> Path:
    """The journal as it lies on the disk now."""
    copy = it.journal.with_name("copy")
    for tail in ("", "-wal"):
        shutil.copyfile(f"{it.journal}{tail}", f"{copy}{tail}")
    return copy


def paired(it: Scene, market: Listed) -> int:
    """Shares of it that the wallet has of both outcomes."""
    accounts = it.venue.engine.accounts
    return min(accounts.shares(it.venue.account, token) for token in market.tokens)


@pytest.mark.parametrize("old", [True, False], ids=["an old copy", "its own"])
async def test_a_copy_of_before_what_was_traded(old: bool, fast_clock: PatientClock) -> None:
    """An order that no journal has written down was filled after the last entry of this one, in a
    window that it does not know. It traded on without those shares, and without any halt that had
    come since; now it halts by the venue's word, before it places anything. What its books lack of
    the exchange's is then what the pairs of that window are worth, to the micro-dollar.
    """
    async with started(at_ms=LATE_MS) as it:
        first, copy = it.market, copied(it)
        await it.until(lambda: it.market is not first, "the window is over", 120)
        await it.quoting()
        while not paired(it, it.market):
            await it.filled()
        unknown = it.market
        async with killed(it, copy if old else it.journal) as again:
            after = len(again.venue.seen)
            if old:
                await again.until(lambda: again.bot.ctx.health.halted, "it halts", 90)
                assert [*again.bot.ctx.health.halted] == [Halt.FOREIGN_ORDERS.value]
                assert "it may be an old copy" in (again.gate or "")
                assert again.venue.placed(after=after) == []
            else:
                await again.quoting()
            summary = await again.end()
            assert summary.equity_bot is not None
            assert summary.equity_exchange is not None
            missed = summary.equity_exchange - summary.equity_bot
            assert missed == (paired(again, unknown) if old else 0)
            assert summary.live_orders_at_exit == 0


@pytest.mark.parametrize(
    ("matched_s", "counts"),
    [(LEFT_S - 1, False), (LEFT_S, True), (0, False)],
    ids=["of before it was left", "of since", "of no time"],
)
async def test_only_what_is_of_later_is_looked_into(matched_s: int, *, counts: bool) -> None:
    """What was traded before may be of a window that the journal has settled and forgotten; when a
    row without a time of its match was, nobody knows, and it is told now.
    """
    wallet = Wallet()
    wallet.disk.answers.set()
    account, leg = wallet.account, FillLeg("0x1", MARKET.up_token, Side.BUY, 5_000, PAIRS, True)
    account.left_ms, account.began_ms = LEFT_S * 1000, (LEFT_S + 600) * 1000
    status, told_ms = TradeStatus.CONFIRMED, (LEFT_S + 60) * 1000

    await account.learn_of(
        [TradeSeen("t", "0xelsewhere", status, (leg,), told_ms, matched_s=matched_s)]
    )

    assert bool(account.unplaced) == counts


def test_a_clock_that_was_behind_at_the_end_leaves_it_no_earlier() -> None:
    """What the journal has settled by then would be taken for somebody else's."""
    entries = [Session("start", "1", ""), Session("end", "1", "")]
    found = recover(
        Stamped(number, at_ms, entry)
        for number, (at_ms, entry) in enumerate(zip((9_000, 5_000), entries, strict=True))
    )

    assert (found.last_ms, found.latest_ms) == (5_000, 9_000)


class Listing:
    """Every order that is asked for is one of our key's."""

    def __init__(self, known: bool) -> None:
        self.known, self.asked = known, 0

    async def order(self, order_id: str) -> Any:
        await trio.lowlevel.checkpoint()
        self.asked += 1
        return SimpleNamespace(condition_id="0xelsewhere") if self.known else None


@pytest.mark.parametrize("known", [True, False])
async def test_an_old_copy_asks_for_a_few(known: bool) -> None:
    """Of the thousands that it has missed; one proof is enough."""
    venue: Any = Listing(known)
    account, reconciler = watched(venue, off_by(0))
    account._suspect(*(f"0x{number}" for number in range(1_000)))

    await reconciler._judge_unplaced()

    assert venue.asked == (1 if known else UNPLACED_AT_ONCE)
    assert len(account.unplaced) == (0 if known else 1_000 - UNPLACED_AT_ONCE)
    assert [*account.health.halted] == [Halt.FOREIGN_ORDERS.value] * known
