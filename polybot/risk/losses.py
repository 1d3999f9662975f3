"""When losses end trading: the day's, and from the highest point (strategy.md 14). Pure.

Equity is marked at fair, for a loss that has not been realised yet is a loss; so is the peak, for
a gain that was given back was had. Money brought in or taken out moves both marks with it. A new
day begins with its own equity, the peak goes on from day to day: ten days of two per cent each are
a drawdown that no daily limit sees. Both start anew when an operator has re-armed after either. A
clock that is set back goes back to the mark of the day before, and begins none: it forgives no
loss.

A limit counts when it is passed at two looks in a row: a fair price that jumps for one tick is not
a loss, and the halt is for good. A baseline is worth writing at the turn of a day and when the peak
has grown by a thousandth of itself: a restart loses less than that of it, and a good hour does
not fill the journal.

Just after a start, shares may count as their cost that have a price in a moment: until then no mark
moves or begins, and a loss counts only if they could not make up for it by winning.
"""

from __future__ import annotations

import attrs

from polybot.domain.baseline import Baseline
from polybot.domain.halts import Halt
from polybot.domain.units import amount_text
from polybot.risk.limits import RiskParams

PEAK_STEP = 1_000  # a peak is written when this part of it has been added


@attrs.frozen
class Standing:
    """The wallet at one look: its UTC day, equity at fair and capital brought in, 10⁻⁶ dollars.
    `hope`: what shares whose price is still to come may be worth beyond the cost they count as.
    """

    day: str
    equity: int
    capital: int
    hope: int = 0


@attrs.frozen
class Verdict:
    """`write` is a baseline to be kept; `halt` with its words, when a limit has been passed."""

    write: Baseline | None = None
    halt: tuple[Halt, str] | None = None


@attrs.define(eq=False)
class LossLimits:
    """Judges look by look. All marks are kept as profit, equity less capital, so that money brought
    in or taken out moves nothing. `baseline`: where the last run ended, None for a fresh start.
    """

    params: RiskParams
    baseline: Baseline | None = None
    _day: str = ""
    _start: int = 0
    _before: tuple[str, int] = ("", 0)  # the day that was told before this one, and its start
    _peak: int = 0
    _written: int = 0  # the peak as it was last written
    _passed: Halt | None = None  # at the last look

    def __attrs_post_init__(self) -> None:
        base = self.baseline
        if base is not None:
            self._day, self._start = base.day, base.equity - base.capital
            self._peak = self._written = base.peak - base.capital

    def look(self, now: Standing) -> Verdict:
        """Judge the wallet as it stands; also says what is to be written."""
        write = None if now.hope else self._moved(now)
        passed = self._breach(now)
        again = passed is not None and passed[0] is self._passed
        self._passed = passed[0] if passed is not None else None
        return Verdict(write, passed if again else None)

    def today(self, now: Standing) -> int:
        """The day's profit, realised or not; negative is a loss. Nought while its mark waits."""
        return now.equity - now.capital - self._start if now.day == self._day else 0

    def _moved(self, now: Standing) -> Baseline | None:
        """Bring the marks up to this look; the baseline, if it is worth writing."""
        profit, fresh, turned = now.equity - now.capital, not self._day, now.day != self._day
        if turned:
            start = self._started(now.day, profit)
            self._before, self._day, self._start = (self._day, self._start), now.day, start
        self._peak = profit if fresh else max(self._peak, profit)
        if not turned and (self._peak - self._written) * PEAK_STEP < self._peak + now.capital:
            return None
        self._written, brought = self._peak, now.capital
        return Baseline(self._day, self._start + brought, self._peak + brought, brought)

    def _started(self, day: str, profit: int) -> int:
        """The mark of a day that begins with this profit, or that the clock has gone back to."""
        known, start = self._before
        if day == known:
            return start
        return profit if day > self._day else self._start

    def _breach(self, now: Standing) -> tuple[Halt, str] | None:
        marks = (
            (Halt.DAILY_LOSS, self.params.max_daily_loss_percent, self._start, "today, from"),
            (Halt.DRAWDOWN, self.params.max_drawdown_percent, self._peak, "from the highest,"),
        )
        first = 0 if now.day == self._day else 1 if self._day else 2  # of those that have begun
        for halt, percent, mark, words in marks[first:]:
            begun = mark + now.capital
            lost = begun - now.equity
            if lost > 0 and (lost - now.hope) * 100 >= percent * begun:
                what = f"{amount_text(lost)} lost {words} {amount_text(begun)}"
                return halt, f"{what}: the limit is {percent} %"
        return None
