"""The sweep: the grid, what it may claim, and that a stop costs nothing but time."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator, Sequence
from pathlib import Path

import attrs
import pytest
from backtest_kit import ROOT, config, files
from hypothesis import given, strategies as st
from sweep_kit import pieces, played, progress

from polybot.config_read import ConfigError
from polybot.lab import sweep, sweep_store
from polybot.lab.backtest import EXIT_PART, EXIT_WHOLE, Done, Task
from polybot.lab.backtest_input import Chunk
from polybot.lab.shares import WorkerDied
from polybot.lab.sweep import Findings, here, report
from polybot.lab.sweep_grid import Axis, Point, grid
from polybot.lab.sweep_map import cells
from polybot.lab.sweep_stats import (
    DAY_MS,
    Estimate,
    Witness,
    better_than,
    clustered,
    mean_of,
    walk_forward,
)
from polybot.lab.sweep_store import Piece, Store

pytest.importorskip("pyarrow")

# --- the grid ------------------------------------------------------------------------------------


def test_every_combination_is_a_checked_configuration() -> None:
    """Values as in the file; each point has them set and everything else as it was."""
    axes = [Axis.read("quote.base_edge=0.002, 0.004"), Axis.read("risk.max_net_shares=20,40")]
    points = grid(config(), axes)

    assert len(points) == 4
    assert {(p.config.quote.base_edge, p.config.risk.max_net_shares) for p in points} == {
        (0.002, 20), (0.002, 40), (0.004, 20), (0.004, 40),
    }  # fmt: skip
    assert points[0].name == "quote.base_edge=0.002 risk.max_net_shares=20"
    assert points[0].config.orders == config().orders
    assert len({point.config.digest for point in points}) == 4


def test_without_parameters_there_is_one_point() -> None:
    """A sweep of nothing is the configuration itself: over seeds and recordings."""
    (point,) = grid(config(), [])

    assert point.config == config()
    assert point.name == "as configured"


@pytest.mark.parametrize(
    ("texts", "match"),
    [
        (["quote.base_edg=0.1"], "did you mean base_edge"),
        (["quotes.base_edge=0.1"], "did you mean quote"),
        (["quote.base_edge=9"], "base_edge"),
        (["risk.max_net_shares=1.5"], "whole number"),
        (["quote.base_edge=0.1", "quote.base_edge=0.2"], "twice"),
        (["keys.x=1"], "unknown key"),
    ],
)
def test_what_a_run_could_not_have_is_refused(texts: list[str], match: str) -> None:
    """The strict reader of the file reads these values, too."""
    with pytest.raises(ConfigError, match=match):
        grid(config(), [Axis.read(text) for text in texts])


@pytest.mark.parametrize("text", ["base_edge=1", "quote.base_edge", "quote.x=", "quote.x=a b"])
def test_a_parameter_that_is_none(text: str) -> None:
    """The form is said."""
    with pytest.raises(ValueError, match=r"expected|written"):
        Axis.read(text)


# --- what may be claimed -------------------------------------------------------------------------


def witness(at_ms: int, profit: int, seed: int = 1, *, lasts_ms: int = 1) -> Witness:
    return Witness(f"w{at_ms}", at_ms, at_ms + lasts_ms, seed, profit)


def test_windows_of_one_day_are_one_witness() -> None:
    """Days that differ, windows that do not: the error is that of the days, however many windows
    each has.
    """
    days = [1.0, -1.0, 3.0, 2.0, 0.0]
    few = clustered([(day, value) for day, value in enumerate(days)])
    many = clustered([(day, value) for day, value in enumerate(days) for _ in range(100)])

    assert many.mean == pytest.approx(few.mean) == pytest.approx(1.0)
    assert (many.low, many.high) == pytest.approx((few.low, few.high))
    assert few.high - few.mean == pytest.approx(
        2.776 * statistics.stdev(days) / math.sqrt(5), rel=0.02
    )
    assert (many.windows, many.days) == (500, 5)


def test_a_single_day_has_no_interval() -> None:
    """However many windows and seeds there are of it, nothing is known of other days."""
    for count in (1, 3, 900):
        one_day = clustered([(7, float(n % 3)) for n in range(count)])

        assert (one_day.low, one_day.high) == (-math.inf, math.inf)
        assert (one_day.windows, one_day.days) == (count, 1)


@given(st.lists(st.tuples(st.integers(0, 5), st.floats(-9, 9)), min_size=2))
def test_an_interval_holds_its_mean(values: list[tuple[int, float]]) -> None:
    """Whatever was found: the mean lies within, and no number is lost."""
    found = clustered(values)

    assert found.low <= found.mean + 1e-9
    assert found.mean <= found.high + 1e-9
    assert found.windows == len(values)


def test_two_are_compared_window_by_window() -> None:
    """What both share falls out: a constant advantage in wild windows is certain."""
    base = [witness(n * DAY_MS, (-1) ** n * 50_000_000) for n in range(10)]
    mine = [witness(one.start_ms, one.profit + 1_000_000) for one in base]

    assert better_than(mine, base) == Estimate(1.0, 1.0, 1.0, 10, 10)
    assert mean_of(mine).low < 0 < mean_of(mine).high


def test_whoever_chooses_by_luck_pays_for_it() -> None:
    """Two that are worth the same, each lucky in turn: what was best before is worst after, and the
    penalty says so.
    """
    points = {
        "a": [witness(n, 2_000_000 if n < 10 or n >= 20 else 0) for n in range(30)],
        "b": [witness(n, 2_000_000 if 10 <= n < 20 else -2_000_000) for n in range(30)],
    }
    found = walk_forward(points, 2)

    assert found is not None
    first, second = found.steps
    assert (first.chosen, first.inside, first.outside, first.windows) == ("a", 2.0, 0.0, 10)
    assert (second.chosen, second.inside, second.outside) == ("a", 1.0, 2.0)
    assert found.penalty == pytest.approx((0 - 2 + 2 - 1) / 2)


def test_too_little_to_walk() -> None:
    """A single combination chooses nothing; few windows make no splits."""
    some = [witness(n, 1) for n in range(30)]

    assert walk_forward({"a": some}, 2) is None
    assert walk_forward({"a": some[:5], "b": some[:5]}, 2) is None


def test_no_part_looks_into_the_next() -> None:
    """What is chosen at a cut depends on nothing after it."""
    past = {name: [witness(n, n % 3 + place) for n in range(20)] for place, name in enumerate("ab")}
    later = {
        name: [*found, *(witness(20 + n, -99) for n in range(20))] for name, found in past.items()
    }
    wild = {"a": [*later["a"][:20], *(witness(20 + n, 10**9) for n in range(20))], "b": later["b"]}
    one, other = walk_forward(later, 1), walk_forward(wild, 1)

    assert one is not None
    assert other is not None
    assert one.steps[0].chosen == other.steps[0].chosen == "b"
    assert one.steps[0].inside == other.steps[0].inside


def test_what_was_not_over_chooses_nothing() -> None:
    """A long window that lies across a cut has its result from the part that pays: what it earned
    was not known when the choice was made, and is no pay for it either.
    """
    points = {
        "a": [*(witness(n, 2_000_000) for n in range(20)), witness(20, 0)],
        "b": [*(witness(n, 1_000_000) for n in range(20)), witness(20, 0)],
    }
    points["b"][3] = witness(3, 10**9, lasts_ms=50)
    points["a"][3] = witness(3, -(10**9), lasts_ms=50)
    found = walk_forward(points, 1)

    assert found is not None
    (step,) = found.steps
    assert (step.until_ms, step.chosen, step.inside) == (10, "a", 2.0)


def test_only_windows_that_all_have_played_are_walked() -> None:
    """A sweep that was stopped: the one that has not played the bad windows yet is not better."""
    points = {
        "a": [witness(n, 1_000_000 if n % 2 else -1_000_000) for n in range(40)],
        "b": [witness(n, 500_000) for n in range(40) if n % 2],
    }
    found = walk_forward(points, 1)

    assert found is not None
    assert [(step.chosen, step.inside, step.windows) for step in found.steps] == [("a", 1.0, 10)]
    assert walk_forward(points | {"c": []}, 1) is None


def test_a_heat_map_is_a_mean_over_the_others() -> None:
    """Two parameters span it, a third is averaged."""
    axes = [Axis("quote.a", (1, 2)), Axis("quote.b", (5,)), Axis("quote.c", (7, 8))]
    points = [
        Point((("quote.a", a), ("quote.b", 5), ("quote.c", c)), config())
        for a in (1, 2)
        for c in (7, 8)
    ]
    means = {p.name: Estimate(float(n), 0, 0, 1, 1) for n, p in enumerate(points)}

    assert cells(axes[0], axes[1], points, means) == [[0.5], [2.5]]


# --- running it ----------------------------------------------------------------------------------


@pytest.fixture
def once(monkeypatch: pytest.MonkeyPatch) -> None:
    """No piece is played that another test has played."""
    monkeypatch.setattr(sweep, "perform", played)


def test_a_stop_keeps_what_is_finished(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C between two pieces: the first counts, and the next run plays only the second."""
    asked, store = pieces(), Store(tmp_path)
    begun: list[Task] = []

    def perform(task: Task) -> Done:
        if len(begun) == 1:
            raise KeyboardInterrupt
        begun.append(task)
        return played(task)

    monkeypatch.setattr(sweep, "perform", perform)
    findings, whole = sweep.run(asked, store, here(store, 1), progress())
    assert (len(findings.by_point), whole) == (1, False)
    assert [path.suffix for path in tmp_path.iterdir()] == [".parquet"]
    begun.clear()

    findings, whole = sweep.run(asked, store, here(store, 1), progress())
    assert (len(findings.by_point), whole, len(begun)) == (2, True, 1)


@pytest.mark.parametrize("stop", [KeyboardInterrupt, WorkerDied("a process has died")])
def test_what_ends_while_it_is_stopping_counts(
    tmp_path: Path, stop: BaseException | type[BaseException]
) -> None:
    """Its file is written, so it is in the report; what was heard before is not counted twice."""
    asked, store = pieces(3), Store(tmp_path)

    def worked(missing: Sequence[Piece]) -> Iterator[Piece]:
        for number, piece in enumerate(missing[:2]):
            store.write(piece, played(piece.task))
            if number == 1:
                raise stop  # before anybody could be told
            yield piece

    findings, whole = sweep.run(asked, store, worked, progress())
    assert not whole
    assert [len(findings.by_point[point.name]) for point in asked.points] == [1, 1, 0]


def test_a_stop_before_the_first_piece(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whoever stopped it did so: that nothing could be played is not true, nor is code 2."""

    def perform(_task: Task) -> Done:
        raise KeyboardInterrupt

    monkeypatch.setattr(sweep, "perform", perform)
    words = [str(files()[0]), "--out", str(tmp_path), "--processes", "1"]

    assert sweep.main([*words, "--config", str(ROOT / "config.toml")]) == EXIT_PART
    assert capsys.readouterr().err == sweep.STOPPED_EARLY


@pytest.mark.usefixtures("once")
def test_a_finished_sweep_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is kept is what was played, to the last unit; nothing is played twice."""
    asked, store = pieces(), Store(tmp_path)
    first, _ = sweep.run(asked, store, here(store, 1), progress())
    monkeypatch.setattr(sweep, "perform", None)
    again, whole = sweep.run(asked, store, here(store, 1), progress())

    assert whole
    assert again.by_point == first.by_point


@pytest.mark.usefixtures("once")
def test_a_broken_result_is_played_again(tmp_path: Path) -> None:
    """A file of nothing is as none."""
    asked, store = pieces(1), Store(tmp_path)
    store.path(asked.pieces[0]).write_bytes(b"half a file")
    findings, whole = sweep.run(asked, store, here(store, 1), progress())

    assert whole
    assert len(findings.by_point) == 1


def test_a_result_is_known_by_all_it_depends_on(tmp_path: Path) -> None:
    """Another configuration, seed, latency, queue model or recording is another piece; the same
    recording elsewhere is the same.
    """
    piece = pieces(1).pieces[0]
    chunk, held = piece.task.chunk, piece.task.config
    copy = tmp_path / chunk.paths[0].name
    copy.write_bytes(chunk.paths[0].read_bytes())
    same = Piece("", Task(Chunk((copy,), chunk.slugs), held, "pessimistic", "25", 1))
    other_edge = grid(held, [Axis.read("quote.base_edge=0.05")])[0].config
    others = [
        Task(chunk, held, "touch", "25", 1),
        Task(chunk, held, "pessimistic", "30", 1),
        Task(chunk, held, "pessimistic", "25", 2),
        Task(chunk, other_edge, "pessimistic", "25", 1),
        Task(Chunk((files()[1],), chunk.slugs), held, "pessimistic", "25", 1),
    ]

    assert same.key == piece.key
    assert len({piece.key, *(Piece("", task).key for task in others)}) == 6


def test_a_model_is_what_its_file_says(tmp_path: Path) -> None:
    """A queue or a latency that was fitted anew, into the same file, is another question: its old
    results are no answer to it.
    """
    queue, latency = tmp_path / "queue.json", tmp_path / "ms.txt"
    queue.write_text('{"queue": "pessimistic"}')
    latency.write_text("25\n")
    task = pieces(1).pieces[0].task
    piece = Piece("", attrs.evolve(task, queue=f"fitted:{queue}", latency=f"measured:{latency}"))
    keys = {piece.key}
    latency.write_text("250\n")
    keys.add(piece.key)
    queue.write_text('{"queue": "probabilistic:2"}')

    assert len(keys | {piece.key}) == 3


def test_another_program_keeps_results_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """What last week's bot earned is not to stand in a table beside what today's does."""
    piece = pieces(1).pieces[0]
    before = piece.key
    monkeypatch.setattr(sweep_store, "sources", lambda: "another")

    assert piece.key != before


@pytest.mark.usefixtures("once")
def test_the_folder_is_one_table(tmp_path: Path) -> None:
    """Any reader of Parquet takes all results together, with the parts of each profit."""
    import pyarrow.parquet as pq  # noqa: PLC0415

    sweep.run(pieces(), Store(tmp_path), here(Store(tmp_path), 1), progress())
    rows = pq.read_table(tmp_path).to_pylist()

    assert len(rows) == 2
    assert len({row["point"] for row in rows}) == 2
    for row in rows:
        assert row["profit"] == sum(row[name] for name in sweep_store.PARTS)


def lines_of(points: Sequence[Point], findings: Findings) -> Iterator[str]:
    return report(points, findings, 1)


def test_the_best_comes_first() -> None:
    """Every combination with its interval, and how much more than the first it earns."""
    points = grid(config(), [Axis.read("quote.base_edge=0.002,0.004")])
    findings = Findings()
    findings.by_point[points[0].name] = [witness(n * DAY_MS, n * 1_000_000) for n in range(6)]
    findings.by_point[points[1].name] = [
        witness(n * DAY_MS, n * 1_000_000 + 500_000) for n in range(6)
    ]
    told = list(lines_of(points, findings))

    assert told[0] == "2 of 2 combinations, 6 windows on 6 days"
    assert "+3.000" in told[2]
    assert "+0.500 [+0.500, +0.500]" in told[2]
    assert any("out-of-sample penalty" in line for line in told)


def test_one_day_is_told_and_has_no_interval() -> None:
    """Three windows with two seeds each are three windows, of one day: means, and no interval."""
    points = grid(config(), [Axis.read("quote.base_edge=0.002,0.004")])
    findings = Findings()
    for place, point in enumerate(points):
        findings.by_point[point.name] = [
            witness(n, (n + place) * 1_000_000, seed) for n in range(3) for seed in (1, 2)
        ]
    told = list(lines_of(points, findings))

    assert told[0] == "2 of 2 combinations, 3 windows on 1 day, 2 seeds of each"
    assert told[1].startswith("one day only:")
    assert "so there is no interval" in told[1]
    assert told[3].split() == [
        "+2.000", "[one", "day]", "+1.000", "[one", "day]", points[1].name,
    ]  # fmt: skip
    assert not any(", +" in line for line in told)


def test_a_stopped_sweep_whose_points_share_no_window() -> None:
    """Each is told for itself: how much more than the first is not known."""
    points = grid(config(), [Axis.read("quote.base_edge=0.002,0.004")])
    findings = Findings()
    findings.by_point[points[0].name] = [witness(0, 1_000_000)]
    findings.by_point[points[1].name] = [witness(DAY_MS, 2_000_000)]

    told = list(lines_of(points, findings))

    assert told[3].split() == ["+2.000", "[one", "day]", points[1].name]


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Two values over one window: a table, a picture, exit code 0; a damaged path makes it 1."""
    pytest.importorskip("matplotlib")
    picture = tmp_path / "map.png"
    words = [str(files()[0]), "--set", "quote.base_edge=0.002,0.01", "--out", str(tmp_path / "out"),
             "--config", str(ROOT / "config.toml"), "--processes", "1"]  # fmt: skip

    assert sweep.main([*words, "--picture", str(picture)]) == EXIT_WHOLE
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert "quote.base_edge=0.01" in capsys.readouterr().out
    assert sweep.main([str(tmp_path / "gone"), *words]) == EXIT_PART
    assert "gone" in capsys.readouterr().err


@pytest.mark.parametrize(
    "words",
    [["--seeds", "3-1"], ["--seeds", "x"], ["--set", "x=1"], [],
     ["--picture", "nothing-spans-it.png"]],
)  # fmt: skip
def test_bad_words(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Bad words, or no folder for the results: 2 and a line."""
    out = ["--out", "x"] if words else []
    with pytest.raises(SystemExit) as ended:
        sweep.main([str(files()[0]), *out, "--config", str(ROOT / "config.toml"), *words])

    assert ended.value.code == 2
    assert capsys.readouterr().err
