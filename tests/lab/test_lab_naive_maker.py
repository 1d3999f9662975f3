"""The commands that let makers play: the naive one must lose, and the table must say who earns."""

from __future__ import annotations

import io

import pytest

from polybot.lab import commands, maker_table, naive_maker
from polybot.lab.maker_match import Interval, play
from polybot.lab.maker_policies import Careful, Naive
from polybot.lab.maker_table import Row, as_table, compare, perform


def test_a_fixed_cent_around_the_mid_loses() -> None:
    """A thin crowd and a dozen windows are enough to see it (the command runs hundreds)."""
    naive, careful = (play(policy, 5, 12, 0.03) for policy in (Naive, Careful))

    assert sum(one.shares for one in naive.settled) > 12 * 50_000_000
    assert sum(one.rebate for one in naive.settled) > 0
    assert sum(naive.profits) < 0
    assert sum(careful.profits) > sum(naive.profits)


def test_the_table_compares_with_the_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows in the order given, the later ones window by window against the first."""
    monkeypatch.setattr(maker_table, "each_of", map)
    heard = io.StringIO()
    rows = compare(["naive", "careful"], [1, 2], 2, 0.01, heard)

    assert [row.policy for row in rows] == ["naive", "careful"]
    assert rows[0].against is None
    assert rows[1].against is not None
    expected = rows[1].earned.mean - rows[0].earned.mean
    assert rows[1].against.mean == pytest.approx(expected)
    assert rows[0].earned.windows == 4
    assert len(heard.getvalue().splitlines()) == 4
    assert len(as_table(rows).splitlines()) == 2


def test_a_policy_is_found_by_its_place() -> None:
    """`module:name` is the same maker as its short name."""
    tasks = [maker_table.Task(name, 3, 2, 0.01) for name in ("naive", maker_table.KNOWN["naive"])]

    assert perform(tasks[0])[1] == perform(tasks[1])[1]


@pytest.mark.parametrize(
    "words", [["nobody"], ["polybot.lab.nothing:Naive"], ["naive", "--intervals", "1"], []]
)
def test_bad_words_are_one_clear_line(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 2 and no traceback."""
    with pytest.raises(SystemExit) as stop:
        commands.run("maker-match", words)

    assert stop.value.code == 2
    assert "Traceback" not in capsys.readouterr().err


def rows_with(high: float) -> list[Row]:
    earned = Interval(9, -2.0, -4.0, high)
    return [Row(name, earned, None, 50.0, 0.5) for name in ("naive", "careful")]


@pytest.mark.parametrize(("high", "code"), [(-0.1, 0), (0.1, 1)])
def test_the_command_fails_unless_the_loss_is_sure(
    high: float, code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Zero inside the interval is not a loss that was shown."""
    monkeypatch.setattr(naive_maker, "compare", lambda *_: rows_with(high))

    assert commands.run("naive-maker", ["--markets", "9"]) == code
    assert capsys.readouterr().out == as_table(rows_with(high))


def test_one_market_makes_no_interval(capsys: pytest.CaptureFixture[str]) -> None:
    """A bad word is one clear line and exit code 2."""
    with pytest.raises(SystemExit) as stop:
        commands.run("naive-maker", ["--markets", "1"])

    assert stop.value.code == 2
    assert "two markets" in capsys.readouterr().err
