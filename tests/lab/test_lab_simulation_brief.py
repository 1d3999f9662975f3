"""Two hundred seeds, each lived twice and decided once more: the same to the last byte (S21)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import attrs
import pytest
from simulation_kit import sound

from polybot.lab.simulation_brief import BRIEF_S, brief
from polybot.lab.simulation_case import Case, End
from polybot.lab.simulation_draw import draw
from polybot.lab.simulation_keep import Keep
from polybot.lab.simulation_settings import Means, Setting
from polybot.lab.soak import Found, Task, line, live, main

SEEDS, TOGETHER = 200, 5
# Beyond those, what once broke a rule or two, all with the usual settings, wallet and venue
# (docs/reliability.md says why).
AS_THEN = Keep(
    settings=False,
    means=False,
    terms=False,
    regime=False,
    amnesia=False,
    emptied=False,
    certify=False,
    silence=False,
    node=False,
    listing=False,
    bar=False,
    revoked=False,
    pace=False,
    haste=False,
    soon=False,
    edits=False,
    date=False,
    money=False,
    index=False,
    dark=False,
    trips=False,
    stands=False,
    lag=False,
)
FOUND = (239, 312, 322, 367, 523, 986, 1242, 1281, 2314, 2681, 3776, 4159)
# And with all that was drawn since.
LATER = Keep(dark=False, trips=False, stands=False)
SINCE = (
    1425, 1786, 3569, 4205, 4338, 4430, 4841, 5197, 5546, 5690, 7403, 8659, 8903, 8986, 9102, 9646,
    10473, 10596, 11843, 12243, 12695, 12732, 14727,
)  # fmt: skip
# And with dark networks, and connections that take their time.
DARK = Keep(stands=False)
NEWEST = (25, 17926, 19142)
# Beyond them 20480, where a killed life had decided on the tape of the life after it.
LOTS = [range(first, first + TOGETHER) for first in (*range(1, SEEDS + 1, TOGETHER), 20480)]


@pytest.mark.parametrize("seeds", LOTS, ids=lambda seeds: f"{seeds[0]} to {seeds[-1]}")
def test_a_seed_is_the_same_twice(seeds: Sequence[int]) -> None:
    """Whatever it draws: venue, links, disks, clock, signals, deaths. No rule is broken, either."""
    found = [live(Task(seed, 0.0, brief=True)) for seed in seeds]

    assert not [line(one) for one in found if not one.sound]
    assert any(one.outcome.seen.get("PLACEMENT") for one in found)


@pytest.mark.parametrize("seed", [*FOUND, *SINCE, *NEWEST])
def test_what_once_broke_a_rule_breaks_none(seed: int) -> None:
    """Once: that a life is the same twice is shown by the others."""
    keep = AS_THEN if seed in FOUND else LATER if seed in SINCE else DARK
    found = live(Task(seed, 0.0, keep, twice=False, brief=True))

    assert found.sound, line(found)


# And what did with settings and money of its own, as it had them then.
SPLITTING = (
    ("quote", "target_total_max", 0.95), ("completion", "high_from", 0.3),
    ("risk", "max_position_usd_per_token", 30), ("quote", "pair_apart", 0.01),
    ("quote", "levels", 3), ("risk", "max_market_loss_percent", 10), ("risk", "repeat_most", 5),
    ("inventory", "seed_shares", 20), ("pricing", "jumps_per_hour", 6.0),
    ("quote", "size_floor", 1.0), ("quote", "pair_late", 0.02),
)  # fmt: skip
GROWING = (
    ("quote", "size_floor", 1.0), ("completion", "slice_fraction", 1.0),
    ("inventory", "submits_per_minute", 3), ("pricing", "jumps_per_hour", 6.0),
    ("quote", "size_growth", 1.5), ("quote", "levels", 3), ("inventory", "merge_shares", 5),
    ("rewards", "enabled", False), ("orders", "hysteresis_ticks", 3),
)  # fmt: skip
DYING = (
    ("pricing", "strike_pause_s", 0.0), ("orders", "orders_per_s", 5), ("risk", "repeat_most", 0),
    ("quote", "target_total_max", 0.999), ("inventory", "seed_shares", 20),
    ("quote", "sell_held", "never"), ("quote", "preopen_s", 15.0),
    ("inventory", "merge_shares", 1000), ("signals", "earn_calls", 0.0),
    ("orders", "hysteresis_ticks", 0), ("pricing", "oracle_stale_s", 1.5),
)  # fmt: skip


@pytest.mark.parametrize(
    ("seed", "settings", "means"),
    [
        (620, SPLITTING, Means(3, 120_000_000)),
        (1929, GROWING, Means()),
        (2306, DYING, Means()),
        (1846, (), Means(0, 120_000_000)),
    ],
)
def test_what_others_settings_found(seed: int, settings: tuple[Setting, ...], means: Means) -> None:
    """A split that spends what bids are for (620); three of the simulation's own faults."""
    case = attrs.evolve(AS_THEN.of(brief(seed)), settings=settings, means=means)

    assert sound(case).seconds > 0


def kinds(case: Case) -> Counter[str]:
    """What a case has in it."""
    return Counter(
        [f"life {life.end.value}" for life in case.lives]
        + [f"link {trouble.harm.value}" for trouble in case.troubles]
        + [f"disk {trouble.ail.value}" for trouble in case.disks]
        + ["clock"] * len(case.clock.steps)
        + ["foreign"] * (case.foreign_s is not None)
        + ["engine"] * (case.engine is not None)
        + ["strikes"] * (case.strikes is not None)
        + ["silence"] * (case.silence is not None)
        + ["node"] * (case.node is not None)
        + ["listing"] * (case.listing is not None)
        + ["bar"] * (case.bar is not None)
        + ["revoked"] * (case.revoked is not None)
        + ["pace"] * (case.pace_ms > 0)
        + ["emptied"] * any(life.emptied for life in case.lives)
        + ["edited"] * any(life.edited for life in case.lives)
        + ["hasty"] * any(life.haste_s for life in case.lives)
        + ["by hand"] * any(life.by_hand for life in case.lives)
        + ["money"] * bool(case.sent)
        + ["index"] * bool(case.index)
        + ["dark"] * bool(case.dark)
        + [f"{case.trips} trips"]
        + ["lag"] * bool(case.lag)
        + [case.date.moment if case.date is not None else "usual date"]
        + ["again"] * (len(case.lives) > 1)
    )


def test_everything_is_drawn_by_some() -> None:
    """The same things as in hours: none is too rare for seconds, and all come in time."""
    cases = [brief(seed) for seed in range(1, SEEDS + 1)]
    hours = sum((kinds(draw(seed, 1.0)) for seed in range(1, SEEDS + 1)), Counter[str]())

    assert sum(map(kinds, cases), Counter[str]()).keys() == hours.keys()
    for case in cases:
        times = [one.at_s for one in case.troubles]
        times += [one.at_s for one in case.disks] + [one.at_s for one in case.clock.steps]
        assert all(0 < at_s < BRIEF_S for at_s in times), case.text()
        assert sum(life.lasts_s + life.down_s for life in case.lives) < 2 * BRIEF_S, case.text()
        assert case.lives[-1].end is End.STOP


def test_the_command_that_repeats_it(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A seed that is not the same twice is told with what lives it again."""

    def another_each_time(task: Task) -> Found:
        return attrs.evolve(live(task), differs=True)

    monkeypatch.setattr("polybot.lab.soak.live", another_each_time)
    monkeypatch.setattr("polybot.lab.soak.each_of", map)

    assert main(["--seeds", "6", "--brief"]) == 1
    said = capsys.readouterr().out
    assert "the second run differed: python -m polybot soak --seeds 6 --brief\n" in said
