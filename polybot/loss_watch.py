"""The loss limits at work: a look every second, the baseline in the journal, a halt for good."""

from __future__ import annotations

from datetime import UTC, datetime

import attrs
import trio

from polybot.account import Account
from polybot.clock import Clock
from polybot.domain.baseline import Baseline
from polybot.health import Health
from polybot.marks import Marks
from polybot.risk.limits import RiskParams
from polybot.risk.losses import LossLimits, Standing

LOOK_S = 1.0
# A start has its first prices within some seconds. A halt is for good, so that until then only a
# loss counts that no price can undo; a feed that is down must not put the stops off any longer.
PRICES_MS = 30_000


@attrs.define(eq=False)
class LossWatch:
    """Reads the ledger, never writes it, and tells the account the day's loss, by which the limits
    on new orders shrink. `limits` begins where the journal's last run ended.
    """

    account: Account
    health: Health
    clock: Clock
    marks: Marks
    limits: LossLimits
    _prices_ms: int | None = None  # from when on what has no price counts as its cost for good

    @classmethod
    def of(
        cls, account: Account, marks: Marks, params: RiskParams, baseline: Baseline | None
    ) -> LossWatch:
        return cls(account, account.health, account.clock, marks, LossLimits(params, baseline))

    async def run(self) -> None:
        while True:
            self.look()
            await trio.sleep(LOOK_S)

    def look(self) -> None:
        """Judge the wallet as it stands now; a plain call, for a start does so before it quotes."""
        self.marks.note()
        now_ms = self.clock.now_ms()
        # A clock that is set back makes the allowance no longer than it is at a start.
        until_ms = now_ms + PRICES_MS
        self._prices_ms = until_ms if self._prices_ms is None else min(self._prices_ms, until_ms)
        now = self.standing(self.marks.hope() if now_ms < self._prices_ms else 0)
        verdict = self.limits.look(now)
        self.account.day_loss = max(0, -self.limits.today(now))
        if verdict.write is not None:
            self.account.journal.note(verdict.write)
        if verdict.halt is not None:
            self.health.halt(*verdict.halt)

    def today(self) -> int | None:
        """The day's profit so far, 10⁻⁶ dollars; None while something held has no value yet."""
        known = self.marks.unrealised() is not None
        return self.limits.today(self.standing()) if known else None

    def standing(self, hope: int = 0) -> Standing:
        """The wallet as it stands."""
        now_s = self.clock.now_ms() // 1000
        day = datetime.fromtimestamp(now_s, UTC).date().isoformat()
        return Standing(day, self.marks.equity(), self.account.ledger.capital, hope)
