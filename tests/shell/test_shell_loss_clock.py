"""How long the loss limits make allowance for prices that are still to come."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from polybot.loss_watch import PRICES_MS, LossWatch
from polybot.risk.limits import RiskParams
from polybot.risk.losses import LossLimits

HOUR_MS = 3_600_000


def test_a_clock_that_is_set_back_puts_no_loss_limit_off() -> None:
    """After the start's allowance a loss halts that shares might make up for; with a clock set back
    by an hour it halted an hour later.
    """
    now_ms, halted = [2 * HOUR_MS], list[object]()
    clock = SimpleNamespace(now_ms=lambda: now_ms[0])
    marks: Any = SimpleNamespace(note=lambda: None, hope=lambda: 1_000, equity=lambda: 1_000)
    health: Any = SimpleNamespace(halt=lambda *what: halted.append(what))
    account: Any = SimpleNamespace(
        ledger=SimpleNamespace(capital=1_000),
        journal=SimpleNamespace(note=lambda _: None),
        day_loss=0,
    )
    limits = LossLimits(RiskParams(max_daily_loss_percent=1), None)
    watch = LossWatch(account, health, clock, marks, limits)  # type: ignore[arg-type]
    watch.look()
    now_ms[0] -= HOUR_MS
    watch.look()
    now_ms[0] += PRICES_MS
    watch.look()
    marks.equity = lambda: 500
    for _ in range(2):
        watch.look()

    assert halted
