"""Whether a loss limit that has been passed ends trading until an operator has looked (S12).

The limits go by fair prices, and nobody outside can say whether those are right. So a limit counts
as passed here only where no price could make up for it: the highest that the wallet was surely
worth against the most that it may be worth now, every open share at a dollar or at its cost.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable

import attrs

from polybot.app import Bot
from polybot.domain.ledger import Ledger
from polybot.exchange.server import Exchange

HALTED_WITHIN_S = 5.0  # two looks a second apart, and what was on its way
SEEN_S = 2.5  # what does not last so long the bot may not have seen
DAY_MS = 86_400_000
TURNS_MS = 95_000  # within so long of the venue's midnight a wrong clock comes to its own
MARKED_S = 35.0  # a start waits for prices, and then begins the mark of a day that it has not seen
SLACK = 5  # thousandths: the highest is written when it has grown by one of them


@attrs.define(eq=False)
class Losses:
    """`once` tells of a breach by rule, key and text, `lasts` how long something has been so."""

    exchange: Exchange
    now_s: Callable[[], float]
    once: Callable[[str, str, str], None]
    lasts: Callable[[str, bool], float]
    passed_s: float = 0.0  # for how long a limit has been passed
    _seen: deque[tuple[float, int]] = attrs.field(factory=deque)  # profit, of the last seconds
    _peak: int | None = None  # profit, and so is `_start`
    _start: int | None = None
    _day: int = 0  # of the venue's
    _marked: bool = True  # the day's mark stands, whoever lives
    _awake_s: float = math.inf  # since when somebody lives who may mark it

    def forget(self) -> None:
        """An operator has re-armed, or the journal is lost: marks begin anew."""
        self._seen.clear()
        self._peak, self._start, self.passed_s = None, None, 0.0

    def look(self, bot: Bot) -> None:
        """To be called a few times a second."""
        ledger, risk = bot.ctx.account.ledger, bot.ctx.config.risk
        self._mark(ledger.equity - ledger.capital)
        today = self._start if self._marked and self._day == self._today() else None
        marks = ((risk.max_daily_loss_percent, today), (risk.max_drawdown_percent, self._peak))
        best, brought = _best(ledger), ledger.capital
        passed = any(
            (mark + brought - best) * 1000 >= (percent * 10 + SLACK) * (mark + brought)
            for percent, mark in marks
            if mark is not None
        )
        self.passed_s = self.lasts("loss", passed)

    def _today(self) -> int:
        return self.exchange.clock.now_ms() // DAY_MS

    def _mark(self, profit: int) -> None:
        now_s = self.now_s()
        if self._start is None:
            self._start, self._day, self._marked = profit, self._today(), True
        self._turn(profit)
        self._seen.append((now_s, profit))
        if now_s - self._seen[0][0] >= SEEN_S:
            lasting = min(profit for _, profit in self._seen)
            self._peak = lasting if self._peak is None else max(self._peak, lasting)
            self._seen.popleft()

    def _turn(self, profit: int) -> None:
        """A day that began later: its mark is no less than the least of the time in which the bot
        makes it, and stands over a restart then.
        """
        now_ms, now_s = self.exchange.clock.now_ms(), self.now_s()
        day = (now_ms + TURNS_MS) // DAY_MS
        if day != self._day:
            self._day, self._start, self._marked = day, profit, False
        self._awake_s = min(self._awake_s, now_s)
        if not self._marked and self._start is not None:
            self._start = min(self._start, profit)
            turned = (now_ms - TURNS_MS) // DAY_MS == day
            self._marked = turned and now_s - self._awake_s >= MARKED_S

    def another(self) -> None:
        """Another bot lives."""
        self.passed_s, self._awake_s = 0.0, math.inf

    def sent(self) -> None:
        """An order leaves."""
        if self.passed_s > HALTED_WITHIN_S:
            self.once(
                "S12", "loss", f"an order {self.passed_s:.1f} s after a loss limit was passed"
            )


def _best(ledger: Ledger) -> int:
    """The most that the wallet may be worth, 10⁻⁶ dollars."""
    total = ledger.cash
    for books in ledger.books.values():
        held = books.holdings()
        open_ = books.up_payout is None
        total += max(held.up, held.down, held.cost) if open_ else books.worst_value
    return total
