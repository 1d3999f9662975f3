"""A journal that is lost, or was moved away: the next life begins with what the venue shows."""

from __future__ import annotations

import attrs
import pytest
import trio
from simulation_kit import broken, calm, sound

from polybot import restart
from polybot.lab.simulation import simulate
from polybot.lab.simulation_brief import brief
from polybot.lab.simulation_case import Case, End, Life
from polybot.lab.simulation_draw import draw
from polybot.lab.simulation_keep import Keep
from polybot.lab.simulation_plan import Spell
from polybot.lab.simulation_reach import FOREIGN, JOURNAL_LOST
from polybot.restart import Restart

DRAWN = [draw(seed, 1.0) for seed in range(1, 401)]


def lost(case: Case) -> int:
    return sum(life.lost for life in case.lives)


def test_what_seeds_draw() -> None:
    """One seed in four may lose a journal; the last life's is nobody's loss."""
    losing = [case for case in DRAWN if lost(case)]

    assert 40 < len(losing) < 100
    assert not any(case.lives[-1].lost for case in DRAWN)
    assert {life.end for case in losing for life in case.lives if life.lost} == set(End)


def test_it_can_be_left_out_and_is_told() -> None:
    """As every part of a case."""
    case = next(case for case in DRAWN if lost(case))

    assert lost(Keep(amnesia=False).of(case)) == 0
    assert "-lost " in case.text()
    assert "-lost " not in Keep(amnesia=False).of(case).text()


def forgotten(at_s: float = 50.0) -> Case:
    """A bot stopped while trades are on their way, and another that has never heard of it."""
    lives = (Life(at_s, End.STOP, 1.0, lost=True), Life(60.0, End.STOP, 0.0))
    return attrs.evolve(calm(length_s=at_s + 61.0), lives=lives, sniped=0.9)


def test_a_life_without_the_journal_of_the_one_before() -> None:
    """No rule is broken, nothing halts: shares of before, and trades on their way, are no drift."""
    found = sound(forgotten())

    assert found.seen[JOURNAL_LOST] == 1
    assert found.seen["TRADE"] > 0


@pytest.mark.parametrize("lag_ms", [8_000, 30_000])
def test_trades_of_before_that_are_listed_late(lag_ms: int) -> None:
    """Where trades of the last minute are listed, others may not be yet: a journal that began
    without them took their orders for a stranger's, and what they moved for drift (brief seed 3741
    with a lost journal).
    """
    listing = Spell("trades_lag", 0.0, 200.0, 1_000.0, {"lag_ms": (lag_ms, lag_ms)})
    lives = (Life(50.0, End.STOP, 1.0, lost=True), Life(90.0, End.STOP, 0.0))
    case = attrs.evolve(forgotten(), length_s=141.0, lives=lives, listing=listing)

    found = sound(case)

    assert found.seen[JOURNAL_LOST] == 1
    assert found.struck["trades_lag"] > 0


def test_a_journal_that_begins_too_soon_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """G25: the first balance is taken while a trade settles, and trading halts for what it does. A
    trade must be under way when it stops, so several moments are tried.
    """

    async def at_once(*_: object) -> None:
        await trio.lowlevel.checkpoint()

    monkeypatch.setattr(Restart, "_all_settled", at_once)

    assert any("G25" in broken(simulate(forgotten(at_s))) for at_s in (32.0, 35.0, 38.0))


def splitting() -> Case:
    """A bot stopped while a split is under way, for forty seconds; nobody takes anything."""
    slow = (("relayer_mined_least_ms", 40_000), ("relayer_mined_most_ms", 40_000))
    lives = (Life(8.0, End.STOP, 1.0, lost=True), Life(90.0, End.STOP, 0.0))
    seeded = (("inventory", "seed_shares", 10),)
    return attrs.evolve(calm(length_s=99.0), lives=lives, sniped=0.0, settings=seeded, terms=slow)


def test_transactions_of_before() -> None:
    """What a lost run has asked the chain for is no drift: the next one waits for its end."""
    found = sound(splitting())

    assert found.seen[JOURNAL_LOST] == 1
    assert found.seen["PLACEMENT"] > 0


def test_a_journal_that_begins_beside_a_transaction_is_found(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """G25: its dollars go, and its pairs come, after the first balance has been read."""

    async def at_once(*_: object) -> bool:
        await trio.lowlevel.checkpoint()
        return False

    monkeypatch.setattr(restart, "all_ended", at_once)

    assert "G25" in broken(simulate(splitting()))


def test_trades_of_before_that_do_not_settle(monkeypatch: pytest.MonkeyPatch) -> None:
    """A start that has waited for them ends, and says what to do: a bot that nobody need mend (seed
    1130: the venue tried one trade again and again).
    """
    starts: list[Restart] = []

    async def unsettled(self: Restart, _now_s: int) -> int:
        await trio.lowlevel.checkpoint()
        starts.append(self)
        return starts[0] is not self

    monkeypatch.setattr(Restart, "_unsettled", unsettled)
    monkeypatch.setattr(restart, "SETTLING_S", 5.0)

    found = sound(forgotten())
    assert found.seen["ended for what does not settle"] >= 1


def test_a_halt_is_lost_with_its_journal() -> None:
    """Nothing is left that could tell the next life of it: it trades."""
    keep = Keep(
        settings=False, means=False, terms=False, node=False, haste=False, edits=False, date=False,
        money=False, index=False, dark=False, trips=False, stands=False, lag=False,
        soon=False,
    )  # fmt: skip
    found = sound(keep.of(brief(2436)))

    assert found.seen[FOREIGN] == found.seen[JOURNAL_LOST] == 1
