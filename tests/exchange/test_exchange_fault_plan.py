"""Plans of faults: what is read, what is drawn, and when it is on."""

from __future__ import annotations

import itertools
import random
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from polybot.exchange.faults import plan
from polybot.exchange.faults.catalogue import CATALOGUE, table
from polybot.exchange.faults.kinds import REST, STREAMS, VENUE, When
from polybot.exchange.faults.plan import Entry, Plan, PlanError, StormTerms
from polybot.exchange.faults.state import Faults, Strike
from polybot.exchange.faults.storm import draw_round

VENUE_SIDE = (
    {*range(1, 31)} - {3, 19, 24, 26, 28}  # natural: the exchange does these unasked
    | {33, 34, 35, 37, 36, 39, 40, 41, 42, 43, 44, 45, 46, 47, 48, 49}
    | {51, 52, 53, 55, 56, 57, 58, 59, 60, 61, 62}
)


def read(*rows: dict[str, Any]) -> tuple[Entry, ...]:
    return plan.read({"fault": list(rows)}).entries


def strikes(faults: Faults, place: str, times_ms: range) -> list[int]:
    """The times at which the first entry of a place strikes, each of them landing."""
    found = []
    for now_ms in times_ms:
        strike = faults.at(place)[0].meet(now_ms)
        if strike is not None:
            strike.land()
            found.append(now_ms)
    return found


# --- the catalogue ----------------------------------------------------------------------------


def test_every_fault_of_the_venues_side_has_a_name() -> None:
    """Groups A to F of reliability.md 2, those aside that the exchange does without being asked."""
    numbers = {int(word[1:]) for kind in CATALOGUE.values() for word in kind.numbers.split()}

    assert numbers >= VENUE_SIDE


@pytest.mark.parametrize("kind", CATALOGUE.values(), ids=lambda kind: kind.name)
def test_a_row_of_the_catalogue_is_sound(kind: Any) -> None:
    """Defaults lie within their bounds, places exist, and no parameter hides a key of an entry."""
    assert set(kind.links) <= {*REST, *STREAMS, VENUE}
    assert kind.links
    for param in kind.params:
        values = param.among or param.default
        assert param.low <= min(values) <= max(values) <= param.high
        assert param.name not in plan._OWN
        assert kind.name in table()


# --- reading ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", plan.presets())
def test_a_preset_is_a_plan(name: str) -> None:
    """What is shipped can be read; `none` has nothing in it, and the others have something."""
    found = plan.load(name)

    assert (found == Plan()) == (name == "none")


def test_an_entry_is_read_as_it_is_written() -> None:
    """Seconds become milliseconds, a number a range of one, a text a list of one."""
    row = {
        "fault": "request_delayed", "at": "clob", "match": "POST /order", "from_s": 1.5,
        "for_s": 20, "every_s": 60, "probability": 0.25, "times": 3, "delay_ms": [100, 500],
    }  # fmt: skip

    (entry,) = read(row)

    assert entry == Entry(
        "request_delayed", ("clob",), ("POST /order",), 1500, 20_000, 60_000, 0.25, 3,
        {"delay_ms": (100, 500)},
    )  # fmt: skip
    assert plan.read({"fault": [plan.to_json(entry)]}).entries == (entry,)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"fault": "reply_lots"}, "fault[1].fault: unknown; did you mean reply_lost?"),
        ({"fault": 7}, "fault[1].fault: unknown; expected one of"),
        ({"at": "market_ws"}, "fault[1].at: expected of clob"),
        ({"at": 3}, "fault[1].at: expected a text"),
        ({"delay": 3}, "fault[1].delay: unknown; did you mean delay_ms?"),
        ({"delay_ms": 0}, "fault[1].delay_ms: expected ms of venue time from 1 to 60000"),
        ({"delay_ms": [5, 1]}, "fault[1].delay_ms"),
        ({"delay_ms": [1, 2, 3]}, "fault[1].delay_ms"),
        ({"delay_ms": True}, "fault[1].delay_ms"),
        ({"probability": 0}, "fault[1].probability: expected above 0 and at most 1, was 0"),
        ({"probability": "often"}, "fault[1].probability"),
        ({"for_s": 0}, "fault[1].for_s"),
        ({"for_s": float("nan")}, "fault[1].for_s"),
        ({"from_s": -1}, "fault[1].from_s"),
        ({"times": 1.5}, "fault[1].times: expected a whole number"),
    ],
)
def test_a_bad_entry_is_refused_with_a_remedy(change: dict[str, Any], problem: str) -> None:
    """Unknown names, wrong types and values out of range are each named."""
    with pytest.raises(PlanError) as caught:
        read({"fault": "request_delayed"} | change)

    assert len(caught.value.problems) == 1
    assert problem in str(caught.value)


def test_all_problems_are_told_at_once() -> None:
    """Nobody mends a plan one error at a time."""
    storm = {"round_s": 0, "fewest": 9}
    with pytest.raises(PlanError) as caught:
        plan.read({"fault": [{"fault": "x"}, {"fault": "stall", "at": "clob"}], "storm": storm,
                   "fall": 1})  # fmt: skip

    assert [problem.partition(":")[0] for problem in caught.value.problems] == [
        "fall", "fault[1].fault", "fault[2].at", "storm.round_s", "storm.fewest",
    ]  # fmt: skip


@pytest.mark.parametrize("table", [None, 3, {"fault": {}}, {"fault": [1]}, {"storm": 1}])
def test_what_is_no_plan_is_refused(table: object) -> None:
    """Whatever JSON an admin call brings, the answer is a list of problems."""
    with pytest.raises(PlanError):
        plan.read(table)


def test_a_missing_or_broken_file_is_refused(tmp_path: Any) -> None:
    """The presets are named where a file is not found."""
    broken = tmp_path / "broken.toml"
    broken.write_text("[[fault]")

    with pytest.raises(PlanError, match=r"nowhere: .*; expected a file, or one of feeds, "):
        plan.load("nowhere")
    with pytest.raises(PlanError, match="not TOML"):
        plan.load(str(broken))


# --- when a fault is on -----------------------------------------------------------------------


def test_an_entry_strikes_in_its_windows_only() -> None:
    """From, for and every are counted from the plan's start."""
    row = {"fault": "frame_lost", "at": "market_ws", "from_s": 2, "for_s": 1, "every_s": 5}
    faults = Faults(1, 1000, Plan(read(row)))

    found = strikes(faults, "market_ws", range(0, 14_000, 500))

    assert found == [3000, 3500, 8000, 8500, 13_000, 13_500]


def test_times_counts_blows_that_landed() -> None:
    """A fault that found nothing to change has not struck."""
    faults = Faults(1, 0, Plan(read({"fault": "frame_lost", "at": "market_ws", "times": 2})))
    (running,) = faults.at("market_ws")

    assert running.meet(0) is not None
    assert faults.struck == {}
    assert len(strikes(faults, "market_ws", range(5))) == 2
    assert faults.struck == {"frame_lost": 2}


def test_a_window_is_drawn_once() -> None:
    """In a window that is struck everything is struck, in another nothing is."""
    row = {"fault": "stall", "at": "market_ws", "for_s": 1, "every_s": 1, "probability": 0.5}
    faults = Faults(1, 0, Plan(read(row)))

    found = strikes(faults, "market_ws", range(0, 100_000, 100))
    by_window = {ms // 1000: [m for m in found if m // 1000 == ms // 1000] for ms in found}

    assert {len(hits) for hits in by_window.values()} == {10}
    assert 30 < len(by_window) < 70


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**32), st.lists(st.sampled_from(["frame_twice", "stall"]), max_size=4))
def test_the_draws_of_one_fault_move_no_others(seed: int, more: list[str]) -> None:
    """Entries that follow change nothing in what the first one draws."""
    first = {"fault": "frame_twice", "at": "market_ws", "probability": 0.3}

    def drawn(*rows: dict[str, Any]) -> list[int | None]:
        faults = Faults(seed, 0, Plan(read(*rows)))
        found = []
        for now_ms in range(50):
            met = [running.meet(now_ms) for running in faults.at("market_ws")]
            found.append(None if met[0] is None else met[0]["copies"])
        return found

    assert drawn(first) == drawn(first, *({"fault": name} for name in more))


def test_acts_are_done_when_due_and_as_often_as_asked() -> None:
    """A place hears of its act at the act's own time, and no more after its removal."""
    rows = {
        "fault": "close",
        "at": "market_ws",
        "from_s": 1,
        "every_s": 2,
        "times": 3,
        "code": 4003,
    }
    faults = Faults(1, 0, Plan(read(rows, {"fault": "drop", "from_s": 9})))
    done: list[tuple[int, int]] = []

    def close(strike: Strike, due_ms: int) -> None:
        strike.land()
        done.append((due_ms, strike["code"]))

    faults.on_act("market_ws", "close", close)
    faults.on_act("market_ws", "drop", lambda _, due_ms: done.append((due_ms, 0)))
    faults.remove([2])
    faults.advance(20_000)

    assert done == [(1000, 4003), (3000, 4003), (5000, 4003)]
    assert faults.struck == {"close": 3}


# --- storms -------------------------------------------------------------------------------------


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 2**32))
def test_a_round_is_over_when_it_is_over(seed: int) -> None:
    """The quiet that follows is quiet: nothing lasting, everything within the round."""
    terms = StormTerms()
    entries = draw_round(terms, random.Random(seed))

    assert entries == draw_round(terms, random.Random(seed))
    for entry in entries:
        assert entry.kind.storms
        repeats = (entry.times or 1) - 1 if entry.every_ms else 0
        assert entry.every_ms is None or entry.kind.when is not When.EACH
        assert entry.for_ms is not None
        last_ms = entry.from_ms + repeats * (entry.every_ms or 0) + entry.for_ms
        assert last_ms <= terms.round_s * 1000
        plan.read({"fault": [plan.to_json(entry)]})


def test_rounds_reach_every_fault_and_every_shape() -> None:
    """Subsets with intensities: over some hundred rounds each fault comes, and swizzles do."""
    rounds = [draw_round(StormTerms(), random.Random(n)) for n in range(400)]
    kinds = {entry.fault for entries in rounds for entry in entries}
    wanted = {name for name, kind in CATALOGUE.items() if kind.storms}

    assert kinds == wanted
    assert any(sum(e.fault == "stall" for e in entries) >= len(STREAMS) for entries in rounds)
    assert any(entry.times for entries in rounds for entry in entries)
    assert any(a.from_ms == b.from_ms for e in rounds for a, b in itertools.pairwise(e))


def test_a_storm_goes_on_by_itself_and_can_be_ended() -> None:
    """Round after round is drawn from the seed, past rounds are forgotten, and clear ends it."""
    faults = Faults(3, 0, plan.load("storm"))
    again = Faults(3, 0, plan.load("storm"))
    sizes = []
    for now_ms in range(0, 3_600_000, 60_000):
        faults.advance(now_ms)
        again.advance(now_ms)
        sizes.append(len(faults.running))
        assert faults.shown() == again.shown()

    assert sizes[0] == 0
    assert max(sizes) < 20
    assert len(set(sizes)) > 3
    faults.clear()
    faults.advance(7_200_000)
    assert faults.running == {}
