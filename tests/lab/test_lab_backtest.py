"""The backtest command: what is played, what is told, and what bad input comes to."""

from __future__ import annotations

import argparse
import functools
import io
import re
import shutil
from pathlib import Path
from types import SimpleNamespace

import attrs
import orjson
import pytest
from backtest_kit import ROOT, SLUGS, config, files, folder

from polybot.domain.units import SHARE, USD
from polybot.lab import backtest, divergence, run_record
from polybot.lab.backtest import (
    EXIT_NOTHING,
    EXIT_PART,
    EXIT_WHOLE,
    Done,
    Outcome,
    Progress,
    Task,
    perform,
)
from polybot.lab.backtest_curve import curve
from polybot.lab.backtest_input import Chunk, Found, find
from polybot.lab.backtest_report import drawdown, report
from polybot.lab.backtest_run import WindowResult
from polybot.lab.sweep_stats import DAY_MS

WORDS = ["--config", str(ROOT / "config.toml"), "--processes", "1", "--queue", "pessimistic"]


def test_windows_become_chunks_in_order_of_time() -> None:
    """Chunks are cut by windows, not by processors, and keep a window's own file."""
    found = find([folder()], size=1)

    assert found.chunks == tuple(
        Chunk((path,), (slug,)) for path, slug in zip(files(), SLUGS, strict=True)
    )
    assert find([folder()]).chunks == (Chunk(tuple(files()), SLUGS),)
    assert found.windows == 2
    assert not found.faults


@pytest.mark.parametrize("size", [1, 12])
def test_files_by_name_are_what_their_folder_is(size: int) -> None:
    """`day/*.zst` and `day` are the same windows, and share wallets alike: each file had a wallet
    of its own, and so what was earned hung on how the day was named.
    """
    assert find(files(), size).chunks == find([folder()], size).chunks


def test_a_window_that_comes_twice_is_played_once(tmp_path: Path) -> None:
    """The same window in two places: the first counts, and it is said."""
    shutil.copy(files()[0], tmp_path)
    found = find([folder(), tmp_path])

    assert found.windows == 2
    assert "1 windows come a second time" in found.faults[0]


@pytest.mark.parametrize("name", ["gone", "x.beats.zst", "notes.txt"])
def test_what_cannot_be_read_is_named(tmp_path: Path, name: str) -> None:
    """Each path that holds nothing to play is a fault with its reason."""
    path = tmp_path / name
    if name != "gone":
        path.write_text("nothing")
    found = find([path, folder()])

    assert found.windows == 2
    assert len(found.faults) == 1


def test_the_command_tells_everything(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One window under two models: tables, figures as JSON, a picture; exit code 0."""
    pytest.importorskip("matplotlib")
    out, picture = tmp_path / "figures.json", tmp_path / "equity.png"
    words = [str(files()[0]), *WORDS[:-1], "pessimistic,touch", "--json", str(out),
             "--picture", str(picture)]  # fmt: skip

    assert backtest.main(words) == EXIT_WHOLE
    told = capsys.readouterr().out
    figures = orjson.loads(out.read_bytes())

    assert picture.read_bytes().startswith(b"\x89PNG")
    for word in (SLUGS[0], "pessimistic", "touch", "settlement", "drawdown", "cents a share"):
        assert word in told
    (one,) = figures["queues"]["touch"]
    assert sum(one["sources"].values()) == one["profit"]


def test_a_damaged_part_is_left_out_and_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The readable window is reported, the other named: exit code 1, never a silent half."""
    shutil.copy(files()[0], tmp_path)
    (tmp_path / files()[1].name).write_bytes(b"not a recording")

    assert backtest.main([str(tmp_path), "--chunk", "1", *WORDS]) == EXIT_PART
    told = capsys.readouterr()

    assert SLUGS[0] in told.out
    assert SLUGS[1] not in told.out
    assert SLUGS[1] in told.err


def test_a_cut_file_is_played_as_far_as_it_goes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its readable part is a result, with a warning and exit code 1."""
    raw = files()[0].read_bytes()
    (tmp_path / files()[0].name).write_bytes(raw[: len(raw) // 2])

    assert backtest.main([str(tmp_path), *WORDS]) == EXIT_PART
    told = capsys.readouterr()

    assert "only the" in told.err
    assert SLUGS[0] in told.out


def test_a_copy_under_another_windows_name(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is told and left out, by the runs' files as well; it was a traceback."""
    shutil.copy(files()[0], tmp_path)
    shutil.copy(files()[0], tmp_path / files()[1].name)
    runs = tmp_path / "runs"

    assert backtest.main([str(tmp_path), *WORDS, "--runs", str(runs)]) == EXIT_PART
    said = capsys.readouterr().err
    assert f"{SLUGS[0]} comes a second time: left out" in said
    assert f"{SLUGS[1]}: in no file of that name, left out" in said
    assert not run_record.read(runs / "pessimistic.json")[1]

    (tmp_path / files()[0].name).unlink()
    assert backtest.main([str(tmp_path), *WORDS]) == EXIT_NOTHING
    assert f"{SLUGS[1]}: in no file of that name\n" in capsys.readouterr().err


def test_nothing_to_play(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """No path can be read: no table, exit code 2."""
    assert backtest.main([str(tmp_path / "gone"), *WORDS]) == EXIT_NOTHING
    assert "nothing could be played" in capsys.readouterr().err


@pytest.mark.parametrize(
    "words",
    [["--queue", "hopeful"], ["--latency", "fast"], ["--config", "gone.toml"], ["--chunk", "0"],
     ["--picture", "x.doc"]],
)  # fmt: skip
def test_bad_words(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Every bad word ends with 2 and one line that says what is right."""
    with pytest.raises(SystemExit) as ended:
        backtest.main([str(folder()), *WORDS, *words])

    assert ended.value.code == 2
    assert capsys.readouterr().err


@functools.cache
def done(window: int) -> Done:
    """One window played."""
    return perform(Task(find([files()[window]]).chunks[0], config(), "pessimistic", "25", 1))


def test_two_processes_come_to_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    """Chunks played beside each other are the chunks played in turn."""
    words = [str(folder()), "--chunk", "1", *WORDS]
    words[words.index("--processes") + 1] = "2"
    assert backtest.main(words) == EXIT_WHOLE
    in_turn = [one for number in (0, 1) for one in done(number).results]

    assert capsys.readouterr().out == report({"pessimistic": in_turn})


def test_results_are_in_order_whoever_is_first() -> None:
    """What comes back out of order is told in order of time, models as they were named."""
    outcome = Outcome(["pessimistic", "touch"])
    for number in (1, 0):
        outcome.take(done(number))
    results = outcome.results()

    assert [one.slug for one in results["pessimistic"]] == list(SLUGS)
    assert list(results) == ["pessimistic"]
    assert "2 windows" in report(results)


def test_models_are_told_of_the_same_windows(capsys: pytest.CaptureFixture[str]) -> None:
    """What could be read for one model and not for another (too many files) is left out under
    both, and said: their sums stood side by side and were of different windows.
    """
    outcome = Outcome(["pessimistic", "touch"])
    for number in (0, 1):
        one = done(number)
        touch = attrs.evolve(one, task=attrs.evolve(one.task, queue="touch"))
        failed = attrs.evolve(touch, results=(), faults=("too many files",))
        outcome.take(one)
        outcome.take(failed if number else touch)
    found = Found(tuple(done(number).task.chunk for number in (0, 1)))
    said = argparse.Namespace(json=None, runs=None, picture=None)

    assert backtest._tell(outcome, found, said) == EXIT_PART
    told = capsys.readouterr()
    assert SLUGS[0] in told.out
    assert SLUGS[1] not in told.out
    assert f"too many files\n{SLUGS[1]}: not played under every queue model" in told.err


def test_an_interval_is_of_days() -> None:
    """Windows of one day are one witness: of a single day there is none, and of two that were
    alike it is narrow, however unlike their windows are.
    """
    (one,) = done(0).results
    day = [attrs.evolve(one, profit=profit) for profit in (-1_000_000, 2_000_000)]
    next_day = [attrs.evolve(other, start_ms=other.start_ms + DAY_MS) for other in day]

    def told(results: list[WindowResult]) -> str:
        lines = report({"pessimistic": results}).splitlines()
        return next(line.split("95 %")[1].strip() for line in lines if "95 %" in line)

    assert told(day) == "+0.50 [one day]"
    assert told([*day, *next_day]) == "+0.50 [+0.50, +0.50]"


def test_drawdown() -> None:
    """From the highest point so far, the beginning included."""
    assert drawdown([]) == drawdown([5, 6]) == 0
    assert drawdown([-3, 10, -4, -4, 20]) == 8
    assert drawdown([-3, -4]) == 7


def test_a_drawdown_is_of_windows_as_they_end() -> None:
    """An hour that lost ends after the five minutes that began beside it: the fall is from where
    they had brought the total, as in the picture, and not in the order of the beginnings.
    """
    (one,) = done(0).results
    hour = attrs.evolve(one, end_ms=one.start_ms + 3_600_000, profit=-10_000_000)
    lost = attrs.evolve(one, start_ms=one.start_ms + 1, profit=-5_000_000)
    won = attrs.evolve(one, start_ms=lost.end_ms, end_ms=lost.end_ms + 300_000, profit=20_000_000)

    text = report({"pessimistic": [hour, lost, won]})
    assert re.search(r"deepest drawdown +10\.00\n", text)


def test_the_picture_begins_at_nothing_and_counts_at_the_end() -> None:
    """A window's profit is known when it ends, not when it begins; one alone is a step from
    nothing, not a point. Windows of two lengths are taken as they end.
    """
    long, short, last = (
        SimpleNamespace(start_ms=start * 1000, end_ms=end * 1000, profit=dollars * USD)
        for start, end, dollars in ((0, 900, -3), (0, 300, 5), (900, 1200, 1))
    )

    times, total, below = curve([long, short, last])  # type: ignore[list-item]  # what it reads

    assert [when.timestamp() for when in times] == [0, 300, 900, 1200]
    assert (total, below) == ([0, 5, 2, 3], [0, 0, -3, -2])
    assert curve([last])[1] == [0, 1]  # type: ignore[list-item]


def test_progress_in_lines_and_as_a_bar() -> None:
    """A line a tenth where nobody watches; a bar that ends in a new line where somebody does."""
    lines = io.StringIO()
    progress = Progress(40, lines)
    for _ in range(40):
        progress.take(1)
    assert lines.getvalue().count("\n") == 10

    class Screen(io.StringIO):
        def isatty(self) -> bool:
            return True

    screen = Screen()
    progress = Progress(2, screen)
    progress.take(1)
    progress.take(1)
    assert screen.getvalue().count("\r[") == 2
    assert screen.getvalue().endswith("\n")


def test_what_was_kept_is_not_played_now() -> None:
    """A sweep that goes on tells how fast it plays, not how fast it reads its own files."""
    out = io.StringIO()
    Progress(10, out).take(9, kept=True)
    assert out.getvalue() == "9 of 10 windows, 0.0 a second\n"


QUEUES = ["pessimistic", "probabilistic:2.5"]


@pytest.fixture(scope="module")
def told_of(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Both windows played under two queue models: their figures, and the runs."""
    place = tmp_path_factory.mktemp("two-models")
    words = [str(folder()), *WORDS, "--queue", ",".join(QUEUES), "--runs", str(place / "runs")]
    assert backtest.main([*words, "--json", str(place / "figures.json")]) == EXIT_WHOLE
    return place


def test_the_runs_of_two_queue_models_can_be_compared(told_of: Path) -> None:
    """Every fill is in a run, and comes to what the report says it does; `lab divergence` reads it,
    finds a run to be like itself, and splits the gap between two models.
    """
    files = [told_of / "runs" / name for name in ("pessimistic.json", "probabilistic-2.5.json")]
    told = orjson.loads((told_of / "figures.json").read_bytes())["queues"]
    for queue, file in zip(QUEUES, files, strict=True):
        run, whole = run_record.read(file)
        assert whole
        assert run.from_ms < run.to_ms
        for row in told[queue]:
            market = run.markets[row["slug"]]
            assert market.up_payout is not None
            earned = sum(fill.profit(market.up_payout) for fill in market.fills)
            assert len(market.fills) == row["fills"]
            booked = row["profit"] * SHARE
            assert abs(earned - booked) < len(market.fills) * SHARE  # rounded by the trade there
            assert all(span.from_ms <= span.to_ms for span in market.spans)
    assert sum(len(row) for row in told.values()) == 4
    alike = divergence.compare(*(run_record.read(file)[0] for file in (files[0], files[0])))
    assert alike.trust == 1
    assert divergence.main([str(file) for file in files]) == 0


def test_an_order_rests_from_its_answer_to_its_end(told_of: Path) -> None:
    """Spans are what a run had in the book: as many as were taken, none longer than its window."""
    run, _ = run_record.read(told_of / "runs" / "pessimistic.json")
    spans = [(span, market) for market in run.markets.values() for span in market.spans]
    assert spans
    for span, market in spans:
        assert market.start_ms - 15_000 <= span.from_ms <= span.to_ms <= market.end_ms + 5_000
