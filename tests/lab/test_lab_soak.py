"""The hunt's book-keeping: seeds that are finished are not lived again, and all are reported."""

from __future__ import annotations

from pathlib import Path

import attrs
import pytest

from polybot.lab import finished
from polybot.lab.simulation import Outcome
from polybot.lab.simulation_case import Keep
from polybot.lab.simulation_watch import Violation
from polybot.lab.soak import Found, Lived, Task, main

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
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Found last night, told tonight, and made smaller once more."""
    monkeypatch.setattr("polybot.lab.soak.shrink", lambda keep, _links, _breaks: keep)
    path = noted(tmp_path / "done.jsonl", BROKEN)

    assert main(["--seeds", "2", "--hours", "0.25", "--done", str(path)]) == 1
    said = capsys.readouterr().out
    assert "violations: S3 1" in said
    assert "python -m polybot soak --seeds 2" in said


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
