"""The hunt's book-keeping: seeds that are finished are not lived again, and all are reported."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import attrs
import pytest
from simulation_kit import calm

from polybot.journal.tape import Event, Kind
from polybot.lab import finished, soak
from polybot.lab.replay import Difference, Result
from polybot.lab.shares import WorkerDied
from polybot.lab.simulation import Outcome, Tapes, simulate
from polybot.lab.simulation_case import Case
from polybot.lab.simulation_keep import PARTS, Keep
from polybot.lab.simulation_watch import Violation
from polybot.lab.soak import Found, Lived, Task, breaks, live, main, story

SOUND = Outcome(1, "ab" * 20, 900.0, (), {"PLACEMENT": 7, "kill": 1}, {"stall": 3}, (), 1800.0)
BROKEN = attrs.evolve(SOUND, seed=2, violations=(Violation("S3", 1.5, "twice"),))


def noted(path: Path, *outcomes: Outcome, keep: Keep = Keep()) -> Path:
    for outcome in outcomes:
        finished.note(path, Lived(Task(outcome.seed, 0.25, keep), Found(outcome, by="abc123")))
    return path


def test_what_is_finished_is_reported_and_not_lived_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Hours, faults and commits of all nights together; a seed that fell short ends with 1."""
    path = noted(tmp_path / "done.jsonl", SOUND, attrs.evolve(SOUND, seed=3))

    assert main(["--seeds", "1", "--hours", "0.25", "--done", str(path)]) == 0
    said = capsys.readouterr()
    assert "1.00 market-hours quoted in 2 seeds, 0.50 hours of the venue" in said.out
    assert "stall 6" in said.out
    assert "seeds by commit: abc123 2" in said.out
    assert said.err == "", "nothing was lived"
    assert finished.read(path, Lived)[0].found.outcome == SOUND


def test_a_seed_that_broke_a_rule_is_not_forgotten(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Found last night and told tonight; it was made smaller when it was found."""
    path = noted(tmp_path / "done.jsonl", BROKEN)

    assert main(["--seeds", "2", "--hours", "0.25", "--done", str(path)]) == 1
    said = capsys.readouterr().out
    assert "violations: S3 1" in said
    assert f"seed 2 {'ab' * 6}: 900 s" in said
    assert "S3 at 1.500 s: twice" in said
    assert "smallest that still breaks" not in said


def test_a_soak_that_is_stopped_tells_what_it_has(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C after the first of three: it is reported and noted, nothing is made smaller."""

    def each_of(_work: object, tasks: list[Task]) -> Iterator[Lived]:
        yield Lived(tasks[0], Found(BROKEN))
        raise KeyboardInterrupt

    monkeypatch.setattr("polybot.lab.soak.each_of", each_of)
    path = tmp_path / "done.jsonl"

    assert main(["--seeds", "1-3", "--done", str(path)]) == 130
    said = capsys.readouterr()
    assert "stopped; this is what was finished" in said.err
    assert "0.50 market-hours quoted in 1 seeds" in said.out
    assert len(finished.read(path, Lived)) == 1


def test_a_soak_whose_worker_dies_tells_what_it_has(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kernel ends a worker where memory ends: what was finished is told, and the code is 1."""

    def each_of(_work: object, tasks: list[Task]) -> Iterator[Lived]:
        yield Lived(tasks[0], Found(SOUND))
        raise WorkerDied("a worker process ended")

    monkeypatch.setattr("polybot.lab.soak.each_of", each_of)

    assert main(["--seeds", "1-3", "--done", str(tmp_path / "done.jsonl")]) == 1
    said = capsys.readouterr()
    assert "a worker process ended; this is what was finished" in said.err
    assert "0.50 market-hours quoted in 1 seeds" in said.out


def test_a_file_of_seeds_that_was_cut_or_joined(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A seed that two files had is one; one whose line was cut short is told to be missing."""
    path = noted(tmp_path / "done.jsonl", SOUND, attrs.evolve(SOUND, seed=3), SOUND)
    path.write_bytes(path.read_bytes() + path.read_bytes()[:50])

    assert main(["--seeds", "1", "--hours", "0.25", "--done", str(path)]) == 0
    said = capsys.readouterr()
    assert "1.00 market-hours quoted in 2 seeds" in said.out
    assert "its last line was cut short, and that piece is not known" in said.err


def test_what_a_life_has_frozen_ends_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """A bot freezes what is there when it begins, and workers live through many: eighty lives of an
    hour had kept four gigabytes. Only asked for here: it would let go of other tests' bots, too.
    """
    done: list[str] = []

    def lived(_: Task) -> Found:
        done.append("lived")
        return Found(SOUND)

    monkeypatch.setattr(soak, "live", lived)
    monkeypatch.setattr("polybot.lab.soak.gc.unfreeze", lambda: done.append("let go"))
    assert soak._lived(Task(1, 0.1)).found.outcome is SOUND
    assert done == ["lived", "let go"]


def test_another_length_or_other_parts_are_another_piece_of_work(tmp_path: Path) -> None:
    """What is left out is the same seed, for as long, with the same troubles."""
    path = noted(tmp_path / "done.jsonl", SOUND, keep=Keep(disks=False))
    known = {one.task for one in finished.read(path, Lived)}

    assert Task(1, 0.25, Keep(disks=False)) in known
    assert not {Task(1, 0.25), Task(1, 0.5, Keep(disks=False))} & known


def test_a_file_of_something_else(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It is not overwritten: code 2, and its name."""
    path = tmp_path / "notes.txt"
    path.write_text("buy milk\n")

    assert main(["--seeds", "1", "--done", str(path)]) == 2
    assert "notes.txt: not a file of finished work" in capsys.readouterr().err
    assert path.read_text() == "buy milk\n"


@pytest.mark.parametrize(
    "words",
    [("--seeds", "9-3"), ("--seeds", "x"), ("--hours", "nan"), ("--hours", "0"), ("--hours", "-1")],
)
def test_a_hunt_for_nothing_is_refused(
    words: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    """A range that runs backwards would find nothing for ever, and pass."""
    with pytest.raises(SystemExit) as left:
        main([*words, "--once"])

    assert left.value.code == 2
    assert "expected" in capsys.readouterr().err


def test_the_help_says_what_each_option_does(capsys: pytest.CaptureFixture[str]) -> None:
    """Twenty switches had a name and nothing else."""
    with pytest.raises(SystemExit):
        main(["--help"])
    said = capsys.readouterr().out.partition("options:\n")[2]
    options = [" ".join(one.split()) for one in re.split(r"\n(?=  -)", said)]

    assert "--no-bar leave out a venue that refuses our key or our region" in options
    assert len(options) > len(PARTS)
    assert {f"--no-{part}" for part in PARTS} <= {one.split()[0] for one in options}
    assert not [one for one in options if not re.match(r"-.*? (?=[a-z0-9])", one)]


# --- the second time ------------------------------------------------------------------------------


def test_what_only_the_second_life_breaks(monkeypatch: pytest.MonkeyPatch) -> None:
    """A rule of the venue's side is in no hash: two lives with one hash differed all the same, and
    the second one's breach was thrown away.
    """
    lives = iter([SOUND, attrs.evolve(SOUND, violations=BROKEN.violations)])
    monkeypatch.setattr(soak, "simulate", lambda *_: next(lives))

    assert not live(Task(1, 0.1)).sound


def test_a_tape_that_lacks_decisions() -> None:
    """The last of a life, or all of them: nothing behind them finds them out (S21)."""
    tapes: Tapes = []
    simulate(calm(length_s=5.0), tapes)
    tape = tapes[0]
    last = max(n for n, event in enumerate(tape) if event.kind is Kind.DECIDED)
    none = [event for event in tape if event.kind is not Kind.DECIDED]

    assert not list(soak._unlike([tape, []]))
    assert [one.rule for one in soak._unlike([tape[:last], none])] == ["S21", "S21"]


def test_a_replay_that_differs_is_made_smaller(monkeypatch: pytest.MonkeyPatch) -> None:
    """By replays, for no judge of a life sees it; and the command that is told makes them, too."""
    events = [Event(0, kind, "quote btc", b"") for kind in (Kind.FED, Kind.DECIDED)]
    differs = Difference(1, 0, "quote btc", b"one", b"other", ())

    def simulated(_: Case, tapes: Tapes | None = None, **__: str) -> Outcome:
        if tapes is not None:
            tapes.append(events)
        return SOUND

    monkeypatch.setattr(soak, "simulate", simulated)
    monkeypatch.setattr(soak, "replay", lambda *_: Result(difference=differs))
    task = Task(1, 0.1, brief=True)
    *_, smallest = story(live(task), task)

    every = " ".join(f"--no-{part}" for part in PARTS)
    assert smallest.endswith(f"soak --seeds 1 --brief {every} --links none"), smallest


@pytest.mark.parametrize(
    ("what", "same"),
    [
        ("BUY 25 at 0.3 in btc-updown-15m-1795202100 again, and 0x0a1b2c3d was to stay", True),
        ("BUY 5 at 0.41 in btc-updown-5m-1795201200 rests twice", False),
    ],
)
def test_a_smaller_case_breaks_for_the_same_reason(
    what: str,
    same: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The same rule in the same words, with other figures; in other words it is another fault."""
    told = "BUY 5 at 0.41 in btc-updown-5m-1795201200 again, and 0xdeadbeef was to stay"
    smaller = attrs.evolve(SOUND, violations=(Violation("S3", 9.0, what),))
    monkeypatch.setattr(soak, "simulate", lambda *_, **__: smaller)

    assert breaks(Task(2, 0.25), Violation("S3", 1.5, told), Keep()) is same
