"""What else is drawn finds a bug as well: a key that is refused, a strike that is put right, trades
that are listed late.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from unittest import mock

import attrs
import pytest
import trio
from simulation_kit import all_of, broken, calm, sound

from polybot import restart
from polybot.account import IDENTITY
from polybot.lab.simulation import simulate
from polybot.lab.simulation_bars import Bars
from polybot.lab.simulation_case import Case, End, Life, StrikeTerms
from polybot.lab.simulation_plan import Spell
from polybot.pricing.strikes import Key, StrikeCorrection, Strikes
from polybot.reconciler import Reconciler


def shrugging_at_refusals() -> Any:
    """S12: who is refused tries again, for ever."""

    async def judging(self: Reconciler) -> None:
        await trio.lowlevel.checkpoint()
        self.account.refusal = ""
        self.health.good(IDENTITY)

    return mock.patch.object(Reconciler, "_judge_refusal", judging)


def refused(_: Case) -> Case:
    bar = Spell("unauthorized", 10.0, 60.0, 9_000.0)
    return attrs.evolve(calm(length_s=62.0), quiet_s=0.0, bar=bar)


def the_first_word_counts() -> Any:
    """S14: the venue's price to beat is asked for once."""
    official, told = Strikes.official, set[Key]()

    def once(self: Strikes, key: Key, value: float, recv_ms: int) -> StrikeCorrection | None:
        known = key in told
        told.add(key)
        return None if known else official(self, key, value, recv_ms)

    return mock.patch.object(Strikes, "official", once)


def put_right(_: Case) -> Case:
    """In the first minutes of a window."""
    strikes = StrikeTerms(20, 10.0)
    return attrs.evolve(calm(length_s=110.0), quiet_s=0.0, later_s=260, strikes=strikes)


def waiting_for_no_list() -> Any:
    """G25: a start compares balances with the trades of now."""
    return all_of(*(mock.patch.object(restart, name, 0.0) for name in ("LISTED_S", "AGREE_S")))


def listed_late(_: Case) -> Case:
    late = Spell("trades_lag", 5.0, 90.0, 1_000.0, {"lag_ms": (30_000, 30_000)})
    two = Life(20.0, End.KILL, 3.0), Life(14.0, End.STOP, 0.0)
    return attrs.evolve(calm(length_s=30.0), quiet_s=0.0, lives=two, listing=late)


BUGS: list[tuple[Callable[[], Any], Callable[[Case], Case], set[str]]] = [
    (shrugging_at_refusals, refused, {"S12"}),
    (the_first_word_counts, put_right, {"S14"}),
    (waiting_for_no_list, listed_late, {"G25"}),
]


@pytest.mark.parametrize(("bug", "with_", "rules"), BUGS, ids=[bug.__name__ for bug, _, _ in BUGS])
def test_a_planted_bug_is_found(
    bug: Callable[[], Any], with_: Callable[[Case], Case], rules: set[str]
) -> None:
    """By its rules, and by no other."""
    with bug():
        found = simulate(with_(calm()))

    told = "; ".join(map(str, found.violations)) or "nothing was found"
    assert broken(found), told
    assert broken(found) <= rules, told


@pytest.mark.parametrize("with_", [with_ for _, with_, _ in BUGS])
def test_as_we_are(with_: Callable[[Case], Case]) -> None:
    """The same lives without a bug break no rule."""
    sound(with_(calm()))


class Judged:
    """What is judged of answers, one a second, by the clock of a bot that is so far off."""

    def __init__(self, ahead_ms: float = 0.0) -> None:
        self.now_s = 0.0
        self.said: list[str] = []
        once = lambda rule, _key, _what: self.said.append(rule)  # noqa: E731
        self.bars = Bars(lambda: self.now_s, lambda: ahead_ms, once)

    def hear(self, seconds: int, *answers: bytes, halted: bool = False) -> None:
        bot: Any = self
        self.halted = {"": ""} if halted else {}
        for _ in range(seconds):
            self.now_s += 1
            for answer in answers:
                self.bars.heard("rest clob", answer + b"\n{}")
            self.bars.look(bot)

    @property
    def ctx(self) -> Any:
        return type("Ctx", (), {"health": self})


TIME, NO, YES = b"200 GET /time", b"401 GET /data/orders", b"200 GET /data/orders"


@pytest.mark.parametrize(
    ("ahead_ms", "answers", "halted", "said"),
    [
        (0.0, (TIME, NO), False, True),
        (0.0, (TIME, NO), True, False),
        (0.0, (TIME, NO, YES), False, False),
        (0.0, (NO,), False, False),  # without the time nobody knows why
        (0.0, (TIME,), False, False),
        (1_000.0, (TIME, NO), False, False),  # for its clock
    ],
)
def test_who_is_refused(
    ahead_ms: float, answers: tuple[bytes, ...], *, halted: bool, said: bool
) -> None:
    """For a minute, while the clock is right and nothing signed is taken."""
    judged = Judged(ahead_ms)
    judged.hear(1, *answers)
    judged.hear(60, *answers, halted=halted)

    assert bool(judged.said) is said
