"""Starts that try the venue's dead-man switch first, as a live one does."""

from __future__ import annotations

from unittest import mock

import attrs
from simulation_kit import broken, calm, sound

from polybot.exchange.faults.plan import Entry, Plan
from polybot.lab.simulation import simulate
from polybot.lab.simulation_case import Case, End, Life
from polybot.lab.simulation_draw import draw
from polybot.lab.simulation_keep import Keep
from polybot.lab.simulation_reach import JOURNAL_LOST, TRIED, UNTRIED
from polybot.restart import StartFailed
from polybot.supervisor import Supervisor


def trying(*lives: Life, plan: Plan | None = None) -> Case:
    """A calm case in which nobody takes our orders, and the switch is tried."""
    case = attrs.evolve(calm(length_s=60.0), certify=True, sniped=0.0, plan=plan or Plan())
    return attrs.evolve(case, lives=lives or case.lives)


def test_what_seeds_draw() -> None:
    """One of four; as every part of a case it can be left out, and is told."""
    drawn = [draw(seed, 1.0) for seed in range(1, 401)]
    tried = [case for case in drawn if case.certify]

    assert 70 < len(tried) < 130
    assert "; switch tried; " in tried[0].text()
    assert "; switch trusted; " in Keep(certify=False).of(tried[0]).text()


def test_it_is_tried_once() -> None:
    """The next life believes what the journal says, and trades at once."""
    outcome = sound(trying(Life(40.0, End.STOP, 1.0), Life(40.0, End.STOP, 0.0)))

    assert outcome.seen[TRIED] == 1
    assert outcome.seen["PLACEMENT"] > 2
    assert UNTRIED not in outcome.seen


def test_a_switch_that_does_nothing() -> None:
    """The start ends by itself and says so. The next one trades: the fault is over by then."""
    ignored = Plan(entries=(Entry("heartbeat_lapse_ignored", from_ms=0),))

    outcome = sound(trying(plan=ignored))

    assert (outcome.seen[UNTRIED], outcome.seen[TRIED]) == (1, 1)


def test_an_engine_that_is_away_when_the_beats_lapse() -> None:
    """It has missed the lapse, and is back when the start asks why its order stays: nothing is
    wrong with the switch, and the next start sees that (brief seed 3736, with a certificate).
    """
    away = Entry("engine_restarted", from_ms=10_000, times=1, values={"last_s": (9, 9)})

    outcome = sound(trying(plan=Plan(entries=(away,))))

    assert (outcome.seen[UNTRIED], outcome.seen[TRIED]) == (1, 1)


def test_an_engine_that_is_waited_for() -> None:
    """As long as a restart takes, with the far order at rest and no stream asked for: the same
    start tries the switch again (S19), and who waits has broken neither S4 nor L8.
    """
    away = Entry("engine_restarted", from_ms=5_000, times=1, values={"last_s": (90, 90)})

    outcome = sound(trying(Life(150.0, End.STOP, 0.0), plan=Plan(entries=(away,))))

    assert outcome.seen[TRIED] == 1
    assert UNTRIED not in outcome.seen


def test_a_venue_that_is_far() -> None:
    """A second and a half each way: more than a minute goes by before any stream is asked for."""
    case = attrs.evolve(trying(Life(110.0, End.STOP, 0.0)), lag=("clob", 1.5))

    outcome = sound(case)

    assert outcome.seen["PLACEMENT"] == 1, "and nothing is quoted over such a way"
    assert UNTRIED not in outcome.seen


def test_the_stream_of_the_bot_before_owes_nothing() -> None:
    """One that had a stream is gone with its journal; its heir tries the switch in vain, and once
    more: of neither order any stream could tell (seed 1356, an hour). It waits for a minute first:
    trades may not be listed yet.
    """
    ignored = Plan(entries=(Entry("heartbeat_lapse_ignored", from_ms=40_000, for_ms=90_000),))
    lives = (Life(40.0, End.STOP, 1.0, lost=True), Life(130.0, End.STOP, 0.0))

    outcome = sound(trying(*lives, plan=ignored))

    assert (outcome.seen[JOURNAL_LOST], outcome.seen[UNTRIED]) == (1, 1)


def test_a_start_that_fails_for_nothing_is_seen() -> None:
    """Only a switch that could not be tried, or did nothing, excuses an end (S19)."""

    async def fails(self: Supervisor, series: tuple[str, ...]) -> None:
        raise StartFailed("no reason")

    with mock.patch.object(Supervisor, "run", fails):
        outcome = simulate(trying(), until="S19")

    assert broken(outcome) == {"S19"}
