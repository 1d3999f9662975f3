"""The rare moments are met, and counted; a run that has met none of them says so."""

from __future__ import annotations

import attrs
import pytest
from simulation_kit import calm, sound

from polybot.exchange.faults.plan import load
from polybot.lab import simulation, soak
from polybot.lab.simulation import Outcome
from polybot.lab.simulation_case import End, EngineTerms, Life, StrikeTerms, Where
from polybot.lab.simulation_draw import draw
from polybot.lab.simulation_keep import Keep
from polybot.lab.simulation_reach import (
    CORRECTED,
    FOREIGN,
    POST_ONLY,
    REACHED,
    SENT,
    TICK,
    TO_ABSENT,
    WRITTEN,
)
from polybot.lab.simulation_strikes import ToldStrikes
from polybot.lab.soak import Found, Lived, Task, not_reached
from polybot.lab.stage import MID_WINDOW_MS


@pytest.mark.parametrize(("where", "told"), [(Where.WRITTEN, WRITTEN), (Where.SENT, SENT)])
def test_a_death_at_an_order(where: Where, told: str) -> None:
    """Killed between journal and wire, and between wire and answer: the next start knows the order,
    and both books agree at the end (S16, L2, G11).
    """
    lives = (Life(35.0, End.KILL, 20.0, where=where), Life(20.0, End.STOP, 0.0))
    outcome = sound(attrs.evolve(calm(length_s=60.0), lives=lives))

    assert outcome.seen[told] == 1
    assert outcome.seen["kill"] == 1


def test_a_foreign_order() -> None:
    """It halts, the halt stands over a restart until it is re-armed, and then it trades (S12)."""
    outcome = sound(attrs.evolve(calm(length_s=100.0), foreign_s=30.0))

    assert outcome.seen[FOREIGN] == 1
    assert outcome.seen["stop"] == 3, "halted, halted after a restart, and at the end"
    assert outcome.quoted_s > 50


def test_lost_answers() -> None:
    """Orders without an answer are proven absent."""
    outcome = sound(calm(length_s=100.0, plan="orders"))

    assert outcome.seen[TO_ABSENT] > 0


def test_an_engine_that_restarts() -> None:
    """Away for fifteen seconds; in the two minutes after it only what rests is taken, and we are
    there (F39).
    """
    outcome = sound(attrs.evolve(calm(length_s=60.0), engine=EngineTerms(20.0, 15)))

    assert outcome.struck["engine_restarted"] == 1
    assert outcome.seen[POST_ONLY] > 0


def test_a_corrected_strike(monkeypatch: pytest.MonkeyPatch) -> None:
    """Published twenty basis points off and put right: whoever had heard the oracle first learns it
    twice, the quotes go with it each time, and no rule is broken (F57).
    """
    monkeypatch.setattr(simulation, "MID_WINDOW_MS", MID_WINDOW_MS + 240_000)
    case = attrs.evolve(calm(length_s=130.0), strikes=StrikeTerms(20, 25.0), quiet_s=0.0)
    outcome = sound(case)

    assert outcome.seen[CORRECTED] > 0
    assert outcome.seen["PLACEMENT"] > 0


def test_a_strike_that_was_told_may_be_gone_by() -> None:
    """The last one, and until a moment ago the one before; never one that nobody told (S14)."""
    now = [0.0]
    told = ToldStrikes(lambda: now[0])
    body = b'200 GET /markets\n{"slug":"s","events":[{"slug":"s"}],"priceToBeat":%s}'
    told.heard("rest gamma", body % b"100.5")
    told.heard("rest clob", body % b"7")
    now[0] = 20.0
    told.heard("rest gamma", body % b"100")
    assert (set(told.of("s")), told.of("another")) == ({100.5, 100.0}, [])

    now[0] = 60.0
    assert told.of("s") == [100.0]


def found(**seen: int) -> Found:
    return Found(Outcome(1, "ab" * 32, 60.0, (), dict(seen), {}))


def lived(task: Task) -> Lived:
    return Lived(task, found(PLACEMENT=1))


def test_what_no_seed_has_reached() -> None:
    """Each counter must be met by one of them."""
    every = dict.fromkeys(REACHED, 1)
    without = {name: count for name, count in every.items() if name not in (TICK, FOREIGN)}

    assert not_reached([found(**without), found(**{TICK: 2})]) == [FOREIGN]
    assert not_reached([found(**every)]) == []


@pytest.mark.parametrize(("words", "code"), [([], 0), (["--reach"], 1)])
def test_the_command_asks_for_it(
    words: list[str], code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With `--reach` a run that has met too little ends with 1, and says what."""
    monkeypatch.setattr(soak, "each_of", lambda _work, tasks: [lived(one) for one in tasks])

    assert soak.main(["--seeds", "1-2", *words]) == code
    assert "never reached: CANCELLATION, TRADE, stop, kill" in capsys.readouterr().out


def test_the_command_that_is_printed_is_understood(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a failure was made smaller to is lived through again: no more, no less."""
    small = Keep(delays=False, disks=False, series=False, links=(0, 1))
    asked: list[Task] = []

    def each_of(_work: object, tasks: list[Task]) -> list[Lived]:
        asked.extend(tasks)
        return [*map(lived, tasks)]

    monkeypatch.setattr(soak, "each_of", each_of)
    soak.main(["--seeds", "7", "--hours", "0.5", "--once", *small.words().split()])

    assert asked == [Task(7, 0.5, small, twice=False)]


def test_where_and_who_is_drawn_apart() -> None:
    """Kills of every kind; somebody else's order in one seed of eight."""
    cases = [draw(seed, 1.0) for seed in range(200)]
    killed = {life.where for case in cases for life in case.lives if life.end is End.KILL}

    assert killed == set(Where)
    assert 10 < sum(case.foreign_s is not None for case in cases) < 50
    assert all(Keep(foreign=False).of(case).foreign_s is None for case in cases)


def test_spells_are_drawn_apart() -> None:
    """A silent token, a node that lags and a list of trades that does in one seed of six each; all
    can be left out, say what they are, and are entries of the plan behind whatever else there is.
    """
    cases = [draw(seed, 1.0) for seed in range(400)]
    none = Keep(silence=False, node=False, listing=False)
    silent = [case for case in cases if case.silence is not None]
    lagging = [case for case in cases if case.node is not None]
    late = [case for case in cases if case.listing is not None]

    for some in (silent, lagging, late):
        assert 40 < len(some) < 95
        assert all({*map(id, some)} & {*map(id, other)} for other in (silent, lagging, late))
    assert all(case.faults.entries[-1].fault == "trades_lag" for case in late)
    assert all("node_behind" in {it.fault for it in case.faults.entries} for case in lagging)
    assert all("token_silent" in {it.fault for it in case.faults.entries} for case in silent)
    assert all("silent tokens never" not in case.text() for case in silent)
    never = "; silent tokens never; node behind never; trades listed late never; "
    assert all(never in none.of(it).text() for it in cases)
    assert all(
        none.of(it).faults.entries == it.faults.entries[:-1]
        for it in late
        if it.silence is None and it.node is None
    )


def test_what_older_seeds_drew_stays() -> None:
    """A preset that has got what came later does not bring it to them: it is drawn apart."""
    cases = [Keep(listing=False).of(draw(seed, 1.0)) for seed in range(100)]

    assert "trades_lag" in {entry.fault for entry in load("orders").entries}
    assert any("orders_lag" in {entry.fault for entry in case.faults.entries} for case in cases)
    assert all("trades_lag" not in {it.fault for it in case.faults.entries} for case in cases)


def test_the_venues_own_troubles_are_drawn_apart() -> None:
    """A restart of the engine in one seed of six, wrong strikes in one of four; both can be left
    out, and say what they are.
    """
    cases = [draw(seed, 1.0) for seed in range(200)]
    none = Keep(engine=False, strikes=False)

    assert 15 < sum(case.engine is not None for case in cases) < 60
    assert 30 < sum(case.strikes is not None for case in cases) < 75
    assert all(none.of(case).engine is None for case in cases)
    assert all(none.of(case).strikes is None for case in cases)
    assert any("; engine away " in case.text() for case in cases)
    assert all("engine sound; strikes right" in none.of(case).text() for case in cases)
