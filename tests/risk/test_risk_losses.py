"""Loss limits: what they are measured from, when they halt, and what a restart must be told."""

from __future__ import annotations

import attrs
import pytest
from hypothesis import given, settings, strategies as st

from polybot.domain.baseline import Baseline
from polybot.domain.halts import Halt
from polybot.domain.units import USD
from polybot.risk.limits import RiskParams
from polybot.risk.losses import LossLimits, Standing, Verdict

DAY, NEXT = "2026-11-26", "2026-11-27"
PARAMS = RiskParams()  # 3 % a day, 8 % from the highest (strategy.md 14)


def standing(dollars: float, day: str = DAY, capital: int = 1_000) -> Standing:
    return Standing(day, round(dollars * USD), capital * USD)


def limits(baseline: Baseline | None = None) -> LossLimits:
    return LossLimits(PARAMS, baseline)


def after(made: LossLimits, *looks: Standing) -> Verdict:
    """The last of several looks."""
    return [made.look(one) for one in looks][-1]


def halted(verdict: Verdict) -> Halt | None:
    return verdict.halt[0] if verdict.halt is not None else None


def test_a_day_s_loss_halts_at_its_limit() -> None:
    """Three per cent below the day's start, to the micro-dollar, told with its figures."""
    made = limits()
    just = standing(970.000001)
    assert after(made, standing(1_000), just, just).halt is None
    verdict = after(made, standing(970), standing(970))
    assert verdict.halt == (
        Halt.DAILY_LOSS,
        "30 lost today, from 1000: the limit is 3 %",
    )


def test_one_look_is_not_a_loss() -> None:
    """A fair price that jumps for one tick halts nothing; two looks in a row do."""
    made = limits()
    assert after(made, standing(1_000), standing(900), standing(1_000)).halt is None
    assert halted(after(made, standing(900))) is None
    assert halted(after(made, standing(900))) is Halt.DAILY_LOSS


def test_a_clock_that_is_set_back_forgives_no_day() -> None:
    """Ahead by an hour before midnight it had begun the next day, and set right it began this one
    anew: what had been lost since the morning was forgotten, and the limits full again.
    """
    made = limits()
    after(made, standing(1_000), standing(980), *[standing(980, NEXT)] * 2, standing(979))

    assert made.today(standing(979)) == -21 * USD
    assert halted(after(made, standing(970), standing(970))) is Halt.DAILY_LOSS
    again = after(made, standing(980, NEXT))
    assert made.today(standing(975, NEXT)) == -5 * USD, "nor the next one, when it comes"
    assert again.write is not None

    started = limits(again.write)
    after(started, standing(975))
    assert started.today(standing(975)) == -5 * USD, "a start knows no earlier day than the last"


def test_small_days_add_up_to_a_drawdown() -> None:
    """Two per cent a day passes no daily limit; the fifth day is eight from the highest."""
    made, equity, seen = limits(), 1_000.0, None
    for day in range(6):
        name = f"2026-11-{10 + day}"
        morning = equity
        seen = after(made, standing(morning, name), *[standing(morning - 20, name)] * 2)
        equity -= 20
        if seen.halt is not None:
            break
    assert seen is not None
    assert seen.halt == (
        Halt.DRAWDOWN,
        "80 lost from the highest, 1000: the limit is 8 %",
    )


def test_gains_raise_the_highest() -> None:
    """What was won and given back is a drawdown, though the day may still be even."""
    made = limits()
    assert halted(after(made, standing(1_000), standing(1_200), *[standing(1_100)] * 2)) is (
        Halt.DRAWDOWN
    )


def test_what_has_no_price_yet_moves_no_mark() -> None:
    """Just after a start shares may count as more than they turn out to be worth: to give that back
    is neither a drawdown, nor a loss of a day that begins then, nor one after a re-arming.
    """
    for made in (limits(), limits(Baseline("2026-11-25", *[1_000 * USD] * 3))):
        at_cost = attrs.evolve(standing(1_070), hope=20 * USD)
        assert after(made, *[at_cost] * 3) == Verdict()
        assert made.today(at_cost) == 0
        assert after(made, *[standing(985)] * 2).halt is None
        assert made.today(standing(980)) == -5 * USD


def test_a_loss_that_a_price_may_make_up_for_waits_for_it() -> None:
    """It counts where the shares could not do so by winning, to the micro-dollar."""
    made = limits(Baseline(DAY, 1_000 * USD, 1_000 * USD, 1_000 * USD))
    assert after(made, *[attrs.evolve(standing(960), hope=10_000_001)] * 2).halt is None
    lost = [attrs.evolve(standing(960), hope=10 * USD)] * 2
    assert halted(after(made, *lost)) is Halt.DAILY_LOSS


@pytest.mark.parametrize(
    ("baseline", "equity", "halt"),
    [
        (Baseline("2026-11-25", *[1_000 * USD] * 3), 960, None),  # 4 % since yesterday's morning
        (Baseline("2026-11-25", *[1_000 * USD] * 3), 900, Halt.DRAWDOWN),
        (None, 500, None),
    ],
)
def test_while_prices_are_waited_for_only_marks_that_have_begun_count(
    baseline: Baseline | None, equity: int, halt: Halt | None
) -> None:
    """A start into a new day has the highest of before, and no morning yet; a first one neither."""
    made = limits(baseline)
    assert halted(after(made, *[attrs.evolve(standing(equity), hope=USD)] * 2)) is halt


def test_a_first_look_has_lost_nothing() -> None:
    """What a wallet had lost before the first of all starts, and one that is empty."""
    for equity, capital in ((500, 1_000), (0, 0)):
        assert after(limits(), *[standing(equity, capital=capital)] * 3).halt is None


@pytest.mark.parametrize("brought", [500, -500])
def test_money_brought_or_taken_is_no_result(brought: int) -> None:
    """A deposit hides no loss, a withdrawal makes none; percentages go by what is there now."""
    made = limits()
    moved = standing(1_000 + brought, capital=1_000 + brought)
    assert after(made, standing(1_000), moved, moved).halt is None
    lost = standing((1_000 + brought) * 0.97, capital=1_000 + brought)
    assert halted(after(made, lost, lost)) is Halt.DAILY_LOSS
    assert made.today(lost) == lost.equity - lost.capital


def test_a_baseline_is_written_when_it_is_worth_it() -> None:
    """At the first look, at the turn of a day, and when the peak has grown by a thousandth: not at
    each tick (the journal pays a disk write for each).
    """
    made = limits()
    first = made.look(standing(1_000)).write
    assert first == Baseline(DAY, 1_000 * USD, 1_000 * USD, 1_000 * USD)
    assert after(made, standing(1_000.9), standing(900)).write is None
    grown = made.look(standing(1_001.1)).write
    assert grown == Baseline(DAY, 1_000 * USD, 1_001_100_000, 1_000 * USD)
    turned = made.look(standing(990, NEXT)).write
    assert turned == Baseline(NEXT, 990 * USD, 1_001_100_000, 1_000 * USD)
    assert after(made, *[standing(990, NEXT)] * 100).write is None


def test_a_restart_goes_on_where_it_was() -> None:
    """Stopping and starting is no way round a limit, whatever was deposited meanwhile (S12)."""
    made = limits()
    kept = made.look(standing(1_000)).write
    assert halted(after(limits(kept), *[standing(970)] * 2)) is Halt.DAILY_LOSS
    later = [standing(1_460, capital=1_500)] * 2
    assert limits(kept).look(later[0]).write is None
    assert halted(after(limits(kept), *later)) is None, "40 of 1500 are less than 3 %"
    assert halted(after(limits(kept), *[standing(1_455, capital=1_500)] * 2)) is Halt.DAILY_LOSS


def test_a_hundred_per_cent_is_never() -> None:
    """Who sets no limit has none, short of losing everything."""
    made = LossLimits(RiskParams(max_daily_loss_percent=100, max_drawdown_percent=100))
    assert after(made, standing(1_000), *[standing(0.01)] * 3).halt is None


LOOK = st.tuples(
    st.integers(0, 2),  # the day
    st.integers(0, 2_000_000),  # equity, in thousandths of a dollar
    st.integers(0, 1_500),  # capital
)


@settings(max_examples=300, deadline=None)
@given(st.lists(LOOK, min_size=2, max_size=30), st.integers(1, 29))
def test_a_restart_anywhere_judges_alike(looks: list[tuple[int, int, int]], cut: int) -> None:
    """From what was written, a second run sees the same day's start, and a peak lower by less than
    a thousandth of the highest equity.
    """
    one, kept = limits(), None
    stands = [Standing(f"2026-11-2{d}", e * 1_000, c * USD) for d, e, c in sorted(looks)]
    for now in stands[:cut]:
        kept = one.look(now).write or kept
    again = limits(kept)
    now = stands[min(cut, len(stands)) - 1]
    one.look(now)
    again.look(now)
    assert again.today(now) == one.today(now)
    highest = max(one._peak + stand.capital for stand in stands)
    assert 0 <= one._peak - again._peak <= highest // 1_000 + 1
