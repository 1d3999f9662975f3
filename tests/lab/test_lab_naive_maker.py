"""The commands that let makers play: the naive one must lose, and the table must say who earns."""

from __future__ import annotations

import functools
import io
import math
import statistics
from pathlib import Path

import attrs
import pytest

from polybot.lab import commands, maker_done, maker_table, naive_maker
from polybot.lab.maker_done import Task
from polybot.lab.maker_match import Interval, Result, play, student
from polybot.lab.maker_policies import Careful, Naive
from polybot.lab.maker_table import SOURCES, Row, as_table, compare, made, perform

played = functools.cache(perform)  # what a table tells of results does not ask for other ones


def test_a_fixed_cent_around_the_mid_loses() -> None:
    """A thin crowd and eight windows are enough to see it (the command runs hundreds)."""
    naive, careful = (play(policy, 5, 8, 0.02) for policy in (Naive, Careful))

    assert sum(one.shares for one in naive.settled) > 8 * 50_000_000
    assert sum(one.rebate for one in naive.settled) > 0
    assert sum(naive.profits) < 0
    assert sum(careful.profits) > sum(naive.profits)


def test_the_table_compares_with_the_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows in the order given; how much more the first earns is told window by window."""
    monkeypatch.setattr(maker_table, "each_of", map)
    monkeypatch.setattr(maker_table, "perform", played)
    heard = io.StringIO()
    rows = compare(["naive", "careful"], [1, 2], 2, 0.01, heard)

    assert [row.policy for row in rows] == ["naive", "careful"]
    assert (rows[0].better, rows[0].known_better, rows[0].at_fill_better) == (None, None, None)
    assert rows[1].better is not None
    assert rows[1].better.mean == pytest.approx(rows[0].earned.mean - rows[1].earned.mean)
    assert rows[1].at_fill_better is not None
    known = [row.known.mean - row.sources[SOURCES.index("adverse")] for row in rows]
    assert rows[1].at_fill_better.mean == pytest.approx(known[0] - known[1])
    assert (rows[0].earned.windows, rows[0].earned.groups) == (4, 2)
    for row in rows:
        assert sum(row.sources) == pytest.approx(row.earned.mean)
        assert row.known.mean == pytest.approx(row.earned.mean - row.sources[-1])
    assert len(heard.getvalue().splitlines()) == 4
    assert len(as_table(rows).splitlines()) == 5


def test_an_interrupted_comparison_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the file has is not played again, and the rows are the same; a line cut short is."""
    done, asked = tmp_path / "done.jsonl", list[Task]()

    def once(task: Task) -> tuple[Task, Result]:
        asked.append(task)
        return played(task)

    monkeypatch.setattr(maker_table, "perform", once)
    whole = compare(["naive", "careful"], [1, 2], 2, 0.01, io.StringIO(), done, 1)
    assert len(asked) == 4
    done.write_bytes(done.read_bytes()[:-20])

    again = compare(["naive", "careful"], [1, 2], 2, 0.01, io.StringIO(), done, 1)

    assert again == whole
    assert asked[4:] == [Task("careful", 2, 2, 0.01)]
    assert compare(["naive"], [1], 2, 0.02, io.StringIO(), done, 1)[0].earned.windows == 2
    assert asked[5:] == [Task("naive", 1, 2, 0.02)]
    assert compare(["naive"], [1], 2, 0.02, io.StringIO(), done, 1, "wild")[0].earned.windows == 2
    assert asked[6:] == [Task("naive", 1, 2, 0.02, "wild")]


def test_what_another_commit_has_played_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its policies may have been others, and one table was made of both without a word."""
    done, task = tmp_path / "done.jsonl", Task("naive", 1, 1, 0.01)
    monkeypatch.setattr(maker_done, "commit", lambda: "before")
    maker_done.note(done, task, Result(()))
    assert maker_done.read(done) == {task: Result(())}
    assert capsys.readouterr().err == ""

    monkeypatch.setattr(maker_done, "commit", lambda: "now")
    assert maker_done.read(done) == {task: Result(())}
    assert "1 of 1 matches are of another commit" in capsys.readouterr().err


def test_another_file_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A file of something else is one clear line and exit code 2, and is not written to."""
    other = tmp_path / "other.jsonl"
    other.write_bytes(b'{"seed": 1}\n')

    with pytest.raises(ValueError, match="not a file of finished work"):
        maker_done.read(other)
    with pytest.raises(SystemExit) as stop:
        commands.run("maker-match", ["naive", "--done", str(other)])

    assert stop.value.code == 2
    assert "Traceback" not in capsys.readouterr().err
    assert other.read_bytes() == b'{"seed": 1}\n'


@pytest.mark.parametrize(
    ("freedom", "told"),
    [(1, 12.706), (2, 4.303), (3, 3.182), (4, 2.776), (9, 2.262), (29, 2.045)],
)
def test_an_interval_of_few_witnesses_is_as_wide_as_they_are_few(freedom: int, told: float) -> None:
    """The quantiles of any table (NIST 1.3.6.7.2): two days are the fewest that a sweep makes an
    interval of, and one that is too narrow there calls luck a finding.
    """
    assert student(freedom) == pytest.approx(told, rel=0.01)


@pytest.mark.parametrize(
    ("seeds", "quantile"), [(6, 2.571), (10, 2.262), (20, 2.093), (121, 1.980)]
)
def test_windows_of_one_seed_are_one_witness(seeds: int, quantile: float) -> None:
    """The interval is Student's over the seeds' means (quantiles of the printed tables)."""
    groups = [[0.0, 2.0 * (seed % 2)] for seed in range(seeds)]
    found = Interval.of_groups(groups)
    means = [float(seed % 2) for seed in range(seeds)]

    assert (found.windows, found.groups) == (2 * seeds, seeds)
    error = statistics.stdev(means) / seeds**0.5
    assert found.high - found.mean == pytest.approx(quantile * error, rel=0.005)
    assert Interval.of_groups(groups[:2]).low < 0 < Interval.of_groups(groups[:2]).high


@pytest.mark.parametrize("windows", [[1.0, 3.0], [2.0, 2.0], [2.0]])
def test_one_seed_has_no_interval(windows: list[float]) -> None:
    """Its windows were taken for witnesses, which they are not, and windows that came to the same
    for a certainty.
    """
    found = Interval.of_groups([windows])
    assert (found.windows, found.mean, found.groups) == (len(windows), 2.0, 1)
    assert (found.low, found.high) == (-math.inf, math.inf)

    few, many = (
        [
            attrs.evolve(
                row, earned=one, known=one, better=one, known_better=one, at_fill_better=one
            )
            for row in rows
        ]
        for rows, one in (
            (rows_with(0.1), found),
            (rows_with(0.1), Interval.of_groups([[1.0], [3.0]])),
        )
    )
    told = as_table(few)
    assert f"{len(windows)} windows of 1 seeds" in told
    assert told.count("+2.00 [one seed]") == 10
    assert "inf" not in told
    assert [*map(len, told.splitlines()[1:4])] == [*map(len, as_table(many).splitlines()[1:4])]


def test_a_policy_is_found_by_its_place() -> None:
    """`module:name` is the same maker as its short name."""
    tasks = [Task(name, 3, 2, 0.01) for name in ("naive", maker_table.KNOWN["naive"])]

    assert perform(tasks[0])[1] == perform(tasks[1])[1]
    assert all(callable(made(name)) for name in maker_table.KNOWN)


@pytest.mark.parametrize(
    "words",
    [["nobody"], ["polybot.lab.nothing:Naive"], ["naive", "--intervals", "1"], ["--seeds", "0"]],
)
def test_bad_words_are_one_clear_line(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 2 and no traceback."""
    with pytest.raises(SystemExit) as stop:
        commands.run("maker-match", words)

    assert stop.value.code == 2
    assert "Traceback" not in capsys.readouterr().err


def rows_with(high: float) -> list[Row]:
    earned = Interval(9, -2.0, -4.0, high)
    parts = (1.0, -1.0, 0.0, 0.5, -2.5)
    return [
        Row(name, earned, earned, None, None, None, 9.0, 50.0, parts)
        for name in ("naive", "careful")
    ]


@pytest.mark.parametrize(("high", "code"), [(-0.1, 0), (0.1, 1)])
def test_the_command_fails_unless_the_loss_is_sure(
    high: float, code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Zero inside the interval is not a loss that was shown."""
    monkeypatch.setattr(naive_maker, "compare", lambda *_: rows_with(high))

    assert commands.run("naive-maker", ["--markets", "9"]) == code
    assert capsys.readouterr().out == as_table(rows_with(high))


@pytest.mark.parametrize(
    ("markets", "seeds", "each"), [(2, 1, 2), (9, 5, 2), (40, 8, 5), (200, 8, 25), (210, 9, 25)]
)
def test_few_windows_are_of_many_worlds(
    markets: int, seeds: int, each: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two seeds of twenty windows are two witnesses, eight of five are eight."""
    asked: list[object] = []

    def heard(_: object, of: range, windows: int, *__: object) -> list[Row]:
        asked.extend((of, windows))
        return rows_with(-0.1)

    monkeypatch.setattr(naive_maker, "compare", heard)

    assert commands.run("naive-maker", ["--markets", str(markets), "--seed", "3"]) == 0
    assert asked == [range(3, 3 + seeds), each]


def test_one_market_makes_no_interval(capsys: pytest.CaptureFixture[str]) -> None:
    """A bad word is one clear line and exit code 2."""
    with pytest.raises(SystemExit) as stop:
        commands.run("naive-maker", ["--markets", "1"])

    assert stop.value.code == 2
    assert "from 2 on, was '1'" in capsys.readouterr().err
