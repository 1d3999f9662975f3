"""A day's loss is that day's: the judge sees one that a start forgives, and a halt for another
day's (S12, G25).
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import attrs
import pytest

from polybot.domain.baseline import Baseline
from polybot.lab.simulation_losses import DAY_MS, Losses
from polybot.lab.simulation_rules import Since
from polybot.lab.simulation_worth import Worth
from polybot.risk.limits import RiskParams
from polybot.risk.losses import LossLimits, Standing

MIDNIGHT_S = 20_000 * DAY_MS // 1000
FUNDS = 100_000_000
LIMITS = RiskParams(max_daily_loss_percent=2, max_drawdown_percent=100)


class Wallet:
    """A bot without shares, its limits on losses, and the judge, second by second."""

    def __init__(self, begins_s: int, *, forgives: bool) -> None:
        self.now_s, self.equity, self.forgives = float(begins_s), FUNDS, forgives
        self.written: Baseline | None = None
        self.limits = LossLimits(LIMITS)
        self.halted = False
        self.said: list[str] = []
        clock = SimpleNamespace(now_ms=lambda: int(self.now_s * 1000))
        now_s = lambda: self.now_s  # noqa: E731
        once = lambda rule, _key, _what: self.said.append(rule)  # noqa: E731
        exchange: Any = SimpleNamespace(clock=clock)
        self.judge = Losses(exchange, now_s, once, Since(now_s).lasts)

    def live(self, until_s: int) -> None:
        """Trade until then, or until the limits halt it."""
        while self.now_s < until_s and not self.halted:
            self.now_s += 1
            self.judge.look(self._bot())
            day = f"day {int(self.now_s * 1000) // DAY_MS}"
            verdict = self.limits.look(Standing(day, self.equity, FUNDS))
            turned = self.written is not None and self.written.day != day
            if verdict.write is not None and not (turned and self.forgives):
                self.written = verdict.write
            self.halted = verdict.halt is not None
            if not self.halted:
                self.judge.sent()

    def start_again(self) -> None:
        self.limits = LossLimits(LIMITS, self.written)
        self.judge.another()

    def _bot(self) -> Any:
        ledger = SimpleNamespace(cash=self.equity, equity=self.equity, capital=FUNDS, books={})
        config = SimpleNamespace(risk=LIMITS)
        return SimpleNamespace(
            ctx=SimpleNamespace(account=SimpleNamespace(ledger=ledger), config=config)
        )


@pytest.mark.parametrize(("forgives", "said"), [(False, []), (True, ["S12"])])
def test_a_day_that_is_forgiven_by_a_start(forgives: bool, said: list[str]) -> None:
    """The mark of a new day is not written when it turns: what was lost before a start is none."""
    wallet = Wallet(MIDNIGHT_S - 200, forgives=forgives)
    wallet.live(MIDNIGHT_S + 200)
    wallet.equity -= 1_500_000
    wallet.live(MIDNIGHT_S + 250)
    wallet.start_again()
    wallet.live(MIDNIGHT_S + 300)
    wallet.equity -= 1_500_000
    wallet.live(MIDNIGHT_S + 330)

    assert wallet.halted is not forgives
    assert sorted(set(wallet.said)) == said


def test_what_was_lost_the_day_before_passes_no_limit() -> None:
    """Nor does what is lost while the day turns, by a clock that may be wrong."""
    wallet = Wallet(MIDNIGHT_S - 300, forgives=False)
    for at_s in (-200, 30):
        wallet.live(MIDNIGHT_S + at_s)
        wallet.equity -= 1_500_000
    wallet.live(MIDNIGHT_S + 300)

    assert not wallet.halted
    assert not wallet.said


@attrs.define
class Engine:
    worth: int = FUNDS

    @property
    def accounts(self) -> Any:
        return SimpleNamespace(wallet=lambda _: SimpleNamespace(shares={}))

    def equity(self, _: str) -> int:
        return self.worth


@pytest.mark.parametrize(
    ("lost_at_s", "took", "daily", "over"),
    [
        (-200, 0, True, False),  # the day before
        (-200, 0, False, True),
        (-60, 0, True, True),  # by the bot's clock it may be that day
        (60, 0, True, True),
        (200, 0, True, True),
        (200, 3_000_000, True, False),  # taken out by hand
        (200, 3_000_000, False, False),
    ],
)
def test_a_halt_for_a_day(lost_at_s: int, took: int, *, daily: bool, over: bool) -> None:
    """Three per cent are gone: a loss of that day, of another one, or none."""
    engine, now_s = Engine(), [MIDNIGHT_S - 300]
    clock = SimpleNamespace(now_ms=lambda: now_s[0] * 1000)
    exchange: Any = SimpleNamespace(clock=clock, engine=engine)
    worth = Worth(exchange, "0xwallet")
    while now_s[0] < MIDNIGHT_S + 300:
        now_s[0] += 1
        if now_s[0] == MIDNIGHT_S + lost_at_s:
            engine.worth -= 3_000_000
            worth.took(took)
        worth.look()

    assert worth.lost(3, daily=daily) is over
